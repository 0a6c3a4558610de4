"""What a client asks before it creates a codespace: the configurations, the defaults, the permissions."""

from typing import Any

from starlette.responses import Response

from berth.domain.codespace import DEFAULT_LOCATION
from berth.domain.dev_container_list import DevContainerEntry
from berth.domain.problem import Invalid
from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.rest.codespace_views import billable_owner
from berth.services.account import AccountView

_SCOPES = frozenset({Scope.CODESPACE})


async def list_dev_containers(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.dev_containers.list_for(
        await call.readable_repository(), call.query("ref"), limit=page.limit, offset=page.offset
    )
    return call.list_response([_body(entry) for entry in found], total, page, key="devcontainers")


async def get_defaults(call: Call) -> Response:
    """What a creation that asks for nothing gets; 403 for who may create none. `client_ip` changes nothing."""
    repository = await call.readable_repository()
    await call.services.codespace_access.require(call.user, repository)
    path = await call.services.dev_containers.find_default(repository, call.query("ref"))
    owner: AccountView = await call.services.accounts.get(call.user, call.user.login)
    return json_response(
        {
            "billable_owner": billable_owner(call, repository, owner.account),
            "defaults": {"location": DEFAULT_LOCATION, "devcontainer_path": path},
        }
    )


async def check_permissions(call: Call) -> Response:
    """Always accepted: a codespace's token opens its own repository only, whatever `customizations` ask for."""
    repository = await call.readable_repository()
    for name in ("ref", "devcontainer_path"):
        if not call.query(name):
            raise Invalid(f"{name} is missing.", field=name, reason="missing_field")
    await call.services.dev_containers.require(repository, call.query("ref"), call.query("devcontainer_path"))
    return json_response({"accepted": True})


def _body(entry: DevContainerEntry) -> dict[str, Any]:
    """An item of GitHub's list: keys without a value are left out, null is none of theirs."""
    fields = {"path": entry.path, "name": entry.name, "display_name": entry.display_name}
    return {key: value for key, value in fields.items() if value is not None}


ROUTES: tuple[Route, ...] = (
    Route("GET", "/repos/{owner}/{repo}/codespaces/devcontainers", list_dev_containers, _SCOPES),
    Route("GET", "/repos/{owner}/{repo}/codespaces/new", get_defaults, _SCOPES),
    Route("GET", "/repos/{owner}/{repo}/codespaces/permissions_check", check_permissions, _SCOPES),
)

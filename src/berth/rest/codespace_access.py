"""Who may have codespaces of an organization's repositories. Source: GITHUB_API section 4.5 of the references."""

import msgspec
from starlette.responses import Response

from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, no_content

_SCOPES = frozenset({Scope.ADMIN_ORG})


class SetAccess(msgspec.Struct, kw_only=True):
    """The body of the setting."""

    visibility: str
    selected_usernames: list[str] | None = None


class SelectedUsers(msgspec.Struct, kw_only=True):
    """The body of a change of the list."""

    selected_usernames: list[str]


async def set_access(call: Call) -> Response:
    body = await call.json(SetAccess)
    await call.services.codespace_access.set_visibility(
        call.user, call.path("org"), body.visibility, body.selected_usernames
    )
    return no_content()


async def add_users(call: Call) -> Response:
    body = await call.json(SelectedUsers)
    await call.services.codespace_access.add_users(call.user, call.path("org"), body.selected_usernames)
    return no_content()


async def remove_users(call: Call) -> Response:
    """A DELETE with a body."""
    body = await call.json(SelectedUsers)
    await call.services.codespace_access.remove_users(call.user, call.path("org"), body.selected_usernames)
    return no_content()


ROUTES: tuple[Route, ...] = (
    Route("PUT", "/orgs/{org}/codespaces/access", set_access, _SCOPES),
    Route("POST", "/orgs/{org}/codespaces/access/selected_users", add_users, _SCOPES),
    Route("DELETE", "/orgs/{org}/codespaces/access/selected_users", remove_users, _SCOPES),
)

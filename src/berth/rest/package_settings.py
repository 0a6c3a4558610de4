"""What GitHub has web pages for: a package's settings, who may use it and why, an organization's policy."""

import msgspec
from starlette.responses import Response

from berth.domain.package import parse_visibility
from berth.domain.package_settings import SettingsChange
from berth.domain.problem import Invalid
from berth.domain.repository import parse_full_name
from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.rest.package_place import WRITE, Operation, package_routes, place_of
from berth.rest.package_views import explanation_body, policy_body, settings_body
from berth.services.package_explanation import parse_action

_ORGANIZATION = frozenset({Scope.ADMIN_ORG})


class ChangeSettings(msgspec.Struct, kw_only=True):
    """The body of a change. What is not sent stays; null ends a link, and a retention."""

    visibility: str | None = None
    inherit_access: bool | None = None
    repository: str | msgspec.UnsetType | None = msgspec.UNSET
    untagged_retention_days: int | msgspec.UnsetType | None = msgspec.UNSET


class ChangePolicy(msgspec.Struct, kw_only=True):
    """The body of a policy. What is not sent stays."""

    inherit_access_default: bool | None = None
    creatable_visibilities: list[str] | None = None


def _change(body: ChangeSettings) -> SettingsChange:
    return SettingsChange(
        visibility=None if body.visibility is None else parse_visibility(body.visibility),
        inherits_access=body.inherit_access,
        repository=parse_full_name(body.repository) if isinstance(body.repository, str) else None,
        unlinks=body.repository is None,
        untagged_retention_days=_number(body.untagged_retention_days),
        keeps_untagged=body.untagged_retention_days is None,
    )


def _number(value: int | msgspec.UnsetType | None) -> int | None:
    return value if isinstance(value, int) else None


async def get_settings(call: Call) -> Response:
    view = await call.services.package_settings.get(call.user, place_of(call))
    return json_response(settings_body(call.links, view))


async def change_settings(call: Call) -> Response:
    change = _change(await call.json(ChangeSettings))
    view = await call.services.package_settings.change(call.user, place_of(call), change)
    return json_response(settings_body(call.links, view))


async def explain_access(call: Call) -> Response:
    """`action`, and `user` or `repository`: of a codespace's token for a pull, of a workflow's for all else."""
    action = parse_action(call.query("action", "pull"))
    login, repository = call.query("user"), call.query("repository")
    if bool(login) == bool(repository):
        raise Invalid("Name a user or a repository: one of them.", field="user", code="package.subject")
    service, place = call.services.package_explanations, place_of(call)
    if login:
        explanation = await service.of_user(call.user, place, action, login)
    else:
        owner, name = parse_full_name(repository)
        explanation = await service.of_repository(call.user, place, action, owner, name)
    return json_response(explanation_body(explanation))


async def get_policy(call: Call) -> Response:
    return json_response(policy_body(await call.services.package_policies.get(call.user, call.path("org"))))


async def change_policy(call: Call) -> Response:
    body = await call.json(ChangePolicy)
    policy = await call.services.package_policies.change(
        call.user,
        call.path("org"),
        inherit_access_default=body.inherit_access_default,
        creatable_visibilities=body.creatable_visibilities,
    )
    return json_response(policy_body(policy))


ROUTES: tuple[Route, ...] = (
    *package_routes(
        (
            Operation("GET", "/settings", get_settings, WRITE),
            Operation("PATCH", "", change_settings, WRITE),
            Operation("GET", "/access", explain_access, WRITE),
        )
    ),
    Route("GET", "/orgs/{org}/packages/policy", get_policy, _ORGANIZATION),
    Route("PUT", "/orgs/{org}/packages/policy", change_policy, _ORGANIZATION),
)

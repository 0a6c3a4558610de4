"""An organization's policies for codespaces. Ours: GitHub has a web page for them."""

from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.codespace_policy import CodespacePolicy
from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response, no_content

_SCOPES = frozenset({Scope.ADMIN_ORG})


class SetCodespacePolicy(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A whole policy; what is left out, or null, it says nothing of. A misspelt key would allow everything: refused."""

    allowed_images: list[str] | None = None
    allowed_options: list[str] | None = None
    idle_timeout_max_minutes: int | None = None
    retention_max_minutes: int | None = None
    max_codespaces_per_user: int | None = None
    max_codespaces: int | None = None


def policy_body(policy: CodespacePolicy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "allowed_images": policy.allowed_images,
        "allowed_options": policy.allowed_options,
        "idle_timeout_max_minutes": policy.idle_timeout_max_minutes,
        "retention_max_minutes": policy.retention_max_minutes,
        "max_codespaces_per_user": policy.max_codespaces_per_user,
        "max_codespaces": policy.max_codespaces,
    }


async def list_all(call: Call) -> Response:
    found = await call.services.codespace_policies.list_all(call.user, call.path("org"))
    return json_response({"total_count": len(found), "policies": [policy_body(policy) for policy in found]})


async def get(call: Call) -> Response:
    policy = await call.services.codespace_policies.get(call.user, call.path("org"), call.path("policy_name"))
    return json_response(policy_body(policy))


async def put(call: Call) -> Response:
    body = await call.json(SetCodespacePolicy)
    policy = CodespacePolicy(
        name=call.path("policy_name"),
        allowed_images=_tuple(body.allowed_images),
        allowed_options=_tuple(body.allowed_options),
        idle_timeout_max_minutes=body.idle_timeout_max_minutes,
        retention_max_minutes=body.retention_max_minutes,
        max_codespaces_per_user=body.max_codespaces_per_user,
        max_codespaces=body.max_codespaces,
    )
    return json_response(policy_body(await call.services.codespace_policies.put(call.user, call.path("org"), policy)))


def _tuple(texts: list[str] | None) -> tuple[str, ...] | None:
    return None if texts is None else tuple(texts)


async def delete(call: Call) -> Response:
    await call.services.codespace_policies.delete(call.user, call.path("org"), call.path("policy_name"))
    return no_content()


ROUTES: tuple[Route, ...] = (
    Route("GET", "/orgs/{org}/codespaces/policies", list_all, _SCOPES),
    Route("GET", "/orgs/{org}/codespaces/policies/{policy_name}", get, _SCOPES),
    Route("PUT", "/orgs/{org}/codespaces/policies/{policy_name}", put, _SCOPES),
    Route("DELETE", "/orgs/{org}/codespaces/policies/{policy_name}", delete, _SCOPES),
)

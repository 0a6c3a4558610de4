"""Codespaces of an organization's repositories, for its owners. Source: GITHUB_API section 4.5 of the references."""

from starlette.responses import Response

from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.rest.codespace_views import codespace_body

_SCOPES = frozenset({Scope.ADMIN_ORG})


async def list_all(call: Call) -> Response:
    return await _list(call, None)


async def list_of_member(call: Call) -> Response:
    return await _list(call, call.path("username"))


async def _list(call: Call, login: str | None) -> Response:
    page = call.page()
    views, total = await call.services.organization_codespaces.list_all(
        call.user, call.path("org"), login, limit=page.limit, offset=page.offset
    )
    return call.list_response([codespace_body(call, view) for view in views], total, page, key="codespaces")


async def stop(call: Call) -> Response:
    view = await call.services.organization_codespaces.stop(
        call.user, call.path("org"), call.path("username"), call.path("name")
    )
    return json_response(codespace_body(call, view))


async def delete(call: Call) -> Response:
    await call.services.organization_codespaces.delete(
        call.user, call.path("org"), call.path("username"), call.path("name")
    )
    return json_response({}, 202)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/orgs/{org}/codespaces", list_all, _SCOPES),
    Route("GET", "/orgs/{org}/members/{username}/codespaces", list_of_member, _SCOPES),
    Route("DELETE", "/orgs/{org}/members/{username}/codespaces/{name}", delete, _SCOPES),
    Route("POST", "/orgs/{org}/members/{username}/codespaces/{name}/stop", stop, _SCOPES),
)

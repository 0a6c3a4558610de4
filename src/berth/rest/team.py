"""Teams. Source: GitHub REST docs, "Teams"."""

from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response, no_content
from berth.rest.views import repository_item, simple_user, team_body, team_full
from berth.services.repository import view_of


class CreateTeam(msgspec.Struct, kw_only=True):
    """The body of a creation."""

    name: str
    description: str | None = None


class UpdateTeam(msgspec.Struct, kw_only=True):
    """The body of a change."""

    name: str | None = None
    description: str | None = None


class SetMember(msgspec.Struct, kw_only=True):
    """The body of a team membership."""

    role: str = "member"


class SetRepository(msgspec.Struct, kw_only=True):
    """The body of a grant."""

    permission: str = "push"


def _place(call: Call) -> tuple[str, str]:
    return call.path("org"), call.path("team_slug")


async def list_teams(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.teams.list_teams(
        call.user, call.path("org"), limit=page.limit, offset=page.offset
    )
    return call.list_response(
        [team_body(call.links, view.team, view.organization.login) for view in found], total, page
    )


async def create(call: Call) -> Response:
    body = await call.json(CreateTeam)
    view = await call.services.teams.create(call.user, call.path("org"), body.name, body.description or "")
    return json_response(team_full(call.links, view), 201)


async def get(call: Call) -> Response:
    return json_response(team_full(call.links, await call.services.teams.get(call.user, *_place(call))))


async def update(call: Call) -> Response:
    body = await call.json(UpdateTeam)
    view = await call.services.teams.update(call.user, *_place(call), body.name, body.description)
    return json_response(team_full(call.links, view))


async def delete(call: Call) -> Response:
    await call.services.teams.delete(call.user, *_place(call))
    return no_content()


async def list_members(call: Call) -> Response:
    page = call.page()
    members, total = await call.services.teams.list_members(
        call.user, *_place(call), limit=page.limit, offset=page.offset
    )
    return call.list_response([simple_user(call.links, user) for user, _role in members], total, page)


def _member(call: Call, role: str) -> dict[str, Any]:
    path = f"/orgs/{call.path('org')}/teams/{call.path('team_slug')}/memberships/{call.path('username')}"
    return {"url": call.links.api(path), "role": role, "state": "active"}


async def get_member(call: Call) -> Response:
    role = await call.services.teams.get_member(call.user, *_place(call), call.path("username"))
    return json_response(_member(call, role))


async def set_member(call: Call) -> Response:
    role = (await call.json(SetMember)).role
    await call.services.teams.set_member(call.user, *_place(call), call.path("username"), role)
    return json_response(_member(call, role))


async def remove_member(call: Call) -> Response:
    await call.services.teams.remove_member(call.user, *_place(call), call.path("username"))
    return no_content()


async def list_repositories(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.teams.list_repositories(
        call.user, *_place(call), limit=page.limit, offset=page.offset
    )
    items = [repository_item(call.links, view_of(call.user, known)) for known in found]
    return call.list_response(items, total, page)


async def set_repository(call: Call) -> Response:
    permission = (await call.json(SetRepository)).permission
    await call.services.teams.set_repository(call.user, *_place(call), *call.repository, permission)
    return no_content()


async def remove_repository(call: Call) -> Response:
    await call.services.teams.remove_repository(call.user, *_place(call), *call.repository)
    return no_content()


_TEAM = "/orgs/{org}/teams/{team_slug}"
_READ = frozenset({Scope.READ_ORG})
_WRITE = frozenset({Scope.WRITE_ORG})
_ADMIN = frozenset({Scope.ADMIN_ORG})
ROUTES: tuple[Route, ...] = (
    Route("GET", "/orgs/{org}/teams", list_teams, _READ),
    Route("POST", "/orgs/{org}/teams", create, _ADMIN),
    Route("GET", _TEAM, get, _READ),
    Route("PATCH", _TEAM, update, _ADMIN),
    Route("DELETE", _TEAM, delete, _ADMIN),
    Route("GET", f"{_TEAM}/members", list_members, _READ),
    Route("GET", f"{_TEAM}/memberships/{{username}}", get_member, _READ),
    Route("PUT", f"{_TEAM}/memberships/{{username}}", set_member, _WRITE),
    Route("DELETE", f"{_TEAM}/memberships/{{username}}", remove_member, _WRITE),
    Route("GET", f"{_TEAM}/repos", list_repositories, _READ),
    Route("PUT", f"{_TEAM}/repos/{{owner}}/{{repo}}", set_repository, _ADMIN),
    Route("DELETE", f"{_TEAM}/repos/{{owner}}/{{repo}}", remove_repository, _ADMIN),
)

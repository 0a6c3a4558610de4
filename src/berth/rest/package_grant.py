"""What GitHub has web pages for: who was granted a package, and which repositories' codespaces and workflows it is open to."""

import msgspec
from starlette.responses import Response

from berth.rest.app import Route
from berth.rest.call import Call, no_content
from berth.rest.package_place import WRITE, Operation, owner_of, package_routes, place_of
from berth.rest.views import minimal_repository, simple_user, team_body


class SetRole(msgspec.Struct, kw_only=True):
    """The body of a grant: read, write or admin."""

    role: str


async def list_users(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.package_grants.list_users(
        call.user, place_of(call), limit=page.limit, offset=page.offset
    )
    items = [{**simple_user(call.links, user), "role": role.word} for user, role in found]
    return call.list_response(items, total, page)


async def set_user(call: Call) -> Response:
    role = (await call.json(SetRole)).role
    await call.services.package_grants.set_user(call.user, place_of(call), call.path("collaborator"), role)
    return no_content()


async def remove_user(call: Call) -> Response:
    await call.services.package_grants.remove_user(call.user, place_of(call), call.path("collaborator"))
    return no_content()


async def list_teams(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.package_grants.list_teams(
        call.user, place_of(call), limit=page.limit, offset=page.offset
    )
    owner, _kind = owner_of(call)
    items = [{**team_body(call.links, team, owner), "role": role.word} for team, role in found]
    return call.list_response(items, total, page)


async def set_team(call: Call) -> Response:
    role = (await call.json(SetRole)).role
    await call.services.package_grants.set_team(call.user, place_of(call), call.path("team_slug"), role)
    return no_content()


async def remove_team(call: Call) -> Response:
    await call.services.package_grants.remove_team(call.user, place_of(call), call.path("team_slug"))
    return no_content()


async def list_codespaces(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.package_repositories.list_codespaces(
        call.user, place_of(call), limit=page.limit, offset=page.offset
    )
    items = [minimal_repository(call.links, repository) for repository in found]
    return call.list_response(items, total, page, key="repositories")


async def add_codespaces(call: Call) -> Response:
    await call.services.package_repositories.add_codespaces(call.user, place_of(call), call.path_id("repository_id"))
    return no_content()


async def remove_codespaces(call: Call) -> Response:
    await call.services.package_repositories.remove_codespaces(call.user, place_of(call), call.path_id("repository_id"))
    return no_content()


async def list_workflows(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.package_repositories.list_workflows(
        call.user, place_of(call), limit=page.limit, offset=page.offset
    )
    items = [{**minimal_repository(call.links, repository), "role": role.word} for repository, role in found]
    return call.list_response(items, total, page, key="repositories")


async def set_workflows(call: Call) -> Response:
    role = (await call.json(SetRole)).role
    await call.services.package_repositories.set_workflows(
        call.user, place_of(call), call.path_id("repository_id"), role
    )
    return no_content()


async def remove_workflows(call: Call) -> Response:
    await call.services.package_repositories.remove_workflows(call.user, place_of(call), call.path_id("repository_id"))
    return no_content()


_USER = "/collaborators/{collaborator}"
ROUTES: tuple[Route, ...] = package_routes(
    (
        Operation("GET", "/collaborators", list_users, WRITE),
        Operation("PUT", _USER, set_user, WRITE),
        Operation("DELETE", _USER, remove_user, WRITE),
        Operation("GET", "/teams", list_teams, WRITE),
        Operation("PUT", "/teams/{team_slug}", set_team, WRITE),
        Operation("DELETE", "/teams/{team_slug}", remove_team, WRITE),
        Operation("GET", "/codespaces/repositories", list_codespaces, WRITE),
        Operation("PUT", "/codespaces/repositories/{repository_id}", add_codespaces, WRITE),
        Operation("DELETE", "/codespaces/repositories/{repository_id}", remove_codespaces, WRITE),
        Operation("GET", "/actions/repositories", list_workflows, WRITE),
        Operation("PUT", "/actions/repositories/{repository_id}", set_workflows, WRITE),
        Operation("DELETE", "/actions/repositories/{repository_id}", remove_workflows, WRITE),
    )
)

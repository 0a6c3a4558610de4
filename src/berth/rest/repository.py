"""Repositories and who may do what with them. Source: GitHub REST docs, "Repositories", "Collaborators", "Search"."""

from typing import Any

import msgspec
from starlette.responses import Response

from berth.domain.access import Action
from berth.domain.account import Account
from berth.domain.problem import Invalid, NotFound
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response, no_content
from berth.rest.repository_views import permissions
from berth.rest.views import full_repository, repository_item, simple_user, team_body
from berth.services.repository import RepositoryChange, RepositoryView


class RepositoryBody(msgspec.Struct, kw_only=True):
    """The body of a creation or a change; other keys of GitHub's are ignored."""

    name: str | None = None
    description: str | None = None
    private: bool | None = None
    visibility: str | None = None
    default_branch: str | None = None


class TransferRepository(msgspec.Struct, kw_only=True):
    """The body of a transfer; `team_ids` and other keys are ignored."""

    new_owner: str
    new_name: str | None = None


class SetCollaborator(msgspec.Struct, kw_only=True):
    """The body of a collaborator."""

    permission: str = "push"


def _visibility(body: RepositoryBody) -> Visibility | None:
    """`visibility` overrides `private`."""
    if body.visibility:
        try:
            return Visibility(body.visibility)
        except ValueError:
            raise Invalid(
                "visibility is public, private or internal.", field="visibility", code="repository.visibility"
            ) from None
    if body.private is None:
        return None
    return Visibility.PRIVATE if body.private else Visibility.PUBLIC


async def _change(call: Call) -> RepositoryChange:
    body = await call.json(RepositoryBody)
    return RepositoryChange(
        name=body.name,
        description=body.description,
        visibility=_visibility(body),
        default_branch=body.default_branch,
    )


def _list(call: Call, found: list[RepositoryView], total: int) -> Response:
    return call.list_response([repository_item(call.links, view) for view in found], total, call.page())


async def get(call: Call) -> Response:
    view = await call.services.repositories.view(call.subject, *call.repository, Action.READ)
    return json_response(full_repository(call.links, view))


async def list_own(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.repositories.list_own(call.user, limit=page.limit, offset=page.offset)
    return _list(call, found, total)


async def list_of_owner(call: Call) -> Response:
    page = call.page()
    owner = call.path("org" if "org" in call.request.path_params else "username")
    found, total = await call.services.repositories.list_of(call.subject, owner, limit=page.limit, offset=page.offset)
    return _list(call, found, total)


async def search(call: Call) -> Response:
    """By a part of `owner/name`; qualifiers (`word:value`) are ignored."""
    page = call.page()
    words = [word for word in call.query("q").split() if ":" not in word]
    found, total = await call.services.repositories.search(
        call.subject, " ".join(words)[:100], limit=page.limit, offset=page.offset
    )
    items = [{**repository_item(call.links, view), "score": 1.0} for view in found]
    return call.list_response(items, total, page, key="items", incomplete_results=False)


async def create_own(call: Call) -> Response:
    view = await call.services.repositories.create(call.user, call.user.login, await _change(call))
    return json_response(full_repository(call.links, view), 201)


async def create_in_organization(call: Call) -> Response:
    org = (await call.services.accounts.get_organization(call.user, call.path("org"))).account
    view = await call.services.repositories.create(call.user, org.login, await _change(call))
    return json_response(full_repository(call.links, view), 201)


async def update(call: Call) -> Response:
    view = await call.services.repositories.update(call.user, *call.repository, await _change(call))
    return json_response(full_repository(call.links, view))


async def delete(call: Call) -> Response:
    await call.services.repositories.delete(call.user, *call.repository)
    return no_content()


async def transfer(call: Call) -> Response:
    body = await call.json(TransferRepository)
    view = await call.services.repository_transfers.transfer(call.user, *call.repository, body.new_owner, body.new_name)
    return json_response(repository_item(call.links, view), 202)


async def list_collaborators(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.repositories.list_collaborators(
        call.user, *call.repository, limit=page.limit, offset=page.offset
    )
    return call.list_response([_collaborator(call, user, role) for user, role in found], total, page)


def _collaborator(call: Call, user: Account, role: Role) -> dict[str, Any]:
    return {**simple_user(call.links, user), "permissions": permissions(role), "role_name": role.role_name}


async def check_collaborator(call: Call) -> Response:
    if not await call.services.repositories.is_collaborator(call.user, *call.repository, call.path("username")):
        raise NotFound("Not Found", code="repository.no_collaborator")
    return no_content()


async def add_collaborator(call: Call) -> Response:
    permission = (await call.json(SetCollaborator)).permission
    await call.services.repositories.set_collaborator(call.user, *call.repository, call.path("username"), permission)
    return no_content()


async def remove_collaborator(call: Call) -> Response:
    await call.services.repositories.remove_collaborator(call.user, *call.repository, call.path("username"))
    return no_content()


async def get_permission(call: Call) -> Response:
    user, role = await call.services.repositories.find_role_of(call.user, *call.repository, call.path("username"))
    body = {"permission": role.legacy_word, "role_name": role.role_name, "user": _collaborator(call, user, role)}
    return json_response(body)


async def list_teams(call: Call) -> Response:
    page = call.page()
    found, total = await call.services.repositories.list_teams(
        call.user, *call.repository, limit=page.limit, offset=page.offset
    )
    items = [team_body(call.links, team, call.path("owner"), role.word) for team, role in found]
    return call.list_response(items, total, page)


_REPOSITORY = "/repos/{owner}/{repo}"
_REPO = frozenset({Scope.REPO})
_WRITE = frozenset({Scope.REPO, Scope.PUBLIC_REPO})
ROUTES: tuple[Route, ...] = (
    Route("GET", "/user/repos", list_own, accepted=_REPO),
    Route("POST", "/user/repos", create_own, _WRITE, accepted=_REPO),
    Route("GET", "/orgs/{org}/repos", list_of_owner, anonymous=True, accepted=_REPO),
    Route("POST", "/orgs/{org}/repos", create_in_organization, _WRITE, accepted=_REPO),
    Route("GET", "/users/{username}/repos", list_of_owner, anonymous=True, accepted=_REPO),
    Route("GET", "/search/repositories", search, anonymous=True, accepted=_REPO),
    Route("GET", _REPOSITORY, get, anonymous=True, accepted=_REPO),
    Route("PATCH", _REPOSITORY, update, _WRITE, accepted=_REPO),
    Route("DELETE", _REPOSITORY, delete, frozenset({Scope.DELETE_REPO})),
    Route("POST", f"{_REPOSITORY}/transfer", transfer, _REPO),
    Route("GET", f"{_REPOSITORY}/collaborators", list_collaborators, accepted=_REPO),
    Route("GET", f"{_REPOSITORY}/collaborators/{{username}}", check_collaborator, accepted=_REPO),
    Route("PUT", f"{_REPOSITORY}/collaborators/{{username}}", add_collaborator, _WRITE, accepted=_REPO),
    Route("DELETE", f"{_REPOSITORY}/collaborators/{{username}}", remove_collaborator, _WRITE, accepted=_REPO),
    Route("GET", f"{_REPOSITORY}/collaborators/{{username}}/permission", get_permission, accepted=_REPO),
    Route("GET", f"{_REPOSITORY}/teams", list_teams, _WRITE, accepted=_REPO),
)

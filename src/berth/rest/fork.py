"""Forks. Source: GitHub REST docs, "Forks"."""

import msgspec
from starlette.responses import Response

from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.rest.views import full_repository, repository_item


class CreateFork(msgspec.Struct, kw_only=True):
    """The body of a fork; every key may be missing."""

    organization: str | None = None
    name: str | None = None
    default_branch_only: bool = False


async def create(call: Call) -> Response:
    body = await call.json(CreateFork)
    view = await call.services.forks.fork(
        call.user,
        *call.repository,
        organization=body.organization,
        new_name=body.name,
        default_branch_only=body.default_branch_only,
    )
    return json_response(full_repository(call.links, view), 202)


async def list_forks(call: Call) -> Response:
    """In order of their names; `sort` changes nothing."""
    page = call.page()
    found, total = await call.services.forks.list_forks(
        call.subject, *call.repository, limit=page.limit, offset=page.offset
    )
    return call.list_response([repository_item(call.links, view) for view in found], total, page)


_FORKS = "/repos/{owner}/{repo}/forks"
ROUTES: tuple[Route, ...] = (
    Route("GET", _FORKS, list_forks, anonymous=True, accepted=frozenset({Scope.REPO})),
    Route("POST", _FORKS, create, frozenset({Scope.REPO, Scope.PUBLIC_REPO}), accepted=frozenset({Scope.REPO})),
)

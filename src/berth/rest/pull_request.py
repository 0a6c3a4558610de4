"""Pull requests. Source: GitHub REST docs, "Pull requests"."""

import msgspec
from starlette.responses import Response

from berth.domain.scope import Scope
from berth.rest.app import Route
from berth.rest.call import Call, json_response
from berth.rest.pull_request_views import pull_request_body, pull_request_item
from berth.services.pull_request import PullRequestChange, PullRequestView


class CreatePullRequest(msgspec.Struct, kw_only=True):
    """The body of a creation; drafts, reviewers and `head_repo` are ignored."""

    title: str
    head: str
    base: str
    body: str | None = None


class UpdatePullRequest(msgspec.Struct, kw_only=True):
    """The body of a change."""

    title: str | None = None
    body: str | None = None
    state: str | None = None


async def _answer(call: Call, view: PullRequestView, status: int = 200) -> Response:
    comparison = await call.services.pull_requests.compare(view)
    return json_response(pull_request_body(call.links, view, comparison), status)


async def create(call: Call) -> Response:
    body = await call.json(CreatePullRequest)
    view = await call.services.pull_requests.create(
        call.user, *call.repository, title=body.title, body=body.body or "", head=body.head, base=body.base
    )
    return await _answer(call, view, 201)


async def get(call: Call) -> Response:
    number = call.path_id("pull_number")
    return await _answer(call, await call.services.pull_requests.get(call.subject, *call.repository, number))


async def list_of_repository(call: Call) -> Response:
    """Newest first; `head`, `base` and `sort` change nothing."""
    page = call.page()
    views, total = await call.services.pull_requests.list_of(
        call.subject, *call.repository, call.query("state", "open"), limit=page.limit, offset=page.offset
    )
    return call.list_response([pull_request_item(call.links, view) for view in views], total, page)


async def update(call: Call) -> Response:
    body = await call.json(UpdatePullRequest)
    change = PullRequestChange(title=body.title, body=body.body, state=body.state)
    number = call.path_id("pull_number")
    return await _answer(call, await call.services.pull_requests.update(call.user, *call.repository, number, change))


_PULLS = "/repos/{owner}/{repo}/pulls"
_REPO = frozenset({Scope.REPO})
_WRITE = frozenset({Scope.REPO, Scope.PUBLIC_REPO})
ROUTES: tuple[Route, ...] = (
    Route("GET", _PULLS, list_of_repository, anonymous=True, accepted=_REPO),
    Route("POST", _PULLS, create, _WRITE, accepted=_REPO),
    Route("GET", f"{_PULLS}/{{pull_number}}", get, anonymous=True, accepted=_REPO),
    Route("PATCH", f"{_PULLS}/{{pull_number}}", update, _WRITE, accepted=_REPO),
)

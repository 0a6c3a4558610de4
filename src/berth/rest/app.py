"""The REST application: authentication, one route table, error bodies and the headers of GitHub's protocol."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.problem import Denied, Invalid, NotFound, Problem, Unauthenticated
from berth.domain.scope import Scope
from berth.edge.asked import check_address
from berth.edge.credential import token_of
from berth.edge.problem_status import bug_text, status_of
from berth.rest.call import Call, Handler, Links, json_response
from berth.rest.errors_page import PATH as ERRORS_PATH
from berth.rest.own_address import make_links
from berth.rest.problems import error_body
from berth.rest.segments import make_route
from berth.services.services import Services

API_VERSIONS = ("2022-11-28", "2026-03-10")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `scopes`: a token needs one of them (a missing one is 403); empty: any token, or none at all.

    `accepted` is what `X-Accepted-OAuth-Scopes` names instead: the scopes with which there is more to see or to do.
    The path is Starlette's, below the API's base; `anonymous` lets a request without a credential reach the handler,
    `workflows` a workflow's token, which has permissions in place of scopes: the use case judges them.
    """

    method: str
    path: str
    handler: Handler
    scopes: frozenset[Scope] = frozenset()
    anonymous: bool = False
    accepted: frozenset[Scope] = frozenset()
    workflows: bool = False


def make_rest_app(services: Services, routes: tuple[Route, ...], external_url: str | None) -> Starlette:
    """The application that serves `routes`; mounted at `/api/v3`, and at `/` for a Host that begins with `api.`."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, {})[route.method] = route

    async def not_found(request: Request, _error: Exception) -> Response:
        response = problem_response(NotFound("Not Found"), make_links(request, external_url))
        _add_headers(response, request, uuid4().hex)
        return response

    app = Starlette(
        routes=[
            make_route(path, _endpoint(services, methods, external_url), list(methods))
            for path, methods in by_path.items()
        ],
        exception_handlers={404: not_found, 405: not_found},
    )
    app.router.redirect_slashes = (
        False  # a path that ends in a slash is another path (references, GITHUB_API section 1.2)
    )
    return app


def _endpoint(
    services: Services, methods: dict[str, Route], external_url: str | None
) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        route = methods["GET" if request.method == "HEAD" else request.method]
        links = make_links(request, external_url)
        subject: Subject | None = None
        request_id = uuid4().hex
        try:
            check_address(request)
            _check_version(request)
            subject = await authenticate(services, request.headers.get("authorization", ""))
            _check_scopes(route, subject)
            response = await route.handler(Call(request, services, subject, links))
        except Problem as problem:
            response = problem_response(problem, links)
        except Exception:  # noqa: BLE001 an edge: a bug becomes a 500 with a request id, its traceback goes to the log
            _LOG.exception("rest.failed", extra={"request_id": request_id, "route": route.path})
            response = bug_response(bug_text(request_id))
        _add_headers(response, request, request_id)
        if subject is not None:
            response.headers["X-OAuth-Scopes"] = ", ".join(sorted(subject.scopes))
            response.headers["X-Accepted-OAuth-Scopes"] = ", ".join(sorted(route.accepted or route.scopes))
        return _conditional(request, response)

    return respond


def problem_response(problem: Problem, links: Links) -> Response:
    """A Problem as GitHub would say it."""
    body = error_body(problem, links.web(f"{ERRORS_PATH}#{problem.code}"))
    return json_response(body, status_of(problem))


def bug_response(text: str) -> Response:
    return json_response({"message": text, "status": "500"}, 500)


async def authenticate(services: Services, header: str) -> Subject | None:
    """Who the Authorization header proves.

    None without a header. Raises Unauthenticated("Bad credentials") for anything bad, on public routes too.
    """
    if not header:
        return None
    subject = await services.access_tokens.find_subject(token_of(header))
    if subject is None:
        raise Unauthenticated("Bad credentials")
    return subject


def _check_scopes(route: Route, subject: Subject | None) -> None:
    if subject is None:
        if not route.anonymous:
            raise Unauthenticated("Requires authentication")
        return
    if route.workflows and subject.token_kind is TokenKind.WORKFLOW:
        return
    require_scopes(route.scopes, subject)


def require_scopes(scopes: frozenset[Scope], subject: Subject) -> None:
    """Raises Denied for a token that has none of them; no scopes: none is needed."""
    if scopes and not scopes & subject.scopes:
        needed = " or ".join(sorted(scopes))
        raise Denied(f"Must have admin rights to Repository. This needs a token with the scope {needed}.")


def _check_version(request: Request) -> None:
    version = request.headers.get("x-github-api-version")
    if version is not None and version not in API_VERSIONS:
        known = ", ".join(API_VERSIONS)
        raise Invalid(f"'{version[:20]}' is not a version of this API. Known: {known}.", code="request.malformed")


def _add_headers(response: Response, request: Request, request_id: str) -> None:
    """What every answer has. Source: GITHUB_API section 2.3 of the references."""
    version = request.headers.get("x-github-api-version")
    headers = response.headers
    headers["X-GitHub-Request-Id"] = request_id
    headers["X-GitHub-Media-Type"] = "github.v3; format=json"
    headers["X-GitHub-Api-Version-Selected"] = version if version in API_VERSIONS else API_VERSIONS[0]
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cache-Control"] = "private, no-cache"
    headers["Vary"] = "Accept, Authorization"


def _conditional(request: Request, response: Response) -> Response:
    """ETag on what was read, 304 where the client has it already. Source: RFC 9110, section 13.1.2."""
    body = getattr(response, "body", b"")
    if request.method not in {"GET", "HEAD"} or response.status_code != 200 or not body:
        return response
    etag = f'W/"{sha256(body).hexdigest()}"'
    response.headers["ETag"] = etag
    wanted = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if wanted.isdisjoint({etag.removeprefix("W/"), "*"}):
        return response
    headers = {k: v for k, v in response.headers.items() if k not in {"content-length", "content-type"}}
    return Response(status_code=304, headers=headers)

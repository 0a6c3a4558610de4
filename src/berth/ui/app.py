"""The console as an application: who is signed in, whose form it is, Problems as pages, and the headers of every answer.

1. A request that changes something is a POST of a form that one of our own pages made for this very browser: it carries
   the word that is derived from the browser's cookie, and neither `Sec-Fetch-Site` nor `Origin` tells of another site.
   Anything else is refused (403), before a use case hears of it.
2. Nothing is loaded from elsewhere, no script stands in a page, nobody frames us (the headers below).
3. What is not there and what is hidden is one page (A13).
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from berth.domain.problem import Denied, NotFound, Problem
from berth.edge.asked import check_address
from berth.edge.problem_status import bug_text, status_of
from berth.edge.sockets import SocketRoute
from berth.services.ports import Clock, Entropy
from berth.services.services import Services
from berth.ui.console import Console
from berth.ui.form import FORM_WORD, read_form
from berth.ui.page import Handler, Page, find_session
from berth.ui.sockets import make_sockets
from berth.ui.static_files import PATH as STATIC_PATH
from berth.ui.static_files import read_static_files
from berth.ui.templates import make_templates

_LOG = logging.getLogger(__name__)
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with none a form's Origin would be "null"
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# The heading of a page that says what went wrong, by its status.
_TITLES = {
    400: "This cannot be done",
    403: "You may not do this",
    404: "There is no such page",
    409: "This does not fit what is there",
    413: "Too large",
    422: "This cannot be done",
    429: "Too many attempts",
    502: "Something that Berth needs did not answer",
    503: "Something that Berth needs did not answer",
    507: "No room is left",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One page, or one thing that its forms do. `anonymous`: also for who is not signed in; others are sent to sign in."""

    method: str
    path: str
    handler: Handler
    anonymous: bool = False


def make_ui_app(
    services: Services,
    routes: tuple[Route, ...],
    *,
    clock: Clock,
    entropy: Entropy,
    external_url: str | None,
    sockets: tuple[SocketRoute, ...] = (),
    node_modules: Path | None = None,
) -> ASGIApp:
    """The application that serves `routes`, the static files and, from `node_modules`, what pages have from there."""
    static = read_static_files(node_modules=node_modules)
    by_path: dict[str, dict[str, Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, {})[route.method] = route
    console = Console(
        services=services,
        templates=make_templates(static),
        static=static,
        clock=clock,
        entropy=entropy,
        external_url=external_url,
        paths=by_path.keys(),
    )
    pages, by_socket = _make_pages(console, by_path), make_sockets(console, sockets)

    async def ui(scope: Scope, receive: Receive, send: Send) -> None:
        await (by_socket if scope["type"] == "websocket" else pages)(scope, receive, send)

    return ui


def _make_pages(console: Console, by_path: Mapping[str, dict[str, Route]]) -> Starlette:
    async def send_file(request: Request) -> Response:
        name = request.path_params.get("name", "favicon.svg")
        try:
            response = console.static.respond(request, name)
        except NotFound as problem:
            response = await _problem_page(await _open(console, request), problem)
        return _with_headers(response)

    async def not_found(request: Request, _error: Exception) -> Response:
        return _with_headers(await _problem_page(await _open(console, request), NotFound("Not Found")))

    app = Starlette(
        routes=[
            StarletteRoute(f"{STATIC_PATH}/{{name:path}}", send_file),
            StarletteRoute("/favicon.ico", send_file),
            *(
                StarletteRoute(path, _endpoint(console, methods), methods=list(methods))
                for path, methods in by_path.items()
            ),
        ],
        exception_handlers={404: not_found, 405: not_found},
    )
    app.router.redirect_slashes = False
    return app


def _endpoint(console: Console, methods: dict[str, Route]) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        route = methods["GET" if request.method == "HEAD" else request.method]
        page = None
        try:
            page = await _open(console, request)
            response = await _answer(page, route)
        except Problem as problem:
            response = await _problem_page(page or Page(console, request, None, None), problem)
        except Exception:  # noqa: BLE001 an edge: a bug becomes a 500 with a request id, its traceback goes to the log
            request_id = uuid4().hex
            _LOG.exception("ui.failed", extra={"request_id": request_id, "route": route.path})
            response = Response(f"{bug_text(request_id)}\n", 500, media_type="text/plain")
        return _with_headers(response)

    return respond


async def _open(console: Console, request: Request) -> Page:
    """The request with its session, if it has one that holds."""
    return Page(console, request, *await find_session(console, request))


async def _answer(page: Page, route: Route) -> Response:
    check_address(page.request)
    if page.known is None and not route.anonymous:
        return RedirectResponse(_sign_in_url(page), 303)
    if page.request.method == "POST":
        _check_site(page)
        page.form = await read_form(page.request)
        _check_form_word(page)
    return await route.handler(page)


def _sign_in_url(page: Page) -> str:
    """Where one signs in, to come back here; what a form wanted to do is not done afterwards."""
    query = page.request.url.query
    here = f"{page.request.url.path}?{query}" if query else page.request.url.path
    return f"/login?{urlencode({'return_to': here})}" if page.request.method == "GET" and here != "/" else "/login"


def _check_site(page: Page) -> None:
    """Source: W3C, "Fetch Metadata Request Headers"; RFC 6454, section 7. Browsers send the first over https only."""
    headers = page.request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in {None, "same-origin", "none"}:
        raise _not_ours()
    if site is None and origin is not None and not page.console.is_own_origin(origin, page.request):
        raise _not_ours()


def _check_form_word(page: Page) -> None:
    if not page.has_made(page.form.text(FORM_WORD)):
        raise _not_ours()


def _not_ours() -> Denied:
    return Denied(
        "This form does not come from a page of this console that is open in your browser now.",
        code="session.form",
        remedy="Nothing was done. Go back, load the page anew, and try again.",
    )


async def _problem_page(page: Page, problem: Problem) -> Response:
    status = status_of(problem)
    title = _TITLES.get(status, "This did not work")
    message = "" if problem.message == "Not Found" else problem.message
    try:
        return await page.render("problem.html", status=status, title=title, message=message, remedy=problem.remedy)
    except Problem:  # the database that does not answer does not tell the menu's organizations either
        return Response(f"{problem.text}\n", status, media_type="text/plain")


def _with_headers(response: Response) -> Response:
    """What every answer of the console has (policy 2); pages are kept nowhere."""
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    return response

"""One origin: which edge answers a request (DESIGN section 3).

`/api/v3/…` and `/api/graphql`, and everything under a Host that begins with `api.`, is REST; `/v2/…` and `/token` are
the container registry; `/{owner}/{repo}.git/…` is git; `/docs/errors` and `/docs/access-rules` say
what codes and rules mean; `/healthz` says that the process lives, `/readyz` that its database and its engine answer.
Everything else is the web console's. REST and the console have WebSockets. Each edge finds the client's own address in its
scope, also behind a trusted proxy (domain/client_address.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from berth.domain.client_address import UNIX, TrustedProxies, find_client
from berth.domain.problem import Problem
from berth.edge.own_origin import host_of
from berth.git.app import is_git_path
from berth.oci.app import is_oci_path
from berth.rest import errors_page
from berth.rest.own_address import API_PREFIX, is_api_host

Check = Callable[[], Awaitable[object]]
_GRAPHQL = "/api/graphql"
_NO_PROXIES = TrustedProxies()
_FORWARDED_FOR = b"x-forwarded-for"


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    answer = JSONResponse({"message": "Not Found", "status": "404"}, 404, media_type="application/json; charset=utf-8")
    await answer(scope, receive, send)


def make_front(
    *,
    rest: ASGIApp,
    sockets: ASGIApp,
    git: ASGIApp,
    oci: ASGIApp,
    checks: Mapping[str, Check],
    ui: ASGIApp = _not_found,
    proxies: TrustedProxies = _NO_PROXIES,
) -> ASGIApp:
    """The application that a server listens with. `checks`: what must answer for the server to be ready, by name."""
    documents, readiness = errors_page.read_documents(), _Readiness(checks)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if proxies:
            scope = _from_client(scope, proxies)
        if scope["type"] == "websocket":
            await _answer_socket(sockets, ui, scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"no edge for {scope['type']}")
        path: str = scope["path"]
        if is_oci_path(path):
            await oci(scope, receive, send)
        elif (below := _below_api(scope)) is not None:
            await rest(below, receive, send)
        elif is_git_path(path) and "\0" not in path:
            await git(scope, receive, send)
        elif path == "/healthz":
            await PlainTextResponse("ok\n")(scope, receive, send)
        elif path in documents:
            await HTMLResponse(documents[path], headers=errors_page.HEADERS)(scope, receive, send)
        elif path == "/readyz":
            await (await readiness.look())(scope, receive, send)
        else:
            await ui(scope, receive, send)

    return front


def _from_client(scope: Scope, proxies: TrustedProxies) -> Scope:
    """The request as it would have come from its client itself. Its port is nobody's business."""
    said = [value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED_FOR]
    if not said:
        return scope
    server, peer = scope.get("server"), scope.get("client")
    is_unix = peer is None and server is not None and server[1] is None  # a peer that is gone has no address either
    client = find_client(UNIX if is_unix else peer and peer[0], said, proxies)
    return {**scope, "client": client and (client, 0)}


async def _answer_socket(sockets: ASGIApp, ui: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    below = _below_api(scope)
    if "\0" in scope["path"]:  # nothing is called so
        await sockets({**scope, "path": ""}, receive, send)
    elif below is not None:
        await sockets(below, receive, send)
    else:
        await ui(scope, receive, send)


def _below_api(scope: Scope) -> Scope | None:
    """The request as the API's own routes see it; None for what is not the API's."""
    path: str = scope["path"]
    if is_api_host(host_of(HTTPConnection(scope))):
        return scope
    if path == API_PREFIX or path.startswith(f"{API_PREFIX}/"):
        below = path.removeprefix(API_PREFIX) or "/"
        raw = scope.get("raw_path", b"").removeprefix(API_PREFIX.encode()) or b"/"
        return {**scope, "path": below, "raw_path": raw}
    if path == _GRAPHQL:
        below = path.removeprefix("/api")
        return {**scope, "path": below, "raw_path": below.encode()}
    return None


class _Readiness:
    """One look at a time: anybody may ask, and it asks the engine and the blobs' store, who have other things to do."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._looking: asyncio.Task[dict[str, str]] | None = None

    async def look(self) -> JSONResponse:
        """200 if every check passes, else 503; each with its state and the code of what is wrong."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        states = await asyncio.shield(self._looking)  # who goes away ends it for nobody else
        return JSONResponse(states, 200 if set(states.values()) <= {"ok"} else 503)

    async def _look(self) -> dict[str, str]:
        states = {}
        for name, check in self._checks.items():
            try:
                await check()
                states[name] = "ok"
            except Problem as problem:
                states[name] = problem.code
        return states

"""The console's WebSockets: who may is decided by the session's cookie, and for our own pages only.

A browser sends its cookies along with a WebSocket whichever page opens it, and no form word; what tells a page of ours from
another is its Origin, which every browser sends and no page can change. So it has to be there, and to be ours, before
anything else is looked at. Source: RFC 6455, sections 4.1 and 10.2.
"""

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from berth.domain.access import Subject
from berth.domain.problem import Problem, Unauthenticated
from berth.edge.problem_status import status_of
from berth.edge.sockets import SocketEdge, SocketRoute, foreign_origin, make_socket_router
from berth.ui.console import Console
from berth.ui.page import find_session


def make_sockets(console: Console, routes: tuple[SocketRoute, ...]) -> ASGIApp:
    """The application that answers the upgrades of our pages."""

    async def find_user(socket: WebSocket, _route: SocketRoute) -> Subject:
        site = socket.headers.get("sec-fetch-site", "same-origin")
        if site != "same-origin" or not console.is_own_origin(socket.headers.get("origin"), socket):
            raise foreign_origin()
        known, _value = await find_session(console, socket)
        if known is None:
            raise Unauthenticated("Sign in first.")
        return known.subject

    return make_socket_router(console.services, routes, SocketEdge(find_user=find_user, refuse=_refuse, fail=_fail))


def _refuse(_socket: WebSocket, problem: Problem) -> Response:
    return PlainTextResponse(f"{problem.text}\n", status_of(problem))


def _fail(text: str) -> Response:
    return PlainTextResponse(f"{text}\n", 500)

"""The console's WebSockets: who may is decided before the upgrade, by the session's cookie, and for our own pages only.

A browser sends its cookies along with a WebSocket whichever page opens it, and no form word; what tells a page of ours from
another is its Origin, which every browser sends and no page can change. So it has to be there, and to be ours, before
anything else is looked at. Source: RFC 6455, sections 4.1 and 10.2.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from starlette.responses import PlainTextResponse
from starlette.routing import Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from berth.domain.access import Subject
from berth.domain.problem import Denied, NotFound, Problem, Unauthenticated
from berth.services.services import Services
from berth.ui.console import Console
from berth.ui.page import visitor_of
from berth.ui.problems import status_of

_LOG = logging.getLogger(__name__)
_FAILED = 1011  # Source: RFC 6455, section 7.4.1


@dataclass(frozen=True, slots=True)
class SocketCall:
    """An upgrade that a page of ours asks for: a handler accepts it, or raises a Problem before it does."""

    socket: WebSocket
    services: Services
    user: Subject

    def path(self, name: str) -> str:
        return str(self.socket.path_params[name])


SocketHandler = Callable[[SocketCall], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """One kind of conversation."""

    path: str
    handler: SocketHandler


def make_sockets(console: Console, routes: tuple[SocketRoute, ...]) -> ASGIApp:
    """The application that answers the upgrades of our pages."""

    async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
        await _refuse(WebSocket(scope, receive, send), NotFound("Not Found"))

    own = [WebSocketRoute(route.path, _endpoint(console, route)) for route in routes]
    return Router(routes=own, default=not_found, redirect_slashes=False)


def _endpoint(console: Console, route: SocketRoute) -> Callable[[WebSocket], Awaitable[None]]:
    async def respond(socket: WebSocket) -> None:
        try:
            _check_origin(console, socket)
            await route.handler(SocketCall(socket, console.services, await _find_user(console, socket)))
        except Problem as problem:
            await _refuse(socket, problem)
        except WebSocketDisconnect:
            pass  # it went before it could be told anything
        except Exception:  # noqa: BLE001 an edge: a bug ends the conversation, its traceback goes to the log
            request_id = uuid4().hex
            _LOG.exception("ui.socket_failed", extra={"request_id": request_id, "route": route.path})
            await _fail(socket, f"Server Error. The request id is {request_id}.")

    return respond


def _check_origin(console: Console, socket: WebSocket) -> None:
    site = socket.headers.get("sec-fetch-site", "same-origin")
    if site != "same-origin" or not console.is_own_origin(socket.headers.get("origin"), socket):
        raise Denied("This page may not talk to this server: its origin is another.", code="request.origin")


async def _find_user(console: Console, socket: WebSocket) -> Subject:
    value = console.cookies(socket).session(socket)
    known = None if value is None else await console.services.sessions.find(value, visitor_of(socket))
    if known is None:
        raise Unauthenticated("Sign in first.")
    return known.subject


async def _refuse(socket: WebSocket, problem: Problem) -> None:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    await socket.send_denial_response(PlainTextResponse(f"{problem.text}\n", status_of(problem), headers))


async def _fail(socket: WebSocket, message: str) -> None:
    if socket.application_state is WebSocketState.CONNECTING:
        await socket.send_denial_response(PlainTextResponse(f"{message}\n", 500))
    elif socket.application_state is WebSocketState.CONNECTED:
        await socket.close(_FAILED, message)

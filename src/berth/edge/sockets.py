"""WebSockets, for the edges that have some: who may is decided before the upgrade.

1. A Problem before the upgrade is the answer to it, in the edge's own words.
2. A bug is logged with a request id. The peer is told the id: as the answer to the upgrade, or after it with 1011.
3. A peer that is gone is told nothing, and of that nothing is logged.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import Router, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from berth.domain.access import Subject
from berth.domain.problem import Denied, NotFound, Problem
from berth.domain.scope import Scope as TokenScope
from berth.edge.problem_status import bug_text
from berth.services.services import Services

_LOG = logging.getLogger(__name__)
_FAILED, _GONE = 1011, 1006  # Source: RFC 6455, section 7.4.1


@dataclass(frozen=True, slots=True)
class SocketCall:
    """An upgrade that is asked for: a handler accepts it, or raises a Problem before it does."""

    socket: WebSocket
    services: Services
    user: Subject

    def path(self, name: str) -> str:
        return str(self.socket.path_params[name])


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """One kind of conversation. A token needs one of `scopes`, a session of the console none."""

    path: str
    handler: Callable[[SocketCall], Awaitable[None]]
    scopes: frozenset[TokenScope] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketEdge:
    """What an edge says of its own: who asks (or a Problem), and how a Problem and a bug are answered."""

    find_user: Callable[[WebSocket, SocketRoute], Awaitable[Subject]]
    refuse: Callable[[WebSocket, Problem], Response]
    fail: Callable[[str], Response]


def make_socket_router(services: Services, routes: tuple[SocketRoute, ...], edge: SocketEdge) -> ASGIApp:
    """The application that answers the upgrades of one edge."""

    async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await _deny(socket, edge.refuse(socket, NotFound("Not Found")))

    own = [WebSocketRoute(route.path, _endpoint(services, route, edge)) for route in routes]
    router = Router(routes=own, default=not_found, redirect_slashes=False)

    async def sockets(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            try:
                await send(message)
            except OSError as error:  # how a server says that the peer is gone. Source: ASGI specification, "send"
                raise WebSocketDisconnect(_GONE) from error

        try:
            await router(scope, receive, tell)
        except WebSocketDisconnect as gone:
            if isinstance(gone.__cause__, OSError):
                raise gone.__cause__ from None  # the server knows what it said

    return sockets


def _endpoint(services: Services, route: SocketRoute, edge: SocketEdge) -> Callable[[WebSocket], Awaitable[None]]:
    async def respond(socket: WebSocket) -> None:
        try:
            user = await edge.find_user(socket, route)
            await route.handler(SocketCall(socket, services, user))
        except Problem as problem:
            await _deny(socket, edge.refuse(socket, problem))
        except WebSocketDisconnect:
            raise
        except Exception:  # noqa: BLE001 an edge: a bug ends the conversation, its traceback goes to the log
            request_id = uuid4().hex
            _LOG.exception("socket.failed", extra={"request_id": request_id, "route": route.path})
            text = bug_text(request_id)
            if socket.application_state is WebSocketState.CONNECTING:
                await _deny(socket, edge.fail(text))
            elif socket.application_state is WebSocketState.CONNECTED:
                await socket.close(_FAILED, text)

    return respond


async def _deny(socket: WebSocket, response: Response) -> None:
    response.headers.update({"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
    await socket.send_denial_response(response)


def foreign_origin() -> Denied:
    """What a page of another origin is told."""
    return Denied("This page may not talk to this server: its origin is another.", code="request.origin")

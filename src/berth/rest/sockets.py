"""The API's WebSockets: who may is decided before the upgrade, with the same answers as for any other request.

A browser sends no Authorization header of its own accord, so a foreign page can do nothing here; it is refused by its Origin
nevertheless, before anything else is looked at. Source: RFC 6455, sections 4.2.2 and 10.2.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from starlette.routing import Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from berth.domain import scope as scopes
from berth.domain.access import Subject
from berth.domain.problem import Denied, NotFound, Problem, Unauthenticated
from berth.rest.app import authenticate, problem_response, require_scopes
from berth.rest.call import Links, json_response
from berth.rest.own_address import make_links
from berth.services.services import Services

_LOG = logging.getLogger(__name__)
_FAILED = 1011  # Source: RFC 6455, section 7.4.1


@dataclass(frozen=True, slots=True)
class SocketCall:
    """An upgrade that is asked for: a handler accepts it, or raises a Problem before it does."""

    socket: WebSocket
    services: Services
    subject: Subject

    def path(self, name: str) -> str:
        return str(self.socket.path_params[name])


SocketHandler = Callable[[SocketCall], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """One kind of conversation. A token needs one of `scopes`; there is none without a token."""

    path: str
    handler: SocketHandler
    scopes: frozenset[scopes.Scope]


def make_socket_app(services: Services, routes: tuple[SocketRoute, ...], external_url: str | None) -> ASGIApp:
    """The application that answers upgrades below the API's base."""

    async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await _refuse(socket, NotFound("Not Found"), make_links(socket, external_url))

    own = [WebSocketRoute(route.path, _endpoint(services, route, external_url)) for route in routes]
    return Router(routes=own, default=not_found, redirect_slashes=False)


def _endpoint(
    services: Services, route: SocketRoute, external_url: str | None
) -> Callable[[WebSocket], Awaitable[None]]:
    async def respond(socket: WebSocket) -> None:
        links = make_links(socket, external_url)
        try:
            _check_origin(socket, links)
            subject = await _authenticate(services, socket)
            require_scopes(route.scopes, subject)
            await route.handler(SocketCall(socket, services, subject))
        except Problem as problem:
            await _refuse(socket, problem, links)
        except WebSocketDisconnect:
            pass  # it went before it could be told anything
        except Exception:  # noqa: BLE001 an edge: a bug ends the conversation, its traceback goes to the log
            request_id = uuid4().hex
            _LOG.exception("rest.socket_failed", extra={"request_id": request_id, "route": route.path})
            await _fail(socket, f"Server Error. The request id is {request_id}.")

    return respond


async def _authenticate(services: Services, socket: WebSocket) -> Subject:
    subject = await authenticate(services, socket.headers.get("authorization", ""))
    if subject is None:
        raise Unauthenticated("Requires authentication")
    return subject


async def _fail(socket: WebSocket, message: str) -> None:
    if socket.application_state is WebSocketState.CONNECTING:
        await socket.send_denial_response(json_response({"message": message, "status": "500"}, 500))
    elif socket.application_state is WebSocketState.CONNECTED:
        await socket.close(_FAILED, message)


async def _refuse(socket: WebSocket, problem: Problem, links: Links) -> None:
    response = problem_response(problem, links)
    response.headers["Cache-Control"] = "private, no-cache"
    await socket.send_denial_response(response)


def _check_origin(socket: WebSocket, links: Links) -> None:
    origin = socket.headers.get("origin")
    if origin is not None and origin.lower() not in {links.web_origin.lower(), links.api_origin.lower()}:
        raise Denied("This page may not talk to this server: its origin is another.", code="request.origin")

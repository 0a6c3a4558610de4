"""The API's WebSockets: who may is decided with the same answers as for any other request.

A browser sends no Authorization header of its own accord, so a foreign page can do nothing here; it is refused by its Origin
nevertheless, before anything else is looked at. Source: RFC 6455, sections 4.2.2 and 10.2.
"""

from starlette.responses import Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from berth.domain.access import Subject
from berth.domain.problem import Problem, Unauthenticated
from berth.edge.sockets import SocketEdge, SocketRoute, foreign_origin, make_socket_router
from berth.rest.app import authenticate, bug_response, problem_response, require_scopes
from berth.rest.own_address import make_links
from berth.services.services import Services


def make_socket_app(services: Services, routes: tuple[SocketRoute, ...], external_url: str | None) -> ASGIApp:
    """The application that answers upgrades below the API's base."""

    async def find_user(socket: WebSocket, route: SocketRoute) -> Subject:
        _check_origin(socket, external_url)
        subject = await authenticate(services, socket.headers.get("authorization", ""))
        if subject is None:
            raise Unauthenticated("Requires authentication")
        require_scopes(route.scopes, subject)
        return subject

    def refuse(socket: WebSocket, problem: Problem) -> Response:
        return problem_response(problem, make_links(socket, external_url))

    return make_socket_router(services, routes, SocketEdge(find_user=find_user, refuse=refuse, fail=bug_response))


def _check_origin(socket: WebSocket, external_url: str | None) -> None:
    origin, links = socket.headers.get("origin"), make_links(socket, external_url)
    if origin is not None and origin.lower() not in {links.web_origin.lower(), links.api_origin.lower()}:
        raise foreign_origin()

"""`…/exec` as a WebSocket: a command in a codespace and its caller."""

from berth.domain.scope import Scope
from berth.edge.exec_conversation import START_S, converse
from berth.edge.sockets import SocketCall, SocketRoute


def socket_routes(start_s: float = START_S) -> tuple[SocketRoute, ...]:
    """`start_s`: how long after the upgrade the caller may say nothing."""

    async def execute(call: SocketCall) -> None:
        await converse(call.socket, call.services.codespace_sessions, call.user, call.path("name"), start_s)

    return (SocketRoute("/user/codespaces/{name}/exec", execute, frozenset({Scope.CODESPACE})),)

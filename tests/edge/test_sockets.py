"""What becomes of a WebSocket, whatever edge it belongs to: tests quote the policies of edge/sockets.py."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from tests.test_socket_protocol import serving
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.uri import parse_uri

from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.problem import Denied, Problem
from berth.edge.sockets import SocketCall, SocketEdge, SocketRoute, make_socket_router

Handler = Callable[[SocketCall], Awaitable[None]]


async def somebody(_socket: WebSocket, _route: SocketRoute) -> Subject:
    return Subject(
        account_id=1, login="octo", site_admin=False, token_kind=TokenKind.PERSONAL, token_id=1, scopes=frozenset()
    )


def refuse(_socket: WebSocket, problem: Problem) -> Response:
    return PlainTextResponse(problem.text, 403)


def fail(text: str) -> Response:
    return PlainTextResponse(text, 500)


def make_app(handler: Handler) -> ASGIApp:
    edge = SocketEdge(find_user=somebody, refuse=refuse, fail=fail)
    return make_socket_router(None, (SocketRoute("/{name}", handler),), edge)  # type: ignore[arg-type]


async def deny(_call: SocketCall) -> None:
    raise Denied("No.", remedy="Ask.")


async def break_before(_call: SocketCall) -> None:
    raise ZeroDivisionError("a secret")


async def break_after(call: SocketCall) -> None:
    await call.socket.accept()
    raise ZeroDivisionError("a secret")


async def greet(call: SocketCall) -> None:
    await call.socket.accept()
    await call.socket.send_text(f"{call.user.login} {call.path('name')}")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


async def test_who_may_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(make_app(greet)) as port, connect(f"ws://127.0.0.1:{port}/x", proxy=None) as wire:
        assert await wire.recv() == "octo x"
    assert told(caplog) == []


@pytest.mark.parametrize(
    ("handler", "status", "said", "logged"),
    [
        (deny, 403, "No. Ask.", []),
        (break_before, 500, "Server Error. The request id is ", ["socket.failed"]),
    ],
    ids=["1: a Problem", "2: a bug"],
)
async def test_policies_1_and_2_before_the_upgrade(
    caplog: pytest.LogCaptureFixture, handler: Handler, status: int, said: str, logged: list[str]
) -> None:
    async with serving(make_app(handler)) as port:
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://127.0.0.1:{port}/x", proxy=None)
    response = caught.value.response
    assert (response.status_code, (response.body or b"").decode().startswith(said)) == (status, True)
    assert (response.headers["cache-control"], response.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert told(caplog) == logged


async def test_policy_2_after_the_upgrade(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(make_app(break_after)) as port, connect(f"ws://127.0.0.1:{port}/x", proxy=None) as wire:
        with pytest.raises(ConnectionClosed) as caught:
            await wire.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason[:32]) == (1011, "Server Error. The request id is ")
    assert told(caplog) == ["socket.failed"]


async def accept(call: SocketCall) -> None:
    await call.socket.accept()


async def speak(call: SocketCall) -> None:
    await call.socket.send_text("too late")


@pytest.mark.parametrize(
    ("first", "then", "logged"),
    [
        (None, deny, []),
        (None, accept, []),
        (None, break_before, ["socket.failed"]),
        (accept, speak, []),
        (accept, break_before, ["socket.failed"]),
    ],
    ids=["a Problem", "an upgrade", "a bug", "a message", "a bug after the upgrade"],
)
async def test_policy_3_a_peer_that_is_gone(
    caplog: pytest.LogCaptureFixture, first: Handler | None, then: Handler, logged: list[str]
) -> None:
    """A bug is logged once, and not a second time because nobody could be told of it."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def work(call: SocketCall) -> None:
        await (call.socket.receive() if first is None else first(call))
        began.set()
        assert (await call.socket.receive())["type"] == "websocket.disconnect"
        await then(call)

    app = make_app(work)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        finally:
            ended.set()

    async with serving(watched) as port, asyncio.timeout(30):
        protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}/x"))
        protocol.send_request(protocol.connect())
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.writelines(protocol.data_to_send())
        await began.wait()
        writer.transport.abort()
        await ended.wait()
    assert told(caplog) == logged

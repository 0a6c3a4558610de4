"""The server's WebSocket protocol: what it needs of uvicorn's insides, and what a peer cannot make it hold."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from tests.fakes.certificates import Authority
from tests.test_http_protocol import on_uvloop
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from berth.http_protocol import BerthConnection
from berth.socket_protocol import BerthSocket

LARGE = 64 * 1024


class Impatient(BerthSocket):
    stalled_s = 0.5


@asynccontextmanager
async def serving(
    app: Any, socket: type[BerthSocket] = BerthSocket, certificate: Path | None = None
) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app, port=0, loop="none", http=cast("Any", BerthConnection), ws=socket, ws_max_size=LARGE, ws_per_message_deflate=False,
        lifespan="off", ssl_certfile=certificate, access_log=False, log_config=None,
    )  # fmt: skip
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = server.force_exit = True
        await running


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says back what it hears; `/flood` speaks without end, and listens to nothing."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"ok"})
        return
    socket = WebSocket(scope, receive, send)
    await socket.accept()
    while scope["path"] == "/flood":
        await socket.send_bytes(bytes(LARGE))
    async for message in socket.iter_bytes():
        await socket.send_bytes(message)


class Raw:
    """A peer that keeps to no rule: bytes on a socket, after a good handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, path: str = "/") -> AsyncIterator["Raw"]:
        protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}{path}"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
        protocol.send_request(protocol.connect())
        writer.writelines(protocol.data_to_send())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def send(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> None:
        self.writer.write(Frame(opcode, data, fin).serialize(mask=True))
        await self.writer.drain()

    async def close_code(self) -> int:
        async with asyncio.timeout(5):
            head = await self.reader.readexactly(2)
            assert head[0] & 0x0F == Opcode.CLOSE
            return int.from_bytes((await self.reader.readexactly(head[1]))[:2])


@on_uvloop
async def test_messages_go_both_ways() -> None:
    async with serving(echo) as port, connect(f"ws://127.0.0.1:{port}/", proxy=None) as wire:
        for message in (b"", b"a", bytes(LARGE)):
            await wire.send(message)
            assert await wire.recv() == message


@on_uvloop
async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.server_context("berth.test")
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.check_hostname = False
    async with (
        serving(echo, certificate=tmp_path / "berth.test.pem") as port,
        connect(f"wss://127.0.0.1:{port}/", proxy=None, ssl=context) as wire,
    ):
        for message in (b"a", bytes(LARGE)):
            await wire.send(message)
            assert await wire.recv() == message


@on_uvloop
async def test_1_a_message_has_a_bound() -> None:
    async with serving(echo) as port, Raw.open(port) as peer:
        await peer.send(Opcode.BINARY, bytes(LARGE + 1))
        assert await peer.close_code() == 1009


@on_uvloop
async def test_1_a_message_has_a_bound_in_pieces_too() -> None:
    async with serving(echo) as port, Raw.open(port) as peer:
        await peer.send(Opcode.BINARY, b"a", fin=False)
        for _ in range(80):
            await peer.send(Opcode.CONT, b"", fin=False)  # which hold nothing, and so are under any bound of bytes
        assert await peer.close_code() == 1009
    async with serving(echo) as port, Raw.open(port) as few:
        await few.send(Opcode.BINARY, b"a", fin=False)
        for _ in range(50):
            await few.send(Opcode.CONT, b"b", fin=False)
        await few.send(Opcode.CONT, b"c")
        assert (await few.reader.readexactly(54))[2:] == b"a" + 50 * b"b" + b"c"


@on_uvloop
async def test_2_nothing_is_compressed() -> None:
    async with serving(echo) as port, connect(f"ws://127.0.0.1:{port}/", proxy=None) as wire:
        assert "Sec-WebSocket-Extensions" not in (wire.response.headers if wire.response else {})


@on_uvloop
async def test_3_pings_of_who_reads_nothing_fill_no_memory() -> None:
    """Without a bound each would leave its answer in the server's memory."""
    held: list[int] = []

    class Watched(BerthSocket):
        def handle_ping(self) -> None:
            super().handle_ping()
            held.append(self.transport.get_write_buffer_size())

    async with serving(echo, Watched) as port, Raw.open(port) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(100):
            peer.writer.write(b"".join(Frame(Opcode.PING, bytes(125)).serialize(mask=True) for _ in range(1000)))
            await peer.writer.drain()
        async with asyncio.timeout(10):
            while len(held) < 100_000:
                await asyncio.sleep(0.05)
        assert max(held) < 512 * 1024


@on_uvloop
async def test_4_who_reads_nothing_is_cut_off() -> None:
    async with serving(echo, Impatient) as port, Raw.open(port, "/flood") as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1.5)
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                while await peer.reader.read(2**20):
                    pass


@on_uvloop
async def test_4_who_reads_slowly_is_not() -> None:
    async with serving(echo, Impatient) as port, connect(f"ws://127.0.0.1:{port}/flood", proxy=None) as wire:
        for _ in range(10):
            await asyncio.sleep(0.2)
            for _ in range(40):
                await wire.recv()


@on_uvloop
async def test_an_answer_under_way_is_not_torn() -> None:
    """Policy 11 of http_protocol.py: such an upgrade is an ordinary request, and waits."""
    upgrade = (
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with serving(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + upgrade)
        async with asyncio.timeout(5):
            said = b""
            while said.count(b"ok") < 2:
                said += await reader.read(65536)
        assert said.count(b"HTTP/1.1 200 OK") == 2
        assert b" 101 " not in said
        writer.close()
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"ok")
            writer.write(upgrade)  # between two requests it may
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.close()


@on_uvloop
async def test_an_upgrade_to_something_else_is_an_ordinary_request() -> None:
    async with serving(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        writer.close()


def test_5_paths_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> None:
        async with serving(echo) as port, connect(f"ws://127.0.0.1:{port}/?token=canary", proxy=None):
            pass

    with caplog.at_level(logging.INFO):
        on_uvloop(ask)()
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        pytest.param("GET", "", id="the control"),
        pytest.param("POST", "Content-Length: 0\r\n", id="another method"),
        pytest.param("GET", "Content-Length: 4\r\n", id="a body"),
        pytest.param("GET", "Transfer-Encoding: chunked\r\n", id="a chunked body"),
        pytest.param("GET", f"X: {'y' * 9000}\r\n", id="a long line"),
        pytest.param("GET", "X: y\r\n" * 200, id="many lines"),
    ],
)
@on_uvloop
async def test_attack_6_an_upgrade_that_cannot_be_holds_no_connection(method: str, lines: str) -> None:
    head = (
        f"{method} / HTTP/1.1\r\nHost: berth.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    async with serving(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}{lines}\r\n".encode())
        async with asyncio.timeout(10):
            if lines:
                assert (await reader.read()).startswith(b"HTTP/1.1 4")
            else:
                assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
        writer.transport.abort()


@on_uvloop
async def test_a_server_that_stops_says_so() -> None:
    async with serving(echo) as port:
        wire = await connect(f"ws://127.0.0.1:{port}/", proxy=None)
    with pytest.raises(ConnectionClosed) as caught:
        await wire.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012

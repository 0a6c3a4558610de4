"""The server's own way to read uploads, beside uvicorn's plain one: the same requests must get the same answers."""

import asyncio
import contextlib
import hashlib
import random
import socket
import ssl
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from tests.fakes.certificates import Authority
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from berth.domain.problem import LimitReached
from berth.event_loop import EventLoop
from berth.http_protocol import BODY_EXTENSION, MAX_HEAD_BYTES, BerthConnection
from berth.oci.exchange import Answer, OCIRequest
from berth.services.registry_blob import ClientGone

UPLOAD = "/v2/acme/app/blobs/uploads/1"
ELSEWHERE = "/somewhere/else"
PROTOCOLS = {"own": BerthConnection, "plain": HttpToolsProtocol}


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on the event loop that the server has: buffers are its business."""

    @wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=EventLoop) as runner:
            runner.run(test(*arguments, **named))

    return run


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> type:
    return PROTOCOLS[request.param]


class App:
    """Answers with what it read: its size and SHA-256. `/refuse` in the query answers without reading."""

    def __init__(self) -> None:
        self.broken: list[type[BaseException]] = []
        self.short_ways = 0
        self.asked: list[str] = []
        self.clients: list[object] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.slow = asyncio.Event()
        self.slow.set()
        self.begin = asyncio.Event()
        self.begin.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = OCIRequest(scope, receive)
        self.asked.append(scope["path"])
        self.clients.append(scope["client"])
        self.headers += scope["headers"]
        self.short_ways += BODY_EXTENSION in scope.get("extensions", {})
        await self.begin.wait()
        if request.parameter("refuse") is not None:
            await self._say(send, 401, b"no")
            return
        digest, size = hashlib.sha256(), 0
        try:
            async for piece in request.chunks():
                await self.slow.wait()
                digest.update(piece)
                size += len(piece)
        except (ClientGone, LimitReached) as problem:
            self.broken.append(type(problem))
            return
        await self._say(send, 200, f"{size} {digest.hexdigest()}".encode())

    async def _say(self, send: Send, status: int, body: bytes) -> None:
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Large:
    """An answer at once that no socket's buffer holds."""

    def __init__(self) -> None:
        self.status = 200
        self.body = bytes(4 * 1024 * 1024)
        self.headers = [(b"content-length", b"%d" % len(self.body))]


class Connection:
    """A client that speaks HTTP by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, str]:
        """The next answer that is not 100 Continue."""
        while True:
            head = await self.reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status == 100:
                continue
            length = next(
                int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length")
            )
            return status, (await self.reader.readexactly(length)).decode()

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def running(
    protocol: Callable[..., Any],
    *,
    authority: Authority | None = None,
    certificate: Path | None = None,
    timeout_keep_alive: int = 5,
) -> AsyncIterator[tuple[App, Callable[[], Any]]]:
    """The app under this protocol, and what connects to it."""
    app = App()
    config = uvicorn.Config(
        app,
        port=0,
        loop="none",
        http=protocol,  # type: ignore[arg-type]  # see server.py
        timeout_keep_alive=timeout_keep_alive,
        lifespan="off",
        access_log=False,
        log_config=None,
        ssl_certfile=certificate,
    )
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    task = asyncio.create_task(server.serve(sockets=[listener]))
    context = None
    if authority is not None:
        context = ssl.create_default_context(cafile=authority.ca_file)
        context.check_hostname = False
    connections: list[Connection] = []

    async def connect() -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1], ssl=context)
        connections.append(Connection(reader, writer))
        return connections[-1]

    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield app, connect
    finally:
        for connection in connections:
            connection.close()
        server.should_exit = True
        await task
        listener.close()


def head(path: str, *lines: str, method: str = "PATCH") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: berth.test", *lines, "", ""]).encode()


def sized(body: bytes, path: str = UPLOAD, *lines: str, method: str = "PATCH") -> bytes:
    return head(path, f"Content-Length: {len(body)}", *lines, method=method) + body


def chunked(body: bytes, dice: random.Random, path: str = UPLOAD) -> bytes:
    framed, at = bytearray(), 0
    while at < len(body):
        size = dice.randint(1, 70_000)
        piece = body[at : at + size]
        framed += b"%x\r\n%b\r\n" % (len(piece), piece)
        at += size
    return head(path, "Transfer-Encoding: chunked") + bytes(framed) + b"0\r\n\r\n"


def said(body: bytes) -> tuple[int, str]:
    return 200, f"{len(body)} {hashlib.sha256(body).hexdigest()}"


SIZES = [0, 1, 1000, 65_536, 524_287, 524_288, 524_289, 3_000_000]


@pytest.mark.parametrize("size", SIZES)
@on_uvloop
async def test_a_body_arrives_whole(protocol: type, size: int) -> None:
    dice = random.Random(size)
    body = dice.randbytes(size)
    async with running(protocol) as (_app, connect):
        connection = await connect()
        for request in (sized(body), chunked(body, dice), sized(body, ELSEWHERE), chunked(body, dice, ELSEWHERE)):
            await connection.send(request)
            assert await connection.answer() == said(body)


@pytest.mark.parametrize("seed", range(8))
@on_uvloop
async def test_however_the_packets_fall(protocol: type, seed: int) -> None:
    """Several requests on one connection, cut into packets at random, some sent before the answer to the last one."""
    dice = random.Random(seed)
    bodies = [dice.randbytes(dice.choice([0, 3, 5_000, 200_000, 900_000])) for _ in range(6)]
    stream = b"".join(
        dice.choice([sized(body), chunked(body, dice), sized(body, ELSEWHERE), sized(body, method="PUT")])
        for body in bodies
    )

    async def feed(connection: Connection) -> None:
        at = 0
        while at < len(stream):
            size = dice.choice([1, 7, 100, 4096, 70_000, 600_000])
            await connection.send(stream[at : at + size])
            at += size
            if dice.random() < 0.3:
                await asyncio.sleep(0.001)

    async with running(protocol) as (_app, connect):
        connection = await connect()
        feeding = asyncio.create_task(feed(connection))
        for body in bodies:
            assert await connection.answer() == said(body)
        await feeding


@on_uvloop
async def test_uploads_take_the_short_way_and_nothing_else_does() -> None:
    async with running(BerthConnection) as (app, connect):
        connection = await connect()
        for request in (
            sized(b"x", ELSEWHERE),
            sized(b"", UPLOAD),
            head(UPLOAD, method="GET"),
            sized(b"x", "/v2/a/b/manifests/1"),
        ):
            await connection.send(request)
            assert (await connection.answer())[0] == 200
        assert app.short_ways == 0
        await connection.send(sized(b"x"))
        assert await connection.answer() == said(b"x")
        assert app.short_ways == 1


@on_uvloop
async def test_a_reader_that_is_slow_makes_the_client_wait(protocol: type) -> None:
    body = random.Random(1).randbytes(30_000_000)
    async with running(protocol) as (app, connect):
        app.slow.clear()
        connection = await connect()
        sending = asyncio.create_task(connection.send(sized(body)))
        await asyncio.sleep(0.3)
        assert not sending.done(), "the server took in 30 MB that nobody reads"
        app.slow.set()
        await sending
        assert await connection.answer() == said(body)


@pytest.mark.parametrize("size", [10, 2_000_000])
@pytest.mark.parametrize("framing", ["sized", "chunked"])
@on_uvloop
async def test_a_refusal_before_the_end_leaves_the_connection_usable(protocol: type, size: int, framing: str) -> None:
    dice = random.Random(size)
    body = dice.randbytes(size)
    path = f"{UPLOAD}?refuse="
    request = sized(body, path) if framing == "sized" else chunked(body, dice, path)
    async with running(protocol) as (_app, connect):
        connection = await connect()
        await connection.send(request)
        assert await connection.answer() == (401, "no")
        await connection.send(sized(b"next"))
        assert await connection.answer() == said(b"next")


@pytest.mark.parametrize("framing", ["Content-Length: 99999999", "Transfer-Encoding: chunked"])
@on_uvloop
async def test_an_upload_that_nobody_asked_for_yet_takes_no_memory(framing: str) -> None:
    """Whoever is refused must not be able to fill the server's: 40 of them would have taken 20 MiB."""
    beginning = b"1000\r\n" + bytes(0x1000) + b"\r\n" if framing.startswith("T") else bytes(0x1000)
    async with running(BerthConnection) as (app, connect):
        app.begin.clear()
        connections: list[Connection] = []
        tracemalloc.start()
        try:
            for _ in range(40):
                connections.append(await connect())
                await connections[-1].send(head(f"{UPLOAD}?refuse=", framing) + beginning)
            async with asyncio.timeout(10):
                while len(app.asked) < 40:
                    await asyncio.sleep(0.01)
            waiting, _peak = tracemalloc.get_traced_memory()
            app.begin.set()
            assert [(await each.answer())[0] for each in connections] == [401] * 40
            refused, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert waiting < 4 * 1024 * 1024
        assert refused < 2 * 1024 * 1024, "what comes after a refusal is kept nowhere"


@on_uvloop
async def test_many_uploads_in_one_packet_take_no_memory() -> None:
    """Each waits for the answer to the one before, and holds no more than came of it."""
    one = head(UPLOAD, "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n"
    async with running(BerthConnection) as (app, connect):
        app.slow.clear()
        tracemalloc.start()
        try:
            connection = await connect()
            await connection.send(one * 30)
            async with asyncio.timeout(10):
                while not app.asked:
                    await asyncio.sleep(0.01)
            held, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 4 * 1024 * 1024
        app.slow.set()
        assert [await connection.answer() for _ in range(30)] == [said(b"x")] * 30


@on_uvloop
async def test_requests_in_a_pipeline_are_not_read_in_advance() -> None:
    """uvicorn reads 64 KiB more at every answer: one connection without a login took as much memory as there is."""
    few = b"GET /few HTTP/1.1\r\nHost: h\r\nX-Pad: " + b"x" * 2_000 + b"\r\n\r\n"
    async with running(BerthConnection) as (app, connect):
        app.begin.clear()
        connection = await connect()
        sending = asyncio.create_task(connection.send(few * 1000))
        tracemalloc.start()
        try:
            for _ in range(20):
                app.begin.set()
                await connection.answer()
                app.begin.clear()
            held, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            app.begin.set()
        assert held < 1024 * 1024
        assert [(await connection.answer())[0] for _ in range(980)] == [200] * 980
        await sending


SLOW_CLIENTS = {
    "nothing": [b""],
    "a head": [b"GET / HT", b"TP/1.1\r\nHo", b"st: h\r\n", b"X: y\r\n"],
    "the next head": [b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n"],
    "line ends": [b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"\r\n", b"\r\n"],
    "the rest of a refused body": [
        head(f"{UPLOAD}?refuse=", "Transfer-Encoding: chunked"),
        *[b"1\r\nx\r\n"] * 10,
    ],
    "nothing after a refused body": [head(f"{UPLOAD}?refuse=", "Transfer-Encoding: chunked"), b"0\r\n\r\n"],
}


@pytest.mark.parametrize("pieces", SLOW_CLIENTS.values(), ids=SLOW_CLIENTS)
@on_uvloop
async def test_a_connection_is_not_held_for_who_does_not_go_on(pieces: list[bytes]) -> None:
    """A process has a thousand file descriptors: as many such connections, without a login, were the end of it."""
    async with running(partial(BerthConnection, head_s=0.5), timeout_keep_alive=60) as (_app, connect):
        connection = await connect()
        async with asyncio.timeout(10):
            for piece in pieces:
                await connection.send(piece)
                await asyncio.sleep(0.02)
            await connection.reader.read()  # to its end


@on_uvloop
async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    def at_once(_scope: dict[str, Any]) -> Large:
        return Large()

    async def ask_and_never_read(connection: Connection) -> None:
        while True:
            await connection.send(b"GET /v2/large HTTP/1.1\r\n\r\n")
            await asyncio.sleep(0.01)

    async with running(partial(BerthConnection, at_once=at_once, stalled_s=0.5)) as (_app, connect):
        connection = await connect()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_and_never_read(connection), 20)


@on_uvloop
async def test_a_slow_upload_is_no_slow_head() -> None:
    async with running(partial(BerthConnection, head_s=0.2)) as (_app, connect):
        connection = await connect()
        await connection.send(head(UPLOAD, "Content-Length: 4"))
        for letter in b"slow":
            await asyncio.sleep(0.2)
            await connection.send(bytes([letter]))
        assert await connection.answer() == said(b"slow")


@on_uvloop
async def test_too_many_requests_at_once_end_the_connection() -> None:
    async with running(BerthConnection) as (app, connect):
        app.begin.clear()
        connection = await connect()
        await connection.send(b"GET / HTTP/1.1\r\n\r\n" * 2000)
        try:
            async with asyncio.timeout(10):
                assert b" 200 " not in await connection.reader.read()
        finally:
            app.begin.set()
        assert len(app.asked) == 1


@on_uvloop
async def test_uploads_that_were_sent_before_the_last_answer_wait_their_turn(protocol: type) -> None:
    """Each is more than a buffer holds, so that an answer to the first must not let the second overflow."""
    bodies = [random.Random(seed).randbytes(1_500_000) for seed in range(3)]
    dice = random.Random(9)
    async with running(protocol) as (app, connect):
        app.slow.clear()
        connection = await connect()
        stream = sized(bodies[0]) + chunked(bodies[1], dice) + sized(bodies[2])
        sending = asyncio.create_task(connection.send(stream))
        await asyncio.sleep(0.1)
        app.slow.set()
        async with asyncio.timeout(30):  # or it waits for ever
            assert [await connection.answer() for _ in bodies] == [said(body) for body in bodies]
            await sending


@on_uvloop
async def test_100_continue_is_said_when_the_body_is_wanted(protocol: type) -> None:
    async with running(protocol) as (_app, connect):
        connection = await connect()
        await connection.send(head(UPLOAD, "Content-Length: 5", "Expect: 100-continue"))
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await connection.send(b"hello")
        assert await connection.answer() == said(b"hello")


@pytest.mark.parametrize("sent", [0, 10, 700_000])
@pytest.mark.parametrize("framing", ["Content-Length: 900000", "Transfer-Encoding: chunked"])
@on_uvloop
async def test_a_client_that_goes_away_is_noticed(protocol: type, sent: int, framing: str) -> None:
    data = b"x" * sent
    if framing.startswith("T") and sent:
        data = b"%x\r\n%b\r\n" % (sent, data)
    async with running(protocol) as (app, connect):
        connection = await connect()
        await connection.send(head(UPLOAD, framing) + data)
        await asyncio.sleep(0.05)
        connection.close()
        async with asyncio.timeout(5):
            while not app.broken:
                await asyncio.sleep(0.01)
        assert app.broken == [ClientGone]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(head(UPLOAD, "Transfer-Encoding: chunked") + b"zz\r\n", id="a chunk's size that is none"),
        pytest.param(head(UPLOAD, "Content-Length: -1"), id="a negative length"),
        pytest.param(head(UPLOAD, "Content-Length: 1", "Transfer-Encoding: chunked") + b"0\r\n\r\n", id="two framings"),
        pytest.param(head(UPLOAD, "Content-Length: 1", "Content-Length: 2") + b"xx", id="two lengths"),
        pytest.param(head(UPLOAD, f"X-Long: {'x' * (MAX_HEAD_BYTES + 1)}"), id="a head without a bound"),
    ],
)
@on_uvloop
async def test_what_is_no_http_ends_the_connection(bad: bytes) -> None:
    async with running(BerthConnection) as (_app, connect):
        connection = await connect()
        await connection.send(bad)
        async with asyncio.timeout(5):
            rest = await connection.reader.read()
        assert rest == b"" or b" 400 " in rest


@pytest.mark.parametrize("path", [UPLOAD, ELSEWHERE])
@on_uvloop
async def test_attack_what_stands_in_a_trailer_is_no_header(protocol: type, path: str) -> None:
    """A proxy adds its X-Forwarded-For to the head, and hands on the trailers as they came."""
    trailer = "X-Forwarded-For: 127.0.0.1\r\nHost: evil.example\r\nAuthorization: Basic eDp5\r\n\r\n"
    lines = ("Transfer-Encoding: chunked", "X-Forwarded-For: 203.0.113.7", "Trailer: X-Forwarded-For")
    request = head(path, *lines) + b"1\r\nx\r\n0\r\n" + trailer.encode()
    async with running(protocol) as (app, connect):
        connection = await connect()
        await connection.send(request + sized(b"y", path))
        assert [await connection.answer() for _ in range(2)] == [said(b"x"), said(b"y")]
        names = [name for name, _value in app.headers]
        values = [value for name, value in app.headers if name == b"x-forwarded-for"]
        if protocol is HttpToolsProtocol:  # the control
            assert values == [b"203.0.113.7", b"127.0.0.1"]
        else:
            assert values == [b"203.0.113.7"]
            assert b"authorization" not in names
            assert names.count(b"host") == 2  # one of each request


@pytest.mark.parametrize(
    ("begun", "endless"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nX-", b"x", id="a name"),
        pytest.param(b"GET / HTTP/1.1\r\nX: ", b"x", id="a value"),
        pytest.param(head(UPLOAD, "Transfer-Encoding: chunked") + b"0\r\nX: ", b"x", id="a trailer's value"),
        pytest.param(
            head(ELSEWHERE, "Transfer-Encoding: chunked") + b"0\r\nX: ", b"x", id="a trailer's value elsewhere"
        ),
        pytest.param(head(ELSEWHERE, "Transfer-Encoding: chunked") + b"0\r\n", b"X: y\r\n", id="trailers"),
        pytest.param(head(ELSEWHERE, "Transfer-Encoding: chunked") + b"1;", b"x", id="a chunk's extension"),
        pytest.param(b"", b"\r\n", id="empty lines"),
    ],
)
@on_uvloop
async def test_attack_what_never_ends_is_not_collected(begun: bytes, endless: bytes) -> None:
    """Each read would make the server copy all that came before."""
    async with running(BerthConnection) as (_app, connect):
        connection = await connect()
        with contextlib.suppress(ConnectionError):
            await connection.send(begun)
            for _ in range(200):
                await connection.send(endless * (MAX_HEAD_BYTES // len(endless)))
            pytest.fail("12 MiB were taken")


@on_uvloop
async def test_what_ends_may_be_long(protocol: type) -> None:
    """As long as a head may be, in any pieces, many times."""
    value = "x" * (MAX_HEAD_BYTES - 1000)
    async with running(protocol) as (_app, connect):
        connection = await connect()
        for path in (UPLOAD, ELSEWHERE) * 2:
            request = head(path, f"X-Long: {value}", "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\nX: y\r\n\r\n"
            for at in range(0, len(request), 20_000):
                await connection.send(request[at : at + 20_000])
                await asyncio.sleep(0.01)
            assert await connection.answer() == said(b"x")


@on_uvloop
async def test_attack_who_has_gone_before_he_was_looked_at_is_not_heard(protocol: type) -> None:
    """The system has what he sent, but not who he was: his attempts to sign in would count for no address."""
    async with running(protocol) as (app, connect):
        port = (await connect()).writer.get_extra_info("peername")[1]
        for _ in range(3):  # the server is in this thread: it accepts none of them before it is gone
            with socket.create_connection(("127.0.0.1", port)) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                gone.sendall(sized(b"x", ELSEWHERE))
        last = await connect()
        await last.send(sized(b"y"))
        assert await last.answer() == said(b"y")
        if protocol is HttpToolsProtocol:  # the control
            assert app.clients.count(None) == 3
        else:
            assert app.asked == [UPLOAD]
            assert None not in app.clients


KNOWN = "/v2/acme/app/manifests/known"


def at_once(scope: Scope) -> Answer | None:
    """Knows one path."""
    return Answer(200, [(b"content-length", b"5")], b"known") if scope["path"] == KNOWN else None


@on_uvloop
async def test_what_is_known_is_answered_while_it_is_parsed() -> None:
    """In order with what is not: a request that is under way comes first."""
    async with running(partial(BerthConnection, at_once=at_once)) as (app, connect):
        connection = await connect()
        known, other = head(KNOWN, method="GET"), head("/v2/acme/app/manifests/other", method="GET")
        await connection.send(known + known + other + known + sized(b"x") + known)
        answers = [await connection.answer() for _ in range(6)]
        assert answers == [(200, "known"), (200, "known"), said(b""), said(b""), said(b"x"), said(b"")]
        assert app.asked == ["/v2/acme/app/manifests/other", KNOWN, UPLOAD, KNOWN], "the rest went past the application"
        await connection.send(head(KNOWN, method="HEAD") + known)
        text = await connection.reader.readuntil(b"known")
        assert text.count(b"HTTP/1.1 200 OK") == 2
        assert text.count(b"known") == 1


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(head(f"{KNOWN}?x=1", method="GET"), id="a query"),
        pytest.param(head(KNOWN.replace("k", "%6B"), method="GET"), id="an encoded path"),
        pytest.param(sized(b"x", KNOWN, method="GET"), id="a body"),
        pytest.param(head(KNOWN, "Connection: close", method="GET"), id="a connection that ends"),
        pytest.param(head(KNOWN, method="DELETE"), id="another method"),
        pytest.param(head("/v2/acme/app/manifests/else", method="GET"), id="another path"),
    ],
)
@on_uvloop
async def test_what_is_special_about_a_request_takes_the_long_way(request_: bytes) -> None:
    async with running(partial(BerthConnection, at_once=at_once)) as (app, connect):
        connection = await connect()
        await connection.send(request_)
        assert (await connection.answer())[0] == 200
        assert len(app.asked) == 1


@on_uvloop
async def test_a_connection_that_only_asks_for_what_is_known_is_closed_when_it_idles() -> None:
    async with running(partial(BerthConnection, at_once=at_once), timeout_keep_alive=1) as (_app, connect):
        connection = await connect()
        await connection.send(head(KNOWN, method="GET"))
        assert await connection.answer() == (200, "known")
        async with asyncio.timeout(10):
            assert await connection.reader.read() == b""


@on_uvloop
async def test_over_tls(protocol: type, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.server_context("berth.test")
    body = random.Random(2).randbytes(2_500_000)
    async with running(protocol, authority=authority, certificate=tmp_path / "berth.test.pem") as (_app, connect):
        connection = await connect()
        for request in (sized(body), chunked(body, random.Random(3)), sized(b"y", ELSEWHERE)):
            await connection.send(request)
            status, _text = await connection.answer()
            assert status == 200

"""HTTP/1.1 on one connection, from both sides, for the filter on the engine's socket: bounded in size and time.

A request is read whole before anything is done with it. The engine's answers are passed on piece by piece, as they come.
h11 is the parser: whatever it finds ambiguous is an error, and nothing that it read is written again as it was.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import h11

from berth.domain.engine_request import EngineRequest

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 512 * 1024  # far above what one launch's configuration can hold
_PIECE_BYTES = 16 * 1024
_REQUEST_TIMEOUT_S = 10.0  # from its first byte to its last
_CONNECT_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 5.0
_HEADERS = (b"api-version", b"content-type", b"content-length", b"docker-experimental", b"ostype", b"server")


class BadRequest(Exception):
    """What came is no request that the filter would understand. The text may be shown."""


class Client:
    """The connection of a client; it sends one request, waits for the answer, sends the next."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._early = b""  # of the next request, come while the last one was answered
        self._wants_body = True  # False after HEAD
        self.wants_stream = False

    async def next_request(self, turn: asyncio.Semaphore) -> EngineRequest | None:
        """None when the client has gone. Bodies are read in `turn`s, so that they are few. Raises BadRequest, OSError."""
        data = self._early or await self.reader.read(_PIECE_BYTES)
        self._early = b""
        if not data:
            return None
        self._http.receive_data(data)
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S), turn:
                return await self._read_request()
        except h11.RemoteProtocolError as error:
            raise BadRequest("That is no HTTP request that Berth understands.") from error
        except TimeoutError as error:
            raise BadRequest("The request came too slowly.") from error

    async def _read_request(self) -> EngineRequest:
        head, body = None, b""
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Request):
                head = event
                self.wants_stream = _wants_stream(head)
                self._wants_body = head.method != b"HEAD"
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
                if len(body) > MAX_BODY_BYTES:
                    raise BadRequest("The request is too large.")
            else:
                raise BadRequest("The request is not complete.")
        if head is None or self._http.trailing_data[0]:
            raise BadRequest("A request must wait until the one before it is answered.")
        return EngineRequest(head.method.decode("ascii"), head.target.decode("ascii"), body)

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.reader.read(_PIECE_BYTES))
        return event

    def start_next(self) -> bool:
        """After an answer; False if the connection cannot be used again."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def gone(self) -> None:
        """Return when the client goes while it is being answered."""
        with contextlib.suppress(OSError):
            self._early = await self.reader.read(_PIECE_BYTES)
        if self._early:
            await (
                asyncio.get_running_loop().create_future()
            )  # it is there: the next request is not read before its time

    async def send_error(self, status: int, message: str) -> None:
        """An answer as the engine's own errors look, after which the connection ends."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        body = json.dumps({"message": message}).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        await self.send(h11.Response(status_code=status, headers=headers))
        if self._wants_body:
            await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())

    async def close(self) -> None:
        """When all is written, or at once if the client does not read it."""
        try:
            self.writer.close()
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.writer.wait_closed()
        except OSError:
            pass
        finally:
            self.writer.transport.abort()

    async def send(self, event: h11.Event) -> None:
        """Raises OSError."""
        data = self._http.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()


class Engine:
    """A connection to the engine, for one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def ask(
        self, method: str, target: str, body: bytes | None = None, *, upgrade: bool = False
    ) -> h11.Response | h11.InformationalResponse:
        """The head of the answer; status 101 if the connection is a stream from now on. Raises OSError."""
        headers = [("Host", "docker"), ("Content-Length", str(len(body or b"")))]
        headers += [("Content-Type", "application/json")] if body is not None else []
        headers += [("Connection", "Upgrade"), ("Upgrade", "tcp")] if upgrade else [("Connection", "close")]
        data = self._http.send(h11.Request(method=method, target=target, headers=headers)) or b""
        data += self._http.send(h11.Data(data=body or b"")) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        self.writer.write(data)
        await self.writer.drain()
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response) or (
                isinstance(event, h11.InformationalResponse) and event.status_code == 101
            ):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise ConnectionResetError

    async def body(self) -> AsyncIterator[bytes]:
        """The answer's, as it comes. Raises OSError if it ends too early."""
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise ConnectionResetError

    async def whole_body(self, most: int) -> bytes:
        """Raises OSError, also if it is larger."""
        body = b""
        async for piece in self.body():
            body += piece
            if len(body) > most:
                raise ConnectionResetError
        return body

    def begun(self) -> bytes:
        """What came of the stream with the head of the answer."""
        return self._http.trailing_data[0]

    async def _next_event(self) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self.reader.read(_PIECE_BYTES))
        except h11.RemoteProtocolError as error:
            raise ConnectionResetError from error
        return event


def headers_for_client(response: h11.Response | h11.InformationalResponse) -> list[tuple[bytes, bytes]]:
    """What the answer says about its content and the engine; never about the connection."""
    return [(name, value) for name, value in response.headers if name in _HEADERS]


@asynccontextmanager
async def connected(docker_host: str) -> AsyncIterator[Engine]:
    """A connection to the engine, closed at the end of the block. Raises OSError."""
    path = docker_host.removeprefix("unix://")
    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
        if path != docker_host:
            reader, writer = await asyncio.open_unix_connection(path, limit=_PIECE_BYTES)
        else:
            address = urlsplit(docker_host)
            reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=_PIECE_BYTES)
    try:
        yield Engine(reader, writer)
    finally:
        writer.transport.abort()


def _wants_stream(head: h11.Request) -> bool:
    """Refuses what h11 takes and no client of the engine sends. Raises BadRequest."""
    names = [name for name, _ in head.headers]
    if head.http_version != b"1.1" or b"transfer-encoding" in names or b"expect" in names:
        raise BadRequest("A request to the engine is HTTP/1.1, with a length.")
    upgrades = [value for name, value in head.headers if name == b"upgrade"]
    if upgrades and upgrades != [b"tcp"]:
        raise BadRequest("A connection becomes a stream and nothing else.")
    return bool(upgrades)


async def join(client: Client, engine: Engine) -> None:
    """Bytes both ways, until the engine ends the stream. What the client ends, the engine may still answer."""
    client.writer.write(engine.begun())
    to_engine = asyncio.create_task(_copy(client.reader, engine.writer))
    try:
        await _copy(engine.reader, client.writer)
    finally:
        to_engine.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await to_engine


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

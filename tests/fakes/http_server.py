"""A small HTTP server on loopback, with unhappy kin: it records every request and answers as a table of routes says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that arrived. Header names are lower-case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An ordinary answer. Content-Length is set, for HEAD as well; the body of HEAD is not sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Handler = Callable[[Asked], Reply]
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class HTTPServer:
    """`address` is host:port. `asked` holds what arrived, in order."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def authorizations(self) -> list[str]:
        return [request.headers["authorization"] for request in self.asked if "authorization" in request.headers]

    @classmethod
    @asynccontextmanager
    async def run(
        cls,
        handler: Handler | None = None,
        *,
        behaviour: Behaviour | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> AsyncIterator[Self]:
        """Serve until the end of the block. A `behaviour` gets the bare connection after the request was read."""
        self = cls()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                request = await self._read(reader, writer)
                if behaviour is not None:
                    await behaviour(reader, writer)
                elif handler is not None:
                    await self._answer(writer, request, handler(request))
            except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                pass  # the client has had enough
            finally:
                writer.close()

        server = await asyncio.start_server(serve, host, port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked:
        first_byte = await reader.readexactly(1)
        if first_byte == b"\x16":
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            raise ConnectionError("TLS was tried; without an answer the client would wait long")
        head = (first_byte + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Asked(method=method, target=target, headers=headers, body=body)
        self.asked.append(request)
        return request

    async def _answer(self, writer: asyncio.StreamWriter, request: Asked, reply: Reply) -> None:
        lines = [f"HTTP/1.1 {reply.status} X", "Connection: close", f"Content-Length: {len(reply.body)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if request.method != "HEAD":
            writer.write(reply.body)
        await writer.drain()


@asynccontextmanager
async def run_silent_server() -> AsyncIterator[HTTPServer]:
    """Takes connections and says nothing, not even to a TLS handshake."""
    silent = HTTPServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.connections += 1
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass  # the client has had enough
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    silent.port = server.sockets[0].getsockname()[1]
    try:
        yield silent
    finally:
        server.close()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One byte of the body every 20 ms, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One byte of a header every 20 ms, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Y: ")
    while True:
        writer.write(b"z")
        await writer.drain()
        await asyncio.sleep(0.02)


async def redirect_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """To another page of the same host, and from there again, each time after a while."""
    await asyncio.sleep(0.3)
    writer.write(b"HTTP/1.1 307 X\r\nLocation: /v2/again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body without end and without a length."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"." * 65536)
        await writer.drain()


async def flood_of_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Headers without end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Y: " + b"z" * 1000 + b"\r\n")
        await writer.drain()


async def many_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """More headers than anybody needs, all small."""
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 1000 + b"Content-Length: 0\r\n\r\n")
    await writer.drain()


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Not HTTP."""
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await writer.drain()

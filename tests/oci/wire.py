"""The registry behind a real socket, and a client that writes its bytes by hand."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Self, cast

from starlette.types import ASGIApp

from berth.listen_address import ListenAddress, TCPAddress
from berth.oci.app import AtOnce, answer_at_once
from berth.oci.call import OCIServices
from berth.server import _listen, _server
from berth.settings import load
from berth.wiring.server import Berth

_ANY_PORT = TCPAddress("127.0.0.1", 0)


@dataclass(frozen=True)
class _Whole:
    """What `server.py` needs of a Berth."""

    app: ASGIApp
    at_once: AtOnce


def _nothing(_scope: object) -> None:
    return None


@asynccontextmanager
async def listening(
    app: ASGIApp, services: OCIServices | None = None, address: ListenAddress = _ANY_PORT
) -> AsyncIterator[int]:
    """The port of a server with this application, set up as `berth serve` sets up its own; with its short ways.

    0 for a unix socket.
    """
    whole = cast("Berth", _Whole(app, partial(answer_at_once, services) if services else _nothing))
    server, bound = _server(whole, load({}, None), address), _listen(address)
    running = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield bound.getsockname()[1] if isinstance(address, TCPAddress) else 0
    finally:
        server.should_exit = True
        server.force_exit = True
        await running


@dataclass(frozen=True)
class Reply:
    """Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Self]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def head(self, method: str, target: str | bytes, **headers: str | int) -> None:
        """The request line and the headers; `_` in a name stands for `-`."""
        raw = target if isinstance(target, bytes) else target.encode()
        lines = [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
        await self.send(
            b"\r\n".join([method.encode() + b" " + raw + b" HTTP/1.1", b"Host: berth.test", *lines, b"", b""])
        )

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        """Of a body in chunked transfer encoding; an empty one ends it."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def reply(self, *, head: bool = False) -> Reply:
        async with asyncio.timeout(20):
            raw = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
            match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)
            assert match, first
            status = int(match[1])
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if head or status in {100, 204, 304}:
                return Reply(status, headers, b"")
            return Reply(status, headers, await self.reader.readexactly(int(headers["content-length"])))

    async def until_closed(self) -> bytes:
        """What still comes."""
        async with asyncio.timeout(20):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def close(self) -> None:
        """In order: the server reads to the end of what was sent."""
        self.writer.close()

    def reset(self) -> None:
        """As when a cable is pulled and the system gives up."""
        connected: socket.socket = self.writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

"""What a client really asked for, and what it was answered: a relay in front of the server that changes nothing.

It runs in threads, because clients run as processes that a test waits for.
"""

import socket
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedReader
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

_PIECE_BYTES = 64 * 1024
_BROKEN_OFF = (
    OSError,
    ValueError,
    IndexError,
)  # a connection, or a message in the middle: what waits for it sees the end
_TLS_HANDSHAKE = b"\x16"  # docker tries HTTPS first, everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and the status and headers of its answer. Header names are lower-case."""

    method: str
    target: str
    status: int
    asked: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    def __str__(self) -> str:
        return f"{self.method} {self.target} -> {self.status}"


@dataclass(slots=True)
class Wire:
    """`with Wire() as wire`: listens on 127.0.0.1; every connection is passed on to `port` there, once it is known."""

    port: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def clear(self) -> None:
        self.exchanges.clear()

    def of(self, method: str, path: str = "") -> list[Exchange]:
        """Exchanges with this method whose path holds these words, in order."""
        return [each for each in list(self.exchanges) if each.method == method and path in each.path]

    def uploads(self) -> list[Exchange]:
        """Requests that carry a blob's content."""
        return [each for method in ("PATCH", "PUT") for each in self.of(method, "/blobs/uploads/")]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                self._open += [client, server]
                relay = _Relay(client, server, self.exchanges)
                for pump in (relay.pass_requests, relay.pass_answers):
                    threading.Thread(target=pump, daemon=True).start()


@dataclass(slots=True)
class _Relay:
    """One connection. Source of where a message ends: RFC 9112, section 6."""

    client: socket.socket
    server: socket.socket
    exchanges: list[Exchange]
    waiting: deque[tuple[str, str, dict[str, str]]] = field(default_factory=deque)

    def pass_requests(self) -> None:
        with suppress(*_BROKEN_OFF), self.client.makefile("rb") as source:
            if source.peek(1)[:1] == _TLS_HANDSHAKE:
                _pass_rest(source, self.server)
            while (head := _read_head(source)) is not None:
                method, target, _ = head.first.split(" ", 2)
                self.waiting.append((method, target, head.headers))
                self.server.sendall(head.raw)
                _pass_body(source, self.server, head.headers, until_closed=False)
        with suppress(OSError):
            self.server.shutdown(socket.SHUT_WR)

    def pass_answers(self) -> None:
        with suppress(*_BROKEN_OFF), self.server.makefile("rb") as source:
            while (head := _read_head(source)) is not None:
                status = int(head.first.split(" ")[1])
                if status < 200:
                    self.client.sendall(head.raw)
                    continue
                if not self.waiting:  # what is said of a request that is none
                    self.client.sendall(head.raw)
                    _pass_rest(source, self.client)
                    break
                method, target, asked = self.waiting.popleft()
                self.exchanges.append(
                    Exchange(method=method, target=target, status=status, asked=asked, headers=head.headers)
                )
                self.client.sendall(head.raw)
                if method != "HEAD" and status not in {204, 304}:
                    _pass_body(source, self.client, head.headers, until_closed=True)
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_WR)


@dataclass(frozen=True, slots=True)
class _Head:
    raw: bytes
    first: str
    headers: dict[str, str]


def _read_head(source: BufferedReader) -> _Head | None:
    lines: list[bytes] = []
    while (line := source.readline()) not in {b"\r\n", b""}:
        lines.append(line)
    if not lines:
        return None
    texts = [line.decode("latin-1").rstrip("\r\n") for line in lines]
    pairs = (text.partition(":") for text in texts[1:])
    return _Head(b"".join([*lines, b"\r\n"]), texts[0], {name.lower(): value.strip() for name, _, value in pairs})


def _pass_body(source: BufferedReader, sink: socket.socket, headers: Mapping[str, str], *, until_closed: bool) -> None:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        size = -1
        while size != 0:
            line = source.readline()
            size = int(line.partition(b";")[0], 16)
            sink.sendall(line)
            _pass(source, sink, size + 2)
    elif "content-length" in headers:
        _pass(source, sink, int(headers["content-length"]))
    elif until_closed:
        _pass_rest(source, sink)


def _pass_rest(source: BufferedReader, sink: socket.socket) -> None:
    while piece := source.read1(_PIECE_BYTES):
        sink.sendall(piece)


def _pass(source: BufferedReader, sink: socket.socket, size: int) -> None:
    while size and (piece := source.read(min(size, _PIECE_BYTES))):
        sink.sendall(piece)
        size -= len(piece)

"""One request of `/v2` and its answer, on plain ASGI: this is the hot path, nothing stands above it.

Handlers get an OCIRequest and return an Answer, or raise a Problem; `app.py` turns both into messages.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from berth.domain.host_header import read_host
from berth.domain.image_reference import Digest, parse_digest
from berth.domain.problem import Invalid, LimitReached, Problem
from berth.domain.whole_number import parse_whole_number
from berth.services.registry_blob import ClientGone, ClientIdle

IDLE_S = 60  # a client that sends nothing for so long has given up, or holds a connection for no good

_BODY = "berth.body"
_MAX_PARAMETERS = 200

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Answer:
    """What is sent back: a whole body, or a stream of known length."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None


class Refusal(Exception):
    """A Problem that goes out with headers of its own: what HTTP wants beside a status."""

    def __init__(self, problem: Problem, headers: Headers) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.headers = headers


def wrong_method(method: str, allowed: Iterable[str]) -> Refusal:
    """405. Source: RFC 9110 section 15.5.6, which wants `Allow`."""
    problem = Invalid(f"{method} is not supported here.", code="request.method")
    return Refusal(problem, [(b"allow", ", ".join(allowed).encode())])


class UploadBody(Protocol):
    """A body that our own server hands over without copies (`upload_body.py`)."""

    async def next_piece(self) -> bytes | memoryview | None:
        """Valid until the next call; None at the end. Raises ConnectionResetError if it broke off."""
        ...


class _PlainBody:
    """The same through ASGI, as any server has it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True

    async def next_piece(self) -> bytes | None:
        while self._more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError
            self._more = message.get("more_body", False)
            piece: bytes = message.get("body", b"")
            if piece:
                return piece
        return None


class OCIRequest:
    """A request, parsed as far as its handler asks."""

    def __init__(self, scope: Scope, receive: Receive, *, origin: str | None = None, idle_s: float = IDLE_S) -> None:
        self._scope = scope
        self._receive = receive
        self._origin = origin
        self._idle_s = idle_s
        self.method: str = scope["method"]

    @cached_property
    def headers(self) -> dict[bytes, bytes]:
        """By lower-case name; of repeated ones the last."""
        return dict(self._scope["headers"])

    def has(self, name: bytes) -> bool:
        return name in self.headers

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def raw_query(self) -> bytes:
        query: bytes = self._scope["query_string"]
        return query

    @cached_property
    def query(self) -> Sequence[tuple[str, str]]:
        """In order. Raises Invalid for one that cannot be read, or holds a NUL, which no database compares with."""
        try:
            pairs = parse_qsl(self.raw_query.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
        except ValueError:
            raise _unreadable() from None
        if any("\0" in text for pair in pairs for text in pair):
            raise _unreadable()
        return pairs

    def parameters(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def parameter(self, name: str) -> str | None:
        """The first of that name."""
        return next((value for key, value in self.query if key == name), None)

    def digest_parameter(self, name: str = "digest") -> Digest | None:
        """Raises Invalid for one that is no digest."""
        value = self.parameter(name)
        return None if value is None else parse_digest(value)

    @property
    def origin(self) -> str:
        """This server's own origin, as EXTERNAL_URL says, else as the client reached it, if that can be said in a header."""
        if self._origin is not None:
            return self._origin
        return f"{self._scope['scheme']}://{read_host(self.header(b'host') or '')}"

    @property
    def host(self) -> str:
        return self.origin.partition("://")[2]

    @cached_property
    def content_length(self) -> int | None:
        return parse_whole_number(self.header(b"content-length") or "")

    async def chunks(self) -> AsyncIterator[bytes | memoryview]:
        """The body as it comes, each piece valid until the next.

        Raises ClientGone if it ends before its end, ClientIdle if nothing comes for too long.
        """
        body: UploadBody = self._scope.get("extensions", {}).get(_BODY, {}).get("body") or _PlainBody(self._receive)
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    piece = await body.next_piece()
            except TimeoutError:
                raise ClientIdle from None
            except ConnectionResetError:
                raise ClientGone from None
            if piece is None:
                return
            yield piece

    async def until_gone(self) -> None:
        """Returns when the client closed the connection, or its answer was sent. For a request without a body."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def body(self, most: int, *, code: str) -> bytes:
        """The whole body. Raises LimitReached with this code beyond `most` bytes, before reading it where that is known.

        It is small, so all of it comes within the time that a larger one has for its next piece: a byte now and then, which
        is enough there, would hold a connection for days. Raises ClientIdle.
        """
        if (self.content_length or 0) > most:
            raise _too_large(most, code)
        collected = bytearray()
        try:
            async with asyncio.timeout(self._idle_s):
                async for chunk in self.chunks():
                    collected += chunk
                    if len(collected) > most:
                        raise _too_large(most, code)
        except TimeoutError:
            raise ClientIdle from None
        return bytes(collected)


def _unreadable() -> Invalid:
    return Invalid("The query cannot be read.", code="request.query")


def _too_large(most: int, code: str) -> LimitReached:
    return LimitReached(f"The body is larger than {most} bytes.", code=code)

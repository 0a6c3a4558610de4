"""How the server speaks HTTP: uvicorn's protocol on httptools, with a bound on heads and a short way for uploads.

1. A request's head has at most 64 KiB: httptools itself has no bound. Trailers are counted, and are no headers: uvicorn adds
   them, and a client says in them, past a proxy that hands them on, what is the proxy's to say. Source: RFC 9110, 6.5.1.
   What the parser takes without telling anything is bounded likewise: it collects a name or a value until that ends, and
   copies all of it at each read.
2. The body of an upload to the registry goes from the socket into one buffer, and from there to the hash and the file,
   without a copy on the way and without a task that wakes up for every packet. The application finds it in its scope
   (`extensions["berth.body"]["body"]`); without it, under another server, it reads the same body through ASGI's `receive`.
3. With a Content-Length the parser does not see the body: it is exactly that many bytes, and a new parser waits for the
   next request. A chunked body goes through the parser, which knows its framing.
4. A read that was answered before and would be answered the same is answered while it is parsed: no task is made for it.
   Whether and what is the application's business (`at_once`); the answer is the one that it would give anyway.
5. An application that answers before the end (a refusal) leaves the rest to be thrown away, as uvicorn does.
6. A body has a buffer of one read of the socket until the application asks for it, and none after a refusal: who may not
   upload cannot fill the memory.
7. Requests in a pipeline wait for the answer to the one before, and nothing more is read while one waits: each takes 4 KiB
   of memory and 22 bytes to send. More than a few at once end the connection; no client of a registry sends even two.
8. A connection is held for who goes on: a head, and what is left of a refused body, comes within HEAD_S from its first byte;
   who reads nothing for STALLED_S of what was written for him is cut off. How long a body may take is the application's to
   say. Each held connection is a file descriptor, of which a process has few.
9. A request line may hold a whole address, as clients of an HTTP proxy send it: its host then counts, not the header's.
   Source: RFC 9112, section 3.2.2.
10. What comes through a unix socket counts as https: who listens there is either behind a proxy, or gh, which believes so
   (references, GITHUB_CLIENTS way C). Who has gone before his address was looked at, from anywhere else, is not heard: he
   reads no answer, and would be nobody, whose attempts to sign in are not counted.
11. A connection becomes a WebSocket's (`socket_protocol.py`) only between two requests: no answer is torn.

This leans on uvicorn's and httptools' insides; tests/test_http_protocol.py holds what it needs of them.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Protocol, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from berth.upload_body import MAX_PIECE_BYTES, UploadBody

MAX_HEAD_BYTES = MAX_PIECE_BYTES
BODY_EXTENSION = "berth.body"
_MAX_WAITING = 50
HEAD_S = 30.0
STALLED_S = 120.0
_UPLOAD_METHODS = frozenset({"PATCH", "POST", "PUT"})
_READ_METHODS = {b"GET": "GET", b"HEAD": "HEAD"}
_ABSOLUTE = re.compile(rb"https?://(?:[^/?#]*@)?([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
# Filled and emptied within one callback of the loop, so all connections of a process share it.
_HEADS = memoryview(bytearray(MAX_HEAD_BYTES))


class CompleteAnswer(Protocol):
    """An answer that needs nothing more."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


AtOnce = Callable[[dict[str, Any]], CompleteAnswer | None]


def _never(_scope: dict[str, Any]) -> None:
    return None


class BerthConnection(asyncio.BufferedProtocol):
    """One connection: the event loop asks for a buffer, fills it, and says so. What it means is BerthProtocol's business."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        at_once: AtOnce = _never,
        head_s: float = HEAD_S,
        stalled_s: float = STALLED_S,
    ) -> None:
        self._inner = BerthProtocol(config, server_state, app_state, _loop)
        self._inner.at_once = at_once
        self._inner.head_s, self._inner.stalled_s = head_s, stalled_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(cast("asyncio.Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def get_buffer(self, _size_hint: int) -> memoryview:
        body = self._inner.body
        return _HEADS if body is None or body.left is None else body.free()

    def buffer_updated(self, size: int) -> None:
        inner = self._inner
        if inner.body is None or inner.body.left is None:
            inner.data_received(cast("bytes", _HEADS[:size]))  # the parser reads any buffer
            inner.skip_parser()
        else:
            inner.body_received(size)


class _Flow(FlowControl):
    """uvicorn resumes reading whenever a request is answered, and whenever one waits for its end."""

    def __init__(self, transport: asyncio.Transport, protocol: "BerthProtocol") -> None:
        super().__init__(transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        body = self._protocol.body
        if not self._protocol.pipeline and (body is None or not body.is_full):
            super().resume_reading()


class BerthProtocol(HttpToolsProtocol):
    """One connection's requests."""

    _head_bytes = 0
    _untold_bytes = 0  # that the parser has taken since it told something
    _answered = False  # the request that is being parsed, at once
    at_once: AtOnce = staticmethod(_never)
    body: UploadBody | None = None  # of an upload that has not come to its end
    head_s, stalled_s = HEAD_S, STALLED_S
    _too_slow: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrows it
        super().connection_made(transport)
        self.flow = _Flow(transport, self)
        if self.server is not None and self.server[1] is None:
            self.scheme = "https"  # policy 10
        elif self.client is None:
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._untold_bytes += len(data)
        super().data_received(data)
        if self._untold_bytes > MAX_HEAD_BYTES:
            self.transport.close()
        self._watch()

    def _watch(self) -> None:
        """Policy 8: whoever is not being answered has to send what he began, if uvicorn's own timer does not run."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        idle = cycle is None or cycle.response_complete
        ours = self in self.connections and not self.transport.is_closing()  # no websocket's by now
        if idle and ours and self.timeout_keep_alive_task is None and self._too_slow is None:
            self._too_slow = self.loop.call_later(self.head_s, self.transport.close)

    def _unwatch(self) -> None:
        if self._too_slow is not None:
            self._too_slow.cancel()
            self._too_slow = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def skip_parser(self) -> None:
        """Policy 3: what the parser has not seen of this body it shall not see."""
        if self.body is not None and self.body.left:
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own

    def body_received(self, size: int) -> None:
        """The socket wrote so much of the body to where it belongs."""
        if self.body is not None:
            self.body.received(size)
            if self.body.complete:
                self.body, self.cycle.more_body = None, False

    def on_message_begin(self) -> None:
        self._head_bytes = self._untold_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name + value)
        super().on_header(name, value)

    def _count(self, part: bytes) -> None:
        self._untold_bytes = 0
        self._head_bytes += len(part)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.transport.close()
            raise ValueError("the request's head is too large")  # ends the parsing; uvicorn answers 400

    def _answer_at_once(self) -> bool:
        """Policy 4. Only where nothing else is under way on the connection, and nothing is special about the request."""
        method = _READ_METHODS.get(self.parser.get_method())
        if method is None or not self.url.startswith(b"/v2/") or b"%" in self.url or b"?" in self.url:
            return False
        cycle = cast("RequestResponseCycle | None", self.cycle)  # uvicorn's type leaves out that there is none at first
        idle = cycle is None or cycle.response_complete
        if not idle or self.flow.write_paused or not self.parser.should_keep_alive():
            return False
        path, headers = self.url.decode("ascii"), self.headers
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
        answer = None if self._has_body() else self.at_once(scope)
        if answer is None:
            return False
        head = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            head += (name, b": ", value, b"\r\n")
        head.append(b"\r\n")
        if method == "GET":
            head.append(answer.body)
        self.transport.write(b"".join(head))
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        return True

    def _should_upgrade_to_ws(self) -> bool:
        """Policy 11."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return super()._should_upgrade_to_ws() and (cycle is None or cycle.response_complete)

    def handle_websocket_upgrade(self) -> None:
        self.resume_writing()  # its watch of who reads nothing is another
        super().handle_websocket_upgrade()

    def _has_body(self) -> bool:
        return any(name in {b"content-length", b"transfer-encoding", b"upgrade", b"expect"} for name, _ in self.headers)

    def _take_host_of_url(self) -> None:
        """Policy 9: from here on it looks as if the client had sent path and Host."""
        found = _ABSOLUTE.fullmatch(self.url)
        if found is not None:
            host, below = found.groups()
            self.headers[:] = [(name, value) for name, value in self.headers if name != b"host"]
            self.headers.append((b"host", host))
            self.url = below if below.startswith(b"/") else b"/" + below

    def on_headers_complete(self) -> None:
        self._unwatch()
        if not self.url.startswith(b"/"):
            self._take_host_of_url()
        self._answered = self._answer_at_once()
        if self._answered:
            return
        if len(self.pipeline) >= _MAX_WAITING:
            self.transport.close()
            raise ValueError("too many requests in a pipeline")  # ends the parsing
        super().on_headers_complete()
        self.headers = [*self.headers]  # what is added to it from here on is a trailer (policy 1)
        path = self.scope.get("path", "")  # a WebSocket's has none: its protocol parses the head anew
        if self.scope["method"] not in _UPLOAD_METHODS or not path.startswith("/v2/") or "/blobs/uploads/" not in path:
            return
        headers = dict(self.headers)
        length = headers.get(b"content-length")
        no_body = length == b"0" or (length is None and b"transfer-encoding" not in headers)
        if no_body or b"upgrade" in headers:
            return
        self.body = UploadBody(None if length is None else int(length), self.cycle)
        self.scope["extensions"] = {BODY_EXTENSION: {"body": self.body}}

    def on_body(self, body: bytes) -> None:
        self._untold_bytes = 0
        if self.body is None:
            super().on_body(body)
        else:
            self.body.append(body)

    def on_message_complete(self) -> None:
        if self._answered:
            return
        body, self.body = self.body, None
        if body is None:
            super().on_message_complete()
            return
        body.complete = True
        self.cycle.more_body = False
        body.wake()

    def on_response_complete(self) -> None:
        if self.body is not None and self.body.cycle.response_complete:
            self.body.throw_away()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.body is not None:
            self.body.lose()
        self._unwatch()
        self.resume_writing()
        super().connection_lost(exc)

"""How the server speaks WebSocket: uvicorn's protocol on `websockets`, with bounds on what a peer can make it hold.

1. A message has at most `ws_max_size` bytes and comes in at most _MAX_FRAGMENTS frames: `websockets` counts the bytes of what
   comes in pieces, but not the pieces.
2. Nothing is compressed: what is small on the wire stays small here.
3. A ping is not answered while the peer reads nothing: answers would pile up.
4. Who reads nothing for STALLED_S of what was written for him is cut off, and so is who does not answer a ping (uvicorn's).
   Conversations have windows of their own (`domain/exec_frame.py`), so that neither happens to somebody who is only slow.
5. Paths are not logged: uvicorn does, at each upgrade.
6. A head is all there when it comes here. One that `websockets` takes for none (with a body, a line of 8 KiB, too many lines)
   is refused at once: uvicorn would wait, with no timer, for something more.

This leans on uvicorn's insides; tests/test_socket_protocol.py holds what it needs of them.
"""

import asyncio
import logging
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

STALLED_S = 120.0
_MAX_FRAGMENTS = 64
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BerthSocket(WebSocketsSansIOProtocol):
    """One connection that was upgraded, or wants to be."""

    stalled_s = STALLED_S
    _stalled: asyncio.TimerHandle | None = None
    _asked = False

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logging.getLogger(__name__)
        self.logger.setLevel(logging.WARNING)  # policy 5

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._asked and not self.transport.is_closing():  # policy 6
            self.transport.write(_BAD_REQUEST)
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        self._asked = True
        super().handle_connect(event)

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # uvicorn takes a refusal for an application that forgot to answer

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < _MAX_FRAGMENTS:
            super().handle_cont(event)
            return
        self.frames = []
        self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        self.handle_parser_exception()

    def handle_ping(self) -> None:
        answer = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(answer))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unwatch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _unwatch(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

"""The body of an upload on its way from the socket to the application, which reads it where the socket wrote it.

1. The protocol (`http_protocol.py`) puts in, the application takes out; when it is full, the socket waits.
2. It has a buffer of one read of the socket until the application asks for it.
3. What nobody reads any more is thrown away as it comes.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MAX_PIECE_BYTES = 64 * 1024  # of one read of the socket
_BODY_BYTES = 512 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Filled and emptied within one callback of the loop, so all connections of a process share it.
_UNWANTED = memoryview(bytearray(MAX_PIECE_BYTES))


class UploadBody:
    """A request's body on its way: the protocol puts in, the application takes out; when it is full, the socket waits."""

    def __init__(self, length: int | None, cycle: RequestResponseCycle) -> None:
        self.left = length  # what the socket has still to bring; None: the parser knows when it ends
        self.cycle = cycle
        self.complete = length == 0
        self._most = MAX_PIECE_BYTES  # policy 2
        self._view = _buffer(0 if length is None else min(self._most, length))
        self._taken = 0  # the application has it, until it asks for more
        self._end = 0
        self._lost = False
        self._unwanted = False
        self._waiter: asyncio.Future[None] | None = None

    async def next_piece(self) -> memoryview | None:
        """What has come, valid until the next call; None at the end. Raises ConnectionResetError if it broke off."""
        rest, held = self._end - self._taken, self._view
        if self._most < _BODY_BYTES:
            self._most = _BODY_BYTES
            self._view = _buffer(_BODY_BYTES if self.left is None else min(_BODY_BYTES, rest + self.left))
        self._view[:rest] = held[self._taken : self._end]
        self._taken, self._end = 0, rest
        while not self._end:
            if self.complete:
                return None
            if self._lost:
                raise ConnectionResetError
            self._ask()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._taken = self._end
        return self._view[: self._end]

    def _ask(self) -> None:
        if self.cycle.waiting_for_100_continue:
            self.cycle.waiting_for_100_continue = False
            self.cycle.transport.write(_CONTINUE)
        self.cycle.flow.resume_reading()

    def free(self) -> memoryview:
        """Where the socket may write next."""
        if self._unwanted:
            return _UNWANTED if self.left is None else _UNWANTED[: self.left]
        most = len(self._view) if self.left is None else min(len(self._view), self._end + self.left)
        return self._view[self._end : most]

    def received(self, size: int) -> None:
        """The socket wrote so much."""
        if self.left is not None:
            self.left -= size
            self.complete = self.left == 0
        if not self._unwanted:
            self._end += size
            if self.is_full:
                self.cycle.flow.pause_reading()
            self.wake()

    @property
    def is_full(self) -> bool:
        """Whether the socket has to wait, until the application asks for more."""
        full = self._end + MAX_PIECE_BYTES > self._most if self.left is None else self._end == len(self._view)
        return full and not self._unwanted

    def append(self, data: bytes) -> None:
        """What the parser found; it comes in pieces of at most MAX_PIECE_BYTES, and there is room for one more."""
        end = self._end + len(data)
        if not self._unwanted:
            if end > len(self._view):
                held, self._view = self._view, _buffer(min(self._most, 2 * end))
                self._view[: self._end] = held[: self._end]
            self._view[self._end : end] = data
        self.received(len(data))

    def wake(self) -> None:
        """Something happened that the application may wait for."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def lose(self) -> None:
        """The connection is gone."""
        self._lost = True
        self.wake()

    def throw_away(self) -> None:
        """Nobody reads on (policy 3)."""
        self._unwanted = True
        self._view = _UNWANTED[:0]


def _buffer(size: int) -> memoryview:
    return memoryview(bytearray(size))

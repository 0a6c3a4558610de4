"""A command in a codespace and its caller on a WebSocket, in the frames of `domain/exec_frame.py`; for the edges that have one."""

import asyncio
import contextlib
from collections.abc import Coroutine

from starlette.websockets import WebSocket, WebSocketDisconnect

from berth.domain.access import Subject
from berth.domain.exec_frame import (
    MAX_DATA_BYTES,
    SUBPROTOCOL,
    Broken,
    CallerFrame,
    CallerOrder,
    Channel,
    Credit,
    Data,
    EndOfStdin,
    Exited,
    ServerFrame,
    Start,
    Taken,
    TerminalSize,
    Window,
    frame_bytes,
    parse_caller_frame,
)
from berth.domain.problem import Invalid, LimitReached, Problem
from berth.services.codespace_session import Admission, CodespaceSession, CodespaceSessionService

START_S, _END_S = 10.0, 5.0
_NORMAL, _BROKE_A_RULE = 1000, 1008  # Source: RFC 6455, section 7.4.1


async def converse(
    socket: WebSocket, sessions: CodespaceSessionService, subject: Subject, name: str, start_s: float = START_S
) -> None:
    """The upgrade is refused where the caller may not, or where nothing runs; after it there is an `end` in any case.

    `start_s`: how long after the upgrade the caller may say nothing. Raises a Problem before the upgrade only.
    """
    async with sessions.admit(subject, name) as admission:
        if SUBPROTOCOL not in socket.scope["subprotocols"]:
            raise Invalid(f"Ask for the subprotocol {SUBPROTOCOL}.", code="exec.subprotocol")
        await socket.accept(SUBPROTOCOL)
        with contextlib.suppress(WebSocketDisconnect):
            await _Conversation(socket, admission, start_s).run()


class _Conversation:
    """One command and one caller."""

    def __init__(self, socket: WebSocket, admission: Admission, start_s: float) -> None:
        self._socket = socket
        self._admission = admission
        self._start_s = start_s
        self._order = CallerOrder()  # what may come
        self._credit = Credit()  # what may go
        self._taken = Taken()  # of stdin
        self._stdin = bytearray()  # never more than a window
        self._stdin_ended = False
        self._size: TerminalSize | None = None
        self._fed, self._resized, self._granted = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Raises WebSocketDisconnect when the caller is gone."""
        try:
            start = await self._first()
            async with self._admission.start(start) as session:
                # Told before the process is ended: that takes the engine a while.
                await self._end(await self._talk(session))
        except Problem as problem:
            await self._end(problem)

    async def _end(self, last: Exited | Problem) -> None:
        """Say it, if the caller still listens."""
        if isinstance(last, Problem):
            frame: Exited | Broken = Broken(last.code, last.text)
        else:
            frame = last
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await self._send(frame)
                await self._socket.close(_BROKE_A_RULE if isinstance(last, Invalid) else _NORMAL)

    async def _first(self) -> Start:
        try:
            async with asyncio.timeout(self._start_s):
                frame = await self._receive()
        except TimeoutError:
            raise LimitReached(f"No start came within {self._start_s:.0f} seconds.", code="exec.no_start") from None
        assert isinstance(frame, Start)  # noqa: S101 what CallerOrder holds
        return frame

    async def _talk(self, session: CodespaceSession) -> Exited | Problem:
        """Until the command has ended, the caller is gone, breaks a rule, or may not go on."""
        work: tuple[Coroutine[None, None, Exited | Problem | None], ...] = (
            self._hand_out(session),
            self._take_in(),
            self._admission.until_forbidden(),
            self._feed(session),
            self._resize(session),
        )
        tasks = [asyncio.create_task(each) for each in work]
        waiting = set(tasks)
        try:
            while True:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if (last := task.result()) is not None:
                        return last
        except Problem as problem:
            return problem
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hand_out(self, session: CodespaceSession) -> Exited:
        """What the command writes; nothing is read of it that the caller did not make room for."""
        while (output := await session.read()) is not None:
            channel = Channel.STDERR if output.is_stderr else Channel.STDOUT
            rest = memoryview(output.data)
            while rest:
                while not self._credit.left:
                    self._granted.clear()
                    await self._granted.wait()
                size = min(len(rest), self._credit.left, MAX_DATA_BYTES)
                self._credit.spend(size)
                await self._send(Data(channel, bytes(rest[:size])))
                rest = rest[size:]
        return Exited(await session.exit_code())

    async def _take_in(self) -> None:
        """What the caller says. Always read at once: so it is noticed when he is gone."""
        while True:
            match await self._receive():
                case Data(content=content):
                    self._stdin += content
                    self._fed.set()
                case EndOfStdin():
                    self._stdin_ended = True
                    self._fed.set()
                case TerminalSize() as size:
                    self._size = size
                    self._resized.set()
                case Window(size_bytes=size_bytes):
                    self._credit.grant(size_bytes)
                    self._granted.set()
                case Start():  # pragma: no cover  CallerOrder refuses a second one
                    pass

    async def _feed(self, session: CodespaceSession) -> None:
        """Hand on stdin; what the command took, the caller may send again."""
        while self._stdin or not self._stdin_ended:
            self._fed.clear()
            while self._stdin:
                piece = bytes(self._stdin[:MAX_DATA_BYTES])
                del self._stdin[: len(piece)]
                await session.write(piece)
                window = self._taken.add(len(piece))
                if window is not None:
                    self._order.credit.grant(window.size_bytes)
                    await self._send(window)
            if not self._stdin_ended:
                await self._fed.wait()
        await session.end_input()

    async def _resize(self, session: CodespaceSession) -> None:
        """Hand on the newest size: of a thousand that come meanwhile the others are forgotten."""
        while True:
            await self._resized.wait()
            self._resized.clear()
            if self._size is not None:
                await session.resize(self._size)

    async def _receive(self) -> CallerFrame:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", _NORMAL))
        data = message.get("bytes")
        if data is None:
            raise Invalid("Frames are binary messages, not text.", code="exec.frame")
        frame = parse_caller_frame(data)
        self._order.take(frame)
        return frame

    async def _send(self, frame: ServerFrame) -> None:
        await self._socket.send_bytes(frame_bytes(frame))

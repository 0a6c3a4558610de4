"""A command in a codespace that is talked to while it runs: our side of `domain/exec_frame.py`."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from berth.client.connection import Connection, part, problem_of
from berth.domain.exec_frame import (
    MAX_DATA_BYTES,
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    Broken,
    CallerFrame,
    Channel,
    Credit,
    Data,
    EndOfStdin,
    Exited,
    Start,
    Taken,
    TerminalSize,
    Window,
    frame_bytes,
    parse_server_frame,
)
from berth.domain.problem import Problem, Unauthenticated, UpstreamFailed

_OPEN_TIMEOUT_S = 30.0
_CLOSE_TIMEOUT_S = 3.0


class RemoteCommand:
    """A command that runs. Whoever leaves it before its end ends it; whoever reads nothing makes it wait."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._credit, self._room = Credit(), Credit()  # for input, for output
        self._granted = asyncio.Event()
        self._taken = Taken()
        self._output: deque[Data] = deque()  # never more than a window
        self._arrived = asyncio.Event()
        self._last: Exited | Broken | None = None

    async def start(self, start: Start) -> None:
        """The first that is said."""
        await self._send(start)

    async def read(self) -> Data | None:
        """What it wrote next, on standard output or error; None at the end."""
        while not self._output:
            if self._last is not None:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        data = self._output.popleft()
        window = self._taken.add(len(data.content))
        if window is not None:
            self._room.grant(window.size_bytes)
            await self._send(window)
        return data

    async def write(self, data: bytes) -> None:
        """Hand it input; waits while it does not read."""
        rest = memoryview(data)
        while rest:
            while not self._credit.left:
                self._granted.clear()
                await self._granted.wait()
            size = min(len(rest), self._credit.left, MAX_DATA_BYTES)
            self._credit.spend(size)
            await self._send(Data(Channel.STDIN, bytes(rest[:size])))
            rest = rest[size:]

    async def end_input(self) -> None:
        await self._send(EndOfStdin())

    async def resize(self, size: TerminalSize) -> None:
        await self._send(size)

    @property
    def exit_code(self) -> int:
        """After the end of its output. Raises a Problem where it has none."""
        match self._last:
            case Exited(exit_code=code):
                return code
            case Broken(code="exec.token_ended" as code, message=message):
                raise Unauthenticated(message, code=code)
            case Broken(code=code, message=message):
                raise UpstreamFailed(message, code=code)
            case None:
                raise UpstreamFailed("The connection to the server broke.", code="client.stream", retryable=True)

    async def _send(self, frame: CallerFrame) -> None:
        try:
            await self._socket.send(frame_bytes(frame))
        except ConnectionClosed:
            await asyncio.sleep(0)  # what it says to that comes by way of `listen`

    async def listen(self) -> None:
        """Take what the server says, to the end."""
        try:
            async for message in self._socket:
                self._take(message.encode() if isinstance(message, str) else message)
        except ConnectionClosed:
            pass
        except Problem as problem:
            self._last = Broken("client.answer", f"The server says what this version does not know: {problem.message}")
        finally:
            self._last = self._last or Broken("client.stream", "The connection to the server broke.")
            self._arrived.set()

    def _take(self, message: bytes) -> None:
        match parse_server_frame(message):
            case Data() as data:
                self._room.spend(len(data.content))
                self._output.append(data)
            case Window(size_bytes=size_bytes):
                self._credit.grant(size_bytes)
                self._granted.set()
            case Exited() | Broken() as last:
                self._last = last
        self._arrived.set()


class CommandCalls(Connection):
    """What the client calls about commands."""

    @asynccontextmanager
    async def open_command(self, name: str, start: Start) -> AsyncIterator[RemoteCommand]:
        """Start a command in a codespace. Raises a Problem where it may not, or where the server cannot be reached."""
        path = f"/user/codespaces/{part(name)}/exec"
        socket = await self._connect(path)
        command = RemoteCommand(socket)
        listening = asyncio.create_task(command.listen())
        try:
            await command.start(start)
            yield command
        finally:
            await socket.close()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _connect(self, path: str) -> ClientConnection:
        scheme, _, rest = f"{self.origin}/api/v3{path}".partition("://")
        secure = scheme == "https"
        try:
            return await connect(
                f"{'wss' if secure else 'ws'}://{rest}",
                subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of text
                additional_headers=self.authorization,
                user_agent_header="berth",
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                max_queue=None,  # windows bound what comes
                open_timeout=_OPEN_TIMEOUT_S,
                close_timeout=_CLOSE_TIMEOUT_S,
                proxy=None if self.is_near else True,
                ssl=ssl.create_default_context() if secure else None,
            )
        except InvalidStatus as error:
            answer = error.response
            headers = {"content-type": answer.headers.get("content-type", "")}
            raise problem_of(httpx.Response(answer.status_code, headers=headers, content=bytes(answer.body))) from None
        except (InvalidHandshake, InvalidURI, OSError) as error:  # TimeoutError is an OSError
            text = f"{self.origin} cannot be reached: {str(error) or type(error).__name__}."
            raise UpstreamFailed(text, code="client.unreachable", retryable=True) from error

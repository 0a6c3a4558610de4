"""Running commands in a codespace with the environment that was installed in its container (S7, L9).

Secrets come into a command by its shell reading a file (services/codespace_install.py): they are never in an argument list.

Whatever cuts a command off ends its process group in the container: a time limit, too much output, a caller that is gone, a
server that stops. What ended by itself left behind what it wanted to leave behind.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from berth.domain.codespace import Codespace
from berth.domain.exec_frame import Start
from berth.domain.exec_process import MAX_OUTPUT_BYTES, FirstLine, announced, kill_command
from berth.domain.problem import Conflict, NotFound, Problem, UpstreamFailed
from berth.services.ports import Engine, ExecOutput, ExecResult, ExecStream

_MAX_TAIL = 300  # characters
_START_TIMEOUT_S = 30.0
_HEAR_TIMEOUT_S = 10.0  # for a command that is cut off while it starts to say which process it is
_MAX_EARLY = 1024 * 1024  # bytes; the engine passes on standard output within the first few
_KILL_TIMEOUT_S = 60.0
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class StartedCommand:
    """A command that runs, and which process of the container it is."""

    stream: ExecStream
    process_id: int
    _early: list[ExecOutput]  # came with its process id, or before: the engine keeps no order between the two

    async def read(self) -> ExecOutput | None:
        return self._early.pop(0) if self._early else await self.stream.read()


class _Listener:
    """What a command writes, without the line that says which process it is."""

    def __init__(self, on_output: Callable[[bytes], Awaitable[None]] | None) -> None:
        self._on_output = on_output
        self._first = FirstLine()
        self.heard = asyncio.Event()  # that line, or that there is none
        self.kept = bytearray()

    @property
    def process_id(self) -> int | None:
        return self._first.process_id

    async def hear(self, output: ExecOutput) -> None:
        own = output.data if output.is_stderr else self._first.take(output.data)
        if self._first.is_over:
            self.heard.set()
        await self._pass_on(own)

    async def end(self) -> None:
        await self._pass_on(self._first.end())

    def let_go(self) -> None:
        """Its caller hears no more."""
        self._on_output = None

    async def _pass_on(self, data: bytes) -> None:
        self.kept += data[: MAX_OUTPUT_BYTES - len(self.kept)]
        if data and self._on_output is not None:
            await self._on_output(data)


class CodespaceExec:
    """Commands in a container, as the codespace's user."""

    def __init__(
        self,
        engine: Engine,
        *,
        start_timeout_s: float = _START_TIMEOUT_S,
        hear_timeout_s: float = _HEAR_TIMEOUT_S,
        kill_timeout_s: float = _KILL_TIMEOUT_S,
    ) -> None:
        self._engine = engine
        self._start_timeout_s = start_timeout_s
        self._hear_timeout_s = hear_timeout_s
        self._kill_timeout_s = kill_timeout_s
        self._endings: set[asyncio.Task[None]] = set()

    async def run(
        self,
        codespace: Codespace,
        command: Sequence[str],
        stdin: bytes = b"",
        *,
        on_output: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> ExecResult:
        """Run a command to its end in the codespace's container, with the installed environment.

        A command that cannot be started has an exit code, too. Raises what `on_output` raises, and a Problem.
        """
        listener = _Listener(on_output)
        running = asyncio.create_task(
            self._engine.execute(
                codespace.container_id or "",
                announced(command),
                user=codespace.remote_user or "",
                working_directory=codespace.remote_folder or "",
                stdin=stdin,
                on_output=listener.hear,
            )
        )
        try:
            result = await asyncio.shield(running)
        except BaseException:
            await self._shielded(self._cut_off(codespace, running, listener))
            raise
        await listener.end()
        return ExecResult(result.exit_code, bytes(listener.kept))

    async def _cut_off(self, codespace: Codespace, running: asyncio.Task[ExecResult], listener: _Listener) -> None:
        """While it is being started nobody knows yet which process it will be: that is waited for."""
        listener.let_go()
        heard = asyncio.create_task(listener.heard.wait())
        await asyncio.wait({running, heard}, timeout=self._hear_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        heard.cancel()
        outcome, _ = await asyncio.gather(running, heard, return_exceptions=True)
        if listener.process_id is not None and not isinstance(outcome, ExecResult):
            await self._end(codespace, listener.process_id)

    @asynccontextmanager
    async def open(self, codespace: Codespace, wanted: Start) -> AsyncIterator[StartedCommand]:
        """Start a command in a codespace that is available, with the installed environment, for somebody to talk to.

        Whoever leaves before its end calls `end`.
        """
        opened = self._engine.open_exec(
            codespace.container_id or "",
            announced(wanted.command),
            user=codespace.remote_user or "",
            working_directory=codespace.remote_folder or "",
            terminal=wanted.size,
            environment={"TERM": wanted.term} if wanted.term else {},
        )
        async with opened as stream:
            command = await _started(stream, self._start_timeout_s)
            if wanted.size is not None:
                await stream.resize(wanted.size)  # once more: an engine forgets what came before the process was there
            yield command

    async def end(self, codespace: Codespace, process_id: int) -> None:
        """End its process group, also where the caller is cancelled meanwhile, because the server stops.

        What cannot be reached is gone with its container, or goes on until that stops.
        """
        await self._shielded(self._end(codespace, process_id))

    async def close(self) -> None:
        """Wait for what is being ended, each in its bounded time."""
        if self._endings:
            await asyncio.wait(self._endings)

    async def _shielded(self, ending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
        await asyncio.shield(task)

    async def _end(self, codespace: Codespace, process_id: int) -> None:
        try:
            async with asyncio.timeout(self._kill_timeout_s):
                await self._engine.execute(codespace.container_id or "", kill_command(process_id), user="0")
        except (NotFound, Conflict):
            pass  # its container is gone, or has stopped: so has it
        except (TimeoutError, Problem) as error:
            code = error.code if isinstance(error, Problem) else "engine.unreachable"
            _LOG.warning("codespace.exec_not_ended", extra={"codespace": codespace.name, "code": code})


async def _started(stream: ExecStream, timeout_s: float) -> StartedCommand:
    """Wait for the first line of its output. Raises UpstreamFailed(code="exec.not_started")."""
    first, said, errors = FirstLine(), b"", b""
    try:
        async with asyncio.timeout(timeout_s):
            while not first.is_over and len(errors) < _MAX_EARLY:
                output = await stream.read()
                if output is None:
                    break
                if output.is_stderr:
                    errors += output.data
                else:
                    said += first.take(output.data)
    except TimeoutError:
        raise UpstreamFailed("The command did not start in time.", code="exec.not_started", retryable=True) from None
    if first.process_id is None:
        raise UpstreamFailed(
            f"The command could not be started: {tail_of(said + first.end() + errors)}",
            code="exec.not_started",
            remedy="The image needs a POSIX shell at /bin/sh (busybox is enough).",
        )
    early = [ExecOutput(is_stderr=True, data=errors), ExecOutput(is_stderr=False, data=said)]
    return StartedCommand(stream, first.process_id, [output for output in early if output.data])


def tail_of(output: bytes) -> str:
    """The last lines, none of them cut: half a secret would not be recognised and masked."""
    kept: list[str] = []
    for line in reversed(output.decode(errors="replace").strip().splitlines()):
        if sum(map(len, kept)) + len(line) > _MAX_TAIL:
            break
        kept.insert(0, line)
    return "\n".join(kept)

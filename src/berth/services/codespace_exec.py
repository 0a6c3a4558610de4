"""Running commands in a codespace with the environment that was installed in its container (S7, L9).

Secrets come into a command by its shell reading a file (services/codespace_install.py): they are never in an argument list.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from berth.domain.codespace import Codespace
from berth.domain.codespace_environment import with_environment
from berth.domain.exec_frame import Start
from berth.domain.exec_process import MAX_FIRST_LINE, announced, kill_command, parse_first_line
from berth.domain.problem import UpstreamFailed
from berth.services.ports import Engine, ExecOutput, ExecResult, ExecStream

_MAX_TAIL = 300  # characters
_START_TIMEOUT_S = 30.0
_MAX_EARLY = 1024 * 1024  # bytes; the engine passes on standard output within the first few
_KILL_TIMEOUT_S = 60.0


@dataclass(slots=True)
class StartedCommand:
    """A command that runs, and which process of the container it is."""

    stream: ExecStream
    process_id: int
    _early: list[ExecOutput]  # came with its process id, or before: the engine keeps no order between the two

    async def read(self) -> ExecOutput | None:
        return self._early.pop(0) if self._early else await self.stream.read()


class CodespaceExec:
    """Commands in a container, as the codespace's user."""

    def __init__(
        self, engine: Engine, *, start_timeout_s: float = _START_TIMEOUT_S, kill_timeout_s: float = _KILL_TIMEOUT_S
    ) -> None:
        self._engine = engine
        self._start_timeout_s = start_timeout_s
        self._kill_timeout_s = kill_timeout_s

    async def run(
        self,
        container_id: str,
        *,
        user: str,
        folder: str,
        command: Sequence[str],
        stdin: bytes = b"",
        on_output: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> ExecResult:
        """Run a command to its end with the installed environment."""
        return await self._engine.execute(
            container_id,
            with_environment(command),
            user=user,
            working_directory=folder,
            stdin=stdin,
            on_output=on_output,
        )

    async def run_in(
        self,
        codespace: Codespace,
        command: Sequence[str],
        stdin: bytes,
        *,
        on_output: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> ExecResult:
        """Run a command in a codespace that is available."""
        return await self.run(
            codespace.container_id or "",
            user=codespace.remote_user or "",
            folder=codespace.remote_folder or "",
            command=command,
            stdin=stdin,
            on_output=on_output,
        )

    @asynccontextmanager
    async def open(self, codespace: Codespace, wanted: Start) -> AsyncIterator[StartedCommand]:
        """Start a command in a codespace that is available, with the installed environment, for somebody to talk to."""
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

    async def kill(self, codespace: Codespace, process_id: int) -> None:
        """End its process group. May be repeated. Raises a Problem."""
        try:
            async with asyncio.timeout(self._kill_timeout_s):
                await self._engine.execute(codespace.container_id or "", kill_command(process_id), user="0")
        except TimeoutError:
            raise UpstreamFailed("The engine is too slow to end a command.", code="engine.unreachable") from None


async def _started(stream: ExecStream, timeout_s: float) -> StartedCommand:
    """Wait for the first line of its output. Raises UpstreamFailed(code="exec.not_started")."""
    said, errors = b"", b""
    try:
        async with asyncio.timeout(timeout_s):
            while b"\n" not in said and len(said) < MAX_FIRST_LINE and len(errors) < _MAX_EARLY:
                output = await stream.read()
                if output is None:
                    break
                if output.is_stderr:
                    errors += output.data
                else:
                    said += output.data
    except TimeoutError:
        raise UpstreamFailed("The command did not start in time.", code="exec.not_started", retryable=True) from None
    found = parse_first_line(said)
    if found is None:
        raise UpstreamFailed(
            f"The command could not be started: {tail_of(said + errors)}",
            code="exec.not_started",
            remedy="The image needs a POSIX shell at /bin/sh (busybox is enough).",
        )
    process_id, first = found
    early = [ExecOutput(is_stderr=True, data=errors), ExecOutput(is_stderr=False, data=first)]
    return StartedCommand(stream, process_id, [output for output in early if output.data])


def tail_of(output: bytes) -> str:
    """The last lines, none of them cut: half a secret would not be recognised and masked."""
    kept: list[str] = []
    for line in reversed(output.decode(errors="replace").strip().splitlines()):
        if sum(map(len, kept)) + len(line) > _MAX_TAIL:
            break
        kept.insert(0, line)
    return "\n".join(kept)

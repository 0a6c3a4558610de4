"""A command that is run to its end: what its caller gets of it, and that whatever cuts it off ends it in the container."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from tests.domain.test_codespace import CODESPACE

from berth.domain.exec_process import KILL_SCRIPT, MAX_OUTPUT_BYTES, announced
from berth.domain.problem import Conflict, NotFound, Problem, UpstreamFailed
from berth.services.codespace_exec import CodespaceExec
from berth.services.ports import Engine, ExecOutput, ExecResult

INSIDE = replace(CODESPACE, container_id="c1", remote_user="dev", remote_folder="/w")
Write = Callable[[bytes, bool], Awaitable[None]]


@dataclass
class ScriptedEngine:
    """`command` is what the command does with what writes its output (and whether that is an error); its exit code."""

    command: Callable[[Write], Awaitable[int]]
    killed: list[str] = field(default_factory=list)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    cannot_kill: Problem | None = None
    kill_takes_s: float = 0.0

    async def execute(
        self,
        container_id: str,
        command: tuple[str, ...],
        *,
        user: str,
        working_directory: str = "",
        stdin: bytes = b"",
        on_output: Callable[[ExecOutput], Awaitable[None]] | None = None,
    ) -> ExecResult:
        if KILL_SCRIPT in command:
            await asyncio.sleep(self.kill_takes_s)
            if self.cannot_kill is not None:
                raise self.cannot_kill
            assert (container_id, user) == ("c1", "0")
            self.killed.append(command[-1])
            return ExecResult(0, b"")
        self.asked.append((container_id, command, user, working_directory, stdin))
        listener = on_output
        assert listener is not None

        async def write(data: bytes, is_stderr: bool = False) -> None:
            await listener(ExecOutput(is_stderr=is_stderr, data=data))

        return ExecResult(await self.command(write), b"")


def make(command: Callable[[Write], Awaitable[int]], **options: Any) -> tuple[ScriptedEngine, CodespaceExec]:
    engine = ScriptedEngine(command)
    limits = {"hear_timeout_s": 0.2, "kill_timeout_s": 0.2} | options
    return engine, CodespaceExec(cast("Engine", engine), **limits)


def saying(*pieces: bytes | tuple[bytes, bool], code: int = 0) -> Callable[[Write], Awaitable[int]]:
    """Writes this, each as an error if that is said, and ends."""

    async def command(write: Write) -> int:
        for piece in pieces:
            await write(*(piece if isinstance(piece, tuple) else (piece, False)))
        return code

    return command


def for_ever(*pieces: bytes) -> Callable[[Write], Awaitable[int]]:
    async def command(write: Write) -> int:
        await saying(*pieces)(write)
        await asyncio.sleep(600)
        raise AssertionError

    return command


async def started(engine: ScriptedEngine, running: asyncio.Task[ExecResult]) -> None:
    async with asyncio.timeout(5):
        while not engine.asked:
            await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    assert not running.done()


async def cancel(running: asyncio.Task[ExecResult]) -> None:
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_what_it_wrote_comes_in_order_without_the_first_line() -> None:
    heard: list[bytes] = []

    async def on_output(data: bytes) -> None:
        heard.append(data)

    engine, executor = make(saying((b"early", True), b"7", b"7\nout", (b"err", True), b"23\n", code=5))
    result = await executor.run(INSIDE, ["a", "b c"], b"in", on_output=on_output)
    assert result == ExecResult(5, b"earlyouterr23\n")
    assert heard == [b"early", b"out", b"err", b"23\n"]
    assert engine.asked == [("c1", announced(["a", "b c"]), "dev", "/w", b"in")]
    assert engine.killed == []


async def test_it_is_cut_at_a_mebibyte() -> None:
    _, executor = make(saying(b"77\n", b"a" * (MAX_OUTPUT_BYTES - 1), b"bc", b"d"))
    output = (await executor.run(INSIDE, ["x"])).output
    assert (len(output), output[-2:]) == (MAX_OUTPUT_BYTES, b"ab")


@pytest.mark.parametrize(
    "said", [b"OCI runtime exec failed: no such file or directory: unknown\r\n", b"no line", b"1\nx", b""]
)
async def test_what_cannot_be_started_says_why(said: bytes) -> None:
    """It has an exit code and an output, as everything has; and there is nothing that could be ended."""
    heard: list[bytes] = []

    async def on_output(data: bytes) -> None:
        heard.append(data)

    engine, executor = make(saying(said, code=126))
    assert await executor.run(INSIDE, ["x"], on_output=on_output) == ExecResult(126, said)
    assert (b"".join(heard), engine.killed) == (said, [])


async def test_a_listener_that_has_enough_ends_it() -> None:
    async def on_output(_data: bytes) -> None:
        raise KeyError("mine")

    engine, executor = make(for_ever(b"77\n", b"x"))
    with pytest.raises(KeyError, match="mine"):
        await executor.run(INSIDE, ["x"], on_output=on_output)
    assert engine.killed == ["77"]


async def test_an_engine_that_loses_it_is_told_to_end_it() -> None:
    async def command(write: Write) -> int:
        await write(b"77\n", False)
        raise UpstreamFailed("It does not answer.", code="engine.unreachable")

    engine, executor = make(command)
    with pytest.raises(UpstreamFailed):
        await executor.run(INSIDE, ["x"])
    assert engine.killed == ["77"]


@pytest.mark.parametrize("problem", [NotFound("Gone.", code="container.gone"), Conflict("No.", code="container.x")])
async def test_what_never_began_is_not_ended(problem: Problem) -> None:
    async def command(_write: Write) -> int:
        raise problem

    engine, executor = make(command)
    with pytest.raises(type(problem)):
        await executor.run(INSIDE, ["x"])
    assert engine.killed == []


async def test_a_caller_that_is_cancelled_ends_it() -> None:
    engine, executor = make(for_ever(b"77\n"))
    running = asyncio.create_task(executor.run(INSIDE, ["x"]))
    await started(engine, running)
    await cancel(running)
    assert engine.killed == ["77"]


async def test_a_time_limit_ends_it() -> None:
    engine, executor = make(for_ever(b"77\n"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await executor.run(INSIDE, ["x"])
    assert engine.killed == ["77"]


async def test_cancelled_while_it_starts_it_is_ended_as_soon_as_it_is_known() -> None:
    """Its caller hears nothing of it any more."""
    heard: list[bytes] = []

    async def on_output(data: bytes) -> None:
        heard.append(data)

    begun = asyncio.Event()

    async def command(write: Write) -> int:
        await begun.wait()
        return await for_ever(b"77\nx")(write)

    engine, executor = make(command, hear_timeout_s=5)
    running = asyncio.create_task(executor.run(INSIDE, ["x"], on_output=on_output))
    await started(engine, running)
    running.cancel()
    await asyncio.sleep(0.05)
    assert engine.killed == []
    begun.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (engine.killed, heard) == (["77"], [])


@pytest.mark.parametrize("said", [b"", b"7", b"1\n", b"no id\n"], ids=repr)
async def test_what_says_no_process_id_is_let_go(said: bytes) -> None:
    """In particular 1, which would be everybody."""
    engine, executor = make(for_ever(said))
    running = asyncio.create_task(executor.run(INSIDE, ["x"]))
    await started(engine, running)
    async with asyncio.timeout(5):
        await cancel(running)
    assert engine.killed == []


async def test_what_has_ended_meanwhile_is_not_ended_once_more() -> None:
    """Its process id may be another's by now."""
    begun = asyncio.Event()

    async def command(write: Write) -> int:
        await begun.wait()
        return await saying(b"77\n")(write)

    engine, executor = make(command, hear_timeout_s=5)
    running = asyncio.create_task(executor.run(INSIDE, ["x"]))
    await started(engine, running)
    running.cancel()
    await asyncio.sleep(0)
    begun.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine.killed == []


@pytest.mark.parametrize(
    ("problem", "takes_s", "codes"),
    [
        (UpstreamFailed("No.", code="engine.failed"), 0.0, ["engine.failed"]),
        (None, 60.0, ["engine.unreachable"]),
        (NotFound("Gone.", code="container.gone"), 0.0, []),
        (Conflict("It stopped.", code="container.not_running"), 0.0, []),
    ],
    ids=["refused", "too slow", "gone with its container", "ended with its container"],
)
async def test_what_cannot_be_ended_is_logged(
    problem: Problem | None, takes_s: float, codes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """And the caller gets what cut it off."""

    async def on_output(_data: bytes) -> None:
        raise KeyError("mine")

    engine, executor = make(for_ever(b"77\nx"))
    engine.cannot_kill, engine.kill_takes_s = problem, takes_s
    with pytest.raises(KeyError):
        await executor.run(INSIDE, ["x"], on_output=on_output)
    told = [(record.message, record.__dict__["code"]) for record in caplog.records]
    assert told == [("codespace.exec_not_ended", code) for code in codes]


async def test_a_server_that_stops_waits_for_what_it_ends() -> None:
    """Also where the caller is cancelled twice."""
    engine, executor = make(for_ever(b"77\n"), kill_timeout_s=60)
    engine.kill_takes_s = 0.1
    running = asyncio.create_task(executor.run(INSIDE, ["x"]))
    await started(engine, running)
    running.cancel()
    await asyncio.sleep(0.02)
    await cancel(running)
    assert engine.killed == []
    await executor.close()
    assert engine.killed == ["77"]
    await executor.close()

"""Programs that the server starts, on its own event loop: what they say, how they end, and that nothing of them stays."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import pytest
from tests.test_http_protocol import on_uvloop

MIB = 1024 * 1024


async def start(
    *command: str, stdin: int | None = None, stdout: int | None = None, stderr: int | None = None
) -> Process:
    return await asyncio.create_subprocess_exec(*command, stdin=stdin, stdout=stdout, stderr=stderr)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@on_uvloop
async def test_what_it_says_and_its_exit_code() -> None:
    process = await start("sh", "-c", "echo out; echo err >&2; exit 7", stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    assert await process.communicate() == (b"out\n", b"err\n")
    assert (process.returncode, await process.wait()) == (7, 7)


@on_uvloop
async def test_what_goes_in_comes_out_however_much_it_is() -> None:
    sent = os.urandom(4 * MIB)
    process = await start("cat", stdin=PIPE, stdout=PIPE)
    assert (await process.communicate(sent))[0] == sent


@on_uvloop
async def test_a_reader_that_is_slow_holds_the_program_up() -> None:
    script = "import sys\nfor _ in range(64): sys.stdout.write('x' * 1048576)\nsys.stderr.write('all')"
    process = await start(sys.executable, "-c", script, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    first = await process.stdout.readexactly(MIB)
    assert len(process.stdout._buffer) < 4 * MIB  # type: ignore[attr-defined]
    rest, said = await asyncio.gather(process.stdout.read(), process.stderr.read())
    assert (len(first) + len(rest), said, await process.wait()) == (64 * MIB, b"all", 0)


@on_uvloop
async def test_a_killed_one_tells_its_signal_to_all_who_wait() -> None:
    process = await start("sleep", "1000")
    waiting = [asyncio.create_task(process.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    process.kill()
    assert await asyncio.gather(*waiting) == [-signal.SIGKILL] * 3
    with pytest.raises(ProcessLookupError):
        process.kill()


@on_uvloop
async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        await start("no-such-program-of-ours", stdout=PIPE)


@on_uvloop
async def test_of_many_at_once_nothing_stays() -> None:
    async def one(number: int) -> int:
        process = await start("sh", "-c", f"echo {number}; exit {number}", stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
        assert await process.communicate() == (f"{number}\n".encode(), b"")
        return await process.wait()

    async def many() -> tuple[int, list[str]]:
        assert await asyncio.gather(*(one(number) for number in range(40))) == list(range(40))
        return descriptors(), children()

    before = await many()
    async with asyncio.timeout(20):
        while await many() != before:
            await asyncio.sleep(0.01)


@on_uvloop
async def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    await (await start("cat", stdin=PIPE, stdout=PIPE)).communicate(b"x")  # the loop itself opens what it needs once
    before = (descriptors(), children())
    starting = asyncio.create_task(start("sleep", "1000", stdin=PIPE, stdout=PIPE))
    await asyncio.sleep(0)
    assert len(children()) == len(before[1]) + 1, "the control: it runs"
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    async with asyncio.timeout(20):
        while (descriptors(), children()) != before:
            await asyncio.sleep(0.01)


@on_uvloop
async def test_it_has_ended_whoever_else_holds_its_pipes() -> None:
    process = await start("sh", "-c", "sleep 1000 & echo $!; exit 3", stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    heir = int(await process.stdout.readline())
    assert await process.wait() == 3
    os.kill(heir, signal.SIGKILL)
    assert await process.stdout.read() == b""

"""How git is run: with an environment of its own, no configuration but ours, no hooks, no transports that were not asked for."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from berth.adapters.disk import disk_full, says_disk_full
from berth.domain.problem import UpstreamFailed

_TIMEOUT_S = 60

# As `-c` options or as GIT_CONFIG_* variables; both count as given by us, which safe.directory asks for.
CONFIGURATION = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "protocol.allow": "never",
    "safe.directory": "*",  # the directories are ours, whoever owns the volume that they are on
    "init.templateDir": "",
    "commit.gpgSign": "false",
}


def git_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What git sees of the world."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        **(extra or {}),
    }


async def run_git(
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    extra: Mapping[str, str] | None = None,
    timeout_s: float = _TIMEOUT_S,
    memory_bytes: int | None = None,
) -> bytes:
    """What git printed. Raises UpstreamFailed(code="git.failed"), LimitReached(code="git.disk_full").

    Cancelled or too slow, its process group is killed. Where it would take more memory than that, it fails.
    """
    process = await _start(arguments, extra, with_stdin=bool(stdin), memory_bytes=memory_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate(stdin or None)
    except TimeoutError as error:
        raise UpstreamFailed("git took too long.", code="git.timeout", retryable=True) from error
    finally:
        await kill_group(process)
    if process.returncode:
        said = errors.decode(errors="replace").strip()
        if says_disk_full(said):
            raise disk_full("git.disk_full")
        last = said.splitlines()[-1:]
        verb = next((word for word in arguments if not word.startswith("-")), "")
        raise UpstreamFailed(f"git {verb[:20]} failed.", code="git.failed") from OSError(*last)
    return output


@asynccontextmanager
async def running_git(arguments: Sequence[str], *, with_stdin: bool = False) -> AsyncIterator[Process]:
    """A git at work, to be read and written by the caller; at the end of the block it does not run any more."""
    process = await _start(arguments, None, with_stdin=with_stdin)
    try:
        yield process
    finally:
        _kill(process)
        await asyncio.shield(_end(process))


async def _end(process: Process) -> None:
    """Read what is in the pipes of a process that has ended: until then asyncio does not take it for ended."""
    if process.stdin is not None:
        process.stdin.close()
    for pipe in (process.stdout, process.stderr):
        while pipe is not None and await pipe.read(65536):
            pass
    await process.wait()


async def _start(
    arguments: Sequence[str],
    extra: Mapping[str, str] | None,
    *,
    with_stdin: bool,
    memory_bytes: int | None = None,
) -> Process:
    limit = () if memory_bytes is None else ("/bin/sh", "-c", 'ulimit -v "$0" && exec "$@"', str(memory_bytes // 1024))
    options = [word for name, value in CONFIGURATION.items() for word in ("-c", f"{name}={value}")]
    try:
        return await asyncio.create_subprocess_exec(
            *limit,
            "git",
            *options,
            *arguments,
            stdin=PIPE if with_stdin else DEVNULL,  # a pipe that a quick program never reads breaks uvloop's write
            stdout=PIPE,
            stderr=PIPE,
            env=git_environment(extra),
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise UpstreamFailed(
            "git cannot be started.", code="git.missing", remedy="Install git on the server."
        ) from error
    except OSError as error:  # of memory, processes or files there are none left just now
        reason = os.strerror(error.errno or 0)
        raise UpstreamFailed(f"git cannot be started: {reason}.", code="git.not_started", retryable=True) from error


async def kill_group(process: Process) -> None:
    """End a process and its children; nothing happens if it has ended."""
    if process.returncode is None:
        _kill(process)
        await asyncio.shield(process.wait())


def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

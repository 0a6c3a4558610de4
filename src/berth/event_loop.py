"""The server's event loop: uvloop, but for how a program is started.

uvloop copies the process for that (fork), with all of its page tables, and nothing else happens meanwhile: some 30 ms for a
server of 100 MiB, which starts several gits for a request. Python's own way takes 2 ms: nothing is copied (vfork).
"""

import asyncio
import contextlib
import subprocess
import threading
from asyncio import SubprocessProtocol, SubprocessTransport, base_subprocess
from collections.abc import Callable
from typing import Any

import uvloop


class _Program(base_subprocess.BaseSubprocessTransport):
    """asyncio's own transport, for a loop that is not asyncio's own. A thread waits for the end, as asyncio's watcher does."""

    _exit_code: asyncio.Future[int]

    def _start(self, **options: Any) -> None:  # type: ignore[override]  # all are named, as Popen names them
        self._proc = program = subprocess.Popen(**options)
        self._exit_code = self._loop.create_future()
        threading.Thread(target=self._watch, args=(program,), name=f"program {program.pid}", daemon=True).start()

    def _watch(self, program: "subprocess.Popen[bytes]") -> None:
        exit_code = program.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            self._loop.call_soon_threadsafe(self._ended, exit_code)

    def _ended(self, exit_code: int) -> None:
        self._exit_code.set_result(exit_code)
        self._process_exited(exit_code)

    async def _wait(self) -> int:
        """Until it has ended, whoever else holds its pipes; asyncio's versions differ in that."""
        return await asyncio.shield(self._exit_code)


class EventLoop(uvloop.Loop):
    """`subprocess_exec` is what asyncio.create_subprocess_exec calls."""

    async def subprocess_exec(  # type: ignore[override]
        self, protocol_factory: Callable[[], SubprocessProtocol], program: Any, *args: Any, **options: Any
    ) -> tuple[SubprocessTransport, SubprocessProtocol]:
        protocol, connected = protocol_factory(), self.create_future()
        transport = _Program(self, protocol, (program, *args), shell=False, waiter=connected, bufsize=0, **options)
        try:
            await asyncio.shield(connected)
        except BaseException:
            await asyncio.wait([connected])  # a pipe has to be open, to be closed
            transport.close()
            await transport._wait()  # noqa: SLF001 asyncio calls it, too
            raise
        return transport, protocol

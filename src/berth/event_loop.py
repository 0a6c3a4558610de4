"""The server's event loop: uvloop, but for how a program is started.

uvloop copies the process for that (fork), with all of its page tables, and nothing else happens meanwhile: some 30 ms for a
server of 100 MiB, which starts several gits for a request. Python's own way takes 2 ms: nothing is copied (vfork).
"""

import asyncio
import os
import subprocess
from asyncio import SubprocessProtocol, SubprocessTransport, base_subprocess
from collections.abc import Callable
from typing import Any

import uvloop


class _Program(base_subprocess.BaseSubprocessTransport):
    """asyncio's own transport, for a loop that is not asyncio's own. The kernel tells when the program ends: pidfd_open(2)."""

    _exit_code: asyncio.Future[int]

    def _start(self, **options: Any) -> None:  # type: ignore[override]  # all are named, as Popen names them
        self._proc = program = subprocess.Popen(**options)
        self._exit_code = self._loop.create_future()
        end = os.pidfd_open(program.pid)
        self._loop.add_reader(end, self._ended, end, program)

    def _ended(self, end: int, program: "subprocess.Popen[bytes]") -> None:
        self._loop.remove_reader(end)
        os.close(end)
        self._exit_code.set_result(program.wait())
        self._process_exited(self._exit_code.result())

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

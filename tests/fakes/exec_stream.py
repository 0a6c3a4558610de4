"""A running command in memory: a test says what it writes and when it ends, and sees what it was given."""

import asyncio
from dataclasses import dataclass, field

from berth.domain.exec_frame import TerminalSize
from berth.domain.problem import UpstreamFailed
from berth.services.ports import ExecOutput


@dataclass
class FakeExecStream:
    """`echo` writes back what it reads, and ends with its input. `reads` is clear while it does not read."""

    echo: bool = False
    process_id: bytes = b"77\n"
    output: asyncio.Queue[ExecOutput | None] = field(default_factory=asyncio.Queue)
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    stdin: bytearray = field(default_factory=bytearray)
    stdin_ended: bool = False
    sizes: list[TerminalSize] = field(default_factory=list)
    code: int = 0
    lost: bool = False
    closed: bool = False
    taken: int = 0  # bytes that somebody read of it

    def __post_init__(self) -> None:
        self.reads.set()
        self.say(self.process_id)

    def say(self, data: bytes, *, is_stderr: bool = False) -> None:
        if data:
            self.output.put_nowait(ExecOutput(is_stderr=is_stderr, data=data))

    def end(self, code: int = 0) -> None:
        self.code = code
        self.output.put_nowait(None)

    async def read(self) -> ExecOutput | None:
        found = await self.output.get()
        self.taken += len(found.data) if found else 0
        return found

    async def write(self, data: bytes) -> None:
        await self.reads.wait()
        self.stdin += data
        if self.echo:
            self.say(data)

    async def end_input(self) -> None:
        self.stdin_ended = True
        if self.echo:
            self.end()

    async def resize(self, size: TerminalSize) -> None:
        await asyncio.sleep(0.01)
        self.sizes.append(size)

    async def exit_code(self) -> int:
        if self.lost:
            raise UpstreamFailed("The connection to the command was lost while it ran.", code="engine.exec_lost")
        return self.code

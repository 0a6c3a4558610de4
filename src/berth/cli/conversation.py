"""A command in a codespace on this terminal: input, output, errors, size, exit code.

A terminal's bytes go through as they are (`--tty`): a person sits in front of the codespace then. Without it, what is written to a
terminal is cleaned of what could steer it, as all that this program prints; to a file or a program it goes byte for byte.
"""

import asyncio
import codecs
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from berth.cli.terminal import clean
from berth.client import Client, RemoteCommand
from berth.domain.exec_frame import MAX_SIDE, Channel, Start, TerminalSize

_CHUNK_BYTES = 32 * 1024
INTERRUPTED = 128 + signal.SIGINT  # as a shell has it
BROKEN_PIPE = 128 + signal.SIGPIPE


def own_size() -> TerminalSize:
    """Of the terminal that this program's output goes to; 24 by 80 where it has none."""
    size = os.terminal_size((80, 24))
    with suppress(OSError):
        size = os.get_terminal_size(sys.stdout.fileno())
    return TerminalSize(min(max(size.lines, 1), MAX_SIDE), min(max(size.columns, 1), MAX_SIDE))


def run(client: Client, name: str, start: Start, *, stdin: bool) -> int:
    """The exit code. Ctrl-C ends the command, unless it has a terminal: then that is its own to interpret."""
    with _raw_terminal(start.size is not None):
        try:
            return asyncio.run(_run(client, name, start, stdin=stdin))
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 what is flushed at the end of a program
            return BROKEN_PIPE


@contextmanager
def _raw_terminal(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed meanwhile is for the command
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def _run(client: Client, name: str, start: Start, *, stdin: bool) -> int:
    loop, own = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):  # the terminal must get its old ways back
        loop.add_signal_handler(number, own.cancel if own else loop.stop)
    try:
        async with client.open_command(name, start) as command:
            tasks = []
            if stdin:
                tasks.append(asyncio.create_task(_feed(command)))
            else:
                await command.end_input()
            if start.size is not None:
                tasks.append(asyncio.create_task(_follow_size(command)))
            try:
                await _show(command, is_raw=start.size is not None)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            return command.exit_code
    except asyncio.CancelledError:
        return INTERRUPTED


async def _show(command: RemoteCommand, *, is_raw: bool) -> None:
    outputs = {
        Channel.STDOUT: _Output(sys.stdout.fileno(), is_raw=is_raw),
        Channel.STDERR: _Output(sys.stderr.fileno(), is_raw=is_raw),
    }
    while (data := await command.read()) is not None:
        await asyncio.to_thread(outputs[data.channel].write, data.content)  # a pager that pauses must not stop us


class _Output:
    """Standard output or error of this program."""

    def __init__(self, descriptor: int, *, is_raw: bool) -> None:
        self._descriptor = descriptor
        self._decoder = (
            None if is_raw or not os.isatty(descriptor) else codecs.getincrementaldecoder("utf-8")("replace")
        )

    def write(self, data: bytes) -> None:
        rest = memoryview(data if self._decoder is None else clean(self._decoder.decode(data)).encode())
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


async def _feed(command: RemoteCommand) -> None:
    """Standard input. A thread reads it: a file, a pipe and a terminal cannot all be waited for. It never holds up the end."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    wanted = threading.Semaphore(1)

    def read() -> None:
        piece = b"?"
        while piece:
            wanted.acquire()
            try:
                piece = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
            except OSError:
                piece = b""
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

    threading.Thread(target=read, daemon=True).start()
    while piece := await pieces.get():
        await command.write(piece)
        wanted.release()
    await command.end_input()


async def _follow_size(command: RemoteCommand) -> None:
    changed = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, changed.set)
    while True:
        await changed.wait()
        changed.clear()
        await command.resize(own_size())

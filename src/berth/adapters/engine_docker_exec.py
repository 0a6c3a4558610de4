"""A command in a container, over the connection that the engine hands out for it: input, output, exit code.

`converse` runs one to its end; `DockerExecStream` is one that somebody talks to (the port's ExecStream).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiodocker import DockerError
from aiodocker.execs import Exec
from aiodocker.stream import Message, Stream

from berth.domain.exec_frame import TerminalSize
from berth.domain.exec_process import MAX_OUTPUT_BYTES
from berth.domain.problem import UpstreamFailed
from berth.services.ports import ExecOutput

_STDIN_CHUNK_BYTES = 64 * 1024
_EXIT_TIMEOUT_S = 10.0
_INSPECT_TIMEOUT_S = 3.0  # dockerd holds an exec's lock for two seconds at its end, while output may still come
_LAST_OUTPUT_TIMEOUT_S = 1.0
_STDERR = 2  # Source: Docker Engine API 1.41, "Attach to a container", stream format


async def converse(
    process: Exec, stream: Stream, data: bytes, on_output: Callable[[ExecOutput], Awaitable[None]] | None
) -> bytes:
    """Write and read at the same time: the process may wait for either.

    Observed with engine 20.10: the stream does not end with a process that did not read all its input, or that left
    another one with its output open; so whether it runs is asked now and then. Raises what `on_output` raises.
    """
    kept = bytearray()

    async def read() -> None:
        while (message := await stream.read_out()) is not None:
            kept.extend(message.data[: MAX_OUTPUT_BYTES - len(kept)])
            if on_output is not None:
                await on_output(_output_of(message))

    reading, writing = asyncio.create_task(read()), asyncio.create_task(_write(stream, data))
    watching = asyncio.create_task(_until_ended(process))
    try:
        await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            await watching
            await asyncio.wait({reading}, timeout=_LAST_OUTPUT_TIMEOUT_S)
        if reading.done():
            await reading
    finally:
        await _end(reading, writing, watching)
        if (transport := _transport(stream)) is not None:
            transport.abort()  # close() would wait until the engine takes the rest of the input
    return bytes(kept)


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _until_ended(process: Exec) -> None:
    interval_s = 0.2
    await asyncio.sleep(interval_s)
    while (await _inspect(process))["Running"]:
        interval_s = min(interval_s * 1.5, 2.0)
        await asyncio.sleep(interval_s)


async def _inspect(process: Exec) -> dict[str, Any]:
    """What the engine says of it. A question that is not answered in time is asked again, on another connection."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_INSPECT_TIMEOUT_S):
                return await process.inspect()


async def _write(stream: Stream, data: bytes) -> None:
    """All of it, then the end of file; a process that ends before it has read everything is no error.

    Half-closing the connection is what the engine passes on as the end of the process's standard input.
    """
    with contextlib.suppress(aiohttp.ClientError, OSError):
        for start in range(0, len(data), _STDIN_CHUNK_BYTES):
            await stream.write_in(data[start : start + _STDIN_CHUNK_BYTES])
        if data:
            _half_close(stream)


def _half_close(stream: Stream) -> None:
    if (transport := _transport(stream)) is not None and transport.can_write_eof():
        transport.write_eof()


def _transport(stream: Stream) -> asyncio.WriteTransport | None:
    response = stream._resp  # noqa: SLF001 there is no public way; tests hold it (cat sees the end, no socket stays)
    connection = response.connection if response is not None else None
    return connection.transport if connection is not None else None


def _output_of(message: Message) -> ExecOutput:
    return ExecOutput(message.stream == _STDERR, message.data)


async def exit_code(process: Exec) -> int:
    """The exit code, which may come a moment after the end of the output."""
    try:
        async with asyncio.timeout(_EXIT_TIMEOUT_S):
            while (found := await _inspect(process))["Running"] or found["ExitCode"] is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise _lost() from error
    return int(found["ExitCode"])


def _lost() -> UpstreamFailed:
    return UpstreamFailed("The connection to the command was lost while it ran.", code="engine.exec_lost")


class DockerExecStream:
    """A command that runs. `close` lets go of the connection; what runs, goes on."""

    def __init__(self, process: Exec, stream: Stream) -> None:
        self._process = process
        self._stream = stream
        self._reading: asyncio.Task[Message | None] | None = None
        self._ended = asyncio.create_task(_until_ended(process))

    async def read(self) -> ExecOutput | None:
        """As `converse` observed, the end of the output may never come: a command that ended gets a second more."""
        reading = self._reading or asyncio.create_task(self._stream.read_out())
        self._reading = reading
        await asyncio.wait({reading, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            await asyncio.wait({reading}, timeout=_LAST_OUTPUT_TIMEOUT_S)
        if not reading.done():
            return None
        self._reading = None
        try:
            message = reading.result()
        except (aiohttp.ClientError, OSError) as error:
            raise _lost() from error
        return None if message is None else _output_of(message)

    async def write(self, data: bytes) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):  # it has ended
            await self._stream.write_in(data)

    async def end_input(self) -> None:
        with contextlib.suppress(OSError):
            _half_close(self._stream)

    async def resize(self, size: TerminalSize) -> None:
        with contextlib.suppress(DockerError, aiohttp.ClientError, OSError):  # it has ended
            await self._process.resize(h=size.rows, w=size.columns)

    async def exit_code(self) -> int:
        try:
            return await exit_code(self._process)
        except (DockerError, aiohttp.ClientError, OSError) as error:
            raise _lost() from error

    async def close(self) -> None:
        tasks = [self._ended, *([self._reading] if self._reading else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if (transport := _transport(self._stream)) is not None:
            transport.abort()

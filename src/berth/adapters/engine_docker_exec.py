"""A command in a container, over the connection that the engine hands out for it: input, output, exit code."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp
from aiodocker.execs import Exec
from aiodocker.stream import Stream

from berth.domain.problem import UpstreamFailed

_MAX_OUTPUT_BYTES = 1024 * 1024
_STDIN_CHUNK_BYTES = 64 * 1024
_EXIT_TIMEOUT_S = 10.0
_LAST_OUTPUT_TIMEOUT_S = 1.0


async def converse(
    process: Exec, stream: Stream, data: bytes, on_output: Callable[[bytes], Awaitable[None]] | None
) -> bytes:
    """Write and read at the same time: the process may wait for either.

    Observed with engine 20.10: the stream does not end with a process that did not read all its input, or that left
    another one with its output open; so whether it runs is asked now and then. Raises what `on_output` raises.
    """
    kept = bytearray()

    async def read() -> None:
        while (message := await stream.read_out()) is not None:
            kept.extend(message.data[: _MAX_OUTPUT_BYTES - len(kept)])
            if on_output is not None:
                await on_output(message.data)

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
    while (await process.inspect())["Running"]:
        interval_s = min(interval_s * 1.5, 2.0)
        await asyncio.sleep(interval_s)


async def _write(stream: Stream, data: bytes) -> None:
    """All of it, then the end of file; a process that ends before it has read everything is no error.

    Half-closing the connection is what the engine passes on as the end of the process's standard input.
    """
    with contextlib.suppress(aiohttp.ClientError, OSError):
        for start in range(0, len(data), _STDIN_CHUNK_BYTES):
            await stream.write_in(data[start : start + _STDIN_CHUNK_BYTES])
        if data and (transport := _transport(stream)) is not None and transport.can_write_eof():
            transport.write_eof()


def _transport(stream: Stream) -> asyncio.WriteTransport | None:
    response = stream._resp  # noqa: SLF001 there is no public way; tests hold it (cat sees the end, no socket stays)
    connection = response.connection if response is not None else None
    return connection.transport if connection is not None else None


async def exit_code(process: Exec) -> int:
    """The exit code, which may come a moment after the end of the output."""
    try:
        async with asyncio.timeout(_EXIT_TIMEOUT_S):
            while (found := await process.inspect())["Running"] or found["ExitCode"] is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise UpstreamFailed("The connection to the command was lost while it ran.", code="engine.exec_lost") from error
    return int(found["ExitCode"])

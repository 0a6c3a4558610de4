"""`berth codespace ports`: a codespace's ports on this machine; each connection is a command in it (domain/port_relay.py)."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Annotated, Protocol

import typer

from berth.cli.conversation import INTERRUPTED
from berth.cli.hosts import connect
from berth.cli.options import CodespaceName
from berth.cli.terminal import clean_line, say
from berth.client import Client, RemoteCommand
from berth.domain.exec_frame import Channel, Start
from berth.domain.port_relay import parse_forward, relay_command
from berth.domain.problem import Invalid, Problem

_CHUNK_BYTES = 32 * 1024

app = typer.Typer(help="Ports of a codespace.", no_args_is_help=True)


class Reader(Protocol):
    """What comes from whoever connected: asyncio's, or that of an SSH channel."""

    async def read(self, n: int, /) -> bytes: ...


class Writer(Protocol):
    """What goes to him."""

    def write(self, data: bytes, /) -> None: ...
    async def drain(self) -> None: ...


@app.command()
def forward(
    name: CodespaceName,
    ports: Annotated[list[str], typer.Argument(metavar="LOCAL:REMOTE...", help="One number means both.")],
) -> None:
    """Make ports of a codespace answer on 127.0.0.1. Until Ctrl-C."""
    pairs = [parse_forward(each) for each in ports]
    with connect() as client, contextlib.suppress(KeyboardInterrupt):
        client.get_codespace(name)  # a wrong name is no surprise at the first connection
        asyncio.run(_serve(client, name, pairs))
    raise typer.Exit(INTERRUPTED)


async def _serve(client: Client, name: str, pairs: Sequence[tuple[int, int]]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for local, remote in pairs:
            await stack.enter_async_context(await _listen(client, name, local, remote))
            say(f"127.0.0.1:{local} is port {remote} of {clean_line(name)}.")
        await asyncio.Event().wait()


async def _listen(client: Client, name: str, local: int, remote: int) -> asyncio.Server:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await relay(client, name, remote, reader, writer)
        except Problem as problem:
            say(f"Port {remote}: {clean_line(problem.message)}")
        except OSError:
            pass  # whoever connected is gone
        finally:
            writer.close()

    try:
        return await asyncio.start_server(connected, "127.0.0.1", local)
    except OSError as error:
        raise Invalid(f"Port {local} of this machine: {error.strerror}.", field="ports", code="cli.ports") from None


async def relay(client: Client, name: str, port: int, reader: Reader, writer: Writer) -> None:
    """One connection, to its end. Raises a Problem where nothing answers in the codespace."""
    async with client.open_command(name, Start(command=relay_command(port))) as command:
        feeding = asyncio.create_task(feed(command, reader))
        errors = b""
        try:
            while (data := await command.read()) is not None:
                if data.channel is Channel.STDERR:
                    errors = (errors + data.content)[:_CHUNK_BYTES]
                else:
                    writer.write(data.content)
                    await writer.drain()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        if command.exit_code:
            raise Invalid(errors.decode(errors="replace").strip() or "Nothing answers there.", code="cli.port_closed")


async def feed(command: RemoteCommand, reader: Reader) -> None:
    """What comes, to its end."""
    while data := await reader.read(_CHUNK_BYTES):
        await command.write(data)
    await command.end_input()

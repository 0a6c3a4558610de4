"""An SSH server on this program's standard input and output, whose sessions are commands in a codespace.

OpenSSH starts it as its ProxyCommand. Nothing listens anywhere; there is no sshd in the image, and no key in the codespace.
Decided: no client authentication. Whoever can write to this program's input has started it, with the login of the user who runs
it; a key that both ends read from one folder would prove nothing more. The host key is there because OpenSSH insists on one.

1. A command and a shell run in the user's own shell in the container, in a terminal where one was asked for.
2. `sftp` is the image's own sftp-server; where it has none, `sftp_files.py`.
3. A forwarded connection (-L, -D) leads to loopback in the codespace, nowhere else.
"""

import asyncio
import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import asyncssh
from asyncssh.sftp import run_sftp_server

from berth.cli.port_forward import relay
from berth.cli.sftp_files import CodespaceFiles
from berth.client import Client, RemoteCommand
from berth.domain.exec_frame import MAX_SIDE, Channel, Start, TerminalSize, is_term
from berth.domain.exec_process import in_shell, login_shell
from berth.domain.problem import Problem

_CHUNK_BYTES = 32 * 1024
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SFTP_VERSION = 3  # which OpenSSH speaks
_FAILED = 255  # as ssh itself
_SFTP = ("/usr/lib/openssh", "/usr/lib/ssh", "/usr/libexec/openssh", "/usr/libexec", "/usr/lib")
_FIND_SFTP = f"for folder in {' '.join(_SFTP)}; do [ ! -x $folder/sftp-server ] || exec echo $folder/sftp-server; done"


def serve_stdio(client: Client, name: str, host_key: Path) -> None:
    """Until the connection ends. Raises KeyboardInterrupt."""
    asyncio.run(_serve(client, name, host_key))


async def _serve(client: Client, name: str, host_key: Path) -> None:
    ours, theirs = socket.socketpair()
    for target in (lambda: _pump_in(theirs), lambda: _pump_out(theirs)):
        threading.Thread(target=target, daemon=True).start()
    connection = await asyncssh.run_server(
        ours,
        server_factory=lambda: _Server(client, name),
        server_host_keys=[str(host_key)],
        encoding=None,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        line_editor=False,
    )
    await connection.wait_closed()


def _pump_in(channel: socket.socket) -> None:
    with suppress(OSError):
        while data := os.read(sys.stdin.fileno(), _CHUNK_BYTES):
            channel.sendall(data)
    with suppress(OSError):
        channel.shutdown(socket.SHUT_WR)


def _pump_out(channel: socket.socket) -> None:
    with suppress(OSError):
        while data := channel.recv(_CHUNK_BYTES):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(sys.stdout.fileno(), rest) :]


class _Server(asyncssh.SSHServer):
    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> "asyncssh.SSHServerProcess[bytes]":
        return _Session(lambda process: _Process(self._client, self._name, process).run(), None, _SFTP_VERSION, False)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> object:  # type: ignore[override]
        if dest_host not in _LOOPBACK:
            text = "Only ports of the codespace itself are forwarded: use localhost."
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, text)

        async def connected(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
            with suppress(Problem, OSError, asyncssh.Error):
                await relay(self._client, self._name, dest_port, reader, writer)
            writer.close()

        return connected


class _Session(asyncssh.SSHServerProcess[bytes]):
    """asyncssh gives `sftp` to an SFTPServer of its own; here it is a process like any other, which may be the image's."""

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def session_started(self) -> None:
        channel = self._chan
        stdin, stdout = asyncssh.SSHReader(self, channel), asyncssh.SSHWriter(self, channel)
        errors = asyncssh.SSHWriter(self, channel, asyncssh.EXTENDED_DATA_STDERR)
        running = self._start_process(stdin, stdout, errors)
        if running is not None and self._conn is not None:
            self._running = self._conn.create_task(running, stdin.logger)


class _Process:
    """One session."""

    def __init__(self, client: Client, name: str, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        self._client = client
        self._name = name
        self._process = process

    async def run(self) -> None:
        process = self._process
        code = _FAILED
        try:
            start = await self._start()
            if start is None:
                files = CodespaceFiles(process.channel, self._client, self._name)
                await run_sftp_server(files, process.stdin, process.stdout, _SFTP_VERSION)
                code = 0
            else:
                code = await self._run_command(start)
        except Problem as problem:
            process.stderr.write(f"berth: {problem.message}\n".encode())
        process.exit(code)

    async def _run_command(self, start: Start) -> int:
        async with self._client.open_command(self._name, start) as command:
            closed = asyncio.create_task(self._process.channel.wait_closed())
            talking = asyncio.create_task(self._talk(command))
            await asyncio.wait({closed, talking}, return_when=asyncio.FIRST_COMPLETED)
            for task in (closed, talking):
                task.cancel()
            await asyncio.gather(closed, talking, return_exceptions=True)
            return command.exit_code

    async def _start(self) -> Start | None:
        """What to run; None for files without an sftp-server."""
        process = self._process
        if process.subsystem is not None:
            found = await self._find_sftp_server()
            return Start(command=("/bin/sh", "-c", 'exec "$1"', "berth", found)) if found else None
        size = None if process.term_type is None else _size(process.term_size)
        term = process.term_type or ""
        command = login_shell() if process.command is None else in_shell(process.command)
        return Start(command=command, size=size, term=term if is_term(term) else "")

    async def _find_sftp_server(self) -> str:
        found = b""
        async with self._client.open_command(self._name, Start(command=("/bin/sh", "-c", _FIND_SFTP))) as command:
            while (data := await command.read()) is not None:
                found += data.content if data.channel is Channel.STDOUT else b""
        return found.decode(errors="replace").strip()

    async def _talk(self, command: RemoteCommand) -> None:
        feeding = asyncio.create_task(self._feed(command))
        outputs = {Channel.STDOUT: self._process.stdout, Channel.STDERR: self._process.stderr}
        try:
            while (data := await command.read()) is not None:
                outputs[data.channel].write(data.content)
                await outputs[data.channel].drain()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    async def _feed(self, command: RemoteCommand) -> None:
        while True:
            try:
                data = await self._process.stdin.read(_CHUNK_BYTES)
            except asyncssh.TerminalSizeChanged as change:
                await command.resize(_size((change.width, change.height)))
                continue
            except (asyncssh.BreakReceived, asyncssh.SignalReceived):
                continue
            if not data:
                break
            await command.write(data)
        await command.end_input()


def _size(size: tuple[int, ...]) -> TerminalSize:
    columns, rows = size[:2]
    return TerminalSize(min(max(rows, 1), MAX_SIDE), min(max(columns, 1), MAX_SIDE))

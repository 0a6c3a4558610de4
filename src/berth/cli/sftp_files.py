"""SFTP for images without an sftp-server: each request is a small command in the codespace. OpenSSH's scp speaks nothing else.

It is for copying files: they are read and written from their beginning to their end, by `cat`; what asks for less order than
that is refused. The image has to have cat, chmod, ln, mkdir, mv, readlink, rm, rmdir, stat, tail, touch: busybox is enough.

Every request of asyncssh's SFTPServer is answered here: what it would do by itself, it would do with the files of this machine.
Requests of one session come one after the other (asyncssh processes them so), so nothing here is locked.
"""

import os
import posixpath
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncssh
from asyncssh import SFTPAttrs, SFTPFailure, SFTPName, SFTPNoSuchFile, SFTPOpUnsupported, SFTPPermissionDenied

from berth.client import Client, RemoteCommand
from berth.domain.exec_frame import Channel, Start
from berth.domain.problem import Problem

_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_NOT_HERE = "This image has no sftp-server: files are only copied, from their beginning to their end."
_FORMAT = "%f %s %u %g %X %Y"
_LIST_SCRIPT = f"""cd "$1" || exit 1
for name in .* *; do
  [ -e "$name" ] || [ -L "$name" ] || continue
  stat -c '{_FORMAT}' -- "$name" && printf '%s\\0' "$name"
done"""


class _Reading:
    """A file on its way out."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.at = 0
        self.stack = AsyncExitStack()
        self.command: RemoteCommand | None = None
        self.held = b""


class _Writing:
    """A file on its way in."""

    def __init__(self, path: bytes, stack: AsyncExitStack, command: RemoteCommand) -> None:
        self.path = path
        self.at = 0
        self.stack = stack
        self.command = command


class CodespaceFiles(asyncssh.SFTPServer):
    """The files of a codespace, as its user sees them."""

    def __init__(self, channel: "asyncssh.SSHServerChannel[bytes]", client: Client, name: str) -> None:
        super().__init__(channel)
        self._client = client
        self._name = name
        self._folder = b""
        self._open: set[_Reading | _Writing] = set()

    async def _run(self, script: str, *paths: bytes) -> bytes:
        """A script's output. Raises an SFTPError with what it says of its failure."""
        command = ("/bin/sh", "-c", script, "berth", *map(_text, paths))
        said = {Channel.STDOUT: b"", Channel.STDERR: b""}
        try:
            async with self._client.open_command(self._name, Start(command=command)) as running:
                while (data := await running.read()) is not None:
                    said[data.channel] += data.content
                    if len(said[data.channel]) > _MAX_ANSWER_BYTES:
                        raise SFTPFailure("That is too much.")
                code = running.exit_code
        except Problem as problem:
            raise SFTPFailure(problem.message) from None
        if code:
            raise _error(said[Channel.STDERR])
        return said[Channel.STDOUT]

    async def _resolve(self, path: bytes) -> bytes:
        if not self._folder:
            self._folder = (await self._run("pwd")).removesuffix(b"\n")
        return posixpath.normpath(posixpath.join(self._folder, path))

    def format_user(self, uid: int | None) -> str:
        return str(uid)

    def format_group(self, gid: int | None) -> str:
        return str(gid)

    async def realpath(self, path: bytes) -> bytes:
        return await self._resolve(path)

    async def stat(self, path: bytes) -> SFTPAttrs:
        return _attrs(await self._run(f"stat -L -c '{_FORMAT}' -- \"$1\"", await self._resolve(path)))

    async def lstat(self, path: bytes) -> SFTPAttrs:
        return _attrs(await self._run(f"stat -c '{_FORMAT}' -- \"$1\"", await self._resolve(path)))

    async def fstat(self, file_obj: object) -> SFTPAttrs:
        return await self.stat(_handle(file_obj).path)

    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        full = await self._resolve(path)
        if attrs.permissions is not None:
            await self._run(f'chmod {attrs.permissions & 0o7777:o} -- "$1"', full)
        if attrs.mtime is not None:
            await self._run(f'touch -c -d @{int(attrs.mtime)} -- "$1"', full)

    async def lsetstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        raise SFTPOpUnsupported(_NOT_HERE)

    async def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        handle = _handle(file_obj)
        if isinstance(handle, _Writing):
            await self._finish(handle)  # otherwise the last bytes would give it a new time
        await self.setstat(handle.path, attrs)

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        lines = await self._run(_LIST_SCRIPT, await self._resolve(path))
        for entry in lines.split(b"\0")[:-1]:
            attributes, _, name = entry.partition(b"\n")
            yield SFTPName(name, b"", _attrs(attributes))

    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        await self._run('mkdir -- "$1"', await self._resolve(path))

    async def rmdir(self, path: bytes) -> None:
        await self._run('rmdir -- "$1"', await self._resolve(path))

    async def remove(self, path: bytes) -> None:
        await self._run('[ ! -d "$1" ] || [ -L "$1" ] || exit 1; rm -- "$1"', await self._resolve(path))

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._run('[ ! -e "$2" ] && mv -- "$1" "$2"', await self._resolve(oldpath), await self._resolve(newpath))

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._run('mv -f -- "$1" "$2"', await self._resolve(oldpath), await self._resolve(newpath))

    async def readlink(self, path: bytes) -> bytes:
        return (await self._run('readlink -- "$1"', await self._resolve(path))).removesuffix(b"\n")

    async def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        await self._run('ln -s -- "$1" "$2"', oldpath, await self._resolve(newpath))

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> object:
        full = await self._resolve(path)
        if not pflags & asyncssh.FXF_WRITE:
            await self._run('[ ! -d "$1" ] && [ -r "$1" ] || cat -- "$1" >/dev/null', full)
            reading = _Reading(full)
            self._open.add(reading)
            return reading
        if pflags & asyncssh.FXF_READ:
            raise SFTPOpUnsupported(_NOT_HERE)
        how = ">>" if pflags & asyncssh.FXF_APPEND else ">"
        test = '[ ! -e "$1" ] && ' if pflags & asyncssh.FXF_EXCL else ""
        await self._run(f'{test}: {how} "$1"', full)
        mode = f'chmod {attrs.permissions & 0o777:o} -- "$1"; ' if attrs.permissions is not None else ""
        stack, command = await self._begin(f'{mode}exec cat {how} "$1"', full)
        writing = _Writing(full, stack, command)
        self._open.add(writing)
        return writing

    async def _begin(self, script: str, path: bytes) -> tuple[AsyncExitStack, RemoteCommand]:
        stack = AsyncExitStack()
        start = Start(command=("/bin/sh", "-c", script, "berth", _text(path)))
        try:
            return stack, await stack.enter_async_context(self._client.open_command(self._name, start))
        except Problem as problem:
            raise SFTPFailure(problem.message) from None

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        handle = _handle(file_obj)
        if not isinstance(handle, _Reading):
            raise SFTPFailure("It is open for writing.")
        if handle.command is None or offset != handle.at:
            await handle.stack.aclose()
            script = f'exec tail -c +{offset + 1} -- "$1"' if offset else 'exec cat -- "$1"'
            handle.stack, handle.command = await self._begin(script, handle.path)
            handle.at, handle.held = offset, b""
        while len(handle.held) < size and (data := await handle.command.read()) is not None:
            handle.held += data.content if data.channel is Channel.STDOUT else b""
        piece, handle.held = handle.held[:size], handle.held[size:]
        handle.at += len(piece)
        return piece

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        handle = _handle(file_obj)
        if not isinstance(handle, _Writing) or offset != handle.at:
            raise SFTPOpUnsupported(
                "This image has no sftp-server: files are written from their beginning to their end."
            )
        await handle.command.write(data)
        handle.at += len(data)
        return len(data)

    async def close(self, file_obj: object) -> None:
        handle = _handle(file_obj)
        try:
            if isinstance(handle, _Writing):
                await self._finish(handle)
        finally:
            self._open.discard(handle)
            await handle.stack.aclose()

    async def _finish(self, handle: _Writing) -> None:
        """All of it is in the file. May be repeated."""
        if handle not in self._open or handle.at < 0:
            return
        handle.at = -1
        await handle.command.end_input()
        errors = b""
        while (data := await handle.command.read()) is not None:
            errors += data.content
        try:
            code = handle.command.exit_code
        except Problem as problem:
            raise SFTPFailure(problem.message) from None
        if code:
            raise _error(errors)

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise SFTPOpUnsupported(_NOT_HERE)

    def lock(self, file_obj: object, offset: int, length: int, flags: int) -> None:
        raise SFTPOpUnsupported(_NOT_HERE)

    def unlock(self, file_obj: object, offset: int, length: int) -> None:
        raise SFTPOpUnsupported(_NOT_HERE)

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: SFTPAttrs) -> object:
        raise SFTPOpUnsupported(_NOT_HERE)

    def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        raise SFTPOpUnsupported(_NOT_HERE)

    def fstatvfs(self, file_obj: object) -> asyncssh.SFTPVFSAttrs:
        raise SFTPOpUnsupported(_NOT_HERE)

    def fsync(self, file_obj: object) -> None:
        raise SFTPOpUnsupported(_NOT_HERE)

    async def exit(self) -> None:
        for handle in self._open:
            await handle.stack.aclose()
        self.channel.exit(0)  # asyncssh only closes, and scp takes a session without an exit status for a failed one


def _handle(file_obj: object) -> _Reading | _Writing:
    if not isinstance(file_obj, _Reading | _Writing):
        raise SFTPFailure("There is no such file open.")
    return file_obj


def _text(path: bytes) -> str:
    try:
        return path.decode()
    except UnicodeDecodeError:
        raise SFTPFailure("A name that is not UTF-8 cannot be said here.") from None


def _attrs(line: bytes) -> SFTPAttrs:
    try:
        mode, size, uid, gid, accessed, modified = line.split()
        return SFTPAttrs(
            permissions=int(mode, 16),
            size=int(size),
            uid=int(uid),
            gid=int(gid),
            atime=int(accessed),
            mtime=int(modified),
        )
    except ValueError:
        raise SFTPFailure("The stat of this image says something else than others.") from None


def _error(said: bytes) -> asyncssh.SFTPError:
    text = " ".join(said.decode(errors="replace").split())[:200]
    if "No such file" in text or "nonexistent" in text:
        return SFTPNoSuchFile(os.strerror(2))
    return SFTPPermissionDenied(text) if "ermission denied" in text else SFTPFailure(text or "It did not work.")

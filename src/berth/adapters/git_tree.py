"""A directory at a commit as a list, and as a tar: git's objects in a stream, without a checkout and without a file.

A tree is a stranger's: it may name one subtree a thousand times and be as large as it likes (a "git bomb"), or hold names
that no checkout could. So it is read as it comes, and no further than the bounds.
"""

import asyncio
import contextlib
import tarfile
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from berth.adapters.git_process import running_git
from berth.domain.git_object import TreeFile
from berth.domain.problem import Invalid, LimitReached, UpstreamFailed

MAX_FILES = 100_000
MAX_LISTING_BYTES = 32 * 1024 * 1024
MAX_LEVELS = 100
_CHUNK = 64 * 1024
_TIMEOUT_S = 120
_KINDS = {"100644": "file", "100664": "file", "100755": "executable", "120000": "symlink"}
MAX_LINK_BYTES = 4096  # the longest that Linux follows


async def list_tree(repository: Path, tree: str) -> tuple[TreeFile, ...]:
    """All files and links of a tree, by its id. Raises what the port says."""
    found: list[TreeFile] = []
    rest, size = b"", 0
    command = [f"--git-dir={repository}", "ls-tree", "-r", "-z", "-l", "--full-tree", tree]
    try:
        async with asyncio.timeout(_TIMEOUT_S), running_git(command) as process:
            output = _pipe(process.stdout)
            while chunk := await output.read(_CHUNK):
                size += len(chunk)
                *records, rest = (rest + chunk).split(b"\0")
                found += [file for record in records if (file := _parse(record)) is not None]
                if size > MAX_LISTING_BYTES or len(found) > MAX_FILES:
                    _too_large(f"more than {MAX_FILES} files, or too long names")
            failed = await process.wait() != 0
    except TimeoutError as error:
        raise UpstreamFailed("git took too long.", code="git.timeout", retryable=True) from error
    if failed or rest:
        raise UpstreamFailed("git ls-tree failed.", code="git.failed")
    await asyncio.to_thread(_check_paths, found)
    return tuple(found)


def _parse(record: bytes) -> TreeFile | None:
    facts, _, path = record.partition(b"\t")
    mode, _kind, sha, size = facts.decode().split()
    kind = _KINDS.get(mode)
    if kind is None:
        return None  # a submodule: another repository's commit
    if not size.isdecimal():
        raise UpstreamFailed("git ls-tree found an object missing.", code="git.failed")
    return TreeFile(path=path.decode(errors="surrogateescape"), kind=kind, sha=sha, size_bytes=int(size))


def _check_paths(files: Sequence[TreeFile]) -> None:
    """No name that leads elsewhere, and nothing that is a file and a folder: one of them could be a link out."""
    paths = {file.path for file in files}
    if len(paths) != len(files) or any(file.kind == "symlink" and file.size_bytes > MAX_LINK_BYTES for file in files):
        _no_checkout()
    folders: set[str] = set()
    for path in paths:
        parts = path.split("/")
        if {"", ".", ".."} & set(parts):
            _no_checkout()
        if len(parts) > MAX_LEVELS:
            _too_large(f"more than {MAX_LEVELS} levels of folders")
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    if not folders.isdisjoint(paths):
        _no_checkout()


async def archive(
    repository: Path, files: Sequence[TreeFile], added: Mapping[str, bytes], modified_at: datetime
) -> AsyncIterator[bytes]:
    """The tar. Folders come before what is in them, so that their modes do not depend on who unpacks it."""
    seconds = int(modified_at.timestamp())
    for name, data in added.items():
        yield _header(name, seconds, size=len(data)) + data + _padding(len(data))
    async with running_git([f"--git-dir={repository}", "cat-file", "--batch"], with_stdin=True) as process:
        asking = asyncio.create_task(_ask(process.stdin, [file.sha for file in files]))
        try:
            folders: set[str] = set()
            for file in files:
                for folder in _new_folders(file.path, folders):
                    yield _header(folder, seconds, kind=tarfile.DIRTYPE, mode=0o755)
                async for chunk in _member(_pipe(process.stdout), file, seconds):
                    yield chunk
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    yield bytes(2 * tarfile.BLOCKSIZE)


async def _member(output: StreamReader, file: TreeFile, seconds: int) -> AsyncIterator[bytes]:
    head = (await output.readline()).split()
    if len(head) != 3 or head[0].decode() != file.sha or int(head[2]) != file.size_bytes:
        raise UpstreamFailed("git cat-file failed.", code="git.failed")
    if file.kind == "symlink":
        link = (await output.readexactly(file.size_bytes + 1))[:-1].decode(errors="surrogateescape")
        yield _header(file.path, seconds, kind=tarfile.SYMTYPE, mode=0o777, linkname=link.replace("\0", ""))
        return
    yield _header(file.path, seconds, size=file.size_bytes, mode=0o755 if file.kind == "executable" else 0o644)
    left = file.size_bytes
    while left:
        chunk = await output.read(min(left, _CHUNK))
        if not chunk:
            raise UpstreamFailed("git cat-file ended too early.", code="git.failed")
        left -= len(chunk)
        yield chunk
    yield _padding(file.size_bytes)
    await output.readexactly(1)


async def _ask(stdin: StreamWriter | None, shas: Sequence[str]) -> None:
    """While it is asked, git answers: both pipes are smaller than what goes through them."""
    if stdin is None:
        raise RuntimeError("git runs without a standard input")
    with contextlib.suppress(ConnectionError):  # whoever reads sees that git has ended
        for sha in shas:
            stdin.write(f"{sha}\n".encode())
            await stdin.drain()
        stdin.close()


def _pipe(stream: StreamReader | None) -> StreamReader:
    if stream is None:
        raise RuntimeError("git runs without a standard output")
    return stream


def _new_folders(path: str, known: set[str]) -> Iterator[str]:
    """The folders on the way to a path that were not on the way to an earlier one, the outermost first."""
    parts = path.split("/")[:-1]
    for length in range(1, len(parts) + 1):
        folder = "/".join(parts[:length])
        if folder not in known:
            known.add(folder)
            yield folder


def _header(
    name: str, seconds: int, *, kind: bytes = tarfile.REGTYPE, size: int = 0, mode: int = 0o644, linkname: str = ""
) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.mtime, info.linkname = kind, size, mode, seconds, linkname
    return info.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _too_large(why: str) -> NoReturn:
    raise LimitReached(f"The folder has {why}.", code="git.tree_too_large", remedy="Name a smaller folder.")


def _no_checkout() -> NoReturn:
    raise Invalid("The folder holds what no checkout can hold.", field="path", code="git.tree_malformed")

"""The BlobStore port on a directory of this machine.

    installation                                                   whose directory it is; written once
    uploads/<upload id>                                            what has come so far
    content/<first two hex>/<algorithm>-<hex>.<upload>.<random>    finished content; never changed, only deleted

1. Content gets its name after its digest was verified and its bytes are on the disk. Whatever kills the server, a name
   below `content` stands for whole and right content.
2. Whoever writes to an upload or finishes it holds an exclusive flock on its file, which the kernel frees with the process.
   A lock on a file that has meanwhile been finished or discarded counts for nothing: finished content has no writer.
3. What a killed request wrote beyond the state that the database knows is cut off by the next one.
4. The loop's thread does what is in memory: short system calls, hashing, reads from the page cache. What waits for a disk
   (fsync, cold reads, lists) runs in threads of the store's own, where it holds up nobody else's.
"""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from berth.adapters.blob_files import (
    cut,
    finish_upload,
    leave_mark,
    list_files,
    open_upload,
    read_cached_piece,
    read_cold_pieces,
    read_mark,
    read_marker,
    sync_directory,
    try_to_write,
    write_marker,
)
from berth.adapters.blob_problems import blob_lost, check_claim, check_upload_id, is_upload_id
from berth.adapters.disk import reserve, translating_disk_full, write_back
from berth.adapters.running_hash import Hash, RunningHashes, resume
from berth.domain.image_reference import Digest
from berth.domain.problem import UpstreamFailed
from berth.services.ports.blob_store import StoredBlob, UploadState

_STEP_BYTES = 16 * 1024 * 1024  # of a large upload, at which it goes on to the disk and gets more room there
_LISTED_AT_ONCE = 500
_THREADS = 8
_FOLDERS = tuple(f"content/{number:02x}" for number in range(256))
_LOCATION = re.compile(
    r"content/([0-9a-f]{2})/(?:sha256-\1[0-9a-f]{62}|sha512-\1[0-9a-f]{126})\.[0-9a-f]{32}\.[0-9a-f]{8}"
)

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class DirectoryBlobStore:
    """Implements BlobStore. Replicas that see one file system may share the directory."""

    def __init__(self, root: Path) -> None:
        """Makes the directories. Raises UpstreamFailed, LimitReached."""
        self._root = root.absolute()
        self._uploads = self._root / "uploads"
        self._hashes = RunningHashes()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")
        with _translating(
            f"{self._root}, the folder for blobs,", "Make it writable, or name another with BERTH_BLOBS."
        ):
            for folder in ("", "uploads", "content", *_FOLDERS):
                (self._root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self._root / "content")

    def close(self) -> None:
        """Wait for what runs in threads."""
        self._threads.shutdown()

    async def claim(self, installation: str) -> None:
        marker = self._root / "installation"
        with _translating():
            found = await self._in_thread(read_marker, marker)
            if found is None and not await self._holds_content():
                found = await self._in_thread(write_marker, marker, installation)
        check_claim(found, installation, str(marker))

    async def _holds_content(self) -> bool:
        async for _ in self.list_locations(older_than=datetime.max.replace(tzinfo=UTC)):
            return True
        return False

    @asynccontextmanager
    async def write(self, upload_id: str, state: UploadState) -> AsyncIterator["DirectoryWriter"]:
        path = self._upload(upload_id)
        with _translating():
            descriptor = open_upload(path, state.size_bytes)
        writer = DirectoryWriter(descriptor, state.size_bytes, self._threads)
        try:
            with _translating():
                writer.running = resume(self._hashes.take(upload_id), state.size_bytes, read_mark(descriptor))
                mark = leave_mark(descriptor)
            try:
                yield writer
                await writer.settle()
            finally:
                self._hashes.keep(upload_id, writer.running, writer.size_bytes, mark)
        finally:
            writer.close()

    async def finish(self, upload_id: str, state: UploadState, digest: Digest) -> StoredBlob:
        """Cancelled, it still runs to its end in its thread."""
        path = self._upload(upload_id)
        known, location = self._hashes.take(upload_id), _new_location(upload_id, digest)
        with _translating():
            await self._in_thread(finish_upload, path, self._root / location, state.size_bytes, digest, known)
        return StoredBlob(location=location, size_bytes=state.size_bytes)

    async def discard(self, upload_id: str, state: UploadState) -> None:
        """Also while somebody writes: he writes into a file without a name."""
        path = self._upload(upload_id)
        self._hashes.take(upload_id)
        with _translating():
            await self._in_thread(path.unlink, True)

    async def read_whole(self, location: str, size_bytes: int) -> bytes:
        """Without a thread: a hop costs more than reading a small file."""
        with _translating():
            descriptor = self._open_content(location)
            try:
                content = os.read(descriptor, size_bytes + 1)
            finally:
                os.close(descriptor)
        if len(content) != size_bytes:
            raise blob_lost()
        return content

    async def read(self, location: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """What is in the page cache is read at once; for the rest a thread reads a mebibyte ahead."""
        with _translating():
            descriptor = self._open_content(location)
        try:
            while start < stop:
                with _translating():
                    pieces = read_cached_piece(descriptor, start, stop)
                    if pieces is None:
                        pieces = await self._in_thread(read_cold_pieces, descriptor, start, stop)
                for piece in pieces:
                    if not piece:
                        raise blob_lost()
                    start += len(piece)
                    yield piece
                    await asyncio.sleep(0)  # a quick reader must not keep all others waiting
        finally:
            os.close(descriptor)

    async def find_url(self, location: str) -> str | None:
        """None: what is here can only be had through this server."""
        return None

    async def delete(self, location: str) -> None:
        path = Path(self._content(location))
        with _translating():
            await self._in_thread(path.unlink, True)

    async def list_locations(self, *, older_than: datetime) -> AsyncIterator[str]:
        for folder in _FOLDERS:
            async for name in self._list(folder, older_than):
                if _LOCATION.fullmatch(location := f"{folder}/{name}"):
                    yield location

    async def list_uploads(self, *, older_than: datetime) -> AsyncIterator[tuple[str, UploadState]]:
        async for name in self._list("uploads", older_than):
            if is_upload_id(name):
                yield name, UploadState()

    async def ping(self) -> None:
        with _translating():
            await self._in_thread(try_to_write, self._uploads / ".ping")

    def _upload(self, upload_id: str) -> Path:
        return self._uploads / check_upload_id(upload_id)

    def _content(self, location: str) -> str:
        """Its path. Raises UpstreamFailed for what cannot be one of our locations, before it is part of any path."""
        if not _LOCATION.fullmatch(location):
            raise blob_lost()
        return f"{self._root}/{location}"

    def _open_content(self, location: str) -> int:
        path = self._content(location)
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            if Path(path).parent.is_dir():
                raise blob_lost() from None
            raise  # all of the store is away, not this blob

    async def _list(self, folder: str, older_than: datetime) -> AsyncIterator[str]:
        """Names in a directory, a batch in memory at a time."""
        names = list_files(self._root / folder, older_than.timestamp())
        while True:
            with _translating():
                batch = await self._in_thread(_next_batch, names)
            if not batch:
                return
            for name in batch:
                yield name

    async def _in_thread(self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


class DirectoryWriter:
    """Implements UploadWriter. What a failed call wrote is not counted, and is written over by the next."""

    def __init__(self, descriptor: int, size_bytes: int, threads: ThreadPoolExecutor) -> None:
        self.size_bytes = size_bytes
        self.running: Hash | None = None
        self._descriptor = descriptor
        self._threads = threads
        self._is_cut = False
        self._stepped = size_bytes
        self._step: asyncio.Future[None] | None = None

    @property
    def state(self) -> UploadState:
        """Outlives the server. After the death of the machine the file may be shorter: `blob.lost`."""
        return UploadState(size_bytes=self.size_bytes)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Written and hashed in the loop's thread: for pieces of this size a hop costs more than it gives."""
        if self.size_bytes - self._stepped >= _STEP_BYTES:
            await self.settle()  # the disk has not even begun with what came before
            self._begin_step()
        left, end = memoryview(data), self.size_bytes
        with _translating():
            if not self._is_cut:
                cut(self._descriptor, end)
                self._is_cut = True
            while left:
                written = os.pwrite(self._descriptor, left, end)
                left, end = left[written:], end + written
        if self.running is not None:
            self.running.update(data)
        self.size_bytes = end

    def _begin_step(self) -> None:
        start, self._stepped = self._stepped, self.size_bytes
        loop = asyncio.get_running_loop()
        self._step = loop.run_in_executor(self._threads, _step, self._descriptor, start, self.size_bytes)

    async def settle(self) -> None:
        """Wait until no thread uses the file."""
        if self._step is not None:
            await asyncio.shield(self._step)

    def close(self) -> None:
        """End the lock; once no thread uses the descriptor, whose number will be another file's."""
        if self._step is None or self._step.done():
            os.close(self._descriptor)
        else:
            self._step.add_done_callback(lambda _: os.close(self._descriptor))


def _step(descriptor: int, start: int, end: int) -> None:
    """Send what has come since `start` on its way to the disk, and have room there for what comes until the next but one."""
    reserve(descriptor, end, 2 * _STEP_BYTES)
    write_back(descriptor, start, end - start)


_FOLDER = "The folder that holds this server's blobs"  # clients are not told where it is
_REMEDY = "The site administrator looks at the folder that BLOBS names."


@contextlib.contextmanager
def _translating(folder: str = _FOLDER, remedy: str = _REMEDY) -> Iterator[None]:
    try:
        with translating_disk_full("blob.disk_full", setting="BLOBS"):
            yield
    except OSError as error:
        raise UpstreamFailed(
            f"{folder} cannot be used: {error.strerror or type(error).__name__}.",
            code="blob.unavailable",
            retryable=True,
            remedy=remedy,
        ) from error


def _new_location(upload_id: str, digest: Digest) -> str:
    """Never used before: not by another upload of this digest, nor by an earlier attempt to finish this one."""
    name = f"{digest.algorithm}-{digest.hex}.{upload_id.replace('-', '')}.{secrets.token_hex(4)}"
    return f"content/{digest.hex[:2]}/{name}"


def _next_batch(names: Iterator[str]) -> list[str]:
    return list(islice(names, _LISTED_AT_ONCE))

"""The files of the directory blob store, one operation each: locked, synchronised, listed. Nothing here knows the loop.

Raises Problems for what the store's rules refuse, and OSError for what the system refuses.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from berth.adapters.blob_problems import digest_mismatch, upload_busy, upload_lost
from berth.adapters.running_hash import KnownHash, answers, resume
from berth.domain.image_reference import Digest

_PIECE_BYTES = 512 * 1024
_COLD_PIECES = 2  # read at once where the disk is waited for
_MARKER_CHARACTERS = 256
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system's are: stat(2)
_HASHED_AT_ONCE_BYTES = 1024 * 1024


def open_upload(path: Path, size_bytes: int) -> int:
    """The upload's file, locked, of this size at least. An upload without bytes need not have a file yet.

    Raises Conflict where it is locked, UpstreamFailed where bytes are missing.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if size_bytes == 0 else 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        if path.parent.is_dir():
            raise upload_lost() from None
        raise
    try:
        _lock(descriptor, path)
        _check_size(descriptor, size_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise upload_busy() from None
    try:
        is_still_there = os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        is_still_there = False
    if not is_still_there:  # finished or discarded between opening and locking
        raise upload_lost()


def _check_size(descriptor: int, size_bytes: int) -> None:
    if os.fstat(descriptor).st_size < size_bytes:
        raise upload_lost()


def cut(descriptor: int, size_bytes: int) -> None:
    """Remove what lies beyond this size, and give back the room that was reserved there."""
    there = os.fstat(descriptor)
    if there.st_size > size_bytes or there.st_blocks * _BLOCK_BYTES > size_bytes + there.st_blksize:
        os.ftruncate(descriptor, size_bytes)


def read_mark(descriptor: int) -> str:
    """What the last writer left with `leave_mark`."""
    return str(os.fstat(descriptor).st_atime_ns)


def leave_mark(descriptor: int) -> str:
    """Mark the upload as written by its next writer: with an access time that nobody else ever had.

    Every file system has that, and nothing but a writer of ours sets it; if something reads the file and so changes it, the
    upload is read once more, no harm done.
    """
    os.utime(descriptor, ns=(secrets.randbits(60), os.fstat(descriptor).st_mtime_ns))
    return read_mark(descriptor)


def finish_upload(path: Path, target: Path, size_bytes: int, digest: Digest, known: KnownHash | None) -> None:
    """Verify the digest, put all on the disk, and give it its name. A wrong or a doubtful upload is removed."""
    descriptor = open_upload(path, size_bytes)
    try:
        cut(descriptor, size_bytes)
        is_right = answers(resume(known, size_bytes, read_mark(descriptor)), digest)
        if is_right is None:
            is_right = _hash_file(descriptor, digest) == digest.hex
        if not is_right:
            path.unlink(missing_ok=True)
            raise digest_mismatch(digest)
        os.utime(descriptor)  # its age counts from now, however long ago the last byte came
        try:
            os.fsync(descriptor)
        except OSError:
            path.unlink(missing_ok=True)  # the kernel counts its bytes as written now: another fsync would succeed
            raise
        try:
            path.rename(target)
        except FileNotFoundError:
            if path.parent.is_dir() and target.parent.is_dir():
                raise upload_lost() from None  # discarded meanwhile, which waits for no lock
            raise
        sync_directory(target.parent)
    finally:
        os.close(descriptor)


def _hash_file(descriptor: int, digest: Digest) -> str:
    """The whole file's hash, in the algorithm of a digest."""
    computed, position = hashlib.new(digest.algorithm), 0
    while piece := os.pread(descriptor, _HASHED_AT_ONCE_BYTES, position):
        computed.update(piece)
        position += len(piece)
    return computed.hexdigest()


def sync_directory(path: Path) -> None:
    """Make the names in it outlive the machine's death."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_cached_piece(descriptor: int, position: int, stop: int) -> list[bytes] | None:
    """The next piece, alone, if its first and last byte are in the page cache: then the read will hardly wait for the disk.

    Source: preadv2(2), RWF_NOWAIT. Where the file system does not know the flag, nothing counts as cached.
    """
    size, probe = min(_PIECE_BYTES, stop - position), bytearray(1)
    try:
        for offset in (position + size - 1, position):
            if os.preadv(descriptor, (probe,), offset, os.RWF_NOWAIT) == 0:
                return None
    except OSError:
        return None
    return [os.pread(descriptor, size, position)]


def read_cold_pieces(descriptor: int, position: int, stop: int) -> list[bytes]:
    """The next pieces, whatever it takes; an empty one is the end of a file that is too short."""
    pieces: list[bytes] = []
    while position < stop and len(pieces) < _COLD_PIECES:
        piece = os.pread(descriptor, min(_PIECE_BYTES, stop - position), position)
        pieces.append(piece)
        if not piece:
            break
        position += len(piece)
    return pieces


def try_to_write(path: Path) -> None:
    """Make a file, and remove it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, b"ping")
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def read_marker(path: Path) -> str | None:
    """The id that stands in the file; None if there is no file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MARKER_CHARACTERS).strip()
    except FileNotFoundError:
        return None


def write_marker(path: Path, text: str) -> str:
    """What stands in the file afterwards: this text, or that of another server that was quicker. Never half of it."""
    own = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with own.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(own)
    finally:
        own.unlink(missing_ok=True)
    sync_directory(path.parent)
    return read_marker(path) or ""


def list_files(folder: Path, before: float) -> Iterator[str]:
    """Names of files that were changed before that time; what goes while we look is not listed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before:
                    yield entry.name

"""What the adapters make of a full disk: an answer with a code, not a fault without a name; and writing back early."""

import contextlib
import ctypes
import errno
import functools
from collections.abc import Callable, Iterator

from berth.domain.problem import LimitReached

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "Out of diskspace")


_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h: begin to write back dirty pages, wait for nothing


def disk_full(code: str, setting: str = "DATA_DIR") -> LimitReached:
    """The disk with the server's data, at the place that a setting names, is full."""
    return LimitReached(
        "The disk that holds this server's data is full.",
        code=code,
        remedy=f"The site administrator makes room in {setting}; then do the same again.",
    )


def says_disk_full(text: str) -> bool:
    """Whether a program's words (in the C locale) mean that the disk is full."""
    return any(known in text for known in _FULL_TEXTS)


@contextlib.contextmanager
def translating_disk_full(code: str = "server.disk_full", setting: str = "DATA_DIR") -> Iterator[None]:
    """Raises LimitReached with this code for what the system says when a disk or a quota is full; all else passes."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(code, setting) from error
        raise


def write_back(descriptor: int, start: int, size_bytes: int) -> None:
    """Let the kernel begin to put this range of a file onto the disk, so that a later fsync finds little to do.

    Promises nothing, and does nothing where there is no such call. It may wait for the disk: call it from a thread.
    Source: sync_file_range(2).
    """
    sync_file_range = _find_sync_file_range()
    if sync_file_range is not None:
        sync_file_range(descriptor, start, size_bytes, _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """The C library's function; Python has none of its own."""
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function

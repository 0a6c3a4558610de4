"""What the adapters make of a full disk: an answer with a code, not a fault without a name; and files that grow."""

import contextlib
import ctypes
import errno
import functools
from collections.abc import Callable, Iterator

from berth.domain.problem import LimitReached

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "Out of diskspace")


_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h: begin to write back dirty pages, wait for nothing
_FALLOC_FL_KEEP_SIZE = 1  # linux/falloc.h


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


def write_back(descriptor: int, start: int, size_bytes: int) -> bool:
    """Let the kernel begin to put this range of a file onto the disk, so that a later fsync finds little to do.

    Promises nothing; False where the system has or takes no such call. It may wait for the disk: call it from a thread.
    Source: sync_file_range(2).
    """
    sync_file_range = _find_call("sync_file_range", ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return sync_file_range is not None and sync_file_range(descriptor, start, size_bytes, _SYNC_FILE_RANGE_WRITE) == 0


def reserve(descriptor: int, start: int, size_bytes: int) -> bool:
    """Take room on the disk for this range of a file at once: that costs less than for one block after the other.

    The file keeps its size; truncating it gives back what was not used. False where there is no such call or no room:
    nothing is lost, writing goes on as without it. It may wait for the disk: call it from a thread. Source: fallocate(2).
    """
    fallocate = _find_call("fallocate", ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return fallocate is not None and fallocate(descriptor, _FALLOC_FL_KEEP_SIZE, start, size_bytes) == 0


@functools.cache
def _find_call(name: str, *arguments: type) -> Callable[..., int] | None:
    """The C library's function, whose first argument is a file descriptor; Python has none of its own for it."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function.argtypes = (ctypes.c_int, *arguments)
    return function

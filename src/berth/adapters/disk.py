"""What the adapters make of a full disk: an answer with a code, not a fault without a name."""

import contextlib
import errno
from collections.abc import Iterator

from berth.domain.problem import LimitReached

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "Out of diskspace")


def disk_full(code: str) -> LimitReached:
    """The disk with the server's data is full."""
    return LimitReached(
        "The disk that holds this server's data is full.",
        code=code,
        remedy="The site administrator makes room in DATA_DIR; then do the same again.",
    )


def says_disk_full(text: str) -> bool:
    """Whether a program's words (in the C locale) mean that the disk is full."""
    return any(known in text for known in _FULL_TEXTS)


@contextlib.contextmanager
def translating_disk_full(code: str = "server.disk_full") -> Iterator[None]:
    """Raises LimitReached with this code for what the system says when a disk or a quota is full; all else passes."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(code) from error
        raise

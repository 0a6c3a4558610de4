"""The sha256 of uploads under way, computed as the data comes: no byte is read again to verify a digest.

Known only to the process that took every byte so far. After a restart, in another replica, or for a sha512 digest, the
store reads the upload once more when it is finished: once, however many requests brought it.

Decided: hash states are not kept beside the data. hashlib cannot export them, and reading a gibibyte again takes 0.6 s.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from berth.domain.image_reference import Digest, DigestAlgorithm

_CAPACITY = 256


class Hash(Protocol):
    """hashlib's objects."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class KnownHash:
    """A hash of the first bytes of an upload, as this process saw them."""

    running: Hash
    size_bytes: int
    mark: str

    def of(self, size_bytes: int, mark: str) -> Hash | None:
        """The hash, if it is of what lies in the store now: so many bytes, with this mark."""
        return self.running if (self.size_bytes, self.mark) == (size_bytes, mark) else None


class RunningHashes:
    """Hashes by upload. Bounded: the upload that was left longest is forgotten first.

    The mark is what another process cannot help changing when it writes to the upload. Size alone would let a client send
    one content to this process and as many bytes of another content to the next, and have that stored as the first.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._known: OrderedDict[str, KnownHash] = OrderedDict()

    def take(self, upload_id: str) -> KnownHash | None:
        """What is known, for the caller alone: whoever writes on keeps it again."""
        return self._known.pop(upload_id, None)

    def keep(self, upload_id: str, running: Hash | None, size_bytes: int, mark: str) -> None:
        """For the next request."""
        if running is None:
            return
        self._known[upload_id] = KnownHash(running, size_bytes, mark)
        self._known.move_to_end(upload_id)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


def resume(known: KnownHash | None, size_bytes: int, mark: str) -> Hash | None:
    """The hash of what lies in the store; None if all of it has to be read for that."""
    if size_bytes == 0:
        return hashlib.sha256()
    return None if known is None else known.of(size_bytes, mark)


def answers(running: Hash | None, digest: Digest) -> bool | None:
    """Whether the data has this digest; None if the running hash cannot tell."""
    if running is None or digest.algorithm is not DigestAlgorithm.SHA256:
        return None
    return running.hexdigest() == digest.hex

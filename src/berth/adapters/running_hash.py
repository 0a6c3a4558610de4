"""The sha256 of uploads under way, computed as the data comes: no byte is read again to verify a digest.

Known only to the process that took every byte so far. After a restart, in another replica, or for a sha512 digest, the
store reads the upload once more when it is finished: once, however many requests brought it.

Decided: hash states are not kept beside the data. hashlib cannot export them, and reading a gibibyte again takes 0.6 s.
"""

import hashlib
from collections import OrderedDict
from typing import Protocol

from berth.domain.image_reference import Digest, DigestAlgorithm

_CAPACITY = 256


class Hash(Protocol):
    """hashlib's objects."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class RunningHashes:
    """States by upload. Bounded: the upload that was left longest is forgotten first."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._states: OrderedDict[str, tuple[int, Hash]] = OrderedDict()

    def take(self, upload_id: str, size_bytes: int) -> Hash | None:
        """The state after exactly this many bytes, for the caller alone; None if it is not known."""
        known, running = self._states.pop(upload_id, (0, None))
        if size_bytes == 0:
            return hashlib.sha256()
        return running if known == size_bytes else None

    def keep(self, upload_id: str, size_bytes: int, running: Hash | None) -> None:
        """For the next request."""
        if running is None:
            return
        self._states[upload_id] = (size_bytes, running)
        self._states.move_to_end(upload_id)
        while len(self._states) > self._capacity:
            self._states.popitem(last=False)

    def drop(self, upload_id: str) -> None:
        """The upload is gone."""
        self._states.pop(upload_id, None)


def answers(running: Hash | None, digest: Digest) -> bool | None:
    """Whether the data has this digest; None if the running hash cannot tell."""
    if running is None or digest.algorithm is not DigestAlgorithm.SHA256:
        return None
    return running.hexdigest() == digest.hex

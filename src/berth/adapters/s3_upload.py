"""How far an upload to S3 is: the parts of a multipart upload, and a tail that is too small for a part.

The state is what `UploadState.handle` holds, so every replica can go on, and nothing but that counts:
1. Parts that the state names are never written over. The parts that come after them may lie in the store already, from a
   request whose state never reached the database; the next writer writes over them.
2. A tail is an object of its own for each state. The tail of the state before is kept until the state after: a request
   may die before the database knows its state.
"""

import json
from dataclasses import dataclass, replace
from typing import Self

from berth.adapters.blob_problems import upload_lost
from berth.services.ports.blob_store import UploadState

MAX_PARTS = 10_000  # Source: Amazon S3 User Guide, "Amazon S3 multipart upload limits", also for 5 MiB the least


@dataclass(frozen=True, slots=True)
class PartSizes:
    """The first thousand parts have this size, every next thousand twice as much, up to eight times as much.

    8 MiB: 492 GiB in 10 000 parts; an upload holds one part in memory, so 8 MiB up to 7.8 GiB, 64 MiB past 54 GiB.
    """

    first_bytes: int = 8 * 1024 * 1024
    step: int = 1000

    def of(self, number: int) -> int:
        """The size of the part with this number; the first one is 1."""
        return self.first_bytes << min(3, (number - 1) // self.step)

    def total(self, count: int) -> int:
        """The size of the first `count` parts."""
        full_steps = (self.step * self.of(1 + index * self.step) for index in range(count // self.step))
        return sum(full_steps) + (count % self.step) * self.of(count + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Upload:
    """`key` is where the content will lie; it and `multipart` are empty while everything fits into the tail."""

    key: str = ""
    multipart: str = ""
    since: int = 0  # when the multipart upload began, in seconds since 1970, by the server's clock
    etags: tuple[str, ...] = ()
    tail: str = ""  # the tail's name, empty if there is none
    tail_bytes: int = 0
    stale_tail: str = ""  # of the state before; the next writer may remove it

    def to_state(self, sizes: PartSizes) -> UploadState:
        size_bytes = sizes.total(len(self.etags)) + self.tail_bytes
        if self == S3Upload():
            return UploadState()
        fields = [self.key, self.multipart, self.since, self.etags, self.tail, self.tail_bytes, self.stale_tail]
        return UploadState(size_bytes=size_bytes, handle=json.dumps(fields, separators=(",", ":")))

    @classmethod
    def parse(cls, handle: str) -> Self:
        """Raises UpstreamFailed for what no S3 store wrote: the upload was begun in another kind of store."""
        if not handle:
            return cls()
        try:
            key, multipart, since, etags, tail, tail_bytes, stale_tail = json.loads(handle)
            texts, numbers = (key, multipart, tail, stale_tail, *etags), (since, tail_bytes)
        except (ValueError, TypeError, RecursionError) as error:
            raise upload_lost() from error
        if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
            raise upload_lost()
        return cls(
            key=key,
            multipart=multipart,
            since=since,
            etags=tuple(etags),
            tail=tail,
            tail_bytes=tail_bytes,
            stale_tail=stale_tail,
        )

    @classmethod
    def of_state(cls, state: UploadState, sizes: PartSizes) -> Self:
        """Raises UpstreamFailed where size and handle contradict each other."""
        upload = cls.parse(state.handle)
        if sizes.total(len(upload.etags)) + upload.tail_bytes != state.size_bytes:
            raise upload_lost()
        return upload

    def with_part(self, etag: str) -> Self:
        """After another part, into which the tail went."""
        return replace(self, etags=(*self.etags, etag), tail="", tail_bytes=0, stale_tail=self.tail or self.stale_tail)

    def with_tail(self, tail: str, tail_bytes: int) -> Self:
        return replace(self, tail=tail, tail_bytes=tail_bytes, stale_tail=self.tail or self.stale_tail)

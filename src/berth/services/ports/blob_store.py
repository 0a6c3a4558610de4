"""Where the built-in registry keeps content."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from berth.domain.image_reference import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadState:
    """How far an upload is, as the database keeps it between two requests: the truth, whatever lies in the store.

    What a killed request wrote beyond `size_bytes` does not count; the next writer goes on from here. `handle` is the
    store's own business (a multipart upload and its parts, for instance); it holds no secret.
    """

    size_bytes: int = 0
    handle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """Content whose digest was verified. `location` is where the store keeps it: unique for each upload, never used again."""

    location: str
    size_bytes: int


class UploadWriter(Protocol):
    """The one writer of an upload. Data is written in order; nothing of it can be read before `BlobStore.finish`."""

    @property
    def size_bytes(self) -> int:
        """What there is, with what earlier requests brought."""
        ...

    @property
    def state(self) -> UploadState:
        """Once the block of `BlobStore.write` ended: what the database shall keep, safe in the store as far as it says."""
        ...

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append. The caller may reuse the memory afterwards. Raises LimitReached(code="blob.disk_full"), UpstreamFailed."""
        ...


class BlobStore(Protocol):
    """Keeps blobs: a directory, or an S3-compatible store. Knows nothing of packages, names or rights.

    Locations are unique per upload, so deleting one can never hit content that was uploaded again meanwhile. Raises
    LimitReached(code="blob.disk_full") for a full disk, UpstreamFailed(code="blob.unavailable", retryable=True) for a store
    that does not answer, UpstreamFailed(code="blob.lost") for a location that should be there and is not.
    """

    async def claim(self, installation: str) -> None:
        """It belongs to this installation, whose replicas share it; from now on, if it is empty. May be repeated.

        Garbage collection removes what the database does not know. With another installation's database, or with an empty
        one, that would be all there is. Raises Invalid(code="blob.foreign") where another id stands, or none beside content.
        """
        ...

    def write(self, upload_id: str, state: UploadState) -> AbstractAsyncContextManager[UploadWriter]:
        """Go on with an upload (a UUID) from `state`. Raises Conflict(code="upload.busy") while somebody else writes it,
        UpstreamFailed(code="blob.lost") where bytes of `state` are missing.

        Nothing that lies in the store beyond `state` goes before the first `write`: a caller whose state was old can still
        leave without harm.

        However the block ends (also by cancellation), what was written is kept; the writer's `state` tells how far it came.
        """
        ...

    async def finish(self, upload_id: str, state: UploadState, digest: Digest) -> StoredBlob:
        """Verify the digest of all that was written, and keep it, on stable storage, at a location of its own.

        Raises Invalid(code="digest.mismatch"), and the upload is gone; Conflict(code="upload.busy") while somebody writes.
        May be repeated after a failure or a crash, and never returns one location twice: if an earlier attempt came so far
        that the content had one, `list_locations` finds that, it is nobody's, and this raises UpstreamFailed(code="blob.lost").
        An upload of zero bytes is content like any other.
        """
        ...

    async def discard(self, upload_id: str, state: UploadState) -> None:
        """Forget an upload that was not finished, also under the hands of a writer. Nothing happens if there is none."""
        ...

    async def read_whole(self, location: str, size_bytes: int) -> bytes:
        """A small blob, at once."""
        ...

    def read(self, location: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `stop`, in pieces of at most 512 KiB. Lets others run in between."""
        ...

    async def find_url(self, location: str) -> str | None:
        """An address, good for some minutes, where anyone can fetch it from the store itself; None if it has none."""
        ...

    async def delete(self, location: str) -> None:
        """Nothing happens if it is gone."""
        ...

    def list_locations(self, *, older_than: datetime) -> AsyncIterator[str]:
        """What was finished before that time, also what no database row knows; a store may list it a day late, never early."""
        ...

    def list_uploads(self, *, older_than: datetime) -> AsyncIterator[tuple[str, UploadState]]:
        """Unfinished uploads that nobody wrote to since that time: their ids, and what `discard` needs to remove them."""
        ...

    async def ping(self) -> None:
        """Raises UpstreamFailed or LimitReached if nothing can be stored now, as far as that can be told cheaply."""
        ...

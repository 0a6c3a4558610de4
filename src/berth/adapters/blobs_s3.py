"""The BlobStore port on an S3-compatible store. Keys, below the prefix of BLOBS:

    installation                    whose it is; written once
    uploads/<upload id>/<random>    the tail of an upload under way: what is too small for a part
    content/<upload id>.<random>    finished content, and the target of the multipart upload that will become it

1. Nothing is held but one part of each running upload, in memory (`PartSizes`), and nothing lies on the local disk.
2. Content whose every byte this process hashed is verified before the multipart upload is completed. Otherwise (after a
   restart, in another replica, for sha512) it is completed first, because an upload under way cannot be read, then read
   back, and deleted if it is wrong. Nobody knows its location until `finish` returns it.
3. One process refuses a second writer. Between replicas the database does, when it stores the state; and completing names
   the ETag of every part, so that parts which another writer replaced are noticed, not published.
4. An object counts as old as its multipart upload (Amazon S3 User Guide, "Working with object metadata", Last-Modified), not
   as its completion. So uploads must be finished within a day, and locations are listed a day late: never so early that
   garbage collection could meet one that was just finished.
"""

import contextlib
import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

from berth.adapters.blob_problems import (
    blob_lost,
    check_claim,
    check_upload_id,
    digest_mismatch,
    is_upload_id,
    upload_busy,
    upload_lost,
)
from berth.adapters.running_hash import Hash, RunningHashes, answers, resume
from berth.adapters.s3_client import S3Client, S3Multipart
from berth.adapters.s3_upload import MAX_PARTS, PartSizes, S3Upload
from berth.domain.image_reference import Digest
from berth.domain.problem import LimitReached, Problem, UpstreamFailed
from berth.services.ports.blob_store import StoredBlob, UploadState

_FINISH_WITHIN = timedelta(hours=23)
_LISTED_LATE = timedelta(hours=24)  # an hour more: clocks differ, and completing takes a while
_MARKER = "installation"
_MARKER_BYTES = 256
_LOCATION = re.compile(r"content/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[0-9a-f]{8}")


class S3BlobStore:
    """Implements BlobStore. Replicas share the bucket."""

    def __init__(self, client: S3Client, *, redirect: bool = True, sizes: PartSizes | None = None) -> None:
        """`redirect`: whether clients can reach the store themselves."""
        self._client = client
        self._redirect = redirect
        self._sizes = sizes or PartSizes()
        self._hashes = RunningHashes()
        self._busy: set[str] = set()

    async def claim(self, installation: str) -> None:
        found = await self._client.read_first(_MARKER, _MARKER_BYTES)
        if found is None and not await self._holds_content():
            await self._client.put_first(_MARKER, f"{installation}\n".encode())
            found = await self._client.read_first(_MARKER, _MARKER_BYTES)
        check_claim(
            None if found is None else found.decode(errors="replace").strip(), installation, f"{_MARKER}, below BLOBS"
        )

    async def _holds_content(self) -> bool:
        async for _ in self._client.list("content/"):
            return True
        return False

    @asynccontextmanager
    async def write(self, upload_id: str, state: UploadState) -> AsyncIterator["S3Writer"]:
        with self._claimed(upload_id):
            upload = self._upload(upload_id, state)
            tail = await self._fetch_tail(upload_id, upload)
            running = resume(self._hashes.take(upload_id), state.size_bytes, state.handle)
            writer = S3Writer(self._client, upload_id, upload, self._sizes, tail, running)
            try:
                yield writer
            except BaseException:
                with contextlib.suppress(Problem):  # what led here is the news; `state` says what is safe
                    await writer.close()
                raise
            else:
                await writer.close()
            finally:
                self._hashes.keep(upload_id, running, writer.size_bytes, writer.state.handle)

    async def finish(self, upload_id: str, state: UploadState, digest: Digest) -> StoredBlob:
        with self._claimed(upload_id):
            upload = self._upload(upload_id, state)
            running = resume(self._hashes.take(upload_id), state.size_bytes, state.handle)
            is_right = answers(running, digest)
            location = "" if is_right is False else await self._complete(upload_id, upload)
            if is_right is None:
                is_right = await self._has_digest(location, state.size_bytes, digest)
            if not is_right:
                await self._remove(upload_id, state, location)
                raise digest_mismatch(digest)
            with contextlib.suppress(Problem):  # what stays is listed as an upload, and discarded some day
                for tail in filter(None, (upload.tail, upload.stale_tail)):
                    await self._client.delete(_tail_key(upload_id, tail))
        return StoredBlob(location=location, size_bytes=state.size_bytes)

    async def discard(self, upload_id: str, state: UploadState) -> None:
        """Also what requests left whose state never reached the database."""
        prefix = _content_prefix(check_upload_id(upload_id))
        self._hashes.take(upload_id)
        upload = _parsed_or_none(state.handle)
        if upload is not None and upload.key.startswith(prefix):
            await self._client.abort_multipart(upload.key, upload.multipart)
        async for multipart in self._client.list_multiparts(prefix):
            await self._client.abort_multipart(multipart.key, multipart.id)
        async for tail in self._client.list(_tail_key(upload_id, "")):
            await self._client.delete(tail.key)

    async def read_whole(self, location: str, size_bytes: int) -> bytes:
        return b"".join([piece async for piece in self.read(location, 0, size_bytes)])

    async def read(self, location: str, start: int, stop: int) -> AsyncIterator[bytes]:
        async for piece in self._client.read(_checked(location), start, stop):
            yield piece

    async def find_url(self, location: str) -> str | None:
        return await self._client.presign(_checked(location)) if self._redirect else None

    async def delete(self, location: str) -> None:
        await self._client.delete(_checked(location))

    async def list_locations(self, *, older_than: datetime) -> AsyncIterator[str]:
        async for found in self._client.list("content/"):
            if found.modified_at < older_than - _LISTED_LATE and _LOCATION.fullmatch(found.key):
                yield found.key

    async def list_uploads(self, *, older_than: datetime) -> AsyncIterator[tuple[str, UploadState]]:
        """Those with a multipart upload, then those that are a tail only."""
        last = ""
        async for multipart in self._client.list_multiparts("content/"):
            upload_id = multipart.key.removeprefix("content/").partition(".")[0]
            if upload_id == last or not is_upload_id(upload_id) or multipart.initiated_at >= older_than:
                continue
            last = upload_id
            if await self._find_newest_at(upload_id) < older_than:
                yield upload_id, UploadState(handle=_handle_of(multipart))
        last = ""
        async for tail in self._client.list("uploads/"):
            upload_id = tail.key.removeprefix("uploads/").partition("/")[0]
            if upload_id == last or not is_upload_id(upload_id) or tail.modified_at >= older_than:
                continue
            last = upload_id
            if await self._is_tail_only(upload_id) and await self._find_newest_at(upload_id) < older_than:
                yield upload_id, UploadState()

    async def ping(self) -> None:
        await self._client.ping()

    @contextlib.contextmanager
    def _claimed(self, upload_id: str) -> Iterator[None]:
        check_upload_id(upload_id)
        if upload_id in self._busy:
            raise upload_busy()
        self._busy.add(upload_id)
        try:
            yield
        finally:
            self._busy.remove(upload_id)

    def _upload(self, upload_id: str, state: UploadState) -> S3Upload:
        """How far it is. Raises UpstreamFailed for one that is not this upload's, or takes too long."""
        upload = S3Upload.of_state(state, self._sizes)
        is_other = upload.multipart and not upload.key.startswith(_content_prefix(upload_id))
        if is_other or (upload.since and time.time() - upload.since > _FINISH_WITHIN.total_seconds()):
            raise upload_lost()
        return upload

    async def _fetch_tail(self, upload_id: str, upload: S3Upload) -> BytesIO:
        """The tail, to be written on; empty if there is none."""
        tail, key = BytesIO(), _tail_key(upload_id, upload.tail)
        async for piece in self._client.read(key, 0, upload.tail_bytes, lost=upload_lost):
            tail.write(piece)
        return tail

    async def _complete(self, upload_id: str, upload: S3Upload) -> str:
        """Make one object of parts and tail; its key."""
        tail = await self._fetch_tail(upload_id, upload)
        tail.seek(0)
        if not upload.multipart:
            key = _new_key(upload_id)
            await self._client.put(key, tail)
            return key
        etags = upload.etags
        if upload.tail_bytes:
            last = await self._client.upload_part(upload.key, upload.multipart, len(etags) + 1, tail)
            etags = (*etags, last)
        await self._client.complete_multipart(upload.key, upload.multipart, etags)
        return upload.key

    async def _has_digest(self, location: str, size_bytes: int, digest: Digest) -> bool:
        computed = hashlib.new(digest.algorithm)
        async for piece in self._client.read(location, 0, size_bytes, lost=upload_lost):
            computed.update(piece)
        return computed.hexdigest() == digest.hex

    async def _remove(self, upload_id: str, state: UploadState, location: str) -> None:
        """An upload that has the wrong content, completed or not."""
        if location:
            await self._client.delete(location)
        await self.discard(upload_id, state)

    async def _is_tail_only(self, upload_id: str) -> bool:
        async for _ in self._client.list_multiparts(_content_prefix(upload_id)):
            return False
        return True

    async def _find_newest_at(self, upload_id: str) -> datetime:
        """When anything of the upload was written last, by whatever request."""
        newest = datetime.min.replace(tzinfo=UTC)
        async for multipart in self._client.list_multiparts(_content_prefix(upload_id)):
            newest = max(newest, multipart.initiated_at, await self._client.find_newest_part_at(multipart) or newest)
        async for tail in self._client.list(_tail_key(upload_id, "")):
            newest = max(newest, tail.modified_at)
        return newest


class S3Writer:
    """Implements UploadWriter. Collects a part, then sends it; whoever writes waits for that."""

    def __init__(
        self,
        client: S3Client,
        upload_id: str,
        upload: S3Upload,
        sizes: PartSizes,
        tail: BytesIO,
        running: Hash | None,
    ) -> None:
        self._client = client
        self._upload_id = upload_id
        self._upload = upload
        self._before = upload
        self._sizes = sizes
        self._buffer = tail
        self._buffered = upload.tail_bytes
        self._running = running

    @property
    def size_bytes(self) -> int:
        return self._sizes.total(len(self._upload.etags)) + self._buffered

    @property
    def state(self) -> UploadState:
        return self._upload.to_state(self._sizes)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        left = memoryview(data)
        while left:
            part_bytes = self._sizes.of(len(self._upload.etags) + 1)
            taken = left[: part_bytes - self._buffered]
            self._buffer.write(taken)
            if self._running is not None:
                self._running.update(taken)
            self._buffered += len(taken)
            left = left[len(taken) :]
            if self._buffered == part_bytes:
                await self._send_part()

    async def _send_part(self) -> None:
        number = len(self._upload.etags) + 1
        if number >= MAX_PARTS:  # the last one is for the tail
            raise LimitReached(
                f"A blob in an S3 store has at most {self._sizes.total(MAX_PARTS - 1)} bytes.", code="blob.too_large"
            )
        if not self._upload.multipart:
            key = _new_key(self._upload_id)
            multipart = await self._client.create_multipart(key)
            self._upload = replace(self._upload, key=key, multipart=multipart, since=int(time.time()))
        upload = self._upload
        try:
            etag = await self._client.upload_part(upload.key, upload.multipart, number, self._collected())
        finally:
            self._buffer.seek(self._buffered)
        self._upload = upload.with_part(etag)
        self._buffer.seek(0)  # its memory is used again
        self._buffered = 0

    def _collected(self) -> BytesIO:
        """The buffer, from its beginning, with what was collected and no more."""
        self._buffer.truncate(self._buffered)
        self._buffer.seek(0)
        return self._buffer

    async def close(self) -> None:
        """Put what is left where the next writer takes it back, and remove what no state names any more."""
        if self._buffered != self._upload.tail_bytes:
            name = secrets.token_hex(8)
            await self._client.put(_tail_key(self._upload_id, name), self._collected())
            self._upload = self._upload.with_tail(name, self._buffered)
        if self._before.stale_tail and self._upload != self._before:
            with contextlib.suppress(Problem):  # discarding the upload finds it
                await self._client.delete(_tail_key(self._upload_id, self._before.stale_tail))


def _tail_key(upload_id: str, name: str) -> str:
    return f"uploads/{upload_id}/{name}"


def _content_prefix(upload_id: str) -> str:
    return f"content/{upload_id}."


def _new_key(upload_id: str) -> str:
    """Never used before."""
    return f"{_content_prefix(upload_id)}{secrets.token_hex(4)}"


def _parsed_or_none(handle: str) -> S3Upload | None:
    """None for a handle that no S3 store wrote, which names nothing here."""
    try:
        upload = S3Upload.parse(handle)
    except UpstreamFailed:
        return None
    return upload if upload.multipart else None


def _handle_of(multipart: S3Multipart) -> str:
    """What `discard` needs."""
    return S3Upload(key=multipart.key, multipart=multipart.id).to_state(PartSizes()).handle


def _checked(location: str) -> str:
    """Raises UpstreamFailed for what cannot be one of our locations."""
    if not _LOCATION.fullmatch(location):
        raise blob_lost()
    return location

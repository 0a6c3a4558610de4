"""The operations on a bucket that the S3 blob store needs: keys below the prefix, every failure a Problem.

aiobotocore is loaded when a client is opened: a server that keeps its blobs in a directory never pays for it.
No text of a Problem holds an address, a key or a signature: only the store's own error code.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any, Self

from berth.adapters.blob_problems import blob_lost, upload_lost
from berth.adapters.disk import disk_full
from berth.domain.problem import Problem, UpstreamFailed
from berth.domain.s3_address import S3Address

_PIECE_BYTES = 256 * 1024
_URL_TTL_S = 600
_CONNECT_TIMEOUT_S = 5
_CONNECTIONS = 100  # a blob that is read through this server holds one as long as its reader takes
_LOST = frozenset({"NoSuchKey", "NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall", "InvalidRange"})
_FULL = frozenset({"XMinioStorageFull", "QuotaExceeded"})
_ERROR_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_REMEDY = "The site administrator looks at the store that BLOBS names, and at docs/storage.md."


@dataclass(frozen=True, slots=True)
class S3Object:
    key: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class S3Multipart:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    id: str
    initiated_at: datetime


class S3Client:
    """A bucket. Raises UpstreamFailed(code="blob.lost") for what is not there, else as BlobStore says."""

    def __init__(self, client: Any, address: S3Address, failures: tuple[type[Exception], ...]) -> None:
        """`failures` is all that the library raises."""
        self._client = client
        self._bucket = address.bucket
        self._prefix = f"{address.prefix}/" if address.prefix else ""
        self._failures = failures

    @classmethod
    @asynccontextmanager
    async def open(cls, address: S3Address, *, read_timeout_s: float = 60, attempts: int = 3) -> AsyncIterator[Self]:
        """The server's own identity comes from AWS's standard chain: environment, profile, the role of the machine."""
        from aiobotocore.config import AioConfig  # noqa: PLC0415 see the module's docstring
        from aiobotocore.session import AioSession  # noqa: PLC0415
        from aiohttp import ClientError as HTTPClientError  # noqa: PLC0415
        from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        failures = (ClientError, BotoCoreError, HTTPClientError, HttpProcessingError, OSError, TimeoutError)
        is_encrypted = not (address.endpoint or "").startswith("http://")
        options: dict[str, Any] = {"addressing_style": "path" if address.path_style else "virtual"}
        if is_encrypted:
            options["payload_signing_enabled"] = False  # TLS protects it; hashing it again would cost 0.6 s a gibibyte
        config = AioConfig(
            signature_version="s3v4",
            s3=options,
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            max_pool_connections=_CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": attempts},
            request_checksum_calculation="when_required",  # stores that are not AWS do not know the newer ones
            response_checksum_validation="when_required",
        )
        async with contextlib.AsyncExitStack() as stack:
            with _translating(failures, blob_lost):
                client = await stack.enter_async_context(
                    AioSession().create_client(
                        "s3", region_name=address.region, endpoint_url=address.endpoint, config=config
                    )
                )
            if address.endpoint is not None:
                client.meta.events.register("before-call.s3", _stay_in_region)
            yield cls(client, address, failures)

    async def put(self, key: str, content: BytesIO) -> None:
        with self._translating(upload_lost):
            await self._client.put_object(**self._at(key), Body=content)

    async def put_first(self, key: str, content: bytes) -> None:
        """Unless there is an object of this key. A store that does not know the condition writes over it."""
        try:
            with self._translating(upload_lost):
                await self._client.put_object(**self._at(key), Body=content, IfNoneMatch="*")
        except UpstreamFailed as problem:
            if not _was_second(problem):
                raise

    async def read_first(self, key: str, limit: int) -> bytes | None:
        """The first bytes of a small object; None if there is none."""
        try:
            with self._translating(blob_lost):
                answer = await self._client.get_object(**self._at(key))
                async with answer["Body"] as body:
                    return bytes(await body.read(limit))
        except UpstreamFailed as problem:
            if problem.code != "blob.lost":
                raise
            return None

    async def read(
        self, key: str, start: int, stop: int, *, lost: Callable[[], Problem] = blob_lost
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `stop`; the store sends no faster than they are taken."""
        if start >= stop:
            return
        with self._translating(lost):
            answer = await self._client.get_object(**self._at(key), Range=f"bytes={start}-{stop - 1}")
        body = answer["Body"]
        try:
            if answer["ContentLength"] != stop - start:
                raise lost()
            while True:
                with self._translating(lost):
                    piece: bytes = await body.read(_PIECE_BYTES)  # raises at an end that comes too early
                if not piece:
                    return
                yield piece
        finally:
            body.close()

    async def delete(self, key: str) -> None:
        """Nothing happens if it is gone."""
        with self._translating(blob_lost):
            await self._client.delete_object(**self._at(key))

    async def list(self, prefix: str) -> AsyncIterator[S3Object]:
        """In the order of their keys."""
        async for page in self._pages("list_objects_v2", Prefix=self._prefix + prefix):
            for found in page.get("Contents", ()):
                yield S3Object(found["Key"].removeprefix(self._prefix), found["LastModified"])

    async def create_multipart(self, key: str) -> str:
        with self._translating(upload_lost):
            answer = await self._client.create_multipart_upload(**self._at(key))
        return str(answer["UploadId"])

    async def upload_part(self, key: str, multipart: str, number: int, content: BytesIO) -> str:
        """Its ETag. A part of the same number is replaced."""
        with self._translating(upload_lost):
            answer = await self._client.upload_part(
                **self._at(key), UploadId=multipart, PartNumber=number, Body=content
            )
        return str(answer["ETag"]).strip('"')

    async def complete_multipart(self, key: str, multipart: str, etags: Sequence[str]) -> None:
        """Make an object of exactly these parts. A part that was replaced meanwhile is UpstreamFailed."""
        parts = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in enumerate(etags, 1)]
        with self._translating(upload_lost):
            await self._client.complete_multipart_upload(
                **self._at(key), UploadId=multipart, MultipartUpload={"Parts": parts}
            )

    async def abort_multipart(self, key: str, multipart: str) -> None:
        """Nothing happens if it is gone."""
        try:
            with self._translating(upload_lost):
                await self._client.abort_multipart_upload(**self._at(key), UploadId=multipart)
        except UpstreamFailed as problem:
            if problem.code != "blob.lost":
                raise

    async def list_multiparts(self, prefix: str) -> AsyncIterator[S3Multipart]:
        """In the order of their keys. Some stores (MinIO) list only those of the very key."""
        async for page in self._pages("list_multipart_uploads", Prefix=self._prefix + prefix):
            for found in page.get("Uploads", ()):
                key = found["Key"].removeprefix(self._prefix)
                yield S3Multipart(key, found["UploadId"], found["Initiated"])

    async def find_newest_part_at(self, multipart: S3Multipart) -> datetime | None:
        """When something was last uploaded to it; None if nothing was, or if it is gone."""
        times = []
        try:
            async for page in self._pages("list_parts", Key=self._prefix + multipart.key, UploadId=multipart.id):
                times += [part["LastModified"] for part in page.get("Parts", ())]
        except UpstreamFailed as problem:
            if problem.code != "blob.lost":
                raise
        return max(times, default=None)

    async def presign(self, key: str) -> str:
        """An address where anyone can read the object for ten minutes; it is a credential."""
        with self._translating(blob_lost):
            return str(await self._client.generate_presigned_url("get_object", self._at(key), ExpiresIn=_URL_TTL_S))

    async def ping(self) -> None:
        with self._translating(_no_bucket):
            await self._client.head_bucket(Bucket=self._bucket)

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    async def _pages(self, operation: str, **arguments: str) -> AsyncIterator[dict[str, Any]]:
        pages = aiter(self._client.get_paginator(operation).paginate(Bucket=self._bucket, **arguments))
        while True:
            with self._translating(upload_lost):
                page = await anext(pages, None)
            if page is None:
                return
            yield page

    def _translating(self, lost: Callable[[], Problem]) -> contextlib.AbstractContextManager[None]:
        return _translating(self._failures, lost)


def _stay_in_region(params: dict[str, Any], **_: object) -> None:
    """Keeps the library from looking for the bucket's region, which it does without end if only AWS could tell it."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


@contextlib.contextmanager
def _translating(failures: tuple[type[Exception], ...], lost: Callable[[], Problem]) -> Iterator[None]:
    """Every failure of the library's as a Problem; `lost` makes the one for what is not there."""
    try:
        yield
    except failures as error:
        raise _problem_of(error, lost) from error


def _problem_of(error: Exception, lost: Callable[[], Problem]) -> Problem:
    answer: dict[str, Any] = getattr(error, "response", None) or {}
    code = str(answer.get("Error", {}).get("Code", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _LOST:
        return lost()
    if code in _FULL or status == 507:
        return disk_full("blob.disk_full", setting="the store that BLOBS names")
    if code == "NoSuchBucket" or (status == 404 and code == "404"):
        return _no_bucket()
    if status in {401, 403}:
        return _unavailable(f"The S3 store refuses this server{_in_brackets(code)}.")
    if answer:
        return _unavailable(f"The S3 store failed{_in_brackets(code or str(status))}.")
    return _unavailable(f"The S3 store cannot be used{_in_brackets(type(error).__name__)}.")


def _was_second(problem: Problem) -> bool:
    """Source: Amazon S3 User Guide, "How to prevent object overwrites with conditional writes"."""
    answer: dict[str, Any] = getattr(problem.__cause__, "response", None) or {}
    return answer.get("Error", {}).get("Code") in {"PreconditionFailed", "ConditionalRequestConflict"}


def _no_bucket() -> Problem:
    return _unavailable("The S3 store has no such bucket.")


def _in_brackets(code: str) -> str:
    return f" ({code})" if _ERROR_CODE.fullmatch(code) else ""


def _unavailable(sentence: str) -> UpstreamFailed:
    return UpstreamFailed(sentence, code="blob.unavailable", retryable=True, remedy=_REMEDY)

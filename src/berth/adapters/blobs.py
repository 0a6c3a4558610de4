"""Which blob store a place stands for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.adapters.blobs_s3 import S3BlobStore
from berth.adapters.s3_client import S3Client
from berth.domain.s3_address import S3Address
from berth.services.ports.blob_store import BlobStore


@asynccontextmanager
async def open_blob_store(place: Path | S3Address) -> AsyncIterator[BlobStore]:
    """The store in a folder, which is made if need be, or in a bucket, whose client loads what it needs now.

    Raises UpstreamFailed or LimitReached for a folder that cannot be made or an AWS profile that does not exist. Whether the
    bucket answers is for `ping` to say: a server may start before its store does.
    """
    if isinstance(place, S3Address):
        async with S3Client.open(place) as client:
            yield S3BlobStore(client, redirect=place.redirect)
        return
    store = DirectoryBlobStore(place)
    try:
        yield store
    finally:
        store.close()

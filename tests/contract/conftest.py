"""Where the blob stores of the contract suite lie: a directory of the test's own, a bucket of the test's own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from tests.adapters.s3_server import SIZES, S3Server, at_bucket

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.adapters.blobs_s3 import S3BlobStore
from berth.adapters.s3_client import S3Client
from berth.services.ports.blob_store import BlobStore

OpenStore = Callable[[], AbstractAsyncContextManager[BlobStore]]


@pytest.fixture(params=["directory", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens a store on this test's place: each call is another server process, as far as memory goes."""
    if request.param == "directory":

        @asynccontextmanager
        async def open_directory() -> AsyncIterator[BlobStore]:
            store = DirectoryBlobStore(tmp_path / "blobs")
            try:
                yield store
            finally:
                store.close()

        return open_directory

    server: S3Server = request.getfixturevalue("s3_server")
    connection: S3Client = request.getfixturevalue("s3_connection")
    address = server.make_bucket()

    @asynccontextmanager
    async def open_s3() -> AsyncIterator[BlobStore]:
        yield S3BlobStore(at_bucket(connection, address), sizes=SIZES)

    return open_s3


@pytest_asyncio.fixture(loop_scope="module")
async def store(open_store: OpenStore) -> AsyncIterator[BlobStore]:
    async with open_store() as opened:
        yield opened

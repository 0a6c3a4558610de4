"""Where the blob stores of the contract suite lie: a directory of the test's own, a bucket of the test's own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.services.ports.blob_store import BlobStore

OpenStore = Callable[[], AbstractAsyncContextManager[BlobStore]]


@pytest.fixture(params=["directory"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens a store on this test's place: each call is another server process, as far as memory goes."""

    @asynccontextmanager
    async def open_directory() -> AsyncIterator[BlobStore]:
        store = DirectoryBlobStore(tmp_path / "blobs")
        try:
            yield store
        finally:
            store.close()

    return open_directory


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[BlobStore]:
    async with open_store() as opened:
        yield opened

"""A blob store belongs to one installation: collection with another one's database would empty it."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from tests.contract.conftest import OpenStore

from berth.domain.image_reference import Digest
from berth.domain.problem import Invalid
from berth.services.ports import BlobStore, UploadState

pytestmark = pytest.mark.asyncio(loop_scope="module")
OURS, OTHER = "6e0e2cd4-2a5c-4a4e-9d4b-0b7d6a1b2c3d", "00000000-2a5c-4a4e-9d4b-0b7d6a1b2c3d"


async def push(store: BlobStore) -> str:
    upload = str(uuid4())
    async with store.write(upload, UploadState()) as writer:
        await writer.write(b"content")
    return (await store.finish(upload, writer.state, Digest.of(b"content"))).location


async def locations(store: BlobStore) -> list[str]:
    return [each async for each in store.list_locations(older_than=datetime.max.replace(tzinfo=UTC))]


async def test_replicas_and_restarts_of_one_installation_share_it(open_store: OpenStore) -> None:
    for _ in range(2):
        async with open_store() as one, open_store() as two:
            await asyncio.gather(one.claim(OURS), two.claim(OURS))
            await push(one)


async def test_another_installation_is_told_whose_it_is_and_what_to_do(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.claim(OURS)
    async with open_store() as store:
        with pytest.raises(Invalid) as refused:
            await store.claim(OTHER)
        await store.claim(OURS)  # nothing was changed
    assert (refused.value.code, refused.value.field) == ("blob.foreign", "BLOBS")
    assert OURS in refused.value.message
    assert OTHER in refused.value.remedy


async def test_of_two_that_come_at_once_one_gets_it(open_store: OpenStore) -> None:
    async with open_store() as one, open_store() as two:
        ends = await asyncio.gather(one.claim(OURS), two.claim(OTHER), return_exceptions=True)
    assert [type(end) for end in ends if end is not None] == [Invalid]


async def test_content_without_a_word_whose_it_is_belongs_to_nobody(open_store: OpenStore) -> None:
    """A copy that lost its marker, for instance: what the database does not know would be removed."""
    async with open_store() as store:
        location = await push(store)
    async with open_store() as store:
        with pytest.raises(Invalid) as refused:
            await store.claim(OURS)
        assert refused.value.code == "blob.foreign"
        assert await locations(store) == [location]


async def test_the_marker_is_neither_content_nor_an_upload(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.claim(OURS)
        assert await locations(store) == []
        assert [each async for each in store.list_uploads(older_than=datetime.max.replace(tzinfo=UTC))] == []

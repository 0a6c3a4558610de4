"""What only the S3 store can get wrong: replicas, ages, addresses, crashes, memory. The rest: tests/contract/."""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import httpx
import pytest
from tests.adapters.killed_pushes import kill_after
from tests.adapters.s3_server import IDENTITY, SIZES, S3Server, at_bucket, start_s3_server, url_of

from berth.adapters.blobs_s3 import S3BlobStore
from berth.adapters.s3_client import S3Client
from berth.adapters.s3_upload import MAX_PARTS, S3Upload
from berth.domain.image_reference import Digest
from berth.domain.problem import Invalid, LimitReached, UpstreamFailed
from berth.domain.s3_address import S3Address
from berth.services.ports.blob_store import StoredBlob, UploadState

PART = SIZES.first_bytes
BIG = os.urandom(3 * PART + 7)
LATE = datetime.now(UTC) + timedelta(days=3)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def address(s3_server: S3Server) -> S3Address:
    return s3_server.make_bucket()


@pytest.fixture
def client(address: S3Address, s3_connection: S3Client) -> S3Client:
    return at_bucket(s3_connection, address)


@pytest.fixture
def store(client: S3Client) -> S3BlobStore:
    return S3BlobStore(client, sizes=SIZES)


def new_id() -> str:
    return str(uuid.uuid4())


async def upload(store: S3BlobStore, upload_id: str, content: bytes, state: UploadState | None = None) -> UploadState:
    async with store.write(upload_id, state or UploadState()) as writer:
        await writer.write(content)
    return writer.state


async def put(store: S3BlobStore, content: bytes) -> StoredBlob:
    upload_id = new_id()
    return await store.finish(upload_id, await upload(store, upload_id, content), Digest.of(content))


async def test_a_blob_of_too_many_parts_is_refused(store: S3BlobStore) -> None:
    upload_id = new_id()
    full = S3Upload(key=f"content/{upload_id}.00000000", multipart="m", etags=("e",) * (MAX_PARTS - 1))
    with pytest.raises(LimitReached) as caught:
        await upload(store, upload_id, b"x" * SIZES.of(MAX_PARTS), full.to_state(SIZES))
    assert caught.value.code == "blob.too_large"


async def test_the_tail_holds_what_is_left_and_no_more(store: S3BlobStore, client: S3Client) -> None:
    upload_id = new_id()
    await upload(store, upload_id, BIG)
    (tail,) = [found.key async for found in client.list("uploads/")]
    assert b"".join([piece async for piece in client.read(tail, 0, 7)]) == BIG[-7:]
    with pytest.raises(UpstreamFailed):
        await anext(client.read(tail, 0, 8))


async def test_what_this_process_received_is_not_read_again(store: S3BlobStore, client: S3Client) -> None:
    """Seen by bytes that turn in the tail, by no writer of ours: who received them does not notice, another process does."""
    upload_id, content = new_id(), b"0123456789more"
    for finishing in (store, S3BlobStore(client, sizes=SIZES)):
        state = await upload(store, upload_id, content[:10])
        state = await upload(store, upload_id, content[10:], state)
        tail = S3Upload.parse(state.handle).tail
        await client.put(f"uploads/{upload_id}/{tail}", BytesIO(b"X123456789more"))
        if finishing is store:
            blob = await finishing.finish(upload_id, state, Digest.of(content))
            assert await store.read_whole(blob.location, 14) == b"X123456789more"
        else:
            with pytest.raises(Invalid):
                await finishing.finish(upload_id, state, Digest.of(content))


async def test_another_uploads_state_is_refused(store: S3BlobStore) -> None:
    state = await upload(store, new_id(), BIG)
    with pytest.raises(UpstreamFailed) as caught:
        await upload(store, new_id(), b"x", state)
    assert caught.value.code == "blob.lost"


async def test_the_handle_holds_no_secret(store: S3BlobStore) -> None:
    state = await upload(store, new_id(), BIG)
    assert IDENTITY["AWS_ACCESS_KEY_ID"] not in state.handle
    assert IDENTITY["AWS_SECRET_ACCESS_KEY"] not in state.handle


@pytest.mark.parametrize("hours, is_lost", [(22, False), (24, True)])
async def test_an_upload_must_be_finished_within_a_day(store: S3BlobStore, hours: int, is_lost: bool) -> None:
    """What it becomes is dated to its beginning: garbage collection could take it for old (policy 4)."""
    upload_id = new_id()
    now = S3Upload.parse((await upload(store, upload_id, BIG)).handle)
    assert abs(now.since - time.time()) < 60
    old = replace(now, since=now.since - hours * 3600).to_state(SIZES)
    if not is_lost:
        await upload(store, upload_id, b"", old)
        await store.finish(upload_id, old, Digest.of(BIG))
        return
    for attempt in (upload(store, upload_id, b"", old), store.finish(upload_id, old, Digest.of(BIG))):
        with pytest.raises(UpstreamFailed) as caught:
            await attempt
        assert caught.value.code == "blob.lost"
    await store.discard(upload_id, old)


async def test_locations_are_listed_a_day_late(store: S3BlobStore) -> None:
    blob = await put(store, BIG)
    soon, later = datetime.now(UTC) + timedelta(hours=23), datetime.now(UTC) + timedelta(hours=25)
    assert [found async for found in store.list_locations(older_than=soon)] == []
    assert [found async for found in store.list_locations(older_than=later)] == [blob.location]


async def test_parts_that_another_replica_replaced_are_not_published(store: S3BlobStore, client: S3Client) -> None:
    """Both began from one state; the database takes one result, whose last parts the other wrote over."""
    upload_id, other = new_id(), S3BlobStore(client, sizes=SIZES)
    state = await upload(store, upload_id, BIG[:PART])
    mine = await upload(store, upload_id, BIG[PART:], state)
    await upload(other, upload_id, b"x" * 2 * PART, state)
    with pytest.raises(UpstreamFailed) as caught:
        await store.finish(upload_id, mine, Digest.of(BIG))
    assert caught.value.code == "blob.lost"
    assert [found async for found in store.list_locations(older_than=LATE)] == []
    await store.discard(upload_id, mine)
    assert [found async for found in store.list_uploads(older_than=LATE)] == []


async def test_a_live_upload_is_not_listed_for_what_a_killed_request_left(store: S3BlobStore, client: S3Client) -> None:
    upload_id = new_id()
    await client.create_multipart(f"content/{upload_id}.00000000")
    before = datetime.now(UTC).replace(microsecond=0)  # S3's times have whole seconds
    await upload(store, upload_id, BIG)
    assert [found async for found in store.list_uploads(older_than=before)] == []
    ((listed, state),) = [found async for found in store.list_uploads(older_than=LATE)]
    await store.discard(listed, state)
    assert [found async for found in client.list_multiparts("")] == []


async def test_what_others_keep_in_the_bucket_is_left_alone(
    store: S3BlobStore, client: S3Client, address: S3Address
) -> None:
    whole_bucket = S3BlobStore(at_bucket(client, replace(address, prefix="")), sizes=SIZES)
    kept = await put(whole_bucket, BIG)
    await upload(whole_bucket, new_id(), BIG)
    await client.create_multipart("content/not-ours")
    assert [found async for found in store.list_locations(older_than=LATE)] == []
    assert [found async for found in store.list_uploads(older_than=LATE)] == []
    with pytest.raises(UpstreamFailed):
        await store.read_whole(kept.location, len(BIG))


async def test_anyone_can_fetch_a_blob_by_its_address_for_ten_minutes(store: S3BlobStore, address: S3Address) -> None:
    blob = await put(store, BIG)
    url = await store.find_url(blob.location)
    assert url is not None
    assert url.startswith(f"{address.endpoint}/{address.bucket}/a/prefix/content/")
    assert "X-Amz-Expires=600&" in url
    assert IDENTITY["AWS_SECRET_ACCESS_KEY"] not in url
    async with httpx.AsyncClient(trust_env=False) as browser:
        assert (await browser.get(url)).content == BIG
        assert (await browser.get(url, headers={"Range": "bytes=1-2"})).content == BIG[1:3]


async def test_there_is_no_address_where_clients_cannot_reach_the_store(client: S3Client) -> None:
    store = S3BlobStore(client, redirect=False)
    assert await store.find_url((await put(store, b"x")).location) is None


@pytest.mark.parametrize("location", ["", "uploads/x", "content/../x", f"content/{uuid.UUID(int=0)}.0000000g"])
async def test_there_is_no_address_of_anything_else(store: S3BlobStore, location: str) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        await store.find_url(location)
    assert caught.value.code == "blob.lost"


@pytest.mark.usefixtures("s3_identity")
async def test_the_store_dies_under_a_writer() -> None:
    """The request fails; what the state says is what is safe."""
    with start_s3_server() as server:
        async with S3Client.open(server.make_bucket(), attempts=1) as client:
            store, upload_id = S3BlobStore(client, sizes=SIZES), new_id()
            writers = []

            async def request() -> None:
                async with store.write(upload_id, UploadState()) as writer:
                    writers.append(writer)
                    await writer.write(BIG[: PART + 5])
                    server.process.kill()
                    server.process.wait()

            with pytest.raises(UpstreamFailed) as caught:
                await request()
            assert caught.value.code == "blob.unavailable"
            assert writers[0].state.size_bytes == PART
            assert writers[0].size_bytes == PART + 5
            with pytest.raises(UpstreamFailed):
                await store.finish(upload_id, writers[0].state, Digest.of(BIG[:PART]))


async def test_killed_while_it_writes_and_finishes(store: S3BlobStore, address: S3Address) -> None:
    """`SIGKILL` during pushes: what lies at a location is whole, what was acknowledged is there."""
    dice, size_bytes = random.Random(1), 5 * PART + 3
    digests: dict[str, str] = {}
    acknowledged: set[str] = set()
    for word in ("written", "finishing", "finished"):
        lines = await asyncio.to_thread(kill_after, url_of(address), size_bytes, word, dice.uniform(0, 0.03))
        digests |= {words[1]: words[2] for words in lines if words[0] == "finishing"}
        acknowledged |= {words[2] for words in lines if words[0] == "finished"}
    found = {location async for location in store.list_locations(older_than=LATE)}
    assert acknowledged
    assert acknowledged <= found
    for location in found:
        content = await store.read_whole(location, size_bytes)
        upload_id = location.removeprefix("content/").partition(".")[0]
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digests[upload_id]
    async for upload_id, state in store.list_uploads(older_than=LATE):
        await store.discard(upload_id, state)
    assert [each async for each in store.list_uploads(older_than=LATE)] == []
    assert {location async for location in store.list_locations(older_than=LATE)} == found


async def test_memory_is_one_part(address: S3Address) -> None:
    """64 MiB up and down again need what a part of 8 MiB needs."""
    command = [sys.executable, "-m", "tests.adapters.blob_memory", url_of(address), "64"]
    environment = {**os.environ, **IDENTITY}
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True, env=environment)
    assert int(done.stdout) < 20 * 1024

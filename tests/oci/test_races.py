"""What happens between two steps of a request: packages, blobs, uploads and rights that go meanwhile; stores that fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from tests.oci.images import fresh, image
from tests.oci.registry_api import OCIClient, Registry, outcome

from berth.adapters.blobs_directory import DirectoryBlobStore, DirectoryWriter
from berth.adapters.store.package_tables import blobs, package_blobs, packages, uploads
from berth.domain.image_reference import Digest
from berth.domain.package import PackageName, parse_package_name
from berth.domain.problem import Conflict, LimitReached, UpstreamFailed
from berth.services.ports import UploadState
from berth.services.registry_access import Caller
from berth.services.registry_blob import TOUCH_EVERY, RegistryBlobService

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = fresh(1000)
DIGEST = Digest.of(CONTENT)


async def caller_of(registry: Registry, client: OCIClient) -> Caller:
    assert client.token is not None
    return await registry.services.access.authenticate(client.token, "")


async def test_a_package_that_goes_while_a_manifest_comes(
    each_registry: Registry, each_octo: OCIClient, name: str
) -> None:
    """The push waits for whoever deletes it, and then finds nothing: no manifest lies in a deleted package."""
    one = image()
    await each_octo.push(name, one, "before")
    package_id = await each_registry.package_id(name)
    async with each_registry.store.begin() as connection:
        mine = packages.c.id == package_id
        await connection.execute(update(packages).where(mine).values(deleted_at=each_registry.clock.now()))
        pushing = asyncio.create_task(each_octo.once("PUT", f"/v2/{name}/manifests/x", content=one.content))
        done, _ = await asyncio.wait([pushing], timeout=0.3)
        assert not done
    assert outcome(await pushing) == (404, "NAME_UNKNOWN")


async def test_a_blob_that_goes_while_it_is_mounted(each_registry: Registry, each_octo: OCIClient, name: str) -> None:
    digest = await each_octo.push_blob(f"{name}/source", fresh())
    await each_octo.push_blob(name, fresh())
    await each_octo.log_in(f"repository:{name}:pull,push repository:{name}/source:pull")
    async with each_registry.store.begin() as connection:
        found = select(blobs.c.id).where(blobs.c.digest == str(digest))
        blob_id = (await connection.execute(found)).scalar_one()
        await connection.execute(delete(package_blobs).where(package_blobs.c.blob_id == blob_id))
        await connection.execute(delete(blobs).where(blobs.c.id == blob_id))
        path = f"/v2/{name}/blobs/uploads/?mount={digest}&from={name}/source"
        mounting = asyncio.create_task(each_octo.once("POST", path))
        done, _ = await asyncio.wait([mounting], timeout=0.3)
        assert not done
    assert (await mounting).status_code == 202, "an ordinary upload begins"


async def test_a_blob_that_was_told_of_again_and_again_is_kept(
    each_registry: Registry, each_octo: OCIClient, name: str
) -> None:
    """Policy 2: whoever is told that it is there has the whole grace period."""
    digest = await each_octo.push_blob(name, fresh())
    package_id = await each_registry.package_id(name)
    statement = (
        select(package_blobs.c.touched_at)
        .join(blobs, blobs.c.id == package_blobs.c.blob_id)
        .where(blobs.c.digest == str(digest), package_blobs.c.package_id == package_id)
    )

    async def touched() -> Any:
        async with each_registry.store.read() as connection:
            return (await connection.execute(statement)).scalar_one()

    before = await touched()
    path = f"/v2/{name}/blobs/{digest}"
    assert (await each_octo.head(path)).status_code == 200
    assert await touched() == before, "not for every single request"
    each_registry.clock.ahead = TOUCH_EVERY + timedelta(seconds=1)
    try:
        assert (await each_octo.head(path)).status_code == 200
        assert await touched() > before + TOUCH_EVERY
        service, caller = each_registry.services.blobs, await caller_of(each_registry, each_octo)
        blob = await service.find(caller, parse_package_name(name), digest)
        each_registry.clock.ahead *= 3
        async with each_registry.store.begin() as connection:
            await connection.execute(delete(package_blobs).where(package_blobs.c.package_id == package_id))
        assert not await service._keep(package_id, blob), "it went before it could be touched: it is not promised"
    finally:
        each_registry.clock.ahead = timedelta()


async def slowly(registry: Registry, wait: timedelta, *chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        registry.clock.ahead += wait


async def test_an_upload_that_takes_long_is_not_abandoned(own_registry: Registry) -> None:
    """Its row is touched while it comes; and if it was cancelled meanwhile, the rest is not written."""
    octo = await own_registry.person("octo")
    location = await octo.begin("octo/app")
    own_registry.clock.ahead = timedelta()
    answer = await octo.patch(location, content=slowly(own_registry, TOUCH_EVERY * 2, b"a", b"b", b"c"))
    assert answer.status_code == 202
    async with own_registry.store.read() as connection:
        touched = (await connection.execute(select(uploads.c.touched_at))).scalar_one()
    assert touched > own_registry.clock.now() - TOUCH_EVERY * 3

    async def cancelled() -> AsyncIterator[bytes]:
        yield b"a"
        async with own_registry.store.begin() as connection:
            await connection.execute(delete(uploads))
        own_registry.clock.ahead += TOUCH_EVERY * 2
        yield b"b"
        yield b"c"

    own_registry.clock.ahead = timedelta()
    location = await octo.begin("octo/app")
    caller = await caller_of(own_registry, octo)
    service = own_registry.services.blobs
    upload = await service.find_upload(caller, PackageName("octo", "app"), location.rpartition("/")[2])
    with pytest.raises(Conflict) as refused:
        await service.append(upload, cancelled(), None)
    assert refused.value.code == "upload.moved"


async def test_an_upload_that_was_cancelled_meanwhile_ends_no_more(
    registry: Registry, octo: OCIClient, name: str
) -> None:
    service = registry.services.blobs
    for end in ("finish", "cancel"):
        location = await octo.begin(name)
        assert (await octo.patch(location, content=CONTENT)).status_code == 202
        caller = await caller_of(registry, octo)
        upload = await service.find_upload(caller, parse_package_name(name), location.rpartition("/")[2])
        async with registry.store.begin() as connection:
            await connection.execute(delete(uploads).where(uploads.c.id == upload.id))
        with pytest.raises(Conflict):
            await (service.finish(upload, DIGEST) if end == "finish" else service.cancel(upload))
        assert (await octo.head(f"/v2/{name}/blobs/{DIGEST}")).status_code == 404


async def test_a_blob_store_that_is_away(own_registry: Registry) -> None:
    """503, with the code of nobody's fault; and when it is back everything is there."""
    octo = await own_registry.person("octo")
    digest = await octo.push_blob("octo/app", fresh(100_000))
    location = await octo.begin("octo/app")
    root = own_registry.folder / "blobs"
    root.rename(own_registry.folder / "away")
    attempts = [
        await octo.get(f"/v2/octo/app/blobs/{digest}"),
        await octo.patch(location, content=CONTENT),
        await octo.put(f"{location}?digest={DIGEST}", content=CONTENT),
        await octo.post(f"/v2/octo/app/blobs/uploads/?digest={DIGEST}", content=CONTENT),
    ]
    for answer in attempts:
        assert answer.status_code == 503
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert str(own_registry.folder) not in answer.text
    (own_registry.folder / "away").rename(root)
    assert (await octo.get(f"/v2/octo/app/blobs/{digest}")).status_code == 200
    assert (await octo.put(f"{location}?digest={DIGEST}", content=CONTENT)).status_code == 201


class Unhappy(DirectoryBlobStore):
    """A full store that can neither be written to nor give anything back."""

    @asynccontextmanager
    async def write(self, upload_id: str, state: UploadState) -> AsyncIterator[DirectoryWriter]:
        raise LimitReached("Full.", code="blob.disk_full")
        yield  # pragma: no cover

    async def delete(self, location: str) -> None:
        raise UpstreamFailed("Away.", code="blob.unavailable")


async def test_where_not_even_the_room_can_be_given_back(own_registry: Registry) -> None:
    """The first failure is what is said, not that of clearing up after it."""
    octo = await own_registry.person("octo")
    location = await octo.begin("octo/app")
    assert (await octo.patch(location, content=CONTENT)).status_code == 202
    unhappy = Unhappy(own_registry.folder / "blobs")
    service = blob_service(own_registry, unhappy)
    caller = await caller_of(own_registry, octo)
    upload = await service.find_upload(caller, PackageName("octo", "app"), location.rpartition("/")[2])
    with pytest.raises(LimitReached) as refused:
        await service.append(upload, slowly(own_registry, timedelta(), b"more"), None)
    assert refused.value.code == "blob.disk_full"
    async with own_registry.store.begin() as connection:
        trigger = (
            "CREATE TRIGGER full BEFORE DELETE ON uploads BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
        await connection.execute(text(trigger))
    with pytest.raises(LimitReached) as refused:
        await service.finish(upload, DIGEST)
    assert refused.value.code == "store.full"
    unhappy.close()


def blob_service(registry: Registry, store: DirectoryBlobStore) -> RegistryBlobService:
    return RegistryBlobService(
        store=registry.store,
        clock=registry.clock,
        cache=registry.services.manifests._cache,
        access=registry.services.access,
        blobs=store,
    )


async def test_a_blob_that_no_row_takes_is_an_error_and_no_endless_loop(own_registry: Registry) -> None:
    """Whatever constraint it is: only one that another upload of the same content explains is tried again."""
    octo = await own_registry.person("octo")
    await octo.begin("octo/app")
    async with own_registry.store.begin() as connection:
        trigger = "CREATE TRIGGER odd BEFORE INSERT ON blobs BEGIN SELECT RAISE(ABORT, 'odd'); END"
        await connection.execute(text(trigger))
    answer = await octo.post(f"/v2/octo/app/blobs/uploads/?digest={DIGEST}", content=CONTENT)
    assert answer.status_code == 500
    assert "odd" not in answer.text


async def test_nobody_acts_where_a_login_is_needed(registry: Registry) -> None:
    """A bug that let him through would be seen, not recorded as somebody's deed."""
    anonymous = registry.anonymous
    await anonymous.log_in("")
    with pytest.raises(TypeError):
        _ = (await caller_of(registry, anonymous)).actor

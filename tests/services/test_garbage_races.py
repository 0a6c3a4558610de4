"""Garbage collection beside pushes: what both want at the same moment. The invariants are in adapters/store/blob.py."""

import asyncio
import json
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.adapters.postgres import Cluster, in_memory
from tests.dice import THROWN
from tests.garbage_world import (
    AFTER_GRACE,
    MONTH,
    OWNER,
    DatedBlobStore,
    GarbageWorld,
    MovableClock,
    Replica,
    image,
    index,
    make_garbage_world,
    make_owner,
    open_replica,
)

from berth.adapters.blob_problems import upload_lost
from berth.adapters.store import blob as blob_rows
from berth.adapters.store import garbage as rows
from berth.adapters.store import manifest as manifest_rows
from berth.adapters.store import package as package_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.package_tables import blobs, manifests, package_blobs, packages
from berth.adapters.store.tables import audit_log, repositories
from berth.domain.image_reference import Digest
from berth.domain.manifest import parse_pushed_manifest
from berth.domain.media_type import OCI_INDEX
from berth.domain.package import PackageName
from berth.domain.problem import Conflict, NotFound, Problem
from berth.domain.repository import Visibility
from berth.services import garbage
from berth.services.registry_blob import GRACE

LATER = datetime.fromisoformat("2100-01-01T00:00:00+00:00")  # a collection for which everything is old
NOBODY_WAITS = timedelta(0)
Result = TypeVar("Result")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="berth-blobs-", dir=in_memory()) as path:
        yield Path(path)


@pytest.fixture
async def world(database_url: str, folder: Path) -> AsyncIterator[GarbageWorld]:
    async with make_garbage_world(database_url, folder) as made:
        yield made


@pytest.fixture
async def parallel(postgres: Cluster, folder: Path) -> AsyncIterator[GarbageWorld]:
    """On PostgreSQL, where two writing transactions can be open at once."""
    url = postgres.create_database()
    async with make_garbage_world(url, folder) as made:
        yield made
    postgres.drop_database(url)


async def until_it_waits(connection: AsyncConnection, task: asyncio.Task[Result]) -> None:
    """Until another connection waits for a lock that this one holds."""
    blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
    while not (await connection.execute(blocked)).scalar_one():
        assert not task.done(), f"it did not wait: {task}"
        await asyncio.sleep(0.005)


async def find_blob(replica: Replica, digest: Digest) -> int:
    async with replica.store.read() as connection:
        return int((await connection.execute(select(blobs.c.id).where(blobs.c.digest == str(digest)))).scalar_one())


async def in_transaction(replica: Replica, do: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    async with replica.store.begin() as connection:
        return await do(connection)


# Statement by statement, on PostgreSQL


@pytest.mark.postgres
async def test_a_push_waits_for_a_collection_that_removes_a_link_and_is_told(parallel: GarbageWorld) -> None:
    one, two = parallel.one, parallel.two
    digest = await one.push_blob("app", b"layer")
    package_id, blob_id = await one.package_id("app"), await find_blob(one, digest)
    async with one.store.begin() as collection:
        assert await rows.delete_unneeded_links(collection, [(package_id, blob_id)], LATER) == 1
        touch = asyncio.create_task(
            in_transaction(two, lambda push: blob_rows.touch_named(push, package_id, [str(digest)], LATER))
        )
        await until_it_waits(collection, touch)
    assert await touch == set()
    assert not await two.head("app", digest)


@pytest.mark.postgres
async def test_a_collection_leaves_a_link_that_a_push_holds(parallel: GarbageWorld) -> None:
    """Whatever the times are: here everything is old for the collection, the push's touch too."""
    one, two = parallel.one, parallel.two
    for part in (b"{}", b"layer"):
        await one.push_blob("app", part)
    package_id = await one.package_id("app")
    content = image(b"{}", b"layer")
    manifest = parse_pushed_manifest(content, "")
    links = [(package_id, await find_blob(one, Digest.of(part))) for part in (b"{}", b"layer")]
    async with two.store.begin() as push:
        await package_rows.lock_package(push, package_id)
        named = [str(Digest.of(part)) for part in (b"{}", b"layer")]
        assert len(await blob_rows.touch_named(push, package_id, named, parallel.clock.now())) == 2
        assert await in_transaction(one, lambda it: rows.delete_unneeded_links(it, links, LATER)) == 0
        await manifest_rows.store_manifest(
            push, package_id, str(Digest.of(content)), manifest, content, parallel.clock.now()
        )
        assert await in_transaction(one, lambda it: rows.delete_unneeded_links(it, links, LATER)) == 0
    assert await in_transaction(one, lambda it: rows.delete_unneeded_links(it, links, LATER)) == 0
    assert await two.read("app", Digest.of(b"layer")) == b"layer"


async def test_a_link_that_became_needed_after_the_look_stays(world: GarbageWorld) -> None:
    one, two = world.one, world.two
    for part in (b"{}", b"layer"):
        await one.push_blob("app", part)
    async with one.store.read() as connection:
        found, after = await rows.find_unneeded_links(connection, LATER, after=rows.BEFORE_ALL_LINKS, limit=9)
    assert (len(found), after) == (2, None)
    await two.push_manifest("app", image(b"{}", b"layer"))
    assert await in_transaction(one, lambda it: rows.delete_unneeded_links(it, found, LATER)) == 0


@pytest.mark.postgres
async def test_a_collection_waits_for_nobody(parallel: GarbageWorld) -> None:
    """It locks many links: if it waited for one that a push holds, that push could wait for one that it holds."""
    one, two = parallel.one, parallel.two
    first, second = [await one.push_blob("app", part) for part in (b"first", b"second")]
    package_id = await one.package_id("app")
    links = [(package_id, await find_blob(one, digest)) for digest in (first, second)]
    async with two.store.begin() as push, one.store.begin() as collection:
        await collection.execute(text("SET LOCAL lock_timeout = '10s'"))
        assert await blob_rows.touch_named(push, package_id, [str(second)], LATER) == {str(second)}
        assert await rows.delete_unneeded_links(collection, links, LATER) == 1
        touch = asyncio.create_task(blob_rows.touch_named(push, package_id, [str(first)], LATER))
        await until_it_waits(collection, touch)
        await collection.commit()
        assert await touch == set()


@pytest.mark.postgres
async def test_a_mount_waits_for_a_collection_that_removes_the_blob_and_is_told(parallel: GarbageWorld) -> None:
    one, two = parallel.one, parallel.two
    digest = await one.push_blob("app", b"layer")
    await one.push_blob("other", b"{}")
    link = (await one.package_id("app"), await find_blob(one, digest))
    async with one.store.begin() as collection:
        assert await rows.delete_unneeded_links(collection, [link], LATER) == 1
        assert await rows.trash_unlinked_blobs(collection, [link[1]], LATER, LATER) == 1
        mount = asyncio.create_task(two.mount("other", digest, "app"))
        await until_it_waits(collection, mount)
    assert await mount is False  # an upload begins


@pytest.mark.postgres
async def test_an_upload_waits_for_a_collection_that_removes_its_blob_and_stores_it_anew(
    parallel: GarbageWorld,
) -> None:
    one, two = parallel.one, parallel.two
    digest = await one.push_blob("app", b"layer")
    upload = await two.blobs.append(await two.begin("app"), _one(b"layer"), None)
    blob_id = await find_blob(one, digest)
    await in_transaction(one, lambda it: it.execute(package_blobs.delete()))
    async with one.store.begin() as collection:
        assert await rows.trash_unlinked_blobs(collection, [blob_id], LATER, parallel.clock.now()) == 1
        finish = asyncio.create_task(two.blobs.finish(upload, digest))
        await until_it_waits(collection, finish)
    await finish
    assert await find_blob(one, digest) != blob_id
    parallel.clock.move(AFTER_GRACE)
    assert await two.head("app", digest)
    await one.collect()
    assert await two.read("app", digest) == b"layer"


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.mark.postgres
async def test_a_collection_leaves_a_blob_that_somebody_links(parallel: GarbageWorld) -> None:
    one, two = parallel.one, parallel.two
    digest = await one.push_blob("app", b"layer")
    package_id, blob_id = await one.package_id("app"), await find_blob(one, digest)
    await in_transaction(one, lambda it: it.execute(package_blobs.delete()))
    async with two.store.begin() as push:
        assert await blob_rows.link(push, package_id, blob_id, parallel.clock.now())
        assert await in_transaction(one, lambda it: rows.trash_unlinked_blobs(it, [blob_id], LATER, LATER)) == 0
    assert await in_transaction(one, lambda it: rows.trash_unlinked_blobs(it, [blob_id], LATER, LATER)) == 0


AGE = rows.PackageAge(deleted_before=LATER, unpublished_before=LATER)


@pytest.mark.postgres
async def test_a_push_waits_for_a_collection_that_removes_its_package_and_makes_it_anew(parallel: GarbageWorld) -> None:
    one, two = parallel.one, parallel.two
    await one.blobs.cancel(await one.begin("app"))
    old = await one.package_id("app")
    parallel.clock.move(AFTER_GRACE)
    async with one.store.begin() as collection:
        assert not await rows.delete_dead_package(collection, old, AGE, limit=9)
        push = asyncio.create_task(two.begin("app"))
        await until_it_waits(collection, push)
    upload = await push
    assert upload.package_id == await one.package_id("app") != old
    assert await two.finish(upload, b"layer") == Digest.of(b"layer")


@pytest.mark.postgres
async def test_a_collection_leaves_a_package_that_a_push_holds(parallel: GarbageWorld) -> None:
    one, two = parallel.one, parallel.two
    await one.blobs.cancel(await one.begin("app"))
    package_id = await one.package_id("app")
    async with two.store.begin() as push:
        assert await package_rows.hold_package(push, package_id, parallel.clock.now())
        assert not await in_transaction(one, lambda it: rows.delete_dead_package(it, package_id, AGE, limit=9))
    assert await one.count(packages) == {"packages": 1}


@pytest.mark.postgres
async def test_uploads_do_not_wait_for_a_push_to_the_same_package(parallel: GarbageWorld) -> None:
    one, two = parallel.one, parallel.two
    await one.push_image("app", b"{}")
    async with one.store.begin() as push:
        await package_rows.lock_package(push, await one.package_id("app"))
        await two.push_blob("app", b"layer")
        other = asyncio.create_task(two.push_manifest("app", image(b"{}", b"layer")))
        await until_it_waits(push, other)  # two pushes take turns
    await other


# Packages that come and go


async def test_a_package_that_goes_while_an_upload_is_open(world: GarbageWorld) -> None:
    one, name = world.one, PackageName(OWNER, "app")
    await one.push_image("app", b"{}")
    upload = await one.blobs.append(await one.begin("app"), _one(b"layer"), None)
    before = await one.package_id("app")
    await in_transaction(one, lambda it: package_rows.update_package(it, before, {"deleted_at": world.clock.now()}))
    with pytest.raises(Conflict) as moved:
        await one.blobs.finish(upload, Digest.of(b"layer"))
    assert moved.value.code == "upload.moved"
    again = await one.begin("app")
    assert again.package_id != before
    with pytest.raises(NotFound) as unknown:  # A12: the new package has nothing of the old
        await one.blobs.find_upload(one.caller("app"), name, upload.id)
    assert unknown.value.code == "upload.unknown"
    assert not await one.head("app", Digest.of(b"{}"))
    world.clock.move(AFTER_GRACE)
    await one.collect()
    assert not any(Digest.of(b"layer").hex in path or upload.id in path for path in one.files())


@pytest.mark.parametrize("gone", [True, False], ids=["for good", "restorably"])
@pytest.mark.parametrize("step", ["begin", "mount", "finish", "manifest"])
async def test_a_package_that_goes_between_the_decision_and_the_transaction(
    world: GarbageWorld, monkeypatch: pytest.MonkeyPatch, step: str, gone: bool
) -> None:
    """The same answer as for a package that is not there; never a row without a package, never a fault without a code."""
    one, name = world.one, PackageName(OWNER, "app")
    await one.push_image("app", b"{}")
    await one.push_image("source", b"{}", b"layer")
    known = await one.access.authorize_push(one.caller("app"), name)
    upload = await one.blobs.append(await one.begin("app"), _one(b"new"), None)
    decided: dict[str, object] = {"deleted_at": world.clock.now()}
    if gone:
        await in_transaction(one, lambda it: it.execute(packages.delete().where(packages.c.name == "app")))
    else:
        await in_transaction(one, lambda it: package_rows.update_package(it, known.package.id, decided))

    async def decided_before(*_: object) -> package_rows.KnownPackage:
        return known

    monkeypatch.setattr(one.access, "authorize_push", decided_before)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "begin": lambda: one.begin("app"),
        "mount": lambda: one.mount("app", Digest.of(b"layer"), "source"),
        "finish": lambda: one.blobs.finish(upload, Digest.of(b"new")),
        "manifest": lambda: one.push_manifest("app", image(b"{}")),
    }
    with pytest.raises(Conflict if step == "finish" else NotFound) as refused:
        await calls[step]()
    assert refused.value.code == ("upload.moved" if step == "finish" else "package.not_found")


async def test_two_replicas_that_make_the_same_package_at_once(world: GarbageWorld) -> None:
    for number in range(15):
        name = f"app-{number}"
        uploads = await asyncio.gather(*(replica.begin(name) for replica in (world.one, world.two) * 3))
        assert len({upload.package_id for upload in uploads}) == 1
    assert await world.one.count(packages) == {"packages": 15}


async def test_a_push_to_an_old_name_without_versions_keeps_it(world: GarbageWorld) -> None:
    """The push begins when the collection would take the name: each of its requests keeps the package."""
    one, two = world.one, world.two
    await one.push_blob("app", b"{}")
    package_id = await one.package_id("app")
    world.clock.move(AFTER_GRACE)
    upload = await two.begin("app")
    await one.collect()
    assert await one.package_id("app") == package_id
    world.clock.move(GRACE)
    await two.finish(upload, b"layer")  # a long upload: its end counts
    world.clock.move(GRACE)
    await one.collect()
    assert await two.read("app", Digest.of(b"layer")) == b"layer"
    world.clock.move(GRACE)
    await two.push_blob("source", b"mounted")
    assert await two.mount("app", Digest.of(b"mounted"), "source")
    world.clock.move(GRACE)
    await one.collect()
    assert await two.head("app", Digest.of(b"mounted"))
    assert await one.package_id("app") == package_id


async def test_two_first_pushes_publish_once(world: GarbageWorld) -> None:
    for number in range(8):
        name = f"app-{number}"
        await world.one.push_blob(name, b"{}")
        await asyncio.gather(*(replica.push_manifest(name, image(b"{}")) for replica in (world.one, world.two) * 2))
    async with world.one.store.read() as connection:
        published = await connection.execute(select(audit_log.c.target).where(audit_log.c.action == "package.publish"))
        assert sorted(published.scalars()) == [f"{OWNER}/app-{number}" for number in range(8)]


async def insert_repository(connection: AsyncConnection, replica: Replica, name: str) -> int:
    return await repository_rows.insert_repository(
        connection,
        owner_id=replica.owner,
        name=name,
        description="",
        visibility=Visibility.PRIVATE,
        default_branch="main",
        now=replica.clock.now(),
    )


async def find_linked_repository(replica: Replica, name: str) -> int | None:
    statement = select(packages.c.repository_id).where(packages.c.name == name)
    async with replica.store.read() as connection:
        linked: int | None = (await connection.execute(statement)).scalar_one()
    return linked


async def test_a_first_push_links_the_repository_that_the_image_names(world: GarbageWorld) -> None:
    one = world.one
    repository_id = await in_transaction(one, lambda it: insert_repository(it, one, "code"))
    for name, source in (("named", "code"), ("unknown", "other"), ("unnamed", None)):
        await one.push_blob(name, b"{}")
        await one.push_manifest(name, image(b"{}", source=source))
    linked = {name: await find_linked_repository(one, name) for name in ("named", "unknown", "unnamed")}
    assert linked == {"named": repository_id, "unknown": None, "unnamed": None}


@pytest.mark.postgres
@pytest.mark.parametrize("end", ["deleted", "renamed", "made anew", "kept"])
async def test_a_first_push_waits_for_what_happens_to_the_repository(parallel: GarbageWorld, end: str) -> None:
    """Repository first, then package: whoever ends a repository then locks the packages that are linked to it."""
    one, two = parallel.one, parallel.two
    repository_id = await in_transaction(one, lambda it: insert_repository(it, one, "code"))
    await one.push_blob("app", b"{}")
    async with one.store.begin() as connection:
        await repository_rows.lock_repository(connection, repository_id)
        push = asyncio.create_task(two.push_manifest("app", image(b"{}", source="code")))
        await until_it_waits(connection, push)
        await connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        assert await package_rows.lock_package(connection, await one.package_id("app"))  # the push does not hold it
        if end == "deleted":
            await package_rows.forget_repository(connection, repository_id)
            await connection.execute(repositories.delete().where(repositories.c.id == repository_id))
        elif end != "kept":
            await connection.execute(update(repositories).values(name="other", name_key="other"))
        if end == "made anew":
            await insert_repository(connection, one, "code")
    await push
    assert await find_linked_repository(one, "app") == (repository_id if end == "kept" else None)


async def test_an_index_whose_manifests_are_missing_is_stored_with_a_word_about_it(world: GarbageWorld) -> None:
    one = world.one
    there = await one.push_image("app", b"{}", b"there")
    gone = await one.push_image("app", b"{}", b"gone")
    await one.delete("app", gone)
    never = Digest.of(b"never pushed")
    whole, sparse = [
        await one.push_manifest("app", index(*children), media_type=OCI_INDEX)
        for children in ([there], [there, gone, never])
    ]
    assert whole.warnings == ()
    assert sparse.warnings == ("2 of the index's manifests are not in this package; nobody can pull it whole.",)


# Promises


@dataclass
class Promises:
    """What pushers were told, and when (invariant 3)."""

    world: GarbageWorld
    told: dict[tuple[str, Digest], datetime]

    async def check(self) -> None:
        now = self.world.clock.now()
        statement = (
            select(packages.c.name, blobs.c.digest)
            .join(package_blobs, package_blobs.c.package_id == packages.c.id)
            .join(blobs, blobs.c.id == package_blobs.c.blob_id)
            .where(packages.c.deleted_at.is_(None))
        )
        async with self.world.one.store.read() as connection:
            there = {(row.name, row.digest) for row in await connection.execute(statement)}
        for (name, digest), at in self.told.items():
            assert now - at > GRACE or (name, str(digest)) in there, f"{name} {digest} was promised at {at}, now {now}"


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
async def test_who_was_told_of_a_blob_finds_it_for_the_grace_period(world: GarbageWorld, seed: int) -> None:
    chance = random.Random(seed)
    contents = [b"layer %d" % number for number in range(4)]
    promises = Promises(world, {})
    versions: list[tuple[str, Digest]] = []
    for _ in range(80):
        replica, name = chance.choice([world.one, world.two]), chance.choice("ab")
        content = chance.choice(contents)
        digest = Digest.of(content)
        match chance.choice(["head", "head", "push", "image", "mount", "delete", "purge", "wait", "wait"]):
            case "head":
                for each in map(Digest.of, contents):
                    if await replica.head(name, each):
                        promises.told[name, each] = world.clock.now()
            case "push":
                await replica.push_blob(name, content)
                promises.told[name, digest] = world.clock.now()
            case "mount" if await replica.mount(name, digest, among="ab"):
                promises.told[name, digest] = world.clock.now()
            case "image":
                versions.append((name, await replica.push_image(name, content, chance.choice(contents))))
            case "delete" if versions:
                await replica.delete(*versions.pop(chance.randrange(len(versions))))
            case "purge":
                ago = world.clock.now() - MONTH
                async with replica.store.begin() as connection:
                    dead = manifests.c.deleted_at.is_not(None)
                    await connection.execute(update(manifests).where(dead).values(deleted_at=ago))
            case _:
                world.clock.move(timedelta(minutes=chance.choice([9, 11, 1432, 1435, 1440, 1460])))
                await replica.collect()
                await promises.check()
        versions = list(dict.fromkeys(versions))


# All at once


class RacingClock(MovableClock):
    """A second later whenever somebody looks: with no grace period, everything is old at once."""

    def now(self) -> datetime:
        self.move(timedelta(seconds=1))
        return self.time


class LateSweep(DatedBlobStore):
    """Between the bytes and the row of a push there is nothing but time: that much has to stay (invariant 2)."""

    def list_locations(self, *, older_than: datetime) -> AsyncIterator[str]:
        return super().list_locations(older_than=older_than - timedelta(hours=12))

    def list_uploads(self, *, older_than: datetime) -> AsyncIterator:  # type: ignore[type-arg]
        return super().list_uploads(older_than=older_than - timedelta(hours=12))


LAYERS = [b"layer %d" % number * 100 for number in range(6)]


# What went meanwhile, and a client pushes again.
MENDED = {"package.not_found", "upload.moved", "upload.unknown", "manifest.blob_unknown"}


@dataclass
class Pusher:
    """Pushes images as clients do, again and again until nothing is said to be missing."""

    replica: Replica
    chance: random.Random
    stored: dict[tuple[str, Digest], list[bytes]]
    number: int

    async def push(self, count: int) -> None:
        for turn in range(count):
            name = self.chance.choice(["a", "b", "c"])
            parts = [b"config %d of %d" % (turn, self.number), *self.chance.sample(LAYERS, 4)]
            digest = await self._push_until_whole(name, parts, f"tag{self.chance.randrange(3)}")
            self.stored[name, digest] = parts
            if self.chance.random() < 0.3:
                await self._delete(*self.chance.choice(list(self.stored)))

    async def _push_until_whole(self, name: str, parts: list[bytes], tag: str) -> Digest:
        content = image(*parts)
        while True:
            try:
                for part in parts:
                    await self._push_part(name, part)
                pushed = await self.replica.push_manifest(name, content, tag)
            except Problem as problem:
                if problem.code in MENDED or problem.message == upload_lost().message:
                    continue
                raise
            if not any("layers" in warning for warning in pushed.warnings):
                return pushed.digest

    async def _push_part(self, name: str, part: bytes) -> None:
        digest = Digest.of(part)
        if await self.replica.head(name, digest):
            return
        if self.chance.random() < 0.5 and await self.replica.mount(name, digest, among="abc"):
            return
        await self.replica.push_blob(name, part)

    async def _delete(self, name: str, digest: Digest) -> None:
        """Others may push the same image meanwhile: then it is theirs."""
        if self.stored.pop((name, digest), None) is not None:
            await self.replica.delete(name, digest)


@pytest.mark.timeout(180)
async def test_pushes_beside_collections_without_any_grace(
    database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 1 and 2 need no clock: what was stored without a warning is whole, and in the end nothing is left."""
    monkeypatch.setattr(garbage, "RESTORE_WITHIN", NOBODY_WAITS)
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    clock = RacingClock()
    owner = await make_owner(database_url, clock.now())
    stored: dict[tuple[str, Digest], list[bytes]] = {}
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(
                open_replica(database_url, folder, owner, clock, LateSweep(folder / "blobs", clock))
            )
            for _ in range(3)
        ]
        collectors = [asyncio.create_task(_keep_collecting(replica)) for replica in replicas[:2]]
        pushers = [
            Pusher(replicas[number % 3], random.Random(seed + number), stored, number).push(5 if THROWN else 3)
            for number in range(5)
        ]
        try:
            async with asyncio.timeout(150):
                await asyncio.gather(*pushers)
        finally:
            for collector in collectors:
                collector.cancel()
            ends = await asyncio.gather(*collectors, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 2, ends
        assert stored
        await replicas[0].collect()
        for (name, digest), parts in stored.items():
            found = await replicas[2].manifests.get(replicas[2].caller(name), PackageName(OWNER, name), digest)
            assert json.loads(found.content) == json.loads(image(*parts))
            for part in parts:
                assert await replicas[2].read(name, Digest.of(part)) == part
        await _delete_everything(replicas[0])
        assert await replicas[0].count() == {}
        assert replicas[0].files() == set()


async def _keep_collecting(replica: Replica) -> None:
    while True:
        await replica.collector(grace=NOBODY_WAITS, slack=NOBODY_WAITS).collect()
        await asyncio.sleep(0.02)


async def _delete_everything(replica: Replica) -> None:
    await in_transaction(replica, lambda it: it.execute(update(packages).values(deleted_at=replica.clock.now())))
    for _ in range(3):
        replica.clock.move(MONTH)
        await replica.collect()


@pytest.mark.timeout(120)
async def test_nobody_waits_in_a_circle(world: GarbageWorld) -> None:
    """Pushes of the same layers in different orders, uploads of them, and collections of the same links, in one package."""
    one, two = world.one, world.two
    parts = [b"layer %d" % number for number in range(12)]
    for part in parts:
        await one.push_blob("app", part)
    await one.push_image("app", b"{}")
    package_id = await one.package_id("app")
    links = [(package_id, await find_blob(one, Digest.of(part))) for part in parts]
    chance = random.Random(1)

    async def push(replica: Replica) -> None:
        for _ in range(25):
            shuffled = chance.sample(parts, len(parts))
            await replica.push_manifest("app", image(b"{}", *shuffled))
            await in_transaction(replica, lambda it: it.execute(manifests.delete().where(manifests.c.id > 1)))

    async def upload(replica: Replica) -> None:
        for part in chance.sample(parts, len(parts)) * 2:
            await replica.push_blob("app", part)

    async def collect(replica: Replica) -> None:
        for _ in range(25):
            shuffled = chance.sample(links, len(links))
            await in_transaction(replica, lambda it, some=shuffled: rows.delete_unneeded_links(it, some, LATER))  # type: ignore[misc]
            found = [blob_id for _package, blob_id in shuffled]
            await in_transaction(replica, lambda it, some=found: rows.trash_unlinked_blobs(it, some, LATER, LATER))  # type: ignore[misc]

    await asyncio.gather(push(one), push(two), upload(one), upload(two), collect(one), collect(two))

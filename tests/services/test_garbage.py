"""What garbage collection removes and, beside it, what it leaves; on both databases. Races: test_garbage_races.py."""

import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import false, insert, literal, select, update
from tests.adapters.postgres import in_memory
from tests.garbage_world import MONTH, OWNER, GarbageWorld, Replica, image, make_garbage_world

from berth.adapters.store import garbage as rows
from berth.adapters.store import package as package_rows
from berth.adapters.store.package_tables import blob_trash, blobs, manifests, package_blobs, packages, uploads
from berth.domain.image_reference import Digest
from berth.domain.package import PackageName
from berth.domain.problem import Invalid, NotFound, UpstreamFailed
from berth.services import garbage
from berth.services.ports import UploadState
from berth.services.registry_blob import GRACE, TOUCH_EVERY

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
IN_TRASH = timedelta(hours=1) + TOUCH_EVERY + SECOND


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[GarbageWorld]:
    with tempfile.TemporaryDirectory(prefix="berth-blobs-", dir=in_memory()) as folder:
        async with make_garbage_world(database_url, Path(folder)) as made:
            yield made


async def set_package(replica: Replica, name: str, **values: object) -> None:
    async with replica.store.begin() as connection:
        await package_rows.update_package(connection, await replica.package_id(name), values)


async def collect_twice(world: GarbageWorld) -> None:
    """What went into the trash is gone after an hour."""
    await world.one.collect()
    world.clock.move(IN_TRASH)
    await world.one.collect()


async def test_nothing_is_collected_from_another_installations_store(world: GarbageWorld) -> None:
    """Also if it was put under a running server: another folder that was mounted, for instance."""
    one = world.one
    await one.push_image("app", b"{}", tag="1")
    marker = one.content._root / "installation"
    before = one.files()
    async with one.store.begin() as connection:
        await connection.execute(packages.delete())  # as with a database that does not know the content
        await connection.execute(blobs.delete())
    world.clock.move()
    ours = marker.read_text()
    marker.write_text("another installation's")
    with pytest.raises(Invalid) as refused:
        await one.collect()
    assert refused.value.code == "blob.foreign"
    assert one.files() == before
    marker.write_text(ours)
    await one.collect()
    assert one.files() == set()


# Uploads


async def test_an_upload_goes_when_nobody_went_on_with_it_for_the_grace_period(world: GarbageWorld) -> None:
    one = world.one
    await one.push_image("kept", b"{}", tag="1")
    abandoned, alive = await one.begin("kept"), await one.begin("kept")
    for upload in (abandoned, alive):
        await one.blobs.append(upload, _one(b"half"), None)
    world.clock.move(GRACE)
    caller, name = one.caller("kept"), PackageName(OWNER, "kept")
    alive = await one.blobs.find_upload(caller, name, alive.id)
    alive = await one.blobs.append(alive, _one(b" and half"), None)
    await one.collect()  # exactly at the end of the period: nothing yet
    assert await one.count(uploads) == {"uploads": 2}
    world.clock.move(TOUCH_EVERY + SECOND)
    await one.collect()
    with pytest.raises(NotFound) as gone:
        await one.blobs.find_upload(caller, name, abandoned.id)
    assert gone.value.code == "upload.unknown"
    assert not any(abandoned.id in path for path in one.files())
    await one.blobs.finish(alive, Digest.of(b"half and half"))
    assert await one.read("kept", Digest.of(b"half and half")) == b"half and half"


async def test_an_upload_into_which_bytes_still_come_is_not_abandoned(world: GarbageWorld) -> None:
    one = world.one
    upload = await one.begin("slow")

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b"drop"
            world.clock.move(timedelta(hours=6))
            await world.two.collect()

    upload = await one.blobs.append(upload, slowly(), None)
    await one.blobs.finish(upload, Digest.of(b"drop" * 6))
    assert await one.read("slow", Digest.of(b"drop" * 6)) == b"drop" * 6


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


# Packages


async def test_a_deleted_package_can_be_restored_for_30_days_and_goes_then(world: GarbageWorld) -> None:
    one = world.one
    for name in ("dead", "restored", "alive"):
        await one.push_image(name, b"{}", name.encode(), tag="1")
    for name in ("dead", "restored"):
        await set_package(one, name, deleted_at=world.clock.now())
    world.clock.move(timedelta(days=30))
    await one.collect()
    await set_package(one, "restored", deleted_at=None)
    world.clock.move(TOUCH_EVERY + SECOND)
    await collect_twice(world)
    assert await one.count(packages, manifests) == {"packages": 2, "manifests": 2}
    for name in ("restored", "alive"):
        assert await one.has_version(name, "1")
        assert await one.read(name, Digest.of(name.encode())) == name.encode()
    assert not any(Digest.of(b"dead").hex in path for path in one.files())


async def test_a_name_under_which_nothing_was_published_goes_after_the_grace_period(world: GarbageWorld) -> None:
    one = world.one
    await one.blobs.cancel(await one.begin("free"))
    await one.push_blob("left", b"alone")
    await one.push_image("published", b"{}")
    still = await one.begin("uploading")
    world.clock.move(GRACE)
    assert await one.head("left", Digest.of(b"alone"))  # somebody may go on with this push
    world.clock.move(TOUCH_EVERY + SECOND)
    async with one.store.begin() as connection:  # it goes on, but only the upload itself says so
        await connection.execute(update(uploads).where(uploads.c.id == still.id).values(touched_at=world.clock.now()))
    await one.collect()
    async with one.store.read() as connection:
        names = set((await connection.execute(select(packages.c.name))).scalars())
    assert names == {"left", "published", "uploading"}
    world.clock.move()
    await one.collect()
    async with one.store.read() as connection:
        names = set((await connection.execute(select(packages.c.name))).scalars())
    assert names == {"published"}


async def test_a_large_dead_package_goes_in_pages_and_not_while_somebody_restores_it(
    world: GarbageWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "_PAGE", 3)
    one = world.one
    for number in range(7):
        await one.push_image("large", b"{}", b"%d" % number)
    await set_package(one, "large", deleted_at=world.clock.now())
    age = rows.PackageAge(deleted_before=world.clock.now() + SECOND, unpublished_before=world.clock.now())
    package_id = await one.package_id("large")
    async with one.store.begin() as connection:
        assert await rows.delete_dead_package(connection, package_id, age, limit=3)
    assert await one.count(manifests, packages) == {"manifests": 4, "packages": 1}
    world.clock.move(MONTH)
    await one.collect()
    assert await one.count(manifests, packages, package_blobs) == {}
    await one.push_image("again", b"{}")
    async with one.store.begin() as connection:
        assert not await rows.delete_dead_package(connection, await one.package_id("again"), age, limit=3)
    assert await one.count(packages) == {"packages": 1}


# Versions


async def test_a_deleted_version_goes_after_30_days_and_its_blobs_unless_another_needs_them(
    world: GarbageWorld,
) -> None:
    one = world.one
    old = await one.push_image("app", b"{}", b"shared", b"old", tag="1")
    await one.push_image("app", b"{}", b"shared", b"new", tag="2")
    await one.delete("app", old)
    world.clock.move(timedelta(days=30))
    await one.collect()
    assert await one.count(manifests) == {"manifests": 2}  # it can be restored, and whole
    assert await one.read("app", Digest.of(b"old")) == b"old"
    world.clock.move(TOUCH_EVERY + SECOND)
    await one.collect()
    assert await one.count(manifests) == {"manifests": 1}
    assert await one.count(package_blobs) == {"package_blobs": 4}  # for the grace period, from now on
    world.clock.move(GRACE)
    await one.collect()
    assert await one.count(package_blobs) == {"package_blobs": 4}
    world.clock.move(TOUCH_EVERY + SECOND)
    await collect_twice(world)
    assert not await one.head("app", Digest.of(b"old"))
    for content in (b"{}", b"shared", b"new"):
        assert await one.read("app", Digest.of(content)) == content
    assert len(one.files()) == 3


async def test_a_version_that_is_pushed_again_lives(world: GarbageWorld) -> None:
    one = world.one
    digest = await one.push_image("app", b"{}", b"layer")
    await one.delete("app", digest)
    world.clock.move(MONTH - SECOND)
    assert await one.push_image("app", b"{}", b"layer") == digest
    world.clock.move(MONTH)
    await collect_twice(world)
    assert await one.has_version("app", digest)
    assert await one.read("app", Digest.of(b"layer")) == b"layer"


async def test_a_version_that_is_restored_between_the_look_and_the_removal_stays(world: GarbageWorld) -> None:
    one = world.one
    digest = await one.push_image("app", b"{}", b"layer")
    await one.delete("app", digest)
    world.clock.move(MONTH)
    before = world.clock.now() - timedelta(days=30)
    async with one.store.begin() as connection:
        (version,) = await rows.list_deleted_versions(connection, before, limit=9)
        await connection.execute(update(manifests).values(deleted_at=None))
        ids = [version.manifest_id]
        assert await rows.delete_versions(connection, version.package_id, ids, before, world.clock.now()) == 0
    assert await one.has_version("app", digest)


# Untagged versions


TAGS = {b"tagged": "tagged", b"moved": "moving", b"tag deleted": "deleted", b"signed": "signed"}
NEVER_TAGGED = (b"never tagged", b"child")


async def push_all_kinds(replica: Replica, name: str) -> list[Digest]:
    """Versions with every reason to stay or to go."""
    versions = [await replica.push_image(name, b"{}", layer, tag=TAGS.get(layer)) for layer in (*TAGS, *NEVER_TAGGED)]
    versions.append(await replica.push_index(name, _version(b"child"), tag="index"))
    for layer, subject in ((b"signature", b"signed"), (b"signature of nothing", b"was never here")):
        versions.append(await replica.push_image(name, b"{}", layer, subject=_version(subject)))
    return versions


async def list_gone(replica: Replica, name: str, versions: list[Digest]) -> set[Digest]:
    return {version for version in versions if not await replica.has_version(name, version)}


async def test_untagged_versions_go_where_the_package_asks_for_it(world: GarbageWorld) -> None:
    one = world.one
    asking, other = [await push_all_kinds(one, name) for name in ("asking", "other")]
    await set_package(one, "asking", untagged_retention_days=7)
    world.clock.move(DAY * 6)
    for name, versions in (("asking", asking), ("other", other)):
        versions.append(await one.push_image(name, b"{}", b"new", tag="moving"))
        await one.delete(name, "deleted")
    world.clock.move(DAY + TOUCH_EVERY + SECOND)
    await one.collect()
    never = {_version(b"never tagged"), _version(b"signature of nothing", b"was never here")}
    assert await list_gone(one, "asking", asking) == never
    world.clock.move(DAY * 6 - TOUCH_EVERY - SECOND)
    await one.collect()  # not yet a week since tags moved away and were deleted
    assert await list_gone(one, "asking", asking) == never
    world.clock.move(TOUCH_EVERY + SECOND)
    await one.collect()
    assert await list_gone(one, "asking", asking) == never | {_version(b"moved"), _version(b"tag deleted")}
    assert await list_gone(one, "other", other) == set()
    assert await one.count(manifests) == {"manifests": len(asking) + len(other)}  # they can be restored


def _version(layer: bytes, subject: bytes | None = None) -> Digest:
    """The digest of the image that `push_image` makes of this layer."""
    of = None if subject is None else _version(subject)
    return Digest.of(image(b"{}", layer, subject=of))


async def test_what_a_deleted_index_lists_stays_as_long_as_the_index_can_be_restored(world: GarbageWorld) -> None:
    one = world.one
    child = await one.push_image("app", b"{}", b"child")
    signature = await one.push_image("app", b"{}", b"signature", subject=child)
    parent = await one.push_index("app", child, tag="1")
    await set_package(one, "app", untagged_retention_days=1)
    await one.delete("app", parent)
    world.clock.move(timedelta(days=30))
    await one.collect()
    assert await one.has_version("app", child)
    assert await one.has_version("app", signature)
    world.clock.move(TOUCH_EVERY + SECOND)
    await one.collect()
    assert not await one.has_version("app", child)
    assert await one.has_version("app", signature)  # its subject can be restored


async def test_an_untagged_version_that_somebody_asks_for_stays(world: GarbageWorld) -> None:
    one, name = world.one, PackageName(OWNER, "app")
    pulled = await one.push_image("app", b"{}", b"pulled by digest")
    forgotten = await one.push_image("app", b"{}", b"forgotten")
    await set_package(one, "app", untagged_retention_days=1)
    for _ in range(6):
        world.clock.move(timedelta(hours=11))
        await world.two.manifests.get(world.two.caller("app"), name, pulled)
        await one.collect()
    assert await one.has_version("app", pulled)
    assert not await one.has_version("app", forgotten)


@pytest.mark.parametrize("tag", [None, "1"], ids=["no retention", "a tag"])
async def test_asking_for_a_version_writes_nothing_where_nothing_goes(world: GarbageWorld, tag: str | None) -> None:
    one, name = world.one, PackageName(OWNER, "app")
    digest = await one.push_image("app", b"{}", tag=tag)
    await set_package(one, "app", untagged_retention_days=None if tag is None else 1)
    world.clock.move(DAY)
    for reference in (digest, "1") if tag else (digest,):
        found = await one.manifests.get(one.caller("app"), name, reference)
        assert found.has_tag == bool(tag)
    async with one.store.read() as connection:
        assert (await connection.execute(select(manifests.c.updated_at))).scalar_one() == world.clock.now() - DAY


async def test_a_version_that_went_while_somebody_asked_is_not_shown(world: GarbageWorld) -> None:
    one, name = world.one, PackageName(OWNER, "app")
    digest = await one.push_image("app", b"{}")
    await set_package(one, "app", untagged_retention_days=1)
    known = await one.access.authorize_push(one.caller("app"), name)
    found = await one.manifests.get(one.caller("app"), name, digest)
    await one.delete("app", digest)
    world.clock.move(DAY)
    assert not await one.manifests._keep(known, found)


FULL_DISK = {
    True: ["CREATE TRIGGER t BEFORE UPDATE ON manifests BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"],
    False: [
        """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no disk space: full' USING ERRCODE = 'disk_full'; END $$""",
        "CREATE TRIGGER t BEFORE UPDATE ON manifests FOR EACH ROW EXECUTE FUNCTION f()",
    ],
}


async def test_a_pull_does_not_fail_because_it_cannot_be_noted(
    world: GarbageWorld, caplog: pytest.LogCaptureFixture
) -> None:
    one, name = world.one, PackageName(OWNER, "app")
    digest = await one.push_image("app", b"{}")
    await set_package(one, "app", untagged_retention_days=1)
    await one.manifests.get(one.caller("app"), name, digest)
    world.clock.move(DAY)

    async with one.store.begin() as connection:
        for statement in FULL_DISK[one.store.is_sqlite]:
            await connection.exec_driver_sql(statement)
    with caplog.at_level(logging.WARNING):
        assert (await one.manifests.get(one.caller("app"), name, digest)).digest == digest
    assert [record.message for record in caplog.records] == ["manifest.touch_failed"]


@pytest.mark.parametrize("days", [-5, 0, 1])
async def test_retention_is_a_day_at_least(world: GarbageWorld, days: int) -> None:
    one = world.one
    digest = await one.push_image("app", b"{}")
    await set_package(one, "app", untagged_retention_days=days)
    world.clock.move(DAY)
    await one.collect()
    assert await one.has_version("app", digest)
    world.clock.move(TOUCH_EVERY + SECOND)
    await one.collect()
    assert not await one.has_version("app", digest)


async def test_an_absurd_retention_stops_nobody_elses(world: GarbageWorld) -> None:
    one = world.one
    versions = {name: await one.push_image(name, b"{}") for name in ("absurd", "usual")}
    await set_package(one, "absurd", untagged_retention_days=2**31 - 1)
    await set_package(one, "usual", untagged_retention_days=1)
    world.clock.move(DAY * 2)
    await one.collect()
    assert await one.has_version("absurd", versions["absurd"])
    assert not await one.has_version("usual", versions["usual"])


@pytest.mark.parametrize(
    "values", [{"untagged_retention_days": 9}, {"untagged_retention_days": None}, {"deleted": True}]
)
async def test_retention_that_is_changed_between_the_look_and_the_removal(
    world: GarbageWorld, values: dict[str, object]
) -> None:
    one = world.one
    digest = await one.push_image("app", b"{}")
    await set_package(one, "app", untagged_retention_days=1)
    world.clock.move(DAY * 2)
    package_id, before = await one.package_id("app"), world.clock.now() - DAY
    async with one.store.read() as connection:
        ids = await rows.find_untagged(connection, package_id, 1, before)
    assert len(ids) == 1
    await set_package(one, "app", **({"deleted_at": world.clock.now()} if "deleted" in values else values))
    async with one.store.begin() as connection:
        assert await rows.retire_untagged(connection, package_id, ids, 1, before, world.clock.now()) == 0
    assert await one.has_version("app", digest)


# Links, blobs, bytes


async def test_a_blob_goes_when_no_version_needs_it_and_nobody_was_told_of_it(world: GarbageWorld) -> None:
    one = world.one
    await one.push_image("app", b"{}", b"needed")
    for content in (b"told", b"untold"):
        await one.push_blob("app", content)
    world.clock.move(GRACE)
    assert await one.head("app", Digest.of(b"told"))
    world.clock.move(TOUCH_EVERY + SECOND)
    await collect_twice(world)
    assert not await one.head("app", Digest.of(b"untold"))
    for content in (b"told", b"needed"):
        assert await one.read("app", Digest.of(content)) == content
    assert {path.split("/")[-1].split(".")[0] for path in one.files()} == {
        f"sha256-{Digest.of(content).hex}" for content in (b"told", b"needed", b"{}")
    }


async def test_a_blob_lives_as_long_as_one_package_holds_it(world: GarbageWorld) -> None:
    one = world.one
    await one.push_image("from", b"{}", b"layer")
    digest = Digest.of(b"layer")
    assert await one.mount("to", digest, "from")
    await one.push_blob("to", b"{}")
    await one.push_manifest("to", image(b"{}", b"layer"), "1")
    await set_package(one, "from", deleted_at=world.clock.now())
    world.clock.move(MONTH)
    await collect_twice(world)
    assert await one.count(packages) == {"packages": 1}
    assert await one.read("to", digest) == b"layer"


async def test_an_unlinked_blob_stays_for_versions_that_may_be_restored(world: GarbageWorld) -> None:
    one = world.one
    version = await one.push_image("app", b"{}", b"layer")
    await one.push_image("app", b"{}", b"other")
    digest = Digest.of(b"layer")
    await one.delete("app", version)
    await one.blobs.delete(one.caller("app"), PackageName(OWNER, "app"), digest)
    world.clock.move()
    await collect_twice(world)
    assert not await one.head("app", digest)
    assert await one.count(blobs) == {"blobs": 3}
    world.clock.move(MONTH)
    await one.collect()
    world.clock.move()
    await collect_twice(world)
    assert await one.count(blobs) == {"blobs": 2}


async def test_what_was_just_trashed_is_still_read_by_who_knows_where_it_was(world: GarbageWorld) -> None:
    one = world.one
    digest = await one.push_blob("app", b"content")
    blob = await one.blobs.find(one.caller("app"), PackageName(OWNER, "app"), digest)
    world.clock.move()
    await one.collect()
    assert await one.count(blob_trash) == {"blob_trash": 1}
    assert await one.blobs.read_whole(blob) == b"content"
    world.clock.move(IN_TRASH)
    await one.collect()
    assert await one.count(blob_trash) == {}
    assert one.files() == set()


async def test_trash_is_emptied_also_after_a_crash_between_row_and_bytes(world: GarbageWorld) -> None:
    one = world.one
    await one.push_image("app", b"{}", tag="1")
    for number in range(3):
        await one.push_blob("app", b"%d" % number)
    world.clock.move()
    await one.collect()
    world.clock.move(IN_TRASH)
    (location, *_), real = sorted(one.files()), one.content.delete

    async with one.store.read() as connection:
        trash = list((await connection.execute(select(blob_trash.c.location))).scalars())
    assert len(trash) == 3
    await real(trash[0])  # what a server did that was killed before it could say so
    await one.collect()
    assert await one.count(blob_trash) == {}
    assert len(one.files()) == 1
    assert await one.read("app", Digest.of(b"{}")) == b"{}"
    assert location


async def test_a_blob_store_that_is_away_loses_nothing(world: GarbageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    one = world.one
    await one.push_blob("app", b"content")
    world.clock.move()
    await one.collect()
    world.clock.move(IN_TRASH)

    async def away(location: str) -> None:
        raise UpstreamFailed("away", code="blob.unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(one.content, "delete", away)
        with pytest.raises(UpstreamFailed):
            await one.collect()
        assert await one.count(blob_trash) == {"blob_trash": 1}
    await one.collect()
    assert await one.count(blob_trash) == {}
    assert one.files() == set()


async def test_content_that_no_row_names_goes_after_the_grace_period(world: GarbageWorld) -> None:
    """A server was killed after `finish` of the blob store and before its transaction."""
    one = world.one
    await one.push_image("app", b"{}", b"known", tag="1")
    upload = str(uuid4())
    async with one.content.write(upload, UploadState()) as writer:
        await writer.write(b"unknown")
    stored = await one.content.finish(upload, writer.state, Digest.of(b"unknown"))
    world.clock.move(GRACE)
    await one.collect()
    assert stored.location in one.files()
    world.clock.move(TOUCH_EVERY + SECOND)
    await one.collect()
    assert stored.location not in one.files()
    assert await one.read("app", Digest.of(b"known")) == b"known"


async def test_an_upload_that_no_row_names_is_swept(world: GarbageWorld) -> None:
    one = world.one
    known, unknown = (await one.begin("app")).id, str(uuid4())
    for upload in (known, unknown):
        async with one.content.write(upload, UploadState()) as writer:
            await writer.write(b"half")
        one.content.date(f"uploads/{upload}")  # type: ignore[attr-defined]
    world.clock.move()
    async with one.store.begin() as connection:
        await connection.execute(update(uploads).values(touched_at=world.clock.now()))
    await one.collect()
    assert one.files() == {f"uploads/{known}"}


async def test_pushing_again_mends_a_blob_whose_content_was_lost(world: GarbageWorld) -> None:
    one = world.one
    await one.push_image("app", b"{}", b"layer", tag="1")
    digest = Digest.of(b"layer")
    (location,) = [path for path in one.files() if digest.hex in path]
    (one.content._root / location).unlink()
    with pytest.raises(UpstreamFailed) as lost:
        await one.read("app", digest)
    assert lost.value.code == "blob.lost"
    await one.push_blob("other", b"layer")
    assert await one.read("app", digest) == b"layer"
    world.clock.move(IN_TRASH)
    await one.collect()
    assert await one.read("app", digest) == b"layer"
    assert len(one.files()) == 2


async def test_content_that_was_pushed_twice_is_kept_once(world: GarbageWorld) -> None:
    one = world.one
    for name in ("one", "two"):
        await one.push_image(name, b"{}", b"layer", tag="1")
    assert len(one.files()) == 4
    world.clock.move(IN_TRASH)
    await one.collect()
    assert len(one.files()) == 2
    for name in ("one", "two"):
        assert await one.read(name, Digest.of(b"layer")) == b"layer"


async def test_a_wrong_digest_leaves_nothing(world: GarbageWorld) -> None:
    one = world.one
    upload = await one.blobs.append(await one.begin("app"), _one(b"content"), None)
    with pytest.raises(Invalid):
        await one.blobs.finish(upload, Digest.of(b"other"))
    assert await one.count(uploads, blobs, package_blobs) == {}
    assert one.files() == set()


# All of it


async def test_pages_without_end(world: GarbageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of everything than fits on a page, at the edges of a page too."""
    monkeypatch.setattr(garbage, "_PAGE", 2)
    monkeypatch.setattr(garbage, "_LOOK", 3)
    one, now = world.one, world.clock.now()
    await one.push_image("kept", b"{}", b"kept", tag="1")
    for number in range(6):
        await one.push_blob(f"unpublished-{number % 3}", b"alone %d" % number)
        await one.push_image(f"retiring-{number % 3}", b"{}", b"untagged %d" % number)
        await one.push_image(f"deleted-{number}", b"{}", b"of deleted %d" % number, tag="1")
        version = await one.push_image("versions", b"{}", b"version %d" % number)
        await one.delete("versions", version)
        await one.begin("kept")
        await set_package(one, f"deleted-{number}", deleted_at=now)
        await set_package(one, f"retiring-{number % 3}", untagged_retention_days=1)
        upload = str(uuid4())
        async with one.content.write(upload, UploadState()) as writer:
            await writer.write(b"leftover %d" % number)
        await one.content.finish(upload, writer.state, Digest.of(b"leftover %d" % number))
        async with one.content.write(str(uuid4()), UploadState()) as writer:
            await writer.write(b"half of %d" % number)
    for path in one.files():
        one.content.date(path)  # type: ignore[attr-defined]
    for _ in range(5):
        world.clock.move(MONTH)
        await one.collect()
    assert await one.count(packages, manifests, blobs, package_blobs, uploads, blob_trash) == {
        "packages": 5,  # kept, versions, three that retired
        "manifests": 1,
        "blobs": 2,
        "package_blobs": 2,
    }
    assert len(one.files()) == 2
    for content in (b"{}", b"kept"):
        assert await one.read("kept", Digest.of(content)) == content


async def test_full_pages_of_links_and_blobs(world: GarbageWorld) -> None:
    one, number = world.one, 2 * garbage._PAGE + 50
    await one.push_image("kept", b"{}", b"kept", tag="1")
    package_id, now = await one.package_id("kept"), world.clock.now()
    async with one.store.begin() as connection:
        digests = [str(Digest.of(b"%d" % each)) for each in range(number)]
        values = [{"digest": each, "size": 1, "location": f"{each}", "touched_at": now} for each in digests]
        await connection.execute(insert(blobs), values)
        links = select(literal(package_id), blobs.c.id, blobs.c.touched_at, false()).where(blobs.c.digest.in_(digests))
        await connection.execute(insert(package_blobs).from_select([*package_blobs.c], links))
    assert await one.count(package_blobs) == {"package_blobs": number + 2}
    world.clock.move()
    await one.collect()
    assert await one.count(package_blobs, blobs, blob_trash) == {"package_blobs": 2, "blobs": 2, "blob_trash": number}


async def test_it_says_what_it_did_and_nothing_where_it_did_nothing(
    world: GarbageWorld, caplog: pytest.LogCaptureFixture
) -> None:
    one = world.one
    await one.push_image("kept", b"{}", tag="1")
    with caplog.at_level(logging.INFO, "berth.services.garbage"):
        world.clock.move()
        await one.collect()
        assert caplog.records == []
        await one.push_blob("kept", b"alone")
        world.clock.move()
        await one.collect()
    (record,) = caplog.records
    assert (record.message, record.links, record.blobs) == ("garbage.collected", 1, 1)  # type: ignore[attr-defined]


async def test_everything_deleted_leaves_nothing(world: GarbageWorld) -> None:
    one = world.one
    for name in ("a", "b"):
        await one.push_image(name, b"{}", b"shared", name.encode(), tag="1")
        await one.push_index(name, _version(b"shared"), tag="index")
        await set_package(one, name, deleted_at=world.clock.now())
    world.clock.move(MONTH)
    await collect_twice(world)
    assert await one.count() == {}
    assert one.files() == set()


async def test_a_location_of_a_row_is_never_swept(world: GarbageWorld) -> None:
    """The sweep believes the rows, not the age of files."""
    one = world.one
    await one.push_image("app", b"{}", tag="1")
    async with one.store.begin() as connection:
        await connection.execute(insert(blob_trash).values(location="content/elsewhere", added_at=world.clock.now()))
    world.clock.move(MONTH)
    (location,) = one.files()
    async with one.store.read() as connection:
        asked = [location, "content/elsewhere", "content/unknown"]
        assert await rows.find_unknown_locations(connection, asked) == ["content/unknown"]
    with suppress(UpstreamFailed):  # the made-up location cannot be removed
        await one.collect()
    assert one.files() == {location}

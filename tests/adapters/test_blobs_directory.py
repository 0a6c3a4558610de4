"""What only the directory store can get wrong: modes, locks, crashes, full disks. The rest: tests/contract/test_blob_store.py."""

import asyncio
import fcntl
import hashlib
import os
import random
import threading
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.adapters.killed_pushes import kill_after, pushing
from tests.small_disk import MIB, fill, small_disk

from berth.adapters import blob_files, blobs_directory
from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.problem import Conflict, Invalid, LimitReached, UpstreamFailed
from berth.services.ports.blob_store import StoredBlob, UploadState

LATER = timedelta(days=1)


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
async def store(root: Path) -> AsyncIterator[DirectoryBlobStore]:
    opened = DirectoryBlobStore(root)
    yield opened
    opened.close()


def new_id() -> str:
    return str(uuid.uuid4())


async def upload(
    store: DirectoryBlobStore, upload_id: str, content: bytes, state: UploadState | None = None
) -> UploadState:
    async with store.write(upload_id, state or UploadState()) as writer:
        for start in range(0, len(content), MIB):
            await writer.write(content[start : start + MIB])
    return writer.state


async def put(store: DirectoryBlobStore, content: bytes) -> StoredBlob:
    upload_id = new_id()
    return await store.finish(upload_id, await upload(store, upload_id, content), Digest.of(content))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def folders(root: Path) -> list[Path]:
    return [root, *(path for path in root.rglob("*") if path.is_dir())]


def modes(paths: list[Path]) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in paths}


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def test_nobody_else_may_look(store: DirectoryBlobStore, root: Path) -> None:
    old = os.umask(0)
    try:
        await put(store, b"x")
        await upload(store, new_id(), b"x")
    finally:
        os.umask(old)
    assert modes(files(root)) == {0o600}
    assert modes(folders(root)) == {0o700}
    assert len(files(root)) == 2


async def test_there_is_no_address_but_ours(store: DirectoryBlobStore) -> None:
    assert await store.find_url((await put(store, b"x")).location) is None


@pytest.mark.parametrize("size_bytes", [20_000, 3 * MIB], ids=["small blobs", "large blobs"])
async def test_killed_while_it_writes_and_finishes(store: DirectoryBlobStore, root: Path, size_bytes: int) -> None:
    """`SIGKILL` during pushes: what has a name is whole, what was acknowledged is there."""
    dice, acknowledged, states = random.Random(size_bytes), set(), {}
    for word in ("written", "finished", "written", "written", "finished"):
        for words in kill_after(str(root), size_bytes, word, dice.uniform(0, 0.03)):
            if words[0] == "finished":
                acknowledged.add(words[2])
            elif words[0] == "written":
                states[words[1]] = int(words[2])
    found = {str(path.relative_to(root)) for path in files(root / "content")}
    assert acknowledged <= found
    assert acknowledged
    for location in found:
        assert digest_of(root / location) in location
        assert (root / location).stat().st_size == size_bytes
    late = datetime.now(UTC) + LATER
    assert found == {location async for location in store.list_locations(older_than=late)}
    for upload_id in [upload_id async for upload_id, _ in store.list_uploads(older_than=late)]:
        known = UploadState(size_bytes=states.get(upload_id, 0))
        before = (root / "uploads" / upload_id).read_bytes()[: known.size_bytes]
        state = await upload(store, upload_id, b"and on", known)
        blob = await store.finish(upload_id, state, Digest.of(before + b"and on"))
        assert await store.read_whole(blob.location, blob.size_bytes) == before + b"and on"


async def test_another_process_holds_the_lock_until_it_dies(store: DirectoryBlobStore, root: Path) -> None:
    with pushing(str(root), 200 * MIB) as process:
        while not (held := files(root / "uploads")):
            await asyncio.sleep(0.01)
        upload_id = held[0].name
        while not held[0].stat().st_size:
            await asyncio.sleep(0.01)
        with pytest.raises(Conflict) as caught:
            await upload(store, upload_id, b"x")
        assert caught.value.code == "upload.busy"
        assert held[0].stat().st_size, "the other's bytes are untouched"
        process.kill()
        process.wait()
    await upload(store, upload_id, b"x")
    assert held[0].read_bytes() == b"x"


@pytest.mark.parametrize("is_replaced", [False, True], ids=["nothing in its place", "another in its place"])
def test_a_lock_on_a_file_that_was_finished_meanwhile_is_none(tmp_path: Path, is_replaced: bool) -> None:
    """A writer that opened the file before it was finished must not write into the finished content."""
    path, target = tmp_path / "upload", tmp_path / "content"
    path.touch()
    with path.open("rb") as opened:
        path.rename(target)
        if is_replaced:
            path.touch()
        with pytest.raises(UpstreamFailed) as caught:
            blob_files._lock(opened.fileno(), path)
        assert caught.value.code == "blob.lost"
        with target.open("rb") as other:
            fcntl.flock(opened, fcntl.LOCK_UN)
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_bytes_that_the_machine_lost_are_missed(store: DirectoryBlobStore, root: Path) -> None:
    upload_id = new_id()
    state = await upload(store, upload_id, b"0123456789")
    os.truncate(root / "uploads" / upload_id, 9)
    for attempt in (upload(store, upload_id, b"x", state), store.finish(upload_id, state, Digest.of(b"0123456789"))):
        with pytest.raises(UpstreamFailed) as caught:
            await attempt
        assert caught.value.code == "blob.lost"


async def test_bytes_that_the_machine_garbled_are_found(store: DirectoryBlobStore, root: Path) -> None:
    """After a restart nothing is believed that was not read."""
    upload_id = new_id()
    state = await upload(store, upload_id, b"0123456789")
    (root / "uploads" / upload_id).write_bytes(b"\0" * 10)
    restarted = DirectoryBlobStore(root)
    with pytest.raises(Invalid):
        await restarted.finish(upload_id, state, Digest.of(b"0123456789"))
    restarted.close()
    assert files(root) == []


async def test_what_this_process_received_is_not_read_again(store: DirectoryBlobStore, root: Path) -> None:
    """Seen by bytes that turn in the file, by no writer of ours: nobody notices (compare the test above)."""
    upload_id = new_id()
    state = await upload(store, upload_id, b"0123456789")
    state = await upload(store, upload_id, b"more", state)
    with (root / "uploads" / upload_id).open("r+b") as file:
        file.write(b"X")
    blob = await store.finish(upload_id, state, Digest.of(b"0123456789more"))
    assert await store.read_whole(blob.location, 14) == b"X123456789more"


async def test_contents_age_begins_when_it_is_finished(store: DirectoryBlobStore, root: Path) -> None:
    """Else what took long to push would be old, and collected, the moment it is there."""
    upload_id = new_id()
    state = await upload(store, upload_id, b"x")
    os.utime(root / "uploads" / upload_id, (0, 0))
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert [found async for found, _ in store.list_uploads(older_than=an_hour_ago)] == [upload_id]
    await store.finish(upload_id, state, Digest.of(b"x"))
    assert [location async for location in store.list_locations(older_than=an_hour_ago)] == []


async def test_what_is_not_ours_is_left_alone(store: DirectoryBlobStore, root: Path) -> None:
    blob = await put(store, b"x")
    folder = (root / blob.location).parent
    (folder / "README").touch()
    (folder / "folder").mkdir()
    (folder / Path(blob.location).name.replace("sha256-", "sha256-f")).touch()
    (root / "uploads" / "lost+found").mkdir()
    (root / "uploads" / ".nfs0001").touch()
    late = datetime.now(UTC) + LATER
    assert [location async for location in store.list_locations(older_than=late)] == [blob.location]
    assert [found async for found in store.list_uploads(older_than=late)] == []


async def test_a_link_is_not_followed(store: DirectoryBlobStore, root: Path, tmp_path: Path) -> None:
    secret, upload_id = tmp_path / "secret", new_id()
    secret.write_bytes(b"secret")
    (root / "uploads" / upload_id).symlink_to(secret)
    with pytest.raises(UpstreamFailed):
        await upload(store, upload_id, b"x")
    blob = await put(store, b"x")
    (root / blob.location).unlink()
    (root / blob.location).symlink_to(secret)
    with pytest.raises(UpstreamFailed):
        await store.read_whole(blob.location, 6)
    assert secret.read_bytes() == b"secret"


async def test_a_store_that_is_away_is_not_an_empty_one(store: DirectoryBlobStore, root: Path) -> None:
    """A disk that is not mounted: failed is never none."""
    blob = await put(store, b"x")
    upload_id = new_id()
    state = await upload(store, upload_id, b"x")
    await asyncio.to_thread(root.rename, root.with_name("away"))
    for attempt in (
        store.read_whole(blob.location, 1),
        anext(store.read(blob.location, 0, 1)),
        anext(store.list_locations(older_than=datetime.now(UTC))),
        anext(store.list_uploads(older_than=datetime.now(UTC))),
        upload(store, new_id(), b"x"),
        upload(store, upload_id, b"x", state),
        store.finish(upload_id, state, Digest.of(b"x")),
        store.ping(),
    ):
        with pytest.raises(UpstreamFailed) as caught:
            await attempt
        assert (caught.value.code, caught.value.retryable) == ("blob.unavailable", True)
    await asyncio.to_thread(root.with_name("away").rename, root)
    assert await store.read_whole(blob.location, 1) == b"x"


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UpstreamFailed) as caught:
        DirectoryBlobStore(tmp_path / "file" / "blobs")
    assert caught.value.code == "blob.unavailable"


async def test_what_is_not_in_the_page_cache_is_read_all_the_same(store: DirectoryBlobStore, root: Path) -> None:
    content = os.urandom(5 * MIB + 1)
    blob = await put(store, content)
    with (root / blob.location).open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert b"".join([piece async for piece in store.read(blob.location, 0, len(content))]) == content


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
async def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        store = DirectoryBlobStore(disk / "blobs")
        kept = await put(store, b"kept")
        upload_id = new_id()
        state = await upload(store, upload_id, b"s" * MIB)
        filler = await asyncio.to_thread(fill, disk)
        with pytest.raises(LimitReached) as caught:
            async with store.write(upload_id, state) as writer:
                await writer.write(b"t" * (MIB // 2))
        assert caught.value.code == "blob.disk_full"
        assert "BLOBS" in caught.value.remedy
        assert writer.state == state, "valid as far as it came"
        with pytest.raises(LimitReached):
            await store.ping()
        assert await store.read_whole(kept.location, 4) == b"kept"

        filler.unlink()
        await store.ping()
        state = await upload(store, upload_id, b"t" * MIB, writer.state)
        blob = await store.finish(upload_id, state, Digest.of(b"s" * MIB + b"t" * MIB))
        assert len(files(disk)) == 2
        await store.delete(blob.location)
        store.close()


async def test_sha512_after_more_than_one_read(store: DirectoryBlobStore) -> None:
    content, upload_id = os.urandom(3 * MIB + 1), new_id()
    state = await upload(store, upload_id, content)
    digest = Digest.of(content, DigestAlgorithm.SHA512)
    blob = await store.finish(upload_id, state, digest)
    assert digest.hex in blob.location


async def test_discarded_while_it_is_finished(store: DirectoryBlobStore, root: Path) -> None:
    """The upload is gone, and the store is not away: it is read for its digest, and has no name any more when it gets one."""
    upload_id, size_bytes = new_id(), 96 * MIB
    state = await upload(store, upload_id, b"x")
    path = root / "uploads" / upload_id
    os.truncate(path, size_bytes)  # zeros, which take no room
    with path.open("rb") as file:
        digest = Digest(DigestAlgorithm.SHA512, hashlib.file_digest(file, "sha512").hexdigest())
    inode = path.stat().st_ino
    finishing = asyncio.create_task(store.finish(upload_id, UploadState(size_bytes=size_bytes), digest))
    while f":{inode} " not in locks():
        await asyncio.sleep(0.001)
    await store.discard(upload_id, state)
    with pytest.raises(UpstreamFailed) as refused:
        await finishing
    assert refused.value.code == "blob.lost"
    assert files(root) == []


def locks() -> str:
    """Of all files of this machine; asking so takes none."""
    return Path("/proc/locks").read_text()


async def test_room_that_was_reserved_and_not_needed_is_given_back(store: DirectoryBlobStore, root: Path) -> None:
    content = bytes(40 * MIB)
    upload_id = new_id()
    state = await upload(store, upload_id, content)
    held = (root / "uploads" / upload_id).stat().st_blocks * 512
    stored = await store.finish(upload_id, state, Digest.of(content))
    kept = (root / stored.location).stat().st_blocks * 512
    assert held > len(content) + MIB  # else the file system reserves nothing, and this tests nothing
    assert kept <= len(content) + MIB


async def test_a_writer_that_breaks_off_keeps_its_file_from_no_thread(
    store: DirectoryBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that comes late must not find another file under the descriptor's number."""
    begun, go_on, seen = threading.Event(), threading.Event(), list[Path]()

    def slowly(descriptor: int, _start: int, _size_bytes: int) -> bool:
        begun.set()
        go_on.wait(10)
        seen.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        return True

    monkeypatch.setattr(blobs_directory, "reserve", slowly)
    upload_id = new_id()
    path = root / "uploads" / upload_id

    async def break_off() -> None:
        async with store.write(upload_id, UploadState()) as writer:
            for _ in range(17):
                await writer.write(bytes(MIB))
            await asyncio.to_thread(begun.wait, 10)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await break_off()
    go_on.set()
    async with asyncio.timeout(10):
        while is_open(path):
            await asyncio.sleep(0.01)
    assert seen == [path]


def is_open(path: Path) -> bool:
    return any(os.path.realpath(name) == str(path) for name in Path("/proc/self/fd").iterdir())

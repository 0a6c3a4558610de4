"""The disk of the registry is full: 507, nothing corrupt, room again as soon as the push has failed, and then all goes on."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.oci.images import image
from tests.oci.registry_api import OCIClient, Registry, make_registry
from tests.oci.test_push import stream
from tests.small_disk import MIB, fill, fill_names, small_disk

from berth.adapters.store.database import Store
from berth.domain.image_reference import Digest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
NAME = "octo/app"
LARGE = os.urandom(6 * MIB)  # more than there is room for
DIGEST = Digest.of(LARGE)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16, files=600) as folder:  # 300 are there from the start
        yield folder


@pytest.fixture
async def registry(sqlite_template: Path, disk: Path) -> AsyncIterator[Registry]:
    """Database and blobs on one small disk."""
    shutil.copy(sqlite_template, disk / "berth.db")
    store = Store(f"sqlite:///{disk}/berth.db")
    async with make_registry(disk, store) as made:
        yield made
    await store.close()


@pytest.fixture
async def octo(registry: Registry) -> OCIClient:
    octo = await registry.person("octo")
    await octo.push(NAME, image(), "before")
    await octo.begin(NAME)  # the token is there, and in date
    return octo


def leave(disk: Path, size: int) -> Path:
    """Take the room but for so much."""
    filler = disk / "filler"
    filler.write_bytes(b"\0" * max(shutil.disk_usage(disk).free - size, 0))
    return filler


def room(disk: Path) -> int:
    return shutil.disk_usage(disk).free


WAYS = ["post", "put", "patch", "patch, chunked"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_blob_that_does_not_fit(disk: Path, octo: OCIClient, way: str) -> None:
    filler = leave(disk, 4 * MIB)
    location = await octo.begin(NAME)
    before = room(disk)
    url = f"{location}?digest={DIGEST}"
    if way == "post":
        answer = await octo.post(f"/v2/{NAME}/blobs/uploads/?digest={DIGEST}", content=LARGE)
    elif way == "put":
        answer = await octo.put(url, content=LARGE)
    else:
        answer = await octo.patch(location, content=stream(LARGE) if "chunked" in way else LARGE)
    assert answer.status_code == 507
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "makes room" in answer.text
    assert room(disk) > before - MIB, "what did not fit takes no room"
    assert (await octo.head(f"/v2/{NAME}/blobs/{DIGEST}")).status_code == 404
    assert (await octo.get(f"/v2/{NAME}/manifests/before")).status_code == 200

    filler.unlink()
    if way != "post":
        assert (await octo.get(location)).headers["Range"] == "0-0"
        assert (await octo.put(url, content=LARGE)).status_code == 201, "the upload goes on"
    else:
        assert (await octo.post(f"/v2/{NAME}/blobs/uploads/?digest={DIGEST}", content=LARGE)).status_code == 201
    assert (await octo.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == LARGE


async def test_what_was_acknowledged_is_still_there(disk: Path, octo: OCIClient) -> None:
    """The first chunk fitted; the second does not, and comes again when there is room."""
    location = await octo.begin(NAME)
    assert (await octo.patch(location, content=LARGE[:MIB])).status_code == 202
    filler = leave(disk, 2 * MIB)
    assert (await octo.patch(location, content=LARGE[MIB:])).status_code == 507
    assert (await octo.get(location)).headers["Range"] == f"0-{MIB - 1}"
    filler.unlink()
    headers = {"Content-Range": f"{MIB}-{len(LARGE) - 1}"}
    assert (await octo.patch(location, content=LARGE[MIB:], headers=headers)).status_code == 202
    assert (await octo.put(f"{location}?digest={DIGEST}")).status_code == 201
    assert (await octo.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == LARGE


async def test_no_room_at_all(disk: Path, registry: Registry, octo: OCIClient) -> None:
    """Not a byte for the database either. Reading goes on; a client that gives up gives the room back."""
    small = image()
    await octo.push(NAME, small, "small")
    begun = await octo.begin(NAME)
    assert (await octo.patch(begun, content=LARGE[:MIB])).status_code == 202
    filler = await asyncio.to_thread(fill, disk)
    other = image()
    for answer in (
        await octo.patch(begun, content=LARGE[MIB:]),
        await octo.post(f"/v2/{NAME}/blobs/uploads/?digest={DIGEST}", content=LARGE),
    ):
        assert answer.status_code == 507, answer.text
    for _ in range(20):  # the database may still have a page or two of its own
        answer = await octo.post(f"/v2/{NAME}/blobs/uploads/")
        assert answer.status_code in {202, 507}, answer.text
    refused = await octo.put_manifest(NAME, "other", other.content, other.media_type)
    assert refused.status_code in {404, 507}, refused.text
    for tag in ("before", "small"):
        assert (await octo.get(f"/v2/{NAME}/manifests/{tag}")).status_code == 200
    for blob in small.blobs:
        assert (await octo.get(f"/v2/{NAME}/blobs/{Digest.of(blob)}")).content == blob
    assert (await octo.get(f"/v2/{NAME}/tags/list")).json()["tags"] == ["before", "small"]

    filler.unlink()
    await octo.push(NAME, other, "other")
    assert (await octo.get(f"/v2/{NAME}/tags/list")).json()["tags"] == ["before", "other", "small"]


async def test_cancelling_makes_room_on_a_full_disk(disk: Path, registry: Registry, octo: OCIClient) -> None:
    location = await octo.begin(NAME)
    assert (await octo.patch(location, content=LARGE[: 2 * MIB])).status_code == 202
    await asyncio.to_thread(fill, disk)
    before = room(disk)
    answer = await octo.delete(location)
    assert answer.status_code == 204, answer.text
    assert room(disk) > before + MIB


async def test_content_that_no_row_could_be_written_for_goes_at_once(
    disk: Path, registry: Registry, octo: OCIClient
) -> None:
    """The blob is whole on the disk, and then the database has no room for its row: the client will push it again."""
    content = LARGE[: 2 * MIB]
    location = await octo.begin(NAME)
    assert (await octo.patch(location, content=content)).status_code == 202
    await asyncio.to_thread(fill, disk)
    answer = await octo.put(f"{location}?digest={Digest.of(content)}")
    assert answer.status_code == 507
    kept = sum(path.stat().st_size for path in (disk / "blobs" / "content").glob("*/*"))
    assert kept < MIB, "else the disk would stay full until the next sweep"
    assert str(await octo.push_blob(NAME, content[:MIB])), "there is room again"


@pytest.mark.parametrize("way", WAYS)
async def test_no_file_can_be_made_though_there_is_room(disk: Path, octo: OCIClient, way: str) -> None:
    """What has a file already needs no other: not to go on, and not to end."""
    begun, content = await octo.begin(NAME), LARGE[:MIB]
    assert (await octo.patch(begun, content=content[:100])).status_code == 202
    filler = await asyncio.to_thread(fill_names, disk)
    location, digest = await octo.begin(NAME), Digest.of(content[:500])
    before = names(disk)
    url = f"{location}?digest={digest}"
    if way == "post":
        answer = await octo.post(f"/v2/{NAME}/blobs/uploads/?digest={digest}", content=content[:500])
    elif way == "put":
        answer = await octo.put(url, content=content[:500])
    else:
        answer = await octo.patch(location, content=stream(content[:500]) if "chunked" in way else content[:500])
    assert answer.status_code == 507, answer.text
    assert names(disk) == before
    assert (await octo.head(f"/v2/{NAME}/blobs/{digest}")).status_code == 404
    assert (await octo.put(f"{begun}?digest={Digest.of(content)}", content=content[100:])).status_code == 201
    assert (await octo.get(f"/v2/{NAME}/blobs/{Digest.of(content)}")).content == content

    shutil.rmtree(filler)
    assert (await octo.put(url, content=content[:500])).status_code == 201
    assert (await octo.get(f"/v2/{NAME}/blobs/{digest}")).content == content[:500]


def names(disk: Path) -> set[str]:
    """Of blobs and of uploads under way."""
    return {str(path) for path in (disk / "blobs").rglob("*") if path.is_file()}

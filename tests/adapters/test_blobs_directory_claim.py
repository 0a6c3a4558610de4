"""The marker of a directory store: what a person writes into it, and what is left of a server that was killed over it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.domain.problem import Invalid, UpstreamFailed


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryBlobStore]:
    made = DirectoryBlobStore(tmp_path)
    yield made
    made.close()


async def test_the_remedy_works(store: DirectoryBlobStore, tmp_path: Path) -> None:
    await store.claim("theirs")
    with pytest.raises(Invalid) as refused:
        await store.claim("ours")
    marker = tmp_path / "installation"
    assert refused.value.remedy.endswith(f"write ours into {marker}.")
    marker.write_text("ours")  # without the end of the line
    await store.claim("ours")


@pytest.mark.parametrize("written", ["", "\n", "\x00" * 10**6, "ours\ntheirs"], ids=["empty", "blank", "huge", "two"])
async def test_a_marker_that_says_nothing_is_not_ours(store: DirectoryBlobStore, tmp_path: Path, written: str) -> None:
    (tmp_path / "installation").write_text(written)
    with pytest.raises(Invalid) as refused:
        await store.claim("ours")
    assert len(refused.value.message) < 500


async def test_a_marker_that_cannot_be_read_is_not_missing(store: DirectoryBlobStore, tmp_path: Path) -> None:
    (tmp_path / "installation").mkdir()
    with pytest.raises(UpstreamFailed) as failed:
        await store.claim("ours")
    assert failed.value.code == "blob.unavailable"


async def test_a_server_that_was_killed_while_it_wrote_the_marker_leaves_none(
    store: DirectoryBlobStore, tmp_path: Path
) -> None:
    (tmp_path / "installation.77.abcdef01").write_text("our")  # its half
    await store.claim("theirs")
    assert (tmp_path / "installation").read_text() == "theirs\n"
    assert set(os.listdir(tmp_path)) == {"content", "uploads", "installation", "installation.77.abcdef01"}  # noqa: PTH208

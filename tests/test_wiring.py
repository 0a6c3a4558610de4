"""What the parts refuse when they are put together."""

import logging
import sqlite3
from pathlib import Path

import pytest

from berth.domain.problem import Invalid
from berth.settings import Settings, load
from berth.wiring import make_berth


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"BERTH_DATA_DIR": str(tmp_path / "data")}, None)


async def test_an_empty_database_beside_a_blob_store_that_is_in_use_is_refused(settings: Settings) -> None:
    """Its first collection would empty the store."""
    for _ in range(2):
        await (await make_berth(settings)).close()  # its own installation may come back
    (settings.data_dir / "berth.db").rename(settings.data_dir / "kept.db")
    with pytest.raises(Invalid) as refused:
        await make_berth(settings)
    assert refused.value.code == "blob.foreign"
    with sqlite3.connect(settings.data_dir / "kept.db") as database:
        (server_id,) = database.execute("SELECT server_id FROM installation").fetchone()
    database.close()
    assert server_id in refused.value.message
    for leftover in settings.data_dir.glob("berth.db*"):
        leftover.unlink()
    (settings.data_dir / "kept.db").rename(settings.data_dir / "berth.db")
    await (await make_berth(settings)).close()


async def test_a_blob_store_that_does_not_answer_at_the_start_is_asked_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Images that lie elsewhere, repositories and codespaces need no blobs."""
    marker = settings.data_dir / "blobs" / "installation"
    marker.mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "berth.wiring"):
        await (await make_berth(settings)).close()
    assert [(record.message, record.code) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("blob.not_claimed", "blob.unavailable")
    ]

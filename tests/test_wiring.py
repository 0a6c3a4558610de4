"""What the parts refuse when they are put together."""

import asyncio
import logging
import sqlite3
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from berth.adapters.clock_system import SystemClock
from berth.domain.problem import Invalid, UpstreamFailed
from berth.outgoing import make_identity_provider
from berth.settings import Settings, load
from berth.wiring.background import keep_running
from berth.wiring.server import make_berth


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
    with caplog.at_level(logging.WARNING, "berth.wiring.parts"):
        await (await make_berth(settings)).close()
    reason = "The folder that holds this server's blobs cannot be used: Is a directory."
    assert [(record.message, record.code, record.reason) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("blob.not_claimed", "blob.unavailable", reason)
    ]


async def test_a_blob_folder_that_cannot_be_made_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UpstreamFailed) as refused:
        await make_berth(replace(settings, blobs=tmp_path / "file"))
    assert str(tmp_path / "file") in refused.value.message
    assert "BERTH_BLOBS" in refused.value.remedy


async def test_why_a_push_failed_for_the_servers_own_reasons_is_in_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """docker says 503 to its user, and nothing else."""
    berth = await make_berth(settings)
    token = await berth.services.access_tokens.ensure_site_admin()
    assert token is not None
    async with httpx.AsyncClient(transport=httpx.ASGITransport(berth.app), base_url="http://berth.example") as client:
        scope = "repository:admin/dev:pull,push"
        shown = await client.get("/token", params={"scope": scope}, auth=("admin", token.reveal()))
        client.headers["authorization"] = f"Bearer {shown.json()['token']}"
        upload = (await client.post("/v2/admin/dev/blobs/uploads/")).headers["location"]
        (settings.data_dir / "blobs" / "uploads").rmdir()
        with caplog.at_level(logging.WARNING, "berth.oci.app"):
            answer = await client.patch(upload, content=b"x")
            assert answer.status_code == 503
            await client.get("/v2/admin/dev/manifests/1")  # a client's fault is none of the administrator's business
    await berth.close()
    assert [(record.message, record.code) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("oci.unavailable", "blob.unavailable")
    ]
    assert caplog.records[0].reason in answer.text  # type: ignore[attr-defined]


async def test_a_bug_ends_no_background_work(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()
    outcomes = iter((KeyError("a bug"), None))

    async def job() -> None:
        outcome = next(outcomes, begun)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(keep_running("job", job, pause_s=0))
    async with asyncio.timeout(20):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(one.message, one.job) for one in caplog.records] == [("server.background_failed", "job")]  # type: ignore[attr-defined]


async def test_a_providers_secret_that_cannot_be_read_is_named(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    asked = replace(
        settings, oidc_issuer="https://id.example.com", oidc_client_id="berth", oidc_client_secret_file=file
    )
    async with AsyncExitStack() as resources:
        assert make_identity_provider(settings, SystemClock(), resources) is None
        for content, said in ((None, "cannot be read"), ("\n", "is empty")):
            if content is not None:
                file.write_text(content)
            with pytest.raises(Invalid, match=said) as told:
                make_identity_provider(asked, SystemClock(), resources)
            assert (told.value.field, str(file) in told.value.message) == ("OIDC_CLIENT_SECRET_FILE", True)
        file.write_text("s3cret\n")
        provider = make_identity_provider(asked, SystemClock(), resources)
        assert provider is not None
        assert (provider.host, "s3cret" in repr(vars(provider))) == ("id.example.com", False)
        assert make_identity_provider(replace(asked, oidc_client_secret_file=None), SystemClock(), resources)

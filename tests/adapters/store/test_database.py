"""The store on both databases: what the migrations make, and who may open it."""

import asyncio
import threading
import traceback
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from tests.adapters.postgres import Cluster

from berth.adapters.store.database import Store
from berth.adapters.store.prebuild_tables import metadata
from berth.domain.problem import Invalid, UpstreamFailed


async def test_the_migrations_make_the_tables(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    async with store.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_missing_column_would_be_seen(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        connection.execute(text("ALTER TABLE teams DROP COLUMN description"))
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with store.begin() as connection:
        assert len(await connection.run_sync(differences)) == 1


async def test_migrating_what_is_up_to_date_changes_nothing(store: Store) -> None:
    await store.migrate()
    await store.ping()


async def test_one_sqlite_file_has_one_server(tmp_path: Path) -> None:
    first, second = (Store(f"sqlite:///{tmp_path}/berth.db") for _ in range(2))
    first.claim_host()
    with pytest.raises(Invalid) as refused:
        second.claim_host()
    assert refused.value.code == "store.in_use"
    assert str(tmp_path) in refused.value.message
    await first.close()
    second.claim_host()
    await second.close()


async def test_several_servers_share_one_postgresql() -> None:
    stores = [Store("postgresql://nobody@/nothing?host=/nowhere") for _ in range(2)]
    for store in stores:
        store.claim_host()
        await store.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://berth:hunter2@/nothing?host=/nowhere", "/nowhere"),
        ("postgresql://berth:hunter2@127.0.0.1:1/nothing", "127.0.0.1"),
        ("sqlite:////nowhere/berth.db", "unable to open database file"),
    ],
    ids=["no socket", "refused", "no directory"],
)
async def test_who_starts_a_server_is_told_why_the_database_cannot_be_used(
    url: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())
    store = Store(url)
    with pytest.raises(UpstreamFailed) as failed:
        await store.migrate()
    assert failed.value.code == "store.unavailable"
    assert said in failed.value.message
    assert "\n" not in failed.value.message
    assert "hunter2" not in failed.value.message + failed.value.remedy
    assert caplog.records == []
    with pytest.raises(UpstreamFailed) as hidden:  # a client learns less, and the log as much
        await store.ping()
    [logged] = caplog.records
    assert (logged.message, said in logged.__dict__["reason"]) == ("store.failed", True)
    assert "\n" not in logged.__dict__["reason"]
    assert "hunter2" not in logged.__dict__["reason"]
    assert said not in hidden.value.message + hidden.value.remedy
    await store.close()
    # Where aiosqlite cannot connect, its thread still tells the loop that it ends, and nothing else waits for that.
    while any("_connection_worker_thread" in thread.name for thread in set(threading.enumerate()) - before):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("url", ["", "mysql://u:hunter2@h/d", "sqlite", "://hunter2"])
def test_a_bad_url_is_refused_without_echoing_it(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        Store(url)
    assert "hunter2" not in refused.value.message


@pytest.mark.postgres
async def test_postgresql_compiles_no_query(postgres: Cluster) -> None:
    """A list's condition is cheap to run, and takes a second to compile; the setting outlives a transaction that is undone."""
    url = postgres.create_database()
    store = Store(url)
    try:
        for _ in range(2):
            async with store.read() as connection:
                assert (await connection.execute(text("SHOW jit"))).scalar_one() == "off"
                await connection.rollback()
    finally:
        await store.close()
        postgres.drop_database(url)


async def test_an_error_does_not_say_what_was_asked_for(store: Store) -> None:
    """It goes to the log, and among the parameters are e-mail addresses and what was sealed."""
    for connect in (store.begin, store.read, store.look):
        with pytest.raises((DBAPIError, UpstreamFailed)) as failed:
            async with connect() as connection:
                await connection.execute(text("SELECT a FROM nowhere WHERE a = :it"), {"it": "hunter2"})
        logged = "".join(traceback.format_exception(failed.value))
        assert "SELECT a FROM nowhere" in logged
        assert "hunter2" not in logged.replace('"it": "hunter2"', "")  # which is this line of the test


async def test_a_look_sees_what_was_committed_and_changes_nothing(store: Store) -> None:
    async with store.begin() as connection:
        await connection.execute(text("CREATE TABLE seen (number INTEGER)"))
        await connection.execute(text("INSERT INTO seen VALUES (1)"))
    for expected in (1, 2):
        async with store.look() as connection:
            assert (await connection.execute(text("SELECT max(number) FROM seen"))).scalar() == expected
        async with store.begin() as connection:
            await connection.execute(text("INSERT INTO seen VALUES (2)"))
    if store.is_sqlite:
        with pytest.raises(UpstreamFailed):
            async with store.look() as connection:
                await connection.execute(text("INSERT INTO seen VALUES (3)"))


async def test_a_look_at_sqlite_waits_for_no_other_task(tmp_path: Path) -> None:
    """That is what it is for: beside layers on their way, each wait costs milliseconds."""
    store = Store(f"sqlite:///{tmp_path}/berth.db")
    async with store.look() as connection:  # opened
        await connection.execute(text("SELECT 1"))
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "another task's turn")
    async with store.look() as connection:
        await connection.execute(text("SELECT 1"))
    assert turns == []
    await store.close()


async def test_a_look_at_a_database_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    store = Store(f"sqlite:///{tmp_path}/folder")
    with pytest.raises(UpstreamFailed) as failed:
        async with store.look() as connection:
            await connection.execute(text("SELECT 1"))
    assert failed.value.code == "store.unavailable"
    await store.close()

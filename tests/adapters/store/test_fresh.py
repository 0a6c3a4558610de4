"""The cache that is valid while the database did not change: nothing that it says is older than the question."""

import asyncio
import gc
import random
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from tests.adapters.postgres import Cluster
from tests.fakes.postgres_proxy import PostgresProxy

from berth.adapters.store import fresh
from berth.adapters.store.database import Store
from berth.adapters.store.fresh import FreshCache, PostgreSQLMark
from berth.domain.problem import NotFound, UpstreamFailed

ROOT = Path(__file__).parents[3]


@dataclass
class Numbers:
    """One number in the database, a cache of it, and the newest value whose commit has returned."""

    store: Store
    cache: FreshCache
    committed: int = 0
    reads: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def read(self) -> int:
        """Takes its time between the look and the answer: what is stored then may be old."""
        self.reads += 1
        async with self.store.read() as connection:
            value = int((await connection.execute(text("SELECT value FROM numbers"))).scalar_one())
        await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.004]))
        return value

    async def get(self) -> int:
        return int(await self.cache.get("number", self.read))

    async def add(self, store: Store) -> None:
        async with store.begin() as connection:
            statement = text("UPDATE numbers SET value = value + 1 RETURNING value")
            value = int((await connection.execute(statement)).scalar_one())
        self.committed = max(self.committed, value)

    async def check(self) -> None:
        """What is asked now shows what was committed before now; what is known at once does, too."""
        before = self.committed
        recalled = self.cache.recall("number")
        assert recalled is None or recalled >= before
        assert await self.get() >= before


@asynccontextmanager
async def caching(store: Store) -> AsyncIterator[FreshCache]:
    cache = FreshCache(store)
    try:
        yield cache
    finally:
        await cache.close()


@pytest.fixture
async def numbers(store: Store) -> AsyncIterator[Numbers]:
    async with store.begin() as connection:
        await connection.execute(text("CREATE TABLE numbers (value INTEGER)"))
        await connection.execute(text("INSERT INTO numbers VALUES (0)"))
    async with caching(store) as cache:
        yield Numbers(store, cache)


async def test_what_did_not_change_is_read_once(numbers: Numbers) -> None:
    assert [await numbers.get() for _ in range(5)] == [0] * 5
    assert numbers.reads == 1
    await numbers.add(numbers.store)
    assert [await numbers.get() for _ in range(5)] == [1] * 5
    assert numbers.reads == 2


async def test_what_is_known_at_once(numbers: Numbers) -> None:
    assert numbers.cache.recall("number") is None
    await numbers.get()
    assert numbers.cache.recall("number") == (0 if numbers.store.is_sqlite else None)  # there, one has to ask
    await numbers.add(numbers.store)
    assert numbers.cache.recall("number") is None


async def test_nothing_is_older_than_the_question_with_other_connections(numbers: Numbers, database_url: str) -> None:
    others = [Store(database_url) for _ in range(2)]

    async def write(store: Store) -> None:
        for _ in range(40):
            await numbers.add(store)
            await asyncio.sleep(numbers.chance.choice([0, 0.001, 0.01]))

    async def ask() -> None:
        for _ in range(120):
            await numbers.check()
            await asyncio.sleep(numbers.chance.choice([0, 0, 0.002]))

    writers = [write(store) for store in (*others, numbers.store)]
    await asyncio.gather(*writers, *(ask() for _ in range(6)))
    assert await numbers.get() == numbers.committed == 120
    assert numbers.reads < 720  # or the cache does nothing
    for store in others:
        await store.close()


async def test_nothing_is_older_than_the_question_with_another_process(numbers: Numbers, database_url: str) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.adapters.store.other_process",
        database_url,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    finished = asyncio.Event()

    async def write(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        for _ in range(60):
            target.write(b"more\n")
            assert await source.readline() == b"done\n"
            numbers.committed += 1
            await asyncio.sleep(numbers.chance.choice([0, 0.002, 0.01]))
        finished.set()

    async def ask() -> None:
        while not finished.is_set():
            await numbers.check()
            await asyncio.sleep(numbers.chance.choice([0, 0.001]))

    await asyncio.gather(write(writer.stdout, writer.stdin), *(ask() for _ in range(3)))
    writer.stdin.close()
    assert await writer.wait() == 0
    assert await numbers.get() == 60


async def test_a_value_read_before_a_change_is_not_kept_after_it(numbers: Numbers) -> None:
    """Whoever asked before the change gets the old value; nobody after it does."""
    go_on, reading = asyncio.Event(), asyncio.Event()

    async def slowly() -> int:
        value = await numbers.read()
        reading.set()
        await go_on.wait()
        return value

    early = asyncio.create_task(numbers.cache.get("number", slowly))
    await reading.wait()
    await numbers.add(numbers.store)
    assert await numbers.cache.get("another", numbers.read) == 1  # the cache has seen the change
    go_on.set()
    assert await early == 0
    assert await numbers.get() == 1


async def test_a_failure_is_not_kept(numbers: Numbers) -> None:
    async def fail() -> int:
        raise NotFound("no")

    with pytest.raises(NotFound):
        await numbers.cache.get("number", fail)
    assert await numbers.get() == 0


async def test_that_there_is_nothing_is_a_value(numbers: Numbers) -> None:
    calls = []

    async def nothing() -> None:
        calls.append(1)

    for _ in range(3):
        assert await numbers.cache.get("nothing", nothing) is None
    assert calls == [1]


async def test_it_is_bounded(numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "_MAX_ENTRIES", 10)
    cache = numbers.cache
    for key in range(100):
        assert await cache.get(key, numbers.read) == 0
        assert len(cache._values) <= 10
    monkeypatch.setattr(fresh, "_MAX_ENTRIES", 10**6)
    largest = b"x" * fresh._MAX_VALUE_BYTES
    for key in range(300):
        await cache.get(f"large {key}", _giving(largest), size_of=len)
        assert sum(len(value) for value in cache._values.values() if isinstance(value, bytes)) <= (
            fresh._MAX_BYTES + fresh._MAX_VALUE_BYTES
        )
    assert await cache.get("too large", _giving(largest + b"x"), size_of=len) == largest + b"x"
    assert "too large" not in cache._values
    await numbers.add(numbers.store)
    await numbers.get()
    assert (len(cache._values), cache._bytes) == (1, 0)


def _giving(value: bytes) -> Callable[[], Awaitable[bytes]]:
    async def give() -> bytes:
        return value

    return give


async def test_a_look_leaves_no_transaction_open(sqlite_store: Store) -> None:
    """One that reads for ever would let the write-ahead log grow without end."""
    async with caching(sqlite_store) as cache:
        await cache.get("anything", _giving(b""))
        cache.recall("anything")
        async with sqlite_store.begin() as connection:
            await connection.execute(text("CREATE TABLE numbers (value INTEGER)"))
        with sqlite3.connect(str(sqlite_store.url.database), timeout=0) as other:
            busy, *_rest = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        other.close()
        assert busy == 0


@pytest.fixture
def sqlite_file(sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sqlite_template, tmp_path / "berth.db"))


@pytest.fixture
async def sqlite_store(sqlite_file: Path) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{sqlite_file}")
    yield store
    await store.close()


async def test_a_database_file_that_cannot_be_read(sqlite_store: Store, sqlite_file: Path) -> None:
    async with caching(sqlite_store) as cache:
        with open(sqlite_file, "wb") as file:  # noqa: ASYNC230, PTH123 a disk that went bad
            file.write(b"no database" * 1000)
        with pytest.raises(UpstreamFailed) as failed:
            await cache.get("anything", _giving(b""))
        assert failed.value.code == "store.unavailable"


# PostgreSQL


@pytest.fixture
async def proxy(postgres: Cluster) -> AsyncIterator[PostgresProxy]:
    async with PostgresProxy(postgres.folder) as made:
        yield made


@pytest.fixture
async def far(postgres: Cluster, proxy: PostgresProxy) -> AsyncIterator[Store]:
    """A store that reaches its database through the proxy."""
    url = postgres.create_database()
    store = Store(proxy.url_of(url))
    yield store
    await store.close()
    postgres.drop_database(url)


@pytest.mark.postgres
async def test_a_look_is_one_round_trip_and_shared(far: Store, proxy: PostgresProxy) -> None:
    mark = PostgreSQLMark(far)
    for _ in range(10):
        await mark.current()  # until the driver has prepared the statement
    before = proxy.round_trips
    for _ in range(20):
        await mark.current()
    assert proxy.round_trips == before + 20
    assert len(set(await asyncio.gather(*(mark.current() for _ in range(50))))) == 1
    assert proxy.round_trips == before + 21
    await mark.close()


@pytest.mark.postgres
async def test_who_asks_during_a_look_waits_for_the_next(far: Store, proxy: PostgresProxy) -> None:
    """The one under way may have seen the database before the question."""
    mark = PostgreSQLMark(far)
    await mark.current()
    before = proxy.round_trips
    first = asyncio.create_task(mark.current())
    while mark._next is not None or mark._running is None or mark._running.done():
        await asyncio.sleep(0)  # until it is under way
    others = [asyncio.create_task(mark.current()) for _ in range(9)]
    await asyncio.gather(first, *others)
    assert proxy.round_trips == before + 2
    await mark.close()


@pytest.mark.postgres
async def test_a_database_that_goes_away_and_comes_back(far: Store, proxy: PostgresProxy) -> None:
    async with caching(far) as cache:
        assert await cache.get("key", _giving(b"old")) == b"old"
        await proxy.cut()
        for _ in range(3):
            with pytest.raises(UpstreamFailed) as failed:
                await cache.get("key", _giving(b"unseen"))
            assert failed.value.code == "store.unavailable"
            assert failed.value.retryable
        await proxy.mend()
        # It may be another one that answers now, with the same numbers: nothing of before counts.
        assert await cache.get("key", _giving(b"new")) == b"new"


@pytest.mark.postgres
async def test_a_database_that_was_restarted_between_two_looks_is_not_noticed(far: Store, proxy: PostgresProxy) -> None:
    async with caching(far) as cache:
        await cache.get("key", _giving(b"old"))
        await proxy.cut()
        await proxy.mend()
        assert await cache.get("key", _giving(b"new")) == b"new"


@pytest.mark.postgres
async def test_a_connection_that_the_database_ends(far: Store, postgres: Cluster) -> None:
    async with caching(far) as cache:
        await cache.get("key", _giving(b"old"))
        with psycopg.connect(host=str(postgres.folder), user="postgres", dbname="postgres", autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [far.url.database]
            )
        assert await cache.get("key", _giving(b"new")) == b"new"


@pytest.mark.postgres
async def test_nobody_hears_of_a_failure_for_which_nobody_waits(far: Store, proxy: PostgresProxy) -> None:
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
    async with caching(far) as cache:
        await proxy.cut()
        asking = [asyncio.create_task(cache.get("key", _giving(b""))) for _ in range(5)]
        await asyncio.sleep(0)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await proxy.mend()
        assert await cache.get("key", _giving(b"after")) == b"after"
        gc.collect()
        await asyncio.sleep(0)
    assert heard == []


@pytest.mark.postgres
async def test_closing_ends_what_is_under_way(far: Store) -> None:
    mark = PostgreSQLMark(far)
    await mark.current()
    asking = [asyncio.create_task(mark.current()) for _ in range(3)]
    await asyncio.sleep(0)
    await mark.close()
    for end in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(end, asyncio.CancelledError)
    assert mark._connection is None

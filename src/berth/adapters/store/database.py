"""The connection to the database: SQLite (WAL) on one machine, PostgreSQL beyond it; transactions and migrations."""

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from sqlalchemy import URL, Connection, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from berth.adapters.store.sqlite_here import SQLiteHere
from berth.domain.problem import Invalid, LimitReached, UpstreamFailed

_LOG = logging.getLogger(__name__)
_MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATION_LOCK = 0x6265727468  # "berth"
_BUSY_TIMEOUT_S = 20
_LOOK_TIMEOUT_S = 1.0  # readers of a WAL wait for nobody, except while it is repaired after a crash
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_WRITE = "berth_write"
_OPTIONS: dict[str, Any] = {
    "hide_parameters": True
}  # an error's text goes to the log; what was asked for may be a secret


class Store:
    """A pool of connections. Open one transaction per request: `begin` to write, `read` to look, `look` for a row by key.

    Every connection error leaves as UpstreamFailed(code="store.unavailable"), a full disk as
    LimitReached(code="store.full"); the transaction is rolled back.
    """

    def __init__(self, url: str) -> None:
        self.url = parse_database_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._lock: IO[str] | None = None
        # SQLite has one writer; taking turns here is faster than its busy handler, which sleeps and asks again.
        self._writer: AbstractAsyncContextManager[object] = asyncio.Lock() if self.is_sqlite else nullcontext()
        self.engine = create_async_engine(self.url, **self._options())
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _on_sqlite_connect)
            event.listen(self.engine.sync_engine, "begin", _on_sqlite_begin)
        else:
            event.listen(self.engine.sync_engine, "connect", _on_postgresql_connect)
        self._looks = self._make_engine_for_looks()

    def _options(self) -> dict[str, Any]:
        if self.is_sqlite:
            return {**_OPTIONS, "connect_args": {"timeout": _BUSY_TIMEOUT_S}, "pool_size": 8, "max_overflow": 8}
        return {**_OPTIONS, "pool_pre_ping": True, "pool_size": 10, "max_overflow": 10}

    def _make_engine_for_looks(self) -> AsyncEngine:
        path = self.url.database
        if not self.is_sqlite or path is None:
            return self.engine

        async def connect(*_arguments: object, **_options: object) -> SQLiteHere:
            return SQLiteHere(path, _LOOK_TIMEOUT_S)

        return create_async_engine(self.url, async_creator=connect, pool_size=1, max_overflow=15, **_OPTIONS)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A writing transaction, committed at the end of the block, rolled back by an exception."""
        with _translate():
            async with self._writer, self.engine.connect() as plain:
                connection = await plain.execution_options(**{_WRITE: True})
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A reading transaction: one consistent look."""
        with _translate():
            async with self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def look(self) -> AsyncIterator[AsyncConnection]:
        """For one query that finds a few rows by key. On SQLite it is done at once, in the loop's thread; elsewhere a `read`."""
        with _translate():
            connection = await self._looks.connect()
            try:
                yield connection
            finally:  # not `async with`, which gives all other tasks a turn here
                await connection.close()

    async def migrate(self) -> bool:
        """Bring the tables up to date; replicas that start together take turns. False: they were.

        Raises UpstreamFailed(code="store.unavailable") with the database's own reason: whoever starts a server needs it.
        """
        with _translate(at_the_start=True):
            if await self._revision() == newest_revision():
                return False
            async with self._writer, self.engine.connect() as plain:
                connection = await plain.execution_options(**{_WRITE: True})
                async with connection.begin():
                    if not self.is_sqlite:
                        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                    await connection.run_sync(upgrade_tables)
        return True

    async def _revision(self) -> str | None:
        """Which migration the tables are at; None for an empty database."""
        async with self.engine.connect() as connection:
            if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
                return None
            version = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()
            return None if version is None else str(version)

    async def ping(self) -> None:
        """Raises UpstreamFailed(code="store.unavailable") if the database does not answer."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    def claim_host(self) -> None:
        """Hold the lock that keeps a second server off this SQLite file. Raises Invalid where one runs already.

        Two hosts that share a SQLite file would corrupt it; PostgreSQL needs no such lock.
        """
        if not self.is_sqlite or not self.url.database:
            return
        lock = Path(f"{self.url.database}.lock").open("w")  # noqa: SIM115 held as long as the server lives
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise Invalid(
                f"Another Berth server uses {self.url.database}.",
                field="DATA_DIR",
                code="store.in_use",
                remedy="Stop it, give this one a DATA_DIR of its own, or use PostgreSQL for several servers.",
            ) from None
        self._lock = lock

    async def close(self) -> None:
        await self._looks.dispose()
        await self.engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def parse_database_url(text_url: str) -> URL:
    """A database URL with the asynchronous driver filled in. Raises Invalid; never echoes the URL (it may hold a password)."""
    try:
        url = make_url(text_url)
        driver = _DRIVERS[url.get_backend_name()]
    except (ArgumentError, KeyError, ValueError) as error:
        raise Invalid(
            "DATABASE_URL is not sqlite:///path or postgresql://user@host/name.", field="DATABASE_URL"
        ) from error
    return url.set(drivername=driver)


def newest_revision() -> str:
    """The migration that this version of Berth ends with: their files are numbered."""
    return max(path.name for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def upgrade_tables(connection: Connection) -> None:
    """Run all migrations on this connection, in its transaction."""
    # Only now: it takes 10 MB that a server which is up to date does not need.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late for us: _on_sqlite_begin sends it
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_postgresql_connect(connection: Any, _record: object) -> None:
    # Who may see a row is a condition of many parts: compiling one took the server a second, running it three milliseconds.
    cursor = connection.cursor()
    cursor.execute("SET jit = off")
    cursor.close()
    connection.commit()  # or it would hold for this transaction only


def _on_sqlite_begin(connection: Connection) -> None:
    # A reading transaction that turns into a writing one fails at once when another writes; so writers say it first.
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class _translate:  # noqa: N801 used as a keyword: `with _translate():`
    """Turns the database's own failures into Problems; constraint errors stay for the query that expects them.

    Only `at_the_start` the Problem says the reason: later it answers a client, whom the database's address does not concern,
    and the log says it.
    """

    def __init__(self, *, at_the_start: bool = False) -> None:
        self._at_the_start = at_the_start

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DBAPIError) and "full" in str(error.orig) and "disk" in str(error.orig):
            raise LimitReached(
                "The database's disk is full.", code="store.full", remedy="The site administrator makes room."
            ) from error
        if isinstance(error, OperationalError) or (isinstance(error, DBAPIError) and error.connection_invalidated):
            if self._at_the_start:
                raise _not_usable(error) from error
            _LOG.warning("store.failed", extra={"reason": _reason(error)})
            raise unavailable() from error


def _reason(error: DBAPIError) -> str:
    """The driver's words, on one line: they name host, port, user and database, never a password."""
    return " ".join(str(error.orig).split())


def _not_usable(error: DBAPIError) -> UpstreamFailed:
    return UpstreamFailed(
        f"The database cannot be used: {_reason(error)}",
        code="store.unavailable",
        remedy="Start it, or correct BERTH_DATABASE_URL (not set: BERTH_DATA_DIR).",
    )


def unavailable() -> UpstreamFailed:
    return UpstreamFailed(
        "The database did not answer.", code="store.unavailable", retryable=True, remedy="Try again in a moment."
    )

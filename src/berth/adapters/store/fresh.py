"""What was read from the database and is known to be still true: a cache that costs no correctness.

Each database can say cheaply whether *anything* was committed since a moment ago. As long as its mark is the same, what
was read before is what would be read now; when it moves, everything that was kept is forgotten.

- SQLite: `PRAGMA data_version` on a connection that never writes; it changes whenever another connection, of whichever
  process, commits. About 3 µs. Source: SQLite documentation, "PRAGMA data_version".
- PostgreSQL: the text of `pg_current_snapshot()`. Two equal snapshots see exactly the same transactions. Requests that
  ask at the same time share one round trip, which begins after each of them asked; it needs a connection of its own, because
  the pool's cost three more (its ping, BEGIN, ROLLBACK). Source: PostgreSQL 15 documentation, section 9.27.7 "Transaction
  ID and Snapshot Information Functions".
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, Protocol

from berth.adapters.store.database import Store, unavailable

_MAX_ENTRIES = 8192
_MAX_VALUE_BYTES = 64 * 1024
_MAX_BYTES = 8 * 1024 * 1024


class Mark(Protocol):
    """Says whether anything changed."""

    async def current(self) -> object:
        """Equal to an earlier answer only if nothing was committed in between."""
        ...

    def at_once(self) -> object | None:
        """The same, where it can be said without waiting; else None."""
        ...

    async def close(self) -> None: ...


class SQLiteMark:
    """Asked on the event loop: it takes less time than handing it to a thread."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=0.1)

    async def current(self) -> object:
        return self.at_once()

    def at_once(self) -> object:
        try:
            return self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            raise unavailable() from error

    async def close(self) -> None:
        self._connection.close()


class PostgreSQLMark:
    """One look at a time; who asks while one is under way waits for the next."""

    def __init__(self, store: Store) -> None:
        import psycopg  # noqa: PLC0415 it takes 9 MB that a server on SQLite does not need

        self._driver = psycopg
        self._arguments = store.engine.dialect.create_connect_args(store.url)[1]
        self._connection: Any = None  # psycopg's AsyncConnection
        self._connections = 0  # so far: after a failover or a restored backup the same numbers may mean something else
        self._running: asyncio.Task[str] | None = None
        self._next: asyncio.Task[str] | None = None

    async def current(self) -> object:
        if self._next is None:
            self._next = asyncio.create_task(self._look(self._running))
        return await asyncio.shield(self._next)

    def at_once(self) -> None:
        return None

    async def _look(self, before: asyncio.Task[str] | None) -> str:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None  # from here on, who asks needs another look
        while True:
            is_new = self._connection is None
            try:
                return await self._ask()
            except (self._driver.Error, OSError) as error:
                await self._disconnect()
                if is_new:
                    raise unavailable() from error
                # else the database was perhaps restarted since the last look: once more, on a new connection

    async def _ask(self) -> str:
        if self._connection is None:
            self._connection = await self._driver.AsyncConnection.connect(**self._arguments, autocommit=True)
            self._connections += 1
        cursor = await self._connection.execute("SELECT pg_current_snapshot()::text")
        (snapshot,) = await cursor.fetchone()
        return f"{self._connections}/{snapshot}"

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(self._driver.Error, OSError):
                await connection.close()

    async def close(self) -> None:
        """Who still waits for a look is cancelled."""
        tasks = [task for task in (self._running, self._next) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._disconnect()


def _small(_value: object) -> int:
    return 0


class FreshCache:
    """Values by key, each what reading it now would give. Bounded: when it is full, it starts anew."""

    def __init__(self, store: Store) -> None:
        path = store.url.database if store.is_sqlite else None
        self._mark: Mark = PostgreSQLMark(store) if path is None else SQLiteMark(path)
        self._seen: object = None
        self._values: dict[Hashable, Any] = {}
        self._bytes = 0

    async def get(
        self, key: Hashable, read: Callable[[], Awaitable[Any]], *, size_of: Callable[[Any], int] = _small
    ) -> Any:
        """The value of `key`; `read` is called if it is not known, or may have changed.

        A failure is not kept, nor a value of more than 64 KiB. `size_of`: its bytes, where it can be large.
        """
        mark = await self._mark.current()
        if mark != self._seen or len(self._values) >= _MAX_ENTRIES or self._bytes > _MAX_BYTES:
            self._values.clear()
            self._bytes = 0
            self._seen = mark
        known = self._values.get(key, self)
        if known is not self:
            return known
        value = await read()
        size_bytes = size_of(value)
        if self._seen == mark and size_bytes <= _MAX_VALUE_BYTES:  # else ours may be from before a change
            self._values[key] = value
            self._bytes += size_bytes
        return value

    def recall(self, key: Hashable) -> Any | None:
        """What `get` would answer, if it is known and that can be said without waiting; else None."""
        mark = self._mark.at_once()
        return self._values.get(key) if mark is not None and mark == self._seen else None

    async def close(self) -> None:
        await self._mark.close()

"""SQLite in the event loop's own thread, for looks that take microseconds.

aiosqlite has a thread for each connection, and SQLAlchemy hands it a query in four steps. While the loop carries layers, each
step waits for the loop and for the thread: 40 ms for what takes 0.1. What is looked up by key and lies in the page cache is
read here instead; lists, and everything that writes, go on through the threads.

The classes have what SQLAlchemy's adapter of aiosqlite asks of a connection and of a cursor, and nothing more.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, Self


class SQLiteCursor:
    """A cursor whose steps are done when they are asked for."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    async def __aenter__(self) -> Self:
        return self

    @property
    def description(self) -> Any:
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._cursor.lastrowid

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        self._cursor.execute(sql, parameters)

    async def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    async def close(self) -> None:
        self._cursor.close()


class SQLiteHere:
    """A connection that no thread serves; it only reads."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self._connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
        self._connection.execute("PRAGMA query_only = ON")

    def cursor(self) -> SQLiteCursor:
        return SQLiteCursor(self._connection.cursor())

    async def create_function(self, name: str, count: int, function: Callable[..., Any], **options: Any) -> None:
        self._connection.create_function(name, count, function, **options)

    async def commit(self) -> None:
        self._connection.commit()

    async def rollback(self) -> None:
        self._connection.rollback()

    async def close(self) -> None:
        self._connection.close()

    def stop(self) -> None:
        """Where nobody can wait any more."""
        self._connection.close()

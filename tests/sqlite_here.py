"""A Store whose SQLite runs in the event loop's own thread: for tests of thousands of requests, one after the other.

With a thread for each connection every statement waits twice for the other thread, which takes longer than all the rest.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import aiosqlite

from berth.adapters.store.database import Store


class _AtOnce:
    """In place of the queue from which aiosqlite's thread takes its work."""

    def put_nowait(self, work: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, function = work
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 as aiosqlite does: it is the caller's
            if future is not None:
                future.set_exception(error)
        else:
            if future is not None:
                future.set_result(result)


class StoreHere(Store):
    """The same tables and queries; nothing in it waits for a thread."""

    def _options(self) -> dict[str, Any]:
        path = self.url.database
        assert path is not None

        async def connect(*_arguments: object, **_options: object) -> aiosqlite.Connection:
            connection = aiosqlite.connect(path)
            connection._tx = _AtOnce()  # type: ignore[assignment]
            return await connection._connect()  # awaiting itself would start its thread

        return {"async_creator": connect, "pool_size": 4}

"""Stands between Berth and a PostgreSQL: counts round trips, and is the database that goes away and comes back."""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

_SOCKET = ".s.PGSQL.5432"
_ASKS = b"QS"  # messages after which a client waits: Query, Sync. Source: PostgreSQL 15, section 55.7 "Message Formats"


class PostgresProxy:
    """Listens on a socket of its own; `url_of` is how a database is reached through it."""

    def __init__(self, real: Path) -> None:
        self._real = real / _SOCKET
        self._folder = tempfile.TemporaryDirectory(prefix="berth-proxy-")
        self._socket = Path(self._folder.name) / _SOCKET
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.round_trips = 0

    def url_of(self, url: str) -> str:
        return url.replace(str(self._real.parent), self._folder.name)

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()
        self._folder.cleanup()

    async def mend(self) -> None:
        """It can be reached again."""
        self._server = await asyncio.start_unix_server(self._serve, self._socket)

    async def cut(self) -> None:
        """All connections break, and no new one is taken."""
        if self._server is not None:
            self._server.close()
            self._socket.unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server_in, server_out = await asyncio.open_unix_connection(str(self._real))
        try:
            await asyncio.gather(self._ask(client_in, server_out), self._answer(server_in, client_out))
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            for writer in (client_out, server_out):
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    async def _ask(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        kind = b""  # the first message has none
        while True:
            length = await source.readexactly(4)
            rest = await source.readexactly(int.from_bytes(length) - 4)
            target.write(kind + length + rest)
            if kind and kind in _ASKS:
                self.round_trips += 1
            kind = await source.readexactly(1)

    @staticmethod
    async def _answer(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            target.write(data)
        raise ConnectionError

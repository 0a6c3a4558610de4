"""That a codespace is in use: what keeps its idle timeout from running out."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from berth.adapters.store import codespace as rows
from berth.adapters.store.database import Store
from berth.domain.problem import Problem
from berth.services.ports import Clock

_AT_MOST_EVERY = timedelta(minutes=1)
_MAX_REMEMBERED = 10_000
_LOG = logging.getLogger(__name__)


class CodespaceActivity:
    """Notes uses, at most one a minute for each codespace: a terminal calls this at every key."""

    def __init__(self, *, store: Store, clock: Clock, every_s: float = 60.0) -> None:
        """`every_s`: how often a use that lasts is noted."""
        self._store = store
        self._clock = clock
        self._every_s = every_s
        self._noted: dict[int, datetime] = {}  # saves the database the question; the row decides

    async def touch(self, codespace_id: int) -> None:
        """It is used now. What does not run, or is about to stop, is left alone."""
        now = self._clock.now()
        noted = self._noted.get(codespace_id)
        if noted is not None and now - noted < _AT_MOST_EVERY:
            return
        async with self._store.begin() as connection:
            await rows.touch(connection, codespace_id, now, unless_after=now - _AT_MOST_EVERY)
        if len(self._noted) >= _MAX_REMEMBERED:
            self._noted.clear()
        self._noted[codespace_id] = now

    @asynccontextmanager
    async def using(self, codespace_id: int) -> AsyncIterator[None]:
        """It is used until the block ends. A database that is away for a while ends no session."""
        await self.touch(codespace_id)
        going_on = asyncio.create_task(self._keep_touching(codespace_id))
        try:
            yield
        finally:
            going_on.cancel()
            await asyncio.gather(going_on, return_exceptions=True)
            await self._try_to_touch(codespace_id)

    async def _keep_touching(self, codespace_id: int) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self._try_to_touch(codespace_id)

    async def _try_to_touch(self, codespace_id: int) -> None:
        try:
            await self.touch(codespace_id)
        except Problem as problem:
            _LOG.info("codespace.use_not_noted", extra={"codespace": codespace_id, "code": problem.code})

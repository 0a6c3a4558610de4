"""Following the creation log of a codespace, for as long as the caller may: a stream outlives what was shown for it.

Who may is asked as for every other request, before a line is told. A codespace stays its owner's until it is deleted, which
ends the log by itself; so what is looked at again, every LOOK_EVERY_S, is who the caller is by now (services/caller.py).
"""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

from berth.domain.access import Subject
from berth.domain.codespace import LogEntry
from berth.domain.scope import Scope
from berth.services.caller import LOOK_EVERY_S, CallerService, until_refused
from berth.services.codespace import CodespaceService

_STILL_HERE_S = 15.0  # a proxy cuts off who says nothing for long


class CodespaceLogService:
    """Streams of log lines."""

    def __init__(
        self,
        *,
        codespaces: CodespaceService,
        callers: CallerService,
        look_every_s: float = LOOK_EVERY_S,
        still_here_s: float = _STILL_HERE_S,
    ) -> None:
        self._codespaces = codespaces
        self._callers = callers
        self.look_every_s = look_every_s
        self.still_here_s = still_here_s

    async def follow(self, subject: Subject, name: str, *, after: int) -> AsyncGenerator[LogEntry | None, None]:
        """The lines after `after` as they come, to the one of kind `end`; None where none came for a while.

        It ends without that as soon as the caller may not see it any more. Raises NotFound, and LimitReached if he follows
        as many as he may.
        """
        await self._codespaces.get(subject, name)
        return self._follow(subject, self._codespaces.follow_log(subject, name, after=after))

    async def _follow(
        self, subject: Subject, entries: AsyncGenerator[LogEntry, None]
    ) -> AsyncGenerator[LogEntry | None, None]:
        refused = asyncio.ensure_future(until_refused(partial(self._check, subject), self.look_every_s))
        coming = asyncio.ensure_future(anext(entries, None))
        try:
            while True:
                await asyncio.wait({coming, refused}, timeout=self.still_here_s, return_when=asyncio.FIRST_COMPLETED)
                if refused.done():
                    refused.result()
                    return
                if not coming.done():
                    yield None
                    continue
                entry = coming.result()
                if entry is None:
                    return
                coming = asyncio.ensure_future(anext(entries, None))
                yield entry
        finally:
            coming.cancel()
            refused.cancel()
            await asyncio.gather(coming, refused, return_exceptions=True)
            await entries.aclose()

    async def _check(self, subject: Subject) -> None:
        await self._callers.renew(subject, Scope.CODESPACE)

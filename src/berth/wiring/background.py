"""Work that goes on for as long as the server does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_PAUSE_S = 10.0
_LOG = logging.getLogger(__name__)


async def keep_running(name: str, job: Callable[[], Awaitable[None]], *, pause_s: float = _PAUSE_S) -> None:
    """Until cancelled. A job that a bug ended begins again: a server without it would look well and do nothing."""
    while True:
        try:
            await job()
        except Exception:  # noqa: BLE001 - a bug; what it was stands in the log
            _LOG.exception("server.background_failed", extra={"job": name})
        await asyncio.sleep(pause_s)

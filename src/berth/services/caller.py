"""Who a caller is by now, for what goes on longer than a request: a command that is talked to, a log that is followed.

1. It is looked at again every LOOK_EVERY_S. A token that was revoked or has expired, a session of the console that was
   ended, and both of a user who was suspended, are nobody's any more.
2. A database that does not answer ends nothing at first; after FAILED_LOOKS nobody knows who may any more.
"""

import asyncio
from collections.abc import Awaitable, Callable

from berth.domain.access import Subject
from berth.domain.problem import LimitReached, Problem, Unauthenticated, UpstreamFailed
from berth.domain.scope import Scope
from berth.services.access_token import AccessTokenService
from berth.services.ports import Clock
from berth.services.session import SessionService

LOOK_EVERY_S = 5.0
FAILED_LOOKS = 6


class CallerService:
    """Knows callers again, by what they showed before."""

    def __init__(self, *, clock: Clock, tokens: AccessTokenService, sessions: SessionService) -> None:
        self._clock = clock
        self._tokens = tokens
        self._sessions = sessions

    async def renew(self, subject: Subject, scope: Scope) -> Subject:
        """Who he is and what he may, as it is now. Raises Unauthenticated, also for a token that lacks the scope."""
        if subject.session_id is not None:
            session = await self._sessions.find_by_id(subject.session_id)
            if session is None:
                raise Unauthenticated("You were signed out.", code="exec.session_ended")
            return session.subject
        known = await self._tokens.find_by_id(subject.token_id)
        if known is None or not known.token.is_valid(self._clock.now()) or scope not in known.subject.scopes:
            raise Unauthenticated("The token was revoked, or has expired.", code="exec.token_ended")
        return known.subject


async def until_refused(check: Callable[[], Awaitable[None]], every_s: float) -> Problem:
    """Wait until `check` raises a Problem, and return it (policies 1 and 2)."""
    failed = 0
    while True:
        try:
            await asyncio.sleep(every_s)
            await check()
            failed = 0
        except (LimitReached, UpstreamFailed) as problem:  # of the database
            failed += 1
            if failed >= FAILED_LOOKS:
                return problem
            await asyncio.sleep(every_s)
        except Problem as problem:
            return problem

"""What happens to codespaces because time passes: asked for by the loop itself, as a user would ask for it.

What a suspended user's request, late, lets run in spite of all is seen here, too, and stopped (domain/suspension.py, policy 2).

A use or a request that comes at the same moment wins: the row is changed only if it is still what was looked at.
"""

import logging

from berth.adapters.store import audit
from berth.adapters.store import codespace as rows
from berth.adapters.store import codespace_policy as policy_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import suspension as suspension_rows
from berth.adapters.store.database import Store
from berth.domain.codespace import Codespace
from berth.domain.codespace_policy import longest_of
from berth.domain.codespace_timer import Expiry, TimeLimits, expiry_of, idle_at, idle_minutes
from berth.domain.lifecycle import Desired
from berth.domain.suspension import STOP_NOTICE
from berth.services.codespace_request import CodespaceLimits
from berth.services.ports import Clock
from berth.services.reconcile import Claim

_AGAIN_S = 1.0  # what was asked for makes the row due at once; what came meanwhile is looked at then
_LOG = logging.getLogger(__name__)


class CodespaceTimer:
    """The worker calls this whenever there is nothing else to do, and looks again when it says."""

    def __init__(self, *, store: Store, clock: Clock, limits: CodespaceLimits) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits

    async def look_at_running(self, claim: Claim, codespace: Codespace) -> float:
        """Stop it if nobody used it for long enough, or its owner is suspended; in how many seconds to look again."""
        async with self._store.read() as connection:
            suspended = await suspension_rows.is_suspended(connection, codespace.owner_id)
        if suspended:
            await self._stop(claim, codespace, STOP_NOTICE, "codespace.stop")
            return _AGAIN_S
        limits = await self._longest(codespace)
        left_s = (idle_at(codespace, limits) - self._clock.now()).total_seconds()
        if left_s > 0:
            return left_s
        notice = f"It was not used for {idle_minutes(codespace, limits)} minutes."
        await self._stop(claim, codespace, notice, "codespace.idle")
        return _AGAIN_S

    async def _stop(self, claim: Claim, codespace: Codespace, notice: str, action: str) -> None:
        await self._ask(claim, codespace, Desired.STOPPED, f"Stopping. {notice}", action, stop_notice=notice)

    async def look_at_stopped(self, claim: Claim, codespace: Codespace) -> float | None:
        """Warn of its deletion, then delete it; in how many seconds to look again. None: when a request comes."""
        expiry, now = expiry_of(codespace, await self._longest(codespace)), self._clock.now()
        if expiry is None:
            return None
        if now >= expiry.at:
            why = "Deleting. It was kept for as long as it was to be."
            await self._ask(claim, codespace, Desired.DELETED, why, "codespace.expire")
            return _AGAIN_S
        if now < expiry.warned_from:
            return (expiry.warned_from - now).total_seconds()
        if not codespace.expiry_warned:
            await self._warn(claim, codespace, expiry)
        return (expiry.at - now).total_seconds()

    async def _longest(self, codespace: Codespace) -> TimeLimits:
        """As it is now: a policy that changes counts for the codespaces that there are."""
        async with self._store.read() as connection:
            policies = await policy_rows.list_policies_of_repository(connection, codespace.repository_id or -1)
        return longest_of(policies, self._limits.longest)

    async def _warn(self, claim: Claim, codespace: Codespace, expiry: Expiry) -> None:
        """Once: the line and the note that it was written are one transaction."""
        async with self._store.begin() as connection:
            await claim.note_in(connection, expiry_warned=True)
            await rows.append_log(connection, codespace.id, self._clock.now(), [("phase", expiry.notice)])

    async def _ask(
        self, claim: Claim, codespace: Codespace, desired: Desired, why: str, action: str, **values: object
    ) -> None:
        """Store what is desired now, say why in the creation log, and record it. Nothing, if the row has changed."""
        now = self._clock.now()
        async with self._store.begin() as connection:
            if not await rows.request_unchanged(
                connection, codespace, claim.epoch, desired, {**values, "updated_at": now}
            ):
                return
            await rows.append_log(connection, codespace.id, now, [("phase", why)])
            repository = await repository_rows.find_repository_by_id(connection, codespace.repository_id or -1)
            await audit.record(
                connection,
                at=now,
                actor=None,
                action=action,
                account_id=None if repository is None else repository.owner_id,
                target=codespace.name,
            )
        _LOG.info("codespace.time_is_up", extra={"codespace": codespace.name, "desired": desired})

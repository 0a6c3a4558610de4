"""Use cases of suspensions: a user who may not be here for now, and his return (domain/suspension.py)."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import audit
from berth.adapters.store import codespace as codespace_rows
from berth.adapters.store import password as password_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import session as session_rows
from berth.adapters.store import suspension as rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.account import Account
from berth.domain.problem import NotFound
from berth.domain.suspension import STOP_NOTICE, check_may_suspend, parse_reason
from berth.services.account import require_site_admin
from berth.services.ports import Clock


class SuspensionService:
    """For site administrators. `wake` tells this process's loop that codespaces are to stop."""

    def __init__(self, *, store: Store, clock: Clock, wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake

    async def suspend(self, subject: Subject, login: str, reason: str = "") -> Account:
        """End what proves who he is, and stop his codespaces, in one transaction. Nothing happens to who is suspended.

        Raises NotFound, Invalid; Denied, Conflict (policy 4).
        """
        require_site_admin(subject)
        words = parse_reason(reason, otherwise=f"Suspended by {subject.login}")
        now = self._clock.now()
        async with self._store.begin() as connection:
            administrators = await rows.lock_site_admins(connection)
            account = await _lock(connection, login)
            check_may_suspend(
                next((each for each in administrators if each.id == subject.account_id), None),
                account,
                others=sum(not each.is_suspended for each in administrators if each.id != account.id),
            )
            if account.is_suspended:
                return account
            await rows.set_suspension(connection, account.id, now, words)
            await session_rows.delete_sessions(connection, account.id)
            await password_rows.end_invitation(connection, account.id)
            await self._record(connection, subject, "user.suspend", account, words)
            await self._stop_codespaces(connection, subject, account, now)
            account = await _lock(connection, login)
        self._wake()
        return account

    async def unsuspend(self, subject: Subject, login: str, reason: str = "") -> Account:
        """Policy 3. Nothing happens to who is not suspended. Raises NotFound, Invalid, Denied."""
        require_site_admin(subject)
        words = parse_reason(reason, otherwise=f"Unsuspended by {subject.login}")
        async with self._store.begin() as connection:
            account = await _lock(connection, login)
            if account.is_suspended:
                await rows.set_suspension(connection, account.id, None, None)
                await self._record(connection, subject, "user.unsuspend", account, words)
            return await _lock(connection, login)

    async def _stop_codespaces(
        self, connection: AsyncConnection, subject: Subject, account: Account, now: datetime
    ) -> None:
        """Policy 2: as if he had asked for it, and with the reason."""
        stopping = await codespace_rows.request_stop_of_all(connection, account.id, now, STOP_NOTICE)
        ids = {each.repository_id for each in stopping if each.repository_id is not None}
        repositories = await repository_rows.find_repositories_by_ids(connection, ids)
        for codespace in stopping:
            repository = repositories.get(codespace.repository_id or -1)
            await codespace_rows.append_log(connection, codespace.id, now, [("phase", f"Stopping. {STOP_NOTICE}")])
            await audit.record(
                connection,
                at=now,
                actor=subject,
                action="codespace.stop",
                account_id=None if repository is None else repository.owner_id,
                target=codespace.name,
                detail="user.suspend",
            )

    async def _record(
        self, connection: AsyncConnection, actor: Subject, action: str, account: Account, reason: str
    ) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=actor,
            action=action,
            account_id=account.id,
            target=account.login,
            detail=reason,
        )


async def _lock(connection: AsyncConnection, login: str) -> Account:
    account = await rows.lock_user(connection, login)
    if account is None:
        raise NotFound("Not Found", code="account.not_found")
    return account

"""Use case: give a repository to another account. The rules: `domain/repository_transfer.py`."""

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import repository_transfer as rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject
from berth.domain.account import Account, is_login
from berth.domain.problem import Denied, Invalid
from berth.domain.repository import Repository, parse_repository_name
from berth.domain.repository_transfer import check_new_owner, plan_transfer
from berth.domain.scope import Scope
from berth.services.account import require_personal
from berth.services.ports import Clock
from berth.services.repository import RepositoryView, find_decided, find_locked, view_of


class RepositoryTransferService:
    """Transfers of repositories."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def transfer(
        self, subject: Subject, owner: str, name: str, new_owner: str, new_name: str | None
    ) -> RepositoryView:
        """The repository under its new owner, at once. Raises NotFound, Denied, Invalid.

        Only for administrators with a personal token of the scope repo, whatever the repository's visibility.
        """
        require_personal(subject)
        async with self._store.begin() as connection:
            before = (await find_decided(connection, subject, owner, name, Action.ADMINISTER)).repository
            if not subject.has(Scope.REPO):
                raise Denied(
                    "Your token lacks the scope repo.", code="scope.missing", remedy="Use a token that has it."
                )
            wanted_name = None if new_name is None else parse_repository_name(new_name, field="new_name")
            account = await _find_new_owner(connection, new_owner)
            await rows.lock_accounts(connection, {before.owner_id, account.id})
            before = (await find_locked(connection, subject, owner, name, Action.ADMINISTER)).repository
            facts = await account_rows.organization_facts(connection, account.id, subject.account_id)
            check_new_owner(before, account, caller_id=subject.account_id, is_member=facts.is_member)
            plan = plan_transfer(before, account, caller_id=subject.account_id, name=wanted_name)
            await rows.cut_ties(connection, before.id, before.owner_id)
            await rows.change_owner(connection, before.id, plan, self._clock.now())
            after = await find_decided(connection, subject, account.login, plan.name, Action.READ)
            for account_id in (before.owner_id, account.id):
                await self._record(connection, subject, account_id, before, after.repository)
        return view_of(subject, after)

    async def _record(
        self, connection: AsyncConnection, actor: Subject, account_id: int, before: Repository, after: Repository
    ) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=actor,
            action="repository.transfer",
            account_id=account_id,
            target=before.full_name,
            detail=after.full_name,
        )


async def _find_new_owner(connection: AsyncConnection, login: str) -> Account:
    account = await account_rows.find_account(connection, login) if is_login(login) else None
    if account is None:
        raise Invalid(
            f"There is no account '{login[:40]}'.", field="new_owner", code="repository.transfer.owner_unknown"
        )
    return account

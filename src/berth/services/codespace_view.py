"""A codespace with what its answers show beside the row: of other rows, of the limits that count, of the time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import codespace_policy as policy_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.repository import KnownRepository
from berth.domain.access import Subject, role_without_token
from berth.domain.account import Account
from berth.domain.codespace import Codespace
from berth.domain.codespace_policy import longest_of
from berth.domain.codespace_timer import TimeLimits, expiry_of, idle_minutes, retention_minutes
from berth.domain.machine import Machine, Machines
from berth.domain.repository import Repository, hidden
from berth.domain.role import Role
from berth.services.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceView:
    """A codespace with what its answers show of others."""

    codespace: Codespace
    owner: Account
    repository: Repository
    is_readable: bool  # the repository, by who looks: else nothing that was learnt of it since is shown (A13)
    machine: Machine  # what it runs as from its next start on
    idle_timeout_minutes: int
    retention_minutes: int
    expires_at: datetime | None  # when it is deleted unless it is started
    expiry_notice: str | None  # from some time before on
    longest: TimeLimits

    @property
    def shown_repository(self) -> Repository:
        """The repository as far as answers may tell of it."""
        return self.repository if self.is_readable else hidden(self.repository)


class CodespaceViews:
    """Makes them. `longest` are the server's own limits."""

    def __init__(self, *, clock: Clock, machines: Machines, longest: TimeLimits) -> None:
        self._clock = clock
        self._machines = machines
        self._longest = longest

    async def show_all(
        self, connection: AsyncConnection, subject: Subject, found: Sequence[Codespace]
    ) -> list[CodespaceView]:
        """Views of a page, in three queries; without what has lost its repository meanwhile."""
        owners = await account_rows.find_accounts_by_ids(connection, {each.owner_id for each in found})
        ids = {each.repository_id for each in found if each.repository_id is not None}
        known = await repository_rows.find_known_by_ids(connection, subject.account_id, ids)
        organizations = {each.repository.owner_id for each in known.values()}
        policies = await policy_rows.list_policies_of(connection, organizations)
        longest = {id_: longest_of(policies.get(id_, ()), self._longest) for id_ in organizations}
        return [
            self.show(
                each,
                owners[each.owner_id],
                there.repository,
                longest[there.repository.owner_id],
                is_readable=_is_readable(there),
            )
            for each in found
            if each.owner_id in owners and (there := known.get(each.repository_id or -1)) is not None
        ]

    async def find(self, connection: AsyncConnection, codespace: Codespace) -> CodespaceView | None:
        """As its owner sees it. None if that or its repository is gone."""
        owner = await account_rows.find_account_by_id(connection, codespace.owner_id)
        known = await repository_rows.find_known_by_id(connection, codespace.owner_id, codespace.repository_id or -1)
        if owner is None or known is None:
            return None
        longest = await self.find_longest(connection, known.repository)
        return self.show(codespace, owner, known.repository, longest, is_readable=_is_readable(known))

    async def find_longest(self, connection: AsyncConnection, repository: Repository) -> TimeLimits:
        """What the server and the policies of the repository's owner allow."""
        policies = await policy_rows.list_policies(connection, repository.owner_id)
        return longest_of(policies, self._longest)

    def show_again(self, view: CodespaceView, codespace: Codespace | None) -> CodespaceView:
        """A view with the row as it is now; as it was if that is gone."""
        return self.show(
            codespace or view.codespace, view.owner, view.repository, view.longest, is_readable=view.is_readable
        )

    def show(
        self,
        codespace: Codespace,
        owner: Account,
        repository: Repository,
        longest: TimeLimits,
        *,
        is_readable: bool,
    ) -> CodespaceView:
        """Of what was read already."""
        expiry = expiry_of(codespace, longest)
        is_warned = expiry is not None and self._clock.now() >= expiry.warned_from
        return CodespaceView(
            codespace=codespace,
            owner=owner,
            repository=repository,
            is_readable=is_readable,
            machine=self._machines.resolve(codespace.machine),
            idle_timeout_minutes=idle_minutes(codespace, longest),
            retention_minutes=retention_minutes(codespace, longest),
            expires_at=None if expiry is None else expiry.at,
            expiry_notice=expiry.notice if expiry is not None and is_warned else None,
            longest=longest,
        )


def _is_readable(known: KnownRepository) -> bool:
    """Whatever the token: a codespace is its user's to look after with the scope codespace alone."""
    return role_without_token(known.facts) >= Role.PULL

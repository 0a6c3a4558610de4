"""What a codespace is launched from, for whom, and what of the host it may have: as all of that is at this moment."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from berth.adapters.store import account as account_rows
from berth.adapters.store import codespace_access as access_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.domain.access import role_without_token
from berth.domain.account import Account
from berth.domain.allowance import Allowances, find_withdrawn
from berth.domain.codespace import Codespace
from berth.domain.codespace_access import decide_access
from berth.domain.compose import SERVICE_LABEL
from berth.domain.finding import Finding, Fixer
from berth.domain.host_option import HostOption
from berth.domain.repository import Repository
from berth.domain.role import Role
from berth.domain.suspension import FINDING as SUSPENDED_FINDING
from berth.services.codespace_policy import find_allowances
from berth.services.launch_failure import LaunchFailed
from berth.services.ports import Container

_FROM_FORK = "this codespace shows a fork's pull request, and a stranger's code gets nothing of the host (L4, S6)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSource:
    """What is launched, for whom, and what its containers may have of their host (L4)."""

    owner: Account
    repository: Repository
    allowances: Allowances

    def require_allowed(self, own: Container, others: Sequence[Container]) -> None:
        """Of each container what it was given has still to be allowed, before any of them starts. Raises LaunchFailed."""
        named = [(one, f"The container of the service {one.labels.get(SERVICE_LABEL)}") for one in others]
        for container, what in ((own, "The codespace's container"), *named):
            withdrawn = find_withdrawn(container.labels, self.allowances, what)
            if withdrawn is not None:
                raise LaunchFailed(withdrawn)


class LaunchSources:
    """Finds the sources of launches. `site_options` is what the administrator lets codespaces have of their host."""

    def __init__(self, *, store: Store, site_options: Collection[HostOption] = ()) -> None:
        self._store = store
        self._site_options = site_options

    async def find(self, codespace: Codespace) -> LaunchSource:
        """With the owner's rights as they are now (A13). Raises LaunchFailed.

        Decided: the code of a fork's pull request gets nothing of the host, whoever looks at it.
        """
        async with self._store.read() as connection:
            owner = await account_rows.find_account_by_id(connection, codespace.owner_id)
            repository_id = codespace.repository_id or -1
            repository = await repository_rows.find_repository_by_id(connection, repository_id)
            facts = await repository_rows.gather_facts(connection, codespace.owner_id, repository_id)
            access = await access_rows.find_access(connection, codespace.owner_id, repository_id)
            if owner is None or repository is None or facts is None or role_without_token(facts) < Role.PULL:
                raise LaunchFailed(_NOT_READABLE)
            allowances = await find_allowances(connection, repository, self._site_options)
        if access.is_suspended:
            raise LaunchFailed(SUSPENDED_FINDING)
        decision = decide_access(access, facts)
        if not decision:
            raise LaunchFailed(
                Finding(
                    code="codespace.access",
                    sentence=f"{decision.trail[-1].text.rstrip('.')}: {repository.owner_login}.",
                    fixer=Fixer.ORGANIZATION_OWNER,
                    next_step=f"Ask an owner of {repository.owner_login}.",
                )
            )
        if codespace.from_fork:
            allowances = replace(allowances, withheld_reason=_FROM_FORK)
        return LaunchSource(owner=owner, repository=repository, allowances=allowances)


_NOT_READABLE = Finding(
    code="repository.not_readable",
    sentence="The repository is gone, or its owner does not let you read it any more.",
    fixer=Fixer.REPOSITORY_ADMIN,
    next_step="Ask an administrator of the repository for read access.",
)

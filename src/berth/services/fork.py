"""Use case: a repository of one's own made of another's, from which pull requests come.

Only public repositories are forked: what is private stays where its owner decides who reads it. That is GitHub's default
for organizations; there it can be allowed, here it cannot.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import audit
from berth.adapters.store import collaborator as collaborator_rows
from berth.adapters.store import pull_request as fork_rows
from berth.adapters.store import repository as rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject
from berth.domain.account import Account, AccountType
from berth.domain.problem import Denied, Invalid
from berth.domain.repository import Repository, Visibility, parse_repository_name
from berth.domain.role import Role
from berth.services.account import require_personal
from berth.services.ports import Clock, GitRepositories
from berth.services.repository import (
    RepositoryView,
    find_decided,
    find_locked,
    find_owner_for_creation,
    view_of,
)

_BRANCHES = {"refs/heads/*": "refs/heads/*"}
_TAGS = {"refs/tags/*": "refs/tags/*"}


class ForkService:
    """Forks. The row and an empty repository come first, then the commits: asked again, an interrupted one goes on."""

    def __init__(self, *, store: Store, clock: Clock, git: GitRepositories) -> None:
        self._store = store
        self._clock = clock
        self._git = git

    async def fork(
        self,
        subject: Subject,
        owner: str,
        name: str,
        *,
        organization: str | None,
        new_name: str | None,
        default_branch_only: bool,
    ) -> RepositoryView:
        """The caller's fork, or his organization's; the one that is there if there is one. Raises Denied, Invalid."""
        require_personal(subject)
        async with self._store.begin() as connection:
            parent = (await find_locked(connection, subject, owner, name, Action.READ)).repository
            if parent.visibility is not Visibility.PUBLIC:
                raise Denied("The repository exists, but forking is disabled.", code="fork.not_public")
            account = await find_owner_for_creation(connection, subject, organization or subject.login)
            if account.id == parent.owner_id:
                raise Invalid(
                    f"{parent.full_name} is {account.login}'s own.", field="organization", code="fork.own_repository"
                )
            fork_id = await fork_rows.find_fork(connection, parent.id, account.id)
            if fork_id is None:
                wanted = parse_repository_name(new_name or parent.name)
                fork_id = await self._insert(connection, subject, parent, account, wanted)
        if not await self._git.list_branches(fork_id):
            heads = {f"refs/heads/{parent.default_branch}": f"refs/heads/{parent.default_branch}"}
            is_empty = await self._git.find_commit(parent.id, f"refs/heads/{parent.default_branch}") is None
            refs = heads if default_branch_only and not is_empty else {**_BRANCHES, **_TAGS}
            await self._git.fetch(fork_id, refs, source_id=parent.id)
        async with self._store.read() as connection:
            found = await rows.find_known_by_id(connection, subject.account_id, fork_id)
        if found is None:
            raise Invalid("The fork was deleted meanwhile.", code="fork.gone")
        return view_of(subject, found)

    async def _insert(
        self, connection: AsyncConnection, subject: Subject, parent: Repository, account: Account, name: str
    ) -> int:
        fork_id = await rows.insert_repository(
            connection,
            owner_id=account.id,
            name=name,
            description=parent.description,
            visibility=parent.visibility,
            default_branch=parent.default_branch,
            now=self._clock.now(),
        )
        await fork_rows.insert_fork(connection, fork_id, parent.id)
        if account.type is AccountType.ORGANIZATION:
            await collaborator_rows.set_collaborator(connection, fork_id, subject.account_id, Role.ADMIN)
        await self._git.create(fork_id, default_branch=parent.default_branch)
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=subject,
            action="repository.fork",
            account_id=account.id,
            target=f"{account.login}/{name}",
            detail=parent.full_name,
        )
        return fork_id

    async def list_forks(
        self, subject: Subject | None, owner: str, name: str, *, limit: int, offset: int
    ) -> tuple[list[RepositoryView], int]:
        """Those that the caller may read."""
        async with self._store.read() as connection:
            parent = (await find_decided(connection, subject, owner, name, Action.READ)).repository
            among = fork_rows.forks_of(parent.id)
            found, total = await rows.list_known(connection, subject, among=among, limit=limit, offset=offset)
        return [view_of(subject, known) for known in found], total

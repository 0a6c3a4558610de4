"""Use cases of repositories: look, create, change, delete, and who has which role on them."""

import contextlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import access_token as token_rows
from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import collaborator as collaborator_rows
from berth.adapters.store import package as package_rows
from berth.adapters.store import repository as rows
from berth.adapters.store import team as team_rows
from berth.adapters.store.database import Store
from berth.adapters.store.repository import KnownRepository
from berth.domain.access import (
    Action,
    Decision,
    RepositoryFacts,
    Subject,
    decide_repository,
    effective_role,
    granted_role,
    role_without_token,
)
from berth.domain.access_token import TokenKind
from berth.domain.account import Account, AccountType, Team
from berth.domain.problem import Denied, Invalid, NotFound, UpstreamFailed
from berth.domain.repository import Repository, Visibility, parse_branch_name, parse_repository_name
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.services.account import get_account, require_personal
from berth.services.ports import Clock, GitRepositories
from berth.services.prebuild_trigger import request_for_push
from berth.services.team import parse_role

MAX_DESCRIPTION = 350


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryView:
    """A repository, and what the caller may do with it."""

    repository: Repository
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryChange:
    """What a creation or an update asks for; None leaves it as it is."""

    name: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    default_branch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitTarget:
    """A repository that git may be let into."""

    repository: Repository
    path: Path


def obey(decision: Decision) -> None:
    """Raises NotFound where the thing may not be known (A13), Denied where it may but the role does not suffice."""
    if decision:
        return
    if not decision.may_know_it_exists:
        raise NotFound("Not Found", code="repository.not_found")
    raise Denied(
        "Must have admin rights to Repository.",
        code="repository.denied",
        remedy=" ".join(reason.text for reason in decision.trail),
    )


def _decide(subject: Subject | None, known: KnownRepository | None, action: Action) -> KnownRepository:
    if known is None:
        raise NotFound("Not Found", code="repository.not_found")
    obey(decide_repository(subject, known.facts, action))
    return known


async def find_decided(
    connection: AsyncConnection, subject: Subject | None, owner: str, name: str, action: Action
) -> KnownRepository:
    """A repository that the subject may do this with. Raises NotFound, Denied."""
    return _decide(subject, await rows.find_known(connection, _id_of(subject), owner, name), action)


async def find_locked(
    connection: AsyncConnection, subject: Subject, owner: str, name: str, action: Action
) -> KnownRepository:
    """The same, as it is while no other change of it runs. What was renamed or given away meanwhile is gone."""
    before = await find_decided(connection, subject, owner, name, action)
    await rows.lock_repository(connection, before.repository.id)
    known = await find_decided(connection, subject, owner, name, action)
    if known.repository.id != before.repository.id:
        raise NotFound("Not Found", code="repository.not_found")
    return known


async def find_locked_by_id(
    connection: AsyncConnection, subject: Subject, repository_id: int, action: Action
) -> KnownRepository:
    """The same by id."""
    _decide(subject, await rows.find_known_by_id(connection, subject.account_id, repository_id), action)
    await rows.lock_repository(connection, repository_id)
    return _decide(subject, await rows.find_known_by_id(connection, subject.account_id, repository_id), action)


async def find_owner_for_creation(connection: AsyncConnection, subject: Subject, owner: str) -> Account:
    """The account in which the subject makes a repository: his own, or an organization of his. Raises Denied."""
    account = await get_account(connection, owner)
    if account.id == subject.account_id:
        return account
    facts = await account_rows.organization_facts(connection, account.id, subject.account_id)
    if not facts.is_member:
        raise Denied(
            f"You are not a member of {account.login}.",
            code="repository.create_denied",
            remedy=f"Ask an owner of {account.login}.",
        )
    return account


def view_of(subject: Subject | None, known: KnownRepository) -> RepositoryView:
    return RepositoryView(repository=known.repository, role=effective_role(subject, known.facts))


def _id_of(subject: Subject | None) -> int | None:
    return None if subject is None else subject.account_id


class RepositoryService:
    """Repositories. A row comes before its git directory and goes before it, so that no name points at nothing."""

    def __init__(self, *, store: Store, clock: Clock, git: GitRepositories) -> None:
        self._store = store
        self._clock = clock
        self._git = git

    async def get(self, subject: Subject | None, owner: str, name: str, action: Action) -> Repository:
        """A repository that the subject may do this with. Raises NotFound or Denied."""
        return (await self.view(subject, owner, name, action)).repository

    async def get_by_id(self, subject: Subject | None, repository_id: int, action: Action) -> Repository:
        async with self._store.read() as connection:
            known = await rows.find_known_by_id(connection, _id_of(subject), repository_id)
        return _decide(subject, known, action).repository

    async def view(
        self, subject: Subject | None, owner: str, name: str, action: Action = Action.READ
    ) -> RepositoryView:
        """The same with the caller's role."""
        async with self._store.read() as connection:
            known = await find_decided(connection, subject, owner, name, action)
        return view_of(subject, known)

    async def list_own(self, subject: Subject, *, limit: int, offset: int) -> tuple[list[RepositoryView], int]:
        """What the caller has a role on."""
        async with self._store.read() as connection:
            found, total = await rows.list_known(connection, subject, own=True, limit=limit, offset=offset)
        return [view_of(subject, known) for known in found], total

    async def list_of(
        self, subject: Subject | None, owner: str, *, limit: int, offset: int, text: str = ""
    ) -> tuple[list[RepositoryView], int]:
        """An account's that the caller may read, whose `owner/name` contains the text. Raises NotFound (no such account)."""
        async with self._store.read() as connection:
            account = await get_account(connection, owner)
            found, total = await rows.list_known(
                connection, subject, owner_id=account.id, text=text, limit=limit, offset=offset
            )
        return [view_of(subject, known) for known in found], total

    async def search(
        self, subject: Subject | None, text: str, *, limit: int, offset: int
    ) -> tuple[list[RepositoryView], int]:
        """Those whose `owner/name` contains the text."""
        async with self._store.read() as connection:
            found, total = await rows.list_known(connection, subject, text=text, limit=limit, offset=offset)
        return [view_of(subject, known) for known in found], total

    async def create(self, subject: Subject, owner: str, wanted: RepositoryChange) -> RepositoryView:
        """In the caller's own account or in an organization of his. Raises Invalid, Denied."""
        require_personal(subject)
        name = parse_repository_name(wanted.name or "")
        branch = parse_branch_name(wanted.default_branch or "main", field="default_branch")
        visibility = wanted.visibility or Visibility.PUBLIC
        _check_create_scope(subject, visibility)
        async with self._store.begin() as connection:
            account = await find_owner_for_creation(connection, subject, owner)
            _check_visibility(visibility, account.type is AccountType.ORGANIZATION)
            repository_id = await rows.insert_repository(
                connection,
                owner_id=account.id,
                name=name,
                description=_check_description(wanted.description or ""),
                visibility=visibility,
                default_branch=branch,
                now=self._clock.now(),
            )
            if account.type is AccountType.ORGANIZATION:  # whoever makes it administers it, owner or not
                await collaborator_rows.set_collaborator(connection, repository_id, subject.account_id, Role.ADMIN)
            await self._git.create(repository_id, default_branch=branch)
            known = _decide(
                subject, await rows.find_known_by_id(connection, subject.account_id, repository_id), Action.READ
            )
            await self._record(connection, subject, "repository.create", known.repository, visibility)
        return view_of(subject, known)

    async def update(self, subject: Subject, owner: str, name: str, change: RepositoryChange) -> RepositoryView:
        """Rename, describe, open or close, or choose another default branch. Its id stays."""
        async with self._store.begin() as connection:
            known = await find_locked(connection, subject, owner, name, Action.ADMINISTER)
            values: dict[str, object] = {"updated_at": self._clock.now()}
            if change.name is not None:
                values["name"] = parse_repository_name(change.name)
            if change.description is not None:
                values["description"] = _check_description(change.description)
            if change.visibility is not None:
                _check_visibility(change.visibility, known.repository.owner_is_organization)
                _check_fork(known.repository, change.visibility)
                _check_create_scope(subject, change.visibility)
                values["visibility"] = change.visibility
            if change.default_branch is not None:
                values["default_branch"] = await self._check_branch(known.repository, change.default_branch)
            await rows.update_repository(connection, known.repository.id, values)
            if known.repository.visibility is Visibility.PUBLIC and change.visibility not in {None, Visibility.PUBLIC}:
                # A token that opens public repositories only may have made them: they must not open a private one.
                await token_rows.revoke_workflow_tokens(connection, known.repository.id)
            found = await rows.find_known_by_id(connection, subject.account_id, known.repository.id)
            changed = _decide(subject, found, Action.READ)
            await self._record_update(connection, subject, known.repository, changed.repository, values.keys())
            if change.default_branch is not None:
                await self._git.set_default_branch(changed.repository.id, changed.repository.default_branch)
        return view_of(subject, changed)

    async def _record_update(
        self,
        connection: AsyncConnection,
        actor: Subject,
        before: Repository,
        after: Repository,
        changed: AbstractSet[str],
    ) -> None:
        renamed = before.name != after.name
        if renamed:
            await self._record(connection, actor, "repository.rename", before, after.full_name)
        others = changed - {"updated_at", *(["name"] if renamed else [])}
        if others or not renamed:
            await self._record(connection, actor, "repository.update", after, " ".join(sorted(others)))

    async def _check_branch(self, repository: Repository, branch: str) -> str:
        parsed = parse_branch_name(branch, field="default_branch")
        if await self._git.find_commit(repository.id, f"refs/heads/{parsed}") is None:
            raise Invalid(
                f"The branch {parsed} was not found. Please push that ref first or create it via the Git Data API.",
                field="default_branch",
                code="repository.branch_unknown",
            )
        return parsed

    async def delete(self, subject: Subject, owner: str, name: str) -> None:
        """The repository, its grants and secrets, packages' ties to it; its codespaces are asked to go; at last its git."""
        require_personal(subject)
        async with self._store.begin() as connection:
            known = await find_locked(connection, subject, owner, name, Action.ADMINISTER)
            if not subject.has(Scope.DELETE_REPO):
                raise Denied("Must have admin rights to Repository. This needs a token with the scope delete_repo.")
            await package_rows.forget_repository(connection, known.repository.id)
            await rows.delete_repository(connection, known.repository.id)
            await self._record(connection, subject, "repository.delete", known.repository)
        with contextlib.suppress(UpstreamFailed):  # a leftover directory is nobody's: ids are never used again
            await self._git.delete(known.repository.id)

    async def list_collaborators(
        self, subject: Subject, owner: str, name: str, *, limit: int, offset: int
    ) -> tuple[list[tuple[Account, Role]], int]:
        """Whoever has a role given by name; and the owning user."""
        async with self._store.read() as connection:
            known = await find_decided(connection, subject, owner, name, Action.WRITE)
            return await collaborator_rows.list_collaborators(
                connection, known.repository.id, limit=limit, offset=offset
            )

    async def find_role_of(self, subject: Subject, owner: str, name: str, login: str) -> tuple[Account, Role]:
        """What an account may do with the repository, by every way there is."""
        user, facts = await self._facts_of(subject, owner, name, login)
        return user, role_without_token(facts)

    async def is_collaborator(self, subject: Subject, owner: str, name: str, login: str) -> bool:
        """Whether an account has a role that not everybody has on a public repository."""
        _user, facts = await self._facts_of(subject, owner, name, login)
        return granted_role(facts) is not Role.NONE

    async def _facts_of(self, subject: Subject, owner: str, name: str, login: str) -> tuple[Account, RepositoryFacts]:
        async with self._store.read() as connection:
            known = await find_decided(connection, subject, owner, name, Action.READ)
            user = await get_account(connection, login, AccountType.USER)
            if user.id != subject.account_id:  # what others may do is for those who work on it
                obey(decide_repository(subject, known.facts, Action.WRITE))
            return user, await rows.get_facts(connection, user.id, known.repository.id)

    async def set_collaborator(self, subject: Subject, owner: str, name: str, login: str, permission: str) -> None:
        """At once, without an invitation. Raises Invalid for the owner himself."""
        role = parse_role(permission)
        async with self._store.begin() as connection:
            known = await find_locked(connection, subject, owner, name, Action.ADMINISTER)
            user = await get_account(connection, login, AccountType.USER)
            if user.id == known.repository.owner_id:
                raise Invalid("Repository owner cannot be a collaborator", field="username", code="repository.owner")
            await collaborator_rows.set_collaborator(connection, known.repository.id, user.id, role)
            detail = f"{user.login} {role.word}"
            await self._record(connection, subject, "repository.collaborator_set", known.repository, detail)

    async def remove_collaborator(self, subject: Subject, owner: str, name: str, login: str) -> None:
        """By an administrator, or by himself. Nothing happens to somebody without a role by name."""
        async with self._store.begin() as connection:
            own = login.lower() == subject.login.lower() and subject.token_kind is TokenKind.PERSONAL
            known = await find_locked(connection, subject, owner, name, Action.READ if own else Action.ADMINISTER)
            user = await get_account(connection, login, AccountType.USER)
            if await collaborator_rows.remove_collaborator(connection, known.repository.id, user.id):
                await self._record(connection, subject, "repository.collaborator_remove", known.repository, user.login)

    async def list_teams(
        self, subject: Subject, owner: str, name: str, *, limit: int, offset: int
    ) -> tuple[list[tuple[Team, Role]], int]:
        """Teams with a role on it. Only members of the organization may know its teams: others see none (A13)."""
        async with self._store.read() as connection:
            known = await find_decided(connection, subject, owner, name, Action.ADMINISTER)
            if not known.facts.is_member:
                return [], 0
            return await team_rows.list_repository_teams(connection, known.repository.id, limit=limit, offset=offset)

    async def open_git(self, subject: Subject | None, owner: str, name: str, action: Action) -> GitTarget:
        """Where git finds it. Raises NotFound or Denied."""
        repository = await self.get(subject, owner, name, action)
        return GitTarget(repository=repository, path=self._git.path(repository.id))

    async def note_push(self, repository: Repository) -> None:
        """After a push: its time; a default branch that exists, where the configured one does not; its prebuilds."""
        branches = await self._git.list_branches(repository.id)
        values: dict[str, object] = {"pushed_at": self._clock.now()}
        if branches and repository.default_branch not in branches:
            values["default_branch"] = next((name for name in ("main", "master") if name in branches), branches[0])
        async with self._store.begin() as connection:
            await rows.update_repository(connection, repository.id, values)
        if "default_branch" in values:
            await self._git.set_default_branch(repository.id, str(values["default_branch"]))
        await request_for_push(self._store, self._git, repository.id)

    async def _record(
        self, connection: AsyncConnection, actor: Subject, action: str, repository: Repository, detail: str = ""
    ) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=actor,
            action=action,
            account_id=repository.owner_id,
            target=repository.full_name,
            detail=detail,
        )


def _check_create_scope(subject: Subject, visibility: Visibility) -> None:
    if subject.has(Scope.REPO) or (visibility is Visibility.PUBLIC and subject.has(Scope.PUBLIC_REPO)):
        return
    raise Denied("Your token lacks the scope repo.", code="scope.missing", remedy="Use a token that has it.")


def _check_visibility(visibility: Visibility, owner_is_organization: bool) -> None:  # noqa: FBT001
    if visibility is Visibility.INTERNAL and not owner_is_organization:
        raise Invalid(
            "Only an organization's repository can be internal.", field="visibility", code="repository.visibility"
        )


def _check_fork(repository: Repository, visibility: Visibility) -> None:
    """A fork is made of what everybody could read; pull requests bring it back there."""
    if repository.parent_id is not None and visibility is not Visibility.PUBLIC:
        raise Invalid("The visibility of a fork cannot be changed.", field="visibility", code="fork.visibility")


def _check_description(text: str) -> str:
    if len(text) > MAX_DESCRIPTION or any(ord(char) < 32 for char in text):
        raise Invalid(
            f"A description has at most {MAX_DESCRIPTION} characters, on one line.",
            field="description",
            code="repository.description",
        )
    return text

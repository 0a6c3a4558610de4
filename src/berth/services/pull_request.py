"""Use cases of pull requests: ask for one, look at it, change its words, close it; what of it a codespace shows.

The commits of a fork are fetched into the repository that they are for, under a ref where nobody pushes. They are
fetched when the pull request is made, and again when somebody looks at it or makes a codespace of it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import pull_request as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject, decide_repository
from berth.domain.account import Account
from berth.domain.problem import Denied, Invalid, NotFound, UpstreamFailed
from berth.domain.pull_request import (
    Comparison,
    PullRequest,
    PullRequestState,
    check_body,
    check_title,
    parse_head,
    parse_state,
    pull_ref,
)
from berth.domain.repository import Repository, parse_branch_name, short_branch
from berth.services.account import require_personal
from berth.services.ports import Clock, GitRepositories
from berth.services.repository import find_decided, find_locked, find_locked_by_id, obey

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequestView:
    """With what its answers show of others."""

    pull_request: PullRequest
    repository: Repository
    head_repository: Repository
    author: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequestChange:
    """What is given is changed."""

    title: str | None = None
    body: str | None = None
    state: str | None = None


class PullRequestService:
    """Pull requests."""

    def __init__(self, *, store: Store, clock: Clock, git: GitRepositories) -> None:
        self._store = store
        self._clock = clock
        self._git = git

    async def create(
        self, subject: Subject, owner: str, name: str, *, title: str, body: str, head: str, base: str
    ) -> PullRequestView:
        """By who may push to its head. Raises Invalid, Denied, NotFound."""
        require_personal(subject)
        title, body = check_title(title), check_body(body)
        head_owner, head_ref = parse_head(head)
        base_ref = parse_branch_name(short_branch(base), field="base")
        async with self._store.read() as connection:
            repository = (await find_decided(connection, subject, owner, name, Action.READ)).repository
            source = await self._find_head_repository(connection, subject, repository, head_owner)
        head_sha = await self._git.find_commit(source.id, f"refs/heads/{head_ref}")
        base_sha = await self._git.find_commit(repository.id, f"refs/heads/{base_ref}")
        if head_sha is None:
            raise Invalid(f"{source.full_name} has no branch {head_ref}.", field="head", code="pull_request.head")
        if base_sha is None:
            raise Invalid(f"{repository.full_name} has no branch {base_ref}.", field="base", code="pull_request.base")
        if head_sha == base_sha:
            raise Invalid(f"No commits between {base_ref} and {head}", field="head", code="pull_request.nothing")
        now = self._clock.now()
        async with self._store.begin() as connection:
            repository = (await find_locked_by_id(connection, subject, repository.id, Action.READ)).repository
            await _require_no_twin(connection, repository.id, source.id, head_ref, base_ref)
            values = {
                "repository_id": repository.id,
                "author_id": subject.account_id,
                "title": title,
                "body": body,
                "state": PullRequestState.OPEN,
                "base_ref": base_ref,
                "base_sha": base_sha,
                "head_repository_id": source.id,
                "head_ref": head_ref,
                "head_sha": head_sha,
                "created_at": now,
                "updated_at": now,
            }
            made = await rows.insert_pull_request(connection, values)
            await self._record(connection, subject, "pull_request.create", repository, made)
        return await self.get(subject, repository.owner_login, repository.name, made.number)

    async def _find_head_repository(
        self, connection: AsyncConnection, subject: Subject, repository: Repository, owner: str | None
    ) -> Repository:
        """The repository itself, or the fork that an account has of it, if the caller may push there."""
        wanted = repository.id
        if owner is not None and owner.lower() != repository.owner_login.lower():
            account = await account_rows.find_account(connection, owner)
            wanted = -1 if account is None else await rows.find_fork(connection, repository.id, account.id) or -1
        known = await repository_rows.find_known_by_id(connection, subject.account_id, wanted)
        if known is None or not decide_repository(subject, known.facts, Action.READ):
            raise Invalid(f"{owner} has no fork of {repository.full_name}.", field="head", code="pull_request.head")
        obey(decide_repository(subject, known.facts, Action.WRITE))
        return known.repository

    async def get(self, subject: Subject | None, owner: str, name: str, number: int) -> PullRequestView:
        """One of a repository that the caller may read, with the commits of now. Raises NotFound."""
        async with self._store.read() as connection:
            repository = (await find_decided(connection, subject, owner, name, Action.READ)).repository
            found = await rows.find_pull_request(connection, repository.id, number)
        if found is None:
            raise NotFound("Not Found", code="pull_request.not_found")
        current = await self._refresh(repository, found)
        async with self._store.read() as connection:
            views = await self._show(connection, repository, [current])
        if not views:
            raise NotFound("Not Found", code="pull_request.not_found")
        return views[0]

    async def _refresh(self, repository: Repository, pull_request: PullRequest) -> PullRequest:
        """With what the head's branch holds now, if that is there. A fork is public: everybody may see it."""
        if pull_request.state is not PullRequestState.OPEN:
            return pull_request
        theirs, source_id = f"refs/heads/{pull_request.head_ref}", pull_request.head_repository_id
        before = await self._head(pull_request)
        if await self._git.find_commit(source_id, theirs) not in {None, before}:
            try:
                await self._git.fetch(repository.id, {theirs: pull_request.ref}, source_id=source_id)
            except UpstreamFailed:
                if await self._head(pull_request) == before:
                    raise  # else somebody else looked at it at the same time, and brought them
        head_sha = await self._head(pull_request) or pull_request.head_sha
        base_sha = await self._git.find_commit(repository.id, f"refs/heads/{pull_request.base_ref}")
        values = {"head_sha": head_sha, "base_sha": base_sha or pull_request.base_sha}
        if values == {"head_sha": pull_request.head_sha, "base_sha": pull_request.base_sha}:
            return pull_request
        async with self._store.begin() as connection:
            await rows.update_pull_request(connection, pull_request.id, {**values, "updated_at": self._clock.now()})
            return await rows.find_pull_request(connection, repository.id, pull_request.number) or pull_request

    async def _head(self, pull_request: PullRequest) -> str | None:
        return await self._git.find_commit(pull_request.repository_id, pull_ref(pull_request.number))

    async def compare(self, view: PullRequestView) -> Comparison | None:
        """What it would bring; None where its commits never came, because the head went away too early, or are too much."""
        found = view.pull_request
        for sha in (found.base_sha, found.head_sha):
            if await self._git.find_commit(found.repository_id, sha) is None:
                return None
        try:
            return await self._git.compare(found.repository_id, found.base_sha, found.head_sha)
        except UpstreamFailed:
            _LOG.warning("pull_request.not_compared", extra={"pull_request": found.id})
            return None

    async def list_of(
        self, subject: Subject | None, owner: str, name: str, state: str, *, limit: int, offset: int
    ) -> tuple[list[PullRequestView], int]:
        """A page, newest first, with the commits that were seen last. `state`: open, closed or all. Raises Invalid."""
        wanted = None if state == "all" else parse_state(state)
        async with self._store.read() as connection:
            repository = (await find_decided(connection, subject, owner, name, Action.READ)).repository
            found, total = await rows.list_pull_requests(connection, repository.id, wanted, limit=limit, offset=offset)
            return await self._show(connection, repository, found), total

    async def update(
        self, subject: Subject, owner: str, name: str, number: int, change: PullRequestChange
    ) -> PullRequestView:
        """By its author, or by who may push to the repository. Raises Denied, Invalid, NotFound."""
        require_personal(subject)
        values: dict[str, object] = {}
        if change.title is not None:
            values["title"] = check_title(change.title)
        if change.body is not None:
            values["body"] = check_body(change.body)
        now = self._clock.now()
        if change.state is not None:
            values["state"] = state = parse_state(change.state)
            values["closed_at"] = None if state is PullRequestState.OPEN else now
        async with self._store.begin() as connection:
            known = await find_locked(connection, subject, owner, name, Action.READ)
            found = await rows.find_pull_request(connection, known.repository.id, number)
            if found is None:
                raise NotFound("Not Found", code="pull_request.not_found")
            if found.author_id != subject.account_id and not decide_repository(subject, known.facts, Action.WRITE):
                raise Denied("Must have write access to the repository, or be the author.", code="pull_request.denied")
            if change.state == PullRequestState.OPEN and found.state is not PullRequestState.OPEN:
                await _require_no_twin(
                    connection, found.repository_id, found.head_repository_id, found.head_ref, found.base_ref
                )
            if values:
                await rows.update_pull_request(connection, found.id, {**values, "updated_at": now})
                await self._record(connection, subject, "pull_request.update", known.repository, found)
        return await self.get(subject, owner, name, number)

    async def _show(
        self,
        connection: AsyncConnection,
        repository: Repository,
        found: Sequence[PullRequest],
    ) -> list[PullRequestView]:
        """Views of a page, in two queries."""
        authors = await account_rows.find_accounts_by_ids(connection, {each.author_id for each in found})
        heads = await repository_rows.find_repositories_by_ids(connection, {each.head_repository_id for each in found})
        return [
            PullRequestView(
                pull_request=each,
                repository=repository,
                head_repository=heads[each.head_repository_id],
                author=authors[each.author_id],
            )
            for each in found
            if each.author_id in authors and each.head_repository_id in heads
        ]

    async def _record(
        self, connection: AsyncConnection, actor: Subject, action: str, repository: Repository, of: PullRequest
    ) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=actor,
            action=action,
            account_id=repository.owner_id,
            target=f"{repository.full_name}#{of.number}",
        )


async def _require_no_twin(
    connection: AsyncConnection, repository_id: int, head_id: int, head_ref: str, base_ref: str
) -> None:
    """Two open ones for the same branches would be one question asked twice. Raises Invalid."""
    if await rows.is_asked_already(connection, repository_id, head_id, head_ref, base_ref):
        raise Invalid(f"A pull request from {head_ref} to {base_ref} is open already.", code="pull_request.exists")

"""Prebuilds, as people ask for them: administrators of a repository configure and run them, who may push looks at them."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import audit
from berth.adapters.store import prebuild as rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject
from berth.domain.codespace import LogEntry
from berth.domain.prebuild import (
    MAX_PREBUILDS,
    Prebuild,
    PrebuildAvailability,
    PrebuildState,
    PrebuildVersion,
    PrebuildWish,
    choose_availability,
)
from berth.domain.problem import LimitReached, NotFound
from berth.domain.repository import Repository, short_branch
from berth.services.account import require_personal
from berth.services.ports import Clock, GitRepositories
from berth.services.repository import find_decided, find_locked


@dataclass(frozen=True, slots=True, kw_only=True)
class PrebuildView:
    """A prebuild with what its answers show of others."""

    prebuild: Prebuild
    repository: Repository
    versions: tuple[PrebuildVersion, ...]


class PrebuildService:
    """Use cases of prebuilds. `wake` tells this process's loop that something was stored."""

    def __init__(self, *, store: Store, clock: Clock, git: GitRepositories, wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._git = git
        self._wake = wake

    async def list_of(
        self, subject: Subject, owner: str, name: str, *, limit: int, offset: int
    ) -> tuple[list[PrebuildView], int]:
        """A page, oldest first, and how many there are. Raises NotFound, Denied."""
        async with self._store.read() as connection:
            repository = await self._find(connection, subject, owner, name)
            found, total = await rows.list_prebuilds(connection, repository.id, limit=limit, offset=offset)
            versions = await rows.list_versions(connection, [each.id for each in found])
        return [_view(each, repository, versions) for each in found], total

    async def get(self, subject: Subject, owner: str, name: str, prebuild_id: int) -> PrebuildView:
        """Raises NotFound, Denied."""
        async with self._store.read() as connection:
            repository = await self._find(connection, subject, owner, name)
            return await _show(connection, repository, prebuild_id)

    async def read_log(self, subject: Subject, owner: str, name: str, prebuild_id: int) -> list[LogEntry]:
        """Of the last run. Raises NotFound, Denied."""
        view = await self.get(subject, owner, name, prebuild_id)
        async with self._store.read() as connection:
            return await rows.read_log(connection, view.prebuild.id)

    async def create(self, subject: Subject, owner: str, name: str, wish: PrebuildWish) -> PrebuildView:
        """Configure one; it is made at once. Raises NotFound, Denied, LimitReached."""
        require_personal(subject)
        async with self._store.begin() as connection:
            repository = (await find_locked(connection, subject, owner, name, Action.ADMINISTER)).repository
            if await rows.count_prebuilds(connection, repository.id) >= MAX_PREBUILDS:
                raise LimitReached(
                    f"A repository has at most {MAX_PREBUILDS} prebuilds.",
                    code="prebuild.too_many",
                    remedy="Delete one that nobody uses.",
                )
            prebuild = await rows.insert_prebuild(
                connection,
                repository_id=repository.id,
                creator_id=subject.account_id,
                wish=wish,
                at=self._clock.now(),
            )
            await self._record(connection, subject, "prebuild.create", repository, prebuild)
        self._wake()
        return PrebuildView(prebuild=prebuild, repository=repository, versions=())

    async def run(self, subject: Subject, owner: str, name: str, prebuild_id: int) -> PrebuildView:
        """Make it anew from nothing, whatever version there is. Raises NotFound, Denied."""
        values = {"state": PrebuildState.QUEUED, "forced": True}
        return await self._request(subject, owner, name, prebuild_id, "prebuild.run", values)

    async def delete(self, subject: Subject, owner: str, name: str, prebuild_id: int) -> None:
        """It, and its versions. Raises NotFound, Denied."""
        await self._request(subject, owner, name, prebuild_id, "prebuild.delete", {"deleted": True})

    async def availability(self, repository: Repository, ref: str) -> PrebuildAvailability:
        """Of a repository that the caller may read; an empty ref is its default branch."""
        branch = short_branch(ref) or repository.default_branch
        async with self._store.read() as connection:
            found = await rows.list_of_branch(connection, repository.id, branch)
        if not found:
            return PrebuildAvailability.NONE
        return choose_availability(found, await self._git.find_commit(repository.id, f"refs/heads/{branch}"))

    async def _find(self, connection: AsyncConnection, subject: Subject, owner: str, name: str) -> Repository:
        require_personal(subject)
        return (await find_decided(connection, subject, owner, name, Action.WRITE)).repository

    async def _request(
        self, subject: Subject, owner: str, name: str, prebuild_id: int, action: str, values: dict[str, object]
    ) -> PrebuildView:
        require_personal(subject)
        async with self._store.begin() as connection:
            repository = (await find_locked(connection, subject, owner, name, Action.ADMINISTER)).repository
            before = await _show(connection, repository, prebuild_id)
            await rows.request(connection, prebuild_id, values)
            await self._record(connection, subject, action, repository, before.prebuild)
            now = await rows.find_prebuild(connection, repository.id, prebuild_id)
        self._wake()
        return PrebuildView(prebuild=now or before.prebuild, repository=repository, versions=before.versions)

    async def _record(
        self, connection: AsyncConnection, actor: Subject, action: str, repository: Repository, prebuild: Prebuild
    ) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=actor,
            action=action,
            account_id=repository.owner_id,
            target=repository.full_name,
            detail=f"{prebuild.id} {prebuild.wish.branch}",
        )


async def _show(connection: AsyncConnection, repository: Repository, prebuild_id: int) -> PrebuildView:
    prebuild = await rows.find_prebuild(connection, repository.id, prebuild_id)
    if prebuild is None:
        raise NotFound("Not Found", code="prebuild.not_found")
    return _view(prebuild, repository, await rows.list_versions(connection, [prebuild.id]))


def _view(prebuild: Prebuild, repository: Repository, versions: list[PrebuildVersion]) -> PrebuildView:
    mine = tuple(each for each in versions if each.prebuild_id == prebuild.id)
    return PrebuildView(prebuild=prebuild, repository=repository, versions=mine)

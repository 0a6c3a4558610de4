"""Use cases of the two lists of repositories: whose codespaces pull a package (A7 c), whose workflows use it (A8).

1. For who may administer the package. He names repositories that he may read; others do not exist for him (A13), and
   are not shown in the lists. Taking one off needs only its id.
2. Decided: what an organization has and is not public is only for its own repositories, as grants are for its own people
   (A3). A user's package, and a public one, may be opened to any repository that the user may read.
3. A transfer of a repository takes it off all lists (A12).
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import package_grant as rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject
from berth.domain.package import Package, is_closed
from berth.domain.package_access import PackageAction
from berth.domain.package_role import PackageRole
from berth.domain.problem import Invalid
from berth.domain.repository import Repository
from berth.services.package_access import AllowedPackage, PackagePlace, find_allowed, lock_allowed, parse_role, record
from berth.services.ports import Clock
from berth.services.repository import find_locked_by_id


class PackageRepositoryService:
    """Which repositories a package is opened to."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list_codespaces(
        self, subject: Subject, place: PackagePlace, *, limit: int, offset: int
    ) -> tuple[list[Repository], int]:
        async with self._store.read() as connection:
            allowed = await find_allowed(connection, subject, place, PackageAction.ADMINISTER)
            found, total = await rows.list_codespaces_repositories(
                connection, subject, allowed.package.id, limit=limit, offset=offset
            )
        return [known.repository for known in found], total

    async def find_for_codespaces(
        self, subject: Subject, place: PackagePlace, text: str, *, limit: int
    ) -> list[Repository]:
        """Whose `owner/name` contains the text, and that can be put on the list: not there yet, not outside (policy 2)."""
        async with self._store.read() as connection:
            package = (await find_allowed(connection, subject, place, PackageAction.ADMINISTER)).package
            return await rows.find_for_codespaces(
                connection, subject, package.id, text, owner_id=_only_owner(package), limit=limit
            )

    async def add_codespaces(self, subject: Subject, place: PackagePlace, repository_id: int) -> None:
        """Raises NotFound, Denied, Invalid for a repository outside (policy 2)."""
        async with self._store.begin() as connection:
            allowed, repository = await _lock_both(connection, subject, place, repository_id)
            if await rows.add_codespaces_repository(connection, allowed.package.id, repository.id):
                await self._record(connection, subject, allowed, "package.codespaces_add", repository.full_name)

    async def remove_codespaces(self, subject: Subject, place: PackagePlace, repository_id: int) -> None:
        async with self._store.begin() as connection:
            allowed = await lock_allowed(connection, subject, place, PackageAction.ADMINISTER)
            if await rows.remove_codespaces_repository(connection, allowed.package.id, repository_id):
                await self._record(connection, subject, allowed, "package.codespaces_remove", f"id {repository_id}")

    async def list_workflows(
        self, subject: Subject, place: PackagePlace, *, limit: int, offset: int
    ) -> tuple[list[tuple[Repository, PackageRole]], int]:
        async with self._store.read() as connection:
            allowed = await find_allowed(connection, subject, place, PackageAction.ADMINISTER)
            found, total = await rows.list_workflow_repositories(
                connection, subject, allowed.package.id, limit=limit, offset=offset
            )
        return [(known.repository, role) for known, role in found], total

    async def find_for_workflows(
        self, subject: Subject, place: PackagePlace, text: str, *, limit: int
    ) -> list[Repository]:
        """The same for the other list."""
        async with self._store.read() as connection:
            package = (await find_allowed(connection, subject, place, PackageAction.ADMINISTER)).package
            return await rows.find_for_workflows(
                connection, subject, package.id, text, owner_id=_only_owner(package), limit=limit
            )

    async def set_workflows(self, subject: Subject, place: PackagePlace, repository_id: int, word: str) -> None:
        """Raises NotFound, Denied, Invalid for a wrong role or a repository outside (policy 2)."""
        role = parse_role(word)
        async with self._store.begin() as connection:
            allowed, repository = await _lock_both(connection, subject, place, repository_id)
            await rows.set_workflow_repository(connection, allowed.package.id, repository.id, role)
            detail = f"{repository.full_name} {role.word}"
            await self._record(connection, subject, allowed, "package.workflows_set", detail)

    async def remove_workflows(self, subject: Subject, place: PackagePlace, repository_id: int) -> None:
        async with self._store.begin() as connection:
            allowed = await lock_allowed(connection, subject, place, PackageAction.ADMINISTER)
            if await rows.remove_workflow_repository(connection, allowed.package.id, repository_id):
                await self._record(connection, subject, allowed, "package.workflows_remove", f"id {repository_id}")

    async def _record(
        self, connection: AsyncConnection, subject: Subject, allowed: AllowedPackage, action: str, detail: str
    ) -> None:
        await record(connection, self._clock, subject, allowed, action, detail)


async def _lock_both(
    connection: AsyncConnection, subject: Subject, place: PackagePlace, repository_id: int
) -> tuple[AllowedPackage, Repository]:
    """The package and a repository to put on a list of it; neither moves meanwhile."""
    await find_allowed(connection, subject, place, PackageAction.ADMINISTER)
    repository = (await find_locked_by_id(connection, subject, repository_id, Action.READ)).repository
    allowed = await lock_allowed(connection, subject, place, PackageAction.ADMINISTER)
    package = allowed.package
    if _only_owner(package) not in {None, repository.owner_id}:
        raise Invalid(
            f"{repository.full_name} does not belong to {package.owner_login}, and the package is not public.",
            field="repository_id",
            code="package.repository_outside",
            remedy=f"Choose a repository of {package.owner_login}.",
        )
    return allowed, repository


def _only_owner(package: Package) -> int | None:
    """Whose repositories alone it can be opened to (policy 2); None: anybody's."""
    closed = is_closed(package.visibility, owner_is_organization=package.owner_is_organization)
    return package.owner_id if closed else None

"""Use cases of packages: list, look, delete, restore.

1. A list shows what the subject may pull, and takes as many queries for a hundred packages as for one.
2. A package's linked repository is named only to who may read it (A13).
3. A deleted package can be restored for 30 days, while its name is free. Several deleted ones may have had one name: the
   last one comes back, unless an id says which. Grants, tags, versions and lists are what they were; a package that took
   the name meanwhile had none of them (A12).
4. That a restored name is in use is told only to who may read the package that uses it.

Source: GitHub REST docs, "Packages"; GitHub docs, "Deleting and restoring a package".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import package as rows
from berth.adapters.store import package_list as list_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.adapters.store.package_list import PackageFilter
from berth.domain.access import Action, Subject, decide_repository
from berth.domain.account import AccountType
from berth.domain.package import RESTORE_WITHIN, Package, PackageName
from berth.domain.package_access import PackageAction, decide_package, limit_of_token
from berth.domain.problem import Conflict, NotFound
from berth.domain.repository import Repository, Visibility
from berth.services.account import get_account
from berth.services.package_access import (
    AllowedPackage,
    PackagePlace,
    decide,
    find_allowed,
    lock_allowed,
    record,
    refusal,
)
from berth.services.ports import Clock
from berth.services.registry_access import asker_of
from berth.services.repository import find_decided


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageView:
    """A package with what its answers show of others."""

    package: Package
    versions: int
    repository: Repository | None


class PackageService:
    """Packages."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list_of(
        self,
        subject: Subject,
        owner: str,
        kind: AccountType | None,
        visibility: Visibility | None,
        *,
        limit: int,
        offset: int,
    ) -> tuple[list[PackageView], int]:
        """An account's packages that the subject may pull, newest first. Raises NotFound for an unknown account."""
        async with self._store.read() as connection:
            account = await get_account(connection, owner, kind)
            wanted = PackageFilter(owner_id=account.id, visibility=visibility)
            found, total = await list_rows.list_packages(connection, subject, wanted, limit=limit, offset=offset)
            return await view_packages(connection, subject, found), total

    async def list_own(
        self, subject: Subject, text: str, visibility: Visibility | None, *, limit: int, offset: int
    ) -> tuple[list[PackageView], int]:
        """The same of the subject and all organizations that he belongs to; `text` is a part of `owner/name`."""
        wanted = PackageFilter(member_id=subject.account_id, text=text, visibility=visibility)
        async with self._store.read() as connection:
            found, total = await list_rows.list_packages(connection, subject, wanted, limit=limit, offset=offset)
            return await view_packages(connection, subject, found), total

    async def list_linked(
        self, subject: Subject, owner: str, name: str, *, limit: int, offset: int
    ) -> tuple[list[PackageView], int]:
        """The same of those that are linked to a repository. Raises NotFound for one that the subject may not read."""
        async with self._store.read() as connection:
            known = await find_decided(connection, subject, owner, name, Action.READ)
            wanted = PackageFilter(repository_id=known.repository.id)
            found, total = await list_rows.list_packages(connection, subject, wanted, limit=limit, offset=offset)
            return await view_packages(connection, subject, found), total

    async def list_deleted(self, subject: Subject, *, limit: int, offset: int) -> tuple[list[Package], int]:
        """What can be restored, of the subject and of the organizations that he owns; the last one first. Raises Denied."""
        if limit_of_token(subject, PackageAction.ADMINISTER) is not None:
            raise refusal(subject, PackageAction.ADMINISTER)
        after = self._clock.now() - RESTORE_WITHIN
        async with self._store.read() as connection:
            return await list_rows.list_deleted(connection, subject.account_id, after, limit=limit, offset=offset)

    async def list_actions(self, subject: Subject, place: PackagePlace) -> frozenset[PackageAction]:
        """What the subject may do with it. Raises NotFound."""
        async with self._store.read() as connection:
            facts = (await find_allowed(connection, subject, place, PackageAction.PULL)).facts
        return frozenset(action for action in PackageAction if decide_package(subject, facts, action))

    async def check_owner(self, owner: str, kind: AccountType | None) -> None:
        """Raises NotFound for an unknown account."""
        async with self._store.read() as connection:
            await get_account(connection, owner, kind)

    async def get(self, subject: Subject, place: PackagePlace) -> PackageView:
        """Raises NotFound."""
        async with self._store.read() as connection:
            allowed = await find_allowed(connection, subject, place, PackageAction.PULL)
            return (await view_packages(connection, subject, [allowed.package]))[0]

    async def delete(self, subject: Subject, place: PackagePlace) -> None:
        """Restorably; its name is free at once. Raises NotFound, Denied."""
        async with self._store.begin() as connection:
            allowed = await lock_allowed(connection, subject, place, PackageAction.DELETE)
            await rows.update_package(connection, allowed.package.id, {"deleted_at": self._clock.now()})
            await self._record(connection, subject, allowed, "package.delete")

    async def restore(self, subject: Subject, place: PackagePlace, package_id: int | None = None) -> None:
        """Policy 3. Raises NotFound (also where the name is in use, as GitHub does), Denied."""
        async with self._store.begin() as connection:
            allowed = await self._lock_deleted(connection, subject, place, package_id)
            try:
                await rows.update_package(connection, allowed.package.id, {"deleted_at": None})
            except Conflict as conflict:
                raise await _in_use(connection, subject, place.name) from conflict
            await self._record(connection, subject, allowed, "package.restore")

    async def _lock_deleted(
        self, connection: AsyncConnection, subject: Subject, place: PackagePlace, package_id: int | None
    ) -> AllowedPackage:
        action = PackageAction.ADMINISTER
        after = self._clock.now() - RESTORE_WITHIN
        found = None if place.name is None else await rows.find_deleted_id(connection, place.name, after, package_id)
        if found is None or not await rows.lock_package(connection, found):
            raise refusal(subject, action)
        known = await rows.get_known_package_by_id(connection, asker_of(subject), found)
        if known.package.deleted_at is None or not place.may_hold(known.package):
            raise refusal(subject, action)
        return decide(subject, known, action)

    async def _record(
        self, connection: AsyncConnection, subject: Subject, allowed: AllowedPackage, action: str
    ) -> None:
        await record(connection, self._clock, subject, allowed, action, f"id {allowed.package.id}")


async def _in_use(connection: AsyncConnection, subject: Subject, name: PackageName | None) -> NotFound:
    """Policy 4."""
    known = None if name is None else await rows.find_known_package(connection, asker_of(subject), name)
    if known is None or not decide_package(subject, known.facts, PackageAction.PULL):
        return NotFound("Not Found", code="package.not_found")
    return NotFound(
        "A package of this name exists again.",
        code="package.name_in_use",
        remedy="Delete it, then restore the old one with package_id and the id that the audit log names.",
    )


async def view_packages(
    connection: AsyncConnection, subject: Subject, packages: Sequence[Package]
) -> list[PackageView]:
    """With their versions counted and their repositories, in two queries (policy 1 and 2)."""
    counts = await list_rows.count_versions(connection, [package.id for package in packages])
    linked = {package.repository_id for package in packages if package.repository_id is not None}
    known = await repository_rows.find_known_by_ids(connection, subject.account_id, linked)
    readable = {
        key: each.repository for key, each in known.items() if decide_repository(subject, each.facts, Action.READ)
    }
    return [
        PackageView(
            package=package,
            versions=counts.get(package.id, 0),
            repository=None if package.repository_id is None else readable.get(package.repository_id),
        )
        for package in packages
    ]

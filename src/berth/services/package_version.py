"""Use cases of a package's versions: list, look, delete, restore. What a version is: `domain/package_version.py`.

Who may read the package sees its deleted versions too, for as long as they can be restored: digests and tags, no content.

Source: GitHub REST docs, "Packages".
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import manifest as manifest_rows
from berth.adapters.store import package as package_rows
from berth.adapters.store import package_version as rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.package import RESTORE_WITHIN, Package
from berth.domain.package_access import PackageAction
from berth.domain.package_version import PackageVersion, check_version_deletion
from berth.domain.problem import NotFound
from berth.services.package_access import AllowedPackage, PackagePlace, find_allowed, lock_allowed, record
from berth.services.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """A version and whose it is."""

    package: Package
    version: PackageVersion


class PackageVersionService:
    """Versions."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list_versions(
        self, subject: Subject, place: PackagePlace, *, deleted: bool, limit: int, offset: int
    ) -> tuple[list[VersionView], int]:
        """Newest first. Raises NotFound."""
        after = self._clock.now() - RESTORE_WITHIN if deleted else None
        async with self._store.read() as connection:
            package = (await find_allowed(connection, subject, place, PackageAction.PULL)).package
            found, total = await rows.list_versions(
                connection, package.id, deleted_after=after, limit=limit, offset=offset
            )
        return [VersionView(package=package, version=version) for version in found], total

    async def get(self, subject: Subject, place: PackagePlace, version_id: int) -> VersionView:
        """A live one. Raises NotFound."""
        async with self._store.read() as connection:
            package = (await find_allowed(connection, subject, place, PackageAction.PULL)).package
            version = await rows.find_version(connection, package.id, version_id)
        if version is None:
            raise _unknown()
        return VersionView(package=package, version=version)

    async def delete(self, subject: Subject, place: PackagePlace, version_id: int) -> None:
        """Restorably, with its tags. Raises NotFound, Denied, Invalid for the last one that has a tag."""
        async with self._store.begin() as connection:
            allowed = await lock_allowed(connection, subject, place, PackageAction.DELETE)
            package_id = allowed.package.id
            version = await rows.find_version(connection, package_id, version_id)
            if version is None:
                raise _unknown()
            others = await rows.is_another_tagged(connection, package_id, version_id)
            check_version_deletion(version, others_are_tagged=others)
            await manifest_rows.mark_deleted(connection, package_id, version.digest, self._clock.now())
            await self._record(connection, subject, allowed, "package.version_delete", version)

    async def restore(self, subject: Subject, place: PackagePlace, version_id: int) -> None:
        """Within 30 days, with its blobs and those tags that no other version got. Raises NotFound, Denied."""
        now = self._clock.now()
        async with self._store.begin() as connection:
            allowed = await lock_allowed(connection, subject, place, PackageAction.ADMINISTER)
            package_id = allowed.package.id
            version = await rows.find_restorable(connection, package_id, version_id, now - RESTORE_WITHIN)
            if version is None:
                raise _unknown()
            await rows.restore_version(connection, package_id, version_id, now)
            await self._record(connection, subject, allowed, "package.version_restore", version)

    async def _record(
        self,
        connection: AsyncConnection,
        subject: Subject,
        allowed: AllowedPackage,
        action: str,
        version: PackageVersion,
    ) -> None:
        await package_rows.update_package(connection, allowed.package.id, {"updated_at": self._clock.now()})
        await record(connection, self._clock, subject, allowed, action, f"{version.id} {version.digest}")


def _unknown() -> NotFound:
    return NotFound("Not Found", code="package.version_not_found")

"""Use cases of a package's settings: look, change. What a change comes to: `domain/package_settings.py`.

1. For who may administer the package. A link is also a wish about the repository: whoever sets it may write there.
2. Who does not own the organization gives only visibilities that it lets members create (A11).
3. The linked repository is named only to who may read it (A13).
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import package as rows
from berth.adapters.store import package_grant as grant_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.domain.access import Action, Subject, decide_repository
from berth.domain.package import Package
from berth.domain.package_access import PackageAction, limit_of_policy
from berth.domain.package_settings import SettingsChange, SettingsPlan, plan_settings
from berth.domain.problem import Denied, NotFound
from berth.domain.repository import Repository, Visibility
from berth.services.package_access import (
    AllowedPackage,
    PackagePlace,
    find_allowed,
    lock_allowed,
    record,
    unknown_repository,
)
from berth.services.ports import Clock
from berth.services.registry_access import asker_of
from berth.services.repository import find_locked


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsView:
    """A package with its settings. `repository` is None too where the subject may not read the linked one."""

    package: Package
    repository: Repository | None


class PackageSettingsService:
    """Settings."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, subject: Subject, place: PackagePlace) -> SettingsView:
        """Raises NotFound, Denied."""
        async with self._store.read() as connection:
            allowed = await find_allowed(connection, subject, place, PackageAction.ADMINISTER)
            return await _view(connection, subject, allowed.package)

    async def change(self, subject: Subject, place: PackagePlace, change: SettingsChange) -> SettingsView:
        """All of it or nothing. Raises NotFound, Denied, Invalid, Conflict."""
        async with self._store.begin() as connection:
            await find_allowed(connection, subject, place, PackageAction.ADMINISTER)
            named = None if change.repository is None else await _find_link(connection, subject, change.repository)
            allowed = await lock_allowed(connection, subject, place, PackageAction.ADMINISTER)
            package = allowed.package
            if change.visibility is not None and change.visibility is not package.visibility:
                await _check_policy(connection, subject, allowed, change.visibility)
            plan = plan_settings(package, change, named or await _current_link(connection, package, change))
            await rows.update_package(connection, package.id, {**plan.values, "updated_at": self._clock.now()})
            if plan.overwrites_grants:
                await grant_rows.remove_all(connection, package.id)
            detail = _differences(package, plan)
            await record(connection, self._clock, subject, allowed, "package.settings", detail)
            changed = await rows.get_known_package_by_id(connection, asker_of(subject), package.id)
            return await _view(connection, subject, changed.package)


async def _find_link(connection: AsyncConnection, subject: Subject, name: tuple[str, str]) -> Repository:
    """The repository to link to, which stays what it is meanwhile. What may not be read is told as missing (A13)."""
    try:
        return (await find_locked(connection, subject, *name, Action.WRITE)).repository
    except NotFound:
        raise unknown_repository() from None


async def _current_link(connection: AsyncConnection, package: Package, change: SettingsChange) -> Repository | None:
    if change.unlinks or package.repository_id is None:
        return None
    return await repository_rows.find_repository_by_id(connection, package.repository_id)


async def _check_policy(
    connection: AsyncConnection, subject: Subject, allowed: AllowedPackage, visibility: Visibility
) -> None:
    """Policy 2."""
    policy = await rows.get_policy(connection, allowed.package.owner_id)
    forbidden = limit_of_policy(subject, policy, visibility, is_owner=allowed.facts.is_owner)
    if forbidden is not None:
        raise Denied(forbidden.text, code="package.denied", remedy="Ask an owner of the organization.")


def _differences(package: Package, plan: SettingsPlan) -> str:
    """What changed, for the audit log."""
    told = [
        f"{key} {getattr(package, key)} -> {value}"
        for key, value in plan.values.items()
        if getattr(package, key) != value
    ]
    return ", ".join([*told, "grants overwritten"] if plan.overwrites_grants else told) or "nothing changed"


async def _view(connection: AsyncConnection, subject: Subject, package: Package) -> SettingsView:
    linked = set() if package.repository_id is None else {package.repository_id}
    known = await repository_rows.find_known_by_ids(connection, subject.account_id, linked)
    readable = [each.repository for each in known.values() if decide_repository(subject, each.facts, Action.READ)]
    return SettingsView(package=package, repository=readable[0] if readable else None)

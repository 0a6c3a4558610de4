"""Use cases of grants: which users and teams have a role on a package (A3).

1. For who may administer the package. Granting to somebody again changes his role; taking away what nobody has changes
   nothing.
2. What an organization has and is not public is for its members and teams only. A user's package, and a public one, may
   be granted to any user.
3. Teams are shown and named only by members of their organization, with a token that may read it (A13).
4. A package that inherits access may be granted to more people; only switching inheritance on overwrites grants (A4).
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import package as package_rows
from berth.adapters.store import package_grant as rows
from berth.adapters.store import team as team_rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.account import Account, AccountType, Team
from berth.domain.package import is_closed
from berth.domain.package_access import PackageAction
from berth.domain.package_role import PackageRole
from berth.domain.problem import Denied, Invalid, NotFound
from berth.domain.scope import Scope
from berth.services.account import get_account
from berth.services.package_access import AllowedPackage, PackagePlace, find_allowed, lock_allowed, parse_role, record
from berth.services.ports import Clock


class PackageGrantService:
    """Roles given by name."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list_users(
        self, subject: Subject, place: PackagePlace, *, limit: int, offset: int
    ) -> tuple[list[tuple[Account, PackageRole]], int]:
        async with self._store.read() as connection:
            allowed = await find_allowed(connection, subject, place, PackageAction.ADMINISTER)
            return await rows.list_users(connection, allowed.package.id, limit=limit, offset=offset)

    async def set_user(self, subject: Subject, place: PackagePlace, login: str, word: str) -> None:
        """Raises NotFound, Denied, Invalid for a wrong role or somebody outside (policy 2)."""
        role = parse_role(word)
        async with self._store.begin() as connection:
            before = (await find_allowed(connection, subject, place, PackageAction.ADMINISTER)).package
            user = await get_account(connection, login, AccountType.USER)
            await account_rows.lock_organization(connection, before.owner_id)
            allowed = await lock_allowed(connection, subject, place, PackageAction.ADMINISTER)
            await _check_inside(connection, allowed, user)
            await package_rows.set_user_grant(connection, allowed.package.id, user.id, role)
            await self._record(connection, subject, allowed, "package.grant", f"{user.login} {role.word}")

    async def remove_user(self, subject: Subject, place: PackagePlace, login: str) -> None:
        async with self._store.begin() as connection:
            allowed = await lock_allowed(connection, subject, place, PackageAction.ADMINISTER)
            user = await get_account(connection, login, AccountType.USER)
            if await package_rows.remove_user_grant(connection, allowed.package.id, user.id):
                await self._record(connection, subject, allowed, "package.revoke", user.login)

    async def list_teams(
        self, subject: Subject, place: PackagePlace, *, limit: int, offset: int
    ) -> tuple[list[tuple[Team, PackageRole]], int]:
        """Empty for who may not know teams (policy 3)."""
        async with self._store.read() as connection:
            allowed = await find_allowed(connection, subject, place, PackageAction.ADMINISTER)
            _check_scope(subject)
            if not allowed.facts.is_member:
                return [], 0
            return await rows.list_teams(connection, allowed.package.id, limit=limit, offset=offset)

    async def set_team(self, subject: Subject, place: PackagePlace, slug: str, word: str) -> None:
        """Raises NotFound, Denied, Invalid for a wrong role."""
        role = parse_role(word)
        async with self._store.begin() as connection:
            allowed = await lock_allowed(connection, subject, place, PackageAction.ADMINISTER)
            team = await _find_team(connection, subject, allowed, slug)
            await team_rows.lock_team(connection, team.id)
            await rows.set_team(connection, allowed.package.id, team.id, role)
            await self._record(connection, subject, allowed, "package.grant", f"team {team.slug} {role.word}")

    async def remove_team(self, subject: Subject, place: PackagePlace, slug: str) -> None:
        async with self._store.begin() as connection:
            allowed = await lock_allowed(connection, subject, place, PackageAction.ADMINISTER)
            team = await _find_team(connection, subject, allowed, slug)
            if await rows.remove_team(connection, allowed.package.id, team.id):
                await self._record(connection, subject, allowed, "package.revoke", f"team {team.slug}")

    async def _record(
        self, connection: AsyncConnection, subject: Subject, allowed: AllowedPackage, action: str, detail: str
    ) -> None:
        await record(connection, self._clock, subject, allowed, action, detail)


async def _check_inside(connection: AsyncConnection, allowed: AllowedPackage, user: Account) -> None:
    """Policy 2. The caller holds the organization's lock: the user stays what he is meanwhile."""
    package = allowed.package
    if not is_closed(package.visibility, owner_is_organization=package.owner_is_organization):
        return
    if await account_rows.find_membership(connection, package.owner_id, user.id) is None:
        raise Invalid(
            f"{user.login} is not a member of {package.owner_login}, and the package is not public.",
            field="username",
            code="package.grant_outside",
            remedy="An owner adds him to the organization first.",
        )


def _check_scope(subject: Subject) -> None:
    if not subject.has(Scope.READ_ORG):
        raise Denied("This needs a token with the scope read:org.", code="scope.missing")


async def _find_team(connection: AsyncConnection, subject: Subject, allowed: AllowedPackage, slug: str) -> Team:
    """A team of the owning organization (policy 3). Raises NotFound; a user has no teams."""
    _check_scope(subject)
    team = await team_rows.find_team(connection, allowed.package.owner_id, slug) if allowed.facts.is_member else None
    if team is None:
        raise NotFound("Not Found", code="team.not_found")
    return team

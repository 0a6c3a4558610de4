"""Use cases of teams. Decided: owners of the organization make and change teams; a maintainer changes its members."""

from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import team as rows
from berth.adapters.store.database import Store
from berth.adapters.store.repository import KnownRepository
from berth.domain.access import Subject
from berth.domain.account import Account, AccountType, Team, check_team_description, team_slug
from berth.domain.problem import Denied, Invalid, NotFound
from berth.domain.repository import Repository
from berth.domain.role import Role, find_role
from berth.domain.scope import Scope
from berth.services.account import get_account, organization_of_member, organization_of_owner, require_personal
from berth.services.ports import Clock

TEAM_ROLES = frozenset({"member", "maintainer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamView:
    """A team with what its answers show of others."""

    team: Team
    organization: Account
    members: int = 0
    repositories: int = 0


def parse_role(word: str) -> Role:
    """A role that a request names. Raises Invalid."""
    role = find_role(word)
    if role is None:
        raise Invalid(
            f"'{word[:40]}' is not a role. Known: pull, triage, push, maintain, admin.",
            field="permission",
            code="role.unknown",
        )
    return role


class TeamService:
    """Teams, their members, and the repositories granted to them."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list_teams(
        self, subject: Subject, organization: str, *, limit: int, offset: int
    ) -> tuple[list[TeamView], int]:
        async with self._store.read() as connection:
            found, _facts = await organization_of_member(connection, subject, organization)
            teams, total = await rows.list_teams(connection, found.id, limit=limit, offset=offset)
        return [TeamView(team=team, organization=found) for team in teams], total

    async def get(self, subject: Subject, organization: str, slug: str) -> TeamView:
        """Raises NotFound."""
        async with self._store.read() as connection:
            return await self._view(connection, await self._find(connection, subject, organization, slug))

    async def _view(self, connection: AsyncConnection, view: TeamView) -> TeamView:
        members, repositories = await rows.count_contents(connection, view.team.id)
        return replace(view, members=members, repositories=repositories)

    async def _find(self, connection: AsyncConnection, subject: Subject, organization: str, slug: str) -> TeamView:
        found, _facts = await organization_of_member(connection, subject, organization)
        team = await rows.find_team(connection, found.id, slug)
        if team is None:
            raise NotFound("Not Found", code="team.not_found")
        return TeamView(team=team, organization=found)

    async def _find_owned(
        self, connection: AsyncConnection, subject: Subject, organization: str, slug: str
    ) -> TeamView:
        await organization_of_owner(connection, subject, organization)
        return await self._find(connection, subject, organization, slug)

    async def create(self, subject: Subject, organization: str, name: str, description: str) -> TeamView:
        """Raises Invalid (already_exists)."""
        async with self._store.begin() as connection:
            found = await organization_of_owner(connection, subject, organization)
            team = await rows.insert_team(
                connection,
                organization_id=found.id,
                slug=team_slug(name),
                name=name,
                description=check_team_description(description),
                now=self._clock.now(),
            )
            await self._record(connection, subject, "team.create", found.id, team.slug)
        return TeamView(team=team, organization=found)

    async def update(
        self, subject: Subject, organization: str, slug: str, name: str | None, description: str | None
    ) -> TeamView:
        """Rename or describe anew; a new name makes a new slug."""
        async with self._store.begin() as connection:
            view = await self._find_owned(connection, subject, organization, slug)
            values: dict[str, object] = {"updated_at": self._clock.now()}
            if name is not None:
                values |= {"name": name, "slug": team_slug(name)}
            if description is not None:
                values["description"] = check_team_description(description)
            team = await rows.update_team(connection, view.team.id, values)
            await self._record(connection, subject, "team.update", view.organization.id, team.slug)
            return await self._view(connection, replace(view, team=team))

    async def delete(self, subject: Subject, organization: str, slug: str) -> None:
        async with self._store.begin() as connection:
            view = await self._find_owned(connection, subject, organization, slug)
            await rows.delete_team(connection, view.team.id)
            await self._record(connection, subject, "team.delete", view.organization.id, view.team.slug)

    async def list_members(
        self, subject: Subject, organization: str, slug: str, *, limit: int, offset: int
    ) -> tuple[list[tuple[Account, str]], int]:
        """With what each is in the team: `member` or `maintainer`."""
        async with self._store.read() as connection:
            view = await self._find(connection, subject, organization, slug)
            return await rows.list_team_members(connection, view.team.id, limit=limit, offset=offset)

    async def get_member(self, subject: Subject, organization: str, slug: str, login: str) -> str:
        """`member` or `maintainer`. Raises NotFound."""
        async with self._store.read() as connection:
            view = await self._find(connection, subject, organization, slug)
            user = await get_account(connection, login, AccountType.USER)
            role = await rows.find_team_role(connection, view.team.id, user.id)
        if role is None:
            raise NotFound("Not Found", code="team.no_membership")
        return role

    async def set_member(self, subject: Subject, organization: str, slug: str, login: str, role: str) -> None:
        """Add a member of the organization. Raises Invalid for somebody else."""
        if role not in TEAM_ROLES:
            raise Invalid("A team's roles are member and maintainer.", field="role", code="team.role")
        async with self._store.begin() as connection:
            view = await self._find_kept(connection, subject, organization, slug)
            user = await get_account(connection, login, AccountType.USER)
            await account_rows.lock_organization(connection, view.organization.id)
            if await account_rows.find_membership(connection, view.organization.id, user.id) is None:
                raise Invalid(
                    f"{user.login} is not a member of {view.organization.login}.",
                    field="username",
                    code="team.not_in_organization",
                    remedy="An owner adds him to the organization first.",
                )
            await rows.set_team_member(connection, view.team.id, user.id, role)
            detail = f"{user.login} {role}"
            await self._record(connection, subject, "team.member_set", view.organization.id, view.team.slug, detail)

    async def remove_member(self, subject: Subject, organization: str, slug: str, login: str) -> None:
        async with self._store.begin() as connection:
            view = await self._find_kept(connection, subject, organization, slug)
            user = await get_account(connection, login, AccountType.USER)
            await rows.remove_team_member(connection, view.team.id, user.id)
            await self._record(
                connection, subject, "team.member_remove", view.organization.id, view.team.slug, user.login
            )

    async def _find_kept(self, connection: AsyncConnection, subject: Subject, organization: str, slug: str) -> TeamView:
        """A team whose members the subject may change: its maintainer, or an owner."""
        require_personal(subject)
        view = await self._find(connection, subject, organization, slug)
        role = await rows.find_team_role(connection, view.team.id, subject.account_id)
        facts = await account_rows.organization_facts(connection, view.organization.id, subject.account_id)
        if not (facts.is_owner or role == "maintainer") or not subject.has(Scope.WRITE_ORG):
            raise Denied("You must be an owner of the organization or a maintainer of the team.", code="team.not_kept")
        return view

    async def list_repositories(
        self, subject: Subject, organization: str, slug: str, *, limit: int, offset: int
    ) -> tuple[list[KnownRepository], int]:
        """The team's repositories that the subject may read."""
        async with self._store.read() as connection:
            view = await self._find(connection, subject, organization, slug)
            return await repository_rows.list_known(
                connection, subject, team_id=view.team.id, limit=limit, offset=offset
            )

    async def list_grants(
        self, subject: Subject, organization: str, slug: str, *, limit: int, offset: int
    ) -> tuple[list[tuple[Repository, Role]], int]:
        """The team's repositories that the subject may read, with what the team may do there."""
        async with self._store.read() as connection:
            view = await self._find(connection, subject, organization, slug)
            known, total = await repository_rows.list_known(
                connection, subject, team_id=view.team.id, limit=limit, offset=offset
            )
            found = [each.repository for each in known]
            roles = await rows.find_granted_roles(connection, view.team.id, [each.id for each in found])
        return [(each, roles.get(each.id, Role.NONE)) for each in found], total

    async def set_repository(
        self, subject: Subject, organization: str, slug: str, owner: str, name: str, permission: str
    ) -> None:
        """Grant one of the organization's own repositories. Raises Invalid for another's."""
        role = parse_role(permission)
        async with self._store.begin() as connection:
            view, known = await self._find_grant(connection, subject, organization, slug, owner, name)
            await rows.set_team_repository(connection, view.team.id, known.repository.id, role)
            detail = f"{known.repository.full_name} {role.word}"
            await self._record(connection, subject, "team.grant", view.organization.id, view.team.slug, detail)

    async def remove_repository(self, subject: Subject, organization: str, slug: str, owner: str, name: str) -> None:
        async with self._store.begin() as connection:
            view, known = await self._find_grant(connection, subject, organization, slug, owner, name)
            await rows.remove_team_repository(connection, view.team.id, known.repository.id)
            detail = known.repository.full_name
            await self._record(connection, subject, "team.revoke", view.organization.id, view.team.slug, detail)

    async def _find_grant(
        self, connection: AsyncConnection, subject: Subject, organization: str, slug: str, owner: str, name: str
    ) -> tuple[TeamView, KnownRepository]:
        view = await self._find_owned(connection, subject, organization, slug)
        known = await repository_rows.find_known(connection, subject.account_id, owner, name)
        if known is None or known.repository.owner_id != view.organization.id:
            raise NotFound("Not Found", code="repository.not_found")
        return view, known

    async def _record(
        self, connection: AsyncConnection, actor: Subject, action: str, account_id: int, target: str, detail: str = ""
    ) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=actor,
            action=action,
            account_id=account_id,
            target=target,
            detail=detail,
        )

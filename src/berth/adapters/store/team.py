"""Queries on teams, their members and the repositories granted to them."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.account import to_account
from berth.adapters.store.credential_refresh import ask_for_repository, ask_for_team, ask_for_user
from berth.adapters.store.paging import fetch_page
from berth.adapters.store.repository import lock_repository
from berth.adapters.store.tables import accounts, repositories, team_members, team_repositories, teams
from berth.domain.account import Account, Team
from berth.domain.problem import Invalid, NotFound
from berth.domain.role import Role


def to_team(row: Row[Any]) -> Team:
    """A row as the domain's value."""
    return Team(
        id=row.id,
        organization_id=row.organization_id,
        slug=row.slug,
        name=row.name,
        description=row.description,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _name_taken() -> Invalid:
    return Invalid("Name must be unique for this org", field="name", reason="already_exists", code="team.name.taken")


async def insert_team(
    connection: AsyncConnection, *, organization_id: int, slug: str, name: str, description: str, now: datetime
) -> Team:
    """A new team. Raises Invalid (already_exists)."""
    statement = (
        insert(teams)
        .values(
            organization_id=organization_id,
            slug=slug,
            name=name,
            description=description,
            created_at=now,
            updated_at=now,
        )
        .returning(teams)
    )
    try:
        return to_team((await connection.execute(statement)).one())
    except IntegrityError as error:
        raise _name_taken() from error


async def update_team(connection: AsyncConnection, team_id: int, values: Mapping[str, Any]) -> Team:
    """Change a team. Raises Invalid (already_exists), NotFound if it was deleted meanwhile."""
    try:
        changed = await connection.execute(update(teams).where(teams.c.id == team_id).values(**values).returning(teams))
    except IntegrityError as error:
        raise _name_taken() from error
    row = changed.one_or_none()
    if row is None:
        raise NotFound("Not Found", code="team.not_found")
    return to_team(row)


async def delete_team(connection: AsyncConnection, team_id: int) -> None:
    await ask_for_team(connection, team_id)
    await connection.execute(delete(teams).where(teams.c.id == team_id))


async def find_team(connection: AsyncConnection, organization_id: int, slug: str) -> Team | None:
    statement = select(teams).where(teams.c.organization_id == organization_id, teams.c.slug == slug.lower())
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else to_team(row)


async def list_teams(
    connection: AsyncConnection, organization_id: int, *, limit: int, offset: int
) -> tuple[list[Team], int]:
    statement = select(teams).where(teams.c.organization_id == organization_id).order_by(teams.c.id)
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [to_team(row) for row in rows], total


async def count_contents(connection: AsyncConnection, team_id: int) -> tuple[int, int]:
    """How many members and how many repositories a team has."""
    members = select(func.count()).where(team_members.c.team_id == team_id).scalar_subquery()
    granted = select(func.count()).where(team_repositories.c.team_id == team_id).scalar_subquery()
    row = (await connection.execute(select(members, granted))).one()
    return int(row[0]), int(row[1])


async def list_team_members(
    connection: AsyncConnection, team_id: int, *, limit: int, offset: int
) -> tuple[list[tuple[Account, str]], int]:
    """With their roles: `member` or `maintainer`."""
    columns = [column for column in accounts.c if column.name != "login_key"]
    statement = (
        select(*columns, team_members.c.role)
        .join(team_members, team_members.c.user_id == accounts.c.id)
        .where(team_members.c.team_id == team_id)
        .order_by(accounts.c.id)
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [(to_account(row), str(row.role)) for row in rows], total


async def find_granted_roles(
    connection: AsyncConnection, team_id: int, repository_ids: Collection[int]
) -> dict[int, Role]:
    """What the team may do with each of these that are granted to it."""
    statement = select(team_repositories.c.repository_id, team_repositories.c.role).where(
        team_repositories.c.team_id == team_id, team_repositories.c.repository_id.in_(repository_ids)
    )
    return {row.repository_id: Role(row.role) for row in await connection.execute(statement)}


async def find_team_role(connection: AsyncConnection, team_id: int, user_id: int) -> str | None:
    """`member` or `maintainer`; None for who is neither."""
    statement = select(team_members.c.role).where(team_members.c.team_id == team_id, team_members.c.user_id == user_id)
    role = (await connection.execute(statement)).scalar_one_or_none()
    return None if role is None else str(role)


async def lock_team(connection: AsyncConnection, team_id: int) -> None:
    """Changes of one team's members and grants take turns. Raises NotFound if it was deleted meanwhile."""
    found = await connection.execute(select(teams.c.id).where(teams.c.id == team_id).with_for_update())
    if found.one_or_none() is None:
        raise NotFound("Not Found", code="team.not_found")


async def set_team_member(connection: AsyncConnection, team_id: int, user_id: int, role: str) -> None:
    await lock_team(connection, team_id)
    await remove_team_member(connection, team_id, user_id)
    await connection.execute(insert(team_members).values(team_id=team_id, user_id=user_id, role=role))


async def remove_team_member(connection: AsyncConnection, team_id: int, user_id: int) -> None:
    await connection.execute(
        delete(team_members).where(team_members.c.team_id == team_id, team_members.c.user_id == user_id)
    )
    await ask_for_user(connection, user_id)


async def set_team_repository(connection: AsyncConnection, team_id: int, repository_id: int, role: Role) -> None:
    """Grant a repository. Raises NotFound if it or the team was deleted meanwhile, or it went to another owner."""
    await lock_team(connection, team_id)
    await lock_repository(connection, repository_id)
    of_one_owner = select(teams.c.id).join(repositories, repositories.c.owner_id == teams.c.organization_id)
    found = await connection.execute(of_one_owner.where(teams.c.id == team_id, repositories.c.id == repository_id))
    if found.one_or_none() is None:
        raise NotFound("Not Found", code="repository.not_found")
    await remove_team_repository(connection, team_id, repository_id)
    await connection.execute(
        insert(team_repositories).values(team_id=team_id, repository_id=repository_id, role=int(role))
    )


async def remove_team_repository(connection: AsyncConnection, team_id: int, repository_id: int) -> None:
    await connection.execute(
        delete(team_repositories).where(
            team_repositories.c.team_id == team_id, team_repositories.c.repository_id == repository_id
        )
    )
    await ask_for_repository(connection, repository_id)


async def list_repository_teams(
    connection: AsyncConnection, repository_id: int, *, limit: int, offset: int
) -> tuple[list[tuple[Team, Role]], int]:
    """The teams that a repository is granted to, with their roles."""
    statement = (
        select(teams, team_repositories.c.role)
        .join(team_repositories, team_repositories.c.team_id == teams.c.id)
        .where(team_repositories.c.repository_id == repository_id)
        .order_by(teams.c.id)
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [(to_team(row), Role(row.role)) for row in rows], total

"""Queries on who was granted something on a package: users, teams, and the lists of codespaces and workflows.

Who writes holds the package's lock. A user's grant is set in `package.py`: the first publisher gets one.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import repository as repository_rows
from berth.adapters.store.account import to_account
from berth.adapters.store.package_tables import (
    package_codespaces,
    package_collaborators,
    package_teams,
    package_workflows,
)
from berth.adapters.store.paging import fetch_page
from berth.adapters.store.repository import KnownRepository
from berth.adapters.store.tables import accounts, repositories, teams
from berth.adapters.store.team import to_team
from berth.domain.access import Subject
from berth.domain.account import Account, Team
from berth.domain.package_role import PackageRole
from berth.domain.repository import Repository


async def list_users(
    connection: AsyncConnection, package_id: int, *, limit: int, offset: int
) -> tuple[list[tuple[Account, PackageRole]], int]:
    """Users that were granted a role by name."""
    columns = [column for column in accounts.c if column.name != "login_key"]
    statement = (
        select(*columns, package_collaborators.c.role)
        .join(package_collaborators, package_collaborators.c.user_id == accounts.c.id)
        .where(package_collaborators.c.package_id == package_id)
        .order_by(accounts.c.id)
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [(to_account(row), PackageRole(row.role)) for row in rows], total


async def list_teams(
    connection: AsyncConnection, package_id: int, *, limit: int, offset: int
) -> tuple[list[tuple[Team, PackageRole]], int]:
    """Teams that were granted a role."""
    statement = (
        select(teams, package_teams.c.role)
        .join(package_teams, package_teams.c.team_id == teams.c.id)
        .where(package_teams.c.package_id == package_id)
        .order_by(teams.c.id)
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [(to_team(row), PackageRole(row.role)) for row in rows], total


async def set_team(connection: AsyncConnection, package_id: int, team_id: int, role: PackageRole) -> None:
    await remove_team(connection, package_id, team_id)
    await connection.execute(insert(package_teams).values(package_id=package_id, team_id=team_id, role=int(role)))


async def remove_team(connection: AsyncConnection, package_id: int, team_id: int) -> bool:
    """False: it had no role."""
    statement = delete(package_teams).where(
        package_teams.c.package_id == package_id, package_teams.c.team_id == team_id
    )
    return bool((await connection.execute(statement)).rowcount)


async def remove_all(connection: AsyncConnection, package_id: int) -> None:
    """What users and teams were granted (A4). Repositories stay on their lists."""
    for table in (package_collaborators, package_teams):
        await connection.execute(delete(table).where(table.c.package_id == package_id))


async def list_codespaces_repositories(
    connection: AsyncConnection, subject: Subject, package_id: int, *, limit: int, offset: int
) -> tuple[list[KnownRepository], int]:
    """Repositories on the Codespaces access list (A7 c), as far as the subject may read them."""
    listed = select(package_codespaces.c.repository_id).where(package_codespaces.c.package_id == package_id)
    return await repository_rows.list_known(connection, subject, among=listed, limit=limit, offset=offset)


async def find_for_codespaces(
    connection: AsyncConnection, subject: Subject, package_id: int, text: str, *, owner_id: int | None, limit: int
) -> list[Repository]:
    """Readable ones that are not on the Codespaces access list, by a part of the name; nothing without one."""
    listed = select(package_codespaces.c.repository_id).where(package_codespaces.c.package_id == package_id)
    return await _find_others(connection, subject, listed, text, owner_id, limit)


async def find_for_workflows(
    connection: AsyncConnection, subject: Subject, package_id: int, text: str, *, owner_id: int | None, limit: int
) -> list[Repository]:
    """The same for the workflow access list."""
    listed = select(package_workflows.c.repository_id).where(package_workflows.c.package_id == package_id)
    return await _find_others(connection, subject, listed, text, owner_id, limit)


async def _find_others(
    connection: AsyncConnection, subject: Subject, listed: Select[Any], text: str, owner_id: int | None, limit: int
) -> list[Repository]:
    if not text:
        return []
    others = select(repositories.c.id).where(repositories.c.id.not_in(listed))
    found, _total = await repository_rows.list_known(
        connection, subject, among=others, owner_id=owner_id, text=text, limit=limit, offset=0
    )
    return [known.repository for known in found]


async def add_codespaces_repository(connection: AsyncConnection, package_id: int, repository_id: int) -> bool:
    """False: it was on the list."""
    removed = await remove_codespaces_repository(connection, package_id, repository_id)
    await connection.execute(insert(package_codespaces).values(package_id=package_id, repository_id=repository_id))
    return not removed


async def remove_codespaces_repository(connection: AsyncConnection, package_id: int, repository_id: int) -> bool:
    """False: it was not on the list."""
    statement = delete(package_codespaces).where(
        package_codespaces.c.package_id == package_id, package_codespaces.c.repository_id == repository_id
    )
    return bool((await connection.execute(statement)).rowcount)


async def list_workflow_repositories(
    connection: AsyncConnection, subject: Subject, package_id: int, *, limit: int, offset: int
) -> tuple[list[tuple[KnownRepository, PackageRole]], int]:
    """Repositories on the workflow access list (A8) with their roles, as far as the subject may read them."""
    mine = package_workflows.c.package_id == package_id
    listed = select(package_workflows.c.repository_id).where(mine)
    found, total = await repository_rows.list_known(connection, subject, among=listed, limit=limit, offset=offset)
    roles = await _workflow_roles(connection, package_id, [known.repository.id for known in found])
    return [(known, roles[known.repository.id]) for known in found if known.repository.id in roles], total


async def _workflow_roles(
    connection: AsyncConnection, package_id: int, repository_ids: Collection[int]
) -> dict[int, PackageRole]:
    statement = select(package_workflows.c.repository_id, package_workflows.c.role).where(
        package_workflows.c.package_id == package_id, package_workflows.c.repository_id.in_(repository_ids)
    )
    return {row.repository_id: PackageRole(row.role) for row in await connection.execute(statement)}


async def set_workflow_repository(
    connection: AsyncConnection, package_id: int, repository_id: int, role: PackageRole
) -> None:
    await remove_workflow_repository(connection, package_id, repository_id)
    values = {"package_id": package_id, "repository_id": repository_id, "role": int(role)}
    await connection.execute(insert(package_workflows).values(**values))


async def remove_workflow_repository(connection: AsyncConnection, package_id: int, repository_id: int) -> bool:
    """False: it was not on the list."""
    statement = delete(package_workflows).where(
        package_workflows.c.package_id == package_id, package_workflows.c.repository_id == repository_id
    )
    return bool((await connection.execute(statement)).rowcount)

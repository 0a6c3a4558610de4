"""Queries on who has a role on a repository by name."""

from sqlalchemy import and_, delete, func, insert, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.account import to_account
from berth.adapters.store.credential_refresh import ask_for_repository
from berth.adapters.store.paging import fetch_page
from berth.adapters.store.repository import lock_repository
from berth.adapters.store.tables import accounts, collaborators, repositories
from berth.domain.account import Account, AccountType
from berth.domain.role import Role


async def list_collaborators(
    connection: AsyncConnection, repository_id: int, *, limit: int, offset: int
) -> tuple[list[tuple[Account, Role]], int]:
    """Whoever has a role given to him by name, and the owning user."""
    columns = [column for column in accounts.c if column.name != "login_key"]
    named = select(collaborators.c.user_id).where(collaborators.c.repository_id == repository_id)
    owner = (
        select(accounts.c.id)
        .join(repositories, repositories.c.owner_id == accounts.c.id)
        .where(repositories.c.id == repository_id, accounts.c.type == AccountType.USER)
    )
    mine = and_(collaborators.c.user_id == accounts.c.id, collaborators.c.repository_id == repository_id)
    statement = (
        select(*columns, func.coalesce(collaborators.c.role, int(Role.ADMIN)).label("role"))
        .outerjoin(collaborators, mine)
        .where(accounts.c.id.in_(union(named, owner)))
        .order_by(accounts.c.id)
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [(to_account(row), Role(row.role)) for row in rows], total


async def set_collaborator(connection: AsyncConnection, repository_id: int, user_id: int, role: Role) -> None:
    """Give a role by name. Raises NotFound if the repository was deleted meanwhile."""
    await lock_repository(connection, repository_id)
    await remove_collaborator(connection, repository_id, user_id)
    await connection.execute(insert(collaborators).values(repository_id=repository_id, user_id=user_id, role=int(role)))


async def remove_collaborator(connection: AsyncConnection, repository_id: int, user_id: int) -> bool:
    """False: he had no role by name."""
    gone = await connection.execute(
        delete(collaborators).where(collaborators.c.repository_id == repository_id, collaborators.c.user_id == user_id)
    )
    await ask_for_repository(connection, repository_id)
    return bool(gone.rowcount)

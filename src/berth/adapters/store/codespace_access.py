"""Queries on who may have codespaces of an organization's repositories."""

from collections.abc import Collection

from sqlalchemy import and_, delete, exists, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.credential_refresh import ask_for_organization
from berth.adapters.store.tables import (
    accounts,
    codespace_access,
    codespace_access_users,
    collaborators,
    memberships,
    repositories,
)
from berth.domain.account import AccountType
from berth.domain.codespace_access import CodespaceAccess


async def find_access(connection: AsyncConnection, user_id: int, repository_id: int) -> CodespaceAccess:
    """What the owner of a repository says of a user, and whether he is suspended: so is who is gone. One query."""
    statement = (
        select(accounts.c.suspended_at, codespace_access.c.visibility, codespace_access_users.c.user_id)
        .select_from(accounts)
        .outerjoin(repositories, repositories.c.id == repository_id)
        .outerjoin(codespace_access, codespace_access.c.organization_id == repositories.c.owner_id)
        .outerjoin(
            codespace_access_users,
            and_(
                codespace_access_users.c.organization_id == codespace_access.c.organization_id,
                codespace_access_users.c.user_id == user_id,
            ),
        )
        .where(accounts.c.id == user_id)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return CodespaceAccess(is_suspended=True)
    return CodespaceAccess(
        visibility=row.visibility, is_selected=row.user_id is not None, is_suspended=row.suspended_at is not None
    )


async def find_visibility(connection: AsyncConnection, organization_id: int) -> str | None:
    """What the organization said; None: nothing."""
    statement = select(codespace_access.c.visibility).where(codespace_access.c.organization_id == organization_id)
    return (await connection.execute(statement)).scalar_one_or_none()


async def set_visibility(connection: AsyncConnection, organization_id: int, visibility: str) -> None:
    """Replace it, and empty the list. The caller holds the organization's lock."""
    for table in (codespace_access_users, codespace_access):
        await connection.execute(delete(table).where(table.c.organization_id == organization_id))
    await connection.execute(insert(codespace_access).values(organization_id=organization_id, visibility=visibility))
    await ask_for_organization(connection, organization_id)


async def find_people(connection: AsyncConnection, organization_id: int, logins: Collection[str]) -> dict[str, int]:
    """The ids of those, by lower-case login, who are members, collaborators of a repository, or on the list."""
    member = exists().where(memberships.c.organization_id == organization_id, memberships.c.user_id == accounts.c.id)
    collaborator = (
        exists()
        .where(collaborators.c.user_id == accounts.c.id)
        .where(collaborators.c.repository_id == repositories.c.id, repositories.c.owner_id == organization_id)
    )
    listed = exists().where(
        codespace_access_users.c.organization_id == organization_id,
        codespace_access_users.c.user_id == accounts.c.id,
    )
    statement = select(accounts.c.login_key, accounts.c.id).where(
        accounts.c.login_key.in_(logins), accounts.c.type == AccountType.USER, or_(member, collaborator, listed)
    )
    return {row.login_key: row.id for row in await connection.execute(statement)}


async def list_users(connection: AsyncConnection, organization_id: int) -> list[str]:
    """The logins on the list, by name."""
    statement = (
        select(accounts.c.login)
        .join(codespace_access_users, codespace_access_users.c.user_id == accounts.c.id)
        .where(codespace_access_users.c.organization_id == organization_id)
        .order_by(accounts.c.login_key)
    )
    return list((await connection.execute(statement)).scalars())


async def add_users(connection: AsyncConnection, organization_id: int, user_ids: Collection[int]) -> None:
    """Nothing happens for those who are on the list. The caller holds the organization's lock."""
    await remove_users(connection, organization_id, user_ids)
    if user_ids:
        rows = [{"organization_id": organization_id, "user_id": user_id} for user_id in user_ids]
        await connection.execute(insert(codespace_access_users), rows)


async def remove_users(connection: AsyncConnection, organization_id: int, user_ids: Collection[int]) -> None:
    """Nothing happens for those who are not on the list."""
    await connection.execute(
        delete(codespace_access_users).where(
            codespace_access_users.c.organization_id == organization_id, codespace_access_users.c.user_id.in_(user_ids)
        )
    )
    await ask_for_organization(connection, organization_id)

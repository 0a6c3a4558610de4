"""Queries on users, organizations and who belongs to which."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.credential_refresh import ask_for_user
from berth.adapters.store.package_tables import package_collaborators, packages
from berth.adapters.store.paging import fetch_page
from berth.adapters.store.tables import (
    accounts,
    codespace_access_users,
    collaborators,
    memberships,
    repositories,
    team_members,
    teams,
)
from berth.domain.access import OrganizationFacts
from berth.domain.account import Account, AccountType, OrganizationRole
from berth.domain.problem import Invalid

_COLUMNS = [column for column in accounts.c if column.name != "login_key"]


def to_account(row: Row[Any]) -> Account:
    """A row as the domain's value."""
    return Account(
        id=row.id,
        login=row.login,
        type=AccountType(row.type),
        name=row.name,
        email=row.email,
        site_admin=row.site_admin,
        created_at=row.created_at,
        updated_at=row.updated_at,
        suspended_at=row.suspended_at,
        suspension_reason=row.suspension_reason,
    )


async def insert_account(
    connection: AsyncConnection,
    *,
    login: str,
    kind: AccountType,
    now: datetime,
    email: str | None = None,
    site_admin: bool = False,
) -> Account:
    """A new user or organization. Raises Invalid (already_exists) if the name is taken."""
    statement = (
        insert(accounts)
        .values(
            login=login,
            login_key=login.lower(),
            type=kind,
            email=email,
            site_admin=site_admin,
            created_at=now,
            updated_at=now,
        )
        .returning(*_COLUMNS)
    )
    try:
        return to_account((await connection.execute(statement)).one())
    except IntegrityError as error:
        raise Invalid(
            f"The name '{login}' is taken.", field="login", reason="already_exists", code="account.login.taken"
        ) from error


async def find_account(connection: AsyncConnection, login: str) -> Account | None:
    """By name, in any case."""
    row = (await connection.execute(select(*_COLUMNS).where(accounts.c.login_key == login.lower()))).one_or_none()
    return None if row is None else to_account(row)


async def find_account_by_id(connection: AsyncConnection, account_id: int) -> Account | None:
    row = (await connection.execute(select(*_COLUMNS).where(accounts.c.id == account_id))).one_or_none()
    return None if row is None else to_account(row)


async def find_accounts_by_ids(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Account]:
    """Those that are there."""
    statement = select(*_COLUMNS).where(accounts.c.id.in_(ids))
    return {row.id: to_account(row) for row in await connection.execute(statement)}


async def list_users(connection: AsyncConnection, *, limit: int, offset: int) -> tuple[list[Account], int]:
    """All users, oldest first."""
    statement = select(*_COLUMNS).where(accounts.c.type == AccountType.USER).order_by(accounts.c.id)
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [to_account(row) for row in rows], total


async def list_organizations_of(
    connection: AsyncConnection, user_id: int, *, limit: int, offset: int
) -> tuple[list[Account], int]:
    """The organizations that a user belongs to."""
    statement = (
        select(*_COLUMNS)
        .join(memberships, memberships.c.organization_id == accounts.c.id)
        .where(memberships.c.user_id == user_id)
        .order_by(accounts.c.id)
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [to_account(row) for row in rows], total


async def list_organizations(connection: AsyncConnection, *, limit: int, offset: int) -> tuple[list[Account], int]:
    """All organizations, oldest first."""
    statement = select(*_COLUMNS).where(accounts.c.type == AccountType.ORGANIZATION).order_by(accounts.c.id)
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [to_account(row) for row in rows], total


async def list_members(
    connection: AsyncConnection, organization_id: int, role: OrganizationRole | None, *, limit: int, offset: int
) -> tuple[list[tuple[Account, OrganizationRole]], int]:
    """The members of an organization, or only those of one role."""
    statement = (
        select(*_COLUMNS, memberships.c.role)
        .join(memberships, memberships.c.user_id == accounts.c.id)
        .where(memberships.c.organization_id == organization_id)
        .order_by(accounts.c.id)
    )
    if role is not None:
        statement = statement.where(memberships.c.role == role)
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [(to_account(row), OrganizationRole(row.role)) for row in rows], total


async def find_membership(
    connection: AsyncConnection, organization_id: int, user_id: int | None
) -> OrganizationRole | None:
    """What a user is in an organization."""
    statement = select(memberships.c.role).where(
        memberships.c.organization_id == organization_id, memberships.c.user_id == (-1 if user_id is None else user_id)
    )
    role = (await connection.execute(statement)).scalar_one_or_none()
    return None if role is None else OrganizationRole(role)


async def organization_facts(
    connection: AsyncConnection, organization_id: int, account_id: int | None
) -> OrganizationFacts:
    """What decisions need to know of an account in an organization."""
    role = await find_membership(connection, organization_id, account_id)
    return OrganizationFacts(is_owner=role is OrganizationRole.ADMIN, is_member=role is not None)


async def lock_organization(connection: AsyncConnection, organization_id: int) -> None:
    """Changes of an organization's members take turns, so that two of them cannot remove the last two owners."""
    await connection.execute(select(accounts.c.id).where(accounts.c.id == organization_id).with_for_update())


async def count_owners(connection: AsyncConnection, organization_id: int) -> int:
    statement = select(func.count()).where(
        memberships.c.organization_id == organization_id, memberships.c.role == OrganizationRole.ADMIN
    )
    return int((await connection.execute(statement)).scalar_one())


async def set_membership(
    connection: AsyncConnection, organization_id: int, user_id: int, role: OrganizationRole
) -> None:
    """Make a user a member, or change what he is. The caller holds `lock_organization`."""
    changed = await connection.execute(
        update(memberships)
        .where(memberships.c.organization_id == organization_id, memberships.c.user_id == user_id)
        .values(role=role)
    )
    if not changed.rowcount:
        await connection.execute(
            insert(memberships).values(organization_id=organization_id, user_id=user_id, role=role)
        )
    await ask_for_user(connection, user_id)


async def remove_membership(connection: AsyncConnection, organization_id: int, user_id: int) -> None:
    """End a membership, with all that it gave: teams, and roles on the organization's repositories and packages."""
    their_teams = select(teams.c.id).where(teams.c.organization_id == organization_id)
    their_repositories = select(repositories.c.id).where(repositories.c.owner_id == organization_id)
    their_packages = select(packages.c.id).where(packages.c.owner_id == organization_id)
    for statement in (
        delete(team_members).where(team_members.c.user_id == user_id, team_members.c.team_id.in_(their_teams)),
        delete(collaborators).where(
            collaborators.c.user_id == user_id, collaborators.c.repository_id.in_(their_repositories)
        ),
        delete(package_collaborators).where(
            package_collaborators.c.user_id == user_id, package_collaborators.c.package_id.in_(their_packages)
        ),
        delete(codespace_access_users).where(
            codespace_access_users.c.organization_id == organization_id, codespace_access_users.c.user_id == user_id
        ),
        delete(memberships).where(memberships.c.organization_id == organization_id, memberships.c.user_id == user_id),
    ):
        await connection.execute(statement)
    await ask_for_user(connection, user_id)

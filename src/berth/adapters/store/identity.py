"""Queries on the identities that accounts have at a provider."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exists, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.account import to_account
from berth.adapters.store.session_tables import account_identities as identities
from berth.adapters.store.tables import accounts
from berth.domain.account import Account, AccountType
from berth.domain.identity import Claims, Identity
from berth.domain.problem import Conflict

MAX_IDENTITIES = 20  # of an account
_ACCOUNT = [column for column in accounts.c if column.name != "login_key"]


def _to_identity(row: Row[Any]) -> Identity:
    return Identity(**row._asdict())


async def find_account(connection: AsyncConnection, claims: Claims) -> Account | None:
    """Whose identity this is."""
    statement = (
        select(*_ACCOUNT)
        .join(identities, identities.c.account_id == accounts.c.id)
        .where(identities.c.issuer == claims.issuer, identities.c.subject == claims.subject)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else to_account(row)


async def find_users_by_email(connection: AsyncConnection, email: str) -> list[Account]:
    """Users with this address, in any case; two at most.

    Of one with letters beyond ASCII the case counts: small letters of some (U+212A) are those of another address.
    """
    same = func.lower(accounts.c.email) == email.lower() if email.isascii() else accounts.c.email == email
    statement = select(*_ACCOUNT).where(same, accounts.c.type == AccountType.USER)
    return [to_account(row) for row in await connection.execute(statement.limit(2))]


async def has_identity(connection: AsyncConnection, account_id: int, issuer: str) -> bool:
    """Whether an account has any of this issuer."""
    statement = select(exists().where(identities.c.account_id == account_id, identities.c.issuer == issuer))
    return bool((await connection.execute(statement)).scalar_one())


async def insert_identity(connection: AsyncConnection, account_id: int, claims: Claims, now: datetime) -> Identity:
    """Raises Conflict if an account has it."""
    values = {"issuer": claims.issuer, "subject": claims.subject, "shown": claims.shown, "created_at": now}
    statement = insert(identities).values(account_id=account_id, **values).returning(*identities.c)
    try:
        async with connection.begin_nested():
            return _to_identity((await connection.execute(statement)).one())
    except IntegrityError as error:
        raise Conflict(
            f"An account is linked to {claims.shown} already.",
            code="identity.taken",
            remedy="Whoever has that account removes it there first, in Settings, Account.",
        ) from error


async def list_identities(connection: AsyncConnection, account_id: int) -> list[Identity]:
    """An account's, oldest first."""
    statement = select(identities).where(identities.c.account_id == account_id).order_by(identities.c.id)
    return [_to_identity(row) for row in await connection.execute(statement.limit(MAX_IDENTITIES))]


async def delete_identity(connection: AsyncConnection, account_id: int, identity_id: int) -> bool:
    """False: the account has none of this id."""
    gone = await connection.execute(
        delete(identities).where(identities.c.id == identity_id, identities.c.account_id == account_id)
    )
    return bool(gone.rowcount)

"""Queries on passwords and the invitations to set one. Both are stored as hashes."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.account import to_account
from berth.adapters.store.session_tables import account_passwords, password_invitations
from berth.adapters.store.tables import accounts
from berth.domain.account import Account, AccountType
from berth.domain.secret_text import SecretText
from berth.domain.session import hash_value

_ACCOUNT = [column for column in accounts.c if column.name != "login_key"]


async def find_user_and_hash(connection: AsyncConnection, login: str) -> tuple[Account, str | None] | None:
    """A user, with his password's hash if he has one; None for anybody else."""
    statement: Select[Any] = (
        select(*_ACCOUNT, account_passwords.c.hash)
        .outerjoin(account_passwords, account_passwords.c.account_id == accounts.c.id)
        .where(accounts.c.login_key == login.lower(), accounts.c.type == AccountType.USER)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else (to_account(row), row.hash)


async def is_still(connection: AsyncConnection, account_id: int, stored: str) -> bool:
    """Whether this is the account's hash; if it is, it stays so until the transaction ends."""
    statement = select(account_passwords.c.account_id).where(
        account_passwords.c.account_id == account_id, account_passwords.c.hash == stored
    )
    return (await connection.execute(statement.with_for_update())).one_or_none() is not None


async def set_hash(connection: AsyncConnection, account_id: int, stored: str, now: datetime) -> None:
    """The account's password from now on."""
    values = {"hash": stored, "set_at": now}
    statement = update(account_passwords).where(account_passwords.c.account_id == account_id).values(**values)
    if (await connection.execute(statement)).rowcount:
        return
    try:
        async with connection.begin_nested():
            await connection.execute(insert(account_passwords).values(account_id=account_id, **values))
    except IntegrityError:  # somebody else was quicker
        await connection.execute(statement)


async def set_invitation(
    connection: AsyncConnection, account_id: int, value: SecretText, *, now: datetime, expires_at: datetime
) -> None:
    """The account's only invitation; an older one is void."""
    await end_invitation(connection, account_id)
    await connection.execute(
        insert(password_invitations).values(
            account_id=account_id, hash=hash_value(value), created_at=now, expires_at=expires_at
        )
    )


async def end_invitation(connection: AsyncConnection, account_id: int) -> None:
    """The account's invitation, if there is one, is void."""
    await connection.execute(delete(password_invitations).where(password_invitations.c.account_id == account_id))


async def has_password(connection: AsyncConnection, account_id: int) -> bool:
    statement = select(account_passwords.c.account_id).where(account_passwords.c.account_id == account_id)
    return (await connection.execute(statement)).one_or_none() is not None


async def find_invited(connection: AsyncConnection, value: SecretText, now: datetime) -> Account | None:
    """Whom this invitation is for; None for one that is unknown, used, replaced or expired."""
    statement = (
        select(*_ACCOUNT)
        .join(password_invitations, password_invitations.c.account_id == accounts.c.id)
        .where(password_invitations.c.hash == hash_value(value), password_invitations.c.expires_at > now)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else to_account(row)


async def use_invitation(connection: AsyncConnection, value: SecretText, now: datetime) -> bool:
    """End it. False: it does not hold any more; of two who use it at once, one gets True."""
    gone = await connection.execute(
        delete(password_invitations).where(
            password_invitations.c.hash == hash_value(value), password_invitations.c.expires_at > now
        )
    )
    return bool(gone.rowcount)

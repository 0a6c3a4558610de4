"""Queries on suspended users. Whatever proves who somebody is asks by `NOT_SUSPENDED` (domain/suspension.py, policy 1)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.account import find_account, to_account
from berth.adapters.store.tables import accounts
from berth.domain.account import Account, AccountType

NOT_SUSPENDED = accounts.c.suspended_at.is_(None)
_COLUMNS = [column for column in accounts.c if column.name != "login_key"]


async def is_suspended(connection: AsyncConnection, account_id: int, *, lock: bool = False) -> bool:
    """Whether he is; also of an account that is gone. With `lock` nobody is suspended until the transaction ends."""
    statement = select(accounts.c.id).where(accounts.c.id == account_id, NOT_SUSPENDED)
    if lock:
        statement = statement.with_for_update(read=True)
    return (await connection.execute(statement)).one_or_none() is None


async def lock_site_admins(connection: AsyncConnection) -> Sequence[Account]:
    """All of them, by id. Suspensions take turns, so that two administrators do not suspend each other."""
    statement = select(*_COLUMNS).where(accounts.c.site_admin, accounts.c.type == AccountType.USER)
    rows = await connection.execute(statement.order_by(accounts.c.id).with_for_update(key_share=True))
    return [to_account(row) for row in rows]


async def lock_user(connection: AsyncConnection, login: str) -> Account | None:
    """By name, in any case; who is signing in at this moment has done so, or has to wait."""
    statement = select(accounts.c.id).where(accounts.c.login_key == login.lower(), accounts.c.type == AccountType.USER)
    found = (await connection.execute(statement.with_for_update(key_share=True))).one_or_none()
    return None if found is None else await find_account(connection, login)


async def set_suspension(connection: AsyncConnection, account_id: int, at: datetime | None, reason: str | None) -> None:
    """None: he is not suspended any more."""
    statement = update(accounts).where(accounts.c.id == account_id)
    await connection.execute(statement.values(suspended_at=at, suspension_reason=reason))

"""Counts of attempts to sign in. All replicas count in the same rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.session_tables import sign_in_attempts as attempts


@dataclass(frozen=True, slots=True)
class Attempts:
    """How many there were since then, with this one."""

    count: int
    began_at: datetime


async def count_attempt(connection: AsyncConnection, key: str, now: datetime, window: timedelta) -> Attempts:
    """One more under this key; the first one of a new window if the last window is over."""
    is_over = attempts.c.began_at <= now - window
    statement = (
        update(attempts)
        .where(attempts.c.key == key)
        .values(
            tries=case((is_over, 1), else_=attempts.c.tries + 1),
            began_at=case((is_over, now), else_=attempts.c.began_at),
        )
        .returning(attempts.c.tries, attempts.c.began_at)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        try:
            async with connection.begin_nested():
                await connection.execute(insert(attempts).values(key=key, began_at=now, tries=1))
        except IntegrityError:  # somebody else was quicker
            row = (await connection.execute(statement)).one()
        else:
            return Attempts(1, now)
    return Attempts(row.tries, row.began_at)


async def take_back(connection: AsyncConnection, key: str) -> None:
    """The attempt was none."""
    statement = update(attempts).where(attempts.c.key == key, attempts.c.tries > 0)
    await connection.execute(statement.values(tries=attempts.c.tries - 1))


async def forget(connection: AsyncConnection, key: str) -> None:
    """All attempts under this key."""
    await connection.execute(delete(attempts).where(attempts.c.key == key))


async def delete_over(connection: AsyncConnection, began_before: datetime) -> None:
    """Windows that are over."""
    await connection.execute(delete(attempts).where(attempts.c.began_at <= began_before))

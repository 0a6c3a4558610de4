"""Queries on chores."""

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.package_tables import chores


async def ensure_chore(connection: AsyncConnection, name: str) -> None:
    """Its row, due at once, if there is none."""
    if (await connection.execute(select(chores.c.id).where(chores.c.name == name))).one_or_none() is not None:
        return
    values = {"name": name, "generation": 1, "seen": 0, "next_at": 0.0, "epoch": 0, "attempts": 0}
    try:
        async with connection.begin_nested():
            await connection.execute(insert(chores).values(**values))
    except IntegrityError:
        return  # another replica was quicker

"""The queue that the reconcile loop works on: rows of a table that carry its columns (`next_at`, `lease`, `epoch`, …).

The invariants, which every statement here keeps:
- A row is worked on by the holder of its newest epoch only: `claim` adds one to the epoch, `put` refuses an older one.
- All times are the database's clock: replicas need not agree on the time.
- `next_at` is the only timer; NULL means that there is nothing to do until a request comes.
- `attempts` counts steps that failed since one succeeded or a request came. A claim that ends with its server is none: it
  is counted in `deserted`, which the next outcome sets back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Float, Row, Table, case, cast, func, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

_SQLITE_NOW = "((julianday('now') - 2440587.5) * 86400.0)"


@dataclass(frozen=True, slots=True)
class Held:
    """What a renewal found: `generation` differs from the claimed one if a request came meanwhile."""

    id: int
    generation: int


def database_now(connection: AsyncConnection) -> ColumnElement[float]:
    """Seconds since 1970 by the database's clock."""
    if connection.dialect.name == "sqlite":
        return literal_column(_SQLITE_NOW)
    return cast(func.extract("epoch", func.clock_timestamp()), Float)


async def claim(
    connection: AsyncConnection, table: Table, *, holder: str, lease_s: float, limit: int
) -> list[Row[Any]]:
    """Take up to `limit` due rows, the longest due first."""
    now = database_now(connection)
    due = (
        select(table.c.id)
        .where(table.c.next_at <= now, or_(table.c.lease.is_(None), table.c.lease < now))
        .order_by(table.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)  # SQLite has no such clause and needs none: one writer at a time
    )
    was_held = case((table.c.lease.is_(None), 0), else_=1)
    statement = (
        update(table)
        .where(table.c.id.in_(due.scalar_subquery()))
        .values(lease=now + lease_s, holder=holder, epoch=table.c.epoch + 1, deserted=table.c.deserted + was_held)
        .returning(table)
    )
    return list((await connection.execute(statement)).fetchall())


async def renew(
    connection: AsyncConnection, table: Table, claims: Iterable[tuple[int, int]], *, lease_s: float
) -> list[Held]:
    """Keep the (id, epoch) claims for another `lease_s`; a claim missing from the answer was lost, or given back."""
    now = database_now(connection)
    held = []
    for row_id, epoch in claims:
        statement = (
            update(table)
            .where(table.c.id == row_id, table.c.epoch == epoch, table.c.lease.is_not(None))
            .values(lease=now + lease_s)
            .returning(table.c.id, table.c.generation)
        )
        row = (await connection.execute(statement)).one_or_none()
        if row is not None:
            held.append(Held(row.id, row.generation))
    return held


async def note(connection: AsyncConnection, table: Table, *, row_id: int, epoch: int, values: dict[str, Any]) -> bool:
    """Store what a step learnt and keep the claim. False: the claim was lost, nothing was stored."""
    statement = update(table).where(table.c.id == row_id, table.c.epoch == epoch).values(**values)
    return bool((await connection.execute(statement)).rowcount)


async def put(
    connection: AsyncConnection,
    table: Table,
    *,
    row_id: int,
    epoch: int,
    generation: int,
    values: dict[str, Any],
    next_in_s: float | None,
) -> bool:
    """Store a step's outcome and give the claim back. False: the claim was lost, nothing was stored (fencing).

    A request that came meanwhile makes the row due at once, whatever the step wanted.
    """
    values = {**values, "attempts": 0, "deserted": 0, "seen": generation}
    return await _end_claim(connection, table, row_id, epoch, generation, next_in_s, values)


async def give_back(
    connection: AsyncConnection,
    table: Table,
    *,
    row_id: int,
    epoch: int,
    generation: int,
    next_in_s: float,
    failed: bool,
) -> bool:
    """Give the claim back without an outcome; `failed`: the step was tried. Otherwise as `put`."""
    more = case((table.c.generation == generation, table.c.attempts + 1), else_=table.c.attempts)
    values = {"attempts": more} if failed else {}
    return await _end_claim(connection, table, row_id, epoch, generation, next_in_s, values)


async def _end_claim(
    connection: AsyncConnection,
    table: Table,
    row_id: int,
    epoch: int,
    generation: int,
    next_in_s: float | None,
    values: dict[str, Any],
) -> bool:
    now = database_now(connection)
    later = None if next_in_s is None else now + next_in_s
    next_at = case((table.c.generation == generation, later), else_=now)
    statement = (
        update(table)
        .where(table.c.id == row_id, table.c.epoch == epoch)
        .values(**values, lease=None, holder=None, next_at=next_at)
    )
    return bool((await connection.execute(statement)).rowcount)


async def release_all(connection: AsyncConnection, table: Table) -> int:
    """Give back every claim. Only for a server that knows itself to be the only one (SQLite, under its host lock)."""
    values = {"lease": None, "holder": None, "deserted": table.c.deserted + 1}
    statement = update(table).where(table.c.lease.is_not(None)).values(**values)
    return int((await connection.execute(statement)).rowcount)


async def next_due_in_s(connection: AsyncConnection, table: Table) -> float | None:
    """Seconds until the next row is due (0 or less: now); None if none ever is."""
    now = database_now(connection)
    ready_at = case((table.c.lease > table.c.next_at, table.c.lease), else_=table.c.next_at)
    value = (await connection.execute(select(func.min(ready_at) - now).where(table.c.next_at.is_not(None)))).scalar()
    return None if value is None else float(value)

"""The audit log: who did what, to what."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.paging import fetch_page
from berth.adapters.store.tables import audit_log
from berth.domain.access import Subject
from berth.domain.audit import AuditEvent, AuditFilter


async def record(
    connection: AsyncConnection,
    *,
    at: datetime,
    actor: Subject | None,
    action: str,
    account_id: int | None,
    target: str,
    detail: str = "",
) -> None:
    """One row, in the transaction of the change that it tells of. `detail` holds rule names and names, never inputs; of a
    suspension the reason, which was given for this.

    `actor` None: the server itself, because of a time or a limit.
    """
    await connection.execute(
        insert(audit_log).values(
            at=at,
            actor_id=None if actor is None else actor.account_id,
            actor_login="" if actor is None else actor.login,
            action=action,
            account_id=account_id,
            target=target,
            detail=detail,
        )
    )


async def list_events(
    connection: AsyncConnection, account_id: int, *, limit: int, offset: int
) -> tuple[list[AuditEvent], int]:
    """An account's log, newest first."""
    statement = select(audit_log).where(audit_log.c.account_id == account_id).order_by(audit_log.c.id.desc())
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [_event(row) for row in rows], total


async def search_events(
    connection: AsyncConnection, account_id: int, wanted: AuditFilter, *, before: int | None, limit: int
) -> list[AuditEvent]:
    """Those that fit, newest first, from the one before the id `before` on. By id: rows that come meanwhile move nothing."""
    statement = select(audit_log).where(audit_log.c.account_id == account_id)
    if before is not None:
        statement = statement.where(audit_log.c.id < before)
    if wanted.actor:
        statement = statement.where(func.lower(audit_log.c.actor_login) == wanted.actor)
    if wanted.action:
        below = audit_log.c.action.startswith(f"{wanted.action}.", autoescape=True)
        statement = statement.where(or_(audit_log.c.action == wanted.action, below))
    if wanted.target:
        statement = statement.where(func.lower(audit_log.c.target).contains(wanted.target, autoescape=True))
    if wanted.since is not None:
        statement = statement.where(audit_log.c.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(audit_log.c.at < wanted.until)
    return [_event(row) for row in await connection.execute(statement.order_by(audit_log.c.id.desc()).limit(limit))]


def _event(row: Row[Any]) -> AuditEvent:
    return AuditEvent(
        id=row.id,
        at=row.at,
        actor_id=row.actor_id,
        actor_login=row.actor_login,
        action=row.action,
        target=row.target,
        detail=row.detail,
    )

"""The audit log: who did what, to what."""

from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.paging import fetch_page
from berth.adapters.store.tables import audit_log
from berth.domain.access import Subject
from berth.domain.audit import AuditEvent


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
    """One row, in the transaction of the change that it tells of. `detail` holds rule names and names, never inputs.

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
    return [
        AuditEvent(
            id=row.id,
            at=row.at,
            actor_id=row.actor_id,
            actor_login=row.actor_login,
            action=row.action,
            target=row.target,
            detail=row.detail,
        )
        for row in rows
    ], total

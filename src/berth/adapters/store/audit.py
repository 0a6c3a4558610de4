"""The audit log: who did what, to what."""

from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.tables import audit_log
from berth.domain.access import Subject


async def record(
    connection: AsyncConnection,
    *,
    at: datetime,
    actor: Subject,
    action: str,
    account_id: int | None,
    target: str,
    detail: str = "",
) -> None:
    """One row, in the transaction of the change that it tells of. `detail` holds rule names and names, never inputs."""
    await connection.execute(
        insert(audit_log).values(
            at=at,
            actor_id=actor.account_id,
            actor_login=actor.login,
            action=action,
            account_id=account_id,
            target=target,
            detail=detail,
        )
    )

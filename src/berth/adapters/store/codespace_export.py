"""Queries on exports of codespaces."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.tables import codespace_exports
from berth.adapters.store.work import database_now
from berth.domain.codespace import finding_from_json
from berth.domain.codespace_export import MAX_KEPT, CodespaceExport, ExportState, in_progress


def to_export(row: Row[Any]) -> CodespaceExport:
    """A row as the domain's value."""
    return CodespaceExport(
        id=row.id,
        codespace_id=row.codespace_id,
        state=ExportState(row.state),
        branch=row.branch,
        branch_is_wanted=row.branch_is_wanted,
        sha=row.sha,
        finding=finding_from_json(row.finding) if row.finding else None,
        created_at=row.created_at,
        completed_at=row.completed_at,
    )


async def insert_export(
    connection: AsyncConnection, codespace_id: int, *, branch: str, branch_is_wanted: bool, at: datetime
) -> CodespaceExport:
    """A new row, due at once; the oldest go that are too many. Raises Conflict if one is in progress."""
    values = {
        "codespace_id": codespace_id,
        "state": ExportState.IN_PROGRESS,
        "branch": branch,
        "branch_is_wanted": branch_is_wanted,
        "created_at": at,
        "next_at": database_now(connection),
        "generation": 1,
        "seen": 0,
        "epoch": 0,
        "attempts": 0,
    }
    statement = insert(codespace_exports).values(**values).returning(codespace_exports)
    try:
        row = (await connection.execute(statement)).one()
    except IntegrityError as error:
        raise in_progress() from error
    kept = (
        select(codespace_exports.c.id)
        .where(codespace_exports.c.codespace_id == codespace_id)
        .order_by(codespace_exports.c.id.desc())
        .limit(MAX_KEPT)
    )
    await connection.execute(
        delete(codespace_exports).where(
            codespace_exports.c.codespace_id == codespace_id, codespace_exports.c.id.not_in(kept)
        )
    )
    return to_export(row)


async def find_export(connection: AsyncConnection, codespace_id: int, export_id: int | None) -> CodespaceExport | None:
    """One of a codespace's exports; without an id the newest."""
    statement = select(codespace_exports).where(codespace_exports.c.codespace_id == codespace_id)
    if export_id is not None:
        statement = statement.where(codespace_exports.c.id == export_id)
    row = (await connection.execute(statement.order_by(codespace_exports.c.id.desc()).limit(1))).one_or_none()
    return None if row is None else to_export(row)

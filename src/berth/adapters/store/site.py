"""Queries on the whole server, for its administrators."""

from sqlalchemy import func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.package_tables import blob_trash, blobs, packages
from berth.adapters.store.paging import fetch_page
from berth.adapters.store.tables import accounts, codespace_log, codespaces, repositories
from berth.domain.account import AccountType
from berth.domain.lifecycle import Desired, Phase
from berth.domain.site import MOVING, Launch, SiteCounts, StorageUse

_SQLITE_SIZE = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
_POSTGRESQL_SIZE = "SELECT pg_database_size(current_database())"


async def count_all(connection: AsyncConnection) -> SiteCounts:
    """Packages are those that are published and not deleted."""
    of_type = select(func.count()).select_from(accounts)
    shown = packages.c.published_at.is_not(None) & packages.c.deleted_at.is_(None)
    counts = (
        of_type.where(accounts.c.type == AccountType.USER),
        of_type.where(accounts.c.type == AccountType.ORGANIZATION),
        select(func.count()).select_from(repositories),
        select(func.count()).select_from(packages).where(shown),
        select(func.count()).select_from(codespaces),
    )
    row = (await connection.execute(select(*(each.scalar_subquery() for each in counts)))).one()
    return SiteCounts(users=row[0], organizations=row[1], repositories=row[2], packages=row[3], codespaces=row[4])


async def measure_storage(connection: AsyncConnection) -> StorageUse:
    sums = select(func.count(), func.coalesce(func.sum(blobs.c.size), 0)).select_from(blobs)
    count, size = (await connection.execute(sums)).one()
    trashed = (await connection.execute(select(func.count()).select_from(blob_trash))).scalar_one()
    statement = _SQLITE_SIZE if connection.dialect.name == "sqlite" else _POSTGRESQL_SIZE
    database = (await connection.execute(text(statement))).scalar_one()
    return StorageUse(blobs=int(count), blob_bytes=int(size), trashed_blobs=int(trashed), database_bytes=int(database))


async def list_launches(connection: AsyncConnection, *, limit: int, offset: int) -> tuple[list[Launch], int]:
    """The codespaces that are on their way, oldest first, each with the last line that its log said of it."""
    last = (
        select(func.max(codespace_log.c.id))
        .where(codespace_log.c.codespace_id == codespaces.c.id, codespace_log.c.kind == "phase")
        .correlate(codespaces)
        .scalar_subquery()
    )
    statement = (
        select(codespaces, accounts.c.login, codespace_log.c.text, codespace_log.c.at)
        .join(accounts, accounts.c.id == codespaces.c.owner_id)
        .outerjoin(codespace_log, codespace_log.c.id == last)
        .where(or_(codespaces.c.phase.in_(MOVING), codespaces.c.generation != codespaces.c.seen))
        .order_by(codespaces.c.id)
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [
        Launch(
            name=row.name,
            owner_login=row.login,
            phase=Phase(row.phase),
            desired=Desired(row.desired),
            attempts=row.attempts,
            holder=row.holder,
            step=row.text or "",
            since=row.at,
        )
        for row in rows
    ], total

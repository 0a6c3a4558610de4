"""One page of a list, and how long the whole list is."""

from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def fetch_page(
    connection: AsyncConnection, statement: Select[Any], *, limit: int, offset: int
) -> tuple[list[Row[Any]], int]:
    """The rows of one page, and the number of rows on all pages. Two queries, whatever the size."""
    counted = statement.order_by(None).subquery()
    total = int((await connection.execute(select(func.count()).select_from(counted))).scalar_one())
    if offset >= total:
        return [], total
    return list(await connection.execute(statement.limit(limit).offset(offset))), total

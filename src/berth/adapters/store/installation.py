"""What all replicas on one database agree on."""

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.database import Store
from berth.adapters.store.tables import installation


async def find_server_id(connection: AsyncConnection) -> str | None:
    """The installation's id; None before its first start."""
    found = (await connection.execute(select(installation.c.server_id))).scalar()
    return None if found is None else str(found)


async def get_server_id(store: Store, proposal: str) -> str:
    """The installation's id, which labels its containers; `proposal` becomes it if there is none yet."""
    async with store.read() as connection:
        found = await find_server_id(connection)
    if found is not None:
        return found
    try:
        async with store.begin() as connection:
            await connection.execute(insert(installation).values(id=1, server_id=proposal))
    except IntegrityError:
        return await get_server_id(store, proposal)  # another replica was quicker
    return proposal

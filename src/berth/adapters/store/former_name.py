"""Former names of repositories: where one was before it was renamed or given away.

1. A repository's name and its owner change by `repository.update_repository` only, which keeps what it was called until then.
2. Whoever is called so now has the name: what it led to before is forgotten, in the same transaction. So no former name is
   ever a present one, and a rename back and forth leaves no circle.
3. The owner counts by id: an account that has another login has its former names under the new one. They go with the
   account, and with the repository.

Source: GitHub docs, "Renaming a repository".
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from sqlalchemy import ColumnElement, delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.tables import accounts, former_names, repositories


@asynccontextmanager
async def leaving_name(
    connection: AsyncConnection, repository_id: int, changed: Collection[str]
) -> AsyncIterator[None]:
    """Around a change of these columns, which may be another name's. The caller holds the repository's lock then."""
    moves = "name" in changed or "owner_id" in changed
    if moves:
        await _keep_name(connection, repository_id)
    yield
    if moves:
        await take_name(connection, repository_id)


async def _keep_name(connection: AsyncConnection, repository_id: int) -> None:
    present = select(repositories.c.owner_id, repositories.c.name_key, repositories.c.id)
    columns = [former_names.c.owner_id, former_names.c.name_key, former_names.c.repository_id]
    await connection.execute(
        insert(former_names).from_select(columns, present.where(repositories.c.id == repository_id))
    )


async def take_name(connection: AsyncConnection, repository_id: int) -> None:
    """Once the repository is called so: from then on nobody else can be, on PostgreSQL not before this transaction ends."""
    present = select(repositories.c.owner_id, repositories.c.name_key).where(repositories.c.id == repository_id)
    await connection.execute(
        delete(former_names).where(tuple_(former_names.c.owner_id, former_names.c.name_key).in_(present))
    )


def was_named(owner_login: str, name: str) -> ColumnElement[bool]:
    """Whether the row's repository was called so, in any case, and nobody is now."""
    owner = accounts.alias("former_owner")
    former = (
        select(former_names.c.repository_id)
        .join(owner, owner.c.id == former_names.c.owner_id)
        .where(owner.c.login_key == owner_login.lower(), former_names.c.name_key == name.lower())
    )
    return repositories.c.id == former.scalar_subquery()

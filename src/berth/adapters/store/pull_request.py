"""Queries on pull requests, and on what is a fork of what."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.paging import fetch_page
from berth.adapters.store.tables import forks, pull_requests, repositories
from berth.domain.pull_request import PullRequest, PullRequestState

_IS_THERE = pull_requests.c.head_repository_id.is_not(None)


def _to_pull_request(row: Row[Any]) -> PullRequest:
    return PullRequest(**{**row._asdict(), "state": PullRequestState(row.state)})


def forks_of(repository_id: int) -> Select[Any]:
    """The ids of a repository's forks."""
    return select(forks.c.repository_id).where(forks.c.parent_id == repository_id)


async def insert_fork(connection: AsyncConnection, repository_id: int, parent_id: int) -> None:
    """The parent's lock is held: it is there."""
    await connection.execute(insert(forks).values(repository_id=repository_id, parent_id=parent_id))


async def find_fork(connection: AsyncConnection, parent_id: int, owner_id: int) -> int | None:
    """The id of the fork that an account has of a repository."""
    statement = (
        select(func.min(forks.c.repository_id))
        .join(repositories, repositories.c.id == forks.c.repository_id)
        .where(forks.c.parent_id == parent_id, repositories.c.owner_id == owner_id)
    )
    found = (await connection.execute(statement)).scalar()
    return None if found is None else int(found)


async def insert_pull_request(connection: AsyncConnection, values: Mapping[str, Any]) -> PullRequest:
    """The next number of its repository, whose lock is held."""
    last = select(func.coalesce(func.max(pull_requests.c.number), 0)).where(
        pull_requests.c.repository_id == values["repository_id"]
    )
    number = int((await connection.execute(last)).scalar_one()) + 1
    statement = insert(pull_requests).values(**values, number=number).returning(pull_requests)
    return _to_pull_request((await connection.execute(statement)).one())


async def find_pull_request(connection: AsyncConnection, repository_id: int, number: int) -> PullRequest | None:
    """By its number, which may be any."""
    if not 0 < number < 2**31:
        return None
    statement = select(pull_requests).where(
        pull_requests.c.repository_id == repository_id, pull_requests.c.number == number, _IS_THERE
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_pull_request(row)


async def is_asked_already(connection: AsyncConnection, repository_id: int, head_id: int, head: str, base: str) -> bool:
    """Whether an open one is for the same branches."""
    statement = select(func.count()).where(
        pull_requests.c.repository_id == repository_id,
        pull_requests.c.head_repository_id == head_id,
        pull_requests.c.head_ref == head,
        pull_requests.c.base_ref == base,
        pull_requests.c.state == PullRequestState.OPEN,
    )
    return bool((await connection.execute(statement)).scalar())


async def update_pull_request(connection: AsyncConnection, pull_request_id: int, values: Mapping[str, Any]) -> None:
    await connection.execute(update(pull_requests).where(pull_requests.c.id == pull_request_id).values(**values))


async def list_pull_requests(
    connection: AsyncConnection, repository_id: int, state: PullRequestState | None, *, limit: int, offset: int
) -> tuple[list[PullRequest], int]:
    """A page, newest first, and how many there are. None: in any state."""
    statement = select(pull_requests).where(pull_requests.c.repository_id == repository_id, _IS_THERE)
    if state is not None:
        statement = statement.where(pull_requests.c.state == state)
    rows, total = await fetch_page(
        connection, statement.order_by(pull_requests.c.number.desc()), limit=limit, offset=offset
    )
    return [_to_pull_request(row) for row in rows], total

"""Queries on the refreshes of credentials in running codespaces (C8): a row for each codespace that was ever given any.

Whoever writes something that decides which credentials a codespace may have asks here, in the same transaction: then no
server that dies, and no replica that writes for itself, can leave a codespace with what it may not have any more. The
loop's own columns are enough for that: a request adds one to `generation`, as everywhere.
"""

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.tables import codespaces, credential_refreshes, repositories, team_repositories
from berth.adapters.store.work import database_now
from berth.domain.lifecycle import Desired
from berth.domain.secret import SecretLevel


async def enrol(connection: AsyncConnection, codespace_id: int, due_in_s: float) -> None:
    """The codespace is about to be given credentials: look again then. A refresh that is under way is cut off (fencing)."""
    if await _begin_anew(connection, codespace_id, due_in_s):
        return
    start = {"generation": 1, "seen": 1, "epoch": 0, "attempts": 0, "next_at": database_now(connection) + due_in_s}
    try:
        async with connection.begin_nested():
            await connection.execute(insert(credential_refreshes).values(codespace_id=codespace_id, **start))
    except IntegrityError:  # another server works on it: the epoch of its own row will tell which one is late
        await _begin_anew(connection, codespace_id, due_in_s)


async def _begin_anew(connection: AsyncConnection, codespace_id: int, due_in_s: float) -> bool:
    statement = (
        update(credential_refreshes)
        .where(credential_refreshes.c.codespace_id == codespace_id)
        .values(
            epoch=credential_refreshes.c.epoch + 1,
            lease=None,
            holder=None,
            attempts=0,
            said=None,
            next_at=database_now(connection) + due_in_s,
        )
    )
    return bool((await connection.execute(statement)).rowcount)


async def ask_for_user(connection: AsyncConnection, user_id: int) -> None:
    """Something changed that concerns the codespaces of this user."""
    await _ask(connection, codespaces.c.owner_id == user_id)


async def ask_for_repository(connection: AsyncConnection, repository_id: int) -> None:
    """Something changed that concerns the codespaces of this repository."""
    await _ask(connection, codespaces.c.repository_id == repository_id)


async def ask_for_organization(connection: AsyncConnection, organization_id: int) -> None:
    """Something changed that concerns the codespaces of all its repositories."""
    theirs = select(repositories.c.id).where(repositories.c.owner_id == organization_id)
    await _ask(connection, codespaces.c.repository_id.in_(theirs))


async def ask_for_level(connection: AsyncConnection, level: SecretLevel, owner_id: int) -> None:
    """Something changed in the secrets that this user, repository or organization keeps."""
    ask = {
        SecretLevel.USER: ask_for_user,
        SecretLevel.REPOSITORY: ask_for_repository,
        SecretLevel.ORGANIZATION: ask_for_organization,
    }
    await ask[level](connection, owner_id)


async def ask_for_team(connection: AsyncConnection, team_id: int) -> None:
    """Something changed that concerns the codespaces of the repositories that the team has a role on."""
    theirs = select(team_repositories.c.repository_id).where(team_repositories.c.team_id == team_id)
    await _ask(connection, codespaces.c.repository_id.in_(theirs))


async def _ask(connection: AsyncConnection, concerned: ColumnElement[bool]) -> None:
    """All that are to run, whatever they do now: the loop sees. Rows are locked in order, so that two writers do not deadlock."""
    running = select(codespaces.c.id).where(concerned, codespaces.c.desired == Desired.RUNNING)
    rows = (
        select(credential_refreshes.c.id)
        .where(credential_refreshes.c.codespace_id.in_(running))
        .order_by(credential_refreshes.c.id)
        .with_for_update()
    )
    await connection.execute(
        update(credential_refreshes)
        .where(credential_refreshes.c.id.in_(rows.scalar_subquery()))
        .values(
            generation=credential_refreshes.c.generation + 1,
            attempts=0,
            next_at=database_now(connection),
        )
    )

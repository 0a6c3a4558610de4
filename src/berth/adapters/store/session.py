"""Queries on sessions of the web console. The store holds hashes; a session's value is in its cookie only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.paging import fetch_page
from berth.adapters.store.session_tables import sessions
from berth.adapters.store.suspension import NOT_SUSPENDED
from berth.adapters.store.tables import accounts
from berth.domain.secret_text import SecretText
from berth.domain.session import IDLE, LIFE, Session, Visitor, hash_value

_COLUMNS = [column for column in sessions.c if column.name != "hash"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHolder:
    """A stored session with its account."""

    session: Session
    login: str
    site_admin: bool


def _to_session(row: Any) -> Session:
    return Session(
        id=row.id,
        account_id=row.account_id,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        visitor=Visitor(address=row.address, user_agent=row.user_agent),
    )


async def insert_session(
    connection: AsyncConnection, value: SecretText, *, account_id: int, visitor: Visitor, now: datetime
) -> Session:
    """Store a new session's hash."""
    statement = (
        insert(sessions)
        .values(
            account_id=account_id,
            hash=hash_value(value),
            created_at=now,
            last_seen_at=now,
            address=visitor.address,
            user_agent=visitor.user_agent,
        )
        .returning(*_COLUMNS)
    )
    return _to_session((await connection.execute(statement)).one())


async def find_holder(connection: AsyncConnection, value: SecretText) -> SessionHolder | None:
    """Whose session this is; None for an unknown one, and of a user who is suspended. Looks at no end."""
    return await _find_holder(connection, sessions.c.hash == hash_value(value))


async def find_holder_by_id(connection: AsyncConnection, session_id: int) -> SessionHolder | None:
    """The same by the session's id."""
    return await _find_holder(connection, sessions.c.id == session_id)


async def _find_holder(connection: AsyncConnection, condition: ColumnElement[bool]) -> SessionHolder | None:
    statement = (
        select(*_COLUMNS, accounts.c.login, accounts.c.site_admin)
        .join(accounts, accounts.c.id == sessions.c.account_id)
        .where(condition, NOT_SUSPENDED)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return SessionHolder(session=_to_session(row), login=row.login, site_admin=row.site_admin)


async def touch(connection: AsyncConnection, session_id: int, now: datetime) -> None:
    """Remember that a session was used."""
    await connection.execute(update(sessions).where(sessions.c.id == session_id).values(last_seen_at=now))


async def list_sessions(
    connection: AsyncConnection, account_id: int, now: datetime, *, limit: int, offset: int
) -> tuple[list[Session], int]:
    """An account's sessions that still hold, last used first."""
    statement = (
        select(*_COLUMNS)
        .where(
            sessions.c.account_id == account_id,
            sessions.c.created_at > now - LIFE,
            sessions.c.last_seen_at > now - IDLE,
        )
        .order_by(sessions.c.last_seen_at.desc(), sessions.c.id.desc())
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [_to_session(row) for row in rows], total


async def delete_session(connection: AsyncConnection, account_id: int, session_id: int) -> bool:
    """End one of an account's sessions. False: there is none of this id."""
    gone = await connection.execute(
        delete(sessions).where(sessions.c.id == session_id, sessions.c.account_id == account_id)
    )
    return bool(gone.rowcount)


async def delete_sessions(connection: AsyncConnection, account_id: int) -> int:
    """End all of them: how many there were."""
    return (await connection.execute(delete(sessions).where(sessions.c.account_id == account_id))).rowcount


async def delete_beyond(connection: AsyncConnection, account_id: int, most: int) -> None:
    """End an account's sessions but those `most` that were used last."""
    beyond = (
        select(sessions.c.id)
        .where(sessions.c.account_id == account_id)
        .order_by(sessions.c.last_seen_at.desc(), sessions.c.id.desc())
        .offset(most)
    )
    await connection.execute(delete(sessions).where(sessions.c.id.in_(beyond)))


async def delete_ended(connection: AsyncConnection, now: datetime) -> None:
    """Remove what proves nothing any more, whoever's it was."""
    await connection.execute(
        delete(sessions).where(or_(sessions.c.created_at <= now - LIFE, sessions.c.last_seen_at <= now - IDLE))
    )

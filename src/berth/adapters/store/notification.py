"""Queries on what somebody is to be told of his credentials (domain.notification)."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.access_token import to_access_token
from berth.adapters.store.tables import access_tokens, codespaces, credential_refreshes
from berth.domain.access_token import TokenKind
from berth.domain.lifecycle import Desired
from berth.domain.notification import SOON, WITHHELD, Notifications, StaleCodespace

MOST = 30  # of each kind
_TOKEN = [column for column in access_tokens.c if column.name != "hash"]


def _of_tokens(statement: Select[Any], account_id: int, now: datetime) -> Select[Any]:
    return statement.where(
        access_tokens.c.account_id == account_id,
        access_tokens.c.kind == TokenKind.PERSONAL,
        access_tokens.c.expires_at > now - SOON,
        access_tokens.c.expires_at <= now + SOON,
    )


def _of_codespaces(statement: Select[Any], account_id: int) -> Select[Any]:
    return statement.join(credential_refreshes, credential_refreshes.c.codespace_id == codespaces.c.id).where(
        codespaces.c.owner_id == account_id,
        codespaces.c.desired == Desired.RUNNING,
        codespaces.c.repository_id.is_not(None),
        credential_refreshes.c.said.is_not(None),
        ~credential_refreshes.c.said.startswith(WITHHELD),
    )


async def find_notifications(connection: AsyncConnection, account_id: int, now: datetime) -> Notifications:
    tokens = _of_tokens(select(*_TOKEN), account_id, now).order_by(access_tokens.c.expires_at, access_tokens.c.id)
    stale = _of_codespaces(
        select(codespaces.c.name, codespaces.c.display_name, credential_refreshes.c.said), account_id
    ).order_by(codespaces.c.id.desc())
    return Notifications(
        tokens=[to_access_token(row) for row in await connection.execute(tokens.limit(MOST))],
        codespaces=[StaleCodespace(**row._asdict()) for row in await connection.execute(stale.limit(MOST))],
    )


async def count_notifications(connection: AsyncConnection, account_id: int, now: datetime) -> int:
    """How many there are, in one query."""
    tokens = _of_tokens(select(func.count()).select_from(access_tokens), account_id, now).scalar_subquery()
    stale = _of_codespaces(select(func.count()).select_from(codespaces), account_id).scalar_subquery()
    return int((await connection.execute(select(tokens + stale))).scalar_one())

"""Queries on access tokens. The store holds hashes; a token's value is shown once, to whoever made it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.paging import fetch_page
from berth.adapters.store.suspension import NOT_SUSPENDED
from berth.adapters.store.tables import access_tokens, accounts, codespaces
from berth.domain.access_token import AccessToken, TokenKind, hash_token
from berth.domain.lifecycle import Desired
from berth.domain.scope import Scope
from berth.domain.secret_text import SecretText
from berth.domain.workflow_permissions import NO_PERMISSIONS, WorkflowPermissions, parse_stored_permissions

_COLUMNS = [column for column in access_tokens.c if column.name != "hash"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """A stored token with its account, and its codespace's repository where it belongs to one."""

    token: AccessToken
    login: str
    site_admin: bool
    codespace_repository_id: int | None


def to_access_token(row: Any) -> AccessToken:
    """A row, or the first columns of a joined one, as the domain's value."""
    return AccessToken(
        id=row.id,
        kind=TokenKind(row.kind),
        account_id=row.account_id,
        note=row.note,
        scopes=frozenset(Scope(word) for word in row.scopes.split()),
        hint=row.hint,
        codespace_id=row.codespace_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        repository_id=row.repository_id,
        permissions=NO_PERMISSIONS if row.permissions is None else parse_stored_permissions(row.permissions),
    )


async def insert_token(
    connection: AsyncConnection,
    value: SecretText,
    *,
    kind: TokenKind,
    account_id: int,
    note: str,
    scopes: frozenset[Scope],
    now: datetime,
    expires_at: datetime | None,
    codespace_id: int | None = None,
    repository_id: int | None = None,
    permissions: WorkflowPermissions | None = None,
) -> AccessToken:
    """Store a new token's hash."""
    statement = (
        insert(access_tokens)
        .values(
            kind=kind,
            account_id=account_id,
            codespace_id=codespace_id,
            repository_id=repository_id,
            permissions=None if permissions is None else permissions.format(),
            note=note,
            scopes=" ".join(sorted(scopes)),
            hash=hash_token(value),
            hint=value.reveal()[-4:],
            created_at=now,
            expires_at=expires_at,
        )
        .returning(*_COLUMNS)
    )
    return to_access_token((await connection.execute(statement)).one())


async def find_holder(connection: AsyncConnection, value: SecretText) -> TokenHolder | None:
    """Whose token this is; None for an unknown one, one of a codespace that is to go, of a user who is suspended.

    Looks at no expiry.
    """
    return await _find_holder(connection, access_tokens.c.hash == hash_token(value))


async def find_holder_by_id(connection: AsyncConnection, token_id: int) -> TokenHolder | None:
    """The same by the token's id."""
    return await _find_holder(connection, access_tokens.c.id == token_id)


async def _find_holder(connection: AsyncConnection, condition: ColumnElement[bool]) -> TokenHolder | None:
    statement = (
        select(*_COLUMNS, accounts.c.login, accounts.c.site_admin, codespaces.c.repository_id.label("launched_from"))
        .join(accounts, accounts.c.id == access_tokens.c.account_id)
        .outerjoin(codespaces, codespaces.c.id == access_tokens.c.codespace_id)
        .where(condition, NOT_SUSPENDED)
        .where(or_(access_tokens.c.codespace_id.is_(None), codespaces.c.desired != Desired.DELETED))
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return TokenHolder(
        token=to_access_token(row),
        login=row.login,
        site_admin=row.site_admin,
        codespace_repository_id=row.launched_from,
    )


async def find_token(connection: AsyncConnection, account_id: int, token_id: int) -> AccessToken | None:
    """One of an account's own tokens."""
    statement = select(*_COLUMNS).where(access_tokens.c.id == token_id, access_tokens.c.account_id == account_id)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else to_access_token(row)


async def touch(connection: AsyncConnection, token_id: int, now: datetime) -> None:
    """Remember that a token was used."""
    await connection.execute(update(access_tokens).where(access_tokens.c.id == token_id).values(last_used_at=now))


async def list_tokens(
    connection: AsyncConnection, account_id: int, *, limit: int, offset: int
) -> tuple[list[AccessToken], int]:
    """An account's personal tokens, newest first."""
    statement = (
        select(*_COLUMNS)
        .where(access_tokens.c.account_id == account_id, access_tokens.c.kind == TokenKind.PERSONAL)
        .order_by(access_tokens.c.id.desc())
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [to_access_token(row) for row in rows], total


async def delete_token(connection: AsyncConnection, account_id: int, token_id: int) -> bool:
    """Revoke one of an account's own personal tokens. False: there is none of this id."""
    gone = await connection.execute(
        delete(access_tokens).where(
            access_tokens.c.id == token_id,
            access_tokens.c.account_id == account_id,
            access_tokens.c.kind == TokenKind.PERSONAL,
        )
    )
    return bool(gone.rowcount)


async def delete_tokens_by_note(connection: AsyncConnection, account_id: int, note: str) -> None:
    """All tokens of an account that carry exactly this note."""
    await connection.execute(
        delete(access_tokens).where(access_tokens.c.account_id == account_id, access_tokens.c.note == note)
    )


async def revoke_codespace_tokens(connection: AsyncConnection, codespace_id: int, *, but: int | None = None) -> None:
    """Make every token of a codespace void; one may stay."""
    statement = delete(access_tokens).where(access_tokens.c.codespace_id == codespace_id)
    await connection.execute(statement if but is None else statement.where(access_tokens.c.id != but))


async def find_codespace_token(
    connection: AsyncConnection, codespace_id: int, value: SecretText | None = None
) -> AccessToken | None:
    """The codespace's token of this value; without one its newest."""
    statement = select(*_COLUMNS).where(access_tokens.c.codespace_id == codespace_id)
    if value is not None:
        statement = statement.where(access_tokens.c.hash == hash_token(value))
    row = (await connection.execute(statement.order_by(access_tokens.c.id.desc()).limit(1))).one_or_none()
    return None if row is None else to_access_token(row)


async def end_token(connection: AsyncConnection, token_id: int, expires_at: datetime) -> None:
    """Let a token expire then."""
    await connection.execute(update(access_tokens).where(access_tokens.c.id == token_id).values(expires_at=expires_at))


async def revoke_workflow_tokens(connection: AsyncConnection, repository_id: int) -> None:
    """Make every workflow token of a repository void."""
    await connection.execute(delete(access_tokens).where(access_tokens.c.repository_id == repository_id))


async def delete_workflow_token(connection: AsyncConnection, token_id: int) -> None:
    """This one; nothing happens if it is gone."""
    await connection.execute(
        delete(access_tokens).where(access_tokens.c.id == token_id, access_tokens.c.kind == TokenKind.WORKFLOW)
    )


async def delete_noted_workflow_tokens(connection: AsyncConnection, repository_id: int, note: str) -> None:
    """Those of a repository that carry exactly this note; a job's has none."""
    await connection.execute(
        delete(access_tokens).where(access_tokens.c.repository_id == repository_id, access_tokens.c.note == note)
    )


async def delete_expired_workflow_tokens(connection: AsyncConnection, repository_id: int, now: datetime) -> None:
    """Remove what proves nothing any more: every job leaves one."""
    await connection.execute(
        delete(access_tokens).where(access_tokens.c.repository_id == repository_id, access_tokens.c.expires_at <= now)
    )

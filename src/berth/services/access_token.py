"""Use cases of access tokens: who a token proves, and making, listing and revoking them.

1. No token makes a stronger one: not in scopes, not in how long it lasts. A codespace's token makes none. A session is
   the person himself: what he makes in it outlasts it.
2. A codespace's token has the scopes that L9 needs and no other: `repo`, which `domain.access` narrows to the repository
   of its codespace, and `read:packages`. Not `codespace`: with it a codespace could give its repository to the user's
   other secrets. It lasts until its codespace stops, or to its own end
   (`services/codespace_token.py`).
3. A workflow's token has no scopes; it is made in `services/workflow_token.py`.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import access_token as rows
from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import suspension as suspension_rows
from berth.adapters.store.access_token import TokenHolder
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.access_token import AccessToken, TokenKind, find_token_kind, make_token
from berth.domain.account import Account, AccountType
from berth.domain.problem import Denied, Invalid, NotFound, Problem
from berth.domain.scope import Scope, expand_scopes, parse_scopes
from berth.domain.secret_text import SecretText
from berth.domain.suspension import require_active
from berth.services.account import get_account, require_personal, require_site_admin
from berth.services.ports import Clock, Entropy

CODESPACE_SCOPES = frozenset({Scope.REPO, Scope.READ_PACKAGES})
FIRST_ADMIN = "admin"
_FIRST_START = "first start"  # the note of the token that DATA_DIR/admin-token holds
_TOUCH_AFTER = timedelta(minutes=1)
_MAX_NOTE = 200
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token just made, with its value: the only time it is seen."""

    token: AccessToken
    value: SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownToken:
    """A stored token and who it proves."""

    subject: Subject
    token: AccessToken


def to_subject(holder: TokenHolder) -> Subject:
    """Who a stored token proves."""
    return Subject(
        account_id=holder.token.account_id,
        login=holder.login,
        site_admin=holder.site_admin,
        token_kind=holder.token.kind,
        token_id=holder.token.id,
        scopes=expand_scopes(holder.token.scopes),
        codespace_id=holder.token.codespace_id,
        codespace_repository_id=holder.codespace_repository_id,
        workflow_repository_id=holder.token.repository_id,
        permissions=holder.token.permissions,
    )


class AccessTokenService:
    """Access tokens."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy

    async def find_subject(self, value: SecretText) -> Subject | None:
        """Who this token proves; None for a bad, expired or revoked one, and a suspended user's.

        Does not ask the database about rubbish.
        """
        if find_token_kind(value.reveal()) is None:
            return None
        now = self._clock.now()
        async with self._store.read() as connection:
            holder = await rows.find_holder(connection, value)
        if holder is None or not holder.token.is_valid(now):
            return None
        await self._touch(holder.token, now)
        return to_subject(holder)

    async def find_by_id(self, token_id: int) -> KnownToken | None:
        """Who a token proves that was shown before, with what tells whether it is still valid.

        None: it was revoked, or its user is suspended.
        """
        async with self._store.look() as connection:
            holder = await rows.find_holder_by_id(connection, token_id)
        return None if holder is None else KnownToken(subject=to_subject(holder), token=holder.token)

    async def _touch(self, token: AccessToken, now: datetime) -> None:
        if token.last_used_at is not None and now - token.last_used_at < _TOUCH_AFTER:
            return
        try:
            async with self._store.begin() as connection:
                await rows.touch(connection, token.id, now)
        except Problem:
            _LOG.warning("token.touch_failed", extra={"token_id": token.id})  # the request goes on without it

    async def list_own(self, subject: Subject, *, limit: int, offset: int) -> tuple[list[AccessToken], int]:
        require_personal(subject)
        async with self._store.read() as connection:
            return await rows.list_tokens(connection, subject.account_id, limit=limit, offset=offset)

    async def create_own(self, subject: Subject, note: str, scopes: list[str], expires_at: datetime | None) -> NewToken:
        """A token of the caller's own. Raises Denied for a scope, or a lifetime, that the caller's token lacks."""
        async with self._store.begin() as connection:
            owner = await get_account(connection, subject.login, AccountType.USER)
            return await self._create(connection, subject, owner, note, scopes, expires_at)

    async def create_for(self, subject: Subject, login: str, note: str, scopes: list[str]) -> NewToken:
        """A token of any user's. Site administrators only."""
        require_site_admin(subject)
        async with self._store.begin() as connection:
            owner = await get_account(connection, login, AccountType.USER)
            return await self._create(connection, subject, owner, note, scopes, None)

    async def _create(
        self,
        connection: AsyncConnection,
        subject: Subject,
        owner: Account,
        note: str,
        words: list[str],
        expires_at: datetime | None,
    ) -> NewToken:
        require_personal(subject)
        scopes = parse_scopes(words)
        if len(note) > _MAX_NOTE:
            raise Invalid(f"A note has at most {_MAX_NOTE} characters.", field="note", code="token.note")
        require_active(owner)
        self._check_scopes(subject, owner, scopes)
        expires_at = await self._check_expiry(connection, subject, expires_at)
        value = make_token(TokenKind.PERSONAL, self._entropy.token_bytes(32))
        now = self._clock.now()
        token = await rows.insert_token(
            connection,
            value,
            kind=TokenKind.PERSONAL,
            account_id=owner.id,
            note=note,
            scopes=scopes,
            now=now,
            expires_at=expires_at,
        )
        await audit.record(
            connection,
            at=now,
            actor=subject,
            action="token.create",
            account_id=owner.id,
            target=str(token.id),
            detail=" ".join(sorted(scopes)),
        )
        return NewToken(token=token, value=value)

    def _check_scopes(self, subject: Subject, owner: Account, scopes: frozenset[Scope]) -> None:
        excess = expand_scopes(scopes) - subject.scopes
        if excess:
            raise Denied(
                f"Your token lacks what the new one asks for: {', '.join(sorted(excess))}.",
                code="token.scopes_exceeded",
                remedy="Ask for fewer scopes, or use a token that has them.",
            )
        if Scope.SITE_ADMIN in scopes and not owner.site_admin:
            raise Invalid(f"{owner.login} is no site administrator.", field="scopes", code="token.site_admin_only")

    async def _check_expiry(
        self, connection: AsyncConnection, subject: Subject, expires_at: datetime | None
    ) -> datetime | None:
        if expires_at is not None and expires_at <= self._clock.now():
            raise Invalid("The token would be expired already.", field="expires_at", code="token.expired")
        if subject.session_id is not None:
            return expires_at
        own = await rows.find_token(connection, subject.account_id, subject.token_id)
        if own is None:
            raise Denied("Your token was revoked meanwhile.", code="token.revoked")
        if own.expires_at is None:
            return expires_at
        if expires_at is not None and expires_at > own.expires_at:
            raise Denied("The new token would outlive yours.", code="token.outlives", remedy="Ask for less time.")
        return expires_at or own.expires_at

    async def revoke_own(self, subject: Subject, token_id: int) -> None:
        """Raises NotFound."""
        require_personal(subject)
        async with self._store.begin() as connection:
            if not await rows.delete_token(connection, subject.account_id, token_id):
                raise NotFound("Not Found", code="token.not_found")
            await audit.record(
                connection,
                at=self._clock.now(),
                actor=subject,
                action="token.revoke",
                account_id=subject.account_id,
                target=str(token_id),
            )

    async def ensure_site_admin(self) -> SecretText | None:
        """At first start: the user `admin`, and a token of his with every scope. None if he is there already."""
        now = self._clock.now()
        async with self._store.begin() as connection:
            if await account_rows.find_account(connection, FIRST_ADMIN) is not None:
                return None
            admin = await account_rows.insert_account(
                connection, login=FIRST_ADMIN, kind=AccountType.USER, now=now, site_admin=True
            )
            return await self._insert_admin_token(connection, admin.id, now)

    async def renew_site_admin_token(self) -> SecretText:
        """A new token with every scope for `admin`; the one of the first start, or the last renewal, ends.

        For whoever runs the server and reads its DATA_DIR: no token is asked for, and if somebody suspended `admin`, that is
        over. Raises NotFound before the first start.
        """
        now = self._clock.now()
        async with self._store.begin() as connection:
            admin = await account_rows.find_account(connection, FIRST_ADMIN)
            if admin is None:
                raise NotFound("The server has not been started yet.", code="cli.admin_token")
            await rows.delete_tokens_by_note(connection, admin.id, _FIRST_START)
            if admin.is_suspended:
                await suspension_rows.set_suspension(connection, admin.id, None, None)
                action = "user.unsuspend"
                await audit.record(
                    connection, at=now, actor=None, action=action, account_id=admin.id, target=admin.login
                )
            return await self._insert_admin_token(connection, admin.id, now)

    async def _insert_admin_token(self, connection: AsyncConnection, admin_id: int, now: datetime) -> SecretText:
        value = make_token(TokenKind.PERSONAL, self._entropy.token_bytes(32))
        await rows.insert_token(
            connection,
            value,
            kind=TokenKind.PERSONAL,
            account_id=admin_id,
            note=_FIRST_START,
            scopes=frozenset(Scope),
            now=now,
            expires_at=None,
        )
        return value

    async def issue_for_codespace(
        self, account_id: int, codespace_id: int, expires_at: datetime | None = None
    ) -> SecretText:
        """A new token for a running codespace; its older ones are void from now on."""
        async with self._store.begin() as connection:
            await rows.revoke_codespace_tokens(connection, codespace_id)
            return await self.issue_codespace_token(connection, account_id, codespace_id, expires_at)

    async def issue_codespace_token(
        self, connection: AsyncConnection, account_id: int, codespace_id: int, expires_at: datetime | None
    ) -> SecretText:
        """The same inside a transaction of the caller's; older ones stay."""
        value = make_token(TokenKind.CODESPACE, self._entropy.token_bytes(32))
        await rows.insert_token(
            connection,
            value,
            kind=TokenKind.CODESPACE,
            account_id=account_id,
            note="",
            scopes=CODESPACE_SCOPES,
            now=self._clock.now(),
            expires_at=expires_at,
            codespace_id=codespace_id,
        )
        return value

    async def revoke_of_codespace(self, codespace_id: int) -> None:
        """Make all its tokens void. May be repeated."""
        async with self._store.begin() as connection:
            await rows.revoke_codespace_tokens(connection, codespace_id)

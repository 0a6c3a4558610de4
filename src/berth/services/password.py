"""Use cases of passwords: inviting somebody to set one, setting it, changing one's own (domain/password.py)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import audit
from berth.adapters.store import password as rows
from berth.adapters.store import session as session_rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.account import Account, AccountType
from berth.domain.password import INVITATION_LIFE, check_password
from berth.domain.problem import Invalid, NotFound, Unauthenticated
from berth.domain.secret_text import SecretText
from berth.domain.session import RANDOM_BYTES, Session, Visitor, is_value, make_value
from berth.domain.suspension import require_active
from berth.services.account import get_account, require_personal, require_site_admin
from berth.services.ports import Clock, Entropy, PasswordHasher
from berth.services.session import NewSession, SessionService


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvitation:
    """An invitation just made, with the value for its link: the only time it is seen."""

    account: Account
    value: SecretText
    expires_at: datetime


class PasswordService:
    """Passwords and invitations."""

    def __init__(
        self, *, store: Store, clock: Clock, entropy: Entropy, hasher: PasswordHasher, sessions: SessionService
    ) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._hasher = hasher
        self._sessions = sessions

    async def invite(self, subject: Subject, login: str) -> NewInvitation:
        """Let a user set a password, a first or a new one. Site administrators only. An older invitation of his ends.

        Raises Conflict for a user who is suspended.
        """
        require_site_admin(subject)
        now = self._clock.now()
        value = make_value(self._entropy.token_bytes(RANDOM_BYTES))
        async with self._store.begin() as connection:
            account = await get_account(connection, login, AccountType.USER)
            require_active(account)
            expires_at = now + INVITATION_LIFE
            await rows.set_invitation(connection, account.id, value, now=now, expires_at=expires_at)
            await audit.record(
                connection,
                at=now,
                actor=subject,
                action="password.invite",
                account_id=account.id,
                target=account.login,
            )
        return NewInvitation(account=account, value=value, expires_at=expires_at)

    async def find_invited(self, value: SecretText) -> Account:
        """Whom the invitation is for. Raises NotFound for one that does not hold."""
        if not is_value(value.reveal()):
            raise _void()
        async with self._store.read() as connection:
            account = await rows.find_invited(connection, value, self._clock.now())
        if account is None:
            raise _void()
        return account

    async def accept(
        self, value: SecretText, password: SecretText, visitor: Visitor, *, replaces: Session | None = None
    ) -> NewSession:
        """Set the password, end the invitation and all sessions, and sign in. Raises NotFound, Invalid; Denied: suspended."""
        account = await self.find_invited(value)
        check_password(password, account.login)
        stored = await self._hasher.hash(password)
        async with self._store.begin() as connection:
            await self._sessions.admit(connection, account)
            if not await rows.use_invitation(connection, value, self._clock.now()):
                raise _void()  # used meanwhile
            return await self._set(connection, account, stored, visitor, replaces)

    async def has_own(self, subject: Subject) -> bool:
        """Whether the caller has a password at all."""
        async with self._store.read() as connection:
            return await rows.has_password(connection, subject.account_id)

    async def change_own(
        self, subject: Subject, old: SecretText, new: SecretText, visitor: Visitor, *, replaces: Session
    ) -> NewSession:
        """Set another password, end all sessions, and begin a new one here. Raises Invalid, and LimitReached (policy 4)."""
        require_personal(subject)
        check_password(new, subject.login)
        try:
            account, stored_old = await self._sessions.check_password(subject.login, old, visitor)
        except Unauthenticated:
            raise _wrong() from None
        stored = await self._hasher.hash(new)
        async with self._store.begin() as connection:
            await self._sessions.admit(connection, account)
            await self._sessions.forget_attempts(connection, account.login, visitor)
            if not await rows.is_still(connection, account.id, stored_old):
                raise _wrong()  # somebody changed it meanwhile
            await rows.end_invitation(connection, account.id)
            return await self._set(connection, account, stored, visitor, replaces)

    async def _set(
        self, connection: AsyncConnection, account: Account, stored: str, visitor: Visitor, replaces: Session | None
    ) -> NewSession:
        now = self._clock.now()
        await rows.set_hash(connection, account.id, stored, now)
        await session_rows.delete_sessions(connection, account.id)
        made = await self._sessions.begin(connection, account, visitor, replaces=replaces)
        await audit.record(
            connection,
            at=now,
            actor=made.subject,
            action="password.set",
            account_id=account.id,
            target=account.login,
        )
        return made


def _wrong() -> Invalid:
    return Invalid("That is not the password that you have now.", field="old", code="password.wrong")


def _void() -> NotFound:
    return NotFound(
        "This invitation does not hold any more, or never did.",
        code="password.invitation",
        remedy="Each works once, for three days, until a newer one is made. Ask the site administrator for a new one.",
    )

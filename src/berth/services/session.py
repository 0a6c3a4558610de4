"""Use cases of sessions of the web console: signing in, who a session proves, ending it.

1. Signing in always makes a new session with a new value, and ends the one that the browser had before: what somebody
   planted there is worth nothing afterwards.
2. Who is unknown, has no password, or gives a wrong one gets the same answer after the same work: a count, one look, one
   slow hash (A13). How often is in `domain/sign_in.py`.
3. A session is looked up with each request: one that was ended elsewhere is over at once.
4. An account has MAX_SESSIONS at most: a further one ends the one that was used longest ago. Right passwords are not counted,
   so a program that signs in for ever would fill the database.
5. An attempt that is refused is logged, with the address, and the account if there is one: never what was typed, which may
   be a password in the wrong field. No more lines than `domain/sign_in.py` allows attempts: beyond its bounds there is one
   for each window, and none where neither address nor account bounds them.
6. A password is looked at for a long time, and it may be changed meanwhile: what signs in is the one that there is when the
   session begins, or one that a change was to keep out would come in after it.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import audit
from berth.adapters.store import password as password_rows
from berth.adapters.store import session as rows
from berth.adapters.store import sign_in as attempt_rows
from berth.adapters.store import suspension as suspension_rows
from berth.adapters.store.database import Store
from berth.adapters.store.session import SessionHolder
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.account import Account, is_login
from berth.domain.client_address import read_address
from berth.domain.problem import Denied, LimitReached, NotFound, Problem, Unauthenticated
from berth.domain.secret_text import SecretText
from berth.domain.session import (
    MAX_SESSIONS,
    MAX_USER_AGENT,
    RANDOM_BYTES,
    Session,
    Visitor,
    is_value,
    make_value,
    session_scopes,
)
from berth.domain.sign_in import MOST_PER_ACCOUNT, MOST_PER_ADDRESS, WINDOW, account_key, address_key
from berth.domain.suspension import suspended
from berth.services.account import require_personal
from berth.services.ports import Clock, Entropy, PasswordHasher

_TOUCH_AFTER = timedelta(minutes=1)
_MAX_ADDRESS = 45
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session just begun, with the value for its cookie."""

    subject: Subject
    session: Session
    value: SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSession:
    """A session that holds, and who it proves."""

    subject: Subject
    session: Session


class SessionService:
    """Sessions."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy, hasher: PasswordHasher) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._hasher = hasher

    async def find(self, value: SecretText, visitor: Visitor) -> KnownSession | None:
        """Who this value proves, shown by that visitor; None for anything bad or ended. Does not ask the database about rubbish."""
        if not is_value(value.reveal()):
            return None
        now = self._clock.now()
        async with self._store.read() as connection:
            holder = await rows.find_holder(connection, value)
        if holder is None or not (holder.session.is_valid(now) and holder.session.holds_for(visitor)):
            return None
        await self._touch(holder.session, now)
        return KnownSession(subject=_to_subject(holder), session=holder.session)

    async def find_by_id(self, session_id: int) -> KnownSession | None:
        """Who a session proves that was shown before. None: it was ended, or is over."""
        async with self._store.read() as connection:
            holder = await rows.find_holder_by_id(connection, session_id)
        if holder is None or not holder.session.is_valid(self._clock.now()):
            return None
        return KnownSession(subject=_to_subject(holder), session=holder.session)

    async def _touch(self, session: Session, now: datetime) -> None:
        if now - session.last_seen_at < _TOUCH_AFTER:
            return
        try:
            async with self._store.begin() as connection:
                await rows.touch(connection, session.id, now)
        except Problem:
            _LOG.warning("session.touch_failed", extra={"session_id": session.id})  # the request goes on without it

    async def sign_in(
        self, login: str, password: SecretText, visitor: Visitor, *, replaces: Session | None = None
    ) -> NewSession:
        """Raises Unauthenticated for a wrong name or password, LimitReached after too many attempts, Denied: suspended."""
        account, stored = await self.check_password(login, password, visitor)
        renewed = await self._hasher.hash(password) if self._hasher.is_outdated(stored) else None
        async with self._store.begin() as connection:
            await self.forget_attempts(connection, account.login, visitor)
            if not await password_rows.is_still(connection, account.id, stored):
                log_refused(visitor, account, way="password")
                raise _refused()  # policy 6
            if renewed is not None:
                await password_rows.set_hash(connection, account.id, renewed, self._clock.now())
            try:
                return await self.begin(connection, account, visitor, replaces=replaces)
            except Denied:
                log_refused(visitor, account, way="password")
                raise

    async def check_password(self, login: str, password: SecretText, visitor: Visitor) -> tuple[Account, str]:
        """The user whose password this is, and its hash. Counts as an attempt until `forget_attempts` is called.

        Raises Unauthenticated for a wrong name or password, LimitReached after too many attempts.
        """
        login = login.strip()
        await self.count_attempt(login, visitor)
        account, stored = await self._find_user(login)
        right = await self._hasher.verify(password, stored)
        if account is None or stored is None or not right:
            log_refused(visitor, account, way="password")
            raise _refused()
        return account, stored

    async def _find_user(self, login: str) -> tuple[Account | None, str | None]:
        async with self._store.read() as connection:
            found = await password_rows.find_user_and_hash(connection, login if is_login(login) else "")
        return found or (None, None)

    async def count_attempt(self, login: str | None, visitor: Visitor) -> None:
        """One more of this account, if one is tried, and of this address. Raises LimitReached."""
        now = self._clock.now()
        wait, is_first = None, False
        async with self._store.begin() as connection:
            await attempt_rows.delete_over(connection, now - WINDOW)
            # The address first: one that is over its bound is counted for no account (domain/sign_in.py, 5).
            for key, most in (
                (address_key(visitor.address), MOST_PER_ADDRESS),
                (None if login is None else account_key(login), MOST_PER_ACCOUNT),
            ):
                if key is not None and wait is None:
                    attempts = await attempt_rows.count_attempt(connection, key, now, WINDOW)
                    wait = attempts.began_at + WINDOW - now if attempts.count > most else None
                    is_first = attempts.count == most + 1
        if wait is None:
            return
        if is_first:
            account, _stored = (None, None) if login is None else await self._find_user(login)
            _log_too_many(visitor, account)
        raise _too_many(wait)

    async def forget_attempts(self, connection: AsyncConnection, login: str | None, visitor: Visitor) -> None:
        """The last one succeeded: the account's are forgotten, and that one of the address (domain/sign_in.py, policy 2).

        Rows are locked in the order in which they are counted.
        """
        key = address_key(visitor.address)
        if key is not None:
            await attempt_rows.take_back(connection, key)
        if login is not None:
            await attempt_rows.forget(connection, account_key(login))

    async def admit(self, connection: AsyncConnection, account: Account) -> None:
        """However he proved who he is, here he is refused if he is suspended (domain/suspension.py, policy 5). Raises Denied.

        Nobody suspends him until the transaction ends. One that ends sessions calls this first, so that rows are locked in order.
        """
        if await suspension_rows.is_suspended(connection, account.id, lock=True):
            raise suspended()

    async def begin(
        self, connection: AsyncConnection, account: Account, visitor: Visitor, *, replaces: Session | None
    ) -> NewSession:
        """A session for somebody who has just proved who he is, inside the caller's transaction. Raises as `admit`."""
        await self.admit(connection, account)
        now = self._clock.now()
        await rows.delete_ended(connection, now)
        if replaces is not None:
            await rows.delete_session(connection, replaces.account_id, replaces.id)
        value = make_value(self._entropy.token_bytes(RANDOM_BYTES))
        shown = Visitor(address=visitor.address[:_MAX_ADDRESS], user_agent=visitor.user_agent[:MAX_USER_AGENT])
        session = await rows.insert_session(connection, value, account_id=account.id, visitor=shown, now=now)
        await rows.delete_beyond(connection, account.id, MAX_SESSIONS)
        holder = SessionHolder(session=session, login=account.login, site_admin=account.site_admin)
        subject = _to_subject(holder)
        await self._record(connection, subject, "session.begin", str(session.id))
        return NewSession(subject=subject, session=session, value=value)

    async def sign_out(self, known: KnownSession) -> None:
        """End this session. May be repeated."""
        async with self._store.begin() as connection:
            if await rows.delete_session(connection, known.session.account_id, known.session.id):
                await self._record(connection, known.subject, "session.end", str(known.session.id))

    async def list_own(self, subject: Subject, *, limit: int, offset: int) -> tuple[list[Session], int]:
        """Those that hold, last used first."""
        require_personal(subject)
        async with self._store.read() as connection:
            return await rows.list_sessions(
                connection, subject.account_id, self._clock.now(), limit=limit, offset=offset
            )

    async def end_own(self, subject: Subject, session_id: int) -> None:
        """Sign out somewhere. Raises NotFound."""
        require_personal(subject)
        async with self._store.begin() as connection:
            if not await rows.delete_session(connection, subject.account_id, session_id):
                raise NotFound("There is no such session.", code="session.not_found")
            await self._record(connection, subject, "session.end", str(session_id))

    async def end_all_own(self, subject: Subject) -> None:
        """Sign out everywhere, here too."""
        require_personal(subject)
        async with self._store.begin() as connection:
            ended = await rows.delete_sessions(connection, subject.account_id)
            await self._record(connection, subject, "session.end_all", str(ended))

    async def _record(self, connection: AsyncConnection, actor: Subject, action: str, target: str) -> None:
        await audit.record(
            connection,
            at=self._clock.now(),
            actor=actor,
            action=action,
            account_id=actor.account_id,
            target=target,
        )


def _refused() -> Unauthenticated:
    """Policy 2: one answer."""
    return Unauthenticated(
        "The user name or the password is wrong.",
        code="session.refused",
        remedy="If you have no password yet or forgot it, ask the site administrator for an invitation.",
    )


def _too_many(wait: timedelta) -> LimitReached:
    minutes = max(1, round(wait / timedelta(minutes=1)))
    return LimitReached(
        "There were too many attempts to sign in.",
        code="session.too_many_attempts",
        retry_after_s=minutes * 60,
        remedy=f"Try again in {minutes} minutes." if minutes > 1 else "Try again in a minute.",
    )


def log_refused(visitor: Visitor, account: Account | None, *, way: str) -> None:
    """Somebody did not prove who he is (policy 5)."""
    if (who := _who_tried(visitor, account)) is not None:
        _LOG.warning("session.refused", extra=who | {"way": way})


def _log_too_many(visitor: Visitor, account: Account | None) -> None:
    if (who := _who_tried(visitor, account)) is not None:
        _LOG.warning("session.too_many_attempts", extra=who)


def _who_tried(visitor: Visitor, account: Account | None) -> dict[str, str] | None:
    """None: it is not logged (policy 5)."""
    address = read_address(visitor.address)
    if address is None and account is None:
        return None
    return {
        "address": "none" if address is None else str(address),
        "login": "unknown account" if account is None else account.login,  # no account is called so
    }


def _to_subject(holder: SessionHolder) -> Subject:
    """The person himself."""
    return Subject(
        account_id=holder.session.account_id,
        login=holder.login,
        site_admin=holder.site_admin,
        token_kind=TokenKind.PERSONAL,
        token_id=0,
        scopes=session_scopes(site_admin=holder.site_admin),
        session_id=holder.session.id,
    )

"""Use case: try a registry's login before it is stored.

1. Who may change the secrets of a level may try a login for it: what he could store and read in a codespace, he may send to
   the registry of his choice. Others are told what they are told of the secrets (A13).
2. The values come in sealed, as to be stored; what was sealed for another owner does not open (S5). They are kept nowhere.
3. One at a time for an account, for 15 s at most.
4. The audit log has whose, which registry and what came of it; never user or password.
"""

from dataclasses import dataclass

from berth.adapters.store import audit
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.image_reference import parse_image_reference
from berth.domain.problem import LimitReached
from berth.domain.registry_login import LoginVerdict
from berth.domain.secret_text import SecretText
from berth.services.account_turn import AccountTurns
from berth.services.ports import Clock, Sealer
from berth.services.registry_login import LOGIN_TIMEOUT_S, GivenLogin, RegistryLogins
from berth.services.secret_access import SecretOwner, SecretPlace, find_owner
from berth.services.secret_change import check_value


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedLogin:
    """What a request asks to be tried."""

    server: str
    key_id: str
    encrypted_username: str
    encrypted_password: str
    encrypted_session_token: str | None = None
    prefix: str = ""
    image: str = ""


class RegistryCheckService:
    """Tries logins for people. One per process."""

    def __init__(self, *, store: Store, clock: Clock, sealer: Sealer, logins: RegistryLogins) -> None:
        self._store = store
        self._clock = clock
        self._sealer = sealer
        self._logins = logins
        self._turns = AccountTurns()

    async def check(self, subject: Subject, place: SecretPlace, sealed: SealedLogin) -> LoginVerdict:
        """Raises what `find_owner` raises; Invalid for what cannot be a login; LimitReached (policy 3)."""
        async with self._store.read() as connection:
            owner = await find_owner(connection, subject, place, write=True)
        given = self._open(owner, sealed)
        image = parse_image_reference(sealed.image) if sealed.image else None
        busy = LimitReached(
            "Another login of yours is being tried.", code="registry_login.busy", retry_after_s=int(LOGIN_TIMEOUT_S)
        )
        with self._turns.take(subject, busy):
            verdict = await self._logins.try_login(given, image)
        await self._record(subject, owner, verdict)
        return verdict

    def _open(self, owner: SecretOwner, sealed: SealedLogin) -> GivenLogin:
        return GivenLogin(
            level=owner.level,
            server=sealed.server,
            user=self._open_one(owner, sealed.key_id, sealed.encrypted_username),
            password=self._open_one(owner, sealed.key_id, sealed.encrypted_password),
            session_token=None
            if sealed.encrypted_session_token is None
            else self._open_one(owner, sealed.key_id, sealed.encrypted_session_token),
            prefix=sealed.prefix,
        )

    def _open_one(self, owner: SecretOwner, key_id: str, sealed: str) -> SecretText:
        value = self._sealer.open_sealed(key_id, sealed, owner=owner.text)
        check_value(value)
        return value

    async def _record(self, subject: Subject, owner: SecretOwner, verdict: LoginVerdict) -> None:
        code = "" if verdict.finding is None else f" {verdict.finding.code}"
        async with self._store.begin() as connection:
            await audit.record(
                connection,
                at=self._clock.now(),
                actor=subject,
                action="codespace.registry_check",
                account_id=owner.account_id,
                target=verdict.host,
                detail=f"{owner.level} {owner.label}: {verdict.outcome}{code}",
            )

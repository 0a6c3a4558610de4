"""Use cases of identities: signing in by the administrator's provider, linking one, removing it (domain/identity.py)."""

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import audit
from berth.adapters.store import identity as rows
from berth.adapters.store import password as password_rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.account import Account, AccountType
from berth.domain.identity import Answer, Claims, Flow, Identity, UnknownIdentity, propose_logins, refused
from berth.domain.problem import Conflict, Denied, LimitReached, NotFound, Unauthenticated
from berth.domain.session import RANDOM_BYTES, Session, Visitor, make_value
from berth.services.account import require_personal
from berth.services.ports import Clock, Entropy, IdentityProvider
from berth.services.session import NewSession, SessionService, log_refused


class IdentityService:
    """Identities at the provider, if there is one."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        sessions: SessionService,
        provider: IdentityProvider | None,
        unknown: frozenset[UnknownIdentity],
    ) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._sessions = sessions
        self._provider = provider
        self._unknown = unknown

    @property
    def provider_host(self) -> str | None:
        """By which people know the provider; None without one."""
        return None if self._provider is None else self._provider.host

    async def begin(self, redirect_uri: str, *, links: bool, return_to: str = "/") -> tuple[Flow, str]:
        """The flow for the browser's cookie, and the address to send it to. Raises NotFound, UpstreamFailed."""
        value = make_value(self._entropy.token_bytes(RANDOM_BYTES))
        flow = Flow(value=value, links=links, return_to=return_to)
        return flow, await self._get_provider().begin(flow, redirect_uri)

    async def sign_in(
        self, flow: Flow, answer: Answer, redirect_uri: str, visitor: Visitor, *, replaces: Session | None = None
    ) -> NewSession:
        """Raises Unauthenticated for an answer that is not taken, Denied for who is unknown (policy 3), LimitReached."""
        if flow.links:
            raise refused("it was asked for something else")
        await self._sessions.count_attempt(None, visitor)
        try:
            claims = await self._get_provider().finish(flow, answer, redirect_uri)
            async with self._store.begin() as connection:
                account = await rows.find_account(connection, claims)
                if account is None:
                    account = await self._admit(connection, claims)
                await self._sessions.forget_attempts(connection, None, visitor)
                return await self._sessions.begin(connection, account, visitor, replaces=replaces)
        except (Denied, Unauthenticated):
            log_refused(visitor, None, way="provider")
            raise

    async def _admit(self, connection: AsyncConnection, claims: Claims) -> Account:
        """Policies 2 and 3."""
        account = None
        if UnknownIdentity.LINK_BY_EMAIL in self._unknown:
            account = await self._find_by_email(connection, claims)
        if account is None and UnknownIdentity.CREATE_USER in self._unknown:
            account = await self._create(connection, claims)
        if account is None:
            raise _unknown(claims)
        await rows.insert_identity(connection, account.id, claims, self._clock.now())
        await self._record(connection, None, "identity.link", account.id, claims.issuer)
        return account

    async def _find_by_email(self, connection: AsyncConnection, claims: Claims) -> Account | None:
        """Whose verified address it is. Raises Denied where one is, but not to be linked by it (policy 2)."""
        found = [] if claims.email is None else await rows.find_users_by_email(connection, claims.email)
        if not found:
            return None
        if len(found) > 1 or found[0].site_admin or await rows.has_identity(connection, found[0].id, claims.issuer):
            raise _unknown(claims)
        return found[0]

    async def _create(self, connection: AsyncConnection, claims: Claims) -> Account:
        for login in propose_logins(claims):
            if await account_rows.find_account(connection, login) is None:
                account = await account_rows.insert_account(
                    connection, login=login, kind=AccountType.USER, now=self._clock.now(), email=claims.email
                )
                await self._record(connection, None, "user.create", account.id, account.login)
                return account
        raise LimitReached("Every name for a new account is taken.", code="identity.no_name")

    async def link(self, subject: Subject, flow: Flow, answer: Answer, redirect_uri: str) -> Identity:
        """Let the caller sign in by this identity from now on. Raises Unauthenticated, Conflict, LimitReached."""
        require_personal(subject)
        if not flow.links:
            raise refused("it was asked for something else")
        claims = await self._get_provider().finish(flow, answer, redirect_uri)
        async with self._store.begin() as connection:
            if len(await rows.list_identities(connection, subject.account_id)) >= rows.MAX_IDENTITIES:
                raise LimitReached(f"An account has at most {rows.MAX_IDENTITIES}.", code="identity.too_many")
            identity = await rows.insert_identity(connection, subject.account_id, claims, self._clock.now())
            await self._record(connection, subject, "identity.link", subject.account_id, claims.issuer)
        return identity

    async def list_own(self, subject: Subject) -> list[Identity]:
        async with self._store.read() as connection:
            return await rows.list_identities(connection, subject.account_id)

    async def remove_own(self, subject: Subject, identity_id: int) -> None:
        """Raises NotFound; Conflict if the caller could not sign in any more."""
        require_personal(subject)
        async with self._store.begin() as connection:
            own = await rows.list_identities(connection, subject.account_id)
            if not any(identity.id == identity_id for identity in own):
                raise NotFound("You have no such identity.", code="identity.not_found")
            if len(own) == 1 and not await password_rows.has_password(connection, subject.account_id):
                raise Conflict(
                    "You could not sign in any more: you have no password.",
                    code="identity.last",
                    remedy="Ask the site administrator for an invitation, and set one first.",
                )
            await rows.delete_identity(connection, subject.account_id, identity_id)
            await self._record(connection, subject, "identity.unlink", subject.account_id, str(identity_id))

    def _get_provider(self) -> IdentityProvider:
        if self._provider is None:
            raise NotFound("Not Found", code="identity.no_provider")
        return self._provider

    async def _record(
        self, connection: AsyncConnection, actor: Subject | None, action: str, account_id: int, target: str
    ) -> None:
        await audit.record(
            connection, at=self._clock.now(), actor=actor, action=action, account_id=account_id, target=target
        )


def _unknown(claims: Claims) -> Denied:
    return Denied(
        f"No account here is linked to {claims.shown}.",
        code="identity.unknown",
        remedy="If you have an account, sign in with its password and link it in Settings, Account. "
        "Otherwise ask the site administrator for one.",
    )

"""Who may do what in the built-in registry: what a registry token proves, and the decision, anew at every request (A14).

1. A registry token is the word of an access token, minutes old. Who that is and what he may do is read again now: a
   revoked token, a lost role, a package that closed take effect at once.
2. What is decided is what the access token may do; the registry token's grants cap it. If only the grants are in the
   way, the client is told to fetch another token.
3. What the caller may not pull does not exist for him (A13): missing and hidden take the same way through this module.
   A sentence about the token itself (a scope that it lacks, a codespace that wants to push) is said of both.
4. A push to a free name makes the package, at the first request that stores something (A2, A8, A9, A11).
5. While nothing was published under a name, each push to it keeps the package from being collected for the grace period.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import audit
from berth.adapters.store import package as rows
from berth.adapters.store import package_grant as grant_rows
from berth.adapters.store.database import Store
from berth.adapters.store.fresh import FreshCache
from berth.adapters.store.package import Asker, KnownPackage
from berth.domain.access import Decision, Subject
from berth.domain.access_token import TokenKind, find_token_kind
from berth.domain.package import PackageName
from berth.domain.package_access import (
    Creation,
    NamespaceFacts,
    PackageAction,
    decide_creation,
    decide_package,
    refusal_text,
)
from berth.domain.package_advice import find_remedy, say_hidden
from berth.domain.package_role import PackageRole
from berth.domain.problem import Conflict, Denied, NotFound, Unauthenticated, UpstreamFailed
from berth.domain.registry_token import RegistryClaims, from_payload
from berth.domain.resource_scope import format_scope
from berth.services.access_token import AccessTokenService
from berth.services.ports import Clock, RegistryTokenSigner

_MAX_VERIFIED = 4096
_MAX_VERIFIED_CHARACTERS = 4 * 1024 * 1024  # a token may have 32 thousand, and anybody may fetch as many as he likes
_MAX_ATTEMPTS = 3
_TOUCH_UNPUBLISHED_EVERY = timedelta(minutes=10)
Found = TypeVar("Found")


class TokenNeeded(Unauthenticated):
    """The client should fetch a registry token of this scope and come again."""

    def __init__(self, message: str, *, scope: str, error: str = "", code: str) -> None:
        super().__init__(message, code=code)
        self.scope = scope
        self.error = error  # RFC 6750 section 3.1: invalid_token or insufficient_scope; empty without any token


class PackageDenied(Denied):
    """The access token does not allow this scope, so no registry token made with it does: another login is needed."""

    error = "insufficient_scope"

    def __init__(self, message: str, *, remedy: str, scope: str) -> None:
        super().__init__(message, code="package.denied", remedy=remedy)
        self.scope = scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a registry token proves, now; and until when, if nothing changes."""

    subject: Subject | None
    claims: RegistryClaims
    valid_until: datetime

    @property
    def asker(self) -> Asker:
        return asker_of(self.subject)

    @property
    def actor(self) -> Subject:
        """Whoever was let through to something that needs a login. Raises TypeError for nobody: that would be a bug."""
        if self.subject is None:
            raise TypeError("nobody does this without a login")
        return self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered(Generic[Found]):
    """What was found for one registry token at one path, until when it may be said again if nothing changes."""

    value: Found
    valid_until: datetime
    size_bytes: int = 0


@dataclass(slots=True)
class _Look:
    """What is known of one subject and one name, with the decisions taken so far."""

    known: KnownPackage | None
    decisions: dict[PackageAction, Decision] = field(default_factory=dict)


def asker_of(subject: Subject | None) -> Asker:
    """Whom facts about packages are gathered about."""
    if subject is None:
        return Asker(None)
    return Asker(subject.account_id, subject.codespace_repository_id or subject.workflow_repository_id)


class RegistryAccess:
    """Authenticates and authorises requests to `/v2`."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        cache: FreshCache,
        signer: RegistryTokenSigner,
        tokens: AccessTokenService,
    ) -> None:
        self._store = store
        self._clock = clock
        self._cache = cache
        self._signer = signer
        self._tokens = tokens
        self._verified: dict[str, RegistryClaims] = {}
        self._verified_characters = 0

    async def authenticate(self, token: str, scope: str) -> Caller:
        """Who shows this registry token. Raises TokenNeeded naming the scope that the request needs."""
        claims = self._claims(token, scope)
        if claims.token_id is None:
            return Caller(subject=None, claims=claims, valid_until=claims.expires_at)
        token_id = claims.token_id
        known = await self._cache.get(("subject", token_id), lambda: self._tokens.find_by_id(token_id))
        if known is None or not known.token.is_valid(self._clock.now()):
            raise TokenNeeded(
                "The access token behind this registry token is no longer valid.",
                scope=scope,
                error="invalid_token",
                code="registry_token.revoked",
            )
        valid_until = min(claims.expires_at, known.token.expires_at or claims.expires_at)
        return Caller(subject=known.subject, claims=claims, valid_until=valid_until)

    def _claims(self, token: str, scope: str) -> RegistryClaims:
        """Verified once per token: a signature costs more than all the rest of a request."""
        now = self._clock.now()
        claims = self._verified.get(token)
        if claims is None:
            try:
                claims = from_payload(self._signer.verify(token))
            except Unauthenticated as problem:
                raise _not_ours(token, scope, problem) from problem
            self._remember_claims(token, claims)
        if now >= claims.expires_at:
            raise TokenNeeded(
                "The registry token has expired.", scope=scope, error="invalid_token", code="registry_token.expired"
            )
        return claims

    async def remember(self, token: bytes, path: str, find: Callable[[], Awaitable[Remembered[Found]]]) -> Found:
        """What `find` finds. Not asked again while it could only find the same: nothing was stored, nothing expired."""
        key_bytes = len(token) + len(path)
        found: Remembered[Found] = await self._cache.get(
            (token, path), find, size_of=lambda value: value.size_bytes + key_bytes
        )
        if self._clock.now() >= found.valid_until:
            found = await find()
        return found.value

    def recall(self, token: bytes, path: str) -> Any | None:
        """What `remember` would answer, if that can be said without waiting for anything; else None."""
        try:
            found: Remembered[Any] | None = self._cache.recall((token, path))
        except UpstreamFailed:
            return None  # the long way meets it again, and says so
        return found.value if found is not None and self._clock.now() < found.valid_until else None

    def _remember_claims(self, token: str, claims: RegistryClaims) -> None:
        """Bounded: when it is full, it starts anew."""
        if len(self._verified) >= _MAX_VERIFIED or self._verified_characters >= _MAX_VERIFIED_CHARACTERS:
            self._verified.clear()
            self._verified_characters = 0
        self._verified[token] = claims
        self._verified_characters += len(token)

    async def _look(self, caller: Caller, name: PackageName) -> _Look:
        key = ("package", caller.claims.token_id, name)
        found: _Look = await self._cache.get(key, lambda: self._gather(caller, name))
        return found

    async def _gather(self, caller: Caller, name: PackageName) -> _Look:
        async with self._store.look() as connection:
            return _Look(await rows.find_known_package(connection, caller.asker, name))

    async def authorize(self, caller: Caller, name: PackageName, action: PackageAction) -> KnownPackage:
        """The package, if the caller may do this with it now. Raises NotFound, Denied or TokenNeeded (policy 1 to 3)."""
        look = await self._look(caller, name)
        known = look.known
        if known is None:
            raise self.refusal(caller, name, action)
        decision = look.decisions.get(action)
        if decision is None:
            decision = look.decisions[action] = decide_package(caller.subject, known.facts, action)
        if not decision:
            raise self.refusal(caller, name, action, decision)
        covered = caller.claims.lets_through(name, action, package_id=known.package.id, made_by=known.creator_token_id)
        if not covered:
            raise insufficient(format_scope(name, {action}))
        return known

    async def find_readable(self, caller: Caller, name: PackageName) -> KnownPackage | None:
        """The package if the *access token* may pull it, whatever the registry token was made for."""
        look = await self._look(caller, name)
        if look.known is None or not decide_package(caller.subject, look.known.facts, PackageAction.PULL):
            return None
        return look.known

    async def authorize_push(self, caller: Caller, name: PackageName) -> KnownPackage:
        """The same for a push, which makes the package if the name is free (policy 4)."""
        for _ in range(_MAX_ATTEMPTS):
            if (await self._look(caller, name)).known is not None:
                known = await self._authorize_push_to_known(caller, name)
                if await self._keep(known):
                    return known
                continue
            try:
                await self._create(caller, name)
            except Conflict:
                continue  # another request was quicker: whatever it made is judged like any other
        raise Conflict("The package comes and goes.", code="package.name_taken", remedy="Push again.")

    async def check_push(self, caller: Caller, name: PackageName) -> None:
        """Raises what `authorize_push` would, and makes nothing: to be asked before work is done for a stranger."""
        if (await self._look(caller, name)).known is not None:
            await self._authorize_push_to_known(caller, name)
            return
        async with self._store.read() as connection:
            await self._plan_creation(connection, caller, name)

    async def _authorize_push_to_known(self, caller: Caller, name: PackageName) -> KnownPackage:
        """A refusal that would be one for a free name, too, sounds like that: nobody learns which names are in use."""
        try:
            return await self.authorize(caller, name, PackageAction.PUSH)
        except NotFound:
            async with self._store.read() as connection:
                namespace = await rows.find_namespace(connection, caller.asker, name.owner)
            creation = None if namespace is None else decide_creation(caller.subject, namespace)
            if creation is not None and not creation.decision:
                raise self.refusal(caller, name, PackageAction.PUSH, creation.decision) from None
            raise

    async def _keep(self, known: KnownPackage) -> bool:
        """Policy 5. False: it just went."""
        now = self._clock.now()
        if known.package.published_at is not None or now - known.package.updated_at < _TOUCH_UNPUBLISHED_EVERY:
            return True
        async with self._store.begin() as connection:
            return await rows.hold_package(connection, known.package.id, now)

    async def _create(self, caller: Caller, name: PackageName) -> None:
        async with self._store.begin() as connection:
            subject, namespace, creation = await self._plan_creation(connection, caller, name)
            now = self._clock.now()
            package_id = await rows.insert_package(
                connection,
                owner_id=namespace.owner_id,
                name=name.name,
                visibility=creation.visibility,
                inherits_access=creation.inherits_access,
                repository_id=creation.repository_id,
                creator_token_id=subject.token_id,
                now=now,
            )
            if _becomes_admin(subject, namespace):
                await rows.set_user_grant(connection, package_id, subject.account_id, PackageRole.ADMIN)
            if creation.workflow_role is not PackageRole.NONE and creation.repository_id is not None:
                await grant_rows.set_workflow_repository(
                    connection, package_id, creation.repository_id, creation.workflow_role
                )
            await audit.record(
                connection,
                at=now,
                actor=subject,
                action="package.create",
                account_id=namespace.owner_id,
                target=str(name),
                detail=_detail(creation),
            )

    async def _plan_creation(
        self, connection: AsyncConnection, caller: Caller, name: PackageName
    ) -> tuple[Subject, NamespaceFacts, Creation]:
        """What a push to this free name makes, and for whom. Raises NotFound, Denied or TokenNeeded."""
        subject = caller.subject
        namespace = await rows.find_namespace(connection, caller.asker, name.owner)
        creation = None if namespace is None else decide_creation(subject, namespace)
        if subject is None or namespace is None or creation is None or not creation.decision:
            raise self.refusal(caller, name, PackageAction.PUSH, None if creation is None else creation.decision)
        if not caller.claims.lets_create(name):
            raise insufficient(format_scope(name, {PackageAction.PULL, PackageAction.PUSH}))
        return subject, namespace, creation

    def refusal(
        self, caller: Caller, name: PackageName, action: PackageAction, decision: Decision | None = None
    ) -> NotFound | Denied | TokenNeeded:
        """The one answer for what is refused, hidden or missing (policy 3)."""
        subject, scope = caller.subject, format_scope(name, {action})
        if subject is None:
            return TokenNeeded(say_hidden(None, action), scope=scope, code="unauthenticated")
        text = refusal_text(subject, action, decision)
        if text is not None:
            return PackageDenied(text, remedy=find_remedy(subject, action, decision), scope=scope)
        return NotFound(say_hidden(subject, action), code="package.not_found")


def no_registry_token(scope: str) -> TokenNeeded:
    """Something else was shown: an access token, for instance."""
    return TokenNeeded(
        "This registry takes tokens of its token service; log in with docker login.",
        scope=scope,
        error="invalid_token",
        code="registry_token.scheme",
    )


def _not_ours(token: str, scope: str, problem: Unauthenticated) -> TokenNeeded:
    if find_token_kind(token) is not None:
        return no_registry_token(scope)
    return TokenNeeded(problem.message, scope=scope, error="invalid_token", code=problem.code)


def _becomes_admin(subject: Subject, namespace: NamespaceFacts) -> bool:
    """Rule A2, for whom ownership does not make admin already; a workflow's package takes its roles from its repository."""
    return subject.token_kind is TokenKind.PERSONAL and subject.account_id != namespace.owner_id


def insufficient(scope: str) -> TokenNeeded:
    """The registry token is in the way, not the access token (policy 2)."""
    return TokenNeeded(
        "The registry token was not made for this.",
        scope=scope,
        error="insufficient_scope",
        code="registry_token.scope",
    )


def _detail(creation: Creation) -> str:
    rules = " ".join(reason.rule for reason in creation.decision.trail)
    return f"{creation.visibility} {rules}"

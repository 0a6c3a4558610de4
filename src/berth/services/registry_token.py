"""Making registry tokens: what is allowed of what was asked (the intersection), for some minutes.

The access token is the password of a Basic credential, or a form's; without one the token is anonymous and good for
public packages. Bad credentials are refused, never treated as anonymous (C11).

Source: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import package as rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.package import PackageName
from berth.domain.package_access import PackageAction, decide_creation, decide_package, limit_of_token
from berth.domain.problem import Unauthenticated
from berth.domain.registry_token import RegistryClaims, RegistryGrant, to_payload
from berth.domain.resource_scope import parse_scopes
from berth.domain.secret_text import SecretText
from berth.services.access_token import AccessTokenService
from berth.services.ports import Clock, RegistryTokenSigner
from berth.services.registry_access import asker_of

_MADE_BY_PUSHING = (PackageAction.PULL, PackageAction.PUSH, PackageAction.DELETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRegistryToken:
    """A token just made."""

    value: SecretText
    issued_at: datetime
    lifetime_s: int


class RegistryTokenService:
    """Answers `/token`."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        signer: RegistryTokenSigner,
        tokens: AccessTokenService,
        lifetime_s: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._signer = signer
        self._tokens = tokens
        self._lifetime_s = lifetime_s

    async def issue(self, password: SecretText | None, scopes: Sequence[str]) -> NewRegistryToken:
        """A token for what these scopes ask and the access token allows. Raises Unauthenticated for a bad one."""
        subject = None
        if password is not None:
            subject = await self._tokens.find_subject(password)
            if subject is None:
                raise Unauthenticated(
                    "The password is no valid access token of this server.",
                    code="registry_token.bad_credentials",
                    remedy="Use a personal access token that was not revoked and has not expired.",
                )
        asked = parse_scopes(scopes)
        now = self._clock.now()
        claims = RegistryClaims(
            token_id=None if subject is None else subject.token_id,
            login="" if subject is None else subject.login,
            grants=await self._grants(subject, asked.packages),
            catalog=asked.catalog,
            issued_at=now,
            expires_at=now + timedelta(seconds=self._lifetime_s),
        )
        token = self._signer.sign(to_payload(claims))
        return NewRegistryToken(value=SecretText(token), issued_at=now, lifetime_s=self._lifetime_s)

    async def _grants(
        self, subject: Subject | None, asked: dict[PackageName, frozenset[PackageAction]]
    ) -> dict[PackageName, RegistryGrant]:
        """Names for which nothing is allowed are left out, whether they exist or not."""
        grants = {}
        asker = asker_of(subject)
        free: dict[str, set[PackageAction]] = {}  # by owner: what may be done with a package that is made there
        async with self._store.read() as connection:
            for name, actions in asked.items():
                known = await rows.find_known_package(connection, asker, name)
                if known is not None:
                    package_id = known.package.id
                    allowed = {action for action in actions if decide_package(subject, known.facts, action)}
                else:
                    package_id = None
                    if name.owner not in free:
                        free[name.owner] = await _of_maker(connection, subject, name.owner)
                    allowed = free[name.owner] & actions
                if allowed:
                    grants[name] = RegistryGrant(actions=frozenset(allowed), package_id=package_id)
        return grants


async def _of_maker(connection: AsyncConnection, subject: Subject | None, owner: str) -> set[PackageAction]:
    """What this token can do with a package that it makes itself under this account; nothing if it can make none."""
    actions = {action for action in _MADE_BY_PUSHING if limit_of_token(subject, action) is None}
    if PackageAction.PUSH not in actions:
        return set()
    namespace = await rows.find_namespace(connection, asker_of(subject), owner)
    return actions if namespace is not None and decide_creation(subject, namespace).decision else set()

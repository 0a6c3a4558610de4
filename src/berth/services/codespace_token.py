"""The tokens of codespaces: which one there is at each moment, and until when (policy: `domain/credential_refresh.py`).

1. While an image is opened: one that the server uses alone. It never enters the container, and the next one ends it.
2. In the container: one with an end. Whoever issues it enrols the codespace for its refresh, in the same transaction.
3. A refresh looks at the token that the container shows. The one that it replaces stays valid until the new one is in
   the container, and then for a grace: whatever dies in between, what lies in the container is good.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import access_token as rows
from berth.adapters.store import codespace as codespace_rows
from berth.adapters.store import credential_refresh as refresh_rows
from berth.adapters.store.database import Store
from berth.domain.access_token import AccessToken, find_token_kind
from berth.domain.codespace import Codespace
from berth.domain.credential_refresh import Readiness, due_in_s, find_readiness, is_worn, replaced_until
from berth.domain.secret_text import SecretText
from berth.services.access_token import AccessTokenService
from berth.services.ports import Clock, Entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class CodespaceToken:
    """What a container is to hold."""

    value: SecretText
    expires_at: datetime | None
    replaced: AccessToken | None = None  # what it holds until then


class CodespaceTokens:
    """Issues, renews and ends them."""

    def __init__(
        self, *, store: Store, access: AccessTokenService, clock: Clock, entropy: Entropy, life_s: float
    ) -> None:
        self._store = store
        self._access = access
        self._clock = clock
        self._entropy = entropy
        self._life = timedelta(seconds=life_s)

    async def issue_for_image(self, codespace: Codespace) -> CodespaceToken:
        """Policy 1; older ones are void. It ends with the launch, however long that takes."""
        value = await self._access.issue_for_codespace(codespace.owner_id, codespace.id)
        return CodespaceToken(value=value, expires_at=None)

    async def issue_for_container(self, codespace: Codespace) -> CodespaceToken:
        """Policy 2; older ones are void."""
        async with self._store.begin() as connection:
            await rows.revoke_codespace_tokens(connection, codespace.id)
            token = await self._issue(connection, codespace, None)
            due = self.due_in_s([token.expires_at])
            await refresh_rows.enrol(connection, codespace.id, due or 0.0)
        return token

    async def renew(
        self, connection: AsyncConnection, codespace: Codespace, shown: SecretText | None
    ) -> CodespaceToken | None:
        """Policy 3: the token that the container shows, or a new one where half of its life is over.

        None: the codespace is not what it was; whatever was asked of it meanwhile comes first.
        """
        if shown is not None and find_token_kind(shown.reveal()) is None:
            shown = None
        now_there = await codespace_rows.lock_codespace(connection, codespace.id)
        if find_readiness(now_there) is not Readiness.NOW or _other_container(now_there, codespace):
            return None
        held = None if shown is None else await rows.find_codespace_token(connection, codespace.id, shown)
        if shown is not None and held is not None and not self._is_worn(held):
            return CodespaceToken(value=shown, expires_at=held.expires_at)
        replaced = held or await rows.find_codespace_token(connection, codespace.id)
        await rows.revoke_codespace_tokens(connection, codespace.id, but=None if replaced is None else replaced.id)
        return await self._issue(connection, codespace, replaced)

    async def end_replaced(self, connection: AsyncConnection, token: CodespaceToken) -> None:
        """The new one is in the container."""
        if token.replaced is not None:
            until = replaced_until(token.replaced.expires_at, self._clock.now())
            await rows.end_token(connection, token.replaced.id, until)

    async def void(self, codespace: Codespace) -> None:
        """All are good for nothing from now on. May be repeated."""
        await self._access.revoke_of_codespace(codespace.id)

    def due_in_s(self, expiries: list[datetime | None]) -> float | None:
        """When to look at what expires then."""
        chance = int.from_bytes(self._entropy.token_bytes(2)) / 0xFFFF
        return due_in_s(expiries, self._clock.now(), chance)

    def _is_worn(self, token: AccessToken) -> bool:
        return is_worn(token.created_at, token.expires_at, self._clock.now())

    async def _issue(
        self, connection: AsyncConnection, codespace: Codespace, replaced: AccessToken | None
    ) -> CodespaceToken:
        expires_at = self._clock.now() + self._life
        value = await self._access.issue_codespace_token(connection, codespace.owner_id, codespace.id, expires_at)
        return CodespaceToken(value=value, expires_at=expires_at, replaced=replaced)


def _other_container(now_there: Codespace | None, codespace: Codespace) -> bool:
    return now_there is None or now_there.container_id != codespace.container_id

"""The worker of the reconcile loop that keeps the credentials in running codespaces fresh (C8).

The rules: `domain/credential_refresh.py`. Who asks: `adapters/store/credential_refresh.py`. A step looks into the container,
opens what its owner may have now, replaces what is there, and says when to look again. It has a table of its own, beside the
one of codespaces: a launch that takes an hour holds up no refresh of others, a request for a refresh cuts off no launch, and
back-off counts for itself. A codespace that is stopped, rebuilt or deleted meanwhile wins: no token is issued for it any
more, and what a late step wrote goes with the tmpfs.
"""

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import account as account_rows
from berth.adapters.store import codespace as codespace_rows
from berth.adapters.store import credential_refresh as refresh_rows
from berth.adapters.store import suspension as suspension_rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import credential_refreshes
from berth.domain.codespace import Codespace
from berth.domain.credential_refresh import Readiness, find_readiness
from berth.domain.launch import INTERNAL
from berth.domain.notification import FAILED
from berth.domain.problem import Problem, UpstreamFailed
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.codespace_install import LOOKS, CodespaceInstaller, changes_all_the_time
from berth.services.codespace_token import CodespaceToken, CodespaceTokens
from berth.services.launch_credentials import CodespaceCredentials
from berth.services.ports import Clock
from berth.services.reconcile import Claim, Outcome

_LOOK_AGAIN_S = 2.0
_FAILED_AGAIN_S = 300.0  # one registry's credential could not be renewed; all others are fresh
_TIMEOUT_S = 120.0


async def ask_for_refresh(store: Store, level: SecretLevel, owner_id: int) -> None:
    """What the keys of this owner were swapped for is good for nothing any more: what runs needs another token."""
    async with store.begin() as connection:
        await refresh_rows.ask_for_level(connection, level, owner_id)


class CredentialRefreshWorker:
    """Drives the rows of the table `credential_refreshes`."""

    table = credential_refreshes

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        tokens: CodespaceTokens,
        credentials: CodespaceCredentials,
        installer: CodespaceInstaller,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._tokens = tokens
        self._credentials = credentials
        self._installer = installer
        self._timeout_s = timeout_s

    async def act(self, claim: Claim) -> Outcome:
        """The whole refresh, or nothing where there is nothing to do."""
        codespace = await self._find(claim)
        if codespace is None or find_readiness(codespace) is not Readiness.NOW:
            return _outcome_without(codespace)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._refresh(claim, codespace)
        except TimeoutError:
            raise UpstreamFailed("It took too long.", code="engine.unreachable", retryable=True) from None

    async def give_up(self, claim: Claim, error: Exception) -> Outcome | None:
        """Never, while it runs: what is there lasts until it expires. That is said once."""
        codespace = await self._find(claim)
        if codespace is None or find_readiness(codespace) is not Readiness.NOW:
            return _outcome_without(codespace)  # it was stopped meanwhile, and that is why it failed
        if claim.row.said != FAILED:
            message = error.message if isinstance(error, Problem) else INTERNAL.sentence
            text = f"The registry credentials could not be refreshed: {message} The old ones stay; Berth tries again."
            async with self._store.begin() as connection:
                await self._say(connection, claim, codespace, FAILED, text)
        return None

    async def _find(self, claim: Claim) -> Codespace | None:
        """None as well for a suspended user's, which is about to be stopped (domain/suspension.py, policy 2)."""
        async with self._store.read() as connection:
            codespace = await codespace_rows.find_codespace_by_id(connection, claim.row.codespace_id)
            if codespace is None or await suspension_rows.is_suspended(connection, codespace.owner_id):
                return None
        return codespace

    async def _refresh(self, claim: Claim, codespace: Codespace) -> Outcome:
        container_id, user = codespace.container_id or "", codespace.remote_user or ""
        login = await self._owner_login(codespace)
        for _ in range(LOOKS):
            seen = await self._installer.look(container_id, user)
            token = await self._renew(claim, codespace, seen.token)
            if token is None:
                return Outcome(next_in_s=0.0)
            opened = await self._credentials.open_with(codespace, login, codespace.repository_id or -1, token)
            chosen, failed = tuple(opened.registries.chosen.values()), opened.registries.failed
            notes = await self._installer.write(container_id, user, seen, chosen, token.value, not_renewed=failed)
            if notes is not None:
                why = [opened.opened.withheld_reason, *(finding.sentence for finding in failed.values())]
                await self._settle(claim, codespace, token, "\n".join([*filter(None, why), *notes]) or None)
                due_in_s = self._tokens.due_in_s([token.expires_at, *(one.expires_at for one in chosen)])
                return Outcome(next_in_s=_FAILED_AGAIN_S if failed else due_in_s)
        raise changes_all_the_time()

    async def _owner_login(self, codespace: Codespace) -> str:
        async with self._store.read() as connection:
            owner = await account_rows.find_account_by_id(connection, codespace.owner_id)
        return "" if owner is None else owner.login

    async def _renew(self, claim: Claim, codespace: Codespace, shown: SecretText | None) -> CodespaceToken | None:
        """None: something else was asked of it meanwhile. Raises Fenced: whoever is late issues nothing."""
        async with self._store.begin() as connection:
            token = await self._tokens.renew(connection, codespace, shown)
            await claim.note_in(connection, said=claim.row.said)
        return token

    async def _settle(self, claim: Claim, codespace: Codespace, token: CodespaceToken, said: str | None) -> None:
        """It is in the container: the replaced token may end, and whoever was told of a failure is told of its end."""
        was_said = claim.row.said
        text = said or ("The registry credentials are fresh again." if was_said == FAILED else None)
        async with self._store.begin() as connection:
            await self._say(connection, claim, codespace, said, None if said == was_said else text)
            await self._tokens.end_replaced(connection, token)

    async def _say(
        self, connection: AsyncConnection, claim: Claim, codespace: Codespace, said: str | None, text: str | None
    ) -> None:
        """Once: the line in the codespace's log and the note of it are one transaction. Raises Fenced."""
        lines = [("phase", line) for line in (text or "").splitlines()]
        await codespace_rows.append_log(connection, codespace.id, self._clock.now(), lines)
        await claim.note_in(connection, said=said)


def _outcome_without(codespace: Codespace | None) -> Outcome:
    """Nothing can be written now; where it will be possible soon, look again then."""
    return Outcome(next_in_s=_LOOK_AGAIN_S if find_readiness(codespace) is Readiness.LATER else None)

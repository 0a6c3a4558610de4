"""Keeps what was learnt last of stored logins, for whoever is shown them. The rules: `domain/last_check.py`.

Whoever learns something has other things to do: a database that fails here is logged, and stops neither try nor launch.
"""

import logging
from collections.abc import Collection

from sqlalchemy.exc import SQLAlchemyError

from berth.adapters.store import last_check as rows
from berth.adapters.store.database import Store
from berth.adapters.store.last_check import Versions
from berth.domain.ecr_answer import EcrFailure
from berth.domain.finding import Finding
from berth.domain.last_check import LastCheck, Learnt, learn_from_pull, learn_from_swap, learn_from_try
from berth.domain.login_exchange import LoginProof
from berth.domain.problem import Problem
from berth.domain.registry_credential import RegistryCredential, UnswappedKeys
from berth.domain.registry_login import LoginVerdict
from berth.services.ports import Clock

_LOG = logging.getLogger(__name__)


class LastChecks:
    """What is made of no stored secrets (a codespace's own token) is kept nowhere. `keep…` never raise."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, logins: Collection[Versions]) -> dict[Versions, LastCheck]:
        """See `find_checks`. Who may see the logins is the caller's to know."""
        async with self._store.read() as connection:
            return await rows.find_checks(connection, logins)

    async def keep_try(self, versions: Versions, verdict: LoginVerdict) -> None:
        """What somebody's try of these values came to."""
        await self._keep(versions, learn_from_try(verdict))

    async def keep_pull(self, credential: RegistryCredential, answer: LoginProof | Finding | None) -> None:
        """What a registry answered a launch."""
        await self._keep(credential.versions, learn_from_pull(credential, answer))

    async def keep_swap(self, keys: UnswappedKeys, failure: EcrFailure | None) -> None:
        """What AWS answered; no failure: it gave a token."""
        await self._keep(keys.versions, learn_from_swap(keys, failure))

    async def _keep(self, versions: Versions, learnt: Learnt | None) -> None:
        if learnt is None or not versions:
            return
        try:
            async with self._store.begin() as connection:
                await rows.keep_check(connection, versions, learnt, self._clock.now())
        except Problem as problem:
            _LOG.warning("last_check.not_kept", extra={"code": problem.code})
        except SQLAlchemyError as error:
            _LOG.warning("last_check.not_kept", extra={"code": type(error).__name__})

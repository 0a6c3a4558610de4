"""AWS keys become tokens (C5): once for all who ask at the same time, and again before a token grows old (C8, C10).

1. What is swapped is kept in memory until it expires, by whose secret it is, the address asked and a fingerprint of the
   keys: a changed secret is another entry, and nobody is served from another owner's. No other replica needs it.
2. Who asks while the same swap runs waits for that one. Failures are shared in this way only, and never kept.
3. From near half of a token's life it is swapped anew; the moment differs from entry to entry. If that fails the old one
   serves until it expires, and the trail says so. A try that failed is not repeated at once.
4. A failed swap is a finding for images of its host and stops nothing else; it is never anonymous access (C11).
5. A token that its registry does not take any more is forgotten, and its keys are swapped once more, at most once for each
   request that it was refused for (B3). Who comes later with the same old token gets the new one. Codespaces that run hold
   the old one too, so whoever keeps their credentials fresh is told (C8).
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_finding import explain_expired, explain_failure
from berth.domain.ecr_key import EcrToken
from berth.domain.finding import Finding
from berth.domain.registry_credential import (
    CredentialNote,
    CredentialRule,
    RegistryCredential,
    RegistryCredentials,
    UnswappedKeys,
)
from berth.domain.secret import Level, SecretLevel
from berth.services.ports import Clock, EcrAPI, Entropy

MAX_KEPT = 1000
_JITTER = 0.1  # of a token's life, before its half
_NEXT_TRY = timedelta(minutes=1)
_DELAYS_S = (0.5, 2.0)

_TOLD = frozenset({CredentialRule.SWAPPED, CredentialRule.REFRESH_FAILED})

Owners = Mapping[SecretLevel, int]
Replaced = Callable[[SecretLevel, int], Awaitable[None]]  # whose token it was
Asked = Callable[
    [UnswappedKeys, EcrFailure | None], Awaitable[None]
]  # what AWS said of these keys; None: it gave a token
_Key = tuple[Level | None, int, str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    token: EcrToken
    expires_at: datetime
    refresh_at: datetime
    failure: EcrFailure | None = None  # why it was not renewed


class RegistryCredentialSwap:
    """Puts tokens in the place of AWS keys. One per process."""

    def __init__(
        self,
        *,
        ecr: EcrAPI,
        clock: Clock,
        entropy: Entropy,
        delays_s: Sequence[float] = _DELAYS_S,
        replaced: Replaced | None = None,
        asked: Asked | None = None,
    ) -> None:
        """`delays_s` is how long to wait before each further try. `replaced` is called once for each token that was ended,
        `asked` once for each swap; it must not raise.
        """
        self._ecr = ecr
        self._clock = clock
        self._delays_s = delays_s
        self._replaced = replaced
        self._asked = asked
        self._salt = entropy.token_bytes(32)
        self._kept: dict[_Key, _Kept] = {}
        self._running: dict[_Key, asyncio.Task[_Kept | EcrFailure]] = {}

    async def swap(self, credentials: RegistryCredentials, owners: Owners) -> RegistryCredentials:
        """The same with a token, or a finding, in the place of all keys; an expired ready token is a finding, too.

        `owners` says whose the secrets of each level are. Never raises.
        """
        outcomes = await asyncio.gather(*(self._open(keys, owners) for keys in credentials.unswapped.values()))
        chosen, failed, trail = dict(credentials.chosen), dict(credentials.failed), list(credentials.trail)
        for keys, outcome in zip(credentials.unswapped.values(), outcomes, strict=True):
            if isinstance(outcome, EcrFailure):
                failed[keys.host] = explain_failure(outcome, keys)
                trail.append(_lament(failed[keys.host], keys))
            else:
                chosen[keys.host] = keys.swapped_for(outcome.token.password, outcome.expires_at)
                trail.append(_tell(keys, outcome))
        now = self._clock.now()
        for credential in credentials.chosen.values():
            if credential.has_expired(now):
                failed[credential.host] = explain_expired(credential)
                trail.append(_lament(failed[credential.host], credential))
                del chosen[credential.host]
        swapped = {**credentials.swapped, **credentials.unswapped}
        return replace(
            credentials,
            chosen=chosen,
            unswapped={},
            failed=failed,
            trail=tuple(trail),
            swapped={host: keys for host, keys in swapped.items() if host in chosen},
            owners=owners,
        )

    async def renew(self, credentials: RegistryCredentials, refused: RegistryCredential) -> RegistryCredentials | None:
        """The same with another token, or a finding, in the place of the one that was refused (policy 5).

        None if there is no other: it was not swapped for keys. Raises what `replaced` raises.
        """
        keys = credentials.swapped.get(refused.host)
        if keys is None:
            return None
        was_kept = self.forget(refused)
        renewed = await self.swap(
            replace(
                credentials,
                chosen={host: one for host, one in credentials.chosen.items() if host != refused.host},
                trail=tuple(note for note in credentials.trail if note.host != refused.host or note.rule not in _TOLD),
                unswapped={keys.host: keys},
            ),
            credentials.owners,
        )
        other, level = renewed.chosen.get(keys.host), keys.source.level
        if other is not None and other.password == refused.password:
            return None
        if was_kept and other is not None and self._replaced is not None and isinstance(level, SecretLevel):
            await self._replaced(level, credentials.owners[level])
        return renewed

    def expiry(self, keys: UnswappedKeys, owners: Owners) -> datetime | None:
        """Until when the token lasts that is at hand for these keys; None if there is none. Asks nobody."""
        kept = self._find(self._key(keys, owners))
        return None if kept is None else kept.expires_at

    def forget(self, credential: RegistryCredential) -> bool:
        """A registry does not take this token any more: who asks next gets another one. Whether it was at hand still."""
        ended = [key for key, kept in self._kept.items() if kept.token.password == credential.password]
        for key in ended:
            del self._kept[key]
        return bool(ended)

    async def close(self) -> None:
        """End what runs."""
        for task in tuple(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _open(self, keys: UnswappedKeys, owners: Owners) -> _Kept | EcrFailure:
        key = self._key(keys, owners)
        kept = self._find(key)
        if kept is not None and self._clock.now() < kept.refresh_at:
            return kept
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._renew(key, keys))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key))
        return await asyncio.shield(task)  # one who leaves takes nothing from the others

    async def _renew(self, key: _Key, keys: UnswappedKeys) -> _Kept | EcrFailure:
        outcome = await self._ask(keys)
        if self._asked is not None:
            await self._asked(keys, outcome if isinstance(outcome, EcrFailure) else None)
        now = self._clock.now()
        old = self._find(key)
        if isinstance(outcome, EcrToken):
            kept = _keep(outcome, now, share=0.5 - _JITTER * key[3][0] / 256)
        elif old is None:
            return outcome
        else:
            kept = replace(old, failure=outcome, refresh_at=now + _NEXT_TRY)
        self._kept.pop(key, None)
        self._kept[key] = kept
        self._shrink(now)
        return kept

    async def _ask(self, keys: UnswappedKeys) -> EcrToken | EcrFailure:
        outcome = await self._ecr.authorize(keys.registry, keys.keys)
        for delay in self._delays_s:
            if isinstance(outcome, EcrToken) or not outcome.is_passing:
                break
            await asyncio.sleep(delay)
            outcome = await self._ecr.authorize(keys.registry, keys.keys)
        return outcome

    def _find(self, key: _Key) -> _Kept | None:
        kept = self._kept.get(key)
        return kept if kept is not None and self._clock.now() < kept.expires_at else None

    def _shrink(self, now: datetime) -> None:
        """Forget what has expired, and of too many those that were renewed longest ago."""
        for key in [key for key, kept in self._kept.items() if kept.expires_at <= now]:
            del self._kept[key]
        for key in list(self._kept)[: max(len(self._kept) - MAX_KEPT, 0)]:
            del self._kept[key]

    def _key(self, keys: UnswappedKeys, owners: Owners) -> _Key:
        """By owner, address and fingerprint (C10); the salt makes the fingerprint worthless outside of this process."""
        level = keys.source.level
        session_token = keys.keys.session_token
        values = (keys.keys.key_id, keys.keys.secret.reveal(), session_token.reveal() if session_token else "")
        fingerprint = hashlib.blake2b("\n".join(values).encode(), key=self._salt).digest()
        owner = owners[level] if isinstance(level, SecretLevel) else 0
        return level, owner, f"{keys.registry.service} {keys.registry.api_host}", fingerprint


def _keep(token: EcrToken, now: datetime, *, share: float) -> _Kept:
    expires_at = token.expires_at or now
    return _Kept(token=token, expires_at=expires_at, refresh_at=now + (expires_at - now) * share)


def _tell(keys: UnswappedKeys, kept: _Kept) -> CredentialNote:
    until = f"{kept.expires_at:%Y-%m-%d %H:%M} UTC"
    if kept.failure is None:
        text = f"The AWS keys of {keys.source} were swapped for a token of {keys.host}, good until {until}."
        return CredentialNote(rule=CredentialRule.SWAPPED, source=keys.source, host=keys.host, text=text)
    text = f"The token of {keys.host} could not be renewed; the one at hand is used until {until}."
    text = f"{text} {explain_failure(kept.failure, keys).sentence}"
    return CredentialNote(rule=CredentialRule.REFRESH_FAILED, source=keys.source, host=keys.host, text=text)


def _lament(finding: Finding, lost: UnswappedKeys | RegistryCredential) -> CredentialNote:
    text = f"There is no login to {lost.host}: {finding.sentence} {finding.next_step}"
    return CredentialNote(rule=CredentialRule.SWAP_FAILED, source=lost.source, host=lost.host, text=text)

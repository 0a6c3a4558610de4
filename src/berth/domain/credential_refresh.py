"""When the credentials in a running codespace are made fresh (C8). Pure; the loop obeys (services/credential_refresh.py).

1. At half of what is left of the shortest-lived one's life, up to a tenth of that earlier, by chance: codespaces that
   were started together do not come back together.
2. At once when something changed that decides what it may have: a triple, whom a secret is for, a role on the repository.
3. Only where commands can run in it. What is being launched, started or rebuilt is looked at again when that is done;
   what is stopped gets everything anew at its start (S8). A stranger's code gets nothing, at any time (S6).
4. A refresh gives a new codespace token when half of the old one's life is over, and otherwise leaves it: setting three
   secrets must not end a pull that runs.
5. The token that was replaced ends after a grace, or at its own end if that comes first; at the next replacement in any case.
   So at most two are valid at a time, and none once the codespace stops.
6. A refresh that fails changes nothing: what is there lasts until it expires. That is said once, and it is tried again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from berth.domain.codespace import Codespace
from berth.domain.lifecycle import Desired, Phase

GRACE = timedelta(minutes=15)  # a registry token of ours and the pull that began with it are over by then
_EARLIEST = 0.1  # of the half of the life
_WORN = 0.6  # policy 4: more than half, so that a refresh which chance made early renews the token too
_LEAST_S = 1.0
_ON_THE_WAY = frozenset({Phase.PROVISIONING, Phase.STARTING, Phase.REBUILDING})


class Readiness(StrEnum):
    """Whether a codespace's credentials can be made fresh now (policy 3)."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"  # until it is started again, which puts it here anew


def find_readiness(codespace: Codespace | None) -> Readiness:
    """None stands for one that is gone."""
    if codespace is None or codespace.from_fork or codespace.repository_id is None:
        return Readiness.NEVER
    if codespace.desired is not Desired.RUNNING:
        return Readiness.NEVER
    if codespace.is_running:
        return Readiness.NOW
    on_the_way = codespace.phase in _ON_THE_WAY or codespace.phase is Phase.AVAILABLE
    return Readiness.LATER if on_the_way else Readiness.NEVER


def due_in_s(expiries: Iterable[datetime | None], now: datetime, chance: float) -> float | None:
    """Policy 1; `chance` is from 0 to 1. None: nothing of it expires."""
    known = [expiry for expiry in expiries if expiry is not None]
    if not known:
        return None
    half_s = (min(known) - now).total_seconds() / 2
    return max(half_s * (1 - _EARLIEST * chance), _LEAST_S)


def is_worn(created_at: datetime, expires_at: datetime | None, now: datetime) -> bool:
    """Policy 4. A token without an end is one of before there were ends."""
    if expires_at is None:
        return True
    return expires_at - now <= _WORN * (expires_at - created_at)


def replaced_until(expires_at: datetime | None, now: datetime) -> datetime:
    """Policy 5: until when the token lasts that was replaced now."""
    return now + GRACE if expires_at is None else min(expires_at, now + GRACE)

"""When a codespace that nobody uses stops, and when one that does not run is deleted.

Pure; the loop looks again when the time has come (services/codespace_timer.py). Policy:
1. A codespace is used while a command of its user runs in it, and at each heartbeat. Its own processes do not count.
2. What runs stops when it was last used longer ago than its own timeout, or than the longest that is allowed.
3. What is stopped is deleted when its retention period, or the longest that is allowed, has passed since it stopped; with 0,
   at once. Whatever was not pushed goes with it.
4. What failed is deleted in the same way, though not before a day: its owner shall see why.
5. A warning comes a week before, or after half of the time if that is less than two weeks.
6. A start ends all that.

Source: GitHub docs, "Configuring automatic deletion of your codespaces". Decided: policy 4, and the warning's week.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from berth.domain.codespace import Codespace
from berth.domain.lifecycle import State

_LEAST_OF_FAILED = timedelta(days=1)
_WARNED_BEFORE = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """The longest, in minutes, that a codespace may go on unused, and be kept when it does not run."""

    idle_minutes: int
    retention_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When a codespace is deleted unless it is started, and from when on that is said."""

    at: datetime
    warned_from: datetime

    @property
    def notice(self) -> str:
        """The warning, for its owner."""
        at = f"{self.at:%Y-%m-%dT%H:%M:%SZ}"
        return f"It is deleted at {at}, with everything in it that was not pushed, unless it is started before."


def idle_minutes(codespace: Codespace, limits: TimeLimits) -> int:
    """After how long without use it stops (policy 2)."""
    return min(codespace.idle_timeout_minutes, limits.idle_minutes)


def idle_at(codespace: Codespace, limits: TimeLimits) -> datetime:
    """When it stops unless somebody uses it until then."""
    return codespace.last_used_at + timedelta(minutes=idle_minutes(codespace, limits))


def retention_minutes(codespace: Codespace, limits: TimeLimits) -> int:
    """How long it is kept when it does not run (policy 3)."""
    return min(codespace.retention_period_minutes, limits.retention_minutes)


def expiry_of(codespace: Codespace, limits: TimeLimits) -> Expiry | None:
    """Policy 3 to 5. None while it runs, or is about to."""
    if codespace.stopped_at is None or codespace.state not in {State.SHUTDOWN, State.FAILED}:
        return None
    kept = timedelta(minutes=retention_minutes(codespace, limits))
    if codespace.state is State.FAILED:
        kept = max(kept, _LEAST_OF_FAILED)
    at = codespace.stopped_at + kept
    return Expiry(at=at, warned_from=at - min(_WARNED_BEFORE, kept / 2))

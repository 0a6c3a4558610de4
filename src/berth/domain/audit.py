"""The audit log's rows: who did what, to what, by which rules."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from berth.domain.problem import Invalid

_LAST_YEAR = 9998  # the day after has to be one, too


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """A row. The actor is named as he was then; he may be gone, or be the server itself (None and empty). `detail` holds
    rule names and names, never inputs; of a suspension its reason.
    """

    id: int
    at: datetime
    actor_id: int | None
    actor_login: str
    action: str
    target: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which rows are looked for; what is empty or None asks for nothing.

    `actor` is a login. `action` is one, or its first word: `codespace` finds `codespace.stop`. `target` is a part of what
    it was done to. All in any case. `since` is included, `until` is not.
    """

    actor: str = ""
    action: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None


def parse_audit_filter(
    *, actor: str = "", action: str = "", target: str = "", first_day: str = "", last_day: str = ""
) -> AuditFilter:
    """The days are whole ones of UTC as `2026-07-28`, both included. Raises Invalid."""
    since, last = _parse_day("since", first_day), _parse_day("until", last_day)
    return AuditFilter(
        actor=actor.lower(),
        action=action.lower(),
        target=target.lower(),
        since=since,
        until=None if last is None else last + timedelta(days=1),
    )


def _parse_day(field: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        day = None
    if day is None or day.year > _LAST_YEAR:
        raise Invalid("A day is written as 2026-07-28.", field=field, code="audit.day")
    return day

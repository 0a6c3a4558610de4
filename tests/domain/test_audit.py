"""What of an audit log is looked for."""

from datetime import UTC, datetime

import pytest

from berth.domain.audit import AuditFilter, parse_audit_filter
from berth.domain.problem import Invalid


def test_days_are_whole_and_included() -> None:
    found = parse_audit_filter(
        actor="Octo", action="Codespace", target="Acme", first_day="2026-02-28", last_day="2026-02-28"
    )
    assert found == AuditFilter(
        actor="octo",
        action="codespace",
        target="acme",
        since=datetime(2026, 2, 28, tzinfo=UTC),
        until=datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert parse_audit_filter() == AuditFilter()


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "9999-12-31", "2026-1", "2026-01-01T00:00"])
@pytest.mark.parametrize("name", ["first_day", "last_day"])
def test_what_is_no_day(name: str, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_audit_filter(**{name: text})
    assert (refused.value.code, refused.value.field) == ("audit.day", "since" if name == "first_day" else "until")

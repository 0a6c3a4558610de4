"""How times are written for programs: RFC 3339, UTC, whole seconds, `Z`. gh parses nothing else."""

from datetime import UTC, datetime


def timestamp(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def maybe_timestamp(value: datetime | None) -> str | None:
    return None if value is None else timestamp(value)

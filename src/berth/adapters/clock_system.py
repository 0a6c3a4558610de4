"""The Clock port: the machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """The time of day, as this machine knows it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

"""One at a time for an account: for what asks other people's servers and is not to be done in numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

from berth.domain.access import Subject
from berth.domain.problem import LimitReached


class AccountTurns:
    """Who is at it. Of this process: several of them let an account do as many at once."""

    def __init__(self) -> None:
        self._busy: set[int] = set()

    @contextmanager
    def take(self, subject: Subject, refusal: LimitReached) -> Iterator[None]:
        """Raises the refusal if the account is at it already."""
        if subject.account_id in self._busy:
            raise refusal
        self._busy.add(subject.account_id)
        try:
            yield
        finally:
            self._busy.discard(subject.account_id)

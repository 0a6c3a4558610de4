"""Chores: what has to be done again and again, by one replica at a time, on the loop that also serves codespaces."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from berth.adapters.store import chore as rows
from berth.adapters.store.database import Store
from berth.adapters.store.package_tables import chores
from berth.services.reconcile import Claim, Outcome

_LEFT_TO_OTHERS_S = 60.0


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do, and how long to wait until it is done again."""

    every_s: float
    do: Callable[[], Awaitable[None]]


class ChoreWorker:
    """Drives the rows of the table `chores`."""

    table = chores

    def __init__(self, *, store: Store, chores: Mapping[str, Chore]) -> None:
        self._store = store
        self._chores = chores

    async def enrol(self) -> None:
        """Make the rows that are not there yet; due at once. May be repeated, by every replica."""
        async with self._store.begin() as connection:
            for name in self._chores:
                await rows.ensure_chore(connection, name)

    async def act(self, claim: Claim) -> Outcome:
        """A chore of another version of Berth is left to that one, if it still runs."""
        chore = self._chores.get(claim.subject)
        if chore is None:
            return Outcome(next_in_s=_LEFT_TO_OTHERS_S)
        await chore.do()
        return Outcome(next_in_s=chore.every_s)

    async def give_up(self, claim: Claim, error: Exception) -> Outcome | None:
        """Never: it backs off and is tried again."""
        return None

"""The level-triggered loop: claims due rows, lets `act` do one idempotent step, and stores what came of it.

A server that dies leaves rows whose lease runs out: another (or the same, restarted) claims them. A server that lost a
claim without knowing (a long pause, a cut network) cannot store anything: the epoch has moved (fencing). A request that
comes while a step runs cancels the step: the next look sees what is wanted now. A row whose step raises backs off.

At most _CONCURRENCY steps begin at once. One that takes long (a build, a hook that never ends) stops counting after _LONG_STEP_S:
some users with such steps would otherwise keep everybody else's codespaces from starting, stopping and being deleted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Row, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.domain.problem import Problem

LEASE_S = 6.0  # how long a killed server's rows wait for another one
_RENEW_EVERY_S = 1.5
_IDLE_LOOK_S = 2.0  # another replica's API may have written; our own wakes us
_CONCURRENCY = 16
_LONG_STEP_S = 30.0
_MOST_STEPS = 64  # with those that take long
MAX_BACKOFF_S = 300.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step came to: columns to store, and in how many seconds to look again (None: when a request comes)."""

    values: dict[str, Any] = field(default_factory=dict)
    next_in_s: float | None = None
    removed: bool = False  # the step deleted the row itself


class Fenced(Exception):
    """The claim was lost: whoever holds it now does the work. The step ends at once and stores nothing."""


class Worker(Protocol):
    """What the loop drives: one kind of row."""

    table: Table

    async def act(self, claim: "Claim") -> Outcome:
        """Look at the world, do one idempotent thing, look again. May be cancelled at any await."""
        ...

    async def give_up(self, claim: "Claim", error: Exception) -> Outcome | None:
        """After a step raised: an outcome if trying again is senseless; None to back off and retry."""
        ...


class Claim:
    """A row in the hands of one step."""

    def __init__(self, store: Store, table: Table, row: Row[Any]) -> None:
        self._store = store
        self._table = table
        self.row = row
        self.id: int = row.id
        self.epoch: int = row.epoch
        self.generation: int = row.generation
        self.attempts: int = row.attempts + 1  # this one counted
        self.deserted: int = row.deserted  # how many servers died with it before
        self.subject: str = str(getattr(row, "name", f"{table.name} {row.id}"))  # what the log calls it

    async def note(self, **values: Any) -> None:
        """Store something on the way. Raises Fenced."""
        async with self._store.begin() as connection:
            await self.note_in(connection, **values)

    async def check(self) -> None:
        """Before something is undone: what is there may be another holder's by now. Raises Fenced."""
        await self.note(epoch=self.epoch)

    async def note_in(self, connection: AsyncConnection, **values: Any) -> None:
        """The same in a transaction that stores more, or nothing. Raises Fenced."""
        if not await work.note(connection, self._table, row_id=self.id, epoch=self.epoch, values=values):
            raise Fenced

    async def put(self, outcome: Outcome) -> None:
        """Store the outcome and give the claim back. Raises Fenced."""
        async with self._store.begin() as connection:
            held = await work.put(
                connection,
                self._table,
                row_id=self.id,
                epoch=self.epoch,
                generation=self.generation,
                values=outcome.values,
                next_in_s=outcome.next_in_s,
            )
        if not held:
            raise Fenced

    async def give_back(self, next_in_s: float, *, failed: bool) -> None:
        """Without an outcome; `failed`: the step was tried, and counts. Nothing happens if the claim was lost."""
        async with self._store.begin() as connection:
            await work.give_back(
                connection,
                self._table,
                row_id=self.id,
                epoch=self.epoch,
                generation=self.generation,
                next_in_s=next_in_s,
                failed=failed,
            )


class Reconciler:
    """Runs one worker's rows until cancelled. Several may run on one database, in one process or in many."""

    def __init__(self, store: Store, worker: Worker, *, holder: str) -> None:
        self._store = store
        self._worker = worker
        self._holder = holder
        self._wake = asyncio.Event()
        self._overtaken = asyncio.Event()
        self._steps: dict[tuple[int, int], tuple[Claim, asyncio.Task[None]]] = {}
        self._begun: dict[tuple[int, int], float] = {}  # when, by the event loop's clock

    def wake(self) -> None:
        """Look now: a request was stored."""
        self._wake.set()
        self._overtaken.set()

    @property
    def running(self) -> int:
        """How many steps are under way."""
        return len(self._steps)

    async def run(self) -> None:
        """Until cancelled; then every step is cancelled and its row given back, to go on elsewhere."""
        while self._store.is_sqlite and not await self._guarded(self._release_all, default=0.0):
            await self._sleep(self._wake, _IDLE_LOOK_S)
        renewal = asyncio.create_task(self._keep_renewing())
        try:
            while True:
                await self._sleep(self._wake, await self._guarded(self._claim_due, default=_IDLE_LOOK_S))
        finally:
            renewal.cancel()
            tasks = [task for _, task in self._steps.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(renewal, *tasks, return_exceptions=True)

    async def _release_all(self) -> float:
        """A SQLite file is one server's: claims that are in it are those of its killed predecessor."""
        async with self._store.begin() as connection:
            await work.release_all(connection, self._worker.table)
        return 1.0

    @staticmethod
    async def _sleep(event: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        event.clear()

    async def _guarded(self, look: Callable[[], Awaitable[float]], *, default: float) -> float:
        """The database may be away for a while; the loop outlives that."""
        try:
            return await look()
        except Problem as problem:
            _LOG.warning("reconcile.store_unavailable", extra={"code": problem.code})
            return default

    async def _claim_due(self) -> float:
        """Claim what is due and start its steps; answers how long there is nothing more to do."""
        room = self._room()
        if room <= 0:
            return _IDLE_LOOK_S
        async with self._store.read() as connection:
            due_in_s = await work.next_due_in_s(connection, self._worker.table)
        if due_in_s is None or due_in_s > 0:
            return _IDLE_LOOK_S if due_in_s is None else min(due_in_s + 0.01, _IDLE_LOOK_S)
        async with self._store.begin() as connection:
            rows = await work.claim(connection, self._worker.table, holder=self._holder, lease_s=LEASE_S, limit=room)
        for row in rows:
            claim = Claim(self._store, self._worker.table, row)
            key = (claim.id, claim.epoch)
            task = asyncio.create_task(self._step(claim))
            self._steps[key] = (claim, task)
            self._begun[key] = asyncio.get_running_loop().time()
            task.add_done_callback(partial(self._done, key))
        return 0.0 if rows else _IDLE_LOOK_S / 10

    def _room(self) -> int:
        """How many more steps may begin."""
        since = asyncio.get_running_loop().time() - _LONG_STEP_S
        short = sum(begun > since for begun in self._begun.values())
        return min(_CONCURRENCY - short, _MOST_STEPS - len(self._steps))

    def _done(self, key: tuple[int, int], _task: asyncio.Task[None]) -> None:
        self._steps.pop(key, None)
        self._begun.pop(key, None)
        self._wake.set()

    async def _step(self, claim: Claim) -> None:
        try:
            outcome = await self._worker.act(claim)
            if not outcome.removed:
                await claim.put(outcome)
        except Fenced:
            _LOG.info("reconcile.fenced", extra={"row": claim.id})
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(claim, 0.0, failed=False))
            raise
        except Problem as problem:  # its cause may quote what a stranger's server said: the code is enough
            facts = {"subject": claim.subject, "code": problem.code, "attempts": claim.attempts}
            _LOG.warning("reconcile.step_failed", extra=facts)
            await self._after_fault(claim, problem)
        except Exception as error:  # noqa: BLE001 a bug in one row's step must not stop the others
            _LOG.exception("reconcile.step_broken", extra={"subject": claim.subject, "attempts": claim.attempts})
            await self._after_fault(claim, error)

    async def _after_fault(self, claim: Claim, error: Exception) -> None:
        try:
            outcome = await self._worker.give_up(claim, error)
            if outcome is not None:
                await claim.put(outcome)
                return
        except Fenced:
            return
        except Problem as problem:  # such as a database that is away: its lease runs out then
            _LOG.warning("reconcile.not_given_up", extra={"subject": claim.subject, "code": problem.code})
        except Exception:  # noqa: BLE001 as above
            _LOG.exception("reconcile.give_up_failed", extra={"row": claim.id})
        await self._give_back(claim, min(2.0 ** min(claim.attempts, 16), MAX_BACKOFF_S), failed=True)

    @staticmethod
    async def _give_back(claim: Claim, next_in_s: float, *, failed: bool) -> None:
        try:
            await claim.give_back(next_in_s, failed=failed)
        except Problem:
            _LOG.info("reconcile.not_given_back", extra={"row": claim.id})  # its lease runs out instead

    async def _keep_renewing(self) -> None:
        """Renew the claims; cancel what was lost, what a new request made pointless, and what cannot be renewed in time."""
        clock = asyncio.get_running_loop().time
        renewed_at: dict[tuple[int, int], float] = {}
        while True:
            await self._sleep(self._overtaken, _RENEW_EVERY_S)
            keys = list(self._steps)
            held = await self._renew(keys) if keys else {}
            now = clock()
            renewed_at = {key: renewed_at.get(key, now) if held is None else now for key in keys}
            for key in keys:
                claim, task = self._steps.get(key, (None, None))
                if claim is None or task is None:
                    continue
                lost = held is not None and held.get(claim.id) != claim.generation  # gone, or overtaken by a request
                late = now - renewed_at[key] > LEASE_S - 2 * _RENEW_EVERY_S
                if lost or late:
                    task.cancel()

    async def _renew(self, keys: list[tuple[int, int]]) -> dict[int, int] | None:
        """The generation of each row still held; None if the database could not be asked."""
        try:
            async with self._store.begin() as connection:
                held = await work.renew(connection, self._worker.table, keys, lease_s=LEASE_S)
        except Problem as problem:
            _LOG.warning("reconcile.not_renewed", extra={"code": problem.code})
            return None
        return {row.id: row.generation for row in held}

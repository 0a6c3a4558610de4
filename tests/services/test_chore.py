"""Chores on the loop: each is done again and again, by one server at a time; those of another version are left to it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.adapters.store.package_tables import chores
from berth.domain.problem import UpstreamFailed
from berth.services.chore import Chore, ChoreWorker
from berth.services.reconcile import Reconciler

HOUR_S = timedelta(hours=1).total_seconds()


class Counted:
    """What a chore does, in a test."""

    def __init__(self) -> None:
        self.times = 0
        self.fails = False

    async def do(self) -> None:
        self.times += 1
        if self.fails:
            raise UpstreamFailed("the blob store is away")


def worker_of(store: Store, **done: Counted) -> ChoreWorker:
    return ChoreWorker(store=store, chores={name: Chore(every_s=HOUR_S, do=each.do) for name, each in done.items()})


async def run_until(store: Store, worker: ChoreWorker, condition: Callable[[], Awaitable[bool]]) -> None:
    loop = asyncio.create_task(Reconciler(store, worker, holder="a").run())
    try:
        async with asyncio.timeout(20):
            while not await condition():
                await asyncio.sleep(0.02)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def look(store: Store, name: str) -> tuple[Any, float | None]:
    """Its row, and in how many seconds it is due."""
    async with store.read() as connection:
        row = (await connection.execute(select(chores).where(chores.c.name == name))).one()
        now = float((await connection.execute(select(work.database_now(connection)))).scalar_one())
    return row, None if row.next_at is None else row.next_at - now


async def test_a_chore_is_due_at_once_and_then_again_and_again(store: Store) -> None:
    swept, collected = Counted(), Counted()
    worker = worker_of(store, sweep=swept, collect=collected)
    for _ in range(2):
        await asyncio.gather(worker.enrol(), worker.enrol())  # by every replica, at every start

    async def both_done() -> bool:
        return all([(await look(store, name))[0].seen == 1 for name in ("sweep", "collect")])

    await run_until(store, worker, both_done)
    assert (swept.times, collected.times) == (1, 1)
    _, due_in_s = await look(store, "sweep")
    assert due_in_s is not None
    assert HOUR_S - 60 < due_in_s <= HOUR_S

    async def make_due(connection: AsyncConnection) -> None:
        await connection.execute(update(chores).where(chores.c.name == "sweep").values(next_at=0.0))

    async with store.begin() as connection:
        await make_due(connection)

    async def again() -> bool:
        return swept.times == 2

    await run_until(store, worker, again)
    assert collected.times == 1


async def test_a_chore_that_fails_is_tried_again_and_never_given_up(store: Store) -> None:
    failing = Counted()
    failing.fails = True
    worker = worker_of(store, sweep=failing)
    await worker.enrol()
    async with store.begin() as connection:
        await connection.execute(update(chores).values(attempts=1000))

    async def given_back() -> bool:
        row, _ = await look(store, "sweep")
        return failing.times > 0 and row.lease is None

    await run_until(store, worker, given_back)
    row, due_in_s = await look(store, "sweep")
    assert (row.attempts, row.seen) == (1001, 0)
    assert due_in_s is not None
    assert due_in_s <= 300


async def test_a_chore_of_another_version_is_left_to_it(store: Store) -> None:
    """While an older server still runs it may claim what only a newer one knows: that must not be the end of it."""
    worker = worker_of(store)
    async with store.begin() as connection:
        values = {"name": "of the next version", "generation": 1, "seen": 0, "epoch": 0, "attempts": 0}
        await connection.execute(insert(chores).values(next_at=0.0, **values))

    async def given_back() -> bool:
        row, _ = await look(store, "of the next version")
        return row.epoch == 1 and row.lease is None

    await run_until(store, worker, given_back)
    _, due_in_s = await look(store, "of the next version")
    assert due_in_s is not None
    assert 0 < due_in_s <= 60

"""The loop, on a real database: leases, fencing, overtaking requests, back-off. The worker is a small real one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

import pytest
from sqlalchemy import Column, Float, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.domain.problem import UpstreamFailed
from berth.services import reconcile
from berth.services.reconcile import MAX_BACKOFF_S, Claim, Fenced, Outcome, Reconciler

metadata = MetaData()
jobs = Table(
    "test_jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("generation", Integer, nullable=False, default=1),
    Column("seen", Integer, nullable=False, default=0),
    Column("next_at", Float),
    Column("lease", Float),
    Column("epoch", Integer, nullable=False, default=0),
    Column("holder", String(64)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("deserted", Integer, nullable=False, default=0),
    Column("result", String(64)),
)


class Job:
    """A worker whose step is given by the test."""

    table = jobs

    def __init__(self, step: Callable[[Claim], AsyncIterator[None]] | None = None) -> None:
        self.steps: list[tuple[int, int]] = []
        self.cancelled: list[int] = []
        self.duration_s = 0.0
        self.error: Exception | None = None
        self.give_up_after = 100

    async def act(self, claim: Claim) -> Outcome:
        self.steps.append((claim.id, claim.generation))
        try:
            await asyncio.sleep(self.duration_s)
        except asyncio.CancelledError:
            self.cancelled.append(claim.id)
            raise
        if self.error is not None:
            raise self.error
        return Outcome(values={"result": f"done {claim.generation}"})

    async def give_up(self, claim: Claim, error: Exception) -> Outcome | None:
        return Outcome(values={"result": "gave up"}) if claim.attempts >= self.give_up_after else None


@pytest.fixture
async def queue(store: Store) -> AsyncIterator[Store]:
    async with store.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield store
    async with store.begin() as connection:
        await connection.run_sync(metadata.drop_all)


async def add(store: Store, number: int = 1) -> None:
    async with store.begin() as connection:
        rows = [{"id": row_id, "next_at": 0.0} for row_id in range(1, number + 1)]
        await connection.execute(insert(jobs), rows)


async def results(store: Store) -> list[str | None]:
    async with store.read() as connection:
        return list((await connection.execute(select(jobs.c.result).order_by(jobs.c.id))).scalars())


@asynccontextmanager
async def running(store: Store, worker: Job, holder: str = "a") -> AsyncIterator[Reconciler]:
    loop = Reconciler(store, worker, holder=holder)
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_every_due_row_gets_one_step(queue: Store) -> None:
    await add(queue, 40)
    worker = Job()
    async with running(queue, worker):
        while await results(queue) != ["done 1"] * 40:
            await asyncio.sleep(0.02)
    assert sorted(worker.steps) == [(row_id, 1) for row_id in range(1, 41)]


class Hanging(Job):
    """The first rows' steps do not end."""

    def __init__(self, hanging: int) -> None:
        super().__init__()
        self.hanging = hanging

    async def act(self, claim: Claim) -> Outcome:
        self.duration_s = 1000 if claim.id <= self.hanging else 0
        return await super().act(claim)


async def test_steps_that_never_end_keep_nobody_else_waiting_for_ever(
    queue: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "_LONG_STEP_S", 0.5)
    await add(queue, 40)
    worker = Hanging(36)
    async with running(queue, worker) as loop:
        while (await results(queue))[36:] != ["done 1"] * 4:
            await asyncio.sleep(0.02)
        assert loop.running == 36
    assert sorted(worker.cancelled) == list(range(1, 37)), "none was ended for it"


async def test_there_are_not_more_steps_than_all_in_all(queue: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "_LONG_STEP_S", 0.0)
    monkeypatch.setattr(reconcile, "_MOST_STEPS", 18)
    await add(queue, 20)
    async with running(queue, Hanging(18)) as loop:
        await until(lambda: loop.running == 18)
        await asyncio.sleep(0.5)
        assert await results(queue) == [None] * 20


async def test_a_request_during_a_step_cancels_it_and_is_met(queue: Store) -> None:
    await add(queue)
    worker = Job()
    worker.duration_s = 30
    async with running(queue, worker) as loop:
        await until(lambda: worker.steps)
        worker.duration_s = 0
        async with queue.begin() as connection:
            await connection.execute(
                update(jobs).values(generation=jobs.c.generation + 1, next_at=work.database_now(connection))
            )
        loop.wake()
        await until(lambda: len(worker.steps) == 2)
        await asyncio.sleep(0.2)
    assert worker.cancelled == [1]
    assert await results(queue) == ["done 2"]


async def test_a_lost_claim_cannot_store_anything(queue: Store) -> None:
    await add(queue)
    async with queue.begin() as connection:
        (row,) = await work.claim(connection, jobs, holder="slow", lease_s=-1, limit=1)
    async with queue.begin() as connection:
        (other,) = await work.claim(connection, jobs, holder="quick", lease_s=10, limit=1)
    with pytest.raises(Fenced):
        await Claim(queue, jobs, row).put(Outcome(values={"result": "stale"}))
    with pytest.raises(Fenced):
        await Claim(queue, jobs, row).note(result="stale")
    await Claim(queue, jobs, other).put(Outcome(values={"result": "fresh"}))
    assert await results(queue) == ["fresh"]


async def test_a_claimed_row_is_not_claimed_again_before_its_lease_ends(queue: Store) -> None:
    await add(queue)
    async with queue.begin() as connection:
        assert len(await work.claim(connection, jobs, holder="a", lease_s=10, limit=5)) == 1
        assert await work.claim(connection, jobs, holder="b", lease_s=10, limit=5) == []


async def test_a_claim_that_was_given_back_is_not_renewed(queue: Store) -> None:
    """A renewal may come a moment too late: the row would wait for a lease that nobody holds."""
    await add(queue)
    async with queue.begin() as connection:
        (row,) = await work.claim(connection, jobs, holder="a", lease_s=10, limit=1)
        assert await work.renew(connection, jobs, [(row.id, row.epoch)], lease_s=10), "the positive control"
    await Claim(queue, jobs, row).put(Outcome(next_in_s=None))
    async with queue.begin() as connection:
        assert await work.renew(connection, jobs, [(row.id, row.epoch)], lease_s=10) == []
    async with queue.read() as connection:
        assert (await connection.execute(select(jobs.c.lease))).scalar_one() is None


async def test_a_step_that_raises_backs_off_and_does_not_stop_others(queue: Store) -> None:
    await add(queue)
    worker = Job()
    worker.error = ValueError("a bug")
    async with running(queue, worker):
        await until(lambda: worker.steps)
        await asyncio.sleep(0.5)
        assert len(worker.steps) == 1  # the next attempt is seconds away
    async with queue.read() as connection:
        row = (await connection.execute(select(jobs))).one()
        now = (await connection.execute(select(work.database_now(connection)))).scalar_one()
    assert row.attempts == 1
    assert row.next_at - float(now) > 0.5
    assert row.seen == 0


async def test_more_poison_rows_than_there_is_room_for_do_not_starve_a_good_one(queue: Store) -> None:
    await add(queue, 40)
    worker = Poisoned(good=41)
    async with running(queue, worker) as loop:
        await until(lambda: len(worker.steps) >= 60)  # each has failed, and some are tried again
        async with queue.begin() as connection:
            await connection.execute(insert(jobs).values(id=41, next_at=work.database_now(connection)))
        loop.wake()
        async with asyncio.timeout(20):
            while (await results(queue))[-1] != "done 1":
                await asyncio.sleep(0.02)
    assert len(worker.steps) < 200, "the others back off"


class Poisoned(Job):
    """Every row's step fails, but one's."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good

    async def act(self, claim: Claim) -> Outcome:
        outcome = await super().act(claim)
        if claim.id != self.good:
            raise UpstreamFailed("always")
        return outcome


async def test_the_distance_between_attempts_has_a_bound(queue: Store) -> None:
    """A worker that never gives up may fail for days: 2 to the power of its attempts is no number any more."""
    await add(queue)
    async with queue.begin() as connection:
        await connection.execute(update(jobs).values(attempts=5000))
    worker = Job()
    worker.error = UpstreamFailed("still away")
    worker.give_up_after = 10**6
    async with running(queue, worker):
        await until(lambda: worker.steps)
        await until_given_back(queue)
    async with queue.read() as connection:
        row = (await connection.execute(select(jobs))).one()
        now = (await connection.execute(select(work.database_now(connection)))).scalar_one()
    assert row.attempts == 5001
    assert MAX_BACKOFF_S - 60 < row.next_at - float(now) <= MAX_BACKOFF_S


async def until_given_back(queue: Store) -> None:
    async with asyncio.timeout(20):
        while True:
            async with queue.read() as connection:
                if (await connection.execute(select(jobs.c.lease))).scalar_one() is None:
                    return
            await asyncio.sleep(0.01)


async def test_after_too_many_attempts_the_worker_gives_up(queue: Store) -> None:
    await add(queue)
    worker = Job()
    worker.error = ValueError("a bug")
    worker.give_up_after = 1
    async with running(queue, worker):
        await until(lambda: worker.steps)
        await asyncio.sleep(0.2)
    assert await results(queue) == ["gave up"]


async def test_claims_that_end_with_their_servers_are_no_failed_attempts(queue: Store) -> None:
    """Otherwise the first passing fault of a row that was killed a few times would be its last, or wait for a minute."""
    await add(queue)
    for _ in range(6):
        async with queue.begin() as connection:
            await work.claim(connection, jobs, holder="killed", lease_s=-1, limit=1)
    stopped = Job()
    stopped.duration_s = 30
    async with running(queue, stopped):
        await until(lambda: stopped.steps)
    worker = Job()
    worker.error = UpstreamFailed("away")
    worker.give_up_after = 2
    async with running(queue, worker):
        await until(lambda: worker.steps)
        await until_given_back(queue)
    assert await counted(queue) == (1, 6), "the one that was stopped gave it back"
    assert await results(queue) == [None]
    async with queue.begin() as connection:
        await connection.execute(update(jobs).values(next_at=0))
        (row,) = await work.claim(connection, jobs, holder="a", lease_s=10, limit=1)
    await Claim(queue, jobs, row).put(Outcome())
    assert await counted(queue) == (0, 0)


async def test_a_failure_of_what_is_not_wanted_any_more_does_not_count(queue: Store) -> None:
    await add(queue)
    async with queue.begin() as connection:
        (row,) = await work.claim(connection, jobs, holder="a", lease_s=10, limit=1)
        await connection.execute(update(jobs).values(generation=2))
    await Claim(queue, jobs, row).give_back(60, failed=True)
    async with queue.begin() as connection:
        (again,) = await work.claim(connection, jobs, holder="a", lease_s=10, limit=1)
    assert again.attempts == 0
    await Claim(queue, jobs, again).give_back(60, failed=True)
    assert await counted(queue) == (1, 0), "the positive control"


async def counted(queue: Store) -> tuple[int, int]:
    async with queue.read() as connection:
        attempts, deserted = (await connection.execute(select(jobs.c.attempts, jobs.c.deserted))).one()
    return attempts, deserted


async def test_a_loop_that_ends_gives_its_rows_back(queue: Store) -> None:
    await add(queue)
    worker = Job()
    worker.duration_s = 30
    async with running(queue, worker):
        await until(lambda: worker.steps)
    again = Job()
    async with running(queue, again, holder="b"):
        await until(lambda: again.steps)
        await asyncio.sleep(0.2)
    assert await results(queue) == ["done 1"]


async def test_what_cannot_be_given_back_comes_back_when_its_lease_ends(queue: Store) -> None:
    await add(queue)
    async with queue.begin() as connection:
        (row,) = await work.claim(connection, jobs, holder="a", lease_s=-1, limit=1)
    async with queue.begin() as connection:
        await work.claim(connection, jobs, holder="b", lease_s=-1, limit=1)
    worker = Job()
    worker.error = ValueError("a bug")
    await Reconciler(queue, worker, holder="a")._step(Claim(queue, jobs, row))
    again = Job()
    async with running(queue, again):
        await until(lambda: again.steps)


async def test_a_step_that_was_fenced_ends_quietly(queue: Store) -> None:
    await add(queue)
    worker = Job()
    worker.error = Fenced()
    async with running(queue, worker):
        await until(lambda: worker.steps)
        await asyncio.sleep(0.1)
    assert await results(queue) == [None]


class Hopeless(Job):
    """Its `give_up` goes wrong as well."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = ValueError("a bug")
        self.second = error

    async def give_up(self, claim: Claim, error: Exception) -> Outcome | None:
        raise self.second


@pytest.mark.parametrize(
    ("second", "level"),
    [(Fenced(), None), (ValueError("another bug"), "ERROR"), (UpstreamFailed("away"), "WARNING")],
    ids=["fenced", "bug", "away"],
)
async def test_giving_up_may_go_wrong_too(
    queue: Store, caplog: pytest.LogCaptureFixture, second: Exception, level: str | None
) -> None:
    await add(queue)
    async with queue.begin() as connection:
        (row,) = await work.claim(connection, jobs, holder="a", lease_s=10, limit=1)
    await Reconciler(queue, Hopeless(second), holder="a")._step(Claim(queue, jobs, row))
    async with queue.read() as connection:
        after = (await connection.execute(select(jobs))).one()
    assert after.attempts == (level is not None)
    assert (after.lease is None) == (level is not None), "given back, unless it is another's already"
    told = [record.levelname for record in caplog.records if "give" in record.message]
    assert told == ([] if level is None else [level])


async def test_no_more_steps_at_once_than_there_is_room_for(queue: Store) -> None:
    await add(queue, 20)
    worker = Job()
    worker.duration_s = 30
    async with running(queue, worker) as loop:
        await until(lambda: len(worker.steps) == 16)
        loop.wake()
        await asyncio.sleep(0.2)
        assert loop.running == 16
    assert len(worker.steps) == 16


class Flaky:
    """A store that can be away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False

    @property
    def is_sqlite(self) -> bool:
        return self._store.is_sqlite

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        self._check()
        return self._store.begin()

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        self._check()
        return self._store.read()

    def _check(self) -> None:
        if self.away:
            raise UpstreamFailed("The database did not answer.", code="store.unavailable", retryable=True)


async def test_the_loop_outlives_a_database_that_is_away(
    queue: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reconcile, "_IDLE_LOOK_S", 0.05)
    flaky = Flaky(queue)
    worker = Job()
    async with running(cast("Store", flaky), worker):
        flaky.away = True
        await until(lambda: "reconcile.store_unavailable" in caplog.text)
        flaky.away = False
        await add(queue)
        await until(lambda: worker.steps)


async def test_a_claim_that_cannot_be_renewed_in_time_is_cancelled(
    queue: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lease runs out: another server may be at it already."""
    monkeypatch.setattr(reconcile, "_RENEW_EVERY_S", 0.05)
    monkeypatch.setattr(reconcile, "LEASE_S", 0.4)
    await add(queue)
    flaky = Flaky(queue)
    worker = Job()
    worker.duration_s = 30
    async with running(cast("Store", flaky), worker) as loop:
        await until(lambda: worker.steps)
        await asyncio.sleep(0.6)
        assert worker.cancelled == [], "it was renewed in time"
        flaky.away = True
        await until(lambda: worker.cancelled)
        await until(lambda: not loop.running)
    assert "reconcile.not_renewed" in caplog.text
    assert await results(queue) == [None]


async def test_a_step_that_ends_during_a_renewal_is_left_alone(queue: Store) -> None:
    await add(queue)
    worker = Job()
    worker.duration_s = 30
    async with running(queue, worker) as loop:
        await until(lambda: loop.running)
        real, ended = loop._renew, list[bool]()

        async def renew_and_end(keys: list[tuple[int, int]]) -> dict[int, int] | None:
            held = await real(keys)
            for _, task in loop._steps.values():
                task.cancel()
            await until(lambda: not set(keys) & set(loop._steps))
            ended.append(True)
            return held

        loop._renew = renew_and_end  # type: ignore[method-assign]
        loop._overtaken.set()
        await until(lambda: ended)
        await until(lambda: len(worker.steps) > 1)
    assert worker.cancelled[0] == 1

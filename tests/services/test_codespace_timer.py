"""What time does to codespaces, on a clock that the test moves. On both databases."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.codespace_world import LONGEST, CodespaceWorld, make_codespace_world

from berth.adapters.store import codespace as rows
from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.adapters.store.tables import audit_log
from berth.adapters.store.tables import codespaces as table
from berth.domain.access import Subject
from berth.domain.codespace import Codespace
from berth.domain.lifecycle import Desired, State
from berth.domain.problem import Conflict, Denied, UpstreamFailed
from berth.services.codespace_activity import CodespaceActivity

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    made = await make_codespace_world(store, tmp_path)
    await made.give_triple()
    made.secrets.clock.step = timedelta(0)
    return made


@pytest.fixture
def olga(world: CodespaceWorld) -> Subject:
    return world.secrets.subject("olga")


def pass_(world: CodespaceWorld, **time: float) -> None:
    world.secrets.clock.time += timedelta(**time)


async def due_in_s(world: CodespaceWorld) -> float | None:
    async with world.store.read() as connection:
        return await work.next_due_in_s(connection, table)


async def acts(world: CodespaceWorld, action: str) -> list[tuple[Any, ...]]:
    async with world.store.read() as connection:
        statement = select(audit_log.c.actor_id, audit_log.c.actor_login, audit_log.c.account_id, audit_log.c.target)
        return [tuple(row) for row in await connection.execute(statement.where(audit_log.c.action == action))]


async def test_what_nobody_uses_stops_and_says_why(world: CodespaceWorld, olga: Subject) -> None:
    launched = await world.launch(idle_timeout_minutes=30)
    pass_(world, minutes=29, seconds=59)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    assert 0 < (await due_in_s(world) or 0) <= 1, "it looks again when the time has come"
    pass_(world, seconds=1)
    asked = await world.step(launched.name)
    assert (asked.desired, asked.state) == (Desired.STOPPED, State.SHUTTING_DOWN)
    assert (await due_in_s(world) or 0) <= 0
    stopped = await world.step(launched.name)
    assert stopped.state is State.SHUTDOWN
    assert stopped.stop_notice == "It was not used for 30 minutes."
    assert stopped.stop_notice in await world.log_text(launched.name)
    assert await acts(world, "codespace.idle") == [(None, "", world.secrets.accounts["acme"], launched.name)]
    await world.service.start(olga, launched.name)
    started = await world.step(launched.name)
    assert (started.state, started.stop_notice) == (State.AVAILABLE, None)


async def test_it_looks_once_a_minute_while_there_is_time(world: CodespaceWorld) -> None:
    launched = await world.launch(idle_timeout_minutes=240)
    await world.step(launched.name)
    assert 59 < (await due_in_s(world) or 0) <= 60


async def test_the_servers_maximum_counts_for_those_that_there_are(world: CodespaceWorld) -> None:
    launched = await world.launch(idle_timeout_minutes=240)
    pass_(world, minutes=10)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    shorter = replace(LONGEST, idle_minutes=10)
    world.worker._timer._limits = replace(world.worker._timer._limits, longest=shorter)
    assert (await world.step(launched.name)).desired is Desired.STOPPED


@pytest.mark.parametrize("use", ["heartbeat", "command"])
async def test_a_use_begins_the_time_anew(world: CodespaceWorld, olga: Subject, use: str) -> None:
    launched = await world.launch(idle_timeout_minutes=30)
    pass_(world, minutes=20)
    if use == "heartbeat":
        await world.service.keep_running(olga, launched.name)
    else:
        await world.service.execute(olga, launched.name, ["true"], b"")
    pass_(world, minutes=29)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    pass_(world, minutes=1)
    assert (await world.step(launched.name)).desired is Desired.STOPPED


async def test_hooks_and_a_slow_launch_do_not_count_as_idle(world: CodespaceWorld) -> None:
    name = await world.create(idle_timeout_minutes=5)
    world.dev_containers.after_making = lambda: pass_(world, minutes=60)
    assert (await world.step(name)).state is State.AVAILABLE
    assert (await world.step(name)).state is State.AVAILABLE


@pytest.mark.parametrize("what", ["a use", "a request", "another server"])
async def test_what_comes_at_the_same_moment_wins(world: CodespaceWorld, olga: Subject, what: str) -> None:
    launched = await world.launch(idle_timeout_minutes=30)
    pass_(world, minutes=30)
    claim = await world.claim(launched.name)
    if what == "a use":
        await world.service.keep_running(olga, launched.name)
    elif what == "a request":
        await world.service.delete(olga, launched.name)
    else:
        await world.claim(launched.name)
    await world.run(claim)
    after = await world.get(launched.name)
    assert after.desired is (Desired.DELETED if what == "a request" else Desired.RUNNING)
    assert await acts(world, "codespace.idle") == []
    assert "Stopping" not in await world.log_text(launched.name)


async def test_a_repository_that_is_gone_is_no_reason_to_run_on(world: CodespaceWorld) -> None:
    launched = await world.launch(idle_timeout_minutes=30)
    async with world.store.begin() as connection:
        await connection.execute(update(table).values(repository_id=None))
    pass_(world, minutes=30)
    assert (await world.step(launched.name)).desired is Desired.STOPPED
    assert await acts(world, "codespace.idle") == [(None, "", None, launched.name)]


async def test_who_may_keep_it_running(world: CodespaceWorld, olga: Subject) -> None:
    one, other = await world.launch(), await world.launch()
    inside = replace(world.secrets.subject("olga", codespace_of="acme/web"), codespace_id=one.id)
    await world.service.keep_running(inside, one.name)
    with pytest.raises(Denied):
        await world.service.keep_running(inside, other.name)
    await world.service.stop(olga, one.name)
    with pytest.raises(Conflict):
        await world.service.keep_running(olga, one.name)


async def last_used(world: CodespaceWorld, codespace: Codespace) -> Any:
    return (await world.get(codespace.name)).last_used_at


async def test_uses_are_noted_once_a_minute(world: CodespaceWorld) -> None:
    launched = await world.launch()
    start = launched.last_used_at
    pass_(world, minutes=2)
    await world.activity.touch(launched.id)
    assert await last_used(world, launched) == start + 2 * MINUTE
    pass_(world, seconds=59)
    await world.activity.touch(launched.id)
    await CodespaceActivity(store=world.store, clock=world.secrets.clock).touch(launched.id)  # another server's
    assert await last_used(world, launched) == start + 2 * MINUTE
    pass_(world, seconds=2)
    await world.activity.touch(launched.id)
    assert await last_used(world, launched) > start + 3 * MINUTE


async def test_what_is_remembered_does_not_grow_for_ever(
    world: CodespaceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berth.services.codespace_activity._MAX_REMEMBERED", 2)
    for number in range(1000, 1005):
        await world.activity.touch(number)
    assert len(world.activity._noted) <= 2


async def test_what_is_to_stop_is_not_kept_by_a_use(world: CodespaceWorld, olga: Subject) -> None:
    launched = await world.launch()
    await world.service.stop(olga, launched.name)
    before = await last_used(world, launched)
    pass_(world, minutes=5)
    await world.activity.touch(launched.id)
    assert await last_used(world, launched) == before


async def test_a_session_is_a_use_for_as_long_as_it_lasts(
    world: CodespaceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = await world.launch()
    activity = CodespaceActivity(store=world.store, clock=world.secrets.clock, every_s=0.001)
    touched = asyncio.Event()
    failing = [UpstreamFailed("The database is away.", code="store.unavailable")]
    touch = rows.touch

    async def noted(*arguments: Any, **named: Any) -> None:
        if failing:
            raise failing.pop()
        await touch(*arguments, **named)
        touched.set()

    async with activity.using(launched.id):
        monkeypatch.setattr(rows, "touch", noted)
        pass_(world, minutes=10)
        async with asyncio.timeout(20):
            await touched.wait()
        assert await last_used(world, launched) == launched.last_used_at + 10 * MINUTE
        pass_(world, minutes=10)
    assert await last_used(world, launched) == launched.last_used_at + 20 * MINUTE


async def stop(world: CodespaceWorld, olga: Subject, **wanted: Any) -> Codespace:
    launched = await world.launch(**wanted)
    await world.service.stop(olga, launched.name)
    stopped = await world.step(launched.name)
    assert stopped.state is State.SHUTDOWN
    assert (await due_in_s(world) or 0) <= 0, "it is looked at at once"
    return stopped


async def test_what_is_stopped_is_warned_of_and_deleted(world: CodespaceWorld, olga: Subject) -> None:
    stopped = await stop(world, olga, retention_period_minutes=60)
    await world.step(stopped.name)
    assert 29 * 60 < (await due_in_s(world) or 0) <= 30 * 60
    view = await world.service.get(olga, stopped.name)
    assert (view.expires_at, view.expiry_notice) == (world.secrets.clock.time + 60 * MINUTE, None)

    pass_(world, minutes=30)
    await world.step(stopped.name)
    assert 29 * 60 < (await due_in_s(world) or 0) <= 30 * 60
    view = await world.service.get(olga, stopped.name)
    assert view.expiry_notice is not None
    await world.step(stopped.name)
    assert (await world.log_text(stopped.name)).count(view.expiry_notice) == 1, "it is said once"

    pass_(world, minutes=30)
    assert (await world.step(stopped.name)).state is State.DELETED
    assert await acts(world, "codespace.expire") == [(None, "", world.secrets.accounts["acme"], stopped.name)]
    await world.run(await world.claim(stopped.name))
    assert await world.find(stopped.name) is None
    assert world.nothing_left(stopped.name)


async def test_a_start_ends_it_and_a_new_stop_begins_it_anew(world: CodespaceWorld, olga: Subject) -> None:
    stopped = await stop(world, olga, retention_period_minutes=60)
    pass_(world, minutes=59)
    assert (await world.step(stopped.name)).expiry_warned
    await world.service.start(olga, stopped.name)
    assert (await world.service.get(olga, stopped.name)).expires_at is None
    pass_(world, minutes=2)
    started = await world.step(stopped.name)
    assert (started.state, started.stopped_at, started.expiry_warned) == (State.AVAILABLE, None, False)
    await world.service.stop(olga, stopped.name)
    await world.step(stopped.name)
    pass_(world, minutes=59)
    assert (await world.step(stopped.name)).state is State.SHUTDOWN


async def test_with_a_retention_of_nothing_a_stop_deletes(world: CodespaceWorld, olga: Subject) -> None:
    stopped = await stop(world, olga, retention_period_minutes=0)
    assert (await world.step(stopped.name)).state is State.DELETED


async def test_the_longest_retention_counts_for_those_that_there_are(world: CodespaceWorld, olga: Subject) -> None:
    stopped = await stop(world, olga, retention_period_minutes=600)
    pass_(world, minutes=10)
    assert (await world.step(stopped.name)).state is State.SHUTDOWN
    shorter = replace(LONGEST, retention_minutes=10)
    world.worker._timer._limits = replace(world.worker._timer._limits, longest=shorter)
    assert (await world.step(stopped.name)).state is State.DELETED


async def test_one_that_failed_is_there_for_a_day(world: CodespaceWorld) -> None:
    await world.configure("acme/web", privileged=True)
    failed = await world.launch(retention_period_minutes=0)
    assert (await world.step(failed.name)).state is State.FAILED
    pass_(world, hours=23)
    assert (await world.step(failed.name)).expiry_warned
    pass_(world, hours=1)
    assert (await world.step(failed.name)).state is State.DELETED


async def test_one_that_was_never_launched_expires_too(world: CodespaceWorld, olga: Subject) -> None:
    name = await world.create(retention_period_minutes=60)
    await world.service.stop(olga, name)
    assert (await world.step(name)).state is State.SHUTDOWN
    pass_(world, minutes=60)
    assert (await world.step(name)).state is State.DELETED


async def test_a_start_at_the_last_moment_wins(world: CodespaceWorld, olga: Subject) -> None:
    stopped = await stop(world, olga, retention_period_minutes=60)
    pass_(world, minutes=60)
    claim = await world.claim(stopped.name)
    await world.service.start(olga, stopped.name)
    await world.run(claim)
    assert (await world.step(stopped.name)).state is State.AVAILABLE
    assert await acts(world, "codespace.expire") == []


async def test_a_lost_claim_warns_of_nothing(world: CodespaceWorld, olga: Subject) -> None:
    stopped = await stop(world, olga, retention_period_minutes=60)
    pass_(world, minutes=40)
    slow = await world.claim(stopped.name)
    await world.claim(stopped.name)
    await world.run(slow)
    assert not (await world.get(stopped.name)).expiry_warned
    assert "deleted" not in await world.log_text(stopped.name)

"""The watch: what the engine shows otherwise than the rows is looked at at once, and what nobody knows of is removed."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.codespace_world import SERVER_ID, CodespaceWorld, make_codespace_world

from berth.adapters.store import codespace as rows
from berth.adapters.store import prebuild as prebuild_rows
from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.adapters.store.prebuild_tables import prebuilds
from berth.adapters.store.tables import codespaces as table
from berth.domain.codespace import SERVER_LABEL, Codespace
from berth.domain.image_build import BUILD_LABEL
from berth.domain.lifecycle import Phase, State
from berth.domain.prebuild import PrebuildTrigger, PrebuildWish
from berth.domain.problem import UpstreamFailed
from berth.services.codespace_watch import CodespaceWatch
from berth.services.ports import ContainerStatus


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    made = await make_codespace_world(store, tmp_path)
    await made.give_triple()
    return made


async def look(world: CodespaceWorld) -> int:
    """Once; how often it woke the loop."""
    woken: list[int] = []
    watch = CodespaceWatch(store=world.store, launcher=world.launcher, wake=lambda: woken.append(1))
    await watch.look()
    return len(woken)


async def is_due(world: CodespaceWorld) -> bool:
    async with world.store.read() as connection:
        due_in_s = await work.next_due_in_s(connection, table)
    return due_in_s is not None and due_in_s <= 0


async def stopped(world: CodespaceWorld) -> Codespace:
    launched = await world.launch()
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    await world.step(launched.name)
    return await world.step(launched.name)


async def test_what_is_as_it_was_left_is_left_alone(world: CodespaceWorld) -> None:
    await stopped(world)
    await world.launch()
    assert await look(world) == 0
    assert not await is_due(world)


async def test_a_container_that_ended_is_started_at_once(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await world.engine.stop_container(str(launched.container_id), timeout_s=0)
    assert await look(world) == 1
    assert await is_due(world)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    assert await look(world) == 0


async def test_a_container_that_is_gone_is_told_at_once(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await world.engine.remove_container(str(launched.container_id))
    assert await look(world) == 1
    assert (await world.step(launched.name)).state is State.FAILED
    assert await look(world) == 0, "said once"


async def test_a_container_that_came_back_is_stopped(world: CodespaceWorld) -> None:
    codespace = await stopped(world)
    await world.engine.start_container(str(codespace.container_id))
    assert await look(world) == 1
    await world.step(codespace.name)
    assert world.engine.containers[str(codespace.container_id)].status is ContainerStatus.EXITED


@pytest.mark.parametrize("before", [CodespaceWorld.launch, stopped])
async def test_a_container_that_came_late_is_removed(world: CodespaceWorld, before: object) -> None:
    """The engine made it for a server that was killed, after the next one had looked."""
    codespace = await (world.launch() if before is CodespaceWorld.launch else stopped(world))
    late = world.engine.make(world.labels(codespace.name), ContainerStatus.CREATED)
    assert await look(world) == 1
    await world.step(codespace.name)
    assert late.container_id not in world.engine.containers
    assert codespace.container_id in world.engine.containers
    assert await look(world) == 0


async def test_a_failed_one_that_runs_is_stopped(world: CodespaceWorld) -> None:
    launched = await world.launch()
    async with world.store.begin() as connection:
        await connection.execute(update(table).values(phase=Phase.FAILED))
    assert await look(world) == 1
    await world.step(launched.name)
    assert world.engine.containers[str(launched.container_id)].status is ContainerStatus.EXITED


@pytest.mark.parametrize(
    "values", [{"lease": 1e12}, {"attempts": 3}, {"generation": 99}], ids=lambda one: next(iter(one))
)
async def test_what_is_worked_on_or_backs_off_is_left_alone(world: CodespaceWorld, values: dict[str, float]) -> None:
    launched = await world.launch()
    await world.engine.remove_container(str(launched.container_id))
    async with world.store.begin() as connection:
        await connection.execute(update(table).values(**values))
    await look(world)
    assert not await is_due(world)


async def test_containers_that_no_row_stands_for_are_removed_and_nothing_of_others(world: CodespaceWorld) -> None:
    launched = await world.launch()
    orphan = world.engine.make(world.labels("nobody"))
    others = [
        world.engine.make(world.labels("nobody", "server-2")),
        world.engine.make({"com.example": "x"}),
    ]
    assert await look(world) == 0
    assert orphan.container_id not in world.engine.containers
    assert set(world.engine.containers) == {launched.container_id, *(one.container_id for one in others)}


@pytest.mark.parametrize("of", ["nobody", "a codespace", "a prebuild"])
async def test_what_a_killed_engine_left_of_a_build_is_removed_when_nothing_is_built(
    world: CodespaceWorld, of: str
) -> None:
    launched = await world.launch()
    left = world.engine.make({SERVER_LABEL: SERVER_ID, BUILD_LABEL: "x"}, ContainerStatus.CREATED)
    async with world.store.begin() as connection:
        if of == "a codespace":
            await connection.execute(update(table).values(lease=1e12, phase=Phase.REBUILDING))
        elif of == "a prebuild":
            trigger = next(iter(PrebuildTrigger))
            wish = PrebuildWish(
                branch="main", devcontainer_path=None, trigger=trigger, every_hours=None, kept_versions=1
            )
            await prebuild_rows.insert_prebuild(
                connection,
                repository_id=launched.repository_id or 0,
                creator_id=launched.owner_id,
                wish=wish,
                at=world.secrets.clock.now(),
            )
            await connection.execute(update(prebuilds).values(lease=1e12))
        else:  # is looked at, and that builds nothing
            await connection.execute(update(table).values(lease=1e12))
    await look(world)
    assert (left.container_id in world.engine.containers) == (of != "nobody")
    assert launched.container_id in world.engine.containers


@pytest.mark.parametrize("built", [True, False])
async def test_a_step_of_a_build_that_says_to_be_a_codespaces_is_not_taken_for_its(
    world: CodespaceWorld, built: bool
) -> None:
    """A stranger's Dockerfile with `LABEL dev.berth.codespace=…`. The control is a container that no build made."""
    launched = await world.launch()
    labels = {**world.labels(launched.name), "dev.berth.service": "db", **({BUILD_LABEL: "x"} if built else {})}
    step = world.engine.make(labels, ContainerStatus.CREATED)
    seen = {one.container_id for one in await world.launcher.look(launched)}
    assert seen == {launched.container_id, *(() if built else (step.container_id,))}
    assert await look(world) == (0 if built else 1)
    assert (step.container_id in world.engine.containers) != built  # nothing is built now: it was left behind
    assert launched.container_id in world.engine.containers


async def test_an_engine_that_is_away_shows_nothing(world: CodespaceWorld) -> None:
    await world.launch()
    world.engine.containers.clear()
    world.engine.down = True
    with pytest.raises(UpstreamFailed):
        await look(world)
    assert not await is_due(world)


async def test_it_looks_again_and_again_and_tells_once_that_it_cannot(
    world: CodespaceWorld, caplog: pytest.LogCaptureFixture
) -> None:
    woken = asyncio.Event()
    launched = await world.launch()
    world.engine.down = True
    watch = CodespaceWatch(store=world.store, launcher=world.launcher, wake=woken.set, every_s=0.01)
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(0.2)
    assert [record.message for record in caplog.records if "watch" in record.message] == ["codespace.watch_failed"]
    world.engine.down = False
    await world.engine.remove_container(str(launched.container_id))
    async with asyncio.timeout(20):
        await woken.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_more_containers_than_a_statement_takes(world: CodespaceWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_NAMES_AT_ONCE", 1)
    names = {(await stopped(world)).name for _ in range(2)} | {(await world.launch()).name}
    async with world.store.read() as connection:
        found = await rows.list_seen_by_engine(connection, sorted(names))
    assert {one.name for one in found} == names

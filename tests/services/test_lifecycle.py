"""The worker: each step of a codespace's life, what faults do to it, and what is swept."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.codespace_world import CodespaceWorld, make_codespace_world
from tests.fakes.engine import UNREACHABLE, Executed

from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.adapters.store.tables import codespaces as table
from berth.domain.codespace import Codespace
from berth.domain.lifecycle import Desired, Phase, State
from berth.domain.problem import Conflict, LimitReached, UpstreamFailed
from berth.services.lifecycle import _MAX_ATTEMPTS
from berth.services.ports import Container, ContainerStatus, ExecResult


@pytest.fixture
async def codespaces(store: Store, tmp_path: Path) -> CodespaceWorld:
    return await make_codespace_world(store, tmp_path)


@pytest.fixture
async def world(codespaces: CodespaceWorld) -> CodespaceWorld:
    await codespaces.give_triple()
    return codespaces


async def code_of(world: CodespaceWorld, name: str) -> str:
    codespace = await world.get(name)
    assert codespace.finding is not None, codespace.state
    assert codespace.state is State.FAILED
    return codespace.finding.code


async def stop(world: CodespaceWorld, name: str) -> Codespace:
    await world.service.stop(world.secrets.subject("olga"), name)
    return await world.step(name)


async def start(world: CodespaceWorld, name: str) -> Codespace:
    await world.service.start(world.secrets.subject("olga"), name)
    return await world.step(name)


async def exhaust(world: CodespaceWorld, name: str) -> list[float]:
    """Step until the worker gives up; the distances between the attempts."""
    waits = []
    for _ in range(_MAX_ATTEMPTS):
        await world.step(name)
        row = await world.row(name)
        assert row is not None
        async with world.store.read() as connection:
            due = await work.next_due_in_s(connection, table)
        waits.append(due or 0.0)
    return waits


async def test_launch_rest_stop_start_remove(world: CodespaceWorld) -> None:
    name = await world.create()
    assert (await world.get(name)).state is State.QUEUED
    launched = await world.step(name)
    assert launched.state is State.AVAILABLE
    assert launched.container_id in world.engine.containers
    token = world.engine.environments[-1]["GITHUB_TOKEN"]
    assert await world.is_valid(token)

    assert (await world.step(name)).state is State.AVAILABLE  # a look changes nothing
    assert len(world.engine.containers) == 1

    stopped = await stop(world, name)
    assert stopped.state is State.SHUTDOWN
    assert world.engine.containers[str(launched.container_id)].status is ContainerStatus.EXITED
    assert not await world.is_valid(token), "its token is void while it does not run"
    assert (await world.step(name)).state is State.SHUTDOWN

    started = await start(world, name)
    assert (started.state, started.container_id) == (State.AVAILABLE, launched.container_id)
    new_token = world.engine.environments[-1]["GITHUB_TOKEN"]
    assert new_token != token
    assert await world.is_valid(new_token)
    assert not await world.is_valid(token)

    await world.service.delete(world.secrets.subject("olga"), name)
    await world.run(await world.claim(name))
    assert await world.find(name) is None
    assert world.nothing_left(name)
    assert not await world.is_valid(new_token)


async def test_a_container_that_somebody_stopped_is_started_again(world: CodespaceWorld) -> None:
    launched = await world.launch()
    container_id = str(launched.container_id)
    await world.engine.stop_container(container_id, timeout_s=1)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    assert world.engine.containers[container_id].status is ContainerStatus.RUNNING


async def test_what_an_interrupted_attempt_left_is_removed_before_the_new_launch(world: CodespaceWorld) -> None:
    name = await world.create()
    left = world.engine.make(world.labels(name))
    checkout = world.workspaces / name / "web"
    checkout.mkdir(parents=True)
    (checkout / "half").write_text("half")
    launched = await world.step(name)
    assert launched.state is State.AVAILABLE
    assert left.container_id not in world.engine.containers
    assert not (checkout / "half").exists()
    assert list(world.engine.containers) == [launched.container_id]


async def test_l8_a_refusal_leaves_nothing(world: CodespaceWorld) -> None:
    await world.configure("acme/web", privileged=True)
    failed = await world.launch()
    assert (await code_of(world, failed.name)).startswith("devcontainer.")
    assert world.nothing_left(failed.name)
    assert (await world.step(failed.name)).state is State.FAILED  # an answer: it is not tried again
    assert world.registry.asked == []


async def test_l8_a_hook_that_fails_late_leaves_nothing_and_its_token_is_void(world: CodespaceWorld) -> None:
    await world.configure("acme/web", postCreateCommand="make")
    world.engine.exit_codes["make"] = 2
    failed = await world.launch()
    assert await code_of(world, failed.name) == "devcontainer.hook_failed"
    assert world.nothing_left(failed.name)
    assert not await world.is_valid(world.engine.environments[-1]["GITHUB_TOKEN"])
    assert (await world.log(failed.name))[-1].kind == "finding"


async def test_l8_a_problem_that_does_not_pass_is_an_answer(world: CodespaceWorld) -> None:
    world.dev_containers.error = UpstreamFailed("It broke.", code="devcontainer.up_failed")
    failed = await world.launch()
    assert await code_of(world, failed.name) == "devcontainer.up_failed"
    assert world.nothing_left(failed.name)
    again = await start(world, failed.name)
    assert again.state is State.FAILED
    world.dev_containers.error = None
    assert (await start(world, failed.name)).state is State.AVAILABLE


async def test_a_passing_fault_is_tried_again_at_growing_distances_then_fails(world: CodespaceWorld) -> None:
    name = await world.create()
    world.engine.faults["pull"] = UNREACHABLE
    waits = await exhaust(world, name)
    assert await code_of(world, name) == "engine.unreachable"
    assert [round(wait) for wait in waits[:-1]] == [2, 4, 8, 16, 32]
    assert world.nothing_left(name)


async def test_an_engine_that_stays_away_fails_and_its_return_is_used_to_clear_up(world: CodespaceWorld) -> None:
    name = await world.create()
    world.dev_containers.error = UNREACHABLE
    world.dev_containers.after_making = lambda: setattr(world.engine, "down", True)
    await exhaust(world, name)
    assert await code_of(world, name) == "engine.unreachable"
    assert len(world.engine.containers) == 1, "it could not be removed"
    assert (await world.step(name)).state is State.FAILED
    findings = [entry for entry in await world.log(name) if entry.kind == "finding"]
    assert len(findings) == 1, "that is not said again at each look"
    world.engine.down = False
    assert (await world.step(name)).state is State.FAILED
    assert world.nothing_left(name)


async def test_a_fault_that_passes_in_time_is_not_seen(world: CodespaceWorld) -> None:
    name = await world.create()
    world.engine.down = True
    await world.step(name)
    assert (await world.get(name)).finding is None
    world.engine.down = False
    assert (await world.step(name)).state is State.AVAILABLE
    row = await world.row(name)
    assert row is not None
    assert row.attempts == 0


@pytest.mark.parametrize("verb", ["start_container", "list_containers"])
async def test_a_start_whose_engine_stays_away_fails(world: CodespaceWorld, verb: str) -> None:
    launched = await world.launch()
    await stop(world, launched.name)
    world.engine.faults[verb] = UNREACHABLE
    await world.service.start(world.secrets.subject("olga"), launched.name)
    await exhaust(world, launched.name)
    assert await code_of(world, launched.name) == "engine.unreachable"
    assert len(world.engine.containers) == 1, "its owner's files are in it"
    world.engine.faults.clear()
    assert (await start(world, launched.name)).state is State.AVAILABLE


async def test_a_hook_that_fails_at_a_start_is_remembered_until_it_succeeds(world: CodespaceWorld) -> None:
    await world.configure("acme/web", postStartCommand="serve")
    launched = await world.launch()
    assert launched.failed_hook is None
    await stop(world, launched.name)
    world.engine.exit_codes["serve"] = 3
    started = await start(world, launched.name)
    assert (started.state, started.finding) == (State.AVAILABLE, None), "its owner gets at his files to mend it"
    assert started.failed_hook is not None
    assert (started.failed_hook.hook, started.failed_hook.exit_code) == ("postStartCommand", 3)
    assert started.failed_hook.sentence in await world.log_text(launched.name)
    assert (await world.step(launched.name)).failed_hook == started.failed_hook
    assert (await stop(world, launched.name)).failed_hook == started.failed_hook
    world.engine.exit_codes.clear()
    assert (await start(world, launched.name)).failed_hook is None


@pytest.mark.parametrize("hook", ["postCreateCommand", "postStartCommand"])
async def test_l8_a_hook_that_failed_a_launch_is_remembered_until_one_succeeds(
    world: CodespaceWorld, hook: str
) -> None:
    await world.configure("acme/web", **{hook: "make"})
    world.engine.exit_codes["make"] = 2
    failed = await world.launch()
    assert failed.state is State.FAILED
    assert failed.failed_hook is not None
    assert (failed.failed_hook.hook, failed.failed_hook.exit_code) == (hook, 2)
    world.engine.exit_codes.clear()
    assert (await start(world, failed.name)).failed_hook is None


async def test_a_start_that_fails_stops_the_container_again(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await stop(world, launched.name)
    world.engine.install_result = ExecResult(1, b"no shell")
    await start(world, launched.name)
    assert await code_of(world, launched.name) == "container.install_failed"
    assert world.engine.containers[str(launched.container_id)].status is ContainerStatus.EXITED
    assert not await world.is_valid(world.engine.environments[-1]["GITHUB_TOKEN"])


async def test_a_container_that_ends_while_it_is_started_is_started_again(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await stop(world, launched.name)
    installed = world.engine.install_result
    world.engine.install_result = ExecResult(137, b"")
    assert (await start(world, launched.name)).finding is None
    world.engine.install_result = installed
    again = await world.step(launched.name)
    assert (again.state, again.container_id) == (State.AVAILABLE, launched.container_id)


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("at", ["launch", "start"])
async def test_what_a_command_of_an_ended_container_leaves_is_no_answer(
    world: CodespaceWorld, at: str, running: bool
) -> None:
    """An engine that was killed answers something for an exec that it lost; the control is a container that runs on."""
    name = await world.create()
    if at == "start":
        await world.step(name)
        await stop(world, name)
        await world.service.start(world.secrets.subject("olga"), name)
    installed, list_containers = world.engine.install_result, world.engine.list_containers

    async def list_ended(labels: Mapping[str, str]) -> tuple[Container, ...]:
        seen = await list_containers(labels)
        return tuple(replace(one, status=ContainerStatus.EXITED) for one in seen) if world.engine.executed else seen

    world.engine.executed.clear()
    world.engine.install_result = ExecResult(126, b"OCI runtime exec failed")
    if not running:
        world.engine.list_containers = list_ended  # type: ignore[method-assign]
    await world.step(name)
    if running:
        assert await code_of(world, name) == "container.install_failed"
        return
    assert (await world.get(name)).finding is None
    world.engine.list_containers, world.engine.install_result = list_containers, installed  # type: ignore[method-assign]
    assert (await world.step(name)).state is State.AVAILABLE


async def test_a_hook_of_an_ended_container_has_not_failed(world: CodespaceWorld) -> None:
    await world.configure("acme/web", postStartCommand="serve")
    name = await world.create()

    async def end(executed: Executed) -> ExecResult | None:
        world.engine._set(executed.container_id, ContainerStatus.EXITED)
        return ExecResult(137, b"") if executed.command[-1] == "serve" else None

    world.engine.on_execute = end
    await world.step(name)
    assert ((await world.get(name)).finding, (await world.get(name)).failed_hook) == (None, None)
    world.engine.on_execute = None
    assert (await world.step(name)).state is State.AVAILABLE


async def test_a_container_that_always_ends_while_it_is_started_fails(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await stop(world, launched.name)
    ended = Conflict("The container is not running.", code="container.not_running")
    world.engine.faults["execute"] = ended
    await world.service.start(world.secrets.subject("olga"), launched.name)
    await exhaust(world, launched.name)
    assert await code_of(world, launched.name) == "container.not_running"


async def test_a_container_that_is_taken_away_while_it_is_started_is_lost(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await stop(world, launched.name)
    world.engine.install_result = ExecResult(137, b"")
    await start(world, launched.name)
    del world.engine.containers[str(launched.container_id)]
    await world.step(launched.name)
    assert await code_of(world, launched.name) == "container.lost"


async def test_a_start_that_is_refused_before_anything_runs(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await stop(world, launched.name)
    world.engine.faults["start_container"] = UpstreamFailed("It failed.", code="engine.failed")
    await start(world, launched.name)
    assert await code_of(world, launched.name) == "engine.failed"


async def test_a_full_database_is_waited_for(world: CodespaceWorld) -> None:
    name = await world.create()
    world.dev_containers.error = LimitReached("The database's disk is full.", code="store.full")
    assert (await world.step(name)).finding is None
    world.dev_containers.error = None
    assert (await world.step(name)).state is State.AVAILABLE


async def test_a_lost_container_is_said_and_its_token_is_void(world: CodespaceWorld) -> None:
    launched = await world.launch()
    world.engine.containers.clear()
    await world.step(launched.name)
    assert await code_of(world, launched.name) == "container.lost"
    assert not await world.is_valid(world.engine.environments[-1]["GITHUB_TOKEN"])
    await start(world, launched.name)
    assert await code_of(world, launched.name) == "container.lost"
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    await world.step(launched.name)
    assert await code_of(world, launched.name) == "container.lost"


async def test_a_stop_undoes_a_launch_that_has_not_ended(world: CodespaceWorld) -> None:
    name = await world.create()
    world.engine.make(world.labels(name))
    assert (await stop(world, name)).state is State.SHUTDOWN
    assert world.nothing_left(name)
    assert (await world.step(name)).state is State.SHUTDOWN
    assert (await start(world, name)).state is State.AVAILABLE


async def test_removal_is_tried_for_ever(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await world.service.delete(world.secrets.subject("olga"), launched.name)
    world.engine.down = True
    for _ in range(_MAX_ATTEMPTS + 3):
        assert (await world.step(launched.name)).state is State.DELETED
    row = await world.row(launched.name)
    assert row is not None
    assert row.finding is None
    world.engine.down = False
    await world.run(await world.claim(launched.name))
    assert await world.find(launched.name) is None
    assert world.nothing_left(launched.name)


async def test_a_fenced_removal_stores_nothing(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await world.service.delete(world.secrets.subject("olga"), launched.name)
    slow = await world.claim(launched.name)
    quick = await world.claim(launched.name)
    await world.run(slow)
    assert await world.find(launched.name) is not None, "the row is the quick one's to delete"
    await world.run(quick)
    assert await world.find(launched.name) is None


async def test_a_fenced_launch_makes_nothing(world: CodespaceWorld) -> None:
    name = await world.create()
    slow = await world.claim(name)
    await world.run(await world.claim(name))
    before = (await world.get(name), dict(world.engine.containers))
    await world.run(slow)
    assert (await world.get(name), world.engine.containers) == before


@pytest.mark.parametrize("failure", [None, ValueError("a bug")], ids=["an answer", "a bug"])
async def test_a_fenced_launch_that_fails_undoes_nothing(world: CodespaceWorld, failure: Exception | None) -> None:
    """A server that stood still does not know that another has launched the codespace by now."""
    await world.configure("acme/web", postCreateCommand="make")
    name = await world.create()
    slow = await world.claim(name)
    slow.attempts = _MAX_ATTEMPTS

    async def be_overtaken(_executed: Executed) -> ExecResult:
        world.engine.on_execute = None
        await world.step(name)
        if failure is not None:
            raise failure
        return ExecResult(2, b"")

    world.engine.on_execute = be_overtaken
    await world.run(slow)
    launched = await world.get(name)
    assert launched.state is State.AVAILABLE
    assert launched.container_id in world.engine.containers
    assert await world.is_valid(world.engine.environments[-1]["GITHUB_TOKEN"])
    assert "finding" not in {entry.kind for entry in await world.log(name)}


async def test_a_bug_in_a_step_fails_in_the_end_with_a_sentence(world: CodespaceWorld) -> None:
    name = await world.create()
    world.engine.faults["pull"] = ZeroDivisionError("a bug")
    await exhaust(world, name)
    assert await code_of(world, name) == "internal"
    assert "a bug" not in await world.log_text(name)
    assert (await world.step(name)).state is State.FAILED
    assert world.nothing_left(name)


async def test_stopping_a_failed_one_changes_nothing_but_what_runs(world: CodespaceWorld) -> None:
    launched = await world.launch()
    async with world.store.begin() as connection:
        await connection.execute(update(table).values(phase=Phase.FAILED))
    assert (await world.step(launched.name)).state is State.FAILED
    assert world.engine.containers[str(launched.container_id)].status is ContainerStatus.EXITED
    assert (await world.step(launched.name)).state is State.FAILED


async def test_the_sweep_removes_what_no_row_stands_for(world: CodespaceWorld) -> None:
    launched = await world.launch()
    (world.workspaces / "nobody").mkdir()
    await world.worker.sweep()
    assert {path.name for path in world.workspaces.iterdir()} == {launched.name}


async def test_a_row_in_the_middle_of_something_goes_on_after_a_crash(world: CodespaceWorld) -> None:
    launched = await world.launch()
    for phase, desired, state in (
        (Phase.STOPPING, Desired.STOPPED, State.SHUTDOWN),
        (Phase.STARTING, Desired.RUNNING, State.AVAILABLE),
    ):
        async with world.store.begin() as connection:
            values = {"phase": phase, "desired": desired, "generation": table.c.generation + 1}
            await connection.execute(update(table).values(**values))
        assert (await world.step(launched.name)).state is state

"""Rebuilding: another container on the checkout that is there, whatever interrupts it. On both databases."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, update
from tests.codespace_world import HOST, IMAGE, CodespaceWorld, make_codespace_world
from tests.fakes.engine import BUILT, UNREACHABLE
from tests.fakes.registry_client import DIGEST

from berth.adapters.store import codespace_access as access_rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import audit_log
from berth.adapters.store.tables import codespaces as table
from berth.domain.codespace import Codespace, Rebuild
from berth.domain.image_build import built_image_name
from berth.domain.lifecycle import Phase, State
from berth.domain.problem import Conflict, Denied, UpstreamFailed
from berth.domain.registry_credential import Anonymous
from berth.services.lifecycle import _MAX_ATTEMPTS
from berth.services.ports import ContainerStatus, ImageBuilt

DOCKERFILE = ".devcontainer/Dockerfile"


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    made = await make_codespace_world(store, tmp_path)
    await made.give_triple()
    return made


async def ask(world: CodespaceWorld, name: str, how: Rebuild = Rebuild.CACHED) -> Codespace:
    return (await world.service.rebuild(world.secrets.subject("olga"), name, how)).codespace


async def rebuild(world: CodespaceWorld, name: str, how: Rebuild = Rebuild.CACHED) -> Codespace:
    await ask(world, name, how)
    return await world.step(name)


def mine(world: CodespaceWorld, codespace: Codespace) -> Path:
    """A file in the checkout that git knows nothing of."""
    return world.workspaces / codespace.name / "web" / "mine"


async def launch(world: CodespaceWorld) -> Codespace:
    launched = await world.launch()
    mine(world, launched).write_text("kept")
    return launched


async def test_the_container_is_another_and_the_checkout_is_kept(world: CodespaceWorld) -> None:
    launched = await launch(world)
    token = world.engine.environments[-1]["GITHUB_TOKEN"]
    commit = await world.configure("acme/web", containerEnv={"NEW": "1"})
    asked = await ask(world, launched.name)
    assert (asked.state, asked.is_busy) == (State.REBUILDING, True)
    rebuilt = await world.step(launched.name)
    assert (rebuilt.state, rebuilt.commit_id) == (State.AVAILABLE, commit)
    assert list(world.engine.containers) == [rebuilt.container_id] != [launched.container_id]
    assert world.dev_containers.requests[-1].configuration["containerEnv"]["NEW"] == "1"  # type: ignore[index]
    assert mine(world, launched).read_text() == "kept"
    assert not await world.is_valid(token)
    assert await world.is_valid(world.engine.environments[-1]["GITHUB_TOKEN"]), "the secrets are those of now"
    assert world.engine.forgotten == []
    assert (await world.step(launched.name)).container_id == rebuilt.container_id, "once is enough"
    async with world.store.read() as connection:
        statement = select(audit_log.c.detail).where(audit_log.c.action == "codespace.rebuild")
        assert list((await connection.execute(statement)).scalars()) == ["cached"]


async def test_a_full_one_uses_nothing_that_the_engine_holds(world: CodespaceWorld) -> None:
    launched = await launch(world)
    pulled = len(world.engine.pulled)
    rebuilt = await rebuild(world, launched.name, Rebuild.FULL)
    assert rebuilt.state is State.AVAILABLE
    assert world.engine.forgotten == [launched.image]
    assert len(world.engine.pulled) == pulled + 1
    assert mine(world, launched).read_text() == "kept"
    await rebuild(world, launched.name)
    assert len(world.engine.forgotten) == 1, "the next one is not full because one was"


@pytest.fixture
async def built(world: CodespaceWorld) -> Codespace:
    """A codespace from a Dockerfile."""
    await world.configure("acme/web", build={"dockerfile": "Dockerfile"})
    await world.write("acme/web", DOCKERFILE, f"FROM {IMAGE}\n".encode())
    return await launch(world)


async def test_a_dockerfile_is_built_again(world: CodespaceWorld, built: Codespace) -> None:
    await world.write("acme/web", DOCKERFILE, f"FROM {IMAGE}\nRUN new\n".encode())
    asked = len(world.registry.asked)
    rebuilt = await rebuild(world, built.name)
    assert (rebuilt.state, rebuilt.image) == (State.AVAILABLE, BUILT)
    assert list(world.engine.containers) == [rebuilt.container_id] != [built.container_id]
    first, second = world.engine.builds
    assert "RUN new" not in first.dockerfile
    assert "RUN new" in second.dockerfile
    assert (second.asked.cached, second.asked.name) == (True, first.asked.name), "one image per codespace has the name"
    assert len(world.registry.asked) > asked, "the right to what it is built from is proven again (L2)"
    assert world.engine.forgotten == []
    assert mine(world, built).read_text() == "kept"
    await world.service.delete(world.secrets.subject("olga"), built.name)
    await world.run(await world.claim(built.name))
    assert world.engine.forgotten == [built_image_name(built.name)]


async def test_a_full_one_runs_every_step_of_a_dockerfile_again(world: CodespaceWorld, built: Codespace) -> None:
    pulled = len(world.engine.pulled)
    rebuilt = await rebuild(world, built.name, Rebuild.FULL)
    assert (rebuilt.state, rebuilt.container_id != built.container_id) == (State.AVAILABLE, True)
    assert [one.asked.cached for one in world.engine.builds] == [True, False]
    assert world.engine.forgotten == [f"{HOST}/team/dev@{DIGEST}"]
    assert len(world.engine.pulled) == pulled + 1
    await rebuild(world, built.name)
    assert world.engine.builds[-1].asked.cached, "the next one is not full because one was"


@pytest.mark.parametrize("how", list(Rebuild))
async def test_a_build_that_fails_leaves_the_old_container_and_image(
    world: CodespaceWorld, built: Codespace, how: Rebuild
) -> None:
    good, world.engine.build_result = world.engine.build_result, ImageBuilt(image_id=None, step="RUN no", reason="no")
    failed = await rebuild(world, built.name, how)
    assert (failed.state, failed.finding and failed.finding.code) == (State.FAILED, "image.build_failed")
    assert list(world.engine.containers) == [built.container_id]
    assert built_image_name(built.name) in world.engine.images
    await world.service.start(world.secrets.subject("olga"), built.name)
    started = await world.step(built.name)
    assert (started.state, started.container_id) == (State.AVAILABLE, built.container_id)
    world.engine.build_result = good
    assert (await rebuild(world, built.name, how)).container_id != built.container_id
    assert mine(world, built).read_text() == "kept"


async def test_a_container_that_fails_after_the_build_is_made_by_a_start(
    world: CodespaceWorld, built: Codespace
) -> None:
    world.dev_containers.error = UpstreamFailed("It broke.", code="devcontainer.up_failed")
    assert (await rebuild(world, built.name, Rebuild.FULL)).state is State.FAILED
    assert world.engine.containers == {}, "nothing half-made is left"
    world.dev_containers.error = None
    await world.service.start(world.secrets.subject("olga"), built.name)
    assert (await world.step(built.name)).state is State.AVAILABLE
    assert mine(world, built).read_text() == "kept"


async def test_from_an_image_to_a_dockerfile_and_back(world: CodespaceWorld) -> None:
    launched = await launch(world)
    await world.configure("acme/web", build={"dockerfile": "Dockerfile"})
    await world.write("acme/web", DOCKERFILE, f"FROM {IMAGE}\n".encode())
    assert (await rebuild(world, launched.name)).image == BUILT
    await world.configure("acme/web")
    assert (await rebuild(world, launched.name)).image == launched.image


@pytest.mark.parametrize("from_fork", [True, False])
async def test_s6_a_forks_pull_request_gets_no_secrets_by_a_rebuild(world: CodespaceWorld, from_fork: bool) -> None:
    launched = await launch(world)
    world.registry.passwords[f"{HOST}/team/dev"] = None
    async with world.store.begin() as connection:
        await connection.execute(update(table).values(from_fork=from_fork, pull_request_number=1))
    assert (await rebuild(world, launched.name, Rebuild.FULL)).state is State.AVAILABLE
    given = world.engine.environments[-1]
    for name in ("CORP_CONTAINER_REGISTRY_PASSWORD", "GITHUB_TOKEN"):
        assert (name in given) is not from_fork, name
    assert isinstance(world.engine.logins[-1][0], Anonymous) is from_fork


async def test_one_that_is_stopped_starts_with_it(world: CodespaceWorld) -> None:
    launched = await launch(world)
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    await world.step(launched.name)
    rebuilt = await rebuild(world, launched.name)
    assert rebuilt.state is State.AVAILABLE
    assert rebuilt.container_id != launched.container_id


async def test_while_something_else_is_under_way_it_is_refused(world: CodespaceWorld) -> None:
    name = await world.create()
    with pytest.raises(Conflict) as refused:
        await ask(world, name)
    assert refused.value.code == "codespace.busy"
    launched = await world.step(name)
    await ask(world, name)
    with pytest.raises(Conflict):
        await ask(world, name)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    await ask(world, name)  # the positive control


async def test_who_may_have_none_any_more_rebuilds_none(world: CodespaceWorld) -> None:
    launched = await launch(world)
    async with world.store.begin() as connection:
        await access_rows.set_visibility(connection, world.secrets.accounts["acme"], "disabled")
    with pytest.raises(Denied):
        await ask(world, launched.name)


async def test_l4_what_is_refused_is_found_before_the_old_one_goes_and_a_start_gives_it_back(
    world: CodespaceWorld,
) -> None:
    launched = await launch(world)
    await world.configure("acme/web", privileged=True)
    failed = await rebuild(world, launched.name)
    assert (failed.state, failed.finding and failed.finding.code) == (State.FAILED, "devcontainer.not_allowed")
    assert world.engine.containers[str(launched.container_id)].status is ContainerStatus.EXITED
    await world.service.start(world.secrets.subject("olga"), launched.name)
    assert (await world.step(launched.name)).container_id == launched.container_id
    assert (await world.get(launched.name)).state is State.AVAILABLE
    await world.configure("acme/web")
    again = await rebuild(world, launched.name)
    assert again.state is State.AVAILABLE
    assert again.container_id != launched.container_id


async def test_l2_the_right_to_the_image_is_proven_again(world: CodespaceWorld) -> None:
    launched = await launch(world)
    await world.give_triple("wrong")
    failed = await rebuild(world, launched.name)
    assert failed.state is State.FAILED
    assert list(world.engine.containers) == [launched.container_id]
    await world.service.start(world.secrets.subject("olga"), launched.name)
    assert (await world.step(launched.name)).state is State.AVAILABLE, "it starts as it was"


async def test_a_failure_after_the_old_one_went_is_tried_again_by_a_start(world: CodespaceWorld) -> None:
    launched = await launch(world)
    world.dev_containers.error = UpstreamFailed("It broke.", code="devcontainer.up_failed")
    failed = await rebuild(world, launched.name)
    assert (failed.state, failed.finding and failed.finding.code) == (State.FAILED, "devcontainer.up_failed")
    assert world.engine.containers == {}, "nothing half-made is left"
    assert mine(world, launched).read_text() == "kept"
    assert (await world.step(launched.name)).state is State.FAILED, "it is an answer"
    world.dev_containers.error = None
    await world.service.start(world.secrets.subject("olga"), launched.name)
    assert (await world.get(launched.name)).state is State.REBUILDING
    started = await world.step(launched.name)
    assert started.state is State.AVAILABLE
    assert mine(world, launched).read_text() == "kept"


async def test_an_engine_that_stays_away_fails_it_and_a_rebuild_is_still_to_be_done(world: CodespaceWorld) -> None:
    launched = await launch(world)
    await ask(world, launched.name)
    world.engine.faults["list_containers"] = UNREACHABLE
    for _ in range(_MAX_ATTEMPTS):
        await world.step(launched.name)
    assert (await world.get(launched.name)).state is State.FAILED
    world.engine.faults.clear()
    await world.service.start(world.secrets.subject("olga"), launched.name)
    started = await world.step(launched.name)
    assert (started.state, started.container_id != launched.container_id) == (State.AVAILABLE, True)


@pytest.mark.parametrize("old_is_there", [True, False])
async def test_a_killed_one_is_done_again(world: CodespaceWorld, old_is_there: bool) -> None:
    launched = await launch(world)
    await ask(world, launched.name)
    async with world.store.begin() as connection:
        await connection.execute(update(table).values(phase=Phase.REBUILDING))
    if not old_is_there:
        world.engine.containers.clear()
    half = world.engine.make(world.labels(launched.name))
    rebuilt = await world.step(launched.name)
    assert rebuilt.state is State.AVAILABLE
    assert list(world.engine.containers) == [rebuilt.container_id]
    assert half.container_id != rebuilt.container_id
    assert mine(world, launched).read_text() == "kept"


@pytest.mark.parametrize("old_is_there", [True, False])
async def test_stopped_in_between_it_waits_for_the_next_start(world: CodespaceWorld, old_is_there: bool) -> None:
    launched = await launch(world)
    await ask(world, launched.name)
    if not old_is_there:
        world.engine.containers.clear()
    half = world.engine.make(world.labels(launched.name))
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    assert (await world.step(launched.name)).state is State.SHUTDOWN
    assert half.container_id not in world.engine.containers
    assert (launched.container_id in world.engine.containers) is old_is_there
    assert (await world.step(launched.name)).state is State.SHUTDOWN
    await world.service.start(world.secrets.subject("olga"), launched.name)
    started = await world.step(launched.name)
    assert started.state is State.AVAILABLE
    assert list(world.engine.containers) == [started.container_id] != [launched.container_id]
    assert mine(world, launched).read_text() == "kept"


async def test_a_request_while_it_ends_is_not_lost(world: CodespaceWorld) -> None:
    launched = await launch(world)
    await ask(world, launched.name)
    claim = await world.claim(launched.name)
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    async with world.store.begin() as connection:
        await connection.execute(
            update(table).values(
                desired="running", rebuild_asked=table.c.generation + 1, generation=table.c.generation + 1
            )
        )
    await world.run(claim)
    between = await world.get(launched.name)
    assert between.needs_rebuild, "the one that was asked for meanwhile"
    rebuilt = await world.step(launched.name)
    assert rebuilt.container_id != between.container_id
    assert not rebuilt.needs_rebuild


async def test_a_lost_container_comes_back_by_a_rebuild(world: CodespaceWorld) -> None:
    launched = await launch(world)
    world.engine.containers.clear()
    assert (await world.step(launched.name)).state is State.FAILED
    assert (await rebuild(world, launched.name)).state is State.AVAILABLE
    assert mine(world, launched).read_text() == "kept"


async def test_what_was_never_launched_is_launched(world: CodespaceWorld) -> None:
    await world.configure("acme/web", privileged=True)
    failed = await world.launch()
    await world.configure("acme/web")
    assert (await ask(world, failed.name)).state is State.QUEUED
    launched = await world.step(failed.name)
    assert (launched.state, launched.needs_rebuild) == (State.AVAILABLE, False)


async def test_a_branch_that_is_gone_is_rebuilt_from_what_it_was(world: CodespaceWorld) -> None:
    launched = await launch(world)
    async with world.store.begin() as connection:
        await connection.execute(update(table).values(ref="gone"))
    rebuilt = await rebuild(world, launched.name)
    assert (rebuilt.state, rebuilt.commit_id) == (State.AVAILABLE, launched.commit_id)


async def test_the_default_image_is_that_of_now(store: Store, tmp_path: Path) -> None:
    world = await make_codespace_world(store, tmp_path, default_image=IMAGE)
    await world.give_triple()
    await world.git.create(world.secrets.repositories["acme/site"], default_branch="main")
    await world.configure("acme/site", path="README")
    launched = await world.launch(full_name="acme/site")
    assert launched.state is State.AVAILABLE
    world.launcher._configurations._default_image = ""
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    await world.step(launched.name)
    await world.service.start(world.secrets.subject("olga"), launched.name)
    assert (await world.step(launched.name)).state is State.AVAILABLE, "a start keeps it"
    failed = await rebuild(world, launched.name)
    assert failed.finding is not None
    assert failed.finding.code == "devcontainer.missing"


async def test_two_at_once_make_one(world: CodespaceWorld) -> None:
    launched = await launch(world)
    asked = await asyncio.gather(*(ask(world, launched.name) for _ in range(4)), return_exceptions=True)
    assert any(isinstance(each, Codespace) for each in asked)
    rebuilt = await world.step(launched.name)
    assert list(world.engine.containers) == [rebuilt.container_id]
    assert not rebuilt.needs_rebuild

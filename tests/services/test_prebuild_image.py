"""Launches from prebuilds: the right to each base image comes first (L2), a shortcut that fails is none, and the log says which."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.codespace_world import HOST, IMAGE, OWN_HOST
from tests.fakes.engine import BUILT
from tests.prebuild_world import DOCKERFILE, PrebuildWorld, open_prebuild_world
from tests.secret_world import WEB

from berth.adapters.store.database import Store
from berth.domain.codespace import Rebuild
from berth.domain.image_build import built_image_name
from berth.domain.image_reference import Digest
from berth.domain.lifecycle import State
from berth.domain.problem import UpstreamFailed

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # queries: test_prebuild_worker.py


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[PrebuildWorld]:
    async with open_prebuild_world(store, tmp_path) as world:
        await world.give_repository_triple()
        world.open_own()
        yield world


def builds(world: PrebuildWorld) -> int:
    return len(world.codespaces.engine.builds)


async def test_a_launch_runs_the_version_by_digest_and_builds_nothing(world: PrebuildWorld) -> None:
    await world.make()
    (version,) = await world.versions()
    launched = await world.codespaces.launch()
    assert launched.state is State.AVAILABLE, launched.finding
    assert launched.from_prebuild
    package = f"{OWN_HOST}/acme/prebuild-{launched.repository_id}"
    assert launched.image == f"{package}@{version.digest}"
    assert builds(world) == 1, "the prebuild's own"
    text = await world.codespaces.log_text(launched.name)
    assert f"Using the prebuild of {version.short_hash}, made {version.created_at:%Y-%m-%d %H:%M} UTC." in text
    assert [name for name, _ in world.codespaces.registry.asked][-2:] == [f"{HOST}/team/dev", package], "the base first"
    assert [name for name, _ in world.codespaces.engine.pulled][-1] == launched.image
    assert HOST not in world.codespaces.engine.pulled[-1][0], "the base is proven, and not pulled"
    name = built_image_name(launched.name)
    assert name in world.codespaces.engine.images, "it is kept for as long as the codespace"
    await world.codespaces.service.delete(world.codespaces.secrets.subject("olga"), launched.name)
    await world.codespaces.run(await world.codespaces.claim(launched.name))
    assert name not in world.codespaces.engine.images


async def test_without_prebuilds_nothing_is_asked_and_nothing_is_said(world: PrebuildWorld) -> None:
    launched = await world.codespaces.launch()
    assert (launched.image, launched.from_prebuild) == (BUILT, False)
    assert len(world.codespaces.registry.asked) == 1
    assert "rebuil" not in await world.codespaces.log_text(launched.name)


@pytest.mark.parametrize("change", ["Dockerfile", "context", "arguments", "base"])
async def test_what_goes_into_the_image_decides(world: PrebuildWorld, change: str) -> None:
    await world.make()
    match change:
        case "Dockerfile":
            await world.codespaces.write("acme/web", DOCKERFILE, f"FROM {IMAGE}\nRUN true\n".encode())
        case "context":
            await world.codespaces.write("acme/web", ".devcontainer/more", b"x")
        case "arguments":
            await world.codespaces.configure("acme/web", build={"dockerfile": "Dockerfile", "args": {"A": "1"}})
        case _:
            world.codespaces.registry.digest = Digest.of(b"moved")
    launched = await world.codespaces.launch()
    assert (launched.image, launched.from_prebuild) == (BUILT, False), launched.finding
    text = await world.codespaces.log_text(launched.name)
    assert "No prebuild was made of this configuration (" in text
    assert "Building the image" in text


async def test_a_file_outside_the_context_changes_nothing(world: PrebuildWorld) -> None:
    await world.make()
    await world.codespaces.write("acme/web", "src/main.py", b"x")
    assert (await world.codespaces.launch()).from_prebuild


async def test_l2_who_may_not_open_a_base_image_is_refused_although_there_is_a_prebuild(world: PrebuildWorld) -> None:
    await world.make()
    for part in ("SERVER", "USER", "PASSWORD"):
        await world.codespaces.secrets.service.delete(
            world.codespaces.secrets.subject("olga"), WEB, f"REPO_CONTAINER_REGISTRY_{part}"
        )
    refused = await world.codespaces.launch()
    assert refused.state is State.FAILED
    assert refused.finding is not None
    assert refused.finding.code == "image.credential_missing"
    assert builds(world) == 1
    await world.codespaces.give_triple()
    assert (await world.codespaces.launch()).from_prebuild, "the control"


async def test_a_prebuild_that_cannot_be_had_is_no_reason_to_fail(world: PrebuildWorld) -> None:
    await world.make()
    del world.codespaces.registry.passwords[
        f"{OWN_HOST}/acme/prebuild-{world.codespaces.secrets.repositories['acme/web']}"
    ]
    launched = await world.codespaces.launch()
    assert (launched.state, launched.from_prebuild) == (State.AVAILABLE, False)
    assert "The prebuild cannot be used, so the image is built: " in await world.codespaces.log_text(launched.name)
    world.open_own()
    world.codespaces.engine.faults["tag_image"] = UpstreamFailed("No room.", code="engine.failed")
    again = await world.codespaces.launch()
    assert (again.state, again.from_prebuild) == (State.AVAILABLE, False)
    assert "so the image is built: No room." in await world.codespaces.log_text(again.name)
    del world.codespaces.engine.faults["tag_image"]
    assert (await world.codespaces.launch()).from_prebuild, "the control"


async def test_a_full_rebuild_uses_none_and_a_rebuild_does(world: PrebuildWorld) -> None:
    await world.make()
    launched = await world.codespaces.launch()
    subject = world.codespaces.secrets.subject("olga")
    await world.codespaces.service.rebuild(subject, launched.name, Rebuild.FULL)
    assert (await world.codespaces.step(launched.name)).from_prebuild is False
    await world.codespaces.service.rebuild(subject, launched.name, Rebuild.CACHED)
    assert (await world.codespaces.step(launched.name)).from_prebuild is True


async def test_features_are_not_in_the_hash_so_none_is_used(world: PrebuildWorld) -> None:
    """Until they are: a prebuild without them must not stand for a configuration with them."""
    made = await world.make()
    codespaces = world.codespaces
    launched = await codespaces.launch()
    source = await codespaces.launcher._sources.find(launched)
    log = codespaces.worker._log_of(launched)
    config = await codespaces.launcher._configurations.read(launched, source, made.commit_id or "", log)
    images = codespaces.launcher._images
    assert (await images.read(launched, source, config, made.commit_id or "", log)).plan is not None
    config.values["features"] = {"registry.example.com/x:1": {}}  # type: ignore[index]
    assert (await images.read(launched, source, config, made.commit_id or "", log)).plan is None

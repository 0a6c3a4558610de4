"""What a codespace's container has of its host: asked for at creation, at rebuild and at a start (L4, L6). On both databases."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.codespace_world import HOST, IMAGE, CodespaceWorld, make_codespace_world
from tests.domain.test_pull_request import pull_request

from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.codespace import Codespace, Rebuild
from berth.domain.codespace_policy import CodespacePolicy
from berth.domain.dev_container import METADATA_LABEL
from berth.domain.host_option import (
    NO_OPTIONS,
    OPTIONS_LABEL,
    HostMount,
    HostOptions,
    parse_host_options,
)
from berth.domain.lifecycle import State
from berth.domain.pull_request import PullRequest
from berth.services.codespace_policy import CodespacePolicyService
from berth.services.launch_source import LaunchSources

PTRACE, CACHE = "capability:SYS_PTRACE", "mount:/srv/cache"
SITE = parse_host_options([PTRACE, CACHE, "privileged"])
LABEL = json.dumps([{"mounts": ["type=bind,source=/srv/cache,target=/cache"]}])
BOTH = HostOptions(capabilities=("SYS_PTRACE",), mounts=(HostMount(source="/srv/cache", target="/cache"),))


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    made = await make_codespace_world(store, tmp_path, site_options=SITE)
    await made.give_triple()
    return made


@pytest.fixture
def olga(world: CodespaceWorld) -> Subject:
    return world.secrets.subject("olga")


async def set_policy(world: CodespaceWorld, olga: Subject, *tokens: str) -> None:
    service = CodespacePolicyService(store=world.store, clock=world.secrets.clock, site_options=SITE)
    await service.put(olga, "acme", CodespacePolicy(name="tools", allowed_options=tokens))


def set_site(world: CodespaceWorld, *tokens: str) -> None:
    """As after a restart with another setting."""
    world.launcher._sources = LaunchSources(store=world.store, site_options=parse_host_options(tokens))


def code(codespace: Codespace) -> str:
    return "" if codespace.finding is None else codespace.finding.code


def given(world: CodespaceWorld) -> HostOptions:
    return world.dev_containers.requests[-1].options


async def test_file_and_label_ask_and_the_container_gets_both(world: CodespaceWorld) -> None:
    world.engine.image_labels = {METADATA_LABEL: LABEL}
    await world.configure("acme/web", capAdd=["cap_sys_ptrace"])
    launched = await world.launch()
    assert code(launched) == ""
    assert given(world) == BOTH
    assert f"gets {PTRACE},{CACHE} of its host" in await world.log_text(launched.name)
    written = json.dumps(world.dev_containers.requests[-1].configuration)
    assert "ptrace" not in written.lower()
    assert "/srv/cache" not in written


async def test_who_asks_for_nothing_gets_nothing(world: CodespaceWorld) -> None:
    launched = await world.launch()
    assert given(world) == NO_OPTIONS
    assert "of its host" not in await world.log_text(launched.name)


WAYS: dict[str, tuple[dict[str, Any], str]] = {
    "file": ({"privileged": True}, ""),
    "label": ({}, '[{"privileged": true}]'),
    "built image's label": ({"build": {"dockerfile": "Dockerfile"}}, '[{"privileged": true}]'),
}


@pytest.mark.parametrize(("config", "label"), WAYS.values(), ids=WAYS.keys())
async def test_l4_each_source_is_asked_at_creation(
    world: CodespaceWorld, olga: Subject, config: dict[str, Any], label: str
) -> None:
    world.engine.image_labels = {METADATA_LABEL: label} if label else {}
    await world.configure("acme/web", **config)
    await world.write("acme/web", ".devcontainer/Dockerfile", f"FROM {IMAGE}".encode())
    assert code(await world.launch()) == ""
    assert given(world) == HostOptions(privileged=True)
    await set_policy(world, olga, PTRACE)
    refused = await world.launch()
    assert code(refused) == "codespace.policy_option"
    assert refused.finding is not None
    assert "the policy 'tools' of acme" in refused.finding.sentence
    assert refused.finding.fixer == "organization_owner"
    assert world.nothing_left(refused.name)
    set_site(world)
    refused = await world.launch()
    assert code(refused) == "devcontainer.not_allowed"
    assert len(world.dev_containers.requests) == 1


async def test_l4_two_mounts_at_one_place_end_the_launch(world: CodespaceWorld) -> None:
    set_site(world, CACHE, "mount:/srv/other")
    world.engine.image_labels = {METADATA_LABEL: LABEL}
    await world.configure("acme/web", mounts=["type=bind,source=/srv/other,target=/cache"])
    assert code(await world.launch()) == "devcontainer.value"


async def test_l6_a_rebuild_asks_again_and_a_refused_one_leaves_the_container(
    world: CodespaceWorld, olga: Subject
) -> None:
    launched = await world.launch()
    await world.configure("acme/web", capAdd=["SYS_PTRACE"])
    await set_policy(world, olga, CACHE)
    await world.service.rebuild(olga, launched.name, Rebuild.CACHED)
    assert code(await world.step(launched.name)) == "codespace.policy_option"
    await world.service.start(olga, launched.name)
    started = await world.step(launched.name)
    assert (started.state, started.container_id) == (State.AVAILABLE, launched.container_id), "it has none of it"
    await set_policy(world, olga, PTRACE, CACHE)
    await world.service.rebuild(olga, launched.name, Rebuild.CACHED)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    assert given(world).capabilities == ("SYS_PTRACE",)


async def stop(world: CodespaceWorld, olga: Subject, name: str) -> None:
    await world.service.stop(olga, name)
    assert (await world.step(name)).state is State.SHUTDOWN


@pytest.mark.parametrize("who", ["site", "organization"])
async def test_l4_a_container_with_what_is_no_longer_allowed_does_not_start(
    world: CodespaceWorld, olga: Subject, who: str
) -> None:
    world.engine.image_labels = {METADATA_LABEL: LABEL}
    await world.configure("acme/web", capAdd=["SYS_PTRACE"])
    launched = await world.launch()
    await stop(world, olga, launched.name)
    await world.service.start(olga, launched.name)
    assert (await world.step(launched.name)).state is State.AVAILABLE, "the positive control"
    environments = len(world.engine.environments)
    if who == "site":
        set_site(world, PTRACE)
    else:
        await set_policy(world, olga, PTRACE)
    assert (await world.step(launched.name)).state is State.AVAILABLE, "what runs goes on"
    await stop(world, olga, launched.name)
    await world.service.start(olga, launched.name)
    failed = await world.step(launched.name)
    assert code(failed) == "codespace.option_withdrawn"
    assert failed.finding is not None
    assert CACHE in failed.finding.sentence
    assert "rebuild" in failed.finding.next_step
    assert len(world.engine.environments) == environments, "nothing was installed"
    assert list(world.engine.containers) == [launched.container_id], "its files are kept"
    world.engine.image_labels = {}
    await world.service.rebuild(olga, launched.name, Rebuild.FULL)
    assert (await world.step(launched.name)).state is State.AVAILABLE, "as the finding says"
    assert given(world) == HostOptions(capabilities=("SYS_PTRACE",))


async def test_another_owner_s_repository_is_asked_of_the_site_alone(world: CodespaceWorld, olga: Subject) -> None:
    await set_policy(world, olga)
    await world.git.create(world.secrets.repositories["otto/own"], default_branch="main")
    world.registry.passwords[f"{HOST}/team/dev"] = None
    await world.configure("otto/own", capAdd=["SYS_PTRACE"])
    assert code(await world.launch("otto", "otto/own")) == ""
    assert given(world).capabilities == ("SYS_PTRACE",)


@pytest.mark.parametrize("from_fork", [False, True], ids=["the positive control", "S6 a fork's pull request"])
async def test_l4_a_stranger_s_code_gets_nothing_of_the_host(
    world: CodespaceWorld, pull: PullRequest, from_fork: bool
) -> None:
    launched = await world.launch(pull_request=pull)
    assert code(launched) == ("devcontainer.not_allowed" if from_fork else "")
    if from_fork:
        assert launched.finding is not None
        assert "fork's pull request" in launched.finding.sentence
    else:
        assert given(world).capabilities == ("SYS_PTRACE",)


@pytest.fixture
async def pull(world: CodespaceWorld, from_fork: bool) -> PullRequest:
    """One whose branch asks for a capability."""
    repository = world.secrets.repositories["acme/web"]
    world.registry.passwords[f"{HOST}/team/dev"] = None
    await world.configure("acme/web", capAdd=["SYS_PTRACE"])
    target = "refs/pull/1/head" if from_fork else "refs/heads/topic"
    await world.git.fetch(repository, {"refs/heads/main": target}, source_id=repository)
    return pull_request(repository_id=repository, head_repository_id=repository + from_fork, number=1)


async def test_the_label_is_berth_s_own_whatever_the_image_says(world: CodespaceWorld) -> None:
    launched = await world.launch()
    assert world.engine.containers[launched.container_id or ""].labels[OPTIONS_LABEL] == ""

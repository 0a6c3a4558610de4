"""The ServiceEngine port on a real engine: what is there twice, what is another's, what is gone."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.world import engine_api

from berth.adapters.engine_docker import DockerEngine
from berth.adapters.engine_docker_services import DockerServices
from berth.domain.allowance import Allowances
from berth.domain.compose_container import ServiceContainer, ServicePlacement, service_container
from berth.domain.compose_mount import MountPlace
from berth.domain.compose_service import ServicePlace, parse_service
from berth.domain.host_option import parse_host_options
from berth.domain.machine import UNLIMITED
from berth.domain.problem import Conflict, NotFound, UpstreamFailed
from berth.services.ports import ServiceState

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


@pytest.fixture
async def name(docker_host: str) -> AsyncIterator[str]:
    """Of a codespace of the test's own; whatever has its label is removed afterwards."""
    made = f"t{os.urandom(4).hex()}"
    yield made
    services, engine = DockerServices(docker_host), DockerEngine(docker_host)
    for container in await engine.list_containers({"test": made}):
        await engine.remove_container(container.container_id)
    for belonging in await services.list_belongings({"test": made}):
        await services.remove_belonging(belonging)
    assert await services.list_belongings({"test": made}) == ()


def container(name: str, image: str, *command: str, **host: Any) -> ServiceContainer:
    body = {"Image": image, "Cmd": ["sh", "-c", *command], "Labels": {"test": name}, "HostConfig": host}
    return ServiceContainer(name=f"{name}.db", body=body)


async def test_networks_and_volumes_are_made_once_and_for_one(docker_host: str, name: str) -> None:
    services, mine, theirs = DockerServices(docker_host), {"test": name}, {"test": f"{name}-other"}
    network = await services.make_network(name, mine)
    assert await services.make_network(name, mine) == network
    await services.make_volume(f"{name}.v", mine)
    await services.make_volume(f"{name}.v", mine)
    for refused in (services.make_network(name, theirs), services.make_volume(f"{name}.v", theirs)):
        with pytest.raises(Conflict) as caught:
            await refused
        assert caught.value.code == "compose.name_taken"
    found = await services.list_belongings(mine)
    assert {one.key for one in found} == {f"networks/{network}", f"volumes/{name}.v"}
    assert all(one.labels == mine for one in found)
    for one in (*found, *found):
        await services.remove_belonging(one)


async def test_what_was_made_twice_at_once_is_used_once_and_goes_together(docker_host: str, name: str) -> None:
    """Names of networks are not unique to the engine. Only one step of a codespace runs at a time, but one may be fenced late."""
    services, mine = DockerServices(docker_host), {"test": name}
    await asyncio.gather(*(services.make_network(name, mine) for _ in range(3)), return_exceptions=True)
    made = {one.key for one in await services.list_belongings(mine)}
    assert f"networks/{await services.make_network(name, mine)}" in made
    for one in await services.list_belongings(mine):
        await services.remove_belonging(one)
    assert await services.list_belongings(mine) == ()


GIVEN: dict[str, Any] = {
    "image": "x",
    "init": True,
    "command": ["sh", "-c", "test -c /dev/given && test -d /host && ! touch /host/x"],
    "hostname": "not-with-the-hosts-own",
    "cap_add": ["SYS_PTRACE"],
    "security_opt": ["seccomp=unconfined", "no-new-privileges"],
    "devices": ["/dev/null:/dev/given:rw"],
    "volumes": ["/usr:/host:ro"],
    **dict.fromkeys(("network_mode", "pid", "ipc", "uts", "userns_mode"), "host"),
}
TOKENS = ("capability:SYS_PTRACE", "security:seccomp=unconfined", "device:/dev/null", "mount:/usr")
NAMESPACES = ("network", "pid", "ipc", "uts", "user")


@pytest.mark.parametrize("asks", [True, False], ids=["what is allowed", "the control"])
async def test_l4_the_engine_takes_what_a_service_was_given(
    docker_host: str, busybox_image: str, name: str, asks: bool
) -> None:
    """And whoever does not ask has none of it."""
    services, engine = DockerServices(docker_host), DockerEngine(docker_host)
    allowances = Allowances(site=parse_host_options([*TOKENS, *(f"namespace:{one}" for one in NAMESPACES)]))
    place = ServicePlace(MountPlace("", "r", frozenset()), frozenset(), "c.yml", allowances)
    values = (
        GIVEN
        if asks
        else {"image": "x", "init": True, "command": ["sh", "-c", "! test -e /dev/given && ! test -e /host"]}
    )
    placement = ServicePlacement(
        codespace=name, checkout="/nowhere", network=await services.make_network(name, {"test": name})
    )
    wanted = service_container(
        parse_service("db", values, place, []),
        placement,
        image=busybox_image,
        labels={"test": name},
        machine=UNLIMITED,
    )
    made = await services.make_container(wanted)
    await engine.start_container(made)
    async with asyncio.timeout(30):
        while (ended := await services.look_at(made)).is_running:
            await asyncio.sleep(0.05)
    assert ended == ServiceState(is_running=False, exit_code=0), "what was given is there"
    async with engine_api(docker_host) as api:
        host = (await api.get(f"/containers/{made}/json")).json()["HostConfig"]
    modes = {host[key] for key in ("NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode")}
    assert (modes == {"host"}) is asks
    assert ("host" in modes) is asks
    assert bool(host["CapAdd"]) is bool(host["Devices"]) is bool(host["SecurityOpt"]) is asks
    assert [one["Source"] for one in host.get("Mounts") or []] == (["/usr"] if asks else [])


async def test_a_service_from_its_making_to_its_end(docker_host: str, busybox_image: str, name: str) -> None:
    services, engine = DockerServices(docker_host), DockerEngine(docker_host)
    network = await services.make_network(name, {"test": name})
    wanted = container(
        name, busybox_image, "echo one; echo two >&2; trap 'exit 3' TERM; sleep 60 & wait", NetworkMode=network
    )
    made = await services.make_container(wanted)
    assert await services.look_at(made) == ServiceState(is_running=False)
    await engine.start_container(made)
    assert await services.look_at(made) == ServiceState(is_running=True)
    (belonging,) = await services.list_belongings({"test": name})
    await services.remove_belonging(belonging)
    assert await services.list_belongings({"test": name}) == (belonging,), "something uses it"
    async with asyncio.timeout(30):
        while len((await services.last_output(made, lines=5)).split()) < 2:
            await asyncio.sleep(0.05)
    assert set((await services.last_output(made, lines=5)).split()) == {"one", "two"}
    await services.stop_container(made)
    await services.stop_container(made)
    assert await services.look_at(made) == ServiceState(is_running=False, exit_code=3)
    await engine.remove_container(made)
    await services.stop_container(made)
    with pytest.raises(NotFound):
        await services.look_at(made)


async def test_health_is_the_engines_word(docker_host: str, busybox_image: str, name: str) -> None:
    services, engine = DockerServices(docker_host), DockerEngine(docker_host)
    body = {
        **container(name, busybox_image, "sleep 60").body,
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**8},
    }
    made = await services.make_container(
        ServiceContainer(name=f"{name}.db", body={**body, "HostConfig": {"Init": True}})
    )
    await engine.start_container(made)
    async with asyncio.timeout(30):
        while (await services.look_at(made)).health != "healthy":
            await asyncio.sleep(0.05)


async def test_what_the_engine_does_not_make(docker_host: str, busybox_image: str, name: str) -> None:
    services = DockerServices(docker_host)
    bad = container(name, busybox_image, "true", Memory=1)
    with pytest.raises(UpstreamFailed) as caught:
        await services.make_container(bad)
    assert caught.value.code == "engine.failed"
    async with engine_api(docker_host) as engine:
        assert (await engine.get(f"/containers/{name}.db/json")).status_code == 404
    nowhere = DockerServices("unix:///nonexistent/socket")
    with pytest.raises(UpstreamFailed) as caught:
        await nowhere.make_network(name, {})
    assert caught.value.code == "engine.unreachable"

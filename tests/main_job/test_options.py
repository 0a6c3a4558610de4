"""What a codespace may have of its host, end to end; this world's administrator allows capability:SYS_PTRACE (L4)."""

import httpx
import pytest
from tests.main_job.test_attacks import publish, repository
from tests.main_job.test_launch import run
from tests.world import World, engine_api

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(180)]

CAP_SYS_PTRACE = 19  # its bit; linux/capability.h
LABEL = """LABEL devcontainer.metadata='[{"capAdd":["cap_sys_ptrace"]}]'"""


async def create(world: World, api: httpx.AsyncClient, full_name: str) -> tuple[str, str]:
    """A codespace's name, and the code of its finding."""
    name = (await api.post(f"/repos/{full_name}/codespaces", json={})).json()["name"]
    return name, code(await world.server.until_at_rest(api, name))


def code(codespace: dict[str, object]) -> str:
    finding = codespace.get("finding")
    return str(finding["code"]) if isinstance(finding, dict) else ""


async def has_ptrace(api: httpx.AsyncClient, name: str) -> bool:
    """Whether the container's first process may trace others."""
    exit_code, said = await run(api, name, "sh", "-c", "grep CapEff /proc/1/status | cut -f2")
    assert exit_code == 0
    return bool(int(said, 16) & 1 << CAP_SYS_PTRACE)


async def test_a_capability_from_the_file_until_the_organization_takes_it_away(world: World) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, image=world.image, capAdd=["SYS_PTRACE"])
        policy = f"/orgs/{full_name.partition('/')[0]}/codespaces/policies/tools"
        assert (await api.put(policy, json={"allowed_options": ["capability:SYS_PTRACE"]})).status_code == 200
        name, failed = await create(world, api, full_name)
        assert failed == "", (await api.get(f"/user/codespaces/{name}/logs")).text
        assert await has_ptrace(api, name)
        async with engine_api(world.docker_host) as engine:
            made = (await engine.get(f"/containers/berth-{name}/json")).json()
        assert [one.removeprefix("CAP_") for one in made["HostConfig"]["CapAdd"]] == ["SYS_PTRACE"]
        assert made["Config"]["Labels"]["dev.berth.options"] == "capability:SYS_PTRACE"
        assert (await api.put(policy, json={"allowed_options": []})).status_code == 200
        assert (await create(world, api, full_name))[1] == "codespace.policy_option"
        await api.post(f"/user/codespaces/{name}/stop")
        await world.server.until_at_rest(api, name)
        await api.post(f"/user/codespaces/{name}/start")
        assert code(await world.server.until_at_rest(api, name)) == "codespace.option_withdrawn"
        await api.delete(f"/user/codespaces/{name}")


async def test_a_capability_from_an_image_s_label(world: World) -> None:
    async with world.server.api() as api:
        name, failed = await create(world, api, await repository(world, api, image=await publish(world, LABEL)))
        assert failed == "", (await api.get(f"/user/codespaces/{name}/logs")).text
        assert await has_ptrace(api, name)
        await api.delete(f"/user/codespaces/{name}")


async def test_what_the_administrator_did_not_name_is_refused(world: World) -> None:
    async with world.server.api() as api:
        plain, failed = await create(world, api, await repository(world, api, image=world.image))
        assert failed == ""
        assert not await has_ptrace(api, plain), "nobody has it who did not ask"
        await api.delete(f"/user/codespaces/{plain}")
        image = await publish(world, LABEL.replace("ptrace", "admin"))
        for config in ({"image": world.image, "runArgs": ["--cap-add=SYS_ADMIN"]}, {"image": image}):
            _, failed = await create(world, api, await repository(world, api, **config))
            assert failed == "devcontainer.not_allowed"


COMPOSE = """
services:
  app: {image: IMAGE, command: sleep infinity, init: true, cap_add: [SYS_PTRACE]}
  db: {image: IMAGE, command: sleep infinity, init: true, cap_add: [cap_sys_ptrace]}
  plain: {image: IMAGE, command: sleep infinity, init: true}
"""


async def test_a_capability_of_each_service_until_the_organization_takes_it_away(world: World) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, dockerComposeFile="c.yml", service="app")
        await world.commit(api, ".devcontainer/c.yml", COMPOSE.replace("IMAGE", world.image), full_name)
        name, failed = await create(world, api, full_name)
        assert failed == "", (await api.get(f"/user/codespaces/{name}/logs")).text
        assert await has_ptrace(api, name)
        given = {}
        async with engine_api(world.docker_host) as engine:
            for container in (f"berth-{name}", f"berth-{name}.db", f"berth-{name}.plain"):
                made = (await engine.get(f"/containers/{container}/json")).json()
                capabilities = [one.removeprefix("CAP_") for one in made["HostConfig"]["CapAdd"] or []]
                given[container.partition(".")[2]] = (capabilities, made["Config"]["Labels"]["dev.berth.options"])
        both = (["SYS_PTRACE"], "capability:SYS_PTRACE")
        assert given == {"": both, "db": both, "plain": ([], "")}
        policy = f"/orgs/{full_name.partition('/')[0]}/codespaces/policies/tools"
        assert (await api.put(policy, json={"allowed_options": []})).status_code == 200
        await api.post(f"/user/codespaces/{name}/stop")
        await world.server.until_at_rest(api, name)
        await api.post(f"/user/codespaces/{name}/start")
        assert code(await world.server.until_at_rest(api, name)) == "codespace.option_withdrawn"
        await api.delete(f"/user/codespaces/{name}")

"""What an attacker tried, each with a positive control beside it: images and rights that would give secrets away."""

import asyncio
import json
import os

import httpx
import pytest
from tests.server import fresh_name
from tests.world import REGISTRY_PASSWORD, REGISTRY_USER, World, import_image, push, put_secret, put_triple

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(180)]


async def publish(world: World, *instructions: str) -> str:
    """A private image made with these Dockerfile lines."""
    name = f"{world.registry_host}/team/odd-{os.urandom(3).hex()}"
    image = await import_image(world.docker_host, name, "1", *instructions)
    await push(world.docker_host, image, REGISTRY_USER, REGISTRY_PASSWORD)
    return image


async def repository(world: World, api: httpx.AsyncClient, **config: object) -> str:
    """A repository of a new organization whose secrets open the registry."""
    owner = fresh_name("a")
    assert (await api.post("/admin/organizations", json={"login": owner, "admin": "admin"})).status_code == 201
    assert (await api.post(f"/orgs/{owner}/repos", json={"name": "r", "private": True})).status_code == 201
    await world.commit(api, ".devcontainer/devcontainer.json", json.dumps(config), f"{owner}/r")
    triple = (world.registry_host, REGISTRY_USER, REGISTRY_PASSWORD)
    await put_triple(api, f"/orgs/{owner}/codespaces/secrets", "CORP", triple, visibility="all")
    return f"{owner}/r"


# The label with which the plain CLI makes a privileged container that has the server's /etc.
OUT = [{"privileged": True, "capAdd": ["SYS_ADMIN"], "mounts": ["type=bind,source=/etc,target=/hostetc"]}]
IMAGES = {
    "L4 a label that asks for the server": (
        f"LABEL devcontainer.metadata='{json.dumps(OUT)}'",
        "devcontainer.not_allowed",
    ),
    "L4 a label whose privileged is true to the CLI only": (
        """LABEL devcontainer.metadata='[{"privileged":[]}]'""",
        "devcontainer.not_allowed",
    ),
    "L7 a volume where the docker config goes": ("VOLUME /run/codespaces/docker", "container.install_failed"),
    "L7 a volume where the environment goes": ("VOLUME /run/codespaces/env", "container.install_failed"),
}


@pytest.mark.parametrize(("instruction", "code"), IMAGES.values(), ids=IMAGES.keys())
async def test_an_image_that_reaches_out_is_refused(world: World, instruction: str, code: str) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, image=await publish(world, instruction))
        name = (await api.post(f"/repos/{full_name}/codespaces", json={})).json()["name"]
        codespace = await world.server.until_at_rest(api, name)
        assert codespace["state"] == "Failed"
        assert codespace["finding"]["code"] == code


async def test_the_positive_control_a_harmless_label_and_volume_pass(world: World) -> None:
    async with world.server.api() as api:
        image = await publish(world, """LABEL devcontainer.metadata='[{"privileged":false}]'""", "VOLUME /data")
        full_name = await repository(world, api, image=image)
        name = (await api.post(f"/repos/{full_name}/codespaces", json={})).json()["name"]
        assert (await world.server.until_at_rest(api, name))["state"] == "Available"
        await api.delete(f"/user/codespaces/{name}")


async def member(api: httpx.AsyncClient, full_name: str, scopes: list[str]) -> tuple[str, str]:
    """A new user who may write to the repository: his name, and a token of his."""
    login = fresh_name("u")
    await api.post("/admin/users", json={"login": login, "email": f"{login}@corp.example"})
    answer = await api.post(f"/admin/users/{login}/authorizations", json={"scopes": scopes})
    assert answer.status_code == 201, answer.text
    added = await api.put(f"/repos/{full_name}/collaborators/{login}", json={"permission": "push"})
    assert added.status_code in {201, 204}, added.text
    return login, answer.json()["token"]


@pytest.mark.parametrize("keeps_right", [True, False], ids=["the positive control", "S6 the right is gone"])
async def test_s6_secrets_go_to_whoever_has_the_right_when_they_arrive(world: World, keeps_right: bool) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, image=world.image, onCreateCommand="sleep 3")
        owner = full_name.partition("/")[0]
        await put_secret(api, f"/orgs/{owner}/codespaces/secrets/PLANTED", "planted-value", visibility="all")
        login, token = await member(api, full_name, ["repo", "codespace"])
        async with world.server.api(token) as his:
            name = (await his.post(f"/repos/{full_name}/codespaces", json={})).json()["name"]
            await world.until(lambda: _is_created(world, name))
            if not keeps_right:
                await api.put(f"/repos/{full_name}/collaborators/{login}", json={"permission": "pull"})
            assert (await world.server.until_at_rest(his, name))["state"] == "Available"
            answer = await his.post(
                f"/user/codespaces/{name}/exec", json={"command": ["sh", "-c", 'test -n "$PLANTED"']}
            )
            assert answer.json()["exit_code"] == (0 if keeps_right else 1)
            await his.delete(f"/user/codespaces/{name}")


async def _is_created(world: World, name: str) -> bool:
    await asyncio.sleep(0.1)
    return any(c["Labels"]["dev.berth.codespace"] == name for c in await world.containers())


async def test_a6_a_token_that_cannot_read_the_repository_runs_no_commands(world: World) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, image=world.image)
        login, strong = await member(api, full_name, ["repo", "codespace"])
        answer = await api.post(f"/admin/users/{login}/authorizations", json={"scopes": ["codespace"]})
        weak = answer.json()["token"]
        async with world.server.api(strong) as his, world.server.api(weak) as weaker:
            name = (await his.post(f"/repos/{full_name}/codespaces", json={})).json()["name"]
            assert (await world.server.until_at_rest(his, name))["state"] == "Available"
            body = {"command": ["true"]}
            assert (await weaker.post(f"/user/codespaces/{name}/exec", json=body)).status_code == 404
            assert (await his.post(f"/user/codespaces/{name}/exec", json=body)).status_code == 200
            await his.delete(f"/user/codespaces/{name}")

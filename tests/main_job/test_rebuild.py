"""Rebuilding on a real engine: another container, the same checkout; also when the server is killed in the middle."""

import json
from functools import partial
from typing import Any

import httpx
import pytest
from tests.main_job.test_dockerfile import NONCE, RIGHT, built_images, code, make_project, publish
from tests.main_job.test_launch import create, run
from tests.server import fresh_name
from tests.world import World

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(180)]


async def containers_of(world: World, name: str) -> list[dict[str, Any]]:
    return [one for one in await world.containers() if one["Labels"]["dev.berth.codespace"] == name]


async def configure(world: World, api: httpx.AsyncClient, path: str, **config: object) -> None:
    await world.commit(api, path, json.dumps({"image": world.image, "remoteUser": "dev", **config}))


async def make(world: World, api: httpx.AsyncClient) -> tuple[str, str]:
    """A codespace with a file in its checkout and one elsewhere; its name, and where its configuration lies."""
    path = f".devcontainer/{fresh_name('rebuilt')}/devcontainer.json"
    await configure(world, api, path)
    name = str((await create(world, api, devcontainer_path=path))["name"])
    assert (await run(api, name, "sh", "-c", "echo kept > mine; echo gone > ~/elsewhere"))[0] == 0
    return name, path


@pytest.mark.parametrize("full", [False, True], ids=["as usual", "full"])
async def test_a_rebuild(world: World, full: bool) -> None:
    async with world.server.api() as api:
        name, path = await make(world, api)
        (old,) = await containers_of(world, name)
        await configure(world, api, path, containerEnv={"ANOTHER": "yes"}, postCreateCommand="id -u > ~/hook")
        asked = await api.post(f"/user/codespaces/{name}/rebuild", json={"full": full})
        assert (asked.status_code, asked.json()["state"]) == (202, "Rebuilding")
        assert (await world.server.until_at_rest(api, name))["state"] == "Available"
        (new,) = await containers_of(world, name)
        assert new["Id"] != old["Id"]
        said = await run(api, name, "sh", "-c", "cat mine ~/hook; echo $ANOTHER; test -e ~/elsewhere || echo no")
        assert said == (0, "kept\n1000\nyes\nno\n")
        assert (await run(api, name, "sh", "-c", 'test -n "$GITHUB_TOKEN" && cat ~/.docker/config.json'))[0] == 0, (
            "it is logged in"
        )


async def test_a_dockerfile_is_built_with_the_layers_that_there_are_and_a_full_one_without(world: World) -> None:
    async with world.server.api() as api:
        project = await make_project(world, api, f"FROM {await publish(world)}\n{NONCE}")
        await project.give(world.registry_host, RIGHT)
        codespace = await project.launch()
        assert code(codespace) == ""
        name = str(codespace["name"])
        nonces, ids = [await project.run(codespace, "cat /nonce; echo kept > mine")], set()
        for full in (False, True):
            assert (await api.post(f"/user/codespaces/{name}/rebuild", json={"full": full})).status_code == 202
            assert code(await world.server.until_at_rest(api, name, timeout_s=120)) == "", await project.log(codespace)
            assert await project.run(codespace, "cat mine") == "kept"
            nonces.append(await project.run(codespace, "cat /nonce"))
            (container,) = await containers_of(world, name)
            ids.add(container["Id"])
        assert nonces[0] == nonces[1] != nonces[2]
        assert len(ids) == 2
        mine = f"berth.invalid/{name}:built"
        assert mine in await built_images(world)
        await project.delete()
        assert mine not in await built_images(world)


@pytest.mark.slow
async def test_a_server_killed_in_the_middle_goes_on(world: World) -> None:
    async with world.server.api() as api:
        name, path = await make(world, api)
        (old,) = await containers_of(world, name)
        await configure(world, api, path, onCreateCommand="sleep 5")

        async def is_in_the_middle() -> bool:
            return [one["Id"] for one in await containers_of(world, name)] not in ([], [old["Id"]])

        await api.post(f"/user/codespaces/{name}/rebuild")
        await world.until(is_in_the_middle)
        world.server.kill()
        await world.server.start()
        assert (await world.server.until_at_rest(api, name))["state"] == "Available"
        assert len(await containers_of(world, name)) == 1
        assert await run(api, name, "cat", "mine") == (0, "kept\n")


@pytest.mark.slow
async def test_a_rebuild_that_fails_and_the_next_one(world: World) -> None:
    async with world.server.api() as api:
        name, path = await make(world, api)
        await configure(world, api, path, postCreateCommand="exit 3")
        await api.post(f"/user/codespaces/{name}/rebuild")
        failed = await world.server.until_at_rest(api, name)
        assert (failed["state"], failed["finding"]["code"]) == ("Failed", "devcontainer.hook_failed")
        await world.until(partial(_has_none, world, name))
        await configure(world, api, path, privileged=True)
        await api.post(f"/user/codespaces/{name}/rebuild")
        refused = await world.server.until_at_rest(api, name)
        assert refused["finding"]["code"] == "devcontainer.not_allowed"
        await configure(world, api, path)
        assert (await api.post(f"/user/codespaces/{name}/start")).status_code == 200
        assert (await world.server.until_at_rest(api, name))["state"] == "Available"
        assert await run(api, name, "cat", "mine") == (0, "kept\n")


async def _has_none(world: World, name: str) -> bool:
    return not await containers_of(world, name)

"""C8: a codespace that runs past the life of its token still pulls, with real clients and what lies in its docker config."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.clients.docker_tool import Docker
from tests.own_registry import (
    Skopeo,
    docker_config,
    launch_well,
    make_organization,
    make_repository,
    own_host,
    publish,
    run_inside,
)
from tests.server import Server
from tests.world import World, put_secret, put_triple

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

TOKEN_LIFE_S = 12
HIS = "his.example"
# As docker saves a login: a file in the folder that it knows, renamed over the one that is there.
LOG_IN = f"""
cd ~/.docker
sed 's/^  "auths": {{/  "HttpHeaders": {{"X": "1"}},\\n  "auths": {{\\n    "{HIS}": {{"auth": "bWU6bWluZQ=="}},/' config.json > new
mv new config.json
"""


@pytest.fixture
async def short(docker_host: str, tmp_path: Path) -> AsyncIterator[World]:
    """A server whose codespace tokens last for seconds."""
    environment = {"BERTH_CODESPACE_TOKEN_TTL_S": str(TOKEN_LIFE_S)}
    async with Server(tmp_path / "data", docker_host, environment=environment) as server:
        yield World(server, docker_host, "", "", "", "")


async def docker_pull(world: World, folder: Path, config: dict[str, str], image: str) -> bool:
    """Whether the real docker client can, logged in as the codespace is. The tag is asked for, whatever the engine holds."""
    auths = {host: {"auth": base64.b64encode(pair.encode()).decode()} for host, pair in config.items()}

    def pull() -> bool:
        (folder / "config").mkdir(parents=True)
        (folder / "config" / "config.json").write_text(json.dumps({"auths": auths}))
        return Docker(folder, world.docker_host).run("pull", image).worked

    return await asyncio.to_thread(pull)


async def until_logged_in(
    world: World, api: httpx.AsyncClient, name: str, host: str, pair: str | None
) -> dict[str, str]:
    """Wait until the codespace's docker config says this of the host; all of it."""

    async def is_so() -> bool:
        return (await docker_config(api, name)).get(host) == pair

    await world.until(is_so)
    return await docker_config(api, name)


async def test_c8_past_the_life_of_its_token_a_codespace_still_pulls(short: World, tmp_path: Path) -> None:
    async with short.server.api() as api:
        organization, own = await make_organization(api), own_host(short)
        image = f"{own}/{organization}/dev:1"
        await make_repository(short, api, f"{organization}/webapp", image)
        await publish(short, api, f"{organization}/webapp")
        name = await launch_well(short, api, f"{organization}/webapp")
        first = await docker_config(api, name)
        assert (await Skopeo(tmp_path, first).pull(image))[0], "the positive control"
        assert (await run_inside(api, name, LOG_IN))[0] == 0

        secrets = f"/orgs/{organization}/codespaces/secrets"
        await put_triple(api, secrets, "Q", ("quay.io", "me", "one"), visibility="all")
        await until_logged_in(short, api, name, "quay.io", "me:one")
        await put_secret(api, f"{secrets}/Q_CONTAINER_REGISTRY_PASSWORD", "two", visibility="all")
        await until_logged_in(short, api, name, "quay.io", "me:two")
        assert (await api.delete(f"{secrets}/Q_CONTAINER_REGISTRY_USER")).status_code == 204
        assert (await until_logged_in(short, api, name, "quay.io", None)).keys() == {own, HIS}

        async def first_is_over() -> bool:
            async with short.server.api(first[own].partition(":")[2]) as inside:
                return (await inside.get("/user")).status_code == 401

        await short.until(first_is_over)
        now = await docker_config(api, name)
        assert now[own] != first[own]
        assert now[HIS] == "me:mine"
        assert '"X": "1"' in (await run_inside(api, name, "cat ~/.docker/config.json"))[1]
        assert (await run_inside(api, name, "echo $GITHUB_TOKEN"))[1] == now[own].partition(":")[2] + "\n"
        done, said = await Skopeo(tmp_path, now).pull(image)
        assert done, said
        assert await docker_pull(short, tmp_path / "now", now, image)
        assert not (await Skopeo(tmp_path, first).pull(image))[0], "what it was launched with opens nothing any more"
        assert not await docker_pull(short, tmp_path / "first", first, image)

        await api.post(f"/user/codespaces/{name}/stop")
        assert (await short.server.until_at_rest(api, name))["state"] == "Shutdown"
        await api.post(f"/user/codespaces/{name}/start")
        assert (await short.server.until_at_rest(api, name))["state"] == "Available"
        started = await docker_config(api, name)
        assert started[HIS] == "me:mine", "S8 a start brings ours anew and leaves his"
        assert (await Skopeo(tmp_path, started).pull(image))[0]
        log = (await api.get(f"/user/codespaces/{name}/logs")).text
        assert "could not be refreshed" not in log

"""The main job with its rows in PostgreSQL, and a server that is killed and started again beside them."""

from pathlib import Path

import pytest
from tests.adapters.postgres import Cluster
from tests.world import make_world


@pytest.mark.engine
@pytest.mark.registry
@pytest.mark.postgres
@pytest.mark.timeout(180)
async def test_a_codespace_outlives_its_server(
    docker_host: str, registry_host: str, postgres: Cluster, tmp_path: Path
) -> None:
    settings = {"BERTH_DATABASE_URL": postgres.create_database()}
    async with make_world(tmp_path, docker_host, registry_host, settings) as world, world.server.api() as api:
        name = (await api.post(f"/repos/{world.repository}/codespaces", json={})).json()["name"]
        world.server.kill()
        await world.server.start()
        assert (await world.server.until_at_rest(api, name))["state"] == "Available"
        assert [c["Labels"]["dev.berth.codespace"] for c in await world.containers()].count(name) == 1
        answer = await api.post(f"/user/codespaces/{name}/exec", json={"command": ["true"]})
        assert answer.json()["exit_code"] == 0
        await api.delete(f"/user/codespaces/{name}")
        await world.until_gone(name)

"""A full disk, the engine's or the server's: a stable code, one sentence, a next step; and after making room all goes on."""

import asyncio
import base64
import io
import json
import os
import shutil
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server import Server
from tests.small_disk import MIB, fill, small_disk
from tests.world import REGISTRY_PASSWORD, REGISTRY_USER, engine_api, import_image, push, put_triple

from berth.adapters.engine_private import PrivateEngine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.registry,
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]


async def set_up(api: httpx.AsyncClient, image: str, registry_host: str) -> None:
    """octo/r with a configuration that names the image, and the credential for it."""
    assert (await api.post("/admin/organizations", json={"login": "octo", "admin": "admin"})).status_code == 201
    assert (await api.post("/orgs/octo/repos", json={"name": "r", "private": True})).status_code == 201
    assert (await commit(api, ".devcontainer/devcontainer.json", json.dumps({"image": image}))).status_code == 201
    triple = (registry_host, REGISTRY_USER, REGISTRY_PASSWORD)
    await put_triple(api, "/repos/octo/r/codespaces/secrets", "MY", triple)


async def commit(api: httpx.AsyncClient, path: str, content: str) -> httpx.Response:
    body = {"message": "m", "content": base64.b64encode(content.encode()).decode()}
    return await api.put(f"/repos/octo/r/contents/{path}", json=body)


async def launch(server: Server, api: httpx.AsyncClient) -> dict[str, Any]:
    answer = await api.post("/repos/octo/r/codespaces", json={})
    assert answer.status_code == 201, answer.text
    return await server.until_at_rest(api, answer.json()["name"], timeout_s=120)


async def push_big_image(docker_host: str, registry_host: str, size_mib: int) -> str:
    """A private image with a layer of this size that does not compress."""
    name = f"{registry_host}/team/big-{os.urandom(3).hex()}"
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("big")
        info.size = size_mib * MIB
        tar.addfile(info, io.BytesIO(os.urandom(info.size)))
    async with engine_api(docker_host) as engine:
        query = {"fromSrc": "-", "repo": name, "tag": "1"}
        (await engine.post("/images/create", params=query, content=raw.getvalue())).raise_for_status()
    await push(docker_host, f"{name}:1", REGISTRY_USER, REGISTRY_PASSWORD)
    return f"{name}:1"


async def test_the_engines_disk_is_full(docker_host: str, registry_host: str, tmp_path: Path) -> None:
    image = await push_big_image(docker_host, registry_host, 48)
    with small_disk(tmp_path / "engine", 40) as disk:
        async with (
            PrivateEngine(disk / "data") as small,
            Server(tmp_path / "data", small.docker_host, registry_host) as server,
            server.api() as api,
        ):
            await set_up(api, image, registry_host)
            codespace = await launch(server, api)
            assert codespace["state"] == "Failed"
            assert codespace["finding"]["code"] == "engine.disk_full"
            assert codespace["finding"]["fixer"] == "site_admin"
            assert codespace["finding"]["sentence"].endswith(".")
            assert "prune" in codespace["finding"]["next_step"]
            assert not (server.data / "codespaces" / codespace["name"]).exists()
            async with engine_api(small.docker_host) as engine:
                assert (await engine.get("/containers/json", params={"all": 1})).json() == []
            assert (await api.get("/user")).status_code == 200


@asynccontextmanager
async def server_on_a_small_disk(tmp_path: Path, docker_host: str, registry_host: str) -> AsyncIterator[Server]:
    with small_disk(tmp_path / "disk", 48) as disk:
        # Its log is beside the disk: this is about what the server keeps.
        server = Server(disk / "data", docker_host, registry_host)
        async with server:
            yield server


@pytest.fixture
async def image(docker_host: str, registry_host: str) -> str:
    name = f"{registry_host}/team/small-{os.urandom(3).hex()}"
    await import_image(docker_host, name, "1")
    await push(docker_host, f"{name}:1", REGISTRY_USER, REGISTRY_PASSWORD)
    return f"{name}:1"


async def test_the_servers_disk_is_full(docker_host: str, registry_host: str, image: str, tmp_path: Path) -> None:
    async with server_on_a_small_disk(tmp_path, docker_host, registry_host) as server, server.api() as api:
        await set_up(api, image, registry_host)
        before = await launch(server, api)
        assert before["state"] == "Available"

        filler = await asyncio.to_thread(fill, server.data)
        refusals = [
            await api.post("/repos/octo/r/codespaces", json={}),
            await api.post("/orgs/octo/repos", json={"name": "other"}),
            await commit(api, "more", "x" * 100_000),
        ]
        for refused in refusals:
            assert refused.status_code == 507, refused.text
            assert refused.json()["code"] in {"store.full", "git.disk_full", "server.disk_full"}
            assert "room" in refused.json()["message"]
        assert (await api.get(f"/user/codespaces/{before['name']}")).json()["state"] == "Available"
        url = f"/user/codespaces/{before['name']}/exec"
        assert (await api.post(url, json={"command": ["true"]})).json()["exit_code"] == 0

        filler.unlink()
        assert (await commit(api, "more", "x")).status_code == 201
        assert (await launch(server, api))["state"] == "Available"
        names = {one["name"] for one in (await api.get("/user/codespaces")).json()["codespaces"]}
        assert before["name"] in names
        assert len(names) == 2, "nothing half-made, nothing lost"


async def test_a_disk_that_fills_up_during_a_launch(
    docker_host: str, registry_host: str, image: str, tmp_path: Path
) -> None:
    async with server_on_a_small_disk(tmp_path, docker_host, registry_host) as server, server.api() as api:
        await set_up(api, image, registry_host)
        # The checkout needs more than is left; the database has a few pages to write.
        for number in range(3):
            assert (await commit(api, f"big-{number}", os.urandom(250_000).hex())).status_code == 201
        free = shutil.disk_usage(server.data).free
        filler = server.data / "filler"
        await asyncio.to_thread(filler.write_bytes, b"\0" * (free - 1_000_000))
        failed = await launch(server, api)
        assert failed["state"] == "Failed", failed
        assert failed["finding"]["code"] == "git.disk_full"
        assert failed["finding"]["fixer"] == "site_admin"
        assert "DATA_DIR" in failed["finding"]["next_step"]
        assert not (server.data / "codespaces" / failed["name"]).exists(), "nothing half-made is left"

        filler.unlink()
        started = await api.post(f"/user/codespaces/{failed['name']}/start")
        assert started.status_code == 200, started.text
        assert (await server.until_at_rest(api, failed["name"]))["state"] == "Available"

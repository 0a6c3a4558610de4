"""One server for all tests here, and the tools: each with a folder of its own, logged in nowhere."""

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.clients.containers_tools import Buildah, Podman, Skopeo
from tests.clients.docker_tool import Docker
from tests.clients.oras_tool import Oras
from tests.clients.registry_world import PRIVATE, RegistryWorld, make_registry_world
from tests.clients.tool import Tool


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_registry(
    docker_host: str, registry_host: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RegistryWorld]:
    folder = tmp_path_factory.mktemp("clients")
    async with make_registry_world(folder, docker_host, registry_host) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def codespace_token(shared_registry: RegistryWorld) -> str:
    """What a running codespace of PRIVATE holds."""
    server = shared_registry.world.server
    async with server.api() as api:
        made = await api.post(f"/repos/{PRIVATE}/codespaces", json={})
        assert made.status_code == 201, made.text
        name = made.json()["name"]
        codespace = await server.until_at_rest(api, name)
        assert codespace["state"] == "Available", (await api.get(f"/user/codespaces/{name}/logs")).text
        command = {"command": ["sh", "-c", "printf %s $GITHUB_TOKEN"]}
        answer = (await api.post(f"/user/codespaces/{name}/exec", json=command)).raise_for_status()
        return base64.b64decode(answer.json()["output"]).decode()


@pytest.fixture
def registry(shared_registry: RegistryWorld) -> RegistryWorld:
    """The server; nothing was said on its wire yet."""
    shared_registry.wire.clear()
    return shared_registry


MAKERS: dict[str, Callable[[Path, str], Tool]] = {
    "docker": Docker,
    "podman": lambda folder, _: Podman(folder),
    "buildah": lambda folder, _: Buildah(folder),
    "skopeo": lambda folder, _: Skopeo(folder),
    "oras": lambda folder, _: Oras(folder),
}


@pytest.fixture(scope="session")
def tools(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tool]:
    """All of them: podman's storage is not made anew for every test."""
    return {name: make(tmp_path_factory.mktemp(name), docker_host) for name, make in MAKERS.items()}


# They speak through the library that podman has: what is theirs alone is in files of their own.
_LIKE_PODMAN = {"buildah", "skopeo"}


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.slow] if name in _LIKE_PODMAN else []) for name in MAKERS]
)
def tool(request: pytest.FixtureRequest, tools: dict[str, Tool]) -> Iterator[Tool]:
    """Each of them."""
    yield (found := tools[request.param])
    found.forget()

"""One server for all tests here; each test makes names of its own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from tests.api_clients.api_world import ApiWorld, make_api_world
from tests.api_clients.gh_tool import Gh


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api_world(
    docker_host: str, registry_host: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ApiWorld]:
    async with make_api_world(tmp_path_factory.mktemp("api"), docker_host, registry_host) as made:
        yield made


@pytest.fixture
def make_gh(api_world: ApiWorld, tmp_path: Path) -> Callable[..., Gh]:
    """gh with a folder of this test's own."""
    return lambda way, **options: Gh(api_world, way, tmp_path, **options)


@pytest.fixture(params=["TLS", "socket", "proxy"])
def gh(request: pytest.FixtureRequest, make_gh: Callable[..., Gh]) -> Gh:
    """Each way that leads everywhere."""
    return make_gh(request.param)


@pytest.fixture(params=["plain", "socket"])
def gh_codespace(request: pytest.FixtureRequest, make_gh: Callable[..., Gh]) -> Gh:
    """Each way for `gh codespace`: before 2.33 it does not look at GH_HOST."""
    return make_gh(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def available(api_world: ApiWorld) -> str:
    """The name of a codespace that runs and that no test changes."""
    return await api_world.new_codespace()

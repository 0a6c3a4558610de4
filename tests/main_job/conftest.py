"""A server that containers reach over a network, for files that look from inside; a browser, for those that look at pages."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from tests.fakes.bridge import Bridge, NoBridge, make_bridge
from tests.server import Server
from tests.ui.chromium import start_chromium
from tests.world import World

from berth.adapters.engine_private import PrivateEngine


@pytest.fixture(scope="session")
def bridge() -> Iterator[Bridge]:
    try:
        with make_bridge() as made:
            yield made
    except NoBridge as reason:
        pytest.skip(f"no bridge can be made here: {reason}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def networked(bridge: Bridge, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """An engine whose containers have a network, and a server on it."""
    options = (f"--bridge={bridge.name}", f"--insecure-registry={bridge.network}")
    folder = tmp_path_factory.mktemp("networked")
    async with (
        PrivateEngine(options=options) as engine,
        Server(folder / "data", engine.docker_host, address=bridge.address) as server,
    ):
        yield World(server, engine.docker_host, "", "", "", "")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with start_chromium() as browser:
        yield browser

"""A world of its own for each test here: its server is killed, and what is left on its engine is counted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.world import World, make_world

from berth.adapters.engine_private import PrivateEngine


@pytest.fixture
async def world(registry_host: str, tmp_path: Path) -> AsyncIterator[World]:
    async with PrivateEngine() as engine, make_world(tmp_path, engine.docker_host, registry_host) as made:
        yield made

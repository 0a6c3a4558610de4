"""A world of its own for each test here: its server is killed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.world import World, make_world


@pytest.fixture
async def world(docker_host: str, registry_host: str, tmp_path: Path) -> AsyncIterator[World]:
    async with make_world(tmp_path, docker_host, registry_host) as made:
        yield made

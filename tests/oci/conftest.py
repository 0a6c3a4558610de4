"""Registries that the tests of a module share, each with names of its own: on SQLite, and (`each_…`) on both databases.

`own_registry` is one test's alone.
"""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.adapters.postgres import Cluster
from tests.oci.registry_api import OCIClient, Registry, make_registry, registry_on_sqlite

from berth.adapters.store.database import Store

_NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def registry(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Registry]:
    async with registry_on_sqlite(sqlite_template, tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def octo(registry: Registry) -> OCIClient:
    """A user, with a personal access token of every scope."""
    return await registry.person("octo")


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
async def each_registry(
    request: pytest.FixtureRequest, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Registry]:
    if request.param == "sqlite":
        yield registry
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.create_database()
    store = Store(url)
    async with make_registry(tmp_path_factory.mktemp("registry"), store) as made:
        yield made
    await store.close()
    cluster.drop_database(url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def each_octo(each_registry: Registry) -> OCIClient:
    return await each_registry.person("octo")


@pytest.fixture
def name() -> str:
    """Of a package of octo's that is not there yet."""
    return f"octo/package-{next(_NUMBERS)}"


@pytest.fixture
async def own_registry(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Registry]:
    async with registry_on_sqlite(sqlite_template, tmp_path) as made:
        yield made

"""Fixtures that more than one folder uses: the database on both engines, a real Docker engine, a real registry, a server."""

import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.adapters.postgres import Cluster, start_cluster
from tests.adapters.s3_server import IDENTITY, S3Server, start_s3_server
from tests.databases import KINDS, migrated_sqlite, new_database
from tests.dice import load_hypothesis_profile
from tests.known_statements import share_compiled_statements
from tests.world import REGISTRY_PASSWORD, REGISTRY_USER, World, import_image, make_world

from berth.adapters.engine_private import PrivateEngine
from berth.adapters.s3_client import S3Client
from berth.adapters.store.database import Store
from berth.cli.demo_registry import DemoRegistry

load_hypothesis_profile()
share_compiled_statements()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An edge over PostgreSQL once more is slow: what services ask of it is tested there, and `make fuzz` goes through REST.

    Files that wait for an engine come first, so that no worker is left alone with one at the end.
    """
    waiting = {item.path for item in items if item.get_closest_marker("engine") is not None}
    for item in items:
        callspec = getattr(item, "callspec", None)
        is_postgresql = callspec is not None and "postgresql" in callspec.params.values()
        if is_postgresql and item.path.parent.name in {"rest", "oci", "git", "ui"}:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path not in waiting)


def pytest_collection_finish() -> None:
    """What nine thousand tests are made of stays until the end: no collection need look at it again."""
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL of the tests' own."""
    with start_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server of the tests' own."""
    with start_s3_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def s3_connection(s3_server: S3Server) -> AsyncIterator[S3Client]:
    """A client of the S3 server, opened once: that takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in IDENTITY.items():
            patch.setenv(name, value)
        async with S3Client.open(s3_server.make_bucket()) as client:
            yield client


@pytest.fixture
def s3_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's own AWS identity, as the standard chain finds it."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def sqlite_template() -> Path:
    """A migrated SQLite file, to be copied. Others may lie beside it."""
    return migrated_sqlite()


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated, empty database of each kind."""
    with new_database(request)() as url:
        yield url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """A migrated, empty database of each kind."""
    database = Store(database_url)
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def docker_host() -> AsyncIterator[str]:
    """A Docker engine of the tests' own; no test depends on what the machine's engine holds."""
    async with PrivateEngine() as engine:
        yield engine.docker_host


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def busybox_image(docker_host: str) -> str:
    """A small dev image that the engine holds under this name."""
    return await import_image(docker_host, "localhost/busybox", "1")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def registry_host() -> AsyncIterator[str]:
    """A docker-registry that knows one account."""
    async with DemoRegistry({REGISTRY_USER: REGISTRY_PASSWORD}) as registry:
        yield registry.host


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(docker_host: str, registry_host: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A server with everything that the main job needs, shared: each test makes names of its own."""
    settings = {"BERTH_DEV_CONTAINER_ALLOWED": "capability:SYS_PTRACE"}
    async with make_world(tmp_path_factory.mktemp("world"), docker_host, registry_host, settings) as made:
        yield made

"""Migrated, empty databases of each kind, for tests."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from tests.adapters.postgres import Cluster, in_memory

from berth.adapters.store.database import upgrade_tables

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
NewDatabase = Callable[[], AbstractContextManager[str]]


@cache
def migrated_sqlite() -> Path:
    """A migrated SQLite file, to be copied: migrating takes longer than most tests. Others may lie beside it."""
    folder = Path(tempfile.mkdtemp(prefix="berth-sqlite-", dir=in_memory()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    engine = create_engine(f"sqlite:///{folder}/migrated.db")
    with engine.begin() as connection:
        upgrade_tables(connection)
    engine.dispose()
    return folder / "migrated.db"


@contextmanager
def _sqlite(template: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        shutil.copy(template, f"{folder}/berth.db")
        yield f"sqlite:///{folder}/berth.db"


@contextmanager
def _postgresql(cluster: Cluster) -> Iterator[str]:
    url = cluster.lend()
    yield url
    cluster.give_back(url)


def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """Makes one of the kind that the fixture's parameter names: its URL, for as long as the block lasts."""
    if request.param == "sqlite":
        return partial(_sqlite, request.getfixturevalue("sqlite_template"))
    return partial(_postgresql, request.getfixturevalue("postgres"))

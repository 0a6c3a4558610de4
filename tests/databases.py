"""Migrated, empty databases of each kind, for tests."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.adapters.postgres import Cluster

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
NewDatabase = Callable[[], AbstractContextManager[str]]


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

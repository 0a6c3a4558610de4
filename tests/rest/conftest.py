from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.rest.berth_api import Berth, make_berth

from berth.adapters.store.database import Store


@pytest.fixture
async def berth(store: Store, tmp_path: Path) -> AsyncIterator[Berth]:
    async with make_berth(tmp_path, store) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The same over PostgreSQL is slow: what the services ask of it is tested there, and the fuzz and the lists go through here."""
    for item in items:
        if item.path.parent == Path(__file__).parent and isinstance(item, pytest.Function):
            callspec = getattr(item, "callspec", None)
            if callspec is not None and callspec.params.get("database_url") == "postgresql":
                item.add_marker(pytest.mark.slow)

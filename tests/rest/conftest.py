from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.rest.berth_api import Berth, make_berth

from berth.adapters.store.database import Store


@pytest.fixture
async def berth(store: Store, tmp_path: Path) -> AsyncIterator[Berth]:
    async with make_berth(tmp_path, store) as made:
        yield made

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.ui.browser import ConsoleWorld, make_console

from berth.adapters.store.database import Store


@pytest.fixture
async def console(store: Store, tmp_path: Path) -> AsyncIterator[ConsoleWorld]:
    async with make_console(tmp_path, store) as made:
        yield made

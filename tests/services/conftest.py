from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.account_world import AccountWorld, make_account_world
from tests.package_world import PackageWorld

from berth.adapters.store.database import Store


@pytest.fixture
async def accounts(store: Store, tmp_path: Path) -> AsyncIterator[AccountWorld]:
    async with make_account_world(store, tmp_path) as made:
        yield made


@pytest.fixture
def packages(accounts: AccountWorld) -> PackageWorld:
    return PackageWorld(accounts)

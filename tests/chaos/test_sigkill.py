"""SIGKILL at random moments of launches: nothing is lost, nothing is made twice, nothing is orphaned (DESIGN section 4)."""

import asyncio
import os
import random
from pathlib import Path

import pytest
from tests.world import World

LAUNCHES = 10
KILLS = 20
SEED = int(os.environ.get("BERTH_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)


@pytest.mark.engine
@pytest.mark.registry
@pytest.mark.timeout(420)
async def test_killed_20_times_during_10_launches(world: World) -> None:
    print(f"BERTH_CHAOS_SEED={SEED}")
    dice = random.Random(SEED)
    names = []
    server = world.server
    async with server.api() as api:
        for _ in range(LAUNCHES):
            created = await api.post(f"/repos/{world.repository}/codespaces", json={})
            assert created.status_code == 201, created.text
            names.append(created.json()["name"])
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.0, 1.5))
            server.kill()
            await server.start()
        ended = [await server.until_at_rest(api, name, timeout_s=180) for name in names]
    for codespace in ended:
        assert codespace["state"] in {"Available", "Failed"}
        assert codespace["state"] == "Available" or codespace["finding"]["sentence"], codespace
    containers = await world.containers()
    running = sorted(c["Labels"]["dev.berth.codespace"] for c in containers)
    available = sorted(codespace["name"] for codespace in ended if codespace["state"] == "Available")
    assert running == available, "one container each, none orphaned"
    assert available, "some launch got through"
    assert _checkouts(server.data) == set(available)
    assert not world.leftover_processes(), "no process of a killed launch is left"


def _checkouts(data: Path) -> set[str]:
    return {path.name for path in (data / "codespaces").iterdir() if any(path.iterdir())}

"""Durability of codespaces under chaos (DESIGN section 7): `make chaos` asks for the sizes of the bar, `make test` for a few."""

import asyncio
import os
import random
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.adapters.postgres import Cluster
from tests.chaos.check import find_violations, look
from tests.chaos.faults import Faults, make_faults
from tests.chaos.requests import Requests, make_plan
from tests.chaos.world import ChaosWorld, make_chaos_world, until_back
from tests.dice import seed_from

from berth.adapters.store.database import Store
from berth.domain.codespace import finding_from_json
from berth.domain.launch import LOST
from berth.domain.lifecycle import Phase

CODESPACES = int(os.environ.get("BERTH_CHAOS_CODESPACES", "3"))
REQUESTS = int(os.environ.get("BERTH_CHAOS_REQUESTS", "8"))
FAULTS = int(os.environ.get("BERTH_CHAOS_FAULTS", "3"))
WITHIN_S = float(os.environ.get("BERTH_CHAOS_WITHIN_S", "0"))  # 0: no bar
SEED = seed_from("BERTH_CHAOS_SEED")
PAUSE_S = float(os.environ.get("BERTH_CHAOS_PAUSE_S", "0.7"))  # between faults, about
STARTED_AT_ONCE = 8  # containers that an engine may forget which was killed meanwhile
LAST = ("stop", "start", "rebuild", "delete")  # under way when the last fault comes


async def until_right(chaos: ChaosWorld, store: Store, requests: Requests, timeout_s: float) -> float:
    """How long it took until all was as it shall be."""
    began, found = time.monotonic(), [""]
    while found:
        found = await find_violations(chaos, store, requests)
        if found and time.monotonic() - began > timeout_s:
            shown = "\n".join(found[:30])
            raise AssertionError(f"BERTH_CHAOS_SEED={SEED}: after {timeout_s:.0f} s\n{shown}")
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def break_things(faults: Faults, kinds: list[str]) -> None:
    for kind in kinds:
        await asyncio.sleep(faults.chaos.dice.uniform(0, 2 * PAUSE_S))
        print(f"{time.strftime('%X')} {kind}", flush=True)
        await faults.break_one(kind)


async def run(chaos: ChaosWorld) -> None:
    store = Store(chaos.database_url)
    requests, faults = Requests(chaos), Faults(chaos)
    plan, kinds = make_plan(chaos.dice, CODESPACES, REQUESTS - len(LAST)), make_faults(chaos, FAULTS - 1)
    pause_s = 2 * (FAULTS - 1) * PAUSE_S / len(plan)
    await asyncio.gather(requests.send(plan, clients=2, pause_s=pause_s), break_things(faults, kinds))
    storm_s = await until_right(chaos, store, requests, timeout_s=60 + 15 * CODESPACES)
    await requests.send(list(LAST), clients=len(LAST), pause_s=0)
    await asyncio.sleep(chaos.dice.uniform(0, 0.5))
    began = time.monotonic()
    faults.kinds["server killed, the last"] += 1
    server = chaos.dice.choice(chaos.servers)
    server.kill()
    if len(chaos.servers) == 1:
        await until_back(server)
    else:
        chaos.down.add(chaos.servers.index(server))  # nobody brings it back: the other one takes over
    await until_right(chaos, store, requests, timeout_s=120)
    last_s = time.monotonic() - began
    failed = await failures(chaos, store)
    mended_s = await mend(chaos, store, requests, failed)
    await store.close()
    codes = Counter(failed.values())
    tell(chaos, requests, faults, codes, (storm_s, last_s, mended_s))
    assert not requests.broken
    assert codes[LOST.code] + codes["container.gone"] <= faults.removed  # the latter: taken away while it was started
    assert codes["container.stuck"] <= faults.kinds["engine killed"] * STARTED_AT_ONCE
    assert set(codes) <= {LOST.code, "container.gone", "container.stuck"}
    assert not WITHIN_S or last_s <= WITHIN_S


async def failures(chaos: ChaosWorld, store: Store) -> dict[str, str]:
    """Each failed codespace's code."""
    seen = await look(chaos, store)
    return {row.name: finding_from_json(row.finding).code for row in seen.rows if row.phase == Phase.FAILED}


async def mend(chaos: ChaosWorld, store: Store, requests: Requests, failed: dict[str, str]) -> float:
    """How long it took until all that had failed was there again, by what their findings say."""
    began = time.monotonic()
    for name in failed:
        await requests.rebuild(name)
    await until_right(chaos, store, requests, timeout_s=120)
    assert not await failures(chaos, store)
    return time.monotonic() - began


def tell(
    chaos: ChaosWorld, requests: Requests, faults: Faults, failed: Counter[str], durations_s: tuple[float, float, float]
) -> None:
    storm_s, last_s, mended_s = durations_s
    steps = Counter(re.findall(r"codespace\.step .*step=(\w+)", chaos.log()))
    rows = {
        "seed": str(SEED),
        "requests": f"{sum(requests.kinds.values())}: {shown(requests.kinds)}; {requests.unanswered} without an answer",
        "faults": f"{sum(faults.kinds.values())}: {shown(faults.kinds)}",
        "steps": shown(steps),
        "failed codespaces": shown(failed) or "none",
        "after the storm": f"{storm_s:.1f} s until row = world = desired",
        "after the last fault": f"{last_s:.1f} s until row = world = desired",
        "after their rebuild": f"{mended_s:.1f} s until none had failed any more",
        "load of the machine": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        "violations": "none",
    }
    print("\n" + "\n".join(f"  {name:21} {text}" for name, text in rows.items()))


def shown(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


@pytest.mark.engine
@pytest.mark.registry
@pytest.mark.timeout(3600)
async def test_one_server_on_sqlite(registry_host: str, tmp_path: Path) -> None:
    async with make_chaos_world(tmp_path, registry_host, random.Random(SEED), None) as chaos:
        await run(chaos)


@pytest.mark.engine
@pytest.mark.registry
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_two_replicas_on_postgresql(registry_host: str, postgres: Cluster, tmp_path: Path) -> None:
    async with make_chaos_world(tmp_path, registry_host, random.Random(SEED), postgres) as chaos:
        await run(chaos)

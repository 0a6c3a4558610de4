"""What must be true when nothing breaks any more: row = world = desired, nothing twice, nothing orphaned."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select
from tests.chaos.requests import Requests
from tests.chaos.world import ChaosWorld

from berth.adapters.store.codespace import to_codespace
from berth.adapters.store.database import Store
from berth.adapters.store.tables import access_tokens, codespaces
from berth.domain.codespace import LABEL
from berth.domain.image_build import codespace_of_image
from berth.domain.lifecycle import Desired, Phase
from berth.domain.problem import Problem


@dataclass(frozen=True, slots=True)
class Look:
    """Rows, tokens and the engine's containers at one moment."""

    rows: list[Row[Any]]
    tokens: Counter[int]
    containers: list[dict[str, Any]]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.containers if one["Labels"][LABEL] == name]


async def look(chaos: ChaosWorld, store: Store) -> Look:
    containers = await chaos.containers()
    async with store.read() as connection:
        rows = list(await connection.execute(select(codespaces)))
        counted = select(access_tokens.c.codespace_id, func.count()).group_by(access_tokens.c.codespace_id)
        tokens = Counter({id_: number for id_, number in await connection.execute(counted) if id_ is not None})
    return Look(rows, tokens, containers)


async def find_violations(chaos: ChaosWorld, store: Store, requests: Requests) -> list[str]:
    """Empty when all is as it shall be."""
    try:
        seen = await look(chaos, store)
    except Problem as problem:
        return [problem.message]
    names = {row.name for row in seen.rows}
    found = [text for row in seen.rows for text in _of_row(row, seen)]
    found += [
        f"{name}: lost" for name, one in requests.asked.items() if name not in names and not one.allows(Desired.DELETED)
    ]
    for row in seen.rows:
        asked = requests.asked.get(row.name)
        if asked is not None and not asked.allows(Desired(row.desired)):
            found.append(f"{row.name}: {row.desired} is not what was asked for last, {asked.desired}")
    found += [f"{one['Names'][0]}: orphaned" for one in seen.containers if one["Labels"][LABEL] not in names]
    data = chaos.servers[0].data
    found += [f"{path.name}: checkout left" for path in (data / "codespaces").iterdir() if path.name not in names]
    return found or await _find_leftovers(chaos, names)


async def _find_leftovers(chaos: ChaosWorld, names: set[str]) -> list[str]:
    images, volumes, networks = await chaos.engine_holds()
    found = [f"{image}: image left" for image in images if codespace_of_image(image) not in {None, *names}]
    found += [f"{name}: volume or network left" for name in (*volumes, *networks)]
    found += [f"process left: {line[:200]}" for line in chaos.world.leftover_processes()]
    scratch = chaos.servers[0].data / "scratch"
    return found + [f"{path}: left" for path in scratch.rglob("up-*")]


def _of_row(row: Row[Any], seen: Look) -> list[str]:
    """What is wrong with one codespace."""
    here = seen.of(row.name)
    running = [one for one in here if one["State"] == "running"]
    tokens = seen.tokens[row.id]
    said = f"{row.name}: {row.desired}, {row.phase}, {len(here)} containers, {len(running)} running, {tokens} tokens"
    if row.seen != row.generation or row.lease is not None:
        return [f"{said}: not at rest"]
    own = [one["Id"] for one in here] == [row.container_id]
    match Desired(row.desired), Phase(row.phase):
        case Desired.RUNNING, Phase.AVAILABLE:
            right = own and len(running) == 1 and tokens == 1
        case Desired.STOPPED, Phase.SHUTDOWN:  # domain/lifecycle.py, policy 6: a rebuild may have removed it already
            right = (own or (not here and to_codespace(row).needs_rebuild)) and not running and not tokens
        case Desired.STOPPED, Phase.QUEUED:
            right = not here and not tokens
        case ((Desired.RUNNING | Desired.STOPPED), Phase.FAILED):
            right = (own or not here) and not running and not tokens and row.finding is not None
        case _:
            right = False
    return [] if right else [said]

"""What is broken, one thing after the other, each brought back as whoever looks after a machine would do it."""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.world import ChaosWorld, until_back
from tests.world import engine_api

_FROZEN_S = 20.0  # longer than a lease


@dataclass
class Faults:
    """`kinds` counts what was broken."""

    chaos: ChaosWorld
    kinds: Counter[str] = field(default_factory=Counter)
    removed: int = 0  # containers that somebody took away

    async def break_one(self, kind: str) -> None:
        self.kinds[kind] += 1
        match kind:
            case "server killed":
                await self._kill_server()
            case "server frozen":
                await self._freeze_server()
            case "engine killed" | "engine restarted":
                await self.chaos.engine.end(killed=kind == "engine killed")
                await asyncio.sleep(self.chaos.dice.uniform(0, 1))
                await self.chaos.engine.come_back()
            case "database killed":
                await self._kill_database()
            case "task vanished" | "container removed":
                await self._take_container(kind)
            case "power failed":
                await self._fail_power()
            case _:
                raise ValueError(kind)

    async def _kill_server(self) -> None:
        server = self.chaos.dice.choice(self.chaos.servers)
        server.kill()
        await asyncio.sleep(self.chaos.dice.uniform(0, 1))
        await until_back(server)

    async def _freeze_server(self) -> None:
        """It knows nothing of it, and goes on where it was: others hold its claims by then (fencing)."""
        server = self.chaos.dice.choice(self.chaos.servers)
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        await asyncio.sleep(_FROZEN_S)
        os.kill(server.process.pid, signal.SIGCONT)

    async def _kill_database(self) -> None:
        assert self.chaos.cluster is not None
        await asyncio.to_thread(self.chaos.cluster.end)
        await asyncio.sleep(self.chaos.dice.uniform(0, 1))
        await asyncio.to_thread(self.chaos.cluster.start)

    async def _take_container(self, kind: str) -> None:
        running = await self.chaos.running_containers()
        if not running:
            return
        path = f"/containers/{self.chaos.dice.choice(running)}"
        async with engine_api(self.chaos.engine.docker_host) as engine:
            if kind == "task vanished":
                await engine.post(f"{path}/kill")
            else:
                self.removed += 1
                await engine.delete(path, params={"force": "1"})

    async def _fail_power(self) -> None:
        for server in self.chaos.servers:
            server.kill()
        await self.chaos.engine.end(killed=True)
        self.chaos.engine.end_containers()
        if self.chaos.cluster is not None:
            await asyncio.to_thread(self.chaos.cluster.end)
            await asyncio.to_thread(self.chaos.cluster.start)
        await self.chaos.engine.come_back()
        await asyncio.gather(*(until_back(server) for server in self.chaos.servers))


def make_faults(chaos: ChaosWorld, number: int) -> list[str]:
    """Half of them are killed servers; every kind comes if there is room."""
    kinds = ["engine killed", "engine restarted", "task vanished", "container removed", "power failed"]
    if chaos.cluster is not None:
        kinds += ["database killed", "server frozen"]
    half = number // 2
    rest = [kinds[place % len(kinds)] for place in range(number - half)]
    faults = ["server killed"] * half + rest
    chaos.dice.shuffle(faults)
    return faults

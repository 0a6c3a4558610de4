"""What the chaos run breaks: servers, their engine and their database, each of which can be killed and brought back."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.adapters.postgres import Cluster
from tests.server import Server
from tests.world import World, engine_api, make_world

from berth.adapters.engine_private import EngineNotStarted, PrivateEngine

BUILT = "acme/built"  # a repository whose image is built from a Dockerfile


class FragileEngine(PrivateEngine):
    """An engine that ends and comes back on the same socket, with what it holds. Its containers do not run then."""

    async def end(self, *, killed: bool) -> None:
        assert self._process is not None
        pid = int((self._runtime / "x" / "containerd" / "containerd.pid").read_text())
        (self._process.kill if killed else self._process.terminate)()
        await self._process.wait()
        with contextlib.suppress(ProcessLookupError):  # it goes with its parent, but a moment later
            for _ in range(60):
                os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0.05)

    def end_containers(self) -> None:
        """As when power fails: nothing of them is left running that this engine, when it is back, could forget."""
        address = str(self._runtime / "x" / "containerd")
        for shim in (int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _names(path, address)):
            for child in Path(f"/proc/{shim}/task/{shim}/children").read_text().split():
                _kill(int(child))
            _kill(shim)

    async def come_back(self) -> None:
        """However often it does not start in time: dockerd waits 15 s for its containerd, which a busy machine may not give."""
        for attempt in range(3):
            assert self._log is not None
            self._log.close()
            try:
                await self._start()
            except EngineNotStarted:
                if attempt == 2:
                    raise
            else:
                return


def _names(arguments: Path, text: str) -> bool:
    with contextlib.suppress(OSError):  # it ended meanwhile
        return b"containerd-shim" in (line := arguments.read_bytes()) and text.encode() in line
    return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@dataclass
class ChaosWorld:
    """`servers` stand on one database, one data folder and one engine."""

    world: World
    engine: FragileEngine
    servers: list[Server]
    cluster: Cluster | None
    dice: random.Random
    down: set[int] = field(default_factory=set)  # servers that are down for good

    @property
    def database_url(self) -> str:
        server = self.servers[0]
        return server.environment.get("BERTH_DATABASE_URL", f"sqlite:///{server.data / 'berth.db'}")

    def api(self) -> httpx.AsyncClient:
        """To one of the servers; none may answer."""
        up = [server for number, server in enumerate(self.servers) if number not in self.down]
        return self.dice.choice(up).api(self.servers[0].admin_token)

    async def containers(self) -> list[dict[str, Any]]:
        return await self.world.containers()

    async def running_containers(self) -> list[str]:
        return [str(one["Id"]) for one in await self.world.containers(everything=False)]

    async def engine_holds(self) -> tuple[set[str], list[str], list[str]]:
        """Names of images, volumes and networks of ours or of nobody known."""
        async with engine_api(self.engine.docker_host) as engine:
            images = (await engine.get("/images/json")).raise_for_status().json()
            volumes = (await engine.get("/volumes")).raise_for_status().json()["Volumes"] or []
            networks = (await engine.get("/networks")).raise_for_status().json()
        return (
            {tag for image in images for tag in image["RepoTags"] or ()},
            [str(volume["Name"]) for volume in volumes],
            [str(one["Name"]) for one in networks if one["Name"] not in {"bridge", "host", "none"}],
        )

    def log(self) -> str:
        return self.servers[0].log_file.read_text(errors="replace")


@asynccontextmanager
async def make_chaos_world(
    folder: Path, registry_host: str, dice: random.Random, cluster: Cluster | None
) -> AsyncIterator[ChaosWorld]:
    """One server on SQLite, or two on PostgreSQL."""
    settings = {} if cluster is None else {"BERTH_DATABASE_URL": cluster.create_database()}
    async with FragileEngine() as engine, make_world(folder, engine.docker_host, registry_host, settings) as world:
        first = world.server
        await _add_built(world)
        servers = [first]
        try:
            if cluster is not None:
                environment = {**first.environment, "BERTH_EXTERNAL_URL": first.url}
                second = Server(first.data, engine.docker_host, first.insecure_registries, environment)
                servers.append(second)
                await second.start()
            yield ChaosWorld(world, engine, servers, cluster, dice)
        finally:
            for server in servers[1:]:
                if server.process is not None and server.process.poll() is None:
                    server.kill()


async def _add_built(world: World) -> None:
    owner, name = BUILT.split("/")
    async with world.server.api() as api:
        answer = await api.post(f"/orgs/{owner}/repos", json={"name": name, "private": True})
        assert answer.status_code == 201, answer.text
        dockerfile = f"FROM {world.image}\nRUN echo built > /built\n"
        await world.commit(api, ".devcontainer/Dockerfile", dockerfile, BUILT)
        config = '{"build": {"dockerfile": "Dockerfile"}}'
        await world.commit(api, ".devcontainer/devcontainer.json", config, BUILT)


async def until_back(server: Server) -> None:
    """Started again, however often it fails to while its database is away, or is late on a busy machine."""
    async with asyncio.timeout(180):
        while True:
            try:
                await server.start()
                return
            except AssertionError:
                await asyncio.sleep(0.2)
            except TimeoutError:
                server.kill()

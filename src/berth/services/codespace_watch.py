"""What the engine shows beside what the rows say, seen every few seconds in one look at all containers.

A row that is at rest is looked at once a minute; a container that ended, came back or appeared late is not to wait for that.
Whatever differs is made due: the loop looks again, and decides.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

from berth.adapters.store import codespace as rows
from berth.adapters.store import prebuild as prebuild_rows
from berth.adapters.store.database import Store
from berth.domain.codespace import LABEL, Codespace
from berth.domain.lifecycle import is_settled
from berth.domain.problem import Problem
from berth.services.engine_build import is_step
from berth.services.launch import Launcher
from berth.services.lifecycle import find_surplus, world_of
from berth.services.ports import Container

LOOK_EVERY_S = 2.0
_LOG = logging.getLogger(__name__)


class CodespaceWatch:
    """Makes due what is not as it was left, and removes containers that no row stands for."""

    def __init__(
        self, *, store: Store, launcher: Launcher, wake: Callable[[], None], every_s: float = LOOK_EVERY_S
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._wake = wake
        self._every_s = every_s

    async def run(self) -> None:
        """Look until cancelled. An engine that is away is told once."""
        could = True
        while True:
            try:
                await self.look()
                could = True
            except Problem as problem:
                if could:
                    _LOG.warning("codespace.watch_failed", extra={"code": problem.code})
                could = False
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Once. Raises a Problem.

        Safe beside other replicas: a row is stored before anything is made for it, and goes after all of it is gone. What
        changed since the containers were seen costs one look too many.
        """
        containers = defaultdict[str, list[Container]](list)
        of_builds = []
        for container in await self._launcher.look_at_all():
            if is_step(container):
                of_builds.append(container)
            else:
                containers[container.labels.get(LABEL, "")].append(container)
        async with self._store.read() as connection:
            known = await rows.list_seen_by_engine(connection, list(containers))
            building = await rows.is_any_built(connection) or await prebuild_rows.is_any_built(connection)
        differing = [one.id for one in known if not _is_as_left(one, containers[one.name])]
        if differing:
            async with self._store.begin() as connection:
                await rows.make_due(connection, differing)
            self._wake()
        for name in containers.keys() - {one.name for one in known}:
            await self._remove(containers[name])
        if not building:  # the engine removes what it builds in, unless it was killed; a build of now began later
            await self._remove(of_builds)

    async def _remove(self, orphans: Sequence[Container]) -> None:
        for container in orphans:
            _LOG.warning("codespace.orphan_removed", extra={"container": container.name})
            await self._launcher.remove_orphan(container)


def _is_as_left(codespace: Codespace, containers: Sequence[Container]) -> bool:
    return is_settled(
        codespace.desired,
        codespace.phase,
        world_of(codespace, containers),
        launched=codespace.container_id is not None,
        rebuild=codespace.needs_rebuild,
        surplus=bool(find_surplus(codespace, containers)),
    )

"""Use cases of the whole server: is it well, how full is it, what is under way. For site administrators only."""

import asyncio
from dataclasses import dataclass

from berth.adapters.store import account as account_rows
from berth.adapters.store import site as rows
from berth.adapters.store.database import Store
from berth.adapters.store.installation import find_server_id
from berth.domain.access import Subject
from berth.domain.account import Account, AccountType
from berth.domain.codespace import SERVER_LABEL
from berth.domain.problem import Problem
from berth.domain.site import Launch, SiteCounts, StorageUse
from berth.services.account import get_account, require_site_admin
from berth.services.ports import ContainerStatus, Disk, DiskSpace, Engine

_ENGINE_TIMEOUT_S = 5.0
_LATE = "It did not answer in time."


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHealth:
    """What the engine said. `problem` is empty if it answered all; else nothing of the rest counts."""

    problem: str = ""
    version: str = ""
    architecture: str = ""
    containers: int = 0  # of this installation, of codespaces and their services
    running: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteOverview:
    """`disk` is None if the file system does not say. `launches` are the oldest of `launches_total`."""

    counts: SiteCounts
    storage: StorageUse
    disk: DiskSpace | None
    engine: EngineHealth
    launches: list[Launch]
    launches_total: int


class SiteService:
    """Looks at everything, changes nothing."""

    def __init__(
        self, *, store: Store, engine: Engine, disk: Disk, engine_timeout_s: float = _ENGINE_TIMEOUT_S
    ) -> None:
        self._store = store
        self._engine = engine
        self._disk = disk
        self._engine_timeout_s = engine_timeout_s

    async def view(self, subject: Subject, *, limit: int, offset: int) -> SiteOverview:
        """With that page of what is under way. Raises Denied. An engine that is away is a part of the answer, not a failure."""
        require_site_admin(subject)
        async with self._store.read() as connection:
            counts = await rows.count_all(connection)
            storage = await rows.measure_storage(connection)
            launches, total = await rows.list_launches(connection, limit=limit, offset=offset)
            server_id = await find_server_id(connection)
        return SiteOverview(
            counts=counts,
            storage=storage,
            disk=await self._disk.measure(),
            engine=await self._look_at_engine(server_id),
            launches=launches,
            launches_total=total,
        )

    async def list_users(self, subject: Subject, *, limit: int, offset: int) -> tuple[list[Account], int]:
        """All there are, oldest first. Raises Denied."""
        require_site_admin(subject)
        async with self._store.read() as connection:
            return await account_rows.list_users(connection, limit=limit, offset=offset)

    async def get_user(self, subject: Subject, login: str) -> Account:
        """Raises Denied, NotFound."""
        require_site_admin(subject)
        async with self._store.read() as connection:
            return await get_account(connection, login, AccountType.USER)

    async def list_organizations(self, subject: Subject, *, limit: int, offset: int) -> tuple[list[Account], int]:
        """All there are, oldest first. Raises Denied."""
        require_site_admin(subject)
        async with self._store.read() as connection:
            return await account_rows.list_organizations(connection, limit=limit, offset=offset)

    async def _look_at_engine(self, server_id: str | None) -> EngineHealth:
        try:
            async with asyncio.timeout(self._engine_timeout_s):
                version, architecture, found = await asyncio.gather(
                    self._engine.ping(),
                    self._engine.architecture(),
                    self._engine.list_containers({SERVER_LABEL: server_id or ""}),
                )
        except TimeoutError:
            return EngineHealth(problem=_LATE)
        except Problem as problem:
            return EngineHealth(problem=problem.message)
        running = sum(each.status is ContainerStatus.RUNNING for each in found)
        return EngineHealth(version=version, architecture=architecture, containers=len(found), running=running)

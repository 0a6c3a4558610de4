"""How the whole server is: who may know, and what is true of it, on both databases."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.account_world import AccountWorld, outcomes
from tests.codespace_world import CodespaceWorld, make_codespace_world
from tests.fakes.engine import UNREACHABLE, FakeEngine

from berth.adapters.disk_folder import FolderDisk
from berth.adapters.store import codespace as codespace_rows
from berth.adapters.store.database import Store
from berth.adapters.store.installation import get_server_id
from berth.adapters.store.tables import codespaces
from berth.domain.access import Subject
from berth.domain.codespace import SERVER_LABEL
from berth.domain.lifecycle import Desired, Phase
from berth.domain.scope import Scope
from berth.services.ports import Container, ContainerStatus
from berth.services.site import EngineHealth, SiteService

NOT_ADMIN = "Denied account.not_site_admin"


def admin_of(subject: Subject) -> Subject:
    return replace(subject, site_admin=True, scopes=frozenset({Scope.SITE_ADMIN}))


async def test_only_site_administrators_look(accounts: AccountWorld) -> None:
    service = accounts.services.site
    people = {"olga": accounts.who("olga"), "admin": accounts.site_admin(), "without": accounts.site_admin(Scope.REPO)}
    people["codespace"] = replace(accounts.who("olga@acme/web"), site_admin=True)
    expected = {"olga": NOT_ADMIN, "admin": "ok", "without": NOT_ADMIN, "codespace": NOT_ADMIN}
    for look in (service.view, service.list_users, service.list_organizations):
        assert await outcomes({who: look(one, limit=1, offset=0) for who, one in people.items()}) == expected


async def test_what_there_is(accounts: AccountWorld) -> None:
    admin = accounts.site_admin()
    view = await accounts.services.site.view(admin, limit=9, offset=0)
    users, total = await accounts.services.site.list_users(admin, limit=2, offset=0)
    organizations, _total = await accounts.services.site.list_organizations(admin, limit=9, offset=0)
    assert (view.counts.users, len(users)) == (total, 2)
    assert (view.counts.organizations, organizations[0].login) == (len(organizations), "acme")
    assert (view.counts.repositories, view.counts.packages, view.counts.codespaces) == (4, 0, 0)
    assert (view.storage.blobs, view.storage.blob_bytes, view.storage.trashed_blobs) == (0, 0, 0)
    assert view.storage.database_bytes > 4096
    assert (view.launches, view.launches_total) == ([], 0)
    assert view.disk is not None
    assert 0 < view.disk.free_bytes < view.disk.total_bytes


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    return await make_codespace_world(store, tmp_path)


async def test_what_is_under_way(world: CodespaceWorld) -> None:
    mia = world.secrets.subject("mia")
    service = SiteService(store=world.store, engine=world.engine, disk=FolderDisk(Path("/nowhere/at/all")))
    names = []
    for _ in range(3):
        names.append(await world.create("mia"))
    async with world.store.begin() as connection:
        rows = [await codespace_rows.find_codespace(connection, mia.account_id, name) for name in names]
        first, second, third = [row.id for row in rows if row is not None]
        at = world.secrets.clock.now()
        await codespace_rows.append_log(connection, first, at, [("phase", "one"), ("phase", "two"), ("output", "x")])
        values = {"phase": Phase.PROVISIONING, "attempts": 2, "holder": "host:1", "seen": 1}
        await connection.execute(update(codespaces).where(codespaces.c.id == first).values(**values))
        there = update(codespaces).values(phase=Phase.AVAILABLE, seen=codespaces.c.generation)
        await connection.execute(there.where(codespaces.c.id == second))
        asked = update(codespaces).values(
            phase=Phase.AVAILABLE, seen=codespaces.c.generation - 1, desired=Desired.STOPPED
        )
        await connection.execute(asked.where(codespaces.c.id == third))
    view = await service.view(admin_of(mia), limit=9, offset=0)
    assert view.disk is None
    assert [launch.name for launch in view.launches] == [names[0], names[2]]
    launch, resting = view.launches
    assert (launch.owner_login, launch.phase, launch.desired) == ("mia", Phase.PROVISIONING, Desired.RUNNING)
    assert (launch.attempts, launch.holder, launch.step) == (2, "host:1", "two")
    assert launch.since is not None
    assert (resting.desired, resting.holder, resting.step, resting.since) == (Desired.STOPPED, None, "", None)
    one = await service.view(admin_of(mia), limit=1, offset=1)
    assert ([launch.name for launch in one.launches], one.launches_total) == ([names[2]], 2)


async def test_how_the_engine_is(world: CodespaceWorld) -> None:
    mia = admin_of(world.secrets.subject("mia"))
    server_id = await get_server_id(world.store, "me")
    engine = FakeEngine()
    for name, server, status in (
        ("a", server_id, ContainerStatus.RUNNING),
        ("b", server_id, ContainerStatus.EXITED),
        ("c", "another", ContainerStatus.RUNNING),
    ):
        labels = {SERVER_LABEL: server}
        engine.containers[name] = Container(
            container_id=name, name=name, status=status, labels=labels, image_id="i", created_at=engine.now
        )
    service = SiteService(store=world.store, engine=engine, disk=FolderDisk(Path("/")), engine_timeout_s=0.05)
    healthy = (await service.view(mia, limit=1, offset=0)).engine
    assert (healthy.problem, healthy.architecture, healthy.containers, healthy.running) == ("", "amd64", 2, 1)
    assert healthy.version
    engine.faults["ping"] = UNREACHABLE
    assert (await service.view(mia, limit=1, offset=0)).engine == EngineHealth(problem=UNREACHABLE.message)

    async def hang() -> str:
        await asyncio.Event().wait()
        return ""

    engine.faults.clear()
    engine.architecture = hang  # type: ignore[method-assign]
    assert (await service.view(mia, limit=1, offset=0)).engine == EngineHealth(problem="It did not answer in time.")

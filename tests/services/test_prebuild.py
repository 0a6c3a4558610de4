"""Prebuilds as people ask for them: who may, how many, what a request does. On both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.prebuild_world import PrebuildWorld, open_prebuild_world

from berth.adapters.store.database import Store
from berth.adapters.store.tables import audit_log
from berth.domain.prebuild import MAX_PREBUILDS, PrebuildAvailability, PrebuildState
from berth.domain.problem import Denied, LimitReached, NotFound


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[PrebuildWorld]:
    async with open_prebuild_world(store, tmp_path) as world:
        await world.give_repository_triple()
        yield world


@pytest.mark.parametrize("login", ["wim", "mia", "otto"])
async def test_administrators_configure_and_run(world: PrebuildWorld, login: str) -> None:
    made = await world.create("olga")
    assert world.woken
    subject = world.codespaces.secrets.subject(login)
    refusal = NotFound if login == "otto" else Denied
    with pytest.raises(refusal):
        await world.create(login)
    with pytest.raises(refusal):
        await world.service.run(subject, "acme", "web", made.id)
    with pytest.raises(refusal):
        await world.service.delete(subject, "acme", "web", made.id)
    if login == "wim":
        assert (await world.service.get(subject, "acme", "web", made.id)).prebuild == made, "who may push looks"
        assert await world.service.read_log(subject, "acme", "web", made.id) == []
        return
    for look in (world.service.get, world.service.read_log):
        with pytest.raises(refusal):
            await look(subject, "acme", "web", made.id)
    with pytest.raises(refusal):
        await world.service.list_of(subject, "acme", "web", limit=10, offset=0)


async def test_what_runs_in_a_codespace_or_a_job_does_not(world: PrebuildWorld) -> None:
    secrets = world.codespaces.secrets
    for subject in (
        secrets.subject("olga", codespace_of="acme/web"),
        secrets.job("olga", "acme/web", contents="write", packages="write"),
    ):
        with pytest.raises(Denied):
            await world.service.list_of(subject, "acme", "web", limit=10, offset=0)
        with pytest.raises(Denied):
            await world.service.run(subject, "acme", "web", 1)


async def test_there_are_so_many_and_each_belongs_to_its_repository(world: PrebuildWorld) -> None:
    olga = world.codespaces.secrets.subject("olga")
    made = [await world.create(branch=f"b{number}") for number in range(MAX_PREBUILDS)]
    with pytest.raises(LimitReached):
        await world.create()
    page, total = await world.service.list_of(olga, "acme", "web", limit=2, offset=1)
    assert ([view.prebuild for view in page], total) == (made[1:3], MAX_PREBUILDS)
    with pytest.raises(NotFound):
        await world.service.get(olga, "acme", "site", made[0].id)
    await world.service.delete(olga, "acme", "web", made[0].id)
    with pytest.raises(NotFound):
        await world.service.get(olga, "acme", "web", made[0].id)
    with pytest.raises(NotFound):
        await world.service.run(olga, "acme", "web", made[0].id)
    await world.create()
    async with world.store.read() as connection:
        actions = list((await connection.execute(select(audit_log.c.action))).scalars())
    assert actions.count("prebuild.create") == MAX_PREBUILDS + 1
    assert actions.count("prebuild.delete") == 1


async def test_a_run_is_asked_for(world: PrebuildWorld) -> None:
    made = await world.make()
    view = await world.run(made)
    assert (view.prebuild.state, view.prebuild.is_forced) == (PrebuildState.QUEUED, True)
    assert [version.prebuild_id for version in view.versions] == [made.id]
    log = await world.service.read_log(world.codespaces.secrets.subject("olga"), "acme", "web", made.id)
    assert log[-1].text == "Ready"


async def test_what_is_available(world: PrebuildWorld) -> None:
    web = await world.codespaces.repository("acme/web")

    async def available(ref: str = "") -> PrebuildAvailability:
        return await world.service.availability(web, ref)

    assert await available() is PrebuildAvailability.NONE
    made = await world.create()
    assert await available() is PrebuildAvailability.IN_PROGRESS
    await world.step(made)
    assert await available() is await available("refs/heads/main") is PrebuildAvailability.READY
    assert await available("other") is PrebuildAvailability.NONE
    await world.codespaces.write("acme/web", "more", b"x")
    assert await available() is PrebuildAvailability.NONE

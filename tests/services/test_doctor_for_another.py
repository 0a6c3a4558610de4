"""A site administrator's diagnosis for another user: with that one's secrets; for everybody else nobody else is there (A13)."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.codespace_world import HOST, IMAGE, PASSWORD, CodespaceWorld, make_codespace_world
from tests.secret_world import MINE
from tests.services.test_doctor import code, doctor_of

from berth.adapters.store import suspension as suspension_rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import audit_log
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.problem import Conflict, NotFound, Problem
from berth.domain.scope import Scope
from berth.services.doctor import DoctorService

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    return await make_codespace_world(store, tmp_path)


@pytest.fixture
def service(world: CodespaceWorld) -> DoctorService:
    return doctor_of(world, probe_timeout_s=30)


def site_admin(world: CodespaceWorld) -> Subject:
    """otto, who has nothing to do with acme."""
    subject = world.secrets.subject("otto")
    return replace(subject, site_admin=True, scopes=subject.scopes | {Scope.SITE_ADMIN})


async def give_wim_a_triple(world: CodespaceWorld) -> None:
    for part, value in (("SERVER", HOST), ("USER", "robot"), ("PASSWORD", PASSWORD)):
        await world.secrets.put("wim", MINE, f"W_CONTAINER_REGISTRY_{part}", value, repositories=("acme/web",))


async def test_it_is_looked_at_as_that_user_s_launch_would(world: CodespaceWorld, service: DoctorService) -> None:
    await give_wim_a_triple(world)
    admin = site_admin(world)
    diagnosis = await service.examine(admin, "acme", "web", IMAGE, login="WIM")
    assert diagnosis.is_healthy
    assert diagnosis.source is not None
    assert diagnosis.source.prefix == "W"
    assert PASSWORD not in repr(diagnosis)
    other = await service.examine(admin, "acme", "web", IMAGE, login="olga")
    assert code(other) == "image.credential_missing", "another one's secrets are not used"
    withheld = await service.examine(admin, "acme", "web", IMAGE, login="rita")
    assert withheld.finding is not None
    assert "withheld" in withheld.finding.sentence, "S6 holds for her"


async def test_both_names_are_in_the_audit_log_of_the_repository_s_owner(
    world: CodespaceWorld, service: DoctorService
) -> None:
    await service.examine(site_admin(world), "acme", "web", IMAGE, login="wim")
    await service.examine(world.secrets.subject("wim"), "acme", "web", IMAGE, login="wim")
    async with world.store.read() as connection:
        columns = (audit_log.c.actor_login, audit_log.c.account_id, audit_log.c.detail)
        found = await connection.execute(select(*columns).where(audit_log.c.action == "codespace.diagnose"))
        acme = world.secrets.accounts["acme"]
        assert [tuple(row) for row in found] == [
            ("otto", acme, "for wim image.credential_missing"),
            ("wim", acme, "image.credential_missing"),
        ]


async def test_a13_nobody_else_learns_who_is_there(world: CodespaceWorld, service: DoctorService) -> None:
    await give_wim_a_triple(world)
    admin = site_admin(world)
    olga = world.secrets.subject("olga")
    callers = {
        "an owner of the organization": olga,
        "not the scope": replace(admin, scopes=olga.scopes),
        "the scope alone": replace(olga, scopes=admin.scopes),
        "a codespace's token": replace(admin, token_kind=TokenKind.CODESPACE),
    }
    missing = await refusal(service, admin, "nobody")
    for name, caller in callers.items():
        for login in ("wim", "nobody", "acme"):
            assert await refusal(service, caller, login) == missing, f"{name}, {login}"
    assert await refusal(service, admin, "acme") == missing, "an organization launches nothing"
    assert world.registry.asked == []
    await service.examine(admin, "acme", "web", IMAGE, login="wim")
    assert world.registry.asked != []


async def test_what_the_user_may_not_read_is_not_there_for_him(world: CodespaceWorld, service: DoctorService) -> None:
    with pytest.raises(NotFound):
        await service.examine(site_admin(world), "acme", "web", IMAGE, login="otto")


async def refusal(service: DoctorService, caller: Subject, login: str) -> tuple[type[Problem], str, str]:
    with pytest.raises(NotFound) as refused:
        await service.examine(caller, "acme", "web", IMAGE, login=login)
    return type(refused.value), refused.value.code, refused.value.message


async def test_nothing_is_tried_for_who_is_suspended(world: CodespaceWorld, service: DoctorService) -> None:
    await give_wim_a_triple(world)
    for at in (world.secrets.clock.now(), None):
        async with world.store.begin() as connection:
            await suspension_rows.set_suspension(connection, world.secrets.accounts["wim"], at, None)
        call = service.examine(site_admin(world), "acme", "web", IMAGE, login="wim")
        if at is None:
            assert (await call).is_healthy
            continue
        with pytest.raises(Conflict) as refused:
            await call
        assert refused.value.code == "account.suspended"
        assert world.registry.asked == []

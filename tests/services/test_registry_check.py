"""Who may have a login tried, at which level; that what is sealed stays his; one at a time; and the audit log."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.fakes.ecr_memory import FakeEcrAPI, make_swaps
from tests.fakes.engine import FakeEngine
from tests.fakes.registry_client import FakeRegistryClient
from tests.secret_world import ACME, MINE, WEB, SecretWorld, make_secret_world

from berth.adapters.store.database import Store
from berth.adapters.store.tables import audit_log
from berth.domain.problem import Denied, Invalid, LimitReached, NotFound, Problem, UpstreamFailed
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.registry_login import LoginOutcome
from berth.services.image_probe import ImageProbe
from berth.services.registry_check import RegistryCheckService, SealedLogin
from berth.services.registry_login import RegistryLogins
from berth.services.secret_access import SecretPlace

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PASSWORD = "c4nary-pw"


class Checks:
    """The use case on a real store and sealer, over a registry in memory."""

    def __init__(self, secrets: SecretWorld) -> None:
        self.secrets = secrets
        self.registry = FakeRegistryClient({"r.test": PASSWORD, "r.test/team/app": PASSWORD})
        self.engine = FakeEngine()
        ecr = FakeEcrAPI()
        probe = ImageProbe(registry=self.registry, engine=self.engine, swaps=make_swaps(ecr, secrets.clock))
        self.service = RegistryCheckService(
            store=secrets.store,
            clock=secrets.clock,
            sealer=secrets.sealer,
            logins=RegistryLogins(registry=self.registry, probe=probe, ecr=ecr, clock=secrets.clock),
        )

    def sealed(self, login: str, place: SecretPlace, password: str = PASSWORD) -> SealedLogin:
        key_id, user = self.secrets.seal(login, place, "ana")
        _, box = self.secrets.seal(login, place, password)
        return SealedLogin(server="r.test", key_id=key_id, encrypted_username=user, encrypted_password=box)

    async def outcome(self, login: str, place: SecretPlace, sealed: SealedLogin | None = None) -> str:
        try:
            verdict = await self.service.check(self.secrets.subject(login), place, sealed or self.sealed(login, place))
        except Problem as problem:
            return problem.code
        return verdict.outcome


@pytest.fixture
async def checks(store: Store, tmp_path: Path) -> Checks:
    return Checks(await make_secret_world(store, tmp_path))


@pytest.mark.parametrize(
    "login,place,outcome",
    [
        ("otto", MINE, "accepted"),
        ("olga", WEB, "accepted"),
        ("wim", WEB, "secret.denied"),
        ("rita", WEB, "secret.denied"),
        ("otto", WEB, "repository.not_found"),
        ("olga", ACME, "accepted"),
        ("wim", ACME, "secret.denied"),
        ("otto", ACME, "account.not_found"),
        ("olga", replace(ACME, owner="nobody"), "account.not_found"),
    ],
)
async def test_a13_who_may_change_the_secrets_may_try(
    checks: Checks, login: str, place: SecretPlace, outcome: str
) -> None:
    assert await checks.outcome(login, place) == outcome
    assert bool(checks.registry.asked) is (outcome == "accepted")


async def test_no_token_but_a_personal_one_tries(checks: Checks) -> None:
    sealed = checks.sealed("olga", MINE)
    for subject in (
        checks.secrets.subject("olga", codespace_of="acme/web"),
        checks.secrets.job("olga", "acme/web", contents="write"),
    ):
        with pytest.raises(Denied):
            await checks.service.check(subject, MINE, sealed)
    assert checks.registry.asked == []
    assert await checks.outcome("olga", MINE, sealed) == "accepted"


async def test_s5_what_was_sealed_for_another_owner_does_not_open(checks: Checks) -> None:
    """Somebody's sealed password, from a log or a Terraform state, is sent nowhere by somebody else."""
    stolen = checks.sealed("olga", ACME)
    for login, place in (("otto", MINE), ("olga", MINE), ("olga", WEB)):
        assert await checks.outcome(login, place, replace(stolen, server="evil.test")) == "secret.seal_broken"
    mine = checks.sealed("otto", MINE)
    mixed = replace(mine, encrypted_password=stolen.encrypted_password)
    assert await checks.outcome("otto", MINE, mixed) == "secret.seal_broken"
    assert checks.registry.asked == []
    assert await checks.outcome("otto", MINE, mine) == "accepted"


async def test_s2_what_could_not_be_stored_is_not_tried(checks: Checks) -> None:
    assert await checks.outcome("olga", MINE, checks.sealed("olga", MINE, "x" * 50_000)) == "secret.too_large"
    assert await checks.outcome("olga", MINE, checks.sealed("olga", MINE, "x\0")) == "secret.value"
    with pytest.raises(Invalid):
        await checks.service.check(
            checks.secrets.subject("olga"), MINE, replace(checks.sealed("olga", MINE), image="UP/er")
        )
    assert checks.registry.asked == []


async def test_a_session_token_is_sealed_like_the_others(checks: Checks) -> None:
    session = checks.secrets.seal("olga", MINE, "s3ss10n")[1]
    verdict = await checks.service.check(
        checks.secrets.subject("olga"), MINE, replace(checks.sealed("olga", MINE), encrypted_session_token=session)
    )
    assert verdict.warnings == (
        "R_TEST_CONTAINER_REGISTRY_SESSION_TOKEN is not used: it is for AWS keys, and r.test is not AWS's.",
    )


async def test_an_image_is_tried_as_the_engine_would_take_it(checks: Checks) -> None:
    sealed = replace(checks.sealed("olga", MINE), image="r.test/team/app:1", prefix="mine")
    verdict = await checks.service.check(checks.secrets.subject("olga"), MINE, sealed)
    assert verdict.outcome is LoginOutcome.ACCEPTED
    checks.engine.faults["architecture"] = UpstreamFailed("Down.", code="engine.unreachable")
    assert await checks.outcome("olga", MINE, sealed) == "accepted", "for the usual one, if the engine is down"
    (shown, *_) = [one for _, one in checks.registry.asked if isinstance(one, RegistryCredential)]
    assert shown.source.prefix == "MINE"


async def test_one_at_a_time_for_an_account(checks: Checks) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(_: RegistryCredential | Anonymous) -> None:
        entered.set()
        await leave.wait()

    checks.registry.on_ask = wait
    first = asyncio.create_task(checks.outcome("olga", MINE))
    await entered.wait()
    with pytest.raises(LimitReached) as busy:
        await checks.service.check(checks.secrets.subject("olga"), ACME, checks.sealed("olga", ACME))
    assert busy.value.code == "registry_login.busy"
    leave.set()
    assert await checks.outcome("otto", MINE) == "accepted"
    assert await first == "accepted"
    assert await checks.outcome("olga", MINE) == "accepted"


async def test_the_audit_log_has_who_where_and_what_came_of_it_and_no_more(checks: Checks) -> None:
    await checks.outcome("olga", ACME)
    await checks.outcome("olga", WEB, checks.sealed("olga", WEB, "c4nary-wrong"))
    with pytest.raises(NotFound):
        await checks.service.check(checks.secrets.subject("otto"), WEB, checks.sealed("otto", WEB))
    async with checks.secrets.store.read() as connection:
        wanted = (audit_log.c.target, audit_log.c.detail)
        statement = select(*wanted).where(audit_log.c.action == "codespace.registry_check").order_by(audit_log.c.id)
        found = [tuple(row) for row in await connection.execute(statement)]
    assert found == [
        ("r.test", "organization acme: accepted"),
        ("r.test", "repository acme/web: refused image.unauthorized"),
    ]

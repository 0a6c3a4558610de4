"""What was learnt last of a stored login: of exactly the values that were tried, for those who are shown them (A13, S5)."""

import asyncio
import logging
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from tests.codespace_world import PASSWORD as IMAGE_PASSWORD
from tests.codespace_world import CodespaceWorld, make_codespace_world
from tests.fakes.ecr_memory import ECR_HOST, KEY_ID, SECRET, FakeEcrAPI, make_swaps
from tests.secret_world import ACME, MINE, WEB, SecretWorld
from tests.services.test_registry_triple import NAMES, PASSWORD, Triples, make_triples

from berth.adapters.store.database import Store
from berth.adapters.store.last_check import find_checks
from berth.adapters.store.secret_tables import last_checks
from berth.domain.ecr_answer import EcrFailure
from berth.domain.lifecycle import State
from berth.domain.login_exchange import LoginProof
from berth.domain.registry_login import LoginOutcome, LoginVerdict
from berth.domain.scope import Scope
from berth.domain.secret import SecretVisibility
from berth.services.last_check import LastChecks
from berth.services.registry_credential import RegistryCredentialService
from berth.services.registry_triple import Access
from berth.services.secret_access import SecretPlace

ACCEPTED, UNTRIED = ("accepted", ""), ("untried", "")
REFUSED = ("refused", "image.unauthorized")


@pytest.fixture
async def triples(store: Store, tmp_path: Path) -> Triples:
    return await make_triples(store, tmp_path)


async def told(triples: Triples, login: str = "otto", place: SecretPlace = MINE) -> tuple[str, str]:
    """On the card."""
    (card,), _total = await triples.service.list_of(triples.world.subject(login), place, limit=30, offset=0)
    check = card.last_check
    assert check is not None
    assert (check.at is None) is (check.learnt is None)
    return check.word, check.learnt.code if check.learnt else ""


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """But for the database's own reason, which SQLite's driver is asked for (tests/adapters/store/test_database.py)."""
    messages = [record.message for record in caplog.records if record.name.startswith("berth.")]
    return [message for message in messages if message != "store.failed"]


async def attempt(triples: Triples) -> LoginOutcome:
    return (await triples.service.check(triples.world.subject("otto"), MINE, "CORP")).outcome


async def count(store: Store) -> int:
    async with store.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(last_checks))).scalar_one())


async def test_a_try_is_kept_whatever_came_of_it(triples: Triples) -> None:
    await triples.add("otto", MINE, unchecked=True)
    assert await told(triples) == UNTRIED
    await attempt(triples)
    assert await told(triples) == ACCEPTED
    triples.registry.passwords["r.test"] = "another"
    await attempt(triples)
    assert await told(triples) == REFUSED
    triples.registry.passwords["r.test"] = PASSWORD
    triples.registry.proof = LoginProof.NOT_ASKED
    await attempt(triples)
    assert await told(triples) == ("unknown", "registry.login_not_asked")
    triples.registry.refusal = "registry.timeout"
    await attempt(triples)
    assert await told(triples) == ("unknown", "registry.timeout")
    assert await count(triples.world.store) == 1


async def test_what_is_added_or_replaced_was_tried(triples: Triples) -> None:
    await triples.add("otto", MINE, session_token="s")
    assert await told(triples) == ACCEPTED
    otto = triples.world.subject("otto")
    await triples.service.replace(otto, MINE, "CORP", triples.given(MINE))
    assert await told(triples) == ACCEPTED
    await triples.service.replace(otto, MINE, "CORP", triples.given(MINE), unchecked=True)
    assert await told(triples) == UNTRIED
    triples.registry.passwords["r.test"] = "another"
    await triples.service.replace(otto, MINE, "CORP", triples.given(MINE))
    assert await told(triples) == UNTRIED, "what was refused is not what is stored"
    await triples.service.remove(otto, MINE, "CORP")
    assert await count(triples.world.store) == 0


async def test_another_value_is_another_login(triples: Triples) -> None:
    """Any of the secrets, also with the same text; the controls are changes that leave the values as they are."""
    world, otto = triples.world, triples.world.subject("otto")
    await triples.add("otto", MINE)
    values = {NAMES[0]: "r.test", NAMES[1]: "ana", NAMES[2]: PASSWORD, NAMES[3]: "s"}
    await world.put("otto", MINE, NAMES[2], None, repositories=("otto/own",))
    await world.put("otto", MINE, "OTHER_CONTAINER_REGISTRY", "x")
    assert await told(triples) == ACCEPTED
    for name, value in values.items():
        await world.put("otto", MINE, name, value)
        assert await told(triples) == UNTRIED, name
        await attempt(triples)
        assert await told(triples) == ACCEPTED
    await world.service.delete(otto, MINE, NAMES[3])
    assert await told(triples) == UNTRIED
    for name in NAMES[:3]:
        await attempt(triples)
        await world.service.delete(otto, MINE, name)
        assert await told(triples) == UNTRIED
        await world.put("otto", MINE, name, values[name])
        assert await told(triples) == UNTRIED, name


async def test_a_value_that_is_wrapped_anew_is_the_same(triples: Triples) -> None:
    await triples.add("otto", MINE)
    triples.world.sealer.rotate()
    assert (await triples.world.service.rewrap_all()).rewrapped == 3
    assert await told(triples) == ACCEPTED


@pytest.mark.parametrize("name", NAMES[:3])
async def test_race_a_try_says_nothing_of_a_value_that_came_meanwhile(triples: Triples, name: str) -> None:
    await triples.add("otto", MINE, unchecked=True)

    async def change(_credential: object) -> None:
        await triples.world.put("otto", MINE, changed, {NAMES[0]: "r.test", NAMES[1]: "eve"}.get(changed, "wrong"))

    changed, triples.registry.on_ask = name, change
    assert await attempt(triples) is LoginOutcome.ACCEPTED
    assert await told(triples) == UNTRIED
    assert await count(triples.world.store) == 0
    await triples.world.put("otto", MINE, NAMES[2], PASSWORD)
    changed = "SOMETHING_ELSE"
    await attempt(triples)
    assert await told(triples) == ACCEPTED, "the control"


async def test_race_an_older_try_does_not_end_what_is_known_of_the_new_login(triples: Triples) -> None:
    await triples.add("otto", MINE, unchecked=True)

    async def replace(_credential: object) -> None:
        triples.registry.on_ask = None
        triples.registry.passwords["r.test"] = "next"
        otto = triples.world.subject("otto")
        given = triples.given(MINE, password="next")
        await triples.service.replace(otto, MINE, "CORP", given, unchecked=True)
        await LastChecks(store=triples.world.store, clock=triples.world.clock).keep_try(
            (await triples.service.get(otto, MINE, "CORP")).versions,
            LoginVerdict(host="r.test", outcome=LoginOutcome.ACCEPTED, sentence=""),
        )

    triples.registry.on_ask = replace
    assert await attempt(triples) is LoginOutcome.REFUSED
    assert await told(triples) == ACCEPTED


async def test_race_many_at_once(triples: Triples) -> None:
    await triples.add("otto", MINE, unchecked=True)
    card = await triples.service.get(triples.world.subject("otto"), MINE, "CORP")
    checks = LastChecks(store=triples.world.store, clock=triples.world.clock)
    verdict = LoginVerdict(host="r.test", outcome=LoginOutcome.ACCEPTED, sentence="")
    await asyncio.gather(*(checks.keep_try(card.versions, verdict) for _ in range(8)))
    assert await told(triples) == ACCEPTED


async def test_a_database_that_fails_stops_no_try(triples: Triples, caplog: pytest.LogCaptureFixture) -> None:
    async with triples.world.store.begin() as connection:
        await connection.execute(text("ALTER TABLE last_checks RENAME TO gone"))
    with caplog.at_level(logging.WARNING):
        assert await triples.add("otto", MINE) == "accepted"
    assert said(caplog) == ["last_check.not_kept"]
    async with triples.world.store.begin() as connection:
        await connection.execute(text("ALTER TABLE gone RENAME TO last_checks"))
    assert await told(triples) == UNTRIED
    assert await triples.names("otto", MINE) == sorted(NAMES[:3])


async def test_no_value_is_kept(triples: Triples) -> None:
    triples.registry.passwords["r.test"] = "another"
    await triples.add("otto", MINE, unchecked=True)
    await attempt(triples)
    async with triples.world.store.read() as connection:
        (row,) = (await connection.execute(select(last_checks))).all()
        assert await find_checks(connection, [()]) == {}
    assert (row.outcome, row.code) == REFUSED
    assert set(row.versions) <= set("0123456789. ")


# For whom


async def shown_to(world: SecretWorld, login: str, *scopes: Scope) -> dict[str, str | None]:
    service = RegistryCredentialService(
        store=world.store, secrets=world.service, swaps=make_swaps(FakeEcrAPI(), world.clock), own_host="berth.test"
    )
    subject = world.subject(login, scopes=frozenset(scopes)) if scopes else world.subject(login)
    found = await service.list_for(subject, "acme", "web")
    return {entry.source.prefix: None if entry.last_check is None else entry.last_check.word for entry in found.entries}


async def test_a13_who_is_shown_the_secrets_is_shown_the_check(triples: Triples) -> None:
    """With the organization's login launches show that start from repositories which not everybody can see."""
    for login, place, prefix, access in (
        ("wim", MINE, "OWN", triples.ids("acme/web")),
        ("olga", WEB, "WEB", Access()),
        ("olga", ACME, "CORP", Access(visibility=SecretVisibility.ALL)),
    ):
        server = f"{prefix.lower()}.test"
        triples.registry.passwords[server] = PASSWORD
        assert await triples.add(login, place, access, prefix=prefix, server=server) == "accepted"
    await triples.world.put("olga", WEB, "HALF_CONTAINER_REGISTRY_SERVER", "u.test")
    seen = {"OWN": "accepted", "WEB": "accepted", "HALF": None, "": None}
    assert await shown_to(triples.world, "wim") == {**seen, "CORP": None}
    del seen["OWN"]
    assert await shown_to(triples.world, "olga") == {**seen, "CORP": "accepted"}
    assert await shown_to(triples.world, "olga", Scope.REPO) == {**seen, "CORP": None}
    assert (await shown_to(triples.world, "wim", Scope.REPO))["OWN"] is None
    await triples.world.put("olga", ACME, "CORP_CONTAINER_REGISTRY_USER", "bo", visibility=SecretVisibility.ALL)
    assert (await shown_to(triples.world, "olga"))["CORP"] == "untried"


# Launches


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    """acme/web names a private image, which the organization's login opens."""
    made = await make_codespace_world(store, tmp_path)
    await made.configure("acme/web")
    await made.give_triple()
    return made


async def learnt(world: CodespaceWorld) -> list[tuple[str, str]]:
    """Of all logins that there are."""
    async with world.store.read() as connection:
        rows = await connection.execute(select(last_checks).order_by(last_checks.c.secret_id))
        return [(row.outcome, row.code) for row in rows]


async def test_a_launch_learns_whether_the_registry_takes_the_login(world: CodespaceWorld) -> None:
    assert (await world.launch()).state is State.AVAILABLE
    assert await learnt(world) == [ACCEPTED], "and nothing of the codespace's own token"
    await world.give_triple("wrong")
    assert (await world.launch()).state is State.FAILED
    assert await learnt(world) == [REFUSED]
    await world.give_triple(IMAGE_PASSWORD)
    world.registry.refusal = "image.not_found"
    world.registry.passwords.clear()
    assert (await world.launch()).state is State.FAILED
    assert await learnt(world) == [REFUSED], (
        "nothing is learnt of the new login; of the old one nobody is told any more"
    )


@pytest.mark.parametrize("scheme", ["bearer", ""])
async def test_a_launch_that_learns_nothing_keeps_nothing(world: CodespaceWorld, scheme: str) -> None:
    world.registry.scheme = scheme
    assert (await world.launch()).state is State.AVAILABLE
    assert await learnt(world) == []


async def test_race_a_launch_says_nothing_of_a_value_that_came_meanwhile(world: CodespaceWorld) -> None:
    async def change(_credential: object) -> None:
        await world.give_triple("wrong")

    world.registry.on_ask = change
    assert (await world.launch()).state is State.AVAILABLE
    assert await learnt(world) == []


async def test_a_launch_goes_on_where_it_cannot_be_kept(
    world: CodespaceWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.store.begin() as connection:
        await connection.execute(text("ALTER TABLE last_checks RENAME TO gone"))
    with caplog.at_level(logging.WARNING):
        assert (await world.launch()).state is State.AVAILABLE
    assert said(caplog) == ["last_check.not_kept"]


async def test_c5_a_swap_learns_whether_aws_takes_the_keys(world: CodespaceWorld) -> None:
    await world.configure("acme/web", image=f"{ECR_HOST}/team/dev:1")
    for part, value in (("SERVER", ECR_HOST), ("USER", KEY_ID), ("PASSWORD", SECRET)):
        await world.secrets.put("olga", WEB, f"AWS_CONTAINER_REGISTRY_{part}", value)
    world.registry.passwords[f"{ECR_HOST}/team/dev"] = "token-2"
    world.ecr.failures = [EcrFailure(code="ecr.key_unknown", status=400)]
    assert (await world.launch()).state is State.FAILED
    assert await learnt(world) == [("refused", "ecr.key_unknown")]
    assert (await world.launch()).state is State.AVAILABLE
    assert await learnt(world) == [ACCEPTED]
    world.registry.refusal = "image.denied"
    world.registry.passwords[f"{ECR_HOST}/team/dev"] = "none"
    assert (await world.launch()).state is State.FAILED
    assert await learnt(world) == [ACCEPTED], "the token is refused, and not the keys"

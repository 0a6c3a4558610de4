"""Logins of registries as one thing: tried before they are stored, all or none, told without a value. Rules C1, C2, A13."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.ecr_memory import FakeEcrAPI, make_swaps
from tests.fakes.engine import FakeEngine
from tests.fakes.registry_client import FakeRegistryClient
from tests.secret_world import ACME, MINE, WEB, SecretWorld, make_secret_world

from berth.adapters.store.database import Store
from berth.adapters.store.secret_reach import Reach
from berth.domain.login_exchange import LoginProof
from berth.domain.problem import Conflict, Denied, Invalid, NotFound, Problem
from berth.domain.registry_login import LoginOutcome
from berth.domain.registry_provider import Provider
from berth.domain.secret import SecretVisibility
from berth.domain.secret_text import SecretText
from berth.services.image_probe import ImageProbe
from berth.services.last_check import LastChecks
from berth.services.registry_check import RegistryCheckService
from berth.services.registry_login import GivenLogin, RegistryLogins
from berth.services.registry_triple import Access, RegistryTripleService
from berth.services.secret_access import SecretPlace
from berth.services.secret_group import SecretGroupService

PASSWORD = "c4nary-pw"
NAMES = tuple(f"CORP_CONTAINER_REGISTRY_{part}" for part in ("SERVER", "USER", "PASSWORD", "SESSION_TOKEN"))
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@dataclass
class Triples:
    world: SecretWorld
    registry: FakeRegistryClient
    service: RegistryTripleService
    groups: SecretGroupService

    async def add(self, login: str, place: SecretPlace, access: Access = Access(), **more: str | bool) -> str:  # noqa: B008
        given = self.given(place, **{name: str(value) for name, value in more.items() if name != "unchecked"})
        unchecked = bool(more.get("unchecked"))
        try:
            verdict = await self.service.add(self.world.subject(login), place, given, access, unchecked=unchecked)
        except Problem as problem:
            return problem.code
        return "untried" if verdict is None else verdict.outcome

    def given(self, place: SecretPlace, **more: str) -> GivenLogin:
        values = {"server": "r.test", "user": "ana", "password": PASSWORD, "prefix": "CORP", **more}
        session = values.get("session_token")
        return GivenLogin(
            level=place.level,
            server=values["server"],
            user=SecretText(values["user"]),
            password=SecretText(values["password"]),
            session_token=None if session is None else SecretText(session),
            prefix=values["prefix"],
        )

    async def names(self, login: str, place: SecretPlace) -> list[str]:
        found, _total = await self.world.service.list_names(self.world.subject(login), place, limit=100, offset=0)
        return sorted(each.name for each in found)

    def ids(self, *names: str) -> Access:
        return Access(repository_ids=tuple(self.world.repositories[name] for name in names))


@pytest.fixture
async def triples(store: Store, tmp_path: Path) -> Triples:
    return await make_triples(store, tmp_path)


async def make_triples(store: Store, folder: Path) -> Triples:
    world = await make_secret_world(store, folder)
    registry = FakeRegistryClient({"r.test": PASSWORD, "s.test": PASSWORD})
    swaps = make_swaps(FakeEcrAPI(), world.clock)
    probe = ImageProbe(registry=registry, engine=FakeEngine(), swaps=swaps)
    checks = RegistryCheckService(
        store=store,
        clock=world.clock,
        sealer=world.sealer,
        logins=RegistryLogins(registry=registry, probe=probe, ecr=FakeEcrAPI(), clock=world.clock),
    )
    groups = SecretGroupService(store=store, secrets=world.service)
    service = RegistryTripleService(
        secrets=world.service,
        groups=groups,
        checks=checks,
        swaps=swaps,
        last_checks=LastChecks(store=store, clock=world.clock),
        own_host="berth.test",
    )
    return Triples(world, registry, service, groups)


@pytest.mark.parametrize(
    ("login", "place", "outcome"),
    [
        ("otto", MINE, "accepted"),
        ("olga", WEB, "accepted"),
        ("wim", WEB, "secret.denied"),
        ("otto", WEB, "repository.not_found"),
        ("olga", ACME, "accepted"),
        ("mia", ACME, "secret.denied"),
        ("otto", ACME, "account.not_found"),
    ],
)
async def test_a13_who_may_change_the_secrets_may_add_a_login(
    triples: Triples, login: str, place: SecretPlace, outcome: str
) -> None:
    access = Access(visibility=SecretVisibility.ALL) if place is ACME else Access()
    assert await triples.add(login, place, access) == outcome
    if outcome == "accepted":
        assert await triples.names(login, place) == sorted(NAMES[:3])
    assert bool(triples.registry.asked) is (outcome == "accepted")


async def test_what_is_not_accepted_is_not_stored(triples: Triples) -> None:
    assert await triples.add("otto", MINE, password="wrong") == "refused"
    triples.registry.proof, triples.registry.passwords["s.test"] = LoginProof.NOT_CHECKED, None
    assert await triples.add("otto", MINE, server="s.test") == "unknown"
    assert await triples.names("otto", MINE) == []
    assert await triples.add("otto", MINE, server="s.test", unchecked=True) == "untried"
    assert await triples.names("otto", MINE) == sorted(NAMES[:3])


async def test_all_or_none(triples: Triples) -> None:
    """A limit that the second of them would exceed leaves none of them."""
    for number in range(98):
        await triples.world.put("otto", MINE, f"X{number}", "x")
    assert await triples.add("otto", MINE) == "secret.limit"
    assert not {*NAMES} & set(await triples.names("otto", MINE))


async def test_nothing_is_overwritten_by_adding(triples: Triples) -> None:
    await triples.world.put("otto", MINE, NAMES[1], "mine")
    assert await triples.add("otto", MINE) == "registry.exists"
    assert triples.registry.asked == [], "and nothing is tried for nothing"
    with pytest.raises(Conflict):
        await triples.world.service.put_together(
            triples.world.subject("otto"), MINE, {NAMES[1]: triples.world.sealed("otto", MINE, "x")}, replace=False
        )


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"server": "https://u:p@r.test"}, "registry_host.userinfo"),
        ({"prefix": "1x"}, "secret.name"),
        ({"prefix": "github_x"}, "secret.name.reserved"),
    ],
)
async def test_what_cannot_be_a_login_is_tried_by_nobody(triples: Triples, values: dict[str, Any], code: str) -> None:
    assert await triples.add("otto", MINE, **values) == code
    assert triples.registry.asked == []


async def test_a_prefix_is_made_from_the_server(triples: Triples) -> None:
    assert await triples.add("otto", MINE, prefix="") == "accepted"
    assert (await triples.service.get(triples.world.subject("otto"), MINE, "r_test")).server == "r.test"


async def test_a_replaced_login_keeps_its_repositories_and_loses_its_session_token(triples: Triples) -> None:
    otto, access = triples.world.subject("otto"), triples.ids("otto/own", "acme/site")
    assert await triples.add("otto", MINE, access, session_token="s") == "accepted"
    assert await triples.names("otto", MINE) == sorted(NAMES)
    triples.registry.passwords["s.test"] = "next"
    wrong = await triples.service.replace(otto, MINE, "CORP", triples.given(MINE, server="s.test"))
    assert wrong is not None
    assert wrong.outcome is LoginOutcome.REFUSED
    assert (await triples.service.get(otto, MINE, "CORP")).server == "r.test"
    given = triples.given(MINE, server="s.test", password="next", prefix="")
    assert await triples.service.replace(otto, MINE, "CORP", given)
    found = await triples.service.get(otto, MINE, "CORP")
    assert (found.server, found.names, found.reach) == ("s.test", NAMES[:3], Reach(2, 0))
    with pytest.raises(NotFound):
        await triples.service.replace(otto, MINE, "NONE", given)


async def test_an_organizations_stays_as_visible_as_it_is(triples: Triples) -> None:
    olga = triples.world.subject("olga")
    assert await triples.add("olga", ACME, Access(visibility=SecretVisibility.PRIVATE)) == "accepted"
    assert await triples.service.replace(olga, ACME, "CORP", triples.given(ACME))
    assert (await triples.service.get(olga, ACME, "CORP")).visibility is SecretVisibility.PRIVATE
    await triples.groups.set_visibility(olga, ACME, NAMES[:3], SecretVisibility.SELECTED)
    assert (await triples.service.get(olga, ACME, "CORP")).reach == Reach()
    await triples.groups.select(olga, ACME, NAMES[:3], triples.world.repositories["acme/web"])
    assert (await triples.service.get(olga, ACME, "CORP")).reach == Reach(1, 0)


@pytest.mark.parametrize("password_is", [SecretVisibility.SELECTED, SecretVisibility.PRIVATE])
async def test_attack_a_replaced_password_reaches_nobody_by_way_of_its_server(
    triples: Triples, password_is: SecretVisibility
) -> None:
    """Policy 4: the server's name may be for all, the password for few. Neither the password nor a token goes further."""
    olga, web = triples.world.subject("olga"), triples.world.repositories["acme/web"]
    assert await triples.add("olga", ACME, Access(visibility=SecretVisibility.ALL)) == "accepted"
    await triples.groups.set_visibility(olga, ACME, NAMES[2:3], password_is)
    if password_is is SecretVisibility.SELECTED:
        await triples.groups.select(olga, ACME, NAMES[2:3], web)
    assert await triples.service.replace(olga, ACME, "CORP", triples.given(ACME, session_token="s"))
    found, _total = await triples.world.service.list_names(olga, ACME, limit=9, offset=0)
    told = {each.name: each.visibility for each in found}
    assert told == dict.fromkeys(NAMES[:2], SecretVisibility.ALL) | dict.fromkeys(NAMES[2:], password_is)
    if password_is is SecretVisibility.SELECTED:
        for name in NAMES[2:]:
            chosen, _total = await triples.world.service.list_repositories(olga, ACME, name, limit=9, offset=0)
            assert [each.id for each in chosen] == [web], name


async def test_a_replaced_login_without_a_password_gets_one(triples: Triples) -> None:
    olga = triples.world.subject("olga")
    assert await triples.add("olga", ACME, Access(visibility=SecretVisibility.PRIVATE)) == "accepted"
    await triples.world.service.delete(olga, ACME, NAMES[2])
    assert await triples.service.replace(olga, ACME, "CORP", triples.given(ACME))
    found = await triples.service.get(olga, ACME, "CORP")
    assert (found.names, found.visibility) == (NAMES[:3], SecretVisibility.PRIVATE)


async def test_a_login_is_removed_whole(triples: Triples) -> None:
    otto = triples.world.subject("otto")
    await triples.add("otto", MINE, session_token="s")
    await triples.world.put("otto", MINE, "OTHER", "x")
    await triples.service.remove(otto, MINE, "corp")
    assert await triples.names("otto", MINE) == ["OTHER"]
    with pytest.raises(NotFound):
        await triples.service.remove(otto, MINE, "CORP")


async def test_what_is_told_of_each(triples: Triples) -> None:
    """C1, C2: each by itself; the same server twice; never a value."""
    otto = triples.world.subject("otto")
    await triples.add("otto", MINE, triples.ids("otto/own"))
    await triples.add("otto", MINE, prefix="OTHER")
    for name, value in (
        ("HALF_CONTAINER_REGISTRY_SERVER", "ghcr.io"),
        ("BAD_CONTAINER_REGISTRY_SERVER", f"https://u:{PASSWORD}@r.test"),
        ("AWS_CONTAINER_REGISTRY_SERVER", ECR),
        ("AWS_CONTAINER_REGISTRY_USER", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_CONTAINER_REGISTRY_PASSWORD", "k" * 40),
        ("PLAIN", "x"),
    ):
        await triples.world.put("otto", MINE, name, value)
    found, total = await triples.service.list_of(otto, MINE, limit=2, offset=0)
    assert ([each.source.prefix for each in found], total) == (["AWS", "BAD"], 5)
    found, _total = await triples.service.list_of(otto, MINE, limit=30, offset=0)
    told = {each.source.prefix: each for each in found}
    assert (told["AWS"].kind, told["AWS"].provider, told["AWS"].expires_at) == ("ecr", Provider.ECR, None)
    assert (told["BAD"].kind, told["BAD"].server, told["BAD"].provider) == (None, "", Provider.PLAIN)
    assert told["HALF"].incomplete
    assert told["HALF"].provider is Provider.GHCR
    assert (told["CORP"].kind, told["CORP"].rivals, told["CORP"].reach) == ("basic", ("OTHER",), Reach(1, 0))
    assert told["OTHER"].rivals == ("CORP",)
    assert PASSWORD not in repr(found)


async def test_a_part_of_a_login_is_counted_apart(triples: Triples) -> None:
    otto = triples.world.subject("otto")
    await triples.add("otto", MINE, triples.ids("otto/own", "acme/site"))
    await triples.groups.unselect(otto, MINE, NAMES[1:2], triples.world.repositories["otto/own"])
    assert (await triples.service.get(otto, MINE, "CORP")).reach == Reach(1, 1)
    both = {triples.world.repositories[name] for name in ("otto/own", "acme/site")}
    whole = await triples.groups.find_selected(otto, MINE, NAMES[:3], both)
    assert whole == {triples.world.repositories["acme/site"]}
    assert await triples.groups.find_selected(otto, MINE, NAMES, both) == set()
    assert await triples.groups.count_repositories(otto, MINE, []) == []


async def test_a13_repositories_that_one_cannot_see_any_more_are_not_counted(triples: Triples) -> None:
    wim = triples.world.subject("wim")
    await triples.add("wim", MINE, triples.ids("acme/web"))
    assert (await triples.service.get(wim, MINE, "CORP")).reach == Reach(1, 0)
    blind = replace(wim, scopes=frozenset())
    assert (await triples.service.get(blind, MINE, "CORP")).reach == Reach(0, 0)


async def test_what_is_stored_is_tried_again(triples: Triples) -> None:
    otto = triples.world.subject("otto")
    await triples.add("otto", MINE, session_token="s")
    assert (await triples.service.check(otto, MINE, "CORP")).outcome is LoginOutcome.ACCEPTED
    triples.registry.passwords["r.test"] = "another"
    assert (await triples.service.check(otto, MINE, "CORP")).outcome is LoginOutcome.REFUSED
    await triples.world.service.delete(otto, MINE, NAMES[2])
    with pytest.raises(Invalid, match="CORP_CONTAINER_REGISTRY_PASSWORD has no value"):
        await triples.service.check(otto, MINE, "CORP")
    with pytest.raises(NotFound):
        await triples.service.check(otto, MINE, "NONE")


async def test_who_only_lists_them_tries_none(triples: Triples) -> None:
    await triples.add("olga", WEB)
    wim = triples.world.subject("wim")
    assert (await triples.service.get(wim, WEB, "CORP")).server == "r.test"
    assert not await triples.groups.may_manage(wim, WEB)
    assert await triples.groups.may_manage(triples.world.subject("olga"), WEB)
    asked = len(triples.registry.asked)
    with pytest.raises(Denied):
        await triples.service.check(wim, WEB, "CORP")
    with pytest.raises(Denied):
        await triples.service.remove(wim, WEB, "CORP")
    assert len(triples.registry.asked) == asked

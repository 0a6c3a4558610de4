"""Secrets at the three levels, on both databases: who may, what a PUT does, and what a codespace gets (S1 to S6)."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, event, select, update
from tests.secret_world import ACME, MINE, WEB, SecretWorld, make_secret_world

from berth.adapters.sealer import HEADER_BYTES
from berth.adapters.store import collaborator as collaborator_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import secret as rows
from berth.adapters.store.database import Store
from berth.adapters.store.secret_tables import secrets
from berth.adapters.store.tables import accounts, audit_log, repositories, team_members
from berth.domain.problem import Conflict, Denied, Invalid, LimitReached, NotFound, Problem, UpstreamFailed
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.secret import MAX_VALUE_BYTES, SecretLevel, SecretVisibility
from berth.services.secret_access import SecretOwner, SecretPlace
from berth.services.secret_change import SecretChange
from berth.services.secret_selection import check_selection_size

ALL, PRIVATE, SELECTED = SecretVisibility
NOWHERE = SecretPlace(level=SecretLevel.ORGANIZATION, owner="nowhere")
GONE = SecretPlace(level=SecretLevel.REPOSITORY, owner="acme", repository="gone")
SITE = SecretPlace(level=SecretLevel.REPOSITORY, owner="acme", repository="site")


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> SecretWorld:
    return await make_secret_world(store, tmp_path)


@pytest.mark.parametrize(
    "login, place, may_list, may_put",
    [
        ("olga", MINE, None, None),
        ("olga", ACME, None, None),
        ("olga", WEB, None, None),
        ("wim", ACME, Denied, Denied),
        ("wim", WEB, None, Denied),
        ("mia", ACME, Denied, Denied),
        ("mia", WEB, Denied, Denied),
        ("rita", ACME, NotFound, NotFound),
        ("rita", WEB, Denied, Denied),
        ("otto", ACME, NotFound, NotFound),
        ("otto", WEB, NotFound, NotFound),
        ("otto", SITE, Denied, Denied),
        ("olga", GONE, NotFound, NotFound),
        ("olga", NOWHERE, NotFound, NotFound),
        ("olga", SecretPlace(level=SecretLevel.ORGANIZATION, owner="olga"), NotFound, NotFound),
    ],
    ids=lambda value: f"{value.level}:{value.owner}/{value.repository}" if isinstance(value, SecretPlace) else None,
)
async def test_who_may(
    world: SecretWorld,
    login: str,
    place: SecretPlace,
    may_list: type[Problem] | None,
    may_put: type[Problem] | None,
) -> None:
    subject = world.subject(login)

    async def outcome(call: Callable[[], object]) -> type[BaseException] | None:
        try:
            await call()  # type: ignore[misc]
        except Problem as problem:
            return type(problem)
        return None

    assert await outcome(lambda: world.service.list_names(subject, place, limit=30, offset=0)) is may_list
    assert await outcome(lambda: world.service.public_key(subject, place)) is may_list
    assert await outcome(lambda: world.put(login, place, "A", visibility=ALL)) is may_put
    assert await outcome(lambda: world.service.get(subject, place, "A")) is (may_list or (may_put and NotFound))
    assert await outcome(lambda: world.service.delete(subject, place, "A")) is may_put


@pytest.mark.parametrize("place", [MINE, ACME, WEB], ids=["user", "organization", "repository"])
async def test_a_codespaces_token_never_changes_secrets(world: SecretWorld, place: SecretPlace) -> None:
    await world.put("olga", place, "A", visibility=SELECTED)
    inside = world.subject("olga", codespace_of="acme/web")
    service = world.service
    for call in (
        service.put(inside, place, "A", world.sealed("olga", place, "planted")),
        service.delete(inside, place, "A"),
        service.set_repositories(inside, place, "A", ()),
        service.add_repository(inside, place, "A", world.repositories["acme/web"]),
        service.remove_repository(inside, place, "A", world.repositories["acme/web"]),
    ):
        with pytest.raises(Denied, match="token of a codespace or a workflow"):
            await call
    await service.delete(world.subject("olga"), place, "A")


@pytest.mark.parametrize("place", [MINE, ACME, WEB], ids=["user", "organization", "repository"])
async def test_a_workflows_token_neither_sees_nor_changes_secrets(world: SecretWorld, place: SecretPlace) -> None:
    await world.put("olga", place, "A", visibility=SELECTED)
    job, service = world.job("olga", "acme/web", contents="write", packages="write"), world.service
    for call in (
        service.list_names(job, place, limit=9, offset=0),
        service.get(job, place, "A"),
        service.public_key(job, place),
        service.put(job, place, "A", world.sealed("olga", place, "planted")),
        service.delete(job, place, "A"),
    ):
        with pytest.raises(Denied) as denied:
            await call
        assert denied.value.code == "secret.by_token"
    assert (await service.list_names(world.subject("olga"), place, limit=9, offset=0))[1] == 1


async def test_a_tokens_scopes_cap_the_role(world: SecretWorld) -> None:
    weak = world.subject("olga", scopes=frozenset({Scope.CODESPACE}))
    with pytest.raises(NotFound):
        await world.service.list_names(weak, WEB, limit=1, offset=0)
    with pytest.raises(Denied):
        await world.service.list_names(weak, SITE, limit=1, offset=0)
    key_id, box = world.seal("olga", MINE, "value")
    change = SecretChange(key_id=key_id, encrypted_value=box, repository_ids=(world.repositories["acme/web"],))
    with pytest.raises(Invalid):
        await world.service.put(weak, MINE, "A", change)
    assert await world.service.put(world.subject("olga"), MINE, "A", change)


def _sealed(world: SecretWorld, place: SecretPlace, value: str) -> dict[str, str]:
    key_id, box = world.seal("olga", place, value)
    return {"key_id": key_id, "encrypted_value": box}


async def test_create_update_list_delete(world: SecretWorld) -> None:
    olga = world.subject("olga")
    assert await world.put("olga", WEB, "token", "one")
    created = await world.service.get(olga, WEB, "Token")
    assert (created.name, created.visibility, created.updated_at) == ("TOKEN", None, created.created_at)
    assert not await world.put("olga", WEB, "TOKEN", "two")
    changed = await world.service.get(olga, WEB, "token")
    assert changed.created_at == created.created_at
    assert changed.updated_at > created.updated_at
    assert await world.put("olga", WEB, "ALPHA")
    found, total = await world.service.list_names(olga, WEB, limit=1, offset=1)
    assert ([secret.name for secret in found], total) == (["TOKEN"], 2)
    assert await world.opened("wim", "acme/web") == {("repository", "TOKEN"): "two", ("repository", "ALPHA"): "value"}
    await world.service.delete(olga, WEB, "token")
    for name in ("TOKEN", "no name", "ß"):
        with pytest.raises(NotFound):
            await world.service.get(olga, WEB, name)
        with pytest.raises(NotFound):
            await world.service.delete(olga, WEB, name)


async def test_one_name_at_three_levels_is_three_secrets(world: SecretWorld) -> None:
    for place in (MINE, WEB, ACME):
        assert await world.put("olga", place, "A", place.level, visibility=ALL, repositories=_web(place))
    assert await world.opened("olga", "acme/web") == {
        ("user", "A"): "user",
        ("repository", "A"): "repository",
        ("organization", "A"): "organization",
    }


def _web(place: SecretPlace) -> tuple[str, ...] | None:
    return ("acme/web",) if place is MINE else None


async def test_the_public_key_is_the_owners_whoever_asks(world: SecretWorld) -> None:
    """Whoever may list gets the key; it depends on whose secrets they are, not on who asks."""
    service = world.service
    keys = {
        (login, place): await service.public_key(world.subject(login), place)
        for login, place in (("olga", MINE), ("olga", ACME), ("olga", WEB), ("olga", SITE), ("wim", MINE), ("wim", WEB))
    }
    assert keys["olga", WEB] == keys["wim", WEB]
    assert len(set(keys.values())) == len(keys) - 1  # all others differ


@pytest.mark.parametrize(
    "place, change, kind, code",
    [
        (WEB, {}, Invalid, "secret.value_missing"),
        (MINE, {"repository_ids": ()}, Invalid, "secret.value_missing"),
        (WEB, {"encrypted_value": "AAAA"}, Invalid, "secret.key_unknown"),
        (WEB, {"encrypted_value": "AAAA", "key_id": "1"}, Invalid, "secret.key_unknown"),
        (ACME, {"visibility": None, "seal": "x"}, Invalid, "invalid"),
        (ACME, {"visibility": ALL, "seal": "x", "repository_ids": (1,)}, Invalid, "secret.selection"),
        (ACME, {"visibility": SELECTED, "seal": "x", "repository_ids": (999,)}, Invalid, "secret.repository_unknown"),
        (MINE, {"seal": "x", "repository_ids": (999,)}, Invalid, "secret.repository_unknown"),
        (MINE, {"seal": "x" * (MAX_VALUE_BYTES + 1)}, LimitReached, "secret.too_large"),
        (MINE, {"seal": "é" * (MAX_VALUE_BYTES // 2) + "x"}, LimitReached, "secret.too_large"),
        (MINE, {"seal": "a\0b"}, Invalid, "secret.value"),
    ],
    ids=[
        "repository without value", "user without value", "no key", "unknown key", "no visibility", "ids without selected",
        "organization unknown id", "user unknown id", "too large", "too many bytes", "nul",
    ],
)  # fmt: skip
async def test_a_put_that_is_refused_stores_nothing(
    world: SecretWorld, place: SecretPlace, change: dict[str, object], kind: type[Problem], code: str
) -> None:
    fields = dict(change)
    if "seal" in fields:
        fields |= _sealed(world, place, str(fields.pop("seal")))
    olga = world.subject("olga")
    with pytest.raises(kind) as caught:
        await world.service.put(olga, place, "A", SecretChange(**fields))  # type: ignore[arg-type]
    assert isinstance(caught.value, Problem)
    assert caught.value.code == code
    assert await world.service.list_names(olga, place, limit=1, offset=0) == ([], 0)


async def test_the_largest_value_fits_and_a_bad_name_is_refused(world: SecretWorld) -> None:
    assert await world.put("olga", WEB, "A", "x" * MAX_VALUE_BYTES)
    with pytest.raises(Invalid, match="GITHUB_"):
        await world.put("olga", WEB, "github_x")


async def test_an_update_keeps_what_it_does_not_say(world: SecretWorld) -> None:
    await world.put("wim", MINE, "A", "one", repositories=("acme/web", "acme/docs"))
    await world.put("wim", MINE, "A", "two")  # gh omits the selection on every update
    assert await world.opened("wim", "acme/web") == {("user", "A"): "two"}
    await world.put("wim", MINE, "A", None, repositories=("acme/docs",))
    assert await world.opened("wim", "acme/docs") == {("user", "A"): "two"}
    assert await world.opened("wim", "acme/web") == {}
    await world.put("wim", MINE, "A", None, repositories=())
    assert await world.opened("wim", "acme/docs") == {}


async def test_a_selection_that_ended_does_not_come_back(world: SecretWorld) -> None:
    await world.put("olga", ACME, "A", visibility=SELECTED, repositories=("acme/web",))
    await world.put("olga", ACME, "A", None, visibility=SELECTED)
    assert await world.opened("wim", "acme/web")
    await world.put("olga", ACME, "A", None, visibility=PRIVATE)
    await world.put("olga", ACME, "A", None, visibility=SELECTED)
    assert await world.opened("wim", "acme/web") == {}


@pytest.mark.parametrize("place", [MINE, ACME], ids=["user", "organization"])
async def test_selected_repositories(world: SecretWorld, place: SecretPlace) -> None:
    olga, service = world.subject("olga"), world.service
    await world.put("olga", place, "A", visibility=SELECTED, repositories=("acme/web",))
    before = await service.get(olga, place, "A")
    site, web, docs = (world.repositories[f"acme/{name}"] for name in ("site", "web", "docs"))
    await service.add_repository(olga, place, "a", site)
    await service.add_repository(olga, place, "A", site)
    found, total = await service.list_repositories(olga, place, "A", limit=1, offset=1)
    assert ([repository.id for repository in found], total) == ([site], 2)
    await service.set_repositories(olga, place, "A", (docs, docs))
    await service.add_repository(olga, place, "A", web)
    await service.remove_repository(olga, place, "A", docs)
    await service.remove_repository(olga, place, "A", 10**9)
    found, total = await service.list_repositories(olga, place, "A", limit=30, offset=0)
    assert ([repository.full_name for repository in found], total) == (["acme/web"], 1)
    assert await service.get(olga, place, "A") == before  # terraform takes a moved updated_at for interference


async def test_hidden_and_missing_repositories_are_the_same_answer(world: SecretWorld) -> None:
    await world.put("olga", MINE, "A")
    await world.put("olga", ACME, "A", visibility=SELECTED)
    olga, own = world.subject("olga"), world.repositories["otto/own"]
    for place in (MINE, ACME):
        answers = set()
        for repository_id in (own, 10**9, -1):
            with pytest.raises(Invalid) as added:
                await world.service.add_repository(olga, place, "A", repository_id)
            with pytest.raises(Invalid) as replaced:
                await world.service.set_repositories(olga, place, "A", (repository_id,))
            answers |= {(str(added.value), added.value.code), (str(replaced.value), replaced.value.code)}
        assert len(answers) == 1


async def test_a_repository_that_became_hidden_is_no_longer_listed(world: SecretWorld) -> None:
    await world.put("rita", MINE, "A", repositories=("acme/web", "acme/site"))
    async with world.store.begin() as connection:
        await collaborator_rows.remove_collaborator(connection, world.repositories["acme/web"], world.accounts["rita"])
    found, total = await world.service.list_repositories(world.subject("rita"), MINE, "A", limit=30, offset=0)
    assert ([repository.full_name for repository in found], total) == (["acme/site"], 1)


@pytest.mark.parametrize("visibility", [ALL, PRIVATE])
async def test_only_a_selected_secret_has_a_selection(world: SecretWorld, visibility: SecretVisibility) -> None:
    olga, web = world.subject("olga"), world.repositories["acme/web"]
    await world.put("olga", ACME, "A", visibility=visibility)
    for call in (
        world.service.set_repositories(olga, ACME, "A", (web,)),
        world.service.add_repository(olga, ACME, "A", web),
        world.service.remove_repository(olga, ACME, "A", web),
    ):
        with pytest.raises(Conflict):
            await call
    assert await world.service.list_repositories(olga, ACME, "A", limit=30, offset=0) == ([], 0)


def test_a_selection_has_a_most() -> None:
    check_selection_size(5000)
    with pytest.raises(LimitReached):
        check_selection_size(5001)


async def test_at_most_100_per_owner_even_when_created_at_once(world: SecretWorld) -> None:
    changes = [world.put("olga", WEB, f"S{number}") for number in range(110)]
    results = await asyncio.gather(*changes, return_exceptions=True)
    assert results.count(True) == 100
    assert sum(isinstance(result, LimitReached) for result in results) == 10
    assert not await world.put("olga", WEB, "S0" if results[0] is True else "S109")  # an update still works
    assert await world.put("olga", ACME, "S", visibility=ALL)  # another owner is not concerned


async def test_one_name_created_at_once_is_created_once(world: SecretWorld) -> None:
    results = await asyncio.gather(*(world.put("olga", WEB, "A", str(number)) for number in range(10)))
    assert sorted(results) == [False] * 9 + [True]


@pytest.mark.parametrize(
    "login, repository, expected",
    [
        ("wim", "acme/web", {"U", "R", "ALL", "PRIVATE", "SELECTED"}),
        ("wim", "acme/site", {"ALL"}),
        ("wim", "acme/docs", {"ALL", "PRIVATE"}),
        ("mia", "acme/web", None),
        ("rita", "acme/web", None),
        ("otto", "acme/site", None),
        ("otto", "acme/web", None),
        ("otto", "otto/own", set()),
        ("olga", "acme/web", {"R", "ALL", "PRIVATE", "SELECTED"}),
    ],
)
async def test_what_a_codespace_gets(
    world: SecretWorld, login: str, repository: str, expected: set[str] | None
) -> None:
    await world.put("wim", MINE, "U", repositories=("acme/web",))
    await world.put("wim", MINE, "NOWHERE")
    await world.put("olga", WEB, "R")
    for visibility in SecretVisibility:
        chosen = ("acme/web",) if visibility is SELECTED else None
        await world.put("olga", ACME, visibility, visibility=visibility, repositories=chosen)
    opened = await world.service.open_for_codespace(world.accounts[login], world.repositories[repository])
    assert bool(opened.withheld_reason) is (expected is None)
    assert {secret.name for secret in opened.secrets} == (expected or set())


async def test_an_owners_own_secrets_are_not_his_repositorys(world: SecretWorld) -> None:
    """Repositories of a user have no organization's secrets; their owner's reach only himself."""
    await world.put("otto", MINE, "A", repositories=("otto/own",))
    async with world.store.begin() as connection:
        await collaborator_rows.set_collaborator(
            connection, world.repositories["otto/own"], world.accounts["wim"], Role.PUSH
        )
    assert await world.opened("otto", "otto/own") == {("user", "A"): "value"}
    assert await world.opened("wim", "otto/own") == {}


async def test_a_repository_that_is_gone_gets_nothing_with_a_reason(world: SecretWorld) -> None:
    assert (await world.service.open_for_codespace(world.accounts["olga"], 10**9)).withheld_reason


async def test_opening_takes_the_same_number_of_queries_for_any_number_of_secrets(world: SecretWorld) -> None:
    statements: list[str] = []
    event.listen(
        world.store.engine.sync_engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    counts = []
    for number in range(0, 30, 10):
        for one in range(number, number + 10):
            await world.put("olga", WEB, f"S{one}")
        statements.clear()
        assert len(await world.opened("olga", "acme/web")) == number + 10
        counts.append(len([text for text in statements if text.lstrip().startswith("SELECT")]))
    assert counts == [3, 3, 3]


async def test_a_damaged_secret_fails_the_launch_by_name(world: SecretWorld) -> None:
    await world.put("olga", WEB, "GOOD")
    await world.put("olga", WEB, "BAD")
    async with world.store.begin() as connection:
        await connection.execute(update(secrets).where(secrets.c.name == "BAD").values(value=b"\x01damaged"))
    with pytest.raises(UpstreamFailed, match="repository secret BAD") as caught:
        await world.opened("olga", "acme/web")
    assert caught.value.code == "secret.undecryptable"
    report = await world.service.rewrap_all()
    assert report.rewrapped == 0
    assert len(report.failed) == 1
    assert "repository secret BAD" in report.failed[0]


async def test_a_row_moved_to_another_owner_or_name_does_not_open(world: SecretWorld) -> None:
    await world.put("wim", MINE, "A", "canary", repositories=("acme/web",))
    for change in ({"account_id": world.accounts["olga"]}, {"account_id": world.accounts["wim"], "name": "B"}):
        async with world.store.begin() as connection:
            await connection.execute(update(secrets).values(**change))
        login = "olga" if change["account_id"] == world.accounts["olga"] else "wim"
        with pytest.raises(UpstreamFailed, match="another owner or name"):
            await world.opened(login, "acme/web")


async def test_rotation_rewraps_every_row_and_can_be_run_again(world: SecretWorld) -> None:
    for number in range(3):
        await world.put("olga", WEB, f"S{number}", str(number))
    world.sealer.rotate()
    assert len(await world.service.value_headers(HEADER_BYTES)) == 1
    await world.put("olga", WEB, "S2", "2")
    assert len(await world.service.value_headers(HEADER_BYTES)) == 2
    before = await world.service.get(world.subject("olga"), WEB, "S0")
    report = await world.service.rewrap_all()
    assert (report.rewrapped, report.failed) == (2, ())
    assert (await world.service.rewrap_all()).rewrapped == 0
    assert len(await world.service.value_headers(HEADER_BYTES)) == 1
    assert await world.service.get(world.subject("olga"), WEB, "S0") == before
    assert sorted((await world.opened("olga", "acme/web")).values()) == ["0", "1", "2"]


async def test_rewrapping_reads_page_by_page(world: SecretWorld) -> None:
    await asyncio.gather(*(world.put("olga", WEB, f"S{number}") for number in range(99)))
    await asyncio.gather(*(world.put("wim", MINE, f"S{number}") for number in range(5)))
    world.sealer.rotate()
    assert (await world.service.rewrap_all()).rewrapped == 104


async def test_rewrapping_without_keys_stops(world: SecretWorld, tmp_path: Path) -> None:
    await world.put("olga", WEB, "A")
    (tmp_path / "master-key").unlink()
    with pytest.raises(UpstreamFailed, match="cannot be read"):
        await world.service.rewrap_all()


async def test_rewrapping_never_undoes_a_change_made_meanwhile(world: SecretWorld) -> None:
    await world.put("olga", WEB, "A", "old")
    async with world.store.begin() as connection:
        stale = (await rows.list_values(connection, after=0, limit=10))[0]
    await world.put("olga", WEB, "A", "new")
    async with world.store.begin() as connection:
        assert not await rows.replace_value(connection, stale.id, old=stale.value, new=b"stale")
    assert await world.opened("olga", "acme/web") == {("repository", "A"): "new"}


async def test_the_audit_log_names_and_never_tells(world: SecretWorld) -> None:
    olga = world.subject("olga")
    await world.put("olga", ACME, "A", "canary", visibility=SELECTED)
    await world.put("olga", ACME, "A", "canary", visibility=SELECTED)
    await world.service.add_repository(olga, ACME, "A", world.repositories["acme/web"])
    await world.service.set_repositories(olga, ACME, "A", ())
    await world.service.remove_repository(olga, ACME, "A", world.repositories["acme/web"])
    await world.service.delete(olga, ACME, "A")
    async with world.store.read() as connection:
        found = (await connection.execute(select(audit_log).order_by(audit_log.c.id))).all()
    verbs = [row.action.removeprefix("secret.") for row in found]
    assert verbs == ["create", "update", *["select_repositories"] * 3, "delete"]
    assert {(row.target, row.detail, row.account_id) for row in found} == {
        ("A", "organization acme", world.accounts["acme"])
    }


async def test_an_owner_that_is_gone_has_no_secrets(world: SecretWorld) -> None:
    subject = world.subject("mia")
    async with world.store.begin() as connection:
        await connection.execute(delete(team_members))
        await connection.execute(delete(accounts).where(accounts.c.login == "mia"))
    with pytest.raises(NotFound):
        await world.service.put(subject, MINE, "A", world.sealed("mia", MINE, "x"))


async def test_a_repository_deleted_between_check_and_insert_is_a_conflict(world: SecretWorld) -> None:
    await world.put("olga", MINE, "A")
    async with world.store.read() as connection:
        stored = await rows.find_secret(connection, SecretLevel.USER, world.accounts["olga"], "A")
    assert stored is not None
    with pytest.raises(Conflict, match="deleted meanwhile"):
        async with world.store.begin() as connection:
            await rows.add_to_selection(connection, stored.id, [10**9])


async def test_a_deleted_repository_leaves_selections_and_takes_its_secrets(world: SecretWorld) -> None:
    await world.put("olga", MINE, "A", repositories=("acme/web",))
    await world.put("olga", WEB, "B")
    async with world.store.begin() as connection:
        await connection.execute(delete(repositories).where(repositories.c.id == world.repositories["acme/web"]))
    assert await world.service.list_repositories(world.subject("olga"), MINE, "A", limit=9, offset=0) == ([], 0)
    assert len(await world.service.value_headers(HEADER_BYTES)) == 1


async def test_facts_of_many_are_the_facts_of_each(world: SecretWorld) -> None:
    ids = sorted(world.repositories.values())
    for account_id in world.accounts.values():
        async with world.store.read() as connection:
            many = await repository_rows.gather_facts_of_many(connection, account_id, [*ids, 10**9])
            each = [await repository_rows.gather_facts(connection, account_id, one) for one in ids]
        assert many == each


def test_a_context_tells_owners_levels_and_names_apart() -> None:
    contexts = {
        SecretOwner(level=level, id=owner_id, account_id=0, label="").context(name)
        for level in SecretLevel
        for owner_id in (1, 11)
        for name in ("A", "B")
    }
    assert len(contexts) == 12

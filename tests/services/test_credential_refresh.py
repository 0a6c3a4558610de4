"""C8: the credentials in a running codespace are fresh, whatever changes and whatever fails. On both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from tests.codespace_world import HOST, OWN_HOST, PASSWORD, TOKEN_LIFE_S, CodespaceWorld, make_codespace_world
from tests.fakes.engine import UNREACHABLE
from tests.secret_world import ACME, MINE, WEB

from berth.adapters.store import access_token as token_rows
from berth.adapters.store import account as account_rows
from berth.adapters.store import codespace_access as access_rows
from berth.adapters.store import collaborator as collaborator_rows
from berth.adapters.store import credential_refresh as refresh_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import team as team_rows
from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.adapters.store.tables import access_tokens, codespaces
from berth.adapters.store.tables import credential_refreshes as table
from berth.domain.account import OrganizationRole
from berth.domain.codespace import Codespace, Rebuild
from berth.domain.credential_refresh import GRACE
from berth.domain.lifecycle import Desired, Phase, State
from berth.domain.problem import UpstreamFailed
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.secret import SecretVisibility
from berth.services.codespace_install import LOOKS
from berth.services.reconcile import Claim, Reconciler

HALF = timedelta(seconds=TOKEN_LIFE_S / 2)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    made = await make_codespace_world(store, tmp_path)
    await made.give_triple()
    made.secrets.clock.step = timedelta(0)
    return made


async def due_in_s(world: CodespaceWorld) -> float | None:
    async with world.store.read() as connection:
        return await work.next_due_in_s(connection, table)


async def is_due(world: CodespaceWorld) -> bool:
    due = await due_in_s(world)
    return due is not None and due <= 0


async def claim(world: CodespaceWorld, *, due: bool = False) -> Claim:
    """Take the only row; whenever it is due, unless `due`."""
    async with world.store.begin() as connection:
        if not due:
            await connection.execute(update(table).values(next_at=0.0))
        await connection.execute(update(table).values(lease=None))
        (row,) = await work.claim(connection, table, holder="test", lease_s=60, limit=2)
    return Claim(world.store, table, row)


async def run(world: CodespaceWorld, taken: Claim) -> None:
    await Reconciler(world.store, world.refresher, holder="test")._step(taken)


async def refresh(world: CodespaceWorld) -> None:
    """What the loop does with the row when it is due."""
    await run(world, await claim(world))


async def logins(world: CodespaceWorld, codespace: Codespace) -> dict[str, str]:
    return (await world.files(codespace.name)).logins


async def count_tokens(world: CodespaceWorld) -> int:
    async with world.store.read() as connection:
        wanted = select(func.count()).where(access_tokens.c.codespace_id.is_not(None))
        return int((await connection.execute(wanted)).scalar_one())


async def refreshes(world: CodespaceWorld, name: str) -> list[str]:
    return [entry.text for entry in await world.log(name) if "refreshed" in entry.text or "fresh again" in entry.text]


# -- the token


async def test_a_launch_says_when_to_look_again(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    assert files.logins == {HOST: f"robot:{PASSWORD}", OWN_HOST: f"olga:{files.token}"}
    assert files.token == world.engine.environments[-1]["GITHUB_TOKEN"]
    due = await due_in_s(world)
    assert due is not None
    assert TOKEN_LIFE_S * 0.44 < due <= TOKEN_LIFE_S / 2
    assert await count_tokens(world) == 1, "that of the image is void"


async def test_after_half_of_its_life_there_is_another_token(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    first = files.token
    world.secrets.clock.time += HALF
    await refresh(world)
    second = files.token
    assert second != first
    assert files.logins == {HOST: f"robot:{PASSWORD}", OWN_HOST: f"olga:{second}"}
    assert await world.is_valid(first), "a pull that runs goes on"
    world.secrets.clock.time += GRACE
    assert not await world.is_valid(first)
    assert await world.is_valid(second)
    world.secrets.clock.time += HALF
    await refresh(world)
    assert await world.is_valid(second)
    assert await world.is_valid(files.token)
    assert await count_tokens(world) == 2
    assert await refreshes(world, launched.name) == [], "there is nothing to say"


async def test_a_token_that_is_not_renewed_expires(world: CodespaceWorld) -> None:
    launched = await world.launch()
    token = (await world.files(launched.name)).token
    world.secrets.clock.time += timedelta(seconds=TOKEN_LIFE_S - 1)
    assert await world.is_valid(token)
    world.secrets.clock.time += timedelta(seconds=1)
    assert not await world.is_valid(token)


async def test_policy_4_a_change_leaves_a_young_token_alone(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    token = files.token
    for password in ("one", "two", "three"):
        await world.give_triple(password)
        await refresh(world)
        assert files.logins == {HOST: f"robot:{password}", OWN_HOST: f"olga:{token}"}
    assert (files.token, await count_tokens(world)) == (token, 1)


@pytest.mark.parametrize("shown", ["", "ghu_rubbish", "another's"])
async def test_a_token_file_that_was_tampered_with_is_replaced(world: CodespaceWorld, shown: str) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    first = files.token
    other = await world.tokens.issue_for_codespace(launched.owner_id, (await world.launch()).id)
    async with world.store.begin() as connection:
        await connection.execute(update(table).values(next_at=None))
        await connection.execute(update(table).where(table.c.codespace_id == launched.id).values(next_at=0.0))
    (files.run_folder / "fresh" / "token").write_text(other.reveal() if shown == "another's" else shown)
    await run(world, await claim(world, due=True))
    assert files.token not in {first, shown, other.reveal()}
    assert files.logins[OWN_HOST] == f"olga:{files.token}"
    assert await world.is_valid(first), "it may be in use"
    assert await world.is_valid(other.reveal()), "that is not this codespace's to end"


async def test_one_whose_token_is_gone_gets_another(world: CodespaceWorld) -> None:
    launched = await world.launch()
    async with world.store.begin() as connection:
        await token_rows.revoke_codespace_tokens(connection, launched.id)
    await refresh(world)
    assert await world.is_valid((await world.files(launched.name)).token)


@pytest.mark.parametrize("end", ["stop", "delete", "rebuild"])
async def test_all_of_them_end_with_what_ends(world: CodespaceWorld, end: str) -> None:
    launched = await world.launch()
    files, olga = await world.files(launched.name), world.secrets.subject("olga")
    tokens = [files.token]
    world.secrets.clock.time += HALF
    await refresh(world)
    tokens.append(files.token)
    if end == "rebuild":
        await world.service.rebuild(olga, launched.name, Rebuild.CACHED)
    else:
        await (world.service.stop if end == "stop" else world.service.delete)(olga, launched.name)
    await world.run(await world.claim(launched.name))
    assert [await world.is_valid(token) for token in tokens] == [False, False]


# -- what changes


async def test_a_triple_that_is_set_changed_and_deleted_comes_without_a_restart(world: CodespaceWorld) -> None:
    launched = await world.launch()
    own = (await logins(world, launched))[OWN_HOST]
    for part, value in (("SERVER", "quay.io"), ("USER", "me"), ("PASSWORD", "first")):
        assert not await is_due(world) or part != "SERVER"
        await world.secrets.put("olga", MINE, f"Q_CONTAINER_REGISTRY_{part}", value, repositories=("acme/web",))
        assert await is_due(world)
    await run(world, await claim(world, due=True))
    assert not await is_due(world)
    assert await logins(world, launched) == {HOST: f"robot:{PASSWORD}", OWN_HOST: own, "quay.io": "me:first"}
    await world.secrets.put("olga", MINE, "Q_CONTAINER_REGISTRY_PASSWORD", "second")
    await run(world, await claim(world, due=True))
    assert (await logins(world, launched))["quay.io"] == "me:second"
    await world.secrets.service.delete(world.secrets.subject("olga"), MINE, "q_container_registry_user")
    await run(world, await claim(world, due=True))
    assert await logins(world, launched) == {HOST: f"robot:{PASSWORD}", OWN_HOST: own}
    assert "Q_CONTAINER" not in str(world.engine.environments), "S8 variables wait for the next start"


async def test_s8_another_secret_waits_for_the_next_start(world: CodespaceWorld) -> None:
    await world.launch()
    await world.secrets.put("olga", WEB, "OTHER", "x")
    await world.secrets.service.delete(world.secrets.subject("olga"), WEB, "OTHER")
    assert not await is_due(world)


Change = Callable[[CodespaceWorld], Awaitable[object]]


async def _select(world: CodespaceWorld, *names: str) -> None:
    ids = [world.secrets.repositories[name] for name in names]
    await world.secrets.service.set_repositories(world.secrets.subject("wim"), MINE, "W_CONTAINER_REGISTRY_USER", ids)


def _stored(write: Callable[[Any, dict[str, int], dict[str, int]], Awaitable[object]]) -> Change:
    async def change(world: CodespaceWorld) -> None:
        async with world.store.begin() as connection:
            await write(connection, world.secrets.accounts, world.secrets.repositories)

    return change


async def _team_id(connection: Any, accounts: dict[str, int]) -> int:
    found = await team_rows.find_team(connection, accounts["acme"], "writers")
    assert found is not None
    return found.id


async def _leave_team(connection: Any, accounts: dict[str, int], _repositories: dict[str, int]) -> None:
    await team_rows.remove_team_member(connection, await _team_id(connection, accounts), accounts["wim"])


async def _delete_team(connection: Any, accounts: dict[str, int], _repositories: dict[str, int]) -> None:
    await team_rows.delete_team(connection, await _team_id(connection, accounts))


async def _lower_team(connection: Any, accounts: dict[str, int], repositories: dict[str, int]) -> None:
    team_id = await _team_id(connection, accounts)
    await team_rows.set_team_repository(connection, team_id, repositories["acme/web"], Role.PULL)


WITHDRAWN: dict[str, Change] = {
    "S3 the selection of the secret": lambda world: _select(world, "acme/docs"),
    "S6 he leaves the team that may write": _stored(_leave_team),
    "S6 the team goes": _stored(_delete_team),
    "S6 the team may only read": _stored(_lower_team),
    "S6 he leaves the organization": _stored(
        lambda connection, accounts, _: account_rows.remove_membership(connection, accounts["acme"], accounts["wim"])
    ),
    "S6 the organization lets nobody have codespaces": _stored(
        lambda connection, accounts, _: access_rows.set_visibility(connection, accounts["acme"], "disabled")
    ),
}


@pytest.mark.parametrize("change", WITHDRAWN.values(), ids=WITHDRAWN.keys())
async def test_what_he_may_not_have_any_more_is_withdrawn(world: CodespaceWorld, change: Change) -> None:
    for part, value in (("SERVER", "quay.io"), ("USER", "wim"), ("PASSWORD", "mine")):
        await world.secrets.put("wim", MINE, f"W_CONTAINER_REGISTRY_{part}", value, repositories=("acme/web",))
    launched = await world.launch("wim")
    assert {HOST, "quay.io", OWN_HOST} == (await logins(world, launched)).keys(), "the positive control"
    await change(world)
    assert await is_due(world)
    await run(world, await claim(world, due=True))
    left = await logins(world, launched)
    assert "quay.io" not in left
    assert OWN_HOST in left, "what this opens is decided at the registry"


ASKED: dict[str, Change] = {
    "a role by name": _stored(
        lambda connection, accounts, repositories: collaborator_rows.set_collaborator(
            connection, repositories["acme/web"], accounts["otto"], Role.PUSH
        )
    ),
    "membership": _stored(
        lambda connection, accounts, _: account_rows.set_membership(
            connection, accounts["acme"], accounts["olga"], OrganizationRole.ADMIN
        )
    ),
    "visibility": _stored(
        lambda connection, _, repositories: repository_rows.update_repository(
            connection, repositories["acme/web"], {"visibility": Visibility.PUBLIC}
        )
    ),
    "A12 another owner": _stored(
        lambda connection, accounts, repositories: repository_rows.update_repository(
            connection, repositories["acme/web"], {"owner_id": accounts["otto"]}
        )
    ),
    "the list of who may have codespaces": _stored(
        lambda connection, accounts, _: access_rows.add_users(connection, accounts["acme"], [accounts["olga"]])
    ),
    "an organization's secret": lambda world: world.give_triple("another"),
    "a repository's secret": lambda world: world.secrets.put("olga", WEB, "X_CONTAINER_REGISTRY_USER", "x"),
}
UNASKED: dict[str, Change] = {
    "another repository's visibility": _stored(
        lambda connection, _, repositories: repository_rows.update_repository(
            connection, repositories["acme/site"], {"visibility": Visibility.PRIVATE}
        )
    ),
    "a description": _stored(
        lambda connection, _, repositories: repository_rows.update_repository(
            connection, repositories["acme/web"], {"description": "x"}
        )
    ),
    "another user's secret": lambda world: world.secrets.put(
        "wim", MINE, "X_CONTAINER_REGISTRY_USER", "x", repositories=("acme/web",)
    ),
    "another's membership": _stored(
        lambda connection, accounts, _: account_rows.set_membership(
            connection, accounts["acme"], accounts["mia"], OrganizationRole.MEMBER
        )
    ),
}


@pytest.mark.parametrize("change", ASKED.values(), ids=ASKED.keys())
async def test_whoever_writes_what_concerns_it_asks(world: CodespaceWorld, change: Change) -> None:
    await world.launch()
    await change(world)
    assert await is_due(world)


@pytest.mark.parametrize("change", UNASKED.values(), ids=UNASKED.keys())
async def test_and_nobody_else_does(world: CodespaceWorld, change: Change) -> None:
    await world.launch()
    await change(world)
    assert not await is_due(world)


async def test_a_change_that_was_rolled_back_asks_for_nothing(world: CodespaceWorld) -> None:
    await world.launch()

    async def fail() -> None:
        async with world.store.begin() as connection:
            await refresh_rows.ask_for_user(connection, world.secrets.accounts["olga"])
            raise UpstreamFailed("no", code="store.unavailable")

    with pytest.raises(UpstreamFailed):
        await fail()
    assert not await is_due(world)


async def test_a_change_while_it_is_written_is_seen_by_the_next_look(world: CodespaceWorld) -> None:
    launched = await world.launch()

    async def change() -> None:
        world.engine.on_write = None
        await world.give_triple("newer")

    world.engine.on_write = change
    await refresh(world)
    assert (await logins(world, launched))[HOST] == f"robot:{PASSWORD}"
    assert await is_due(world)
    await run(world, await claim(world, due=True))
    assert (await logins(world, launched))[HOST] == "robot:newer"


async def test_a_change_during_a_launch_comes_when_that_is_done(world: CodespaceWorld) -> None:
    name = await world.create()
    changed = asyncio.Event()

    async def change() -> None:
        world.engine.on_write = None
        await world.give_triple("newer")
        await run(world, await claim(world, due=True))  # it is not there yet: looked at again soon
        changed.set()

    world.engine.on_write = change
    launched = await world.step(name)
    assert changed.is_set()
    assert (await logins(world, launched))[HOST] == f"robot:{PASSWORD}"
    due = await due_in_s(world)
    assert due is not None
    assert due <= 2
    await refresh(world)
    assert (await logins(world, launched))[HOST] == "robot:newer"


# -- what the user made


async def test_his_own_logins_survive_refresh_stop_and_start(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files, olga = await world.files(launched.name), world.secrets.subject("olga")
    files.config_file.resolve().write_text(files.config_file.read_text().replace('"auths": {', (
        '"HttpHeaders": {"X": "1"}, "auths": {"his.example": {"auth": "bWU6bWluZQ=="},'
    )))  # fmt: skip
    await world.give_triple("second")
    await refresh(world)
    assert files.logins[HOST] == "robot:second"
    assert files.logins["his.example"] == "me:mine"
    await world.service.stop(olga, launched.name)
    assert (await world.step(launched.name)).state is State.SHUTDOWN
    assert not files.config_file.exists()
    await world.service.start(olga, launched.name)
    assert (await world.step(launched.name)).state is State.AVAILABLE
    assert files.logins["his.example"] == "me:mine"
    assert files.logins[OWN_HOST] == f"olga:{files.token}"
    assert files.config["HttpHeaders"] == {"X": "1"}


async def test_a_file_that_cannot_be_understood_is_reported_once(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    files.config_file.resolve().write_text("{")
    for _ in range(3):
        await refresh(world)
    assert files.config_file.read_text() == "{"
    assert (await world.log_text(launched.name)).count("left alone") == 1
    files.config_file.resolve().write_text("{}")
    await refresh(world)
    files.config_file.resolve().write_text("{")
    await refresh(world)
    assert (await world.log_text(launched.name)).count("left alone") == 2, "it is another time"


async def test_a_stop_is_not_held_up_by_what_cannot_be_saved(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    world.engine.faults["execute"] = UNREACHABLE
    assert (await world.step(launched.name)).state is State.SHUTDOWN


async def test_one_that_he_broke_is_not_saved(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    files.config_file.resolve().write_text("{")
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    assert (await world.step(launched.name)).state is State.SHUTDOWN
    assert not (files.home / ".docker-own.json").exists()


async def test_a_file_that_changes_all_the_time(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    changes = 0

    async def change() -> None:
        nonlocal changes
        changes += 1
        files.config_file.resolve().write_text(f'{{"n": {changes}}}')

    world.engine.on_write = change
    await refresh(world)
    assert changes == LOOKS
    (told,) = await refreshes(world, launched.name)
    assert "changes all the time" in told


@pytest.mark.parametrize(("times", "state"), [(1, State.AVAILABLE), (LOOKS, State.PROVISIONING)])
async def test_a_launch_looks_again_and_not_for_ever(world: CodespaceWorld, times: int, state: State) -> None:
    name = await world.create()
    changes = 0

    async def change() -> None:
        nonlocal changes
        if changes < times:
            changes += 1
            (container_id,) = world.engine.containers
            config = world.engine.files(container_id).run_folder / "docker" / "config.json"
            config.write_text(f'{{"n": {changes}}}')

    world.engine.on_write = change
    assert (await world.step(name)).state is state
    assert changes == times
    assert ("changes all the time" in await world.log_text(name)) is (times == LOOKS)


async def test_a_change_at_the_same_moment_costs_one_more_look(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)

    async def change() -> None:
        world.engine.on_write = None
        files.config_file.resolve().write_text('{"mine": 1}')

    world.engine.on_write = change
    world.secrets.clock.time += HALF
    await refresh(world)
    assert files.config["mine"] == 1
    assert files.logins[OWN_HOST] == f"olga:{files.token}"
    assert await world.is_valid(files.token)
    assert await count_tokens(world) == 2


# -- what fails


async def test_an_engine_that_is_down_is_said_once_and_the_old_ones_stay(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    token = files.token
    world.secrets.clock.time += HALF
    world.engine.down = True
    for attempt in range(4):
        await run(world, await claim(world))
        due = await due_in_s(world)
        assert due is not None
        assert 0 < due <= 2 ** (attempt + 1)
    assert files.token == token
    assert await world.is_valid(token)
    (told,) = await refreshes(world, launched.name)
    assert told == (
        "The registry credentials could not be refreshed: The container engine does not answer. The old ones stay; Berth "
        "tries again."
    )
    world.engine.down = False
    await refresh(world)
    assert files.token != token
    assert (await refreshes(world, launched.name))[1:] == ["The registry credentials are fresh again."]
    await refresh(world)
    assert len(await refreshes(world, launched.name)) == 2


async def test_a_script_that_fails(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    token = files.token
    world.secrets.clock.time += HALF
    (files.run_folder / "docker").rename(files.run_folder / "away")
    await refresh(world)
    (told,) = await refreshes(world, launched.name)
    assert "The registry credentials could not be written" in told
    assert PASSWORD not in told
    assert await world.is_valid(token)


async def test_a_container_without_a_shell(world: CodespaceWorld) -> None:
    launched = await world.launch()
    world.engine.shell = ("false",)
    await refresh(world)
    (told,) = await refreshes(world, launched.name)
    assert "could not be read." in told


async def test_a_secret_that_does_not_open_withdraws_nothing(world: CodespaceWorld) -> None:
    launched = await world.launch()
    before = await logins(world, launched)

    def broken(*_: object, **__: object) -> None:
        raise UpstreamFailed("It does not open.", code="secret.undecryptable")

    sealer = world.secrets.service._sealer
    world.secrets.service._sealer = type("Broken", (), {"decrypt": broken})()
    await refresh(world)
    assert await logins(world, launched) == before, "C11: failed is not none"
    world.secrets.service._sealer = sealer
    await refresh(world)
    assert len(await refreshes(world, launched.name)) == 2


async def test_a_bug_is_not_told_in_its_own_words(world: CodespaceWorld) -> None:
    launched = await world.launch()
    world.engine.faults["execute"] = KeyError("a detail of ours")
    await refresh(world)
    (told,) = await refreshes(world, launched.name)
    assert "Berth itself failed" in told
    assert "detail" not in told


async def test_one_that_takes_too_long_gives_way(world: CodespaceWorld) -> None:
    launched = await world.launch()
    world.refresher._timeout_s = 0.05

    async def hang() -> None:
        await asyncio.sleep(10)

    world.engine.on_write = hang
    await refresh(world)
    assert len(await refreshes(world, launched.name)) == 1


async def test_a_container_that_does_not_answer_gives_way(world: CodespaceWorld) -> None:
    name = await world.create()
    world.launcher._installer._timeout_s = 0.2

    async def hang() -> None:
        await asyncio.sleep(10)

    world.engine.on_write = hang
    failed = await world.step(name)
    assert failed.state is not State.AVAILABLE
    assert "does not answer in time" in await world.log_text(name)


# -- what comes at the same time


async def test_another_server_goes_on_where_one_was_killed(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    first = files.token
    world.secrets.clock.time += HALF
    killed = await claim(world)
    reached = asyncio.Event()

    async def die() -> None:
        world.engine.on_write = None
        reached.set()
        await asyncio.sleep(60)

    world.engine.on_write = die
    step = asyncio.create_task(world.refresher.act(killed))
    await reached.wait()
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)  # nothing is given back: the power went
    assert files.token == first
    assert await world.is_valid(first)
    await refresh(world)
    assert files.token != first
    assert await world.is_valid(files.token)
    assert await count_tokens(world) == 2, "what was issued and never arrived is void"


async def test_two_loops_make_one_refresh(world: CodespaceWorld) -> None:
    launched = await world.launch()
    loops = [Reconciler(world.store, world.refresher, holder=f"server-{number}") for number in range(2)]
    written = len(world.engine.written)
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    await asyncio.sleep(0.1)
    await world.give_triple("both")
    async with asyncio.timeout(20):
        while (await logins(world, launched))[HOST] != "robot:both" or any(loop.running for loop in loops):
            for loop in loops:
                loop.wake()
            await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert 1 <= len(world.engine.written) - written <= 3, "one for each of the triple's parts at most"


async def test_whoever_lost_the_claim_issues_no_token(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    world.secrets.clock.time += HALF
    late = await claim(world)
    await refresh(world)
    token = files.token
    await run(world, late)
    assert files.token == token
    assert await world.is_valid(token)


@pytest.mark.parametrize("end", ["stop", "rebuild", "delete"])
async def test_what_is_asked_of_the_codespace_meanwhile_wins(world: CodespaceWorld, end: str) -> None:
    launched = await world.launch()
    olga = world.secrets.subject("olga")
    world.secrets.clock.time += HALF

    async def ask() -> None:
        world.engine.on_look = None
        if end == "rebuild":
            await world.service.rebuild(olga, launched.name, Rebuild.CACHED)
        else:
            await (world.service.stop if end == "stop" else world.service.delete)(olga, launched.name)

    world.engine.on_look = ask
    tokens, written = await count_tokens(world), len(world.engine.written)
    await refresh(world)
    assert (await count_tokens(world), len(world.engine.written)) == (tokens, written)
    await run(world, await claim(world))
    assert len(world.engine.written) == written
    assert (await due_in_s(world) is None) is (end != "rebuild")


async def test_one_that_was_stopped_while_it_was_written_is_no_failure(world: CodespaceWorld) -> None:
    launched = await world.launch()

    async def stop() -> None:
        world.engine.on_write = None
        await world.service.stop(world.secrets.subject("olga"), launched.name)
        await world.run(await world.claim(launched.name))
        raise UpstreamFailed("The container is not running.", code="container.not_running")

    world.engine.on_write = stop
    await refresh(world)
    assert await refreshes(world, launched.name) == []
    assert await count_tokens(world) == 0
    assert await due_in_s(world) is None


async def test_a_start_cuts_off_a_late_refresh(world: CodespaceWorld) -> None:
    launched = await world.launch()
    late = await claim(world)
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    await world.step(launched.name)
    await world.service.start(world.secrets.subject("olga"), launched.name)
    await world.step(launched.name)
    token = (await world.files(launched.name)).token
    world.secrets.clock.time += HALF
    await run(world, late)
    assert (await world.files(launched.name)).token == token
    assert await world.is_valid(token)


async def test_one_that_does_not_run_is_not_touched(world: CodespaceWorld) -> None:
    launched = await world.launch()
    await world.service.stop(world.secrets.subject("olga"), launched.name)
    await world.step(launched.name)
    await refresh(world)
    assert await due_in_s(world) is None
    await world.give_triple("newer")
    assert await due_in_s(world) is None, "S8 its start brings it"
    assert await count_tokens(world) == 0


async def test_s6_a_strangers_code_gets_nothing_at_any_time(world: CodespaceWorld) -> None:
    launched = await world.launch()
    files = await world.files(launched.name)
    before = files.config
    async with world.store.begin() as connection:
        await connection.execute(update(codespaces).values(from_fork=True))
    await world.give_triple("newer")
    await refresh(world)
    assert files.config == before
    assert await due_in_s(world) is None


async def test_s6_nor_is_it_ever_enrolled(world: CodespaceWorld) -> None:
    name = await world.create()
    world.registry.passwords = {f"{HOST}/team/dev": None}
    async with world.store.begin() as connection:
        await connection.execute(update(codespaces).values(from_fork=True))
    await world.give_triple()
    launched = await world.step(name)
    assert launched.phase in {Phase.AVAILABLE, Phase.FAILED}
    async with world.store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 0


async def test_what_is_deleted_takes_its_row_along(world: CodespaceWorld) -> None:
    launched = await world.launch()
    late = await claim(world)
    await world.service.delete(world.secrets.subject("olga"), launched.name)
    await world.run(await world.claim(launched.name))
    await run(world, late)
    async with world.store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 0


async def test_two_servers_enrol_one_codespace(world: CodespaceWorld) -> None:
    name = await world.create()
    codespace = await world.get(name)

    async def enrol() -> None:
        async with world.store.begin() as connection:
            await refresh_rows.enrol(connection, codespace.id, 60.0)

    await asyncio.gather(enrol(), enrol(), enrol())
    due = await due_in_s(world)
    assert due is not None
    assert 50 < due <= 60


async def test_an_organizations_secret_is_for_all_that_run(world: CodespaceWorld) -> None:
    names = [(await world.launch("olga")).name, (await world.launch("wim")).name]
    await world.secrets.put("olga", ACME, "CORP_CONTAINER_REGISTRY_PASSWORD", "all", visibility=SecretVisibility.ALL)
    for _ in names:
        await run(world, await _claim_one(world))
    for name in names:
        assert (await world.files(name)).logins[HOST] == "robot:all"


async def _claim_one(world: CodespaceWorld) -> Claim:
    async with world.store.begin() as connection:
        (row,) = await work.claim(connection, table, holder="test", lease_s=60, limit=1)
    return Claim(world.store, table, row)


async def test_a_row_of_no_codespace_is_nothing_to_do(world: CodespaceWorld) -> None:
    await world.launch()
    taken = await claim(world)
    async with world.store.begin() as connection:
        await connection.execute(update(codespaces).values(repository_id=None, desired=Desired.RUNNING))
    await run(world, taken)
    assert await due_in_s(world) is None

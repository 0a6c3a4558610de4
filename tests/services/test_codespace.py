"""What people may do with codespaces, and what their log says to who follows it. On both databases."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from tests.codespace_world import LIMIT, CodespaceWorld, make_codespace_world

from berth.adapters.store import codespace as rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import accounts, audit_log, repositories
from berth.adapters.store.tables import codespaces as table
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.codespace import LogEntry
from berth.domain.lifecycle import Desired, Phase, State
from berth.domain.problem import Conflict, Denied, Invalid, LimitReached, NotFound
from berth.domain.scope import Scope
from berth.services.codespace_request import CodespaceRequest
from berth.services.ports import ExecResult


@pytest.fixture
async def codespaces(store: Store, tmp_path: Path) -> CodespaceWorld:
    return await make_codespace_world(store, tmp_path)


@pytest.fixture
async def world(codespaces: CodespaceWorld) -> CodespaceWorld:
    await codespaces.give_triple()
    return codespaces


@pytest.fixture
def olga(world: CodespaceWorld) -> Subject:
    return world.secrets.subject("olga")


async def follow(world: CodespaceWorld, subject: Subject, name: str, after: int = 0) -> list[LogEntry]:
    async with asyncio.timeout(20):
        return [entry async for entry in world.service.follow_log(subject, name, after=after)]


async def set_row(world: CodespaceWorld, name: str, **values: object) -> None:
    async with world.store.begin() as connection:
        await connection.execute(update(table).where(table.c.name == name).values(**values))


async def test_a_creation_is_stored_audited_and_the_loop_is_woken(world: CodespaceWorld, olga: Subject) -> None:
    view = await world.service.create(
        olga, await world.repository("acme/web"), CodespaceRequest(ref="refs/heads/main", display_name=" mine ")
    )
    codespace = view.codespace
    assert (codespace.state, codespace.ref, codespace.display_name) == (State.QUEUED, "main", "mine")
    assert (codespace.idle_timeout_minutes, codespace.retention_period_minutes) == (30, 60)
    assert (view.owner.login, view.repository.full_name) == ("olga", "acme/web")
    assert world.woken
    async with world.store.read() as connection:
        statement = select(audit_log.c.target).where(audit_log.c.action == "codespace.create")
        assert list((await connection.execute(statement)).scalars()) == [codespace.name]


async def test_what_was_left_open_is_chosen(world: CodespaceWorld) -> None:
    codespace = await world.get(await world.create(ref="", display_name="", machine="", devcontainer_path=""))
    assert codespace.ref == "main"
    assert len(codespace.display_name.split()) == 2
    assert codespace.devcontainer_path is None


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"ref": "nowhere"}, "codespace.ref_unknown"),
        ({"ref": "--upload-pack=x"}, "codespace.ref_unknown"),
        ({"machine": "hugeLinux"}, "codespace.machine"),
        ({"display_name": "x" * 49}, "codespace.display_name"),
        ({"display_name": "a\0b"}, "codespace.display_name"),
        ({"devcontainer_path": "a\0b"}, "codespace.devcontainer_path"),
        ({"devcontainer_path": "a/" * 600}, "codespace.devcontainer_path"),
        ({"idle_timeout_minutes": 4}, "codespace.minutes"),
        ({"retention_period_minutes": 43201}, "codespace.minutes"),
        ({"retention_period_minutes": 10**30}, "codespace.minutes"),
    ],
)
async def test_what_a_creation_refuses(world: CodespaceWorld, wanted: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        await world.create(**wanted)
    assert refused.value.code == code
    assert refused.value.field in wanted


async def test_the_limit_holds_and_what_is_deleted_does_not_count(world: CodespaceWorld, olga: Subject) -> None:
    names = [await world.create() for _ in range(LIMIT)]
    with pytest.raises(LimitReached) as refused:
        await world.create()
    assert refused.value.code == "codespace.limit"
    await world.create("wim")
    await world.service.delete(olga, names[0])
    await world.create()


async def test_the_limit_holds_for_creations_at_the_same_time(world: CodespaceWorld) -> None:
    made = await asyncio.gather(*(world.create() for _ in range(LIMIT * 3)), return_exceptions=True)
    assert len([one for one in made if isinstance(one, str)]) == LIMIT
    assert {type(one) for one in made} == {str, LimitReached}
    async with world.store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == LIMIT


async def test_a_codespaces_token_makes_none_and_rules_its_own_only(world: CodespaceWorld, olga: Subject) -> None:
    one, other = (await world.launch()), (await world.launch())
    inside = replace(world.secrets.subject("olga", codespace_of="acme/web"), codespace_id=one.id)
    with pytest.raises(Denied):
        await world.service.create(inside, await world.repository("acme/web"), CodespaceRequest())
    for refused in (
        world.service.stop(inside, other.name),
        world.service.delete(inside, other.name),
        world.service.execute(inside, other.name, ["true"], b""),
    ):
        with pytest.raises(Denied) as denied:
            await refused
        assert denied.value.code == "codespace.by_token"
    assert (await world.get(other.name)).state is State.AVAILABLE
    await world.service.execute(inside, one.name, ["true"], b"")
    assert (await world.service.stop(inside, one.name)).codespace.desired is Desired.STOPPED


async def test_a_workflows_token_rules_no_codespace(world: CodespaceWorld) -> None:
    one = await world.launch()
    job = world.secrets.job("olga", "acme/web", contents="write")
    for refused in (
        world.service.create(job, await world.repository("acme/web"), CodespaceRequest()),
        world.service.stop(job, one.name),
        world.service.delete(job, one.name),
        world.service.execute(job, one.name, ["true"], b""),
    ):
        with pytest.raises(Denied) as denied:
            await refused
        assert denied.value.code == "codespace.by_token"
    assert (await world.get(one.name)).state is State.AVAILABLE


async def test_others_codespaces_do_not_exist(world: CodespaceWorld) -> None:
    name = await world.create()
    wim = world.secrets.subject("wim")
    for hidden in (
        world.service.get(wim, name),
        world.service.start(wim, name),
        world.service.stop(wim, name),
        world.service.delete(wim, name),
        world.service.read_log(wim, name),
        world.service.execute(wim, name, ["true"], b""),
    ):
        with pytest.raises(NotFound) as missing:
            await hidden
        assert missing.value.code == "codespace.not_found"
    with pytest.raises(NotFound):
        await follow(world, wim, name)
    assert await world.service.list_own(wim, None, limit=10, offset=0) == ([], 0)


async def test_lists_are_paged_newest_first_and_by_repository(world: CodespaceWorld, olga: Subject) -> None:
    names = [await world.create() for _ in range(3)]
    page, total = await world.service.list_own(olga, None, limit=2, offset=1)
    assert ([view.codespace.name for view in page], total) == ([names[1], names[0]], 3)
    site = world.secrets.repositories["acme/site"]
    assert await world.service.list_own(olga, site, limit=9, offset=0) == ([], 0)
    web = world.secrets.repositories["acme/web"]
    assert (await world.service.list_own(olga, web, limit=9, offset=0))[1] == 3


async def test_a_codespace_whose_repository_is_gone_is_not_shown(world: CodespaceWorld, olga: Subject) -> None:
    name = await world.create()
    async with world.store.begin() as connection:
        await connection.execute(delete(repositories).where(repositories.c.name == "web"))
    with pytest.raises(NotFound):
        await world.service.get(olga, name)
    assert await world.service.list_own(olga, None, limit=9, offset=0) == ([], 0)


async def test_an_account_that_goes_in_the_middle(world: CodespaceWorld, olga: Subject) -> None:
    codespace = await world.get(await world.create())
    async with world.store.begin() as connection:
        await connection.execute(delete(accounts).where(accounts.c.login == "olga"))
    assert await world.service.list_own(olga, None, limit=9, offset=0) == ([], 0)
    async with world.store.read() as connection:
        assert await world.service._views.find(connection, codespace) is None
        with pytest.raises(NotFound):
            await world.service._owner(connection, codespace)


async def test_start_is_refused_while_it_runs_or_is_about_to(world: CodespaceWorld, olga: Subject) -> None:
    name = await world.create()
    with pytest.raises(Conflict):
        await world.service.start(olga, name)
    await world.step(name)
    with pytest.raises(Conflict) as refused:
        await world.service.start(olga, name)
    assert refused.value.code == "codespace.running"
    assert (await world.service.stop(olga, name)).codespace.state is State.SHUTTING_DOWN
    assert (await world.service.start(olga, name)).codespace.state is State.AVAILABLE, "it never stopped"
    await set_row(world, name, phase=Phase.FAILED, seen=table.c.generation)
    assert (await world.service.start(olga, name)).codespace.state is State.QUEUED


async def test_stop_may_be_asked_twice(world: CodespaceWorld, olga: Subject) -> None:
    name = await world.create()
    first = await world.service.stop(olga, name)
    second = await world.service.stop(olga, name)
    assert first.codespace.generation == second.codespace.generation == 2


async def test_a_deleted_one_is_gone_for_its_owner_at_once(world: CodespaceWorld, olga: Subject) -> None:
    name = await world.create()
    await world.service.delete(olga, name)
    for gone in (world.service.get(olga, name), world.service.delete(olga, name), world.service.start(olga, name)):
        with pytest.raises(NotFound):
            await gone
    assert (await world.get(name)).state is State.DELETED


async def test_a_row_that_goes_during_a_request(world: CodespaceWorld, olga: Subject) -> None:
    view = await world.service.get(olga, await world.create())
    async with world.store.begin() as connection:
        await connection.execute(delete(table))
    answered = await world.service.request(olga, view, Desired.STOPPED, "codespace.stop")
    assert answered.codespace == view.codespace


async def test_a_command_runs_with_the_environment_as_the_codespaces_user(world: CodespaceWorld, olga: Subject) -> None:
    launched = await world.launch()
    world.engine.chunks = (b"said",)
    world.engine.exit_codes["x y"] = 3
    assert await world.service.execute(olga, launched.name, ["echo", "x y"], b"in") == ExecResult(3, b"said")
    ran = world.engine.executed[-1]
    assert ran.command[-2:] == ("echo", "x y")
    assert "/run/codespaces/env" in ran.command[2]
    assert (ran.user, ran.stdin) == ("root", "in")


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.SHUTDOWN, Phase.FAILED])
async def test_a_command_needs_a_codespace_that_runs(world: CodespaceWorld, olga: Subject, phase: Phase) -> None:
    name = await world.create()
    await set_row(world, name, phase=phase)
    with pytest.raises(Conflict) as refused:
        await world.service.execute(olga, name, ["true"], b"")
    assert refused.value.code == "codespace.not_running"


async def test_a_long_log_is_read_whole_and_in_sequence(world: CodespaceWorld, olga: Subject) -> None:
    name = await world.create()
    codespace = await world.get(name)
    assert await world.service.read_log(olga, name) == []
    lines = [("output", f"line {number}") for number in range(5321)]
    async with world.store.begin() as connection:
        await rows.append_log(connection, codespace.id, codespace.created_at, lines)
    entries = await world.service.read_log(olga, name)
    assert [entry.text for entry in entries] == [text for _, text in lines]
    await set_row(world, name, phase=Phase.AVAILABLE)
    followed = await follow(world, olga, name)
    assert followed[:-1] == entries
    assert followed[-1].kind == "end"
    resumed = await follow(world, olga, name, after=entries[4000].id)
    assert resumed[:-1] == entries[4001:]


@pytest.mark.parametrize(
    ("phase", "desired", "state"),
    [
        (Phase.AVAILABLE, Desired.RUNNING, State.AVAILABLE),
        (Phase.SHUTDOWN, Desired.STOPPED, State.SHUTDOWN),
        (Phase.QUEUED, Desired.STOPPED, State.SHUTDOWN),
        (Phase.FAILED, Desired.RUNNING, State.FAILED),
        (Phase.FAILED, Desired.STOPPED, State.FAILED),
    ],
)
async def test_following_ends_where_it_rests(
    world: CodespaceWorld, olga: Subject, phase: Phase, desired: Desired, state: State
) -> None:
    name = await world.create()
    await set_row(world, name, phase=phase, desired=desired, seen=table.c.generation)
    (end,) = await follow(world, olga, name)
    assert (end.kind, end.text, end.id) == ("end", state, 0)


@pytest.mark.parametrize("how", ["asked", "gone"])
async def test_following_ends_for_a_deleted_row(world: CodespaceWorld, olga: Subject, how: str) -> None:
    name = await world.create()
    following = asyncio.create_task(follow(world, olga, name))
    await asyncio.sleep(0.25)
    assert not following.done()
    if how == "asked":
        await world.service.delete(olga, name)
    else:
        async with world.store.begin() as connection:
            await connection.execute(delete(table))
    entries = await following
    assert [(entry.kind, entry.text) for entry in entries] == [("end", State.DELETED)]


async def test_a_launch_is_followed_to_its_end_without_loss_or_repeat(world: CodespaceWorld, olga: Subject) -> None:
    name = await world.create()
    following = asyncio.create_task(follow(world, olga, name))
    await world.step(name)
    entries = await following
    assert entries[:-1] == await world.log(name)
    assert entries[-1].text == State.AVAILABLE


async def test_a6_a_token_that_may_not_read_the_repository_gets_no_stronger_one(world: CodespaceWorld) -> None:
    launched = await world.launch()
    weak = world.secrets.subject("olga", scopes=frozenset({Scope.CODESPACE}))
    for refused in (
        world.service.execute(weak, launched.name, ["env"], b""),
        world.service.start(weak, launched.name),
    ):
        with pytest.raises(NotFound):
            await refused
    assert world.engine.hooks == []


async def test_an_update_changes_what_it_is_given(world: CodespaceWorld, olga: Subject) -> None:
    name = await world.create(machine="big")
    before = (await world.service.get(olga, name)).codespace
    assert before.machine == "big"
    nothing = await world.service.update(olga, name, display_name="", machine="", recent_folders=None)
    assert nothing.codespace == before
    view = await world.service.update(olga, name, display_name=" mine ", machine="small", recent_folders=["/w"])
    changed = view.codespace
    assert (changed.display_name, changed.machine, changed.recent_folders) == ("mine", "small", ("/w",))
    assert view.machine.name == "small"
    assert (changed.state, changed.generation) == (before.state, before.generation), "the loop has nothing to do"
    again = await world.service.update(olga, name, display_name="mine", machine="big", recent_folders=None)
    assert again.codespace.machine == "big"
    same = await world.service.update(olga, name, display_name="mine", machine="big", recent_folders=None)
    assert same.codespace == again.codespace
    async with world.store.read() as connection:
        statement = select(audit_log.c.detail).where(audit_log.c.action == "codespace.update")
        said = list((await connection.execute(statement.order_by(audit_log.c.id))).scalars())
    assert said == ["display_name machine recent_folders", "machine"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"machine": "huge"}, "codespace.machine"),
        ({"display_name": "x" * 49}, "codespace.display_name"),
        ({"recent_folders": [""]}, "codespace.recent_folders"),
    ],
)
async def test_an_update_that_is_refused_changes_nothing(
    world: CodespaceWorld, olga: Subject, change: dict[str, Any], code: str
) -> None:
    name = await world.create()
    before = await world.get(name)
    wanted: dict[str, Any] = {"display_name": "other", "machine": None, "recent_folders": None}
    with pytest.raises(Invalid) as refused:
        await world.service.update(olga, name, **(wanted | change))
    assert refused.value.code == code
    assert await world.get(name) == before


async def test_an_update_is_its_owners_and_its_own_tokens(world: CodespaceWorld, olga: Subject) -> None:
    name, other = await world.create(), await world.create()
    change: dict[str, Any] = {"display_name": "x", "machine": None, "recent_folders": None}
    inside = replace(olga, token_kind=TokenKind.CODESPACE, codespace_id=(await world.get(name)).id)
    assert (await world.service.update(inside, name, **change)).codespace.display_name == "x"
    with pytest.raises(Denied):
        await world.service.update(inside, other, **change)
    with pytest.raises(NotFound):
        await world.service.update(world.secrets.subject("wim"), name, **change)
    with pytest.raises(NotFound):
        await world.service.list_machines(world.secrets.subject("wim"), name)
    assert [machine.name for machine in await world.service.list_machines(olga, name)] == ["small", "big"]

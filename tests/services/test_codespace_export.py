"""Exports on a real store and a real repository; what the container does is set by the test. On both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update
from tests.codespace_world import ORIGIN
from tests.export_world import ExportWorld, make_export_world
from tests.fakes.engine import UNREACHABLE

from berth.adapters.store import account as account_rows
from berth.adapters.store import codespace_export as rows
from berth.adapters.store import collaborator as collaborator_rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import accounts, audit_log, codespace_exports, codespaces, repositories
from berth.domain.access import Subject
from berth.domain.codespace import Codespace
from berth.domain.codespace_export import MAX_KEPT, MAX_NAMES, ExportState, branch_names
from berth.domain.lifecycle import Desired, Phase, State
from berth.domain.problem import Conflict, Denied, Invalid, NotFound
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.services.codespace_export_worker import MAX_ATTEMPTS, MAX_OUTPUT_BYTES
from berth.services.ports import ExecResult
from berth.services.reconcile import Reconciler

NOWHERE = "f" * 40


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> ExportWorld:
    return await make_export_world(store, tmp_path)


@pytest.fixture
async def codespace(world: ExportWorld) -> Codespace:
    return await world.codespaces.launch()


@pytest.fixture
def olga(world: ExportWorld) -> Subject:
    return world.codespaces.secrets.subject("olga")


async def state(world: ExportWorld, codespace: Codespace) -> State:
    view = await world.codespaces.service.get(world.codespaces.secrets.subject("olga"), codespace.name)
    return view.codespace.state


def answering(exit_code: int, output: bytes) -> Callable[[str], Awaitable[ExecResult]]:
    async def answer(_branch: str) -> ExecResult:
        return ExecResult(exit_code, output)

    return answer


async def test_the_changes_are_on_a_branch_and_the_codespace_is_available_again(
    world: ExportWorld, codespace: Codespace
) -> None:
    export = await world.start(codespace.name)
    assert (export.state, export.branch, export.sha) == (
        ExportState.IN_PROGRESS,
        f"codespace-{codespace.name}",
        None,
    )
    assert world.woken
    assert await state(world, codespace) is State.EXPORTING
    done = await world.step(export.id)
    assert done.state is ExportState.SUCCEEDED
    assert done.sha == await world.head(export.branch)
    assert done.completed_at is not None
    assert done.finding is None
    assert await state(world, codespace) is State.AVAILABLE
    assert await world.latest(codespace.name) == done
    async with world.store.read() as connection:
        statement = select(audit_log).where(audit_log.c.action == "codespace.export")
        (row,) = (await connection.execute(statement)).all()
    assert (row.actor_login, row.target, row.detail) == ("olga", codespace.name, f"acme/web {export.branch}")


async def test_1_git_runs_in_the_container_as_its_user_against_this_server(
    world: ExportWorld, codespace: Codespace
) -> None:
    async with world.store.begin() as connection:
        values = {"name": "Olga <x>\nO", "email": None}
        await connection.execute(update(accounts).where(accounts.c.login == "olga").values(**values))
    await world.export(codespace.name)
    executed = world.codespaces.engine.executed[-1]
    assert (executed.container_id, executed.user, executed.stdin) == (codespace.container_id, "root", "")
    *_, url, origin, helper, branch, name, email, date, message = executed.command
    assert (url, origin, branch) == (f"{ORIGIN}/acme/web.git", ORIGIN, f"codespace-{codespace.name}")
    number = world.codespaces.secrets.accounts["olga"]
    assert (name, email) == ("Olga xO", f"{number}+olga@users.noreply.localhost")
    assert (date.endswith(" +0000"), message) == (True, f"Export of the codespace {codespace.name}")
    token = world.codespaces.engine.environments[-1]["GITHUB_TOKEN"]
    assert "$GITHUB_TOKEN" in helper
    assert not [word for one in world.codespaces.engine.executed for word in one.command if token in word]


async def test_commands_run_and_the_log_rests_while_it_is_exported(
    world: ExportWorld, codespace: Codespace, olga: Subject
) -> None:
    await world.start(codespace.name)
    assert (await world.codespaces.service.execute(olga, codespace.name, ["true"], b"")).exit_code == 0
    async with asyncio.timeout(20):
        lines = [line async for line in world.codespaces.service.follow_log(olga, codespace.name, after=0)]
    assert (lines[-1].kind, lines[-1].text) == ("end", "Exporting")
    with pytest.raises(Conflict) as running:
        await world.codespaces.service.start(olga, codespace.name)
    assert running.value.code == "codespace.running"
    for listed in (
        await world.codespaces.service.list_own(olga, None, limit=10, offset=0),
        await world.codespaces.service.list_own(olga, codespace.repository_id, limit=10, offset=0),
    ):
        assert [view.codespace.state for view in listed[0]] == [State.EXPORTING]


async def test_3_each_export_has_a_branch_of_its_own(world: ExportWorld, codespace: Codespace) -> None:
    made = [await world.export(codespace.name) for _ in range(3)]
    assert [export.branch for export in made] == list(branch_names(codespace.name))[:3]
    assert {export.state for export in made} == {ExportState.SUCCEEDED}


async def test_3_a_wanted_branch(world: ExportWorld, codespace: Codespace) -> None:
    export = await world.export(codespace.name, "refs/heads/feature/login")
    assert (export.state, export.branch) == (ExportState.SUCCEEDED, "feature/login")
    for branch, code in (("main", "export.branch_exists"), ("feature/login", "export.branch_exists")):
        with pytest.raises(Conflict) as taken:
            await world.start(codespace.name, branch)
        assert taken.value.code == code
    for bad in ("-x", "a..b", "a b", "a:b", "x" * 300, "a\0b", "+main", "a.lock"):
        with pytest.raises(Invalid) as refused:
            await world.start(codespace.name, bad)
        assert (refused.value.code, refused.value.field) == ("repository.branch", "branch")
    assert (await world.start(codespace.name, "")).branch == f"codespace-{codespace.name}", "empty: none is wanted"


async def test_3_names_that_all_are_taken(world: ExportWorld, codespace: Codespace) -> None:
    for name in branch_names(codespace.name):
        await world.push(name)
    with pytest.raises(Conflict) as refused:
        await world.start(codespace.name)
    assert refused.value.code == "export.branch_exists"
    assert (await world.export(codespace.name, "other")).state is ExportState.SUCCEEDED


async def take_it(world: ExportWorld, branch: str) -> ExecResult:
    """Somebody else was quicker: the container's push is refused."""
    await world.push(branch, "theirs")
    world.git = world.push_well
    return ExecResult(13, b"! [rejected] (stale info)")


async def test_3_a_branch_that_somebody_makes_meanwhile_stays_his(world: ExportWorld, codespace: Codespace) -> None:
    world.git = lambda branch: take_it(world, branch)
    export = await world.start(codespace.name)
    done = await world.step(export.id)
    first, second, *_ = branch_names(codespace.name)
    assert (done.state, done.branch, world.branches) == (ExportState.SUCCEEDED, second, [first, second])
    assert done.sha == await world.head(second)
    assert await world.head(first) not in {None, done.sha}


async def test_3_a_wanted_branch_that_somebody_makes_meanwhile(world: ExportWorld, codespace: Codespace) -> None:
    world.git = lambda branch: take_it(world, branch)
    done = await world.export(codespace.name, "mine")
    assert (done.state, done.sha) == (ExportState.FAILED, None)
    assert done.finding is not None
    assert done.finding.code == "export.branch_exists"


async def test_3_a_container_that_takes_each_name_itself_comes_to_an_end(
    world: ExportWorld, codespace: Codespace
) -> None:
    async def make_and_refuse(branch: str) -> ExecResult:
        repository_id = world.codespaces.secrets.repositories["acme/web"]
        for name in world.branches[:-1]:
            await world.codespaces.git._git(repository_id, "update-ref", "-d", f"refs/heads/{name}")
        await world.push(branch)
        return ExecResult(13, b"")

    world.git = make_and_refuse
    done = await world.export(codespace.name)
    assert done.finding is not None
    assert done.finding.code == "export.branch_exists"
    assert len(world.branches) == MAX_NAMES


LIES = {
    "6 a commit that is nowhere": (0, f"berth-export {NOWHERE}\n".encode(), "export.not_arrived"),
    "6 no commit": (0, b"berth-export ../../etc/passwd\n", "export.not_arrived"),
    "6 nothing": (0, b"", "export.not_arrived"),
    "more than anybody reads": (0, b"x" * (MAX_OUTPUT_BYTES + 1), "export.output"),
    "no git": (10, b"", "export.no_git"),
    "a push that is refused": (13, b"remote: no", "export.push_failed"),
    "killed": (137, b"", "export.ended"),
}


@pytest.mark.parametrize(("exit_code", "output", "code"), LIES.values(), ids=LIES.keys())
async def test_what_fails_says_why_and_the_codespace_goes_on(
    world: ExportWorld, codespace: Codespace, exit_code: int, output: bytes, code: str
) -> None:
    world.git = answering(exit_code, output)
    done = await world.export(codespace.name)
    assert (done.state, done.sha) == (ExportState.FAILED, None)
    assert done.completed_at is not None
    assert done.finding is not None
    assert (done.finding.code, bool(done.finding.next_step)) == (code, True)
    assert await state(world, codespace) is State.AVAILABLE
    world.git = world.push_well
    assert (await world.export(codespace.name)).state is ExportState.SUCCEEDED


async def test_6_the_commit_of_another_branch_is_not_that_of_this_one(world: ExportWorld, codespace: Codespace) -> None:
    main = await world.head("main")
    world.git = answering(0, f"berth-export {main}\n".encode())
    done = await world.export(codespace.name)
    assert (done.state, done.sha) == (ExportState.FAILED, None)


async def test_6_what_it_prints_is_nowhere(world: ExportWorld, codespace: Codespace) -> None:
    world.git = answering(1, b"planted-value")
    done = await world.export(codespace.name)
    assert "planted-value" not in repr(await world.row(done.id))


async def test_it_takes_too_long(store: Store, tmp_path: Path) -> None:
    world = await make_export_world(store, tmp_path, timeout_s=0.05)

    async def hang(_branch: str) -> ExecResult:
        await asyncio.sleep(30)
        raise AssertionError

    world.git = hang
    done = await world.export((await world.codespaces.launch()).name)
    assert done.finding is not None
    assert done.finding.code == "export.timeout"


async def test_one_at_a_time(world: ExportWorld, codespace: Codespace) -> None:
    made = await asyncio.gather(*(world.start(codespace.name) for _ in range(4)), return_exceptions=True)
    refused = [one for one in made if isinstance(one, Conflict)]
    assert len(refused) == 3
    assert {one.code for one in refused} == {"export.in_progress"}
    other = await world.codespaces.launch()
    assert (await world.export(other.name)).state is ExportState.SUCCEEDED


async def test_one_at_a_time_holds_in_the_database(world: ExportWorld, codespace: Codespace) -> None:
    await world.start(codespace.name)
    async with world.store.begin() as connection:
        again = rows.insert_export(
            connection, codespace.id, branch="b", branch_is_wanted=False, at=codespace.created_at
        )
        with pytest.raises(Conflict) as refused:
            await again
    assert refused.value.code == "export.in_progress"


async def test_the_last_ones_are_kept(world: ExportWorld, codespace: Codespace, olga: Subject) -> None:
    ids = []
    for number in range(MAX_KEPT + 2):
        ids.append((await world.start(codespace.name, f"b{number}")).id)
        await world.set_row(ids[-1], state=ExportState.FAILED, next_at=None)
    async with world.store.read() as connection:
        kept = (await connection.execute(select(codespace_exports.c.id).order_by(codespace_exports.c.id))).scalars()
        assert list(kept) == ids[-MAX_KEPT:]
    assert (await world.service.get(olga, codespace.name, ids[-2])).export.id == ids[-2]
    for gone in (ids[0], -1):
        with pytest.raises(NotFound):
            await world.service.get(olga, codespace.name, gone)


async def test_others_do_not_see_it_and_there_may_be_none(
    world: ExportWorld, codespace: Codespace, olga: Subject
) -> None:
    with pytest.raises(NotFound) as none_yet:
        await world.service.get(olga, codespace.name, None)
    assert none_yet.value.code == "export.not_found"
    export = await world.start(codespace.name)
    wim = world.codespaces.secrets.subject("wim")
    other = await world.codespaces.launch()
    for hidden in (
        world.service.get(wim, codespace.name, export.id),
        world.service.start(wim, codespace.name, None),
        world.service.get(olga, other.name, export.id),
    ):
        with pytest.raises(NotFound):
            await hidden


async def give_rita(world: ExportWorld, role: Role) -> None:
    of = world.codespaces.secrets
    async with world.store.begin() as connection:
        await collaborator_rows.set_collaborator(connection, of.repositories["acme/web"], of.accounts["rita"], role)


async def test_who_only_reads_exports_nothing(world: ExportWorld) -> None:
    await give_rita(world, Role.PUSH)
    codespace = await world.codespaces.launch("rita")
    rita = world.codespaces.secrets.subject("rita")
    await give_rita(world, Role.PULL)
    with pytest.raises(Denied) as refused:
        await world.service.start(rita, codespace.name, None)
    assert refused.value.code == "export.read_only"
    await give_rita(world, Role.PUSH)
    export = (await world.service.start(rita, codespace.name, None)).export
    await give_rita(world, Role.PULL)
    done = await world.step(export.id)
    assert done.finding is not None
    assert done.finding.code == "export.read_only"
    assert world.branches == [], "nothing ran: the right is asked again at the moment it is used"
    assert "acme/web" in done.finding.sentence
    await give_rita(world, Role.PUSH)
    export = (await world.service.start(rita, codespace.name, None)).export
    assert (await world.service.get(rita, codespace.name, None)).repository.full_name == "acme/web"
    of = world.codespaces.secrets
    async with world.store.begin() as connection:
        await collaborator_rows.remove_collaborator(connection, of.repositories["acme/web"], of.accounts["rita"])
    ended = await world.step(export.id)
    assert ended.finding is not None
    assert ended.finding.code == "export.codespace_gone", "A13: not by its name, which may be a new one"
    assert (await world.service.get(rita, codespace.name, None)).repository.full_name == "-/hidden"


async def test_nothing_is_exported_in_the_name_of_who_is_suspended(world: ExportWorld, codespace: Codespace) -> None:
    export = await world.start(codespace.name)
    for at in (export.created_at, None):
        async with world.store.begin() as connection:
            olga = accounts.c.id == world.codespaces.secrets.accounts["olga"]
            await connection.execute(accounts.update().where(olga).values(suspended_at=at))
        if at is None:
            export = await world.start(codespace.name)
        done = await world.step(export.id)
        assert (done.finding is None, bool(world.branches)) == (at is None, at is None)
        assert done.finding is None or done.finding.code == "account.suspended"


async def test_a6_a_token_that_may_not_write_exports_nothing(world: ExportWorld, codespace: Codespace) -> None:
    weak = replace(world.codespaces.secrets.subject("olga"), scopes=frozenset({Scope.CODESPACE}))
    with pytest.raises(NotFound):
        await world.service.start(weak, codespace.name, None)
    job = world.codespaces.secrets.job("olga", "acme/web", contents="write")
    inside = replace(world.codespaces.secrets.subject("olga", codespace_of="acme/web"), codespace_id=codespace.id)
    for refused in (job, replace(inside, codespace_id=codespace.id + 1)):
        with pytest.raises(Denied) as denied:
            await world.service.start(refused, codespace.name, None)
        assert denied.value.code == "codespace.by_token"
    assert (await world.service.start(inside, codespace.name, None)).export.state is ExportState.IN_PROGRESS


async def test_a6_a_public_repository_is_read_by_any_token_but_not_written(world: ExportWorld) -> None:
    git, repository_id = world.codespaces.git, world.codespaces.secrets.repositories["acme/site"]
    await git.create(repository_id, default_branch="main")
    await world.codespaces.configure("acme/site")
    codespace = await world.codespaces.launch(full_name="acme/site")
    weak = replace(world.codespaces.secrets.subject("olga"), scopes=frozenset({Scope.CODESPACE}))
    with pytest.raises(Denied) as refused:
        await world.service.start(weak, codespace.name, None)
    assert refused.value.code == "export.read_only"


async def test_a_stopped_codespace_is_to_be_started_first(
    world: ExportWorld, codespace: Codespace, olga: Subject
) -> None:
    await world.codespaces.service.stop(olga, codespace.name)
    for _ in range(2):
        with pytest.raises(Conflict) as refused:
            await world.start(codespace.name)
        assert (refused.value.code, "Start it" in refused.value.remedy) == ("export.not_running", True)
        await world.codespaces.step(codespace.name)
    assert (await world.codespaces.get(codespace.name)).phase is Phase.SHUTDOWN


async def test_stopping_ends_an_export(world: ExportWorld, codespace: Codespace, olga: Subject) -> None:
    export = await world.start(codespace.name)
    stopped = await world.codespaces.service.stop(olga, codespace.name)
    assert stopped.codespace.state is State.SHUTTING_DOWN
    done = await world.step(export.id)
    assert done.finding is not None
    assert done.finding.code == "export.not_running"
    assert world.branches == []


async def test_a_codespace_that_stops_under_an_export(world: ExportWorld, codespace: Codespace, olga: Subject) -> None:
    async def stop(_branch: str) -> ExecResult:
        await world.codespaces.service.stop(olga, codespace.name)
        await world.codespaces.step(codespace.name)
        raise Conflict("The container is not running.", code="container.not_running")

    world.git = stop
    done = await world.export(codespace.name)
    assert done.finding is not None
    assert done.finding.code == "container.not_running"
    assert (await world.codespaces.get(codespace.name)).state is State.SHUTDOWN


async def test_deleting_ends_an_export(world: ExportWorld, codespace: Codespace, olga: Subject) -> None:
    export = await world.start(codespace.name)
    await world.codespaces.service.delete(olga, codespace.name)
    assert (await world.codespaces.get(codespace.name)).desired is Desired.DELETED
    with pytest.raises(NotFound):
        await world.service.get(olga, codespace.name, export.id)
    done = await world.step(export.id)
    assert (done.state, world.branches) == (ExportState.FAILED, [])
    await world.codespaces.run(await world.codespaces.claim(codespace.name))
    async with world.store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(codespace_exports))).scalar_one() == 0


async def test_deleting_cancels_an_export_that_is_under_way(
    world: ExportWorld, codespace: Codespace, olga: Subject
) -> None:
    async def delete_it(_branch: str) -> ExecResult:
        await world.codespaces.service.delete(olga, codespace.name)
        await world.codespaces.run(await world.codespaces.claim(codespace.name))
        return ExecResult(137, b"")

    world.git = delete_it
    claim = await world.claim((await world.start(codespace.name)).id)
    await Reconciler(world.store, world.worker, holder="test")._step(claim)
    async with world.store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(codespace_exports))).scalar_one() == 0


@pytest.mark.parametrize("what", ["codespace", "repository", "owner"])
async def test_what_it_is_of_is_gone(
    world: ExportWorld, codespace: Codespace, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = await world.start(codespace.name)
    claim = await world.claim(export.id)
    if what == "owner":  # one moment later his codespace is gone, too

        async def nobody(*_: object) -> None:
            return None

        monkeypatch.setattr(account_rows, "find_account_by_id", nobody)
    async with world.store.begin() as connection:
        if what == "codespace":
            await connection.execute(delete(codespaces).where(codespaces.c.id == codespace.id))
        elif what == "repository":
            await connection.execute(delete(repositories).where(repositories.c.id == codespace.repository_id))
    outcome = await world.worker.act(claim)
    assert "export.codespace_gone" in outcome.values["finding"]


async def test_what_passes_is_tried_again_and_in_the_end_it_is_a_failure(
    world: ExportWorld, codespace: Codespace
) -> None:
    export = await world.start(codespace.name)
    world.codespaces.engine.faults["execute"] = UNREACHABLE
    for _ in range(MAX_ATTEMPTS - 1):
        assert (await world.step(export.id)).state is ExportState.IN_PROGRESS
    assert (await world.row(export.id)).next_at is not None
    done = await world.step(export.id)
    assert done.finding is not None
    assert done.finding.code == "engine.unreachable"


async def test_the_engine_comes_back(world: ExportWorld, codespace: Codespace) -> None:
    export = await world.start(codespace.name)
    world.codespaces.engine.faults["execute"] = UNREACHABLE
    assert (await world.step(export.id)).state is ExportState.IN_PROGRESS
    del world.codespaces.engine.faults["execute"]
    assert (await world.step(export.id)).state is ExportState.SUCCEEDED


async def test_a_fault_of_ours_is_said_in_the_end(world: ExportWorld, codespace: Codespace) -> None:
    export = await world.start(codespace.name)
    world.codespaces.engine.faults["execute"] = RuntimeError("a bug")
    for _ in range(MAX_ATTEMPTS - 1):
        assert (await world.step(export.id)).state is ExportState.IN_PROGRESS
    done = await world.step(export.id)
    assert done.finding is not None
    assert (done.finding.code, "Export again" in done.finding.next_step) == ("internal", True)


async def test_a_problem_that_is_no_answer_fails_it_in_the_end(world: ExportWorld, codespace: Codespace) -> None:
    claim = await world.claim((await world.start(codespace.name)).id)
    claim.attempts = MAX_ATTEMPTS
    outcome = await world.worker.give_up(claim, UNREACHABLE)
    assert outcome is not None
    assert "engine.unreachable" in outcome.values["finding"]


async def test_killed_after_the_push_it_is_found_out_what_there_is(world: ExportWorld, codespace: Codespace) -> None:
    """The same files are the same commit (policy 4): the second push finds it there, and says so."""
    export = await world.start(codespace.name)
    await world.claim(export.id)  # a server that died with it
    sha = await world.push(export.branch)
    world.git = answering(0, f"berth-export {sha}\n".encode())
    done = await world.step(export.id)
    assert (done.state, done.branch, done.sha) == (ExportState.SUCCEEDED, export.branch, sha)


async def test_killed_again_and_again_it_fails(world: ExportWorld, codespace: Codespace) -> None:
    export = await world.start(codespace.name)
    for _ in range(MAX_ATTEMPTS):
        await world.claim(export.id)
    done = await world.step(export.id)
    assert done.finding is not None
    assert done.finding.code == "export.interrupted"
    assert world.branches == []


async def test_another_replica_took_it_over(world: ExportWorld, codespace: Codespace) -> None:
    """The first one cannot store anything any more, and the export has one end."""
    export = await world.start(codespace.name)
    first = await world.claim(export.id)

    async def overtake(branch: str) -> ExecResult:
        world.git = world.push_well
        assert (await world.step(export.id)).state is ExportState.SUCCEEDED
        return ExecResult(13, b"")

    world.git = overtake
    done = await world.run(first)
    assert done.state is ExportState.SUCCEEDED
    assert done.branch == export.branch
    assert done.sha == await world.head(export.branch)


async def test_an_end_is_an_end(world: ExportWorld, codespace: Codespace) -> None:
    export = await world.export(codespace.name)
    assert await world.step(export.id) == export
    assert len(world.branches) == 1


async def test_the_loop_does_it(world: ExportWorld, codespace: Codespace) -> None:
    loops = [Reconciler(world.store, world.worker, holder=f"replica {number}") for number in range(2)]
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        export = await world.start(codespace.name)
        for loop in loops:
            loop.wake()
        async with asyncio.timeout(20):
            while (await world.latest(codespace.name)).state is ExportState.IN_PROGRESS:
                await asyncio.sleep(0.02)
        assert (await world.latest(codespace.name)).sha == await world.head(export.branch)
        assert len(world.branches) == 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_export_is_a_use_of_the_codespace(world: ExportWorld, codespace: Codespace) -> None:
    clock, olga = world.codespaces.secrets.clock, world.codespaces.secrets.subject("olga")
    clock.time += timedelta(minutes=10)
    before = clock.time
    await world.export(codespace.name)
    view = await world.codespaces.service.get(olga, codespace.name)
    assert view.codespace.last_used_at is not None
    assert view.codespace.last_used_at >= before

"""Commands that somebody talks to: what ends them when the database or the engine fails, and that a kill is not lost."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from tests.codespace_world import CodespaceWorld, make_codespace_world
from tests.fakes.exec_stream import FakeExecStream

from berth.adapters.store.database import Store
from berth.adapters.store.tables import codespaces
from berth.domain.access import Subject
from berth.domain.exec_frame import Start
from berth.domain.lifecycle import Phase
from berth.domain.problem import Problem, UpstreamFailed
from berth.services.access_token import KnownToken
from berth.services.caller import CallerService
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_session import CodespaceSessionService
from berth.services.session import KnownSession

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SH = Start(command=("sh",))
DOWN = UpstreamFailed("The database does not answer.", code="store.unavailable", retryable=True)


class Tokens:
    """Knows every token, unless the database is away: `failures` times."""

    def __init__(self, world: CodespaceWorld, subject: Subject) -> None:
        self.subject, self.failures, self.asked = subject, 0, 0

    async def find_by_id(self, token_id: int) -> KnownToken | None:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise DOWN
        return KnownToken(subject=self.subject, token=cast("Any", _Valid()))


class _Valid:
    def is_valid(self, _now: object) -> bool:
        return True


class Sessions:
    """The console's: those that hold, by id."""

    def __init__(self) -> None:
        self.known: dict[int, KnownSession] = {}

    async def find_by_id(self, session_id: int) -> KnownSession | None:
        return self.known.get(session_id)


class Running:
    """olga's codespace, available, and the service."""

    def __init__(self, world: CodespaceWorld, name: str) -> None:
        self.world, self.name = world, name
        self.olga = world.secrets.subject("olga")
        self.tokens = Tokens(world, self.olga)
        self.sessions = Sessions()
        executor = CodespaceExec(world.engine, start_timeout_s=0.2, kill_timeout_s=0.2)
        self.service = CodespaceSessionService(
            codespaces=world.service,
            callers=CallerService(
                clock=world.secrets.clock, tokens=cast("Any", self.tokens), sessions=cast("Any", self.sessions)
            ),
            executor=executor,
            activity=CodespaceActivity(store=world.store, clock=world.secrets.clock),
            look_every_s=0.01,
        )


@pytest.fixture
async def running(store: Store, tmp_path: Path) -> Running:
    world = await make_codespace_world(store, tmp_path)
    name = await world.create()
    codespace = await world.get(name)
    container = world.engine.make({})
    async with store.begin() as connection:
        values = {"phase": Phase.AVAILABLE, "container_id": container.container_id, "seen": codespace.generation}
        await connection.execute(codespaces.update().values(**values))
    return Running(world, name)


async def test_a_database_that_is_away_for_a_while_ends_nothing(running: Running) -> None:
    async with running.service.admit(running.olga, running.name) as admission:
        running.tokens.failures = 5
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await admission.until_forbidden()
        assert running.tokens.asked > 8


async def test_a_database_that_stays_away_does(running: Running) -> None:
    """Nobody knows any more who may."""
    async with running.service.admit(running.olga, running.name) as admission:
        running.tokens.failures = 1000
        async with asyncio.timeout(5):
            assert await admission.until_forbidden() is DOWN


async def test_an_engine_that_cannot_end_it_is_logged(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    engine = running.world.engine
    async with running.service.admit(running.olga, running.name) as admission, admission.start(SH):
        engine.faults["execute"] = UpstreamFailed("It does not answer.", code="engine.unreachable")
    assert [record.message for record in caplog.records] == ["codespace.exec_not_ended"]
    assert engine.killed == []


async def test_an_engine_that_takes_for_ever_does_not_hold_us(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    running.world.engine.execute = never  # type: ignore[assignment,method-assign]
    async with asyncio.timeout(5):
        async with running.service.admit(running.olga, running.name) as admission, admission.start(SH):
            pass
    assert [record.message for record in caplog.records] == ["codespace.exec_not_ended"]


async def test_a_task_that_is_cancelled_still_ends_it(running: Running) -> None:
    async def talk() -> None:
        async with running.service.admit(running.olga, running.name) as admission, admission.start(SH) as session:
            await session.read()

    task = asyncio.create_task(talk())
    while not running.world.engine.streams:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.05)
    assert running.world.engine.killed == ["77"]


@pytest.mark.parametrize("errors", [b"", b"x" * (1024 * 1024)], ids=["silence", "a flood of errors"])
async def test_a_shell_that_does_not_say_who_it_is(running: Running, errors: bytes) -> None:
    def make() -> FakeExecStream:
        stream = FakeExecStream(process_id=b"")
        stream.say(errors, is_stderr=True)
        return stream

    running.world.engine.make_stream = make
    async with running.service.admit(running.olga, running.name) as admission:
        with pytest.raises(Problem) as caught:
            async with admission.start(SH):
                pass
    assert caught.value.code == "exec.not_started"
    assert len(caught.value.message) < 500


async def test_places_are_given_back(running: Running) -> None:
    for _ in range(200):
        async with running.service.admit(running.olga, running.name):
            pass
    assert not running.service._open


async def test_what_is_stopped_while_it_starts_says_so(running: Running) -> None:
    def make() -> FakeExecStream:
        stream = FakeExecStream(process_id=b"")
        stream.end(137)
        return stream

    running.world.engine.make_stream = make
    async with running.service.admit(running.olga, running.name) as admission:
        await running.world.service.stop(running.olga, running.name)
        with pytest.raises(Problem, match="The codespace was stopped"):
            async with admission.start(SH):
                pass


async def test_a_session_of_the_console_that_is_ended_ends_it(running: Running) -> None:
    """Policy 1. No token stands behind it."""
    olga = replace(running.olga, session_id=5, token_id=0)
    running.sessions.known[5] = KnownSession(subject=olga, session=cast("Any", None))
    async with running.service.admit(olga, running.name) as admission:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await admission.until_forbidden()
        assert running.tokens.asked == 0
        del running.sessions.known[5]
        async with asyncio.timeout(5):
            problem = await admission.until_forbidden()
    assert problem.code == "exec.session_ended"

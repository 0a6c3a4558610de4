"""Who follows a log: what ends it, what does not, and that nothing of it is left."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import insert, update
from tests.codespace_world import CodespaceWorld, make_codespace_world

from berth.adapters.store.database import Store
from berth.adapters.store.tables import access_tokens, codespace_log
from berth.adapters.store.tables import codespaces as table
from berth.domain.access import Subject
from berth.domain.codespace import LogEntry
from berth.domain.lifecycle import Desired, Phase
from berth.domain.problem import LimitReached, NotFound, UpstreamFailed
from berth.domain.scope import Scope
from berth.services.caller import FAILED_LOOKS, CallerService
from berth.services.codespace_log import CodespaceLogService

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DOWN = UpstreamFailed("The database does not answer.", code="store.unavailable", retryable=True)


class Following:
    """olga's codespace, being launched, and the service. `failures`: so often the database is away."""

    def __init__(self, world: CodespaceWorld, name: str, olga: Subject) -> None:
        self.world, self.name, self.olga = world, name, olga
        self.failures = self.asked = 0
        callers = CallerService(clock=world.secrets.clock, tokens=world.tokens, sessions=cast("Any", None))
        self._renew = callers.renew
        callers.renew = self.renew  # type: ignore[method-assign]
        self.service = CodespaceLogService(
            codespaces=world.service, callers=callers, look_every_s=0.01, still_here_s=0.03
        )

    async def renew(self, subject: Subject, scope: Scope) -> Subject:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise DOWN
        return await self._renew(subject, scope)

    async def follow(self) -> AsyncGenerator[LogEntry | None, None]:
        return await self.service.follow(self.olga, self.name, after=0)

    async def set_row(self, **values: object) -> None:
        async with self.world.store.begin() as connection:
            await connection.execute(update(table).where(table.c.name == self.name).values(**values))

    @property
    def open(self) -> int:
        return self.world.service._following[self.olga.account_id]

    async def revoke(self) -> None:
        await self.world.tokens.revoke_own(self.olga, self.olga.token_id)


async def drain(entries: AsyncIterator[LogEntry | None]) -> list[str]:
    """The kinds of the lines to the end."""
    async with asyncio.timeout(20):
        return [entry.kind for entry in [each async for each in entries] if entry is not None]


async def until(following: Following, asked: int) -> None:
    async with asyncio.timeout(20):
        while following.asked < asked:
            await asyncio.sleep(0.01)


@pytest.fixture
async def following(store: Store, tmp_path: Path) -> Following:
    world = await make_codespace_world(store, tmp_path)
    name = await world.create()
    admin = replace(world.secrets.subject("otto", scopes=frozenset(Scope)), site_admin=True, session_id=1)
    made = await world.tokens.create_for(admin, "olga", "", ["repo", "codespace"])
    olga = await world.tokens.find_subject(made.value)
    assert olga is not None
    return Following(world, name, olga)


async def test_a_caller_who_still_may_follows_to_the_end(following: Following) -> None:
    entries = await following.follow()
    assert await anext(entries) is None  # nothing came yet
    await until(following, 5)
    await following.set_row(phase=Phase.FAILED, seen=table.c.generation)
    assert (await drain(entries))[-1:] == ["end"]
    assert following.open == 0


@pytest.mark.parametrize("why", ["revoked", "expired"])
async def test_attack_a_caller_who_may_no_more_hears_no_more(following: Following, why: str) -> None:
    entries = await following.follow()
    assert await anext(entries) is None
    if why == "revoked":
        await following.revoke()
    else:
        async with following.world.store.begin() as connection:
            await connection.execute(update(access_tokens).values(expires_at=following.world.secrets.clock.now()))
    assert await drain(entries) == []
    assert following.open == 0


async def test_attack_lines_without_end_do_not_keep_a_stream_open(following: Following) -> None:
    """The look is not put off by them, and there are many more of them than are told."""
    codespace = await following.world.get(following.name)
    lines = [(f"line {number}", following.world.secrets.clock.now()) for number in range(20_000)]
    async with following.world.store.begin() as connection:
        await connection.execute(
            insert(codespace_log),
            [{"codespace_id": codespace.id, "at": at, "kind": "output", "text": text} for text, at in lines],
        )
    following.service.still_here_s = 60
    entries = await following.follow()
    assert await anext(entries) is not None
    await following.revoke()
    await until(following, following.asked + 1)
    assert len(await drain(entries)) < 20_000


@pytest.mark.parametrize(("failures", "ends"), [(FAILED_LOOKS - 1, False), (1000, True)])
async def test_a_database_that_is_away_for_a_while_ends_nothing(
    following: Following, failures: int, ends: bool
) -> None:
    following.failures = failures
    entries = await following.follow()
    assert await anext(entries) is None
    await until(following, FAILED_LOOKS)
    if not ends:
        await until(following, FAILED_LOOKS + 3)
        await following.set_row(desired=Desired.DELETED)
    assert await drain(entries) == ([] if ends else ["end"])


async def test_a_bug_ends_it(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(following.service, "_check", broken)
    entries = await following.follow()
    with pytest.raises(RuntimeError):
        await drain(entries)
    assert following.open == 0


async def test_who_goes_away_leaves_nothing(following: Following) -> None:
    before = asyncio.all_tasks()
    async with aclosing(await following.follow()) as entries:
        assert await anext(entries) is None
        assert following.open == 1
    assert following.open == 0
    assert asyncio.all_tasks() == before


async def test_what_is_refused_is_refused_before_the_stream(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("berth.services.codespace._MAX_FOLLOWED", 0)
    for name, problem in (("none", NotFound), (following.name, LimitReached)):
        with pytest.raises(problem):
            await following.service.follow(following.olga, name, after=0)

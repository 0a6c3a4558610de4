"""What a suspension ends and leaves, beside what proves who somebody is. Policy: domain/suspension.py. On both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from tests.account_world import AccountWorld, outcome
from tests.codespace_world import HOST, PASSWORD, CodespaceWorld, make_codespace_world
from tests.secret_world import MINE
from tests.services.test_session import PASSWORD as PASSWORD_OF_ALL
from tests.services.test_session import VISITOR, invited

from berth.adapters.store import account as account_rows
from berth.adapters.store import codespace_access as access_rows
from berth.adapters.store import suspension as suspension_rows
from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.adapters.store.session_tables import sessions
from berth.adapters.store.tables import access_tokens, audit_log, credential_refreshes
from berth.adapters.store.tables import accounts as accounts_table
from berth.adapters.store.tables import codespaces as table
from berth.domain.access import Subject
from berth.domain.account import AccountType
from berth.domain.codespace import Codespace, Rebuild
from berth.domain.codespace_access import CodespaceAccess
from berth.domain.lifecycle import Desired, Phase, State
from berth.domain.scope import Scope
from berth.domain.secret_text import SecretText
from berth.domain.suspension import STOP_NOTICE
from berth.services.codespace_request import CodespaceRequest
from berth.services.reconcile import Claim, Reconciler
from berth.services.suspension import SuspensionService


class Suspending:
    """The world of codespaces, with two site administrators."""

    def __init__(self, world: CodespaceWorld, boss: Subject, other: Subject) -> None:
        self.world, self.boss, self.other = world, boss, other
        self.woken: list[int] = []
        self.service = SuspensionService(
            store=world.store, clock=world.secrets.clock, wake=lambda: self.woken.append(1)
        )

    async def suspend(self, login: str = "olga", reason: str = "") -> None:
        await self.service.suspend(self.boss, login, reason)

    async def unsuspend(self, login: str = "olga") -> None:
        await self.service.unsuspend(self.boss, login)

    async def audit(self, action: str) -> list[tuple[Any, ...]]:
        columns = (audit_log.c.actor_login, audit_log.c.account_id, audit_log.c.target, audit_log.c.detail)
        async with self.world.store.read() as connection:
            rows = await connection.execute(select(*columns).where(audit_log.c.action == action))
            return [tuple(row) for row in rows]

    async def set_row(self, name: str, **values: Any) -> None:
        async with self.world.store.begin() as connection:
            await connection.execute(update(table).where(table.c.name == name).values(**values))


async def make_admin(world: CodespaceWorld, login: str) -> Subject:
    async with world.store.begin() as connection:
        now = world.secrets.clock.now()
        made = await account_rows.insert_account(
            connection, login=login, kind=AccountType.USER, now=now, site_admin=True
        )
    world.secrets.accounts[login] = made.id
    subject = world.secrets.subject(login)
    return replace(subject, site_admin=True, scopes=subject.scopes | {Scope.SITE_ADMIN})


@pytest.fixture
async def here(store: Store, tmp_path: Path) -> Suspending:
    world = await make_codespace_world(store, tmp_path)
    await world.give_triple()
    world.secrets.clock.step = timedelta(0)
    return Suspending(world, await make_admin(world, "boss"), await make_admin(world, "other"))


async def test_it_is_written_down_once_and_may_be_repeated(here: Suspending) -> None:
    first = await here.service.suspend(here.boss, "OLGA", "Left in June")
    again = await here.service.suspend(here.other, "olga", "Something else")
    assert first.is_suspended
    assert (again.suspended_at, again.suspension_reason) == (first.suspended_at, "Left in June")
    olga = here.world.secrets.accounts["olga"]
    assert await here.audit("user.suspend") == [("boss", olga, "olga", "Left in June")]
    for _ in range(2):
        back = await here.service.unsuspend(here.other, "olga")
        assert (back.suspended_at, back.suspension_reason) == (None, None)
    assert await here.audit("user.unsuspend") == [("other", olga, "olga", "Unsuspended by other")]
    await here.suspend("wim")
    assert (await here.audit("user.suspend"))[-1][-1] == "Suspended by boss"


async def test_only_site_administrators_and_only_users(here: Suspending) -> None:
    weak = replace(here.boss, scopes=here.boss.scopes - {Scope.SITE_ADMIN})
    for call in (here.service.suspend, here.service.unsuspend):
        assert await outcome(call(weak, "olga")) == "Denied account.not_site_admin"
        assert await outcome(call(here.world.secrets.subject("olga"), "wim")) == "Denied account.not_site_admin"
        assert await outcome(call(here.boss, "acme")) == "NotFound account.not_found"
        assert await outcome(call(here.boss, "nobody")) == "NotFound account.not_found"
        assert await outcome(call(here.boss, "olga", "x" * 201)) == "Invalid account.suspension_reason"


async def test_policy_4_nobody_suspends_himself(here: Suspending) -> None:
    assert await outcome(here.service.suspend(here.boss, "boss")) == "Denied account.suspend_self"
    await here.suspend("other")  # the positive control
    assert await outcome(here.service.suspend(here.other, "boss")) == "Denied account.not_site_admin"
    assert await outcome(here.service.suspend(here.boss, "boss")) == "Denied account.suspend_self"


async def test_policy_4_of_two_who_suspend_each_other_one_stays(here: Suspending) -> None:
    ended = await asyncio.gather(
        outcome(here.service.suspend(here.boss, "other")), outcome(here.service.suspend(here.other, "boss"))
    )
    assert sorted(ended) == ["Denied account.not_site_admin", "ok"]
    async with here.world.store.read() as connection:
        statement = select(func.count()).where(accounts_table.c.site_admin, accounts_table.c.suspended_at.is_(None))
        assert (await connection.execute(statement)).scalar_one() == 1


async def test_policy_4_suspensions_take_turns(here: Suspending) -> None:
    """Who is being suspended himself waits until he is, and then may not any more."""
    async with here.world.store.begin() as connection:
        await suspension_rows.lock_site_admins(connection)
        late = asyncio.ensure_future(outcome(here.service.suspend(here.other, "boss")))
        assert not (await asyncio.wait({late}, timeout=0.5))[0]
        now = here.world.secrets.clock.now()
        await suspension_rows.set_suspension(connection, here.other.account_id, now, "was quicker")
    assert await late == "Denied account.not_site_admin"


async def test_what_runs_stops_and_is_kept(here: Suspending) -> None:
    """Policies 2 and 3; with the token that is in the container."""
    world = here.world
    launched = await world.launch()
    token = (await world.files(launched.name)).token
    wims = await world.launch("wim")
    assert await world.is_valid(token)
    await here.suspend()
    assert not await world.is_valid(token), "at once"
    assert here.woken
    asked = await world.get(launched.name)
    assert (asked.desired, asked.state) == (Desired.STOPPED, State.SHUTTING_DOWN)
    stopped = await world.step(launched.name)
    assert (stopped.state, stopped.stop_notice) == (State.SHUTDOWN, STOP_NOTICE)
    assert f"Stopping. {STOP_NOTICE}" in await world.log_text(launched.name)
    assert launched.container_id in world.engine.containers
    acme = world.secrets.accounts["acme"]
    assert await here.audit("codespace.stop") == [("boss", acme, launched.name, "user.suspend")]
    assert (await world.get(wims.name)).state is State.AVAILABLE, "others go on"
    await here.unsuspend()
    await world.service.start(world.secrets.subject("olga"), launched.name)
    started = await world.step(launched.name)
    assert (started.state, started.stop_notice) == (State.AVAILABLE, None)
    assert await world.is_valid((await world.files(launched.name)).token)


async def test_a_launch_that_is_under_way_is_undone(here: Suspending) -> None:
    name = await here.world.create()
    await here.suspend()
    undone = await here.world.step(name)
    assert (undone.desired, undone.phase) == (Desired.STOPPED, Phase.QUEUED)
    assert here.world.nothing_left(name)


async def test_what_failed_rests_and_keeps_its_finding(here: Suspending) -> None:
    here.world.registry.passwords[f"{HOST}/team/dev"] = "another"
    failed = await here.world.launch()
    assert failed.phase is Phase.FAILED
    await here.suspend()
    after = await here.world.get(failed.name)
    assert (after.generation, after.finding) == (failed.generation, failed.finding)
    await here.unsuspend()


async def start(world: CodespaceWorld, codespace: Codespace) -> None:
    await world.service.start(world.secrets.subject("olga"), codespace.name)


async def rebuild(world: CodespaceWorld, codespace: Codespace) -> None:
    await world.service.rebuild(world.secrets.subject("olga"), codespace.name, Rebuild.FULL)


async def create(world: CodespaceWorld, _: Codespace) -> None:
    repository = await world.repository("acme/web")
    await world.service.create(world.secrets.subject("olga"), repository, CodespaceRequest())


@pytest.mark.parametrize("ask", [start, rebuild, create])
async def test_what_was_let_in_a_moment_before_asks_in_vain(
    here: Suspending, ask: Callable[[CodespaceWorld, Codespace], Awaitable[None]]
) -> None:
    """Its subject is one of before. The positive control comes after the suspension."""
    world = here.world
    launched = await world.launch()
    await here.suspend()
    await world.step(launched.name)
    assert await outcome(ask(world, launched)) == "Denied account.suspended"
    await here.unsuspend()
    assert await outcome(ask(world, launched)) == "ok"


@pytest.mark.parametrize("phase", [Phase.SHUTDOWN, Phase.QUEUED])
async def test_a_request_that_was_stored_too_late_launches_nothing(here: Suspending, phase: Phase) -> None:
    """Asked again by the loop, at the moment it is done; nothing was swapped or pulled for it."""
    world = here.world
    if phase is Phase.SHUTDOWN:
        name = (await world.launch()).name
        await here.suspend()
        await world.step(name)
    else:
        name = await world.create()
        await here.suspend()
    before = len(world.engine.executed)
    await here.set_row(name, desired=Desired.RUNNING, generation=table.c.generation + 1)
    failed = await world.step(name)
    assert failed.phase is Phase.FAILED
    assert failed.finding is not None
    assert failed.finding.code == "account.suspended"
    assert len(world.engine.executed) == before
    async with world.store.read() as connection:
        tokens = select(func.count()).where(access_tokens.c.codespace_id.is_not(None))
        assert (await connection.execute(tokens)).scalar_one() == 0
    await here.unsuspend()
    await world.service.start(world.secrets.subject("olga"), name)
    assert (await world.step(name)).state is State.AVAILABLE


async def test_what_runs_in_spite_of_all_is_seen_and_stopped(here: Suspending) -> None:
    world = here.world
    launched = await world.launch()
    await here.suspend()
    await here.set_row(launched.name, desired=Desired.RUNNING, generation=launched.generation)
    await world.step(launched.name)
    stopped = await world.step(launched.name)
    assert (stopped.state, stopped.stop_notice) == (State.SHUTDOWN, STOP_NOTICE)


async def claim_refresh(world: CodespaceWorld) -> Claim:
    async with world.store.begin() as connection:
        await connection.execute(update(credential_refreshes).values(next_at=0.0, lease=None))
        (row,) = await work.claim(connection, credential_refreshes, holder="test", lease_s=60, limit=2)
    return Claim(world.store, credential_refreshes, row)


async def test_c8_nothing_is_refreshed_for_him(here: Suspending) -> None:
    """Though his codespace still runs, and its token is worn. The positive control is the same refresh afterwards."""
    world = here.world
    launched = await world.launch()
    files = await world.files(launched.name)
    first = files.token
    await here.suspend()
    await here.set_row(launched.name, desired=Desired.RUNNING)
    world.secrets.clock.time += timedelta(hours=4)
    await Reconciler(world.store, world.refresher, holder="test")._step(await claim_refresh(world))
    assert files.token == first
    await here.unsuspend()
    await Reconciler(world.store, world.refresher, holder="test")._step(await claim_refresh(world))
    assert files.token != first
    assert files.logins[HOST] == f"robot:{PASSWORD}"


async def test_s6_his_codespaces_get_no_secrets_and_everybody_else_s_do(here: Suspending) -> None:
    """Those that he stored for the organization, too: they are the organization's."""
    secrets = here.world.secrets
    await secrets.put("olga", MINE, "OWN", "mine", repositories=("acme/web",))
    before = {login: await secrets.opened(login, "acme/web") for login in ("olga", "wim")}
    assert before["olga"]["user", "OWN"] == "mine"
    assert before["wim"]
    await here.suspend()
    opened = await secrets.service.open_for_codespace(secrets.accounts["olga"], secrets.repositories["acme/web"])
    assert opened.secrets == ()
    assert "suspended" in opened.withheld_reason
    assert await secrets.opened("wim", "acme/web") == before["wim"]
    await here.unsuspend()
    assert await secrets.opened("olga", "acme/web") == before["olga"]


async def test_an_account_that_is_gone_has_no_codespaces_either(here: Suspending) -> None:
    async with here.world.store.begin() as connection:
        gone = here.world.secrets.accounts["otto"]
        web = here.world.secrets.repositories["acme/web"]
        assert await access_rows.find_access(connection, gone, web) == CodespaceAccess()
        await connection.execute(delete(accounts_table).where(accounts_table.c.id == gone))
        assert (await access_rows.find_access(connection, gone, web)).is_suspended


async def test_who_signs_in_or_changes_his_password_at_that_moment_keeps_no_session(accounts: AccountWorld) -> None:
    """Whichever comes first: what began before is ended, what comes after is refused; neither waits for the other for ever."""
    services, store = accounts.services, accounts.store
    made = await invited(accounts, "mia")
    known = await services.sessions.find_by_id(made.session.id)
    assert known is not None
    new = SecretText("quite another sentence")
    calls: list[Awaitable[object]] = [services.sessions.sign_in("mia", PASSWORD_OF_ALL, VISITOR) for _ in range(4)]
    calls.insert(2, services.passwords.change_own(made.subject, PASSWORD_OF_ALL, new, VISITOR, replaces=known.session))
    calls.append(accounts.berth.admin.put("/users/mia/suspended"))
    ended = [*await asyncio.gather(*(outcome(call) for call in calls))]
    assert ended.pop() == "ok"
    assert set(ended) <= {"ok", "Denied account.suspended", "Unauthenticated session.refused", "Invalid password.wrong"}
    async with store.read() as connection:
        mia = sessions.c.account_id == accounts.people.accounts["mia"]
        assert (await connection.execute(select(func.count()).where(mia))).scalar_one() == 0

"""An organization's policies: who sets them, and what they do to launches, times and limits. On both databases."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.codespace_world import HOST, IMAGE, CodespaceWorld, make_codespace_world

from berth.adapters.store.database import Store
from berth.adapters.store.tables import audit_log
from berth.domain.access import Subject
from berth.domain.codespace import Rebuild
from berth.domain.codespace_policy import MAX_POLICIES, CodespacePolicy
from berth.domain.lifecycle import Desired, State
from berth.domain.problem import Denied, Invalid, LimitReached, NotFound
from berth.services.codespace_policy import CodespacePolicyService

ALLOWING = CodespacePolicy(name="images", allowed_images=(f"{HOST}/team/*",))
REFUSING = CodespacePolicy(name="images", allowed_images=("ghcr.io/**",))


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    made = await make_codespace_world(store, tmp_path)
    await made.give_triple()
    return made


@pytest.fixture
def policies(world: CodespaceWorld) -> CodespacePolicyService:
    return CodespacePolicyService(store=world.store, clock=world.secrets.clock)


@pytest.fixture
def olga(world: CodespaceWorld) -> Subject:
    return world.secrets.subject("olga")


async def code_of(world: CodespaceWorld, name: str) -> str:
    finding = (await world.get(name)).finding
    return "" if finding is None else finding.code


async def test_owners_set_see_and_delete_them(
    world: CodespaceWorld, policies: CodespacePolicyService, olga: Subject
) -> None:
    assert await policies.list_all(olga, "acme") == ()
    empty = CodespacePolicy(name="empty", allowed_images=())
    for policy in (ALLOWING, empty, REFUSING):
        assert await policies.put(olga, "acme", policy) == policy
    assert await policies.list_all(olga, "acme") == (empty, REFUSING)
    assert await policies.get(olga, "acme", "images") == REFUSING
    await policies.delete(olga, "acme", "images")
    for gone in (policies.get(olga, "acme", "images"), policies.delete(olga, "acme", "images")):
        with pytest.raises(NotFound):
            await gone
    async with world.store.read() as connection:
        statement = select(audit_log.c.target, audit_log.c.detail).where(audit_log.c.action == "codespace.policy")
        assert [tuple(row) for row in await connection.execute(statement.order_by(audit_log.c.id))] == [
            ("images", "allowed_images 1"),
            ("empty", "allowed_images 0"),
            ("images", "allowed_images 1"),
            ("images", "deleted"),
        ]


@pytest.mark.parametrize(("login", "error"), [("mia", Denied), ("otto", NotFound)])
async def test_nobody_else_does(
    world: CodespaceWorld, policies: CodespacePolicyService, login: str, error: type[Exception]
) -> None:
    subject = world.secrets.subject(login)
    for refused in (
        policies.list_all(subject, "acme"),
        policies.get(subject, "acme", "x"),
        policies.put(subject, "acme", ALLOWING),
        policies.delete(subject, "acme", "x"),
    ):
        with pytest.raises(error):
            await refused


async def test_what_is_refused(policies: CodespacePolicyService, olga: Subject) -> None:
    with pytest.raises(Invalid):
        await policies.put(olga, "acme", CodespacePolicy(name="A"))
    for number in range(MAX_POLICIES):
        await policies.put(olga, "acme", CodespacePolicy(name=f"p{number}"))
    await policies.put(olga, "acme", CodespacePolicy(name="p0", max_codespaces=1))  # replacing needs no room
    with pytest.raises(LimitReached):
        await policies.put(olga, "acme", CodespacePolicy(name="more"))


async def test_l6_images_at_creation(world: CodespaceWorld, policies: CodespacePolicyService, olga: Subject) -> None:
    await policies.put(olga, "acme", REFUSING)
    failed = await world.launch()
    assert await code_of(world, failed.name) == "codespace.policy_image"
    assert world.registry.asked == [], "nobody was asked with a credential"
    assert world.nothing_left(failed.name)
    await policies.put(olga, "acme", ALLOWING)
    await world.service.start(olga, failed.name)
    assert (await world.step(failed.name)).state is State.AVAILABLE


async def test_l6_images_at_rebuild_but_not_at_start(
    world: CodespaceWorld, policies: CodespacePolicyService, olga: Subject
) -> None:
    await policies.put(olga, "acme", ALLOWING)
    launched = await world.launch()
    await policies.put(olga, "acme", REFUSING)
    await world.service.rebuild(olga, launched.name, Rebuild.CACHED)
    assert (await world.step(launched.name)).state is State.FAILED
    assert await code_of(world, launched.name) == "codespace.policy_image"
    await world.service.start(olga, launched.name)
    started = await world.step(launched.name)
    assert (started.state, started.container_id) == (State.AVAILABLE, launched.container_id)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (f"FROM {IMAGE}", False),
        (f"FROM {IMAGE} AS one\nFROM scratch\nCOPY --from=one /a /b", False),
        ("FROM ghcr.io/other/dev:1", True),
        (f"FROM ghcr.io/other/dev:1 AS one\nFROM {IMAGE}\nCOPY --from=one /a /b", True),
        (f"FROM {IMAGE}\nCOPY --from=ghcr.io/other/dev:1 /a /b", True),
        ("ARG BASE=ghcr.io/other/dev:1\nFROM $BASE", True),
    ],
)
async def test_l6_every_image_of_a_dockerfile(
    world: CodespaceWorld, policies: CodespacePolicyService, olga: Subject, text: str, refused: bool
) -> None:
    """The registry would give all of them: only the policy stands in the way."""
    world.registry.passwords["ghcr.io/other/dev"] = None
    launched = await world.launch()
    await policies.put(olga, "acme", ALLOWING)
    await world.configure("acme/web", build={"dockerfile": "Dockerfile"})
    await world.write("acme/web", ".devcontainer/Dockerfile", text.encode())
    asked = len(world.registry.asked)
    await world.service.rebuild(olga, launched.name, Rebuild.FULL)
    rebuilt = await world.step(launched.name)
    assert await code_of(world, launched.name) == ("codespace.policy_image" if refused else "")
    assert rebuilt.state is (State.FAILED if refused else State.AVAILABLE)
    assert (list(world.engine.containers) == [launched.container_id]) is refused, "the old one stays"
    assert (len(world.registry.asked) == asked) is refused, "nobody was asked with a credential"
    assert (world.engine.builds == []) is refused
    created = await world.launch()
    assert created.state is rebuilt.state
    assert await code_of(world, created.name) == await code_of(world, launched.name)
    await policies.delete(olga, "acme", ALLOWING.name)
    await world.service.rebuild(olga, launched.name, Rebuild.CACHED)
    assert (await world.step(launched.name)).state is State.AVAILABLE, "the positive control"


async def test_another_owner_s_policies_are_not_asked(
    world: CodespaceWorld, policies: CodespacePolicyService, olga: Subject
) -> None:
    await policies.put(olga, "acme", REFUSING)
    await world.git.create(world.secrets.repositories["otto/own"], default_branch="main")
    await world.configure("otto/own")
    launched = await world.launch("otto", "otto/own")
    assert await code_of(world, launched.name) != "codespace.policy_image"


async def test_times_count_at_once_and_are_shown(
    world: CodespaceWorld, policies: CodespacePolicyService, olga: Subject
) -> None:
    launched = await world.launch(idle_timeout_minutes=240, retention_period_minutes=43200)
    world.secrets.clock.step = timedelta(0)
    await policies.put(
        olga, "acme", CodespacePolicy(name="times", idle_timeout_max_minutes=10, retention_max_minutes=20)
    )
    for view in (
        await world.service.get(olga, launched.name),
        (await world.service.list_own(olga, None, limit=9, offset=0))[0][0],
        await world.service.update(olga, launched.name, display_name="x", machine=None, recent_folders=None),
    ):
        assert (view.idle_timeout_minutes, view.retention_minutes) == (10, 20)
    world.secrets.clock.time += timedelta(minutes=11)
    assert (await world.step(launched.name)).desired is Desired.STOPPED
    assert (await world.step(launched.name)).state is State.SHUTDOWN
    world.secrets.clock.time += timedelta(minutes=20)
    assert (await world.step(launched.name)).state is State.DELETED


async def test_limits_hold_for_creations_at_the_same_time(
    world: CodespaceWorld, policies: CodespacePolicyService, olga: Subject
) -> None:
    await policies.put(olga, "acme", CodespacePolicy(name="few", max_codespaces=3, max_codespaces_per_user=2))
    made = await asyncio.gather(
        *(world.create(login) for login in ("olga", "wim", "rita") for _ in range(3)), return_exceptions=True
    )
    names = [one for one in made if isinstance(one, str)]
    assert len(names) == 3
    assert {type(one) for one in made} == {str, LimitReached}
    owners = [(await world.get(name)).owner_id for name in names]
    assert max(owners.count(owner) for owner in owners) <= 2
    login = next(each for each in ("olga", "wim", "rita") if world.secrets.accounts[each] == owners[0])
    await world.service.delete(world.secrets.subject(login), names[0])
    await world.create(login)

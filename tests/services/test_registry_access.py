"""What a registry token opens, anew at every request, on both databases (A1 to A3, A6 to A9, A11 to A14)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, text
from tests.registry_access_world import LIFETIME_S, RegistryAccessWorld, make_registry_access_world

from berth.adapters.keyring import add_key
from berth.adapters.store import package as rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.adapters.store.package_tables import package_codespaces, packages
from berth.adapters.store.tables import memberships
from berth.domain.package import PackageName, PackagePolicy
from berth.domain.package_access import PackageAction
from berth.domain.package_role import PackageRole
from berth.domain.problem import Conflict, Denied, Problem
from berth.domain.repository import Visibility
from berth.domain.scope import Scope
from berth.services import registry_access
from berth.services.registry_access import Remembered, TokenNeeded

PULL, PUSH, DELETE, ADMINISTER = PackageAction
PUBLIC, PRIVATE, INTERNAL = Visibility.PUBLIC, Visibility.PRIVATE, Visibility.INTERNAL
WEB, FREE = PackageName("acme", "web"), PackageName("acme", "free")
ALL = "repository:acme/web:pull,push,delete"
ALL_OF_FREE = "repository:acme/free:pull,push,delete"
OK = "ok"
MISSING = "NotFound package.not_found"
LOGIN = "TokenNeeded unauthenticated"
ANOTHER_TOKEN = "TokenNeeded registry_token.scope"
PULLS_ONLY = (
    "Denied package.denied: A codespace's token pulls only. To push from a codespace, log in with a personal access token "
    "that has the scope write:packages."
)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[RegistryAccessWorld]:
    async with make_registry_access_world(store, tmp_path) as made:
        yield made


async def answer(call: Awaitable[object]) -> str:
    """What it came to; of a denial also the sentence, without the advice that follows from it (test_package_advice.py)."""
    try:
        await call
    except Denied as problem:
        return f"Denied {problem.code}: {problem.message.partition(' Ask an admin')[0]}"
    except Problem as problem:
        return f"{type(problem).__name__} {problem.code}"
    return OK


# --- Who shows a registry token ------------------------------------------------------------------------------------


async def test_a_registry_token_proves_who_its_access_token_is(world: RegistryAccessWorld) -> None:
    caller = await world.caller(await world.personal("mia", "write:packages"), ALL)
    assert caller.subject is not None
    assert (caller.subject.login, caller.subject.account_id) == ("mia", world.people.accounts["mia"])
    assert caller.subject.scopes == {Scope.READ_PACKAGES, Scope.WRITE_PACKAGES}
    assert (caller.asker.account_id, caller.asker.source_repository_id) == (world.people.accounts["mia"], None)
    inside = await world.caller(await world.codespace("mia", "acme/web"))
    at_work = await world.caller(await world.job("mia", "acme/site"))
    assert inside.asker.source_repository_id == world.people.repositories["acme/web"]
    assert at_work.asker.source_repository_id == world.people.repositories["acme/site"]


async def test_a1_anonymous_is_nobody(world: RegistryAccessWorld) -> None:
    caller = await world.caller(None, ALL)
    assert caller.subject is None
    assert (caller.asker.account_id, caller.asker.source_repository_id) == (None, None)


async def needed(call: Awaitable[object]) -> TokenNeeded:
    with pytest.raises(TokenNeeded) as refused:
        await call
    return refused.value


async def test_a14_rubbish_is_no_token_and_the_client_is_told_what_to_ask_for(world: RegistryAccessWorld) -> None:
    for token in ("", "x", "a.b.c", "ghp_0", "\0", "é" * 9, "a" * 100_000):
        problem = await needed(world.access.authenticate(token, ALL))
        assert (problem.scope, problem.error, problem.code) == (ALL, "invalid_token", "registry_token.invalid")
        assert len(token) < 2 or token not in problem.message


async def test_a14_what_we_signed_for_something_else_is_no_token(world: RegistryAccessWorld) -> None:
    now = int(world.clock.now().timestamp())
    for claims in ({}, {"access": [{"type": "repository", "name": "acme/web", "actions": ["fly"]}]}):
        strange = world.signer.sign({"sub": "mia", "iat": now, "exp": now + 60, "access": 1, **claims})
        assert (await needed(world.access.authenticate(strange, ALL))).code == "registry_token.invalid"


@pytest.mark.parametrize("seen_before", [True, False])
async def test_a14_a_registry_token_expires(world: RegistryAccessWorld, seen_before: bool) -> None:
    token = await world.issue(await world.personal("mia", "read:packages"), ALL)
    if seen_before:
        assert (await world.access.authenticate(token, ALL)).valid_until > world.clock.now()
    world.clock.move(seconds=LIFETIME_S - 1)
    if seen_before:
        await world.access.authenticate(token, ALL)
    world.clock.move(seconds=1)
    for _ in range(2):
        problem = await needed(world.access.authenticate(token, ALL))
        assert (problem.scope, problem.error, problem.code) == (ALL, "invalid_token", "registry_token.expired")


async def test_a14_a_revoked_access_token_ends_its_registry_tokens_at_once(world: RegistryAccessWorld) -> None:
    revoked, kept = await world.personal("mia", "read:packages"), await world.personal("mia", "read:packages")
    token, other = await world.issue(revoked, ALL), await world.issue(kept, ALL)
    await world.access.authenticate(token, ALL)
    await world.revoke(revoked)
    problem = await needed(world.access.authenticate(token, ALL))
    assert (problem.scope, problem.error, problem.code) == (ALL, "invalid_token", "registry_token.revoked")
    await world.access.authenticate(other, ALL)


async def test_a14_an_expired_access_token_ends_its_registry_tokens(world: RegistryAccessWorld) -> None:
    soon = world.clock.now() + timedelta(seconds=60)
    token = await world.issue(await world.personal("mia", "read:packages", expires_at=soon), ALL)
    caller = await world.access.authenticate(token, ALL)
    assert caller.valid_until <= soon  # and not the end of the registry token
    world.clock.move(seconds=60)
    assert (await needed(world.access.authenticate(token, ALL))).code == "registry_token.revoked"


async def test_a14_a_stopped_codespaces_registry_tokens_end(world: RegistryAccessWorld) -> None:
    inside = await world.codespace("mia", "acme/web")
    token = await world.issue(inside, ALL)
    await world.access.authenticate(token, ALL)
    await world.revoke(inside)  # as stopping does
    assert (await needed(world.access.authenticate(token, ALL))).code == "registry_token.revoked"


async def test_a_new_key_of_the_server_ends_no_token(world: RegistryAccessWorld, tmp_path: Path) -> None:
    token = await world.issue(None, ALL)
    add_key(tmp_path / "master-key", world.clock.now())
    await world.access.authenticate(token, ALL)
    await world.access.authenticate(await world.issue(None, ALL), ALL)


async def test_what_was_verified_is_bounded(world: RegistryAccessWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_access, "_MAX_VERIFIED", 2)
    for _ in range(5):
        await world.access.authenticate(await world.issue(None, ALL), ALL)
        assert len(world.access._verified) <= 2


async def test_what_is_remembered_is_not_asked_again_until_something_changes_or_expires(
    world: RegistryAccessWorld,
) -> None:
    asked: list[int] = []

    async def find() -> Remembered[int]:
        asked.append(len(asked))
        return Remembered(value=asked[-1], valid_until=world.clock.now() + timedelta(seconds=60))

    async def remember(path: str = "/v2/acme/web/manifests/1") -> int:
        return await world.access.remember(b"token", path, find)

    assert [await remember(), await remember()] == [0, 0]
    assert await remember("/v2/acme/web/manifests/2") == 1
    await world.package("acme/more")
    assert [await remember(), await remember()] == [2, 2]
    world.clock.move(seconds=60)
    assert await remember() == 3


async def test_what_is_remembered_is_recalled_while_it_is_known_to_be_true(world: RegistryAccessWorld) -> None:
    """PostgreSQL cannot say at once whether anything changed: there nothing is recalled."""
    path = "/v2/acme/web/manifests/1"

    async def find() -> Remembered[str]:
        return Remembered(value="it", valid_until=world.clock.now() + timedelta(seconds=60))

    at_once = "it" if world.store.is_sqlite else None
    assert world.access.recall(b"token", path) is None
    await world.access.remember(b"token", path, find)
    assert world.access.recall(b"token", path) == at_once
    assert world.access.recall(b"other", path) is world.access.recall(b"token", f"{path}0") is None
    await world.package("acme/more")
    assert world.access.recall(b"token", path) is None
    await world.access.remember(b"token", path, find)
    assert world.access.recall(b"token", path) == at_once
    world.clock.move(seconds=60)
    assert world.access.recall(b"token", path) is None
    world.clock.move(seconds=-60)
    await world.access._cache.close()  # as if the database had gone
    assert world.access.recall(b"token", path) is None


# --- What it opens -------------------------------------------------------------------------------------------------

HIDDEN = (MISSING,) * 3
NOBODY = (LOGIN,) * 3
NO_PUSH = "Denied package.denied: Nothing gives the right to push."
NO_DELETE = "Denied package.denied: Nothing gives the right to delete."


def lacks(*scopes: str) -> str:
    return f"Denied package.denied: Your token lacks the scope {' and '.join(scopes)}."


LACKS_ALL = (lacks("write:packages"), lacks("delete:packages", "read:packages"))
JOB_READS = "Denied package.denied: The workflow's token has packages: read; this needs packages: write."
# Pulling, pushing and deleting acme/web, which is private, linked to the repository acme/web and inherits its access.
OF_PRIVATE = {
    "anonymous": NOBODY,
    "otto": HIDDEN,
    "mia": (OK, NO_PUSH, NO_DELETE),  # A4
    "rita": (OK, NO_PUSH, NO_DELETE),
    "wim": (OK, OK, NO_DELETE),
    "olga": (OK, OK, OK),  # A2
    "olga read:packages": (OK, lacks("write:packages"), lacks("delete:packages")),  # A6
    "olga repo": (MISSING, *LACKS_ALL),
    "otto repo": (MISSING, *LACKS_ALL),  # the same sentences for who may not know it
    "wim write:packages": (OK, OK, lacks("delete:packages")),
    "mia@acme/web": (OK, PULLS_ONLY, PULLS_ONLY),  # A7 b
    "olga@acme/docs": (MISSING, PULLS_ONLY, PULLS_ONLY),
    "olga@acme/site": (MISSING, PULLS_ONLY, PULLS_ONLY),
    "otto@otto/own": (MISSING, PULLS_ONLY, PULLS_ONLY),
    "wim job acme/web write": (OK, OK, NO_DELETE),  # A8
    "wim job acme/web read": (OK, JOB_READS, JOB_READS),
    "wim job acme/site write": HIDDEN,
    "mia job acme/web write": HIDDEN,  # who may not write any more
    "otto job otto/own write": HIDDEN,
}  # fmt: skip
NOT_ITS_OWN = (
    "Denied package.denied: The package is neither linked to the workflow's repository, nor names it on its workflow "
    "access list. Nothing gives the right to {}."
)
# The same of acme/open, which is public and linked to nothing.
OF_PUBLIC = {
    "anonymous": (OK, LOGIN, LOGIN),
    "otto": (OK, NO_PUSH, NO_DELETE),
    "olga": (OK, OK, OK),
    "otto repo": (OK, *LACKS_ALL),
    "mia@acme/site": (OK, PULLS_ONLY, PULLS_ONLY),
    "wim job acme/web write": (OK, NOT_ITS_OWN.format("push"), NOT_ITS_OWN.format("delete")),
}  # fmt: skip


async def actions(world: RegistryAccessWorld, name: str, package: str) -> tuple[str, ...]:
    scope = f"repository:{package}:*"
    caller = await world.caller(await world.who(name), scope)
    owner, _, short = package.partition("/")
    asked = PackageName(owner, short)
    return (
        await answer(world.access.authorize(caller, asked, PULL)),
        await answer(world.access.authorize(caller, asked, PUSH)),
        await answer(world.access.authorize(caller, asked, DELETE)),
    )


async def test_who_may_do_what(world: RegistryAccessWorld) -> None:
    await world.package("acme/web", PRIVATE, linked="acme/web")
    await world.package("acme/open", PUBLIC)
    assert {name: await actions(world, name, "acme/web") for name in OF_PRIVATE} == OF_PRIVATE
    assert {name: await actions(world, name, "acme/open") for name in OF_PUBLIC} == OF_PUBLIC


async def test_a13_hidden_and_missing_give_the_same_answers(world: RegistryAccessWorld) -> None:
    """Every action, every kind of caller who may not pull it; and the settings, which REST asks for."""
    hidden = await world.package("acme/web", PRIVATE, linked="acme/web")
    for name, expected in OF_PRIVATE.items():
        if expected[0] == OK:
            continue
        caller = await world.caller(await world.who(name), ALL, ALL_OF_FREE)
        found = {
            package: [await answer(world.access.authorize(caller, package, action)) for action in PackageAction]
            for package in (WEB, FREE, PackageName("nobody", "web"))
        }
        assert len(set(map(tuple, found.values()))) == 1, name
    await world.change(hidden, deleted_at=world.clock.now())
    caller = await world.caller(await world.who("olga"), ALL)
    assert await answer(world.access.authorize(caller, WEB, PULL)) == MISSING


async def test_the_challenge_names_the_scope_that_the_request_needs(world: RegistryAccessWorld) -> None:
    await world.package("acme/open", PUBLIC)
    caller = await world.caller(None, ALL)
    for action, scope in ((PULL, "pull"), (PUSH, "push"), (DELETE, "delete")):
        problem = await needed(world.access.authorize(caller, WEB, action))
        assert (problem.scope, problem.error) == (f"repository:acme/web:{scope}", "")
    problem = await needed(world.access.authorize(caller, PackageName("acme", "open"), PULL))
    assert (problem.scope, problem.error) == ("repository:acme/open:pull", "insufficient_scope")


CAPS = {
    "what was asked for": ("pull,push,delete", (OK, OK, OK)),
    "A14: not pushing, which was not asked for": ("pull,delete", (OK, ANOTHER_TOKEN, OK)),
    "A14: not deleting, which was not asked for": ("pull,push", (OK, OK, ANOTHER_TOKEN)),
    "A14: not pulling, which was not asked for": ("push", (ANOTHER_TOKEN, OK, ANOTHER_TOKEN)),
    "A14: nothing, when nothing was asked for": ("", (ANOTHER_TOKEN,) * 3),
}


async def test_a14_the_grants_cap_what_the_access_token_may(world: RegistryAccessWorld) -> None:
    await world.package("acme/web")
    await world.package("acme/free")
    password = await world.who("olga")
    for case, (asked, allowed) in CAPS.items():
        caller = await world.caller(password, f"repository:acme/web:{asked}")
        got = [await answer(world.access.authorize(caller, WEB, action)) for action in (PULL, PUSH, DELETE)]
        assert tuple(got) == allowed, case
        assert await answer(world.access.authorize(caller, FREE, PULL)) == ANOTHER_TOKEN
        assert await answer(world.access.authorize(caller, WEB, ADMINISTER)) == ANOTHER_TOKEN


async def test_a14_a_refusal_comes_before_the_offer_of_another_token(world: RegistryAccessWorld) -> None:
    """A token that was made for nothing tells nobody whether a package is there."""
    await world.package("acme/web")
    caller = await world.caller(await world.who("otto"))
    assert await answer(world.access.authorize(caller, WEB, PULL)) == MISSING
    assert await answer(world.access.authorize(caller, FREE, PULL)) == MISSING


async def test_a14_a_source_of_a_mount_is_what_the_access_token_may_pull(world: RegistryAccessWorld) -> None:
    await world.package("acme/web")
    callers = {name: await world.caller(await world.who(name)) for name in ("olga", "otto", "olga repo", "anonymous")}
    found = {name: await world.access.find_readable(caller, WEB) is not None for name, caller in callers.items()}
    assert found == {"olga": True, "otto": False, "olga repo": False, "anonymous": False}
    assert await world.access.find_readable(callers["olga"], FREE) is None


# --- What changes between the token and the request ----------------------------------------------------------------


async def lose_team(world: RegistryAccessWorld, package_id: int) -> None:
    async with world.store.begin() as connection:
        await connection.execute(text("DELETE FROM team_members"))


async def lose_membership(world: RegistryAccessWorld, package_id: int) -> None:
    async with world.store.begin() as connection:
        await connection.execute(text("DELETE FROM team_members"))
        await connection.execute(delete(memberships))


async def close(world: RegistryAccessWorld, package_id: int) -> None:
    await world.change(package_id, inherits_access=False)


async def unlink(world: RegistryAccessWorld, package_id: int) -> None:
    async with world.store.begin() as connection:
        await rows.forget_repository(connection, world.people.repositories["acme/web"])


async def delete_repository(world: RegistryAccessWorld, package_id: int) -> None:
    async with world.store.begin() as connection:
        await repository_rows.delete_repository(connection, world.people.repositories["acme/web"])


async def delete_package(world: RegistryAccessWorld, package_id: int) -> None:
    await world.change(package_id, deleted_at=world.clock.now())


async def open_repository(world: RegistryAccessWorld, package_id: int) -> None:
    async with world.store.begin() as connection:
        repository_id = world.people.repositories["acme/web"]
        await repository_rows.update_repository(connection, repository_id, {"visibility": PUBLIC})


READS_ONLY = (OK, NO_PUSH)
GONE = (MISSING, MISSING)
LOSSES = {
    "A14: a role of the repository's, only the base permission is left": ("wim", lose_team, READS_ONLY),
    "A14: the membership": ("wim", lose_membership, GONE),
    "A14: inheritance, switched off": ("wim", close, GONE),
    "A12: the link, when the repository is transferred": ("wim", unlink, GONE),
    "A12: the repository": ("wim", delete_repository, GONE),
    "A12: the package": ("wim", delete_package, GONE),
    "A7: inheritance, for a codespace": ("wim@acme/web", close, (MISSING, PULLS_ONLY)),
    "A7: a codespace's repository opens to the public": ("wim@acme/web", open_repository, (MISSING, PULLS_ONLY)),
    "A7: a codespace's user is let out of the repository": ("wim@acme/web", lose_membership, (MISSING, PULLS_ONLY)),
    "A12: the link, for a codespace": ("wim@acme/web", unlink, (MISSING, PULLS_ONLY)),
    "A8: inheritance, for a job": ("wim job acme/web write", close, GONE),
    "A8: the right to write, of who made a job's token": ("wim job acme/web write", lose_team, GONE),
    "A12: the link, for a job": ("wim job acme/web write", unlink, GONE),
}  # fmt: skip


@pytest.mark.parametrize(("name", "lose", "left"), LOSSES.values(), ids=LOSSES.keys())
async def test_what_is_lost_is_lost_at_once(
    world: RegistryAccessWorld,
    name: str,
    lose: Callable[[RegistryAccessWorld, int], Awaitable[None]],
    left: tuple[str, str],
) -> None:
    package_id = await world.package("acme/web", PRIVATE, linked="acme/web")
    caller = await world.caller(await world.who(name), ALL)

    async def got() -> tuple[str, str]:
        pulled = await answer(world.access.authorize(caller, WEB, PULL))
        return pulled, await answer(world.access.authorize(caller, WEB, PUSH))

    assert await got() == (OK, PULLS_ONLY if "@" in name else OK)
    await lose(world, package_id)
    assert await got() == left


async def test_a14_what_is_gained_needs_another_token(world: RegistryAccessWorld) -> None:
    package_id = await world.package("acme/web")
    password = await world.who("mia")
    caller = await world.caller(password, ALL)
    assert await answer(world.access.authorize(caller, WEB, PULL)) == MISSING
    async with world.store.begin() as connection:
        await rows.set_user_grant(connection, package_id, world.people.accounts["mia"], PackageRole.READ)
    assert await answer(world.access.authorize(caller, WEB, PULL)) == ANOTHER_TOKEN
    assert await answer(world.access.authorize(await world.caller(password, ALL), WEB, PULL)) == OK


async def test_a12_a_package_that_was_made_anew_is_another_one(world: RegistryAccessWorld) -> None:
    old = await world.package("acme/web", PRIVATE)
    async with world.store.begin() as connection:
        await rows.set_user_grant(connection, old, world.people.accounts["mia"], PackageRole.ADMIN)
        repository_id = world.people.repositories["acme/docs"]
        await connection.execute(package_codespaces.insert().values(package_id=old, repository_id=repository_id))
    names = ("olga", "mia", "mia@acme/docs")
    passwords = {name: await world.who(name) for name in names}
    before = {name: await world.caller(password, ALL) for name, password in passwords.items()}
    assert {name: await answer(world.access.authorize(before[name], WEB, PULL)) for name in names} == dict.fromkeys(
        names, OK
    )
    await delete_package(world, old)
    await world.package("acme/web", PRIVATE)
    # Old tokens are void for it even where their holder may pull it; and no old grant or list holds for it.
    got = {name: await answer(world.access.authorize(before[name], WEB, PULL)) for name in names}
    assert got == {"olga": ANOTHER_TOKEN, "mia": MISSING, "mia@acme/docs": MISSING}
    after = {name: await world.caller(password, ALL) for name, password in passwords.items()}
    got = {name: await answer(world.access.authorize(after[name], WEB, PULL)) for name in names}
    assert got == {"olga": OK, "mia": MISSING, "mia@acme/docs": MISSING}


# --- New packages --------------------------------------------------------------------------------------------------


async def push(world: RegistryAccessWorld, name: str, package: str = "acme/free") -> str:
    caller = await world.caller(await world.who(name), f"repository:{package}:pull,push")
    owner, _, short = package.partition("/")
    return await answer(world.access.authorize_push(caller, PackageName(owner, short)))


async def made(world: RegistryAccessWorld, package: str) -> tuple[Visibility, bool, str | None] | None:
    """Its visibility, whether it inherits, and what it is linked to."""
    known = await world.known(package)
    if known is None:
        return None
    names = {number: name for name, number in world.people.repositories.items()}
    repository_id = known.package.repository_id
    linked = None if repository_id is None else names[repository_id]
    return known.package.visibility, known.package.inherits_access, linked


CREATIONS = {
    "A9: a member, in the organization": ("mia", "acme/free", (PRIVATE, False, None)),
    "A9: an owner, in the organization": ("olga", "acme/free", (PRIVATE, False, None)),
    "A9: in one's own account": ("otto", "otto/free", (PRIVATE, False, None)),
    "A8: a job of a private repository": ("wim job acme/web write", "acme/free", (PRIVATE, True, "acme/web")),
    "A8: a job of a public repository": ("wim job acme/site write", "acme/free", (PUBLIC, True, "acme/site")),
    "A8: a job of an internal repository": ("wim job acme/docs write", "acme/free", (INTERNAL, True, "acme/docs")),
    "A8: a job of a user's repository": ("otto job otto/own write", "otto/free", (PRIVATE, True, "otto/own")),
}  # fmt: skip


async def test_a_push_to_a_free_name_makes_the_package(world: RegistryAccessWorld) -> None:
    audited: list[tuple[str, str, str, str]] = []
    for case, (name, namespace, expected) in CREATIONS.items():
        package = f"{namespace}-{len(audited)}"
        assert await push(world, name, package) == OK, case
        assert await made(world, package) == expected, case
        known = await world.known(package)
        assert known is not None
        assert known.package.published_at is None  # until its first manifest
        rule = "package.create.workflow" if "job" in name else "package.create.namespace"
        audited.append((name.split()[0], "package.create", package, f"{expected[0]} {rule}"))
    assert await world.audited() == audited


NOT_MADE = {
    "anonymous": ("anonymous", "acme/free", LOGIN),
    "A9: by an outsider": ("otto", "acme/free", MISSING),
    "A9: by a collaborator of a repository": ("rita", "acme/free", MISSING),
    "A9: in somebody else's account": ("mia", "otto/free", MISSING),
    "A9: under nobody's name": ("mia", "nobody/free", MISSING),
    "A6: without the scope": ("mia read:packages", "acme/free", lacks("write:packages")),
    "A7: in a codespace": ("olga@acme/web", "acme/free", PULLS_ONLY),
    "A8: by a job of another owner": ("otto job otto/own write", "acme/free", MISSING),
    "A8: by a job, under its maker's own name": ("wim job acme/web write", "wim/free", MISSING),
    "A8: by a job that may only read": ("wim job acme/web read", "acme/free", JOB_READS),
    "A8: by a job whose maker may not write any more": ("mia job acme/web write", "acme/free", MISSING),
}  # fmt: skip


async def test_who_makes_none(world: RegistryAccessWorld) -> None:
    got = {case: await push(world, name, package) for case, (name, package, _expected) in NOT_MADE.items()}
    assert got == {case: expected for case, (_name, _package, expected) in NOT_MADE.items()}
    for _name, package, _expected in NOT_MADE.values():
        assert await made(world, package) is None
    assert await world.audited() == []


async def test_a14_pulling_or_deleting_makes_nothing(world: RegistryAccessWorld) -> None:
    caller = await world.caller(await world.who("olga"), ALL_OF_FREE)
    for action in PackageAction:
        assert await answer(world.access.authorize(caller, FREE, action)) == MISSING
    assert await made(world, "acme/free") is None


async def test_a14_a_token_that_was_not_made_for_it_makes_nothing(world: RegistryAccessWorld) -> None:
    password = await world.who("olga")
    for scopes in ((), ("repository:acme/free:pull",), (ALL,)):
        caller = await world.caller(password, *scopes)
        problem = await needed(world.access.authorize_push(caller, FREE))
        assert (problem.code, problem.error) == ("registry_token.scope", "insufficient_scope")
        assert problem.scope == "repository:acme/free:pull,push"
        assert await made(world, "acme/free") is None


async def test_a2_the_first_publisher_becomes_admin(world: RegistryAccessWorld) -> None:
    assert await push(world, "mia") == OK
    known = await world.known("acme/free", "mia")
    assert known is not None
    assert (known.facts.user_role, known.facts.is_owner) == (PackageRole.ADMIN, False)
    assert await actions(world, "mia", "acme/free") == (OK, OK, OK)
    assert await actions(world, "wim", "acme/free") == HIDDEN  # A9: private, to himself
    async with world.store.begin() as connection:
        await connection.execute(delete(memberships).where(memberships.c.user_id == world.people.accounts["mia"]))
    assert await actions(world, "mia", "acme/free") == HIDDEN  # A3: as long as he is a member


async def test_a2_who_owns_the_account_needs_no_grant(world: RegistryAccessWorld) -> None:
    assert await push(world, "otto", "otto/free") == OK
    known = await world.known("otto/free", "otto")
    assert known is not None
    assert (known.facts.user_role, known.facts.is_owner) == (PackageRole.NONE, True)
    assert await actions(world, "otto", "otto/free") == (OK, OK, OK)


async def test_a8_a_jobs_package_takes_its_roles_from_its_repository(world: RegistryAccessWorld) -> None:
    assert await push(world, "wim job acme/web write") == OK
    got = {name: await actions(world, name, "acme/free") for name in OF_PRIVATE}
    assert got == OF_PRIVATE  # as if it had been linked by hand; its maker is no admin of it


async def test_a8_where_inheritance_is_switched_off_a_job_goes_on_pushing_what_it_made(
    world: RegistryAccessWorld,
) -> None:
    async with world.store.begin() as connection:
        policy = PackagePolicy(inherit_access_default=False)
        await rows.set_policy(connection, world.people.accounts["acme"], policy)
    assert await push(world, "wim job acme/web write") == OK
    assert await made(world, "acme/free") == (PRIVATE, False, "acme/web")
    assert await push(world, "wim job acme/web write") == OK
    names = (
        "wim job acme/web write",
        "wim job acme/web read",
        "wim job acme/site write",
        "wim",
        "wim@acme/web",
        "olga",
    )
    assert {name: await actions(world, name, "acme/free") for name in names} == {
        "wim job acme/web write": (OK, OK, NO_DELETE),
        "wim job acme/web read": (OK, JOB_READS, JOB_READS),
        "wim job acme/site write": HIDDEN,
        "wim": HIDDEN,
        "wim@acme/web": (MISSING, PULLS_ONLY, PULLS_ONLY),
        "olga": (OK, OK, OK),
    }


MEMBERS_MAY_NOT = "Denied package.denied: The organization does not let members create {} packages."


async def test_a11_members_make_only_what_the_organization_lets_them(world: RegistryAccessWorld) -> None:
    async with world.store.begin() as connection:
        policy = PackagePolicy(creatable_visibilities=frozenset({PUBLIC}))
        await rows.set_policy(connection, world.people.accounts["acme"], policy)
    assert await push(world, "mia", "acme/a") == MEMBERS_MAY_NOT.format("private")
    assert await push(world, "wim job acme/web write", "acme/a") == MEMBERS_MAY_NOT.format("private")
    assert await push(world, "wim job acme/docs write", "acme/a") == MEMBERS_MAY_NOT.format("internal")
    assert await push(world, "olga job acme/web write", "acme/a") == MEMBERS_MAY_NOT.format("private")
    assert await made(world, "acme/a") is None
    assert await push(world, "wim job acme/site write", "acme/a") == OK
    assert await push(world, "olga", "acme/b") == OK
    assert await push(world, "mia", "mia/c") == OK  # it is about acme only


async def test_a13_a_push_that_may_make_nothing_does_not_tell_a_hidden_name_from_a_free_one(
    world: RegistryAccessWorld,
) -> None:
    await world.package("acme/web")
    names = ("anonymous", "otto", "rita", "mia read:packages", "mia@acme/web", "otto job otto/own write")
    for name in names:
        assert await push(world, name, "acme/web") == await push(world, name, "acme/free"), name
    async with world.store.begin() as connection:
        policy = PackagePolicy(creatable_visibilities=frozenset())
        await rows.set_policy(connection, world.people.accounts["acme"], policy)
    assert await push(world, "mia", "acme/web") == MEMBERS_MAY_NOT.format("private")
    for name in (*names, "mia", "wim job acme/site write"):
        assert await push(world, name, "acme/web") == await push(world, name, "acme/free"), name


async def test_a_push_to_a_name_in_use_is_an_ordinary_push(world: RegistryAccessWorld) -> None:
    package_id = await world.package("acme/web", PRIVATE, linked="acme/web")
    caller = await world.caller(await world.who("wim"), ALL)
    assert (await world.access.authorize_push(caller, WEB)).package.id == package_id
    assert await push(world, "mia", "acme/web") == NO_PUSH  # he reads it
    assert await world.audited() == []


async def test_two_first_pushes_at_once_make_one_package(world: RegistryAccessWorld) -> None:
    callers = [await world.caller(await world.who(name), ALL_OF_FREE) for name in ("olga", "mia", "wim")]
    got = await asyncio.gather(*(answer(world.access.authorize_push(caller, FREE)) for caller in callers))
    assert got.count(OK) + got.count(ANOTHER_TOKEN) + got.count(MISSING) == len(callers)
    assert got.count(OK) == 1  # A12: the others' tokens were for a name that was free
    assert [action for _, action, _, _ in await world.audited()] == ["package.create"]
    async with world.store.read() as connection:
        assert len((await connection.execute(packages.select())).all()) == 1


async def test_two_first_pushes_of_one_token_at_once_are_both_good(world: RegistryAccessWorld) -> None:
    """A client pushes several layers side by side, before the package is there."""
    password = await world.who("mia")
    callers = [await world.caller(password, ALL_OF_FREE) for _ in range(3)]
    got = await asyncio.gather(*(answer(world.access.authorize_push(caller, FREE)) for caller in callers))
    assert got == [OK] * 3
    assert [action for _, action, _, _ in await world.audited()] == ["package.create"]


ALWAYS_TAKEN = {
    "sqlite": ["CREATE TRIGGER taken BEFORE INSERT ON packages BEGIN SELECT RAISE(ABORT, 'taken'); END"],
    "postgresql": [
        "CREATE FUNCTION taken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE unique_violation; END'",
        "CREATE TRIGGER taken BEFORE INSERT ON packages FOR EACH ROW EXECUTE FUNCTION taken()",
    ],
}


async def test_a_name_that_is_always_taken_again_ends_in_a_conflict(world: RegistryAccessWorld) -> None:
    """As if another request made and deleted the package each time, between the look and the insertion."""
    async with world.store.begin() as connection:
        for statement in ALWAYS_TAKEN["sqlite" if world.store.is_sqlite else "postgresql"]:
            await connection.execute(text(statement))
    caller = await world.caller(await world.who("mia"), ALL_OF_FREE)
    with pytest.raises(Conflict) as refused:
        await world.access.authorize_push(caller, FREE)
    assert refused.value.code == "package.name_taken"
    assert await world.audited() == []

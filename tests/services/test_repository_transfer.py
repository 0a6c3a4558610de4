"""Transfers on both databases: who may (A13), what stays, what ends (A12), and what happens at the same time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import func, select, text
from tests.account_world import AccountWorld, outcome
from tests.rest.test_access_token import codespace_token
from tests.secret_world import ACME, MINE, WEB
from tests.services.test_access_token import personal

from berth.adapters.store import account as account_rows
from berth.adapters.store import repository as rows
from berth.adapters.store import repository_transfer as transfer_rows
from berth.adapters.store import team as team_rows
from berth.adapters.store.database import Store
from berth.adapters.store.secret_tables import secret_repositories, secrets
from berth.adapters.store.tables import accounts as account_table
from berth.adapters.store.tables import (
    audit_log,
    collaborators,
    memberships,
    team_repositories,
    teams,
)
from berth.adapters.store.tables import repositories as repository_table
from berth.domain.access import Action
from berth.domain.account import AccountType, OrganizationRole
from berth.domain.problem import NotFound
from berth.domain.repository import Visibility
from berth.domain.repository_transfer import TransferPlan
from berth.domain.role import Role
from berth.domain.secret import SecretVisibility
from berth.domain.secret_text import SecretText
from berth.domain.workflow_permissions import parse_permissions
from berth.services.contents import FileChange
from berth.services.repository import RepositoryChange, RepositoryView

OK = "ok"
MISSING = "NotFound repository.not_found"
DENIED = "Denied repository.denied"
SELECTED = SecretVisibility.SELECTED


@pytest.fixture
async def world(accounts: AccountWorld) -> AccountWorld:
    """With a second organization: firm, owned by mia; olga and adam are members."""
    people = accounts.people
    async with accounts.store.begin() as connection:
        firm = await account_rows.insert_account(
            connection, login="firm", kind=AccountType.ORGANIZATION, now=people.clock.now()
        )
        people.accounts["firm"] = firm.id
        for login, role in (("mia", "admin"), ("olga", "member"), ("adam", "member")):
            await account_rows.set_membership(connection, firm.id, people.accounts[login], OrganizationRole(role))
    return accounts


def transfer(
    world: AccountWorld, who: str, repository: str, new_owner: str, name: str | None = None
) -> Awaitable[RepositoryView]:
    owner, _, short = repository.partition("/")
    return world.services.repository_transfers.transfer(world.who(who), owner, short, new_owner, name)


async def role_of(world: AccountWorld, who: str, repository: str) -> str:
    """A role's word, of somebody who may see the repository; else the Problem."""
    owner, _, short = repository.partition("/")
    try:
        return (await world.services.repositories.view(world.who(who), owner, short)).role.word
    except NotFound:
        return "none"


async def test_who_may_transfer_and_to_whom(world: AccountWorld) -> None:
    token, scope = "Denied token.codespace", "Denied scope.missing"
    expected = {
        ("otto", "acme/web", "otto"): MISSING,  # A13
        ("otto", "acme/gone", "otto"): MISSING,
        ("otto", "acme/web", "nobody"): MISSING,
        ("rita", "acme/web", "rita"): DENIED,
        ("wim", "acme/web", "wim"): DENIED,
        ("mia", "acme/web", "firm"): DENIED,
        ("otto", "acme/site", "otto"): DENIED,
        ("adam@acme/web", "acme/web", "adam"): token,
        ("adam job acme/web write", "acme/web", "adam"): token,
        ("adam:", "acme/web", "adam"): MISSING,  # A6
        ("adam:public_repo", "acme/web", "adam"): MISSING,
        ("olga:public_repo", "acme/site", "olga"): scope,
        ("adam", "acme/web", "otto"): "Denied repository.transfer.denied",
        ("olga", "acme/web", "adam"): "Denied repository.transfer.denied",
        ("otto", "otto/own", "acme"): "Denied repository.create_denied",
        ("adam", "acme/web", "ACME"): "Invalid repository.transfer.same_owner",
        ("otto", "otto/own", "otto"): "Invalid repository.transfer.same_owner",
        **{
            ("adam", "acme/web", login): "Invalid repository.transfer.owner_unknown" for login in ("", "nobody", "a\0b")
        },
        ("adam", "acme/web", "x" * 100_000): "Invalid repository.transfer.owner_unknown",
        ("olga", "acme/docs", "firm"): OK,
        ("adam", "acme/web", "Adam"): OK,
        ("adam", "acme/web", "adam"): MISSING,  # it is not there any more
    }
    got = {case: await outcome(transfer(world, *case)) for case in expected}
    assert got == expected


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x.git", "x" * 101, "a\0b"])
async def test_a_bad_name_is_refused(world: AccountWorld, name: str) -> None:
    assert await outcome(transfer(world, "adam", "acme/web", "adam", name)) == "Invalid repository.name"


async def test_the_id_and_git_stay_and_the_old_name_is_free(world: AccountWorld) -> None:
    service, olga = world.services.repositories, world.who("olga")
    made = (await service.create(olga, "acme", RepositoryChange(name="tool", visibility=Visibility.PRIVATE))).repository
    await world.services.contents.put(olga, "acme", "tool", "a", FileChange(message="m", data=b"kept"))
    path = (await service.open_git(olga, "acme", "tool", Action.READ)).path
    moved = (await transfer(world, "olga", "acme/tool", "firm", "Tool2")).repository
    assert (moved.id, moved.full_name, moved.owner_is_organization) == (made.id, "firm/Tool2", True)
    assert moved.updated_at >= made.updated_at
    assert (await service.open_git(olga, "firm", "tool2", Action.WRITE)).path == path
    commit = await world.berth.repositories.find_commit(made.id, "main")
    assert commit is not None
    assert await world.berth.repositories.read_file(made.id, commit, "a") == b"kept"
    assert await outcome(service.get(olga, "acme", "tool", Action.READ)) == MISSING
    again = (await service.create(olga, "acme", RepositoryChange(name="tool"))).repository
    assert again.id != made.id


async def test_a_name_that_the_new_owner_has_is_refused_and_nothing_has_changed(world: AccountWorld) -> None:
    await world.services.repositories.create(world.who("mia"), "firm", RepositoryChange(name="WEB"))
    await world.people.put("olga", ACME, "A", visibility=SELECTED, repositories=("acme/web",))
    assert await outcome(transfer(world, "adam", "acme/web", "firm")) == "Invalid repository.name.taken"
    assert await role_of(world, "wim", "acme/web") == "push"
    assert await role_of(world, "adam", "acme/web") == "admin"
    assert ("organization", "A") in await world.people.opened("wim", "acme/web")
    assert await outcome(transfer(world, "adam", "acme/web", "firm", "web2")) == OK


async def test_a12_the_old_organization_keeps_nothing_and_people_keep_their_roles(world: AccountWorld) -> None:
    before = {name: await role_of(world, name, "acme/web") for name in ("olga", "mia", "wim", "rita", "adam", "otto")}
    assert before == {"olga": "admin", "mia": "pull", "wim": "push", "rita": "pull", "adam": "admin", "otto": "none"}
    await transfer(world, "adam", "acme/web", "adam")
    after = {name: await role_of(world, name, "adam/web") for name in before}
    assert after == {"olga": "none", "mia": "none", "wim": "none", "rita": "pull", "adam": "admin", "otto": "none"}
    found, _total = await world.services.repositories.list_collaborators(
        world.who("adam"), "adam", "web", limit=9, offset=0
    )
    assert {user.login: role.word for user, role in found} == {"rita": "pull", "adam": "admin"}
    async with world.store.read() as connection:
        named = (await connection.execute(select(collaborators.c.user_id))).scalars().all()
    assert named == [world.people.accounts["rita"]]  # the owner has no row of his own


async def test_what_comes_back_brings_no_old_grant_with_it(world: AccountWorld) -> None:
    await world.people.put("olga", ACME, "A", visibility=SELECTED, repositories=("acme/web", "acme/docs"))
    await transfer(world, "olga", "acme/web", "firm")
    await transfer(world, "olga", "firm/web", "acme")
    assert await role_of(world, "wim", "acme/web") == "pull"  # a member's, not his team's
    assert await world.people.opened("olga", "acme/web") == {}
    assert await world.people.opened("wim", "acme/docs") == {("organization", "A"): "value"}
    selected, _total = await world.people.service.list_repositories(world.who("olga"), ACME, "A", limit=9, offset=0)
    assert [repository.full_name for repository in selected] == ["acme/docs"]


async def test_who_transfers_it_goes_on_administering_it(world: AccountWorld) -> None:
    service = world.services.repositories
    await service.create(world.who("wim"), "wim", RepositoryChange(name="tool", visibility=Visibility.PRIVATE))
    moved = await transfer(world, "wim", "wim/tool", "acme")
    assert moved.role is Role.ADMIN
    assert [await role_of(world, name, "acme/tool") for name in ("wim", "olga", "mia", "otto")] == [
        "admin",
        "admin",
        "pull",
        "none",
    ]
    await service.set_collaborator(world.who("otto"), "otto", "own", "adam", "admin")
    await transfer(world, "adam", "otto/own", "adam")
    assert [await role_of(world, name, "adam/own") for name in ("adam", "otto")] == ["admin", "admin"]
    await transfer(world, "otto", "adam/own", "otto")
    assert [await role_of(world, name, "otto/own") for name in ("adam", "otto")] == ["admin", "admin"]


async def test_secrets_of_the_repository_and_of_users_stay_the_organizations_go(world: AccountWorld) -> None:
    people = world.people
    await people.put("adam", WEB, "OF_REPOSITORY", "one")
    await people.put("adam", MINE, "OF_USER", "two", repositories=("acme/web",))
    await people.put("olga", ACME, "CHOSEN", "three", visibility=SELECTED, repositories=("acme/web",))
    await people.put("olga", ACME, "ALL", "four", visibility=SecretVisibility.ALL)
    stays = {("user", "OF_USER"): "two", ("repository", "OF_REPOSITORY"): "one"}
    assert await people.opened("adam", "acme/web") == stays | {
        ("organization", "CHOSEN"): "three",
        ("organization", "ALL"): "four",
    }
    await transfer(world, "adam", "acme/web", "adam")
    assert await people.opened("adam", "acme/web") == stays  # this looks it up by the id that it had
    assert await people.opened("wim", "acme/web") == {}


@pytest.mark.parametrize(
    ("new_owner", "visibility"), [("olga", Visibility.PRIVATE), ("firm", Visibility.INTERNAL)], ids=["user", "org"]
)
async def test_an_internal_one_becomes_private_under_a_user(
    world: AccountWorld, new_owner: str, visibility: Visibility
) -> None:
    assert (await transfer(world, "olga", "acme/docs", new_owner)).repository.visibility is visibility
    seen = await role_of(world, "adam", f"{new_owner}/docs")
    assert seen == ("pull" if new_owner == "firm" else "none")


async def test_a12_workflow_tokens_end_and_codespaces_are_decided_anew(world: AccountWorld) -> None:
    tokens, number = world.services.access_tokens, world.people.repositories["acme/web"]
    adam, _value = await personal(world, "adam", "repo")
    job = await world.services.workflow_tokens.create(adam, "acme", "web", parse_permissions({"contents": "write"}))
    inside = {}
    for login in ("adam", "wim"):
        _id, value = await codespace_token(world.berth, number, world.people.accounts[login])
        inside[login] = SecretText(value)
    await transfer(world, "adam", "acme/web", "adam")
    assert await tokens.find_subject(job.value) is None
    got = {}
    for login, token in inside.items():
        subject = await tokens.find_subject(token)
        assert subject is not None
        got[login] = await outcome(world.services.repositories.get_by_id(subject, number, Action.WRITE))
    assert got == {"adam": OK, "wim": MISSING}


async def test_both_accounts_logs_tell_of_it(world: AccountWorld) -> None:
    await transfer(world, "olga", "acme/web", "firm", "site")
    async with world.store.read() as connection:
        statement = select(audit_log).where(audit_log.c.action == "repository.transfer").order_by(audit_log.c.id)
        found = (await connection.execute(statement)).all()
    people = world.people.accounts
    assert [(row.account_id, row.actor_login, row.target, row.detail) for row in found] == [
        (people["acme"], "olga", "acme/web", "firm/site"),
        (people["firm"], "olga", "acme/web", "firm/site"),
    ]


async def leftovers(world: AccountWorld) -> int:
    """Grants and selections that are not of the repository's owner, and internal repositories of users."""
    owners = repository_table.c.owner_id
    grants = (
        select(func.count())
        .select_from(team_repositories)
        .join(teams, teams.c.id == team_repositories.c.team_id)
        .join(repository_table, repository_table.c.id == team_repositories.c.repository_id)
        .where(teams.c.organization_id != owners)
    )
    selections = (
        select(func.count())
        .select_from(secret_repositories)
        .join(secrets, secrets.c.id == secret_repositories.c.secret_id)
        .join(repository_table, repository_table.c.id == secret_repositories.c.repository_id)
        .where(secrets.c.level == "organization", secrets.c.account_id != owners)
    )
    internal = (
        select(func.count())
        .select_from(repository_table)
        .join(account_table, account_table.c.id == owners)
        .where(account_table.c.type == AccountType.USER, repository_table.c.visibility == Visibility.INTERNAL)
    )
    async with world.store.read() as connection:
        return sum([int((await connection.execute(one)).scalar_one()) for one in (grants, selections, internal)])


async def until_waiting(store: Store) -> None:
    """Until a statement waits for a row's lock. SQLite has one writer, who waits before his first statement."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while not store.is_sqlite:
        async with store.read() as connection:
            if (await connection.execute(waiting)).scalar_one():
                return
        await asyncio.sleep(0.01)


INTERNAL = RepositoryChange(visibility=Visibility.INTERNAL)
LATE: dict[str, tuple[str, Callable[[AccountWorld], Awaitable[object]], str]] = {
    "a user's would become internal": (
        "olga",
        lambda world: world.services.repositories.update(world.who("olga"), "acme", "web", INTERNAL),
        MISSING,
    ),
    "the old owner changes it": (
        "adam",
        lambda world: world.services.repositories.update(world.who("olga"), "acme", "web", RepositoryChange(name="x")),
        MISSING,
    ),
    "the old owner deletes it": (
        "adam",
        lambda world: world.services.repositories.delete(world.who("olga"), "acme", "web"),
        MISSING,
    ),
    "the old owner lets somebody in": (
        "adam",
        lambda world: world.services.repositories.set_collaborator(world.who("olga"), "acme", "web", "otto", "push"),
        MISSING,
    ),
    "the old owner puts somebody out": (
        "adam",
        lambda world: world.services.repositories.remove_collaborator(world.who("olga"), "acme", "web", "rita"),
        MISSING,
    ),
    "the old owner grants it to a team": (
        "adam",
        lambda world: world.services.teams.set_repository(world.who("olga"), "acme", "writers", "acme", "web", "push"),
        MISSING,
    ),
    "a writer of the old team makes a workflow token": (
        "adam",
        lambda world: world.services.workflow_tokens.create(world.who("wim"), "acme", "web", parse_permissions({})),
        MISSING,
    ),
}


@pytest.mark.parametrize(("new_owner", "call", "expected"), LATE.values(), ids=LATE.keys())
async def test_what_was_allowed_just_before_a_transfer_is_decided_again_after_it(
    world: AccountWorld, new_owner: str, call: Callable[[AccountWorld], Awaitable[object]], expected: str
) -> None:
    number = world.people.repositories["acme/web"]
    plan = TransferPlan(
        owner_id=world.people.accounts[new_owner], name="web", visibility=Visibility.PRIVATE, administrators=frozenset()
    )
    async with world.store.begin() as connection:
        await rows.lock_repository(connection, number)
        late = asyncio.create_task(outcome(call(world)))
        await until_waiting(world.store)
        await transfer_rows.cut_ties(connection, number, world.people.accounts["acme"])
        await transfer_rows.change_owner(connection, number, plan, world.people.clock.now())
    assert await late == (MISSING if world.store.is_sqlite else expected)  # SQLite's looked only now, by the old name
    assert await leftovers(world) == 0


async def test_of_what_happens_at_the_same_time_nothing_of_the_old_owner_is_left(world: AccountWorld) -> None:
    """To olga and back, while others grant, select, close and make tokens; each round in another order of starting."""
    people, olga = world.people, world.who("olga")
    number = people.repositories["acme/web"]
    await people.put("olga", ACME, "A", visibility=SELECTED, repositories=())
    for turn in range(6):
        calls: list[Awaitable[object]] = [
            transfer(world, "olga", "acme/web", "olga"),
            world.services.teams.set_repository(olga, "acme", "writers", "acme", "web", "push"),
            people.service.add_repository(olga, ACME, "A", number),
            world.services.repositories.update(olga, "acme", "web", RepositoryChange(visibility=Visibility.INTERNAL)),
            people.service.set_repositories(olga, ACME, "A", (number, people.repositories["acme/docs"])),
        ]
        first = turn % len(calls)
        got = await asyncio.gather(*(outcome(call) for call in (*calls[first:], *calls[:first])))
        assert set(got) <= {OK, MISSING, "Invalid secret.repository_unknown", "Invalid repository.visibility"}
        assert await leftovers(world) == 0
        assert await outcome(transfer(world, "olga", "olga/web", "acme")) == OK  # so the first one succeeded too
        assert await world.people.opened("olga", "acme/web") == {}
        assert await outcome(world.services.teams.remove_repository(olga, "acme", "writers", "acme", "web")) == OK


async def test_who_is_removed_from_the_organization_meanwhile_keeps_no_role_in_it(world: AccountWorld) -> None:
    olga, wim = world.who("olga"), world.people.accounts["wim"]
    for turn in range(6):
        await world.services.repositories.create(world.who("wim"), "wim", RepositoryChange(name=f"tool{turn}"))
        calls: list[Awaitable[object]] = [
            transfer(world, "wim", f"wim/tool{turn}", "acme"),
            world.services.accounts.remove_membership(olga, "acme", "wim"),
        ]
        got = await asyncio.gather(*(outcome(call) for call in (calls if turn % 2 else reversed(calls))))
        assert set(got) <= {OK, "Denied repository.create_denied"}
        async with world.store.begin() as connection:
            theirs = select(repository_table.c.id).where(repository_table.c.owner_id == world.people.accounts["acme"])
            kept = select(func.count()).where(collaborators.c.user_id == wim, collaborators.c.repository_id.in_(theirs))
            assert (await connection.execute(kept)).scalar_one() == 0
            assert (
                await connection.execute(select(func.count()).where(memberships.c.user_id == wim))
            ).scalar_one() == 0
            await account_rows.set_membership(connection, world.people.accounts["acme"], wim, OrganizationRole.MEMBER)


async def test_of_two_transfers_at_once_one_succeeds_and_two_that_cross_both_do(world: AccountWorld) -> None:
    both = (("adam", "acme/web", "adam"), ("olga", "acme/web", "firm"))
    got = await asyncio.gather(*(outcome(transfer(world, *case)) for case in both))
    assert sorted(got) == [MISSING, OK]
    for turn in range(4):
        name = f"r{turn}"
        for owner in ("acme", "firm"):
            await world.services.repositories.create(world.who("olga"), owner, RepositoryChange(name=f"{owner}{name}"))
        cases = (("olga", f"acme/acme{name}", "firm"), ("olga", f"firm/firm{name}", "acme"))
        assert await asyncio.gather(*(outcome(transfer(world, *case)) for case in cases)) == [OK, OK]


async def test_a_transfer_and_a_deletion_or_a_new_role_at_once(world: AccountWorld) -> None:
    service, olga = world.services.repositories, world.who("olga")
    for turn in range(4):
        name = f"tool{turn}"
        await service.create(olga, "acme", RepositoryChange(name=name, visibility=Visibility.PRIVATE))
        got = await asyncio.gather(
            outcome(service.set_collaborator(world.who("olga"), "acme", name, "otto", "push")),
            outcome(transfer(world, "olga", f"acme/{name}", "firm")),
            outcome(service.set_collaborator(world.who("olga"), "acme", name, "olga", "pull")),
        )
        assert got[1] == OK
        assert await role_of(world, "olga", f"firm/{name}") == "admin"  # whatever was said of her before
        assert await role_of(world, "otto", f"firm/{name}") == ("push" if got[0] == OK else "none")
    gone = (transfer(world, "adam", "acme/web", "adam"), service.delete(olga, "acme", "web"))
    assert sorted(await asyncio.gather(*(outcome(call) for call in gone))) == [MISSING, OK]


async def test_a_grant_to_a_team_of_another_owner_is_refused_by_the_store(world: AccountWorld) -> None:
    async with world.store.begin() as connection:
        team = await team_rows.find_team(connection, world.people.accounts["acme"], "writers")
        assert team is not None
        with pytest.raises(NotFound):
            await team_rows.set_team_repository(connection, team.id, world.people.repositories["otto/own"], Role.PULL)

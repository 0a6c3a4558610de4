"""Repositories by who asks, on both databases (A6, A13, A14, S6, L9); and races."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.account_world import AccountWorld, outcome, outcomes

from berth.adapters.git_process import run_git
from berth.adapters.git_repositories import BareGitRepositories
from berth.adapters.store import collaborator as collaborator_rows
from berth.adapters.store import repository as rows
from berth.adapters.store.tables import audit_log
from berth.adapters.store.tables import repositories as repository_table
from berth.domain.access import Action
from berth.domain.problem import NotFound, UpstreamFailed
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.services.contents import FileChange
from berth.services.repository import RepositoryChange, RepositoryService

MISSING = "NotFound repository.not_found"
DENIED = "Denied repository.denied"
OK = "ok"
# Who asks: reading, writing and administering acme/web (private), acme/docs (internal) and acme/site (public).
TABLE = {
    "anonymous": ((MISSING,) * 3, (MISSING,) * 3, (OK, DENIED, DENIED)),
    "otto": ((MISSING,) * 3, (MISSING,) * 3, (OK, DENIED, DENIED)),
    "mia": ((OK, DENIED, DENIED), (OK, DENIED, DENIED), (OK, DENIED, DENIED)),
    "rita": ((OK, DENIED, DENIED), (MISSING,) * 3, (OK, DENIED, DENIED)),
    "wim": ((OK, OK, DENIED), (OK, OK, DENIED), (OK, OK, DENIED)),
    "adam": ((OK,) * 3, (MISSING,) * 3, (OK, DENIED, DENIED)),
    "olga": ((OK,) * 3, (OK,) * 3, (OK,) * 3),
    "olga:public_repo": ((MISSING,) * 3, (MISSING,) * 3, (OK,) * 3),  # A6
    "olga:": ((MISSING,) * 3, (MISSING,) * 3, (OK, DENIED, DENIED)),
    "olga:admin:org,delete_repo": ((MISSING,) * 3, (MISSING,) * 3, (OK, DENIED, DENIED)),
    "olga@acme/web": ((OK, OK, DENIED), (MISSING,) * 3, (OK, DENIED, DENIED)),  # L9
    "rita@acme/web": ((OK, DENIED, DENIED), (MISSING,) * 3, (OK, DENIED, DENIED)),  # S6: no more than its user
    "otto@acme/web": ((MISSING,) * 3, (MISSING,) * 3, (OK, DENIED, DENIED)),
    "olga job acme/web write": ((OK, OK, DENIED), (MISSING,) * 3, (OK, DENIED, DENIED)),  # A8
    "olga job acme/web read": ((OK, DENIED, DENIED), (MISSING,) * 3, (OK, DENIED, DENIED)),
    "olga job acme/web none": ((MISSING,) * 3, (MISSING,) * 3, (OK, DENIED, DENIED)),
    "olga job acme/site write": ((MISSING,) * 3, (MISSING,) * 3, (OK, OK, DENIED)),
    "rita job acme/web write": ((OK, DENIED, DENIED), (MISSING,) * 3, (OK, DENIED, DENIED)),  # no more than its maker
    "otto job acme/web write": ((MISSING,) * 3, (MISSING,) * 3, (OK, DENIED, DENIED)),
}


async def test_who_may(accounts: AccountWorld) -> None:
    service, got = accounts.services.repositories, {}
    for name in TABLE:
        subject = accounts.anyone(name)
        answers = [
            [await outcome(service.get(subject, "acme", repository, action)) for action in Action]
            for repository in ("web", "docs", "site")
        ]
        got[name] = tuple(tuple(each) for each in answers)
    assert got == TABLE


async def test_the_lists_show_what_the_decision_lets_read(accounts: AccountWorld) -> None:
    """`_readable_by` is the second form of a rule of `domain.access`: both must agree for every caller and repository."""
    service, people = accounts.services.repositories, accounts.people
    names = [*TABLE, "otto@otto/own", "wim@acme/docs", "mia:repo", "wim:public_repo", "adam:repo", "otto:public_repo"]
    names += [f"otto job otto/own {contents}" for contents in ("none", "read", "write")]
    async with accounts.store.begin() as connection:  # a team of another organization gives nothing
        await connection.execute(repository_table.update().where(repository_table.c.name == "own").values(owner_id=1))
        await connection.execute(
            repository_table.update().where(repository_table.c.name == "docs").values(owner_id=people.accounts["otto"])
        )
    for name in names:
        subject = accounts.anyone(name)
        listed, total = await service.search(subject, "", limit=100, offset=0)
        readable = {
            one
            for one, number in people.repositories.items()
            if await outcome(service.get_by_id(subject, number, Action.READ)) == OK
        }
        assert {people.repositories[one] for one in readable} == {view.repository.id for view in listed}, name
        assert total == len(readable)


@pytest.mark.parametrize("repository", ["acme/web", "acme/docs", "acme/site", "otto/own"])
async def test_facts_of_many_are_the_facts_of_each(accounts: AccountWorld, repository: str) -> None:
    number = accounts.people.repositories[repository]
    for account_id in (None, *accounts.people.accounts.values()):
        async with accounts.store.read() as connection:
            many = await rows.gather_facts_of_many(connection, account_id, [*accounts.people.repositories.values(), -1])
            one = await rows.gather_facts(connection, account_id, number)
            known = await rows.find_known_by_id(connection, account_id, number)
        assert known is not None
        assert [facts for facts in many if facts.repository_id == number] == [one] == [known.facts]


async def test_lists(accounts: AccountWorld) -> None:
    service = accounts.services.repositories

    async def own(name: str) -> list[str]:
        return [one.repository.full_name for one in (await service.list_own(accounts.who(name), limit=9, offset=0))[0]]

    assert await own("otto") == ["otto/own"]
    assert await own("adam") == ["acme/web"]
    assert await own("adam:public_repo") == []  # A6
    assert await own("mia") == ["acme/docs", "acme/site", "acme/web"]
    found, _total = await service.list_of(None, "acme", limit=9, offset=0)
    assert [(view.repository.name, view.role) for view in found] == [("site", Role.PULL)]
    assert await outcome(service.list_of(None, "gone", limit=9, offset=0)) == "NotFound account.not_found"
    assert (await service.search(None, "acme/s%", limit=9, offset=0))[1] == 0


async def test_who_creates_where(accounts: AccountWorld) -> None:
    service = accounts.services.repositories
    private, public = Visibility.PRIVATE, Visibility.PUBLIC
    cases = {
        ("mia", "mia", private): OK,
        ("mia", "acme", private): OK,
        ("mia:public_repo", "acme", public): OK,
        ("mia:public_repo", "acme", private): "Denied scope.missing",
        ("mia:admin:org", "acme", public): "Denied scope.missing",
        ("mia@acme/web", "mia", public): "Denied token.codespace",
        ("mia job acme/web write", "mia", public): "Denied token.codespace",
        ("otto", "acme", public): "Denied repository.create_denied",
        ("otto", "mia", public): "Denied repository.create_denied",
        ("otto", "gone", public): "NotFound account.not_found",
        ("otto", "otto", Visibility.INTERNAL): "Invalid repository.visibility",
        ("mia", "acme", Visibility.INTERNAL): OK,
    }
    got = {
        case: await outcome(
            service.create(accounts.who(case[0]), case[1], RepositoryChange(name=f"r{number}", visibility=case[2]))
        )
        for number, case in enumerate(cases)
    }
    assert got == cases
    view = await service.view(accounts.who("mia"), "acme", "r1")
    assert view.role is Role.ADMIN  # whoever makes it administers it
    mia = accounts.who("mia")
    assert await outcome(service.create(mia, "mia", RepositoryChange())) == "Invalid repository.name"
    assert (await service.create(mia, "mia", RepositoryChange(name="open"))).repository.visibility is public
    bad = RepositoryChange(name="x", description="two\nlines")
    assert await outcome(service.create(mia, "mia", bad)) == "Invalid repository.description"
    bad = RepositoryChange(name="x", default_branch="a..b")
    assert await outcome(service.create(mia, "mia", bad)) == "Invalid repository.branch"


async def test_an_administrator_changes(accounts: AccountWorld) -> None:
    service, adam = accounts.services.repositories, accounts.who("adam")
    await accounts.berth.repositories.create(accounts.people.repositories["acme/web"], default_branch="main")
    expected = {"adam": OK, "wim": DENIED, "mia": DENIED, "otto": MISSING, "adam@acme/web": DENIED, "adam:": MISSING}
    expected |= {"adam job acme/web write": DENIED, "adam job acme/site write": MISSING}
    change = RepositoryChange(description="new", visibility=Visibility.INTERNAL)
    got = await outcomes({name: service.update(accounts.who(name), "acme", "web", change) for name in expected})
    assert got == expected
    opened = RepositoryChange(visibility=Visibility.PUBLIC)
    assert await outcome(service.update(adam, "acme", "web", opened)) == OK
    limited = accounts.who("adam:public_repo")
    closed = RepositoryChange(visibility=Visibility.PRIVATE)
    assert await outcome(service.update(limited, "acme", "web", closed)) == "Denied scope.missing"
    assert await outcome(service.update(adam, "acme", "web", RepositoryChange(name="site"))) == (
        "Invalid repository.name.taken"
    )
    branch = RepositoryChange(default_branch="trunk")
    assert await outcome(service.update(adam, "acme", "web", branch)) == "Invalid repository.branch_unknown"
    renamed = await service.update(adam, "acme", "web", RepositoryChange(name="Web2"))
    assert (renamed.repository.name, renamed.repository.description) == ("Web2", "new")


async def test_only_an_administrator_with_the_scope_deletes(accounts: AccountWorld) -> None:
    service = accounts.services.repositories
    expected = {
        "wim": DENIED,
        "otto": MISSING,
        "adam@acme/web": "Denied token.codespace",
        "adam job acme/web write": "Denied token.codespace",
        "adam:repo": "Denied denied",  # A6
        "adam:delete_repo": MISSING,
        "adam": OK,
        "olga": MISSING,
    }
    assert await outcomes({name: service.delete(accounts.who(name), "acme", "web") for name in expected}) == expected


async def test_a_directory_that_cannot_be_removed_does_not_keep_the_row(accounts: AccountWorld, tmp_path: Path) -> None:
    class Stubborn(BareGitRepositories):
        async def delete(self, repository_id: int) -> None:
            raise UpstreamFailed("No.", code="git.failed")

    service = RepositoryService(
        store=accounts.store, clock=accounts.people.clock, git=Stubborn(tmp_path / "repositories")
    )
    assert await outcome(service.delete(accounts.who("otto"), "otto", "own")) == OK
    assert await outcome(service.get(accounts.who("otto"), "otto", "own", Action.READ)) == MISSING


async def test_collaborators(accounts: AccountWorld) -> None:
    service, adam = accounts.services.repositories, accounts.who("adam")
    expected = {"otto": MISSING, "wim": DENIED, "adam@acme/web": DENIED, "adam:public_repo": MISSING, "adam": OK}
    calls = {name: service.set_collaborator(accounts.who(name), "acme", "web", "otto", "triage") for name in expected}
    assert await outcomes(calls) == expected
    otto = accounts.who("otto")
    assert await outcome(service.get(otto, "acme", "web", Action.READ)) == OK
    found, _total = await service.list_collaborators(accounts.who("wim"), "acme", "web", limit=9, offset=0)
    assert {user.login: role.word for user, role in found} == {"rita": "pull", "otto": "triage", "adam": "admin"}
    found, _total = await service.list_collaborators(otto, "otto", "own", limit=9, offset=0)
    assert [(user.login, role) for user, role in found] == [("otto", Role.ADMIN)]  # the owner is one
    assert await outcome(service.list_collaborators(otto, "acme", "web", limit=9, offset=0)) == DENIED
    assert await outcome(service.set_collaborator(adam, "acme", "web", "otto", "boss")) == "Invalid role.unknown"
    assert await outcome(service.set_collaborator(otto, "otto", "own", "otto", "push")) == "Invalid repository.owner"
    for inside in ("otto@acme/web", "otto job acme/web write"):
        assert await outcome(service.remove_collaborator(accounts.who(inside), "acme", "web", "otto")) == DENIED
    assert await outcome(service.remove_collaborator(otto, "acme", "web", "otto")) == OK  # he goes by himself
    assert await outcome(service.get(otto, "acme", "web", Action.READ)) == MISSING
    before = await _audit_rows(accounts)
    assert await outcome(service.remove_collaborator(otto, "acme", "site", "otto")) == OK
    assert await _audit_rows(accounts) == before  # nothing happened: nothing to tell


async def _audit_rows(accounts: AccountWorld) -> int:
    async with accounts.store.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(audit_log))).scalar_one())


@pytest.mark.parametrize(
    "login, web, site",
    [("olga", True, True), ("mia", True, True), ("wim", True, True), ("rita", True, False), ("otto", False, False)],
)
async def test_a_collaborator_is_who_has_a_role_that_not_everybody_has(
    accounts: AccountWorld, login: str, web: bool, site: bool
) -> None:
    service, olga = accounts.services.repositories, accounts.who("olga")
    assert await service.is_collaborator(olga, "acme", "web", login) is web
    assert await service.is_collaborator(olga, "acme", "site", login) is site
    _user, role = await service.find_role_of(olga, "acme", "site", login)
    assert role >= Role.PULL  # what he may do on a public one


async def test_what_others_may_do_is_for_those_who_work_on_it(accounts: AccountWorld) -> None:
    service = accounts.services.repositories
    expected = {"wim": OK, "rita": OK, "mia": DENIED, "otto": MISSING}
    assert (
        await outcomes({name: service.find_role_of(accounts.who(name), "acme", "web", "rita") for name in expected})
        == expected
    )
    got = await outcome(service.find_role_of(accounts.who("wim"), "acme", "web", "nobody"))
    assert got == "NotFound account.not_found"
    teams = {"adam": OK, "wim": DENIED, "otto": MISSING}
    assert (
        await outcomes(
            {name: service.list_teams(accounts.who(name), "acme", "web", limit=9, offset=0) for name in teams}
        )
        == teams
    )


async def test_a13_only_members_see_the_teams_of_a_repository(accounts: AccountWorld) -> None:
    """adam administers it and is no member."""
    service = accounts.services.repositories
    seen = {}
    for name in ("olga", "adam"):
        found, total = await service.list_teams(accounts.who(name), "acme", "web", limit=9, offset=0)
        seen[name] = ([team.slug for team, _role in found], total)
    assert seen == {"olga": (["writers"], 1), "adam": ([], 0)}


async def test_of_many_creations_of_one_name_one_succeeds(accounts: AccountWorld) -> None:
    service = accounts.services.repositories
    calls = [
        service.create(accounts.who(login), "acme", RepositoryChange(name=name))
        for login, name in (("olga", "same"), ("mia", "Same"), ("wim", "SAME"))
    ]
    got = await asyncio.gather(*(outcome(call) for call in calls))
    assert sorted(got) == ["Invalid repository.name.taken"] * 2 + [OK]


async def test_two_renames_to_one_name_and_two_roles_at_once(accounts: AccountWorld) -> None:
    service, olga = accounts.services.repositories, accounts.who("olga")
    change = RepositoryChange(name="only")
    calls = [service.update(olga, "acme", name, change) for name in ("web", "site", "docs")]
    got = await asyncio.gather(*(outcome(call) for call in calls))
    assert sorted(got) == ["Invalid repository.name.taken"] * 2 + [OK]
    roles = [service.set_collaborator(olga, "acme", "only", "otto", word) for word in ("pull", "push", "admin")]
    assert set(await asyncio.gather(*(outcome(call) for call in roles))) == {OK}


async def test_what_was_deleted_meanwhile_is_not_found(accounts: AccountWorld) -> None:
    async with accounts.store.begin() as connection:
        with pytest.raises(NotFound):
            await collaborator_rows.set_collaborator(connection, 10**6, accounts.people.accounts["otto"], Role.PULL)
        with pytest.raises(NotFound):
            await rows.get_facts(connection, None, 10**6)


async def test_a_creation_that_was_interrupted_leaves_nothing_for_the_next(tmp_path: Path) -> None:
    git = BareGitRepositories(tmp_path / "repositories")
    await git.create(1, default_branch="old")
    (git.path(1) / "objects" / "leftover").write_text("of somebody else")
    await git.create(1, default_branch="new")
    assert (git.path(1) / "HEAD").read_text() == "ref: refs/heads/new\n"
    assert not (git.path(1) / "objects" / "leftover").exists()
    (tmp_path / "file").write_text("")
    assert await outcome(BareGitRepositories(tmp_path / "file").create(1, default_branch="x")) == (
        "UpstreamFailed git.failed"
    )


async def test_another_branch_becomes_the_default_once_it_is_there(accounts: AccountWorld) -> None:
    service, adam = accounts.services.repositories, accounts.who("adam")
    await accounts.berth.repositories.create(accounts.people.repositories["acme/web"], default_branch="main")
    await accounts.services.contents.put(adam, "acme", "web", "a", FileChange(message="m", data=b""))
    git = accounts.berth.repositories.path(accounts.people.repositories["acme/web"])
    await run_git([f"--git-dir={git}", "update-ref", "refs/heads/trunk", "refs/heads/main"])
    changed = await service.update(adam, "acme", "web", RepositoryChange(default_branch="trunk"))
    assert changed.repository.default_branch == "trunk"
    target = await service.open_git(adam, "acme", "web", Action.WRITE)
    assert (target.path / "HEAD").read_text() == "ref: refs/heads/trunk\n"
    assert await outcome(service.open_git(None, "acme", "web", Action.READ)) == MISSING
    assert await outcome(service.open_git(None, "acme", "site", Action.WRITE)) == DENIED

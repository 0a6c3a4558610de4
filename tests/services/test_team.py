"""Teams by who asks, on both databases (A6, A13, A14); and races."""

import asyncio

import pytest
from tests.account_world import AccountWorld, outcome, outcomes

from berth.adapters.store import team as rows
from berth.domain.problem import NotFound
from berth.domain.role import Role

MISSING = "NotFound account.not_found"
NOT_OWNER = "Denied account.not_owner"
NOT_KEPT = "Denied team.not_kept"
LOOKS = {
    "olga": "ok",
    "mia": "ok",
    "mia:read:org": "ok",
    "mia:repo": MISSING,  # A6
    "mia@acme/web": "ok",
    "rita": MISSING,
    "otto": MISSING,
}


async def test_a13_members_look_at_teams(accounts: AccountWorld) -> None:
    service = accounts.services.teams
    for look in (
        lambda who: service.list_teams(who, "acme", limit=9, offset=0),
        lambda who: service.get(who, "acme", "WRITERS"),
        lambda who: service.list_members(who, "acme", "writers", limit=9, offset=0),
        lambda who: service.get_member(who, "acme", "writers", "wim"),
        lambda who: service.list_repositories(who, "acme", "writers", limit=9, offset=0),
        lambda who: service.list_grants(who, "acme", "writers", limit=9, offset=0),
    ):
        assert await outcomes({name: look(accounts.who(name)) for name in LOOKS}) == LOOKS
    view = await service.get(accounts.who("mia"), "acme", "writers")
    assert (view.members, view.repositories) == (1, 3)
    assert await outcome(service.get(accounts.who("mia"), "acme", "none")) == "NotFound team.not_found"
    got = await outcome(service.get_member(accounts.who("mia"), "acme", "writers", "mia"))
    assert got == "NotFound team.no_membership"


async def test_a_teams_list_shows_the_repositories_that_the_token_may_read(accounts: AccountWorld) -> None:
    service = accounts.services.teams
    seen = {}
    for name in ("wim", "wim:read:org", "wim@acme/web"):
        found, _total = await service.list_repositories(accounts.who(name), "acme", "writers", limit=9, offset=0)
        seen[name] = [known.repository.name for known in found]
    assert seen == {"wim": ["docs", "site", "web"], "wim:read:org": ["site"], "wim@acme/web": ["site", "web"]}


async def test_a_teams_members_and_grants_come_with_their_roles(accounts: AccountWorld) -> None:
    service = accounts.services.teams
    members, _total = await service.list_members(accounts.who("mia"), "acme", "writers", limit=9, offset=0)
    assert [(user.login, role) for user, role in members] == [("wim", "member")]
    grants, total = await service.list_grants(accounts.who("wim"), "acme", "writers", limit=2, offset=0)
    assert ([(each.name, role) for each, role in grants], total) == ([("docs", Role.PUSH), ("site", Role.PUSH)], 3)


async def test_owners_make_and_change_teams(accounts: AccountWorld) -> None:
    service = accounts.services.teams
    expected = {
        "olga": "ok",
        "olga:write:org": NOT_OWNER,
        "olga@acme/web": "Denied token.codespace",
        "olga job acme/web write": "Denied token.codespace",
        "mia": NOT_OWNER,
        "adam": MISSING,
        "otto": MISSING,
    }
    made = {name: service.create(accounts.who(name), "acme", "Night Shift", "") for name in expected}
    assert await outcomes(made) == expected
    changed = {name: service.update(accounts.who(name), "acme", "night-shift", None, "late") for name in expected}
    assert await outcomes(changed) == expected
    olga = accounts.who("olga")
    renamed = await service.update(olga, "acme", "night-shift", "Early Birds", None)
    assert (renamed.team.slug, renamed.team.description) == ("early-birds", "late")
    assert await outcome(service.update(olga, "acme", "early-birds", "writers", None)) == "Invalid team.name.taken"
    assert await outcome(service.create(olga, "acme", "!!", "")) == "Invalid team.name"
    assert await outcome(service.create(olga, "acme", "new", "x" * 351)) == "Invalid team.description"
    assert await outcome(service.update(olga, "acme", "early-birds", None, "x" * 351)) == "Invalid team.description"
    deleted = {name: service.delete(accounts.who(name), "acme", "early-birds") for name in reversed(expected)}
    assert await outcomes(deleted) == expected


async def test_owners_and_maintainers_change_members(accounts: AccountWorld) -> None:
    service = accounts.services.teams
    olga = accounts.who("olga")
    assert await outcome(service.set_member(olga, "acme", "writers", "wim", "maintainer")) == "ok"
    expected = {
        "olga": "ok",
        "wim": "ok",
        "wim:write:org": "ok",
        "wim:read:org": NOT_KEPT,  # A6
        "wim@acme/web": "Denied token.codespace",
        "wim job acme/web write": "Denied token.codespace",
        "mia": NOT_KEPT,
        "otto": MISSING,
    }
    calls = {name: service.set_member(accounts.who(name), "acme", "writers", "mia", "member") for name in expected}
    assert await outcomes(calls) == expected
    assert await service.get_member(olga, "acme", "writers", "mia") == "member"
    calls = {name: service.remove_member(accounts.who(name), "acme", "writers", "mia") for name in expected}
    assert await outcomes(calls) == expected
    assert await outcome(service.set_member(olga, "acme", "writers", "mia", "owner")) == "Invalid team.role"  # A14
    got = await outcome(service.set_member(olga, "acme", "writers", "otto", "member"))
    assert got == "Invalid team.not_in_organization"


async def test_owners_grant_their_own_repositories(accounts: AccountWorld) -> None:
    service, repositories = accounts.services.teams, accounts.services.repositories
    expected = {
        "olga": "ok",
        "olga:write:org": NOT_OWNER,
        "olga@acme/web": "Denied token.codespace",
        "olga job acme/web write": "Denied token.codespace",
        "wim": NOT_OWNER,
        "adam": MISSING,
        "otto": MISSING,
    }
    calls = {
        name: service.set_repository(accounts.who(name), "acme", "writers", "acme", "web", "maintain")
        for name in expected
    }
    assert await outcomes(calls) == expected
    assert (await repositories.find_role_of(accounts.who("wim"), "acme", "web", "wim"))[1] is Role.MAINTAIN
    calls = {name: service.remove_repository(accounts.who(name), "acme", "writers", "acme", "web") for name in expected}
    assert await outcomes(calls) == expected
    assert (await repositories.find_role_of(accounts.who("wim"), "acme", "web", "wim"))[1] is Role.PULL
    olga = accounts.who("olga")
    for owner, name in (("otto", "own"), ("acme", "gone")):  # A13: another's is as missing
        got = await outcome(service.set_repository(olga, "acme", "writers", owner, name, "push"))
        assert got == "NotFound repository.not_found"
    got = await outcome(service.set_repository(olga, "acme", "writers", "acme", "web", "boss"))
    assert got == "Invalid role.unknown"  # A14


async def test_of_many_creations_of_one_team_one_succeeds(accounts: AccountWorld) -> None:
    olga = accounts.who("olga")
    calls = [accounts.services.teams.create(olga, "acme", name, "") for name in ("Core", "core", "CORE!")]
    got = await asyncio.gather(*(outcome(call) for call in calls))
    assert sorted(got) == ["Invalid team.name.taken"] * 2 + ["ok"]


async def test_the_same_change_at_once_is_made_once(accounts: AccountWorld) -> None:
    service, olga = accounts.services.teams, accounts.who("olga")
    calls = [service.set_member(olga, "acme", "writers", "mia", "member") for _ in range(4)]
    calls += [service.set_repository(olga, "acme", "writers", "acme", "web", "push") for _ in range(4)]
    assert set(await asyncio.gather(*(outcome(call) for call in calls))) == {"ok"}
    view = await service.get(olga, "acme", "writers")
    assert (view.members, view.repositories) == (2, 3)


async def test_what_was_deleted_meanwhile_is_not_found(accounts: AccountWorld) -> None:
    async with accounts.store.begin() as connection:
        with pytest.raises(NotFound):
            await rows.update_team(connection, 10**6, {"name": "x"})
        with pytest.raises(NotFound):
            await rows.set_team_member(connection, 10**6, accounts.people.accounts["mia"], "member")
        team = await rows.find_team(connection, accounts.people.accounts["acme"], "writers")
        assert team is not None
        with pytest.raises(NotFound):
            await rows.set_team_repository(connection, team.id, 10**6, Role.PULL)

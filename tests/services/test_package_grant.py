"""Roles on packages, given by name to users and teams, on both databases (A3, A13)."""

import asyncio

import pytest
from tests.account_world import outcome, outcomes
from tests.package_world import PackageWorld

from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.services.package_grant import PackageGrantService

OK = "ok"
MISSING = "NotFound package.not_found"
DENIED = "Denied package.denied"
OUTSIDE = "Invalid package.grant_outside"
NO_TEAM = "NotFound team.not_found"


def service(packages: PackageWorld) -> PackageGrantService:
    return packages.services.package_grants


async def users(packages: PackageWorld, name: str = "acme/app") -> dict[str, str]:
    found, total = await service(packages).list_users(
        packages.who("olga" if name.startswith("acme") else "otto"), packages.place(name), limit=100, offset=0
    )
    assert total == len(found)
    return {user.login: role.word for user, role in found}


async def teams(packages: PackageWorld, who: str = "olga") -> dict[str, str]:
    found, total = await service(packages).list_teams(
        packages.who(who), packages.place("acme/app"), limit=100, offset=0
    )
    assert total == len(found)
    return {team.slug: role.word for team, role in found}


async def test_admins_grant_and_take_away(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    await packages.grant("acme/app", "wim", PackageRole.ADMIN)
    expected = {
        "otto": MISSING,
        "mia": DENIED,
        "olga:read:packages": DENIED,
        "olga@acme/web": DENIED,
        "olga job acme/web": DENIED,
        "wim": OK,
        "olga": OK,
    }
    place, grants = packages.place("acme/app"), service(packages)
    for calls in (
        {who: grants.set_user(packages.who(who), place, "MIA", "read") for who in expected},
        {who: grants.list_users(packages.who(who), place, limit=1, offset=0) for who in expected},
        {who: grants.list_teams(packages.who(who), place, limit=1, offset=0) for who in expected},
        {who: grants.set_team(packages.who(who), place, "writers", "read") for who in expected},
        {who: grants.remove_team(packages.who(who), place, "writers") for who in expected},
        {who: grants.remove_user(packages.who(who), place, "mia") for who in expected},
    ):
        assert await outcomes(calls) == expected
    assert await users(packages) == {"wim": "admin"}
    assert [(actor, detail.split(" package.")[0]) for actor, _, detail in await packages.audit("package.grant")] == [
        ("wim", "mia read"),
        ("olga", "mia read"),
        ("wim", "team writers read"),
        ("olga", "team writers read"),
    ]
    revoked = [detail.split(" package.")[0] for _, _, detail in await packages.audit("package.revoke")]
    assert revoked == ["team writers", "mia"]  # what nobody had is not taken away


async def test_a_grant_is_changed_by_another_and_works_at_once(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    olga, mia, place = packages.who("olga"), packages.who("mia"), packages.place("acme/app")
    get = packages.services.packages.get
    assert await outcome(get(mia, place)) == MISSING
    for role in ("read", "admin", "write"):
        await service(packages).set_user(olga, place, "mia", role)
        assert await users(packages) == {"mia": role}
        assert await outcome(get(mia, place)) == OK
    await service(packages).remove_user(olga, place, "mia")
    assert await outcome(get(mia, place)) == MISSING
    await service(packages).set_team(olga, place, "writers", "read")
    assert await teams(packages) == {"writers": "read"}
    assert await outcome(get(packages.who("wim"), place)) == OK


@pytest.mark.parametrize(
    ("name", "visibility", "told"),
    [
        ("acme/app", Visibility.PRIVATE, OUTSIDE),
        ("acme/app", Visibility.INTERNAL, OUTSIDE),
        ("acme/app", Visibility.PUBLIC, OK),
        ("otto/app", Visibility.PRIVATE, OK),
        ("otto/app", Visibility.PUBLIC, OK),
    ],
)
async def test_a3_whom_a_package_can_be_granted_to(
    packages: PackageWorld, name: str, visibility: Visibility, told: str
) -> None:
    await packages.package(name, visibility)
    owner = packages.who("olga" if name == "acme/app" else "otto")
    place = packages.place(name)
    assert await outcome(service(packages).set_user(owner, place, "rita", "write")) == told  # no member of acme
    assert await outcome(service(packages).set_user(owner, place, "mia", "write")) == OK
    assert await users(packages, name) == ({"rita": "write", "mia": "write"} if told == OK else {"mia": "write"})


async def test_whom_and_what_there_is_not(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    olga, place, grants = packages.who("olga"), packages.place("acme/app"), service(packages)
    assert await outcomes(
        {
            "no user": grants.set_user(olga, place, "nobody", "read"),
            "an organization": grants.set_user(olga, place, "acme", "read"),
            "no user to remove": grants.remove_user(olga, place, "nobody"),
            "no role": grants.set_user(olga, place, "mia", "none"),
            "a repository's role": grants.set_user(olga, place, "mia", "push"),
            "no team": grants.set_team(olga, place, "nobody", "read"),
            "no team to remove": grants.remove_team(olga, place, "nobody"),
            "no role for a team": grants.set_team(olga, place, "writers", ""),
        }
    ) == {
        "no user": "NotFound account.not_found",
        "an organization": "NotFound account.not_found",
        "no user to remove": "NotFound account.not_found",
        "no role": "Invalid package.role",
        "a repository's role": "Invalid package.role",
        "no team": NO_TEAM,
        "no team to remove": NO_TEAM,
        "no role for a team": "Invalid package.role",
    }
    assert (await users(packages), await teams(packages)) == ({}, {})


async def test_a13_teams_are_for_members_with_a_token_that_reads_the_organization(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.PUBLIC)
    await packages.grant_team("acme/app", "writers", PackageRole.READ)
    await packages.grant("acme/app", "otto", PackageRole.ADMIN)  # an outsider, which a public package allows
    place, grants = packages.place("acme/app"), service(packages)
    blind = packages.who("olga:write:packages")
    assert await teams(packages) == {"writers": "read"}
    assert await teams(packages, "otto") == {}
    for slug in ("writers", "nobody"):
        assert await outcome(grants.set_team(packages.who("otto"), place, slug, "read")) == NO_TEAM
        assert await outcome(grants.remove_team(packages.who("otto"), place, slug)) == NO_TEAM
        assert await outcome(grants.set_team(blind, place, slug, "read")) == "Denied scope.missing"
    assert await outcome(grants.list_teams(blind, place, limit=1, offset=0)) == "Denied scope.missing"


async def test_a_users_package_has_no_teams(packages: PackageWorld) -> None:
    await packages.package("otto/app")
    otto, place = packages.who("otto"), packages.place("otto/app")
    assert await service(packages).list_teams(otto, place, limit=1, offset=0) == ([], 0)
    assert await outcome(service(packages).set_team(otto, place, "writers", "read")) == NO_TEAM


async def test_lists_are_paged(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    for login in ("olga", "mia", "wim"):
        await packages.grant("acme/app", login, PackageRole.READ)
    found, total = await service(packages).list_users(
        packages.who("olga"), packages.place("acme/app"), limit=1, offset=1
    )
    assert ([user.login for user, _ in found], total) == (["mia"], 3)


async def test_a_grant_to_a_member_who_leaves_at_that_moment_leaves_nothing_behind(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    olga, place = packages.who("olga"), packages.place("acme/app")
    told = await asyncio.gather(
        outcome(service(packages).set_user(olga, place, "mia", "admin")),
        outcome(packages.services.accounts.remove_membership(olga, "acme", "mia")),
    )
    assert told[0] in {OK, OUTSIDE}
    assert told[1] == OK
    assert await users(packages) == {}

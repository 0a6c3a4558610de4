"""A package's settings: who changes them, and what follows, on both databases (A4, A8, A10, A11, A13)."""

import asyncio

import pytest
from sqlalchemy import select
from tests.account_world import outcome, outcomes
from tests.package_world import PackageWorld

from berth.adapters.store import package_grant as grant_rows
from berth.adapters.store.package_tables import packages as package_table
from berth.domain.package_role import PackageRole
from berth.domain.package_settings import SettingsChange
from berth.domain.repository import Visibility
from berth.services.package_settings import PackageSettingsService, SettingsView

OK = "ok"
MISSING = "NotFound package.not_found"
DENIED = "Denied package.denied"
UNKNOWN = "Invalid package.repository_unknown"
TO_PUBLIC = SettingsChange(visibility=Visibility.PUBLIC)
LINK = SettingsChange(repository=("acme", "web"))
LINK_AND_INHERIT = SettingsChange(repository=("acme", "web"), inherits_access=True)


def service(packages: PackageWorld) -> PackageSettingsService:
    return packages.services.package_settings


async def change(packages: PackageWorld, who: str, wanted: SettingsChange, name: str = "acme/app") -> SettingsView:
    return await service(packages).change(packages.who(who), packages.place(name), wanted)


async def grants(packages: PackageWorld, name: str = "acme/app") -> tuple[int, int]:
    async with packages.accounts.store.read() as connection:
        _users, users = await grant_rows.list_users(connection, packages.ids[name], limit=1, offset=0)
        _teams, teams = await grant_rows.list_teams(connection, packages.ids[name], limit=1, offset=0)
    return users, teams


async def test_admins_see_and_change_settings(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    await packages.grant("acme/app", "wim", PackageRole.ADMIN)
    await packages.grant("acme/app", "mia", PackageRole.WRITE)
    await packages.open_to("acme/app", "acme/site", PackageRole.ADMIN)
    expected = {
        "otto": MISSING,
        "mia": DENIED,
        "olga:read:packages,delete:packages": DENIED,
        "olga@acme/web": DENIED,
        "olga job acme/web": DENIED,
        "olga job acme/site": DENIED,
        "wim": OK,
        "olga": OK,
    }
    place = packages.place("acme/app")
    days = SettingsChange(untagged_retention_days=7)
    got = {who: service(packages).get(packages.who(who), place) for who in expected}
    assert await outcomes(got) == expected
    changed = {who: service(packages).change(packages.who(who), place, days) for who in expected}
    assert await outcomes(changed) == expected
    assert (await service(packages).get(packages.who("olga"), place)).package.untagged_retention_days == 7
    assert [row[0] for row in await packages.audit("package.settings")] == ["wim", "olga"]


async def test_every_change_is_told_with_what_changed_and_by_which_rules(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    await packages.grant("acme/app", "mia", PackageRole.READ)
    await change(packages, "olga", LINK_AND_INHERIT)
    await change(packages, "olga", SettingsChange())
    web = packages.accounts.people.repositories["acme/web"]
    rules = "package.owner package.action.administer"
    assert [row[2] for row in await packages.audit("package.settings")] == [
        f"repository_id None -> {web}, inherits_access False -> True, grants overwritten {rules}",
        "nothing changed package.owner package.inherited package.action.administer",
    ]  # fmt: skip


async def test_a4_switching_inheritance_on_overwrites_grants_and_leaves_lists(packages: PackageWorld) -> None:
    await packages.package("acme/app", linked="acme/web")
    await packages.grant("acme/app", "mia", PackageRole.ADMIN)
    await packages.grant_team("acme/app", "writers", PackageRole.READ)
    await packages.open_to("acme/app", "acme/site")
    place = packages.place("acme/app")
    rita = packages.who("rita")
    assert await outcome(packages.services.packages.get(rita, place)) == MISSING
    await change(packages, "olga", SettingsChange(inherits_access=True))
    assert await grants(packages) == (0, 0)
    assert await outcome(packages.services.packages.get(rita, place)) == OK
    assert await outcome(packages.services.packages.get(packages.who("mia@acme/site"), place)) == OK
    # what is granted from now on stays, also when it is switched on again
    await packages.grant("acme/app", "mia", PackageRole.READ)
    await change(packages, "olga", SettingsChange(inherits_access=True))
    assert await grants(packages) == (1, 0)
    await change(packages, "olga", SettingsChange(inherits_access=False))
    assert await outcome(packages.services.packages.get(rita, place)) == MISSING
    assert await grants(packages) == (1, 0)


async def test_unlinking_ends_inheritance(packages: PackageWorld) -> None:
    await packages.package("acme/app", linked="acme/web", inherits=True)
    view = await change(packages, "olga", SettingsChange(unlinks=True))
    assert (view.package.repository_id, view.package.inherits_access, view.repository) == (None, False, None)
    assert await outcome(change(packages, "olga", SettingsChange(inherits_access=True))) == "Invalid package.not_linked"


async def test_a_link_needs_write_on_the_repository(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    for login in ("mia", "wim", "rita", "adam"):
        await packages.grant("acme/app", login, PackageRole.ADMIN)
    await packages.open_to("acme/app", "acme/site", PackageRole.ADMIN)
    await packages.open_to("acme/app", "acme/web", PackageRole.ADMIN)
    expected = {
        "olga": OK,
        "wim": OK,
        "mia": "Denied repository.denied",
        "olga:write:packages": UNKNOWN,  # a private repository is no repository for this token
        "olga job acme/site": DENIED,
        "olga job acme/web": DENIED,
    }
    tried = {who: change(packages, who, LINK) for who in expected}
    assert await outcomes(tried) == expected
    hidden, absent = [
        await outcome(change(packages, "olga", SettingsChange(repository=("otto", name)))) for name in ("own", "none")
    ]
    assert hidden == absent == UNKNOWN  # A13


async def test_a3_only_a_repository_of_the_same_owner_gives_its_roles(packages: PackageWorld) -> None:
    await packages.package("otto/app")
    await packages.package("acme/app")
    await packages.grant("otto/app", "wim", PackageRole.ADMIN)
    linked = await change(packages, "wim", LINK, "otto/app")
    assert linked.repository is not None
    assert linked.repository.full_name == "acme/web"
    inherit = SettingsChange(inherits_access=True)
    assert await outcome(change(packages, "wim", inherit, "otto/app")) == "Invalid package.link_owner"
    both = change(packages, "wim", LINK_AND_INHERIT, "otto/app")
    assert await outcome(both) == "Invalid package.link_owner"
    assert await outcome(change(packages, "olga", LINK_AND_INHERIT)) == OK


async def test_a13_a_link_is_named_to_who_may_read_the_repository(packages: PackageWorld) -> None:
    await packages.package("acme/app", linked="acme/web")
    place = packages.place("acme/app")
    view = await service(packages).get(packages.who("olga:write:packages"), place)
    assert (view.package.repository_id is not None, view.repository) == (True, None)


async def test_a10_public_is_for_ever(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    assert await outcome(change(packages, "olga", TO_PUBLIC)) == OK
    otto = packages.who("otto")
    assert await outcome(packages.services.packages.get(otto, packages.place("acme/app"))) == OK
    for visibility in (Visibility.PRIVATE, Visibility.INTERNAL):
        closing = change(packages, "olga", SettingsChange(visibility=visibility, untagged_retention_days=1))
        assert await outcome(closing) == "Conflict package.public_for_ever"
    view = await service(packages).get(packages.who("olga"), packages.place("acme/app"))
    assert view.package.untagged_retention_days is None  # all or nothing


async def test_a11_members_give_only_the_visibilities_that_the_organization_lets_them(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    await packages.grant("acme/app", "mia", PackageRole.ADMIN)
    await packages.open_to("acme/app", "acme/web", PackageRole.ADMIN)
    await packages.services.package_policies.change(
        packages.who("olga"), "acme", inherit_access_default=None, creatable_visibilities=["private"]
    )
    to_private = SettingsChange(visibility=Visibility.PRIVATE)
    unchanged = SettingsChange(visibility=Visibility.INTERNAL, untagged_retention_days=9)
    assert await outcomes(
        {
            "mia, public": change(packages, "mia", TO_PUBLIC),
            "workflow of an owner, public": change(packages, "olga job acme/web", TO_PUBLIC),
            "mia, as it is": change(packages, "mia", unchanged),
            "mia, private": change(packages, "mia", to_private),
            "olga, public": change(packages, "olga", TO_PUBLIC),
        }
    ) == {
        "mia, public": DENIED,
        "workflow of an owner, public": DENIED,
        "mia, as it is": OK,
        "mia, private": OK,
        "olga, public": OK,
    }


@pytest.mark.parametrize("visibility", Visibility)
async def test_a_users_package_is_never_internal(packages: PackageWorld, visibility: Visibility) -> None:
    await packages.package("otto/app")
    told = await outcome(change(packages, "otto", SettingsChange(visibility=visibility), "otto/app"))
    assert told == ("Invalid package.visibility" if visibility is Visibility.INTERNAL else OK)


async def test_a_link_and_the_deletion_of_its_repository_leave_no_inheritance_behind(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    olga = packages.accounts.who("olga")
    told = await asyncio.gather(
        outcome(change(packages, "olga", LINK_AND_INHERIT)),
        outcome(packages.services.repositories.delete(olga, "acme", "web")),
    )
    assert told[0] in {OK, UNKNOWN}
    assert told[1] == OK
    columns = (package_table.c.repository_id, package_table.c.inherits_access)
    async with packages.accounts.store.read() as connection:
        row = (await connection.execute(select(*columns))).one()
    assert tuple(row) == (None, False)

"""Who lists, sees, deletes and restores which package, on both databases (A2-A6, A12, A13)."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, select
from tests.account_world import outcome, outcomes
from tests.package_world import PackageWorld, names

from berth.adapters.store import package as rows
from berth.adapters.store.package_tables import package_blobs, package_codespaces, package_collaborators
from berth.domain.access import Action
from berth.domain.account import AccountType
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.services.package import PackageView
from berth.services.package_access import PackagePlace
from berth.services.repository import RepositoryChange

OK = "ok"
MISSING = "NotFound package.not_found"
DENIED = "Denied package.denied"
EVERYBODY = ("olga", "mia", "wim", "rita", "adam", "otto")


async def see(packages: PackageWorld, name: str, *people: str) -> dict[str, str]:
    get = packages.services.packages.get
    return await outcomes({who: get(packages.who(who), packages.place(name)) for who in people})


async def listed(packages: PackageWorld, who: str, owner: str = "acme") -> list[str]:
    found, total = await packages.services.packages.list_of(packages.who(who), owner, None, None, limit=100, offset=0)
    assert total == len(found)
    return names(found)


@pytest.mark.parametrize(
    ("visibility", "readers"),
    [
        (Visibility.PRIVATE, {"olga"}),
        (Visibility.INTERNAL, {"olga", "mia", "wim"}),
        (Visibility.PUBLIC, set(EVERYBODY)),
    ],
)
async def test_a1_a2_a5_a13_who_sees_a_package_and_finds_it_in_lists(
    packages: PackageWorld, visibility: Visibility, readers: set[str]
) -> None:
    await packages.package("acme/app", visibility)
    assert await see(packages, "acme/app", *EVERYBODY) == {who: OK if who in readers else MISSING for who in EVERYBODY}
    for who in EVERYBODY:
        assert await listed(packages, who) == (["app"] if who in readers else [])


async def test_a3_a4_grants_and_inherited_roles_open_it(packages: PackageWorld) -> None:
    await packages.package("acme/granted")
    await packages.grant("acme/granted", "mia", PackageRole.READ)
    await packages.grant("acme/granted", "otto", PackageRole.ADMIN)  # no member: it holds for nothing
    await packages.package("acme/team")
    await packages.grant_team("acme/team", "writers", PackageRole.READ)
    await packages.package("acme/inherits", linked="acme/web", inherits=True)
    await packages.package("acme/linked", linked="acme/web")
    assert {who: sorted(await listed(packages, who)) for who in EVERYBODY} == {
        "olga": ["granted", "inherits", "linked", "team"],
        "mia": ["granted", "inherits"],  # web is private: its base permission is an explicit role
        "wim": ["inherits", "team"],
        "rita": ["inherits"],
        "adam": ["inherits"],
        "otto": [],
    }


async def test_a6_a7_a8_tokens_see_no_more_than_the_decision_lets_them(packages: PackageWorld) -> None:
    await packages.package("acme/inherits", linked="acme/web", inherits=True)
    await packages.package("acme/other")
    await packages.package("acme/open", Visibility.PUBLIC)
    expected = {
        "olga:repo": ["open"],
        "olga:read:packages": ["inherits", "open", "other"],
        "olga@acme/web": ["inherits", "open"],
        "olga@otto/own": ["open"],
        "olga job acme/web": ["inherits", "open"],
        "olga job acme/docs": ["open"],
    }
    assert {who: sorted(await listed(packages, who)) for who in expected} == expected


async def test_own_packages_are_those_of_ones_organizations_too(packages: PackageWorld) -> None:
    await packages.package("acme/closed")
    await packages.package("acme/xinside", Visibility.INTERNAL)
    await packages.package("olga/own")
    await packages.package("otto/open", Visibility.PUBLIC)

    async def own(who: str, text: str = "", visibility: Visibility | None = None) -> list[str]:
        found, total = await packages.services.packages.list_own(
            packages.who(who), text, visibility, limit=100, offset=0
        )
        assert total == len(found)
        return names(found)

    assert {who: await own(who) for who in EVERYBODY} == {
        "olga": ["own", "xinside", "closed"],
        "mia": ["xinside"],
        "wim": ["xinside"],
        "rita": [],
        "adam": [],
        "otto": ["open"],
    }
    assert await own("olga", "CME/x") == ["xinside"]
    assert await own("olga", "%") == []
    assert await own("olga", visibility=Visibility.PRIVATE) == ["own", "closed"]
    assert await own("olga:repo") == []  # no scope for packages, and none is public


async def test_a13_packages_of_a_repository_are_for_who_reads_it(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.PUBLIC, linked="acme/web")
    await packages.package("acme/closed", linked="acme/web")
    await packages.package("acme/other", Visibility.PUBLIC)

    async def linked(who: str) -> list[str]:
        found, total = await packages.services.packages.list_linked(
            packages.who(who), "acme", "web", limit=100, offset=0
        )
        assert total == len(found)
        return names(found)

    assert await linked("olga") == ["closed", "app"]
    assert await linked("rita") == ["app"]
    assert await outcome(linked("otto")) == "NotFound repository.not_found"


async def test_what_was_deleted_is_listed_for_the_account_owner_for_as_long_as_it_can_come_back(
    packages: PackageWorld,
) -> None:
    for name in ("acme/app", "acme/old", "acme/here", "mia/own"):
        await packages.package(name)
    await packages.package("acme/name", published=False)
    for who, name in (("olga", "acme/app"), ("olga", "acme/old"), ("mia", "mia/own")):
        await packages.services.packages.delete(packages.who(who), packages.place(name))
    await packages.age("acme/old", 31)

    async def deleted(who: str) -> list[str]:
        found, total = await packages.services.packages.list_deleted(packages.who(who), limit=100, offset=0)
        assert total == len(found)
        return [package.full_name for package in found]

    assert {who: await deleted(who) for who in EVERYBODY} == {
        **{who: [] for who in EVERYBODY},
        "olga": ["acme/app"],
        "mia": ["mia/own"],
    }
    for token in ("olga:read:packages", "olga@acme/web", "olga job acme/web"):
        assert await outcome(deleted(token)) == DENIED


async def test_what_one_may_do_is_what_the_decision_allows(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    await packages.grant("acme/app", "wim", PackageRole.WRITE)

    async def actions(who: str) -> set[str]:
        return set(await packages.services.packages.list_actions(packages.who(who), packages.place("acme/app")))

    assert await actions("olga") == {"pull", "push", "delete", "administer"}
    assert await actions("wim") == {"pull", "push"}
    assert await actions("mia") == {"pull"}
    assert await actions("olga:read:packages") == {"pull"}
    assert await outcome(actions("otto")) == MISSING


async def test_an_unpublished_name_is_nobodys_package(packages: PackageWorld) -> None:
    await packages.package("acme/app", published=False)
    assert await listed(packages, "olga") == []
    assert await see(packages, "acme/app", "olga") == {"olga": MISSING}


async def test_what_names_nothing_is_missing(packages: PackageWorld) -> None:
    olga = packages.who("olga")
    await packages.package("otto/app", Visibility.PUBLIC)
    for place in (
        PackagePlace(None),
        packages.place("acme/app"),
        packages.place("nobody/app"),
        PackagePlace(packages.place("otto/app").name, of_organization=True),
    ):
        assert await outcome(packages.services.packages.get(olga, place)) == MISSING
        assert await outcome(packages.services.packages.restore(olga, place)) == MISSING
    assert await outcome(packages.services.packages.get(olga, packages.place("otto/app"))) == OK
    otto, as_organization = packages.who("otto"), PackagePlace(packages.place("otto/app").name, of_organization=True)
    await packages.services.packages.delete(otto, packages.place("otto/app"))
    assert await outcome(packages.services.packages.restore(otto, as_organization)) == MISSING
    assert await outcome(packages.services.packages.restore(otto, packages.place("otto/app"))) == OK


async def test_lists_know_their_owner_and_filter_by_visibility(packages: PackageWorld) -> None:
    for name, visibility in (("a", Visibility.PUBLIC), ("b", Visibility.INTERNAL), ("c", Visibility.PRIVATE)):
        await packages.package(f"acme/{name}", visibility)
    await packages.package("otto/mine")
    service, olga = packages.services.packages, packages.who("olga")
    seen = {}
    for visibility in (None, *Visibility):
        found, total = await service.list_of(olga, "ACME", AccountType.ORGANIZATION, visibility, limit=2, offset=0)
        seen[visibility] = (names(found), total)
    assert seen == {
        None: (["c", "b"], 3),  # newest first
        Visibility.PUBLIC: (["a"], 1),
        Visibility.INTERNAL: (["b"], 1),
        Visibility.PRIVATE: (["c"], 1),
    }
    assert await outcomes(
        {
            "a user is no organization": service.list_of(
                olga, "otto", AccountType.ORGANIZATION, None, limit=1, offset=0
            ),
            "nobody": service.list_of(olga, "nobody", None, None, limit=1, offset=0),
            "an account": service.check_owner("otto", None),
            "no account": service.check_owner("nobody", None),
        }
    ) == {
        "a user is no organization": "NotFound account.not_found",
        "nobody": "NotFound account.not_found",
        "an account": OK,
        "no account": "NotFound account.not_found",
    }


async def test_a_package_shows_its_live_versions_and_its_repository_to_who_may_read_that(
    packages: PackageWorld,
) -> None:
    await packages.package("acme/app", Visibility.PUBLIC, linked="acme/web")
    await packages.version("acme/app", "1")
    gone = await packages.version("acme/app", "2")
    await packages.services.package_versions.delete(packages.who("olga"), packages.place("acme/app"), gone)
    seen = {}
    for who in ("olga", "otto", "olga:read:packages"):
        view: PackageView = await packages.services.packages.get(packages.who(who), packages.place("acme/app"))
        seen[who] = (view.versions, None if view.repository is None else view.repository.full_name)
    assert seen == {"olga": (1, "acme/web"), "otto": (1, None), "olga:read:packages": (1, None)}  # A13


@pytest.mark.parametrize("who", ["olga", "olga@acme/web", "olga job acme/web"])
async def test_a_page_takes_as_many_queries_for_fifty_packages_as_for_two(packages: PackageWorld, who: str) -> None:
    async def queries(owner: str) -> int:
        statements: list[str] = []

        def count(*event_arguments: object) -> None:
            statements.append(str(event_arguments[2]))

        engine = packages.accounts.store.engine.sync_engine
        event.listen(engine, "before_cursor_execute", count)
        found = await listed(packages, who, owner)
        event.remove(engine, "before_cursor_execute", count)
        assert len(found) == {"acme": 50, "otto": 2}[owner]
        return len(statements)

    for number in range(50):
        await packages.package(f"acme/p{number}", Visibility.PUBLIC, linked="acme/site", inherits=True)
        await packages.version(f"acme/p{number}", "1")
    for number in range(2):
        await packages.package(f"otto/p{number}", Visibility.PUBLIC, linked="acme/site")
        await packages.version(f"otto/p{number}", "1")
    assert await queries("acme") == await queries("otto")


async def test_admins_delete_with_the_scope_for_it(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    await packages.grant("acme/app", "wim", PackageRole.WRITE)
    expected = {
        "otto": MISSING,
        "otto:repo": DENIED,  # what the token lacks is no secret
        "mia": DENIED,
        "wim": DENIED,
        "olga:write:packages": DENIED,
        "olga:delete:packages": DENIED,
        "olga@acme/web": DENIED,
        "olga job acme/web": MISSING,
        "olga": OK,
    }
    place = packages.place("acme/app")
    delete = packages.services.packages.delete
    assert await outcomes({who: delete(packages.who(who), place) for who in expected}) == expected
    assert await see(packages, "acme/app", "olga") == {"olga": MISSING}
    assert await listed(packages, "olga") == []
    ((actor, target, detail),) = await packages.audit("package.delete")
    assert (actor, target) == ("olga", "acme/app")
    assert f"id {packages.ids['acme/app']} package.owner" in detail
    assert "package.action.delete" in detail


async def test_a8_a_workflow_with_the_role_admin_deletes(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    await packages.open_to("acme/app", "acme/web", PackageRole.WRITE)
    delete = packages.services.packages.delete
    assert await outcome(delete(packages.who("olga job acme/web"), packages.place("acme/app"))) == DENIED
    await packages.open_to("acme/app", "acme/web", PackageRole.ADMIN)
    assert await outcome(delete(packages.who("olga job acme/web"), packages.place("acme/app"))) == OK


async def during(packages: PackageWorld, values: dict[str, object], late: Awaitable[object]) -> str:
    """What a use case says that waits for the package while another transaction changes it in this way."""
    package_id = packages.ids["acme/app"]
    async with packages.accounts.store.begin() as connection:
        await rows.lock_package(connection, package_id)
        task = asyncio.create_task(outcome(late))
        await packages.until_one_waits()
        await rows.update_package(connection, package_id, values)
    return await task


async def test_what_waited_for_a_package_sees_what_became_of_it(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    olga, place, service = packages.who("olga"), packages.place("acme/app"), packages.services.packages
    now = datetime.now(UTC)
    assert await during(packages, {"deleted_at": now}, service.delete(olga, place)) == MISSING
    assert await during(packages, {"deleted_at": None}, service.restore(olga, place)) == MISSING
    assert await see(packages, "acme/app", "olga") == {"olga": OK}
    assert await packages.audit("package.delete") == []


async def test_who_may_restore(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    await packages.grant("acme/app", "wim", PackageRole.WRITE)
    place = packages.place("acme/app")
    await packages.services.packages.delete(packages.who("olga"), place)
    expected = {
        "otto": MISSING,
        "mia": DENIED,
        "wim": DENIED,
        "olga:read:packages,delete:packages": DENIED,
        "olga@acme/web": DENIED,
        "olga": OK,
    }
    restore = packages.services.packages.restore
    assert await outcomes({who: restore(packages.who(who), place) for who in expected}) == expected
    assert await outcome(restore(packages.who("olga"), place)) == MISSING  # it is there
    assert await see(packages, "acme/app", "wim") == {"wim": OK}
    assert [row[:2] for row in await packages.audit("package.restore")] == [("olga", "acme/app")]


@pytest.mark.parametrize(("days", "told"), [(29, OK), (31, MISSING)])
async def test_a_package_can_be_restored_for_thirty_days(packages: PackageWorld, days: int, told: str) -> None:
    await packages.package("acme/app")
    olga, place = packages.who("olga"), packages.place("acme/app")
    await packages.services.packages.delete(olga, place)
    await packages.age("acme/app", days)
    assert await outcome(packages.services.packages.restore(olga, place)) == told


async def test_restoring_brings_back_versions_tags_grants_and_lists(packages: PackageWorld) -> None:
    await packages.package("acme/app", linked="acme/web", inherits=True)
    await packages.version("acme/app", "1", "latest")
    await packages.grant("acme/app", "mia", PackageRole.ADMIN)
    await packages.open_to("acme/app", "acme/site")
    olga, place = packages.who("olga"), packages.place("acme/app")
    before = await packages.services.packages.get(olga, place)
    await packages.services.packages.delete(olga, place)
    await packages.services.packages.restore(olga, place)
    after = await packages.services.packages.get(olga, place)
    assert (after, after.versions) == (before, 1)
    versions, _total = await packages.services.package_versions.list_versions(
        olga, place, deleted=False, limit=9, offset=0
    )
    assert [view.version.tags for view in versions] == [("1", "latest")]
    assert await see(packages, "acme/app", "mia", "mia@acme/site") == {"mia": OK, "mia@acme/site": OK}


async def test_a12_a_deleted_packages_name_carries_nothing_of_it(packages: PackageWorld) -> None:
    old = await packages.package("acme/app", linked="acme/web", inherits=True)
    await packages.version("acme/app", "latest", layer=b"old")
    await packages.grant("acme/app", "mia", PackageRole.ADMIN)
    await packages.grant_team("acme/app", "writers", PackageRole.READ)
    await packages.open_to("acme/app", "acme/site")
    await packages.open_to("acme/app", "acme/docs", PackageRole.ADMIN)
    people = ("olga", "mia", "wim", "rita", "mia@acme/web", "mia@acme/site", "olga job acme/docs")
    assert set((await see(packages, "acme/app", *people)).values()) == {OK}
    olga, place = packages.who("olga"), packages.place("acme/app")
    await packages.services.packages.delete(olga, place)
    new = await packages.package("acme/app")
    assert new != old
    assert await see(packages, "acme/app", *people) == {who: OK if who == "olga" else MISSING for who in people}
    versions = packages.services.package_versions
    for deleted in (False, True):
        assert await versions.list_versions(olga, place, deleted=deleted, limit=9, offset=0) == ([], 0)
    async with packages.accounts.store.read() as connection:
        for table in (package_collaborators, package_codespaces, package_blobs):
            of_new = select(table).where(table.c.package_id == new)
            assert (await connection.execute(of_new)).all() == []
    assert await outcome(packages.services.packages.restore(olga, place)) == "NotFound package.name_in_use"
    assert await see(packages, "acme/app", "mia") == {"mia": MISSING}


async def test_a13_that_the_name_is_in_use_is_told_only_to_who_may_read_the_new_package(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    await packages.grant("acme/app", "mia", PackageRole.ADMIN)
    place, restore = packages.place("acme/app"), packages.services.packages.restore
    await packages.services.packages.delete(packages.who("mia"), place)
    await packages.package("acme/app")
    assert await outcome(restore(packages.who("mia"), place)) == MISSING
    assert await outcome(restore(packages.who("mia"), packages.place("acme/never"))) == MISSING
    assert await outcome(restore(packages.who("olga"), place)) == "NotFound package.name_in_use"


async def test_of_several_deleted_ones_the_last_is_restored_or_the_one_that_is_named(packages: PackageWorld) -> None:
    olga, place, service = packages.who("olga"), packages.place("acme/app"), packages.services.packages
    ids = []
    for _ in range(2):
        ids.append(await packages.package("acme/app"))
        await service.delete(olga, place)
    other = await packages.package("acme/other")
    await service.delete(olga, packages.place("acme/other"))
    for wrong in (other, -1, 10**18):
        assert await outcome(service.restore(olga, place, wrong)) == MISSING
    await service.restore(olga, place)
    assert (await service.get(olga, place)).package.id == ids[1]
    await service.delete(olga, place)
    await service.restore(olga, place, ids[0])
    assert (await service.get(olga, place)).package.id == ids[0]


async def test_a12_a_deleted_repository_loses_its_packages_and_is_on_no_list(packages: PackageWorld) -> None:
    await packages.package("acme/app", linked="acme/web", inherits=True)
    await packages.open_to("acme/app", "acme/docs")
    await packages.open_to("acme/app", "acme/docs", PackageRole.WRITE)
    olga, place = packages.accounts.who("olga"), packages.place("acme/app")
    people = ("rita", "mia@acme/web", "mia@acme/docs", "wim job acme/docs")
    assert set((await see(packages, "acme/app", *people)).values()) == {OK}
    for name in ("web", "docs"):
        await packages.services.repositories.delete(olga, "acme", name)
    view = await packages.services.package_settings.get(packages.who("olga"), place)
    assert (view.package.repository_id, view.package.inherits_access) == (None, False)
    assert set((await see(packages, "acme/app", *people)).values()) == {MISSING}
    # a new repository of the same name is another one
    await packages.services.repositories.create(olga, "acme", RepositoryChange(name="web"))
    made = await packages.services.repositories.get(olga, "acme", "web", Action.READ)
    packages.accounts.people.repositories["acme/web"] = made.id
    assert await see(packages, "acme/app", "mia@acme/web") == {"mia@acme/web": MISSING}


async def test_a_membership_ends_with_its_grants(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    await packages.package("otto/app")
    for name in ("acme/app", "otto/app"):
        await packages.grant(name, "mia", PackageRole.WRITE)
    people = packages.accounts.people.accounts
    await packages.services.accounts.remove_membership(packages.who("olga"), "acme", "mia")
    async with packages.accounts.store.read() as connection:
        of_mia = package_collaborators.c.user_id == people["mia"]
        kept = (await connection.execute(select(package_collaborators.c.package_id).where(of_mia))).scalars().all()
    assert kept == [packages.ids["otto/app"]]

"""The lists of repositories that a package is opened to, on both databases (A3, A7 c, A8, A13)."""

import pytest
from tests.account_world import outcome, outcomes
from tests.package_world import PackageWorld

from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.services.package_repository import PackageRepositoryService
from berth.services.repository import RepositoryChange

OK = "ok"
MISSING = "NotFound package.not_found"
DENIED = "Denied package.denied"
NO_REPOSITORY = "NotFound repository.not_found"
OUTSIDE = "Invalid package.repository_outside"


def service(packages: PackageWorld) -> PackageRepositoryService:
    return packages.services.package_repositories


async def lists(packages: PackageWorld, who: str = "olga") -> tuple[list[str], dict[str, str]]:
    subject, place = packages.who(who), packages.place("acme/app")
    codespaces, of_codespaces = await service(packages).list_codespaces(subject, place, limit=100, offset=0)
    workflows, of_workflows = await service(packages).list_workflows(subject, place, limit=100, offset=0)
    assert (of_codespaces, of_workflows) == (len(codespaces), len(workflows))
    return [each.full_name for each in codespaces], {each.full_name: role.word for each, role in workflows}


async def test_admins_open_and_close(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    await packages.grant("acme/app", "wim", PackageRole.ADMIN)
    expected = {
        "otto": MISSING,
        "mia": DENIED,
        "olga:read:packages": DENIED,
        "olga@acme/web": DENIED,
        "olga job acme/docs": DENIED,
        "wim": OK,
        "olga": OK,
    }
    place, lists_of, web = (
        packages.place("acme/app"),
        service(packages),
        packages.accounts.people.repositories["acme/web"],
    )
    for calls in (
        {who: lists_of.add_codespaces(packages.who(who), place, web) for who in expected},
        {who: lists_of.list_codespaces(packages.who(who), place, limit=1, offset=0) for who in expected},
        {who: lists_of.find_for_codespaces(packages.who(who), place, "x", limit=1) for who in expected},
        {who: lists_of.remove_codespaces(packages.who(who), place, web) for who in expected},
        {who: lists_of.set_workflows(packages.who(who), place, web, "write") for who in expected},
        {who: lists_of.list_workflows(packages.who(who), place, limit=1, offset=0) for who in expected},
        {who: lists_of.find_for_workflows(packages.who(who), place, "x", limit=1) for who in expected},
        {who: lists_of.remove_workflows(packages.who(who), place, web) for who in expected},
    ):
        assert await outcomes(calls) == expected
    told = {}
    for action in ("codespaces_add", "codespaces_remove", "workflows_set", "workflows_remove"):
        rows = await packages.audit(f"package.{action}")
        told[action] = [(actor, detail.split(" package.")[0]) for actor, _, detail in rows]
    assert told == {
        "codespaces_add": [("wim", "acme/web")],  # who adds it again changes nothing
        "codespaces_remove": [("wim", f"id {web}")],
        "workflows_set": [("wim", "acme/web write"), ("olga", "acme/web write")],
        "workflows_remove": [("wim", f"id {web}")],
    }


async def test_a7_a8_lists_work_at_once_and_each_for_its_own_kind_of_token(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    olga, place, get = packages.who("olga"), packages.place("acme/app"), packages.services.packages.get
    ids = packages.accounts.people.repositories

    async def see() -> set[str]:
        people = ("mia@acme/web", "mia@acme/site", "wim job acme/web", "wim job acme/site")
        told = await outcomes({who: get(packages.who(who), place) for who in people})
        return {who for who, each in told.items() if each == OK}

    assert await see() == set()
    await service(packages).add_codespaces(olga, place, ids["acme/site"])  # a public repository needs it (A7)
    assert await see() == {"mia@acme/site"}
    await service(packages).set_workflows(olga, place, ids["acme/web"], "read")
    assert await see() == {"mia@acme/site", "wim job acme/web"}
    assert await lists(packages) == (["acme/site"], {"acme/web": "read"})
    await service(packages).set_workflows(olga, place, ids["acme/web"], "admin")
    await service(packages).remove_codespaces(olga, place, ids["acme/site"])
    assert await lists(packages) == ([], {"acme/web": "admin"})
    assert await see() == {"wim job acme/web"}


@pytest.mark.parametrize(
    ("visibility", "told"), [(Visibility.PRIVATE, OUTSIDE), (Visibility.INTERNAL, OUTSIDE), (Visibility.PUBLIC, OK)]
)
async def test_a3_what_is_closed_is_only_for_the_organizations_own_repositories(
    packages: PackageWorld, visibility: Visibility, told: str
) -> None:
    await packages.package("acme/app", visibility)
    await packages.package("otto/app", visibility if visibility is Visibility.PUBLIC else Visibility.PRIVATE)
    people, olga = packages.accounts.people, packages.who("olga")
    foreign = await open_repository_of_otto(packages)
    assert await outcome(service(packages).add_codespaces(olga, packages.place("acme/app"), foreign)) == told
    assert await outcome(service(packages).set_workflows(olga, packages.place("acme/app"), foreign, "read")) == told
    otto, site = packages.who("otto"), people.repositories["acme/site"]
    assert await outcome(service(packages).add_codespaces(otto, packages.place("otto/app"), site)) == OK


async def test_what_can_be_added_is_found(packages: PackageWorld) -> None:
    """Not what is on the list, nor what is outside (A3); nothing without a part of its name."""
    await packages.package("acme/app")
    await open_repository_of_otto(packages)
    olga, place, lists_of = packages.who("olga"), packages.place("acme/app"), service(packages)
    site = packages.accounts.people.repositories["acme/site"]

    async def find(text: str) -> list[list[str]]:
        found = (
            await lists_of.find_for_codespaces(olga, place, text, limit=10),
            await lists_of.find_for_workflows(olga, place, text, limit=10),
        )
        return [sorted(each.full_name for each in some) for some in found]

    assert await find("") == [[], []]
    assert await find("SITE") == [["acme/site"], ["acme/site"]]
    await lists_of.add_codespaces(olga, place, site)
    assert await find("site") == [[], ["acme/site"]]
    await lists_of.set_workflows(olga, place, site, "read")
    assert await find("site") == [[], []]
    assert await find("otto/open") == [[], []]
    await packages.package("acme/open", Visibility.PUBLIC)
    place = packages.place("acme/open")
    assert await find("otto/open") == [["otto/open"], ["otto/open"]]
    assert [len(await lists_of.find_for_codespaces(olga, place, "acme/", limit=1))] == [1]


async def open_repository_of_otto(packages: PackageWorld) -> int:
    """A public repository of otto's, which everybody may read."""
    made = await packages.services.repositories.create(
        packages.who("otto"), "otto", RepositoryChange(name="open", visibility=Visibility.PUBLIC)
    )
    return made.repository.id


async def test_a13_what_an_admin_may_not_read_he_cannot_name_nor_see(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.PUBLIC)
    await packages.grant("acme/app", "otto", PackageRole.ADMIN)
    await packages.open_to("acme/app", "acme/web")
    await packages.open_to("acme/app", "acme/site")
    await packages.open_to("acme/app", "acme/web", PackageRole.READ)
    place, ids = packages.place("acme/app"), packages.accounts.people.repositories
    assert await lists(packages) == (["acme/site", "acme/web"], {"acme/web": "read"})
    for who in ("otto", "olga:write:packages"):
        assert await lists(packages, who) == (["acme/site"], {})
        for number in (ids["acme/web"], 10**18, -1):
            assert await outcome(service(packages).add_codespaces(packages.who(who), place, number)) == NO_REPOSITORY
            told = await outcome(service(packages).set_workflows(packages.who(who), place, number, "read"))
            assert told == NO_REPOSITORY
    # taking one off needs its id only, and says the same of one that was never on
    for number in (ids["acme/web"], 10**18, -1):
        assert await outcome(service(packages).remove_codespaces(packages.who("otto"), place, number)) == OK
    assert await lists(packages) == (["acme/site"], {"acme/web": "read"})


async def test_a_role_is_read_write_or_admin(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    web = packages.accounts.people.repositories["acme/web"]
    for word in ("", "none", "push", "READ"):
        call = service(packages).set_workflows(packages.who("olga"), packages.place("acme/app"), web, word)
        assert await outcome(call) == "Invalid package.role"


async def test_lists_are_paged(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    for name in ("acme/web", "acme/site", "acme/docs"):
        await packages.open_to("acme/app", name)
        await packages.open_to("acme/app", name, PackageRole.WRITE)
    olga, place = packages.who("olga"), packages.place("acme/app")
    codespaces, total = await service(packages).list_codespaces(olga, place, limit=2, offset=1)
    assert ([each.name for each in codespaces], total) == (["site", "web"], 3)
    workflows, total = await service(packages).list_workflows(olga, place, limit=1, offset=2)
    assert ([(each.name, role.word) for each, role in workflows], total) == ([("web", "write")], 3)

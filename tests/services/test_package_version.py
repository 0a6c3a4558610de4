"""Versions: listed with their tags, deleted and restored, on both databases (A12, A13)."""

import pytest
from sqlalchemy import event
from tests.account_world import outcome, outcomes
from tests.package_world import PackageWorld

from berth.adapters.store import blob as blob_rows
from berth.adapters.store import manifest as manifest_rows
from berth.adapters.store import package_version as rows
from berth.domain.image_reference import Digest
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.services.package_version import PackageVersionService

OK = "ok"
MISSING = "NotFound package.not_found"
UNKNOWN = "NotFound package.version_not_found"
DENIED = "Denied package.denied"
LAST = "Invalid package.last_tagged"


def service(packages: PackageWorld) -> PackageVersionService:
    return packages.services.package_versions


async def listed(packages: PackageWorld, who: str = "olga", *, deleted: bool = False) -> dict[int, tuple[str, ...]]:
    found, total = await service(packages).list_versions(
        packages.who(who), packages.place("acme/app"), deleted=deleted, limit=100, offset=0
    )
    assert total == len(found)
    return {view.version.id: view.version.tags for view in found}


async def test_versions_are_listed_newest_first_with_their_tags(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    first, second, third = [await packages.version("acme/app", *tags) for tags in (("1",), (), ("b", "a", "B"))]
    seen = await listed(packages)
    assert list(seen.items()) == [(third, ("B", "a", "b")), (second, ()), (first, ("1",))]  # in the order of bytes
    page, total = await service(packages).list_versions(
        packages.who("olga"), packages.place("acme/app"), deleted=False, limit=1, offset=1
    )
    assert ([view.version.id for view in page], total) == ([second], 3)


async def test_a_page_takes_as_many_queries_for_fifty_versions_as_for_one(packages: PackageWorld) -> None:
    await packages.package("acme/app")

    async def queries() -> int:
        statements: list[object] = []

        def count(*arguments: object) -> None:
            statements.append(arguments[2])

        engine = packages.accounts.store.engine.sync_engine
        event.listen(engine, "before_cursor_execute", count)
        await listed(packages)
        event.remove(engine, "before_cursor_execute", count)
        return len(statements)

    await packages.version("acme/app", "first")
    of_one = await queries()
    for number in range(49):
        await packages.version("acme/app", f"v{number}", f"w{number}")
    assert await queries() == of_one


async def test_a13_who_may_read_sees_versions_and_nobody_else_does(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    version = await packages.version("acme/app", "1")
    place = packages.place("acme/app")
    get = service(packages).get
    expected = {"olga": OK, "mia": OK, "mia@acme/web": OK, "otto": MISSING, "mia@acme/site": MISSING}
    assert await outcomes({who: get(packages.who(who), place, version) for who in expected}) == expected
    assert await outcome(get(packages.who("mia"), place, version + 1)) == UNKNOWN
    assert await outcome(get(packages.who("otto"), place, version + 1)) == MISSING
    for deleted in (False, True):
        got = service(packages).list_versions(packages.who("otto"), place, deleted=deleted, limit=1, offset=0)
        assert await outcome(got) == MISSING


async def test_a_version_of_another_package_is_no_version_of_this_one(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    await packages.package("otto/own", Visibility.PUBLIC)
    other = await packages.version("otto/own", "1")
    await packages.version("otto/own", "2")
    olga, otto = packages.who("olga"), packages.who("otto")
    await service(packages).delete(otto, packages.place("otto/own"), other)
    for call in (service(packages).get, service(packages).delete, service(packages).restore):
        assert await outcome(call(olga, packages.place("acme/app"), other)) == UNKNOWN


async def test_admins_delete_and_restore_versions(packages: PackageWorld) -> None:
    await packages.package("acme/app", Visibility.INTERNAL)
    await packages.grant("acme/app", "wim", PackageRole.WRITE)
    version, _kept = [await packages.version("acme/app", tag) for tag in ("1", "2")]
    place = packages.place("acme/app")
    expected = {
        "otto": MISSING,
        "mia": DENIED,
        "wim": DENIED,
        "olga:write:packages": DENIED,
        "olga@acme/web": DENIED,
        "olga": OK,
    }
    delete, restore = service(packages).delete, service(packages).restore
    assert await outcomes({who: delete(packages.who(who), place, version) for who in expected}) == expected
    assert await outcome(delete(packages.who("olga"), place, version)) == UNKNOWN
    assert await outcome(service(packages).get(packages.who("olga"), place, version)) == UNKNOWN
    expected = {**expected, "olga:write:packages": OK, "olga": UNKNOWN}
    assert await outcomes({who: restore(packages.who(who), place, version) for who in expected}) == expected
    digest = (await service(packages).get(packages.who("olga"), place, version)).version.digest
    for action in ("package.version_delete", "package.version_restore"):
        ((actor, target, detail),) = await packages.audit(action)
        assert (actor, target) == ("olga", "acme/app")
        assert detail.startswith(f"{version} {digest} package.owner")


async def test_deleted_versions_are_listed_with_the_tags_that_they_would_bring_back(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    old, new = [await packages.version("acme/app", *tags) for tags in (("1", "latest"), ("2",))]
    olga, place = packages.who("olga"), packages.place("acme/app")
    await service(packages).delete(olga, place, old)
    assert (await listed(packages), await listed(packages, deleted=True)) == ({new: ("2",)}, {old: ("1", "latest")})
    async with packages.accounts.store.begin() as connection:
        now = packages.accounts.people.clock.now()
        await manifest_rows.set_tags(connection, packages.ids["acme/app"], new, ["latest"], now)
    await service(packages).restore(olga, place, old)
    assert await listed(packages) == {new: ("2", "latest"), old: ("1",)}


async def test_the_last_version_with_a_tag_stays(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    first, second, untagged = [await packages.version("acme/app", *tags) for tags in (("1",), ("2",), ())]
    olga, place = packages.who("olga"), packages.place("acme/app")
    delete = service(packages).delete
    assert await outcome(delete(olga, place, second)) == OK
    assert await outcome(delete(olga, place, first)) == LAST  # a tag of a deleted version is none
    assert await outcome(delete(olga, place, untagged)) == OK
    assert await outcome(delete(olga, place, first)) == LAST
    assert await listed(packages) == {first: ("1",)}


@pytest.mark.parametrize(("days", "told"), [(29, OK), (31, UNKNOWN)])
async def test_a_version_can_be_restored_for_thirty_days(packages: PackageWorld, days: int, told: str) -> None:
    await packages.package("acme/app")
    version, _kept = [await packages.version("acme/app", tag) for tag in ("1", "2")]
    olga, place = packages.who("olga"), packages.place("acme/app")
    await service(packages).delete(olga, place, version)
    await packages.age("acme/app", days)
    assert list(await listed(packages, deleted=True)) == ([version] if told == OK else [])
    assert await outcome(service(packages).restore(olga, place, version)) == told


async def test_a_restored_version_has_its_blobs_again(packages: PackageWorld) -> None:
    """They could be deleted after it: no live version needed them."""
    await packages.package("acme/app")
    await packages.version("acme/app", "1")
    version = await packages.version("acme/app", "2", layer=b"layer")
    package_id, digest = packages.ids["acme/app"], str(Digest.of(b"layer"))
    olga, place = packages.who("olga"), packages.place("acme/app")
    await service(packages).delete(olga, place, version)
    async with packages.accounts.store.begin() as connection:
        assert await blob_rows.unlink(connection, package_id, digest, packages.accounts.people.clock.now())
        assert await blob_rows.find_linked(connection, package_id, digest) is None
    await service(packages).restore(olga, place, version)
    async with packages.accounts.store.read() as connection:
        found = await blob_rows.find_linked(connection, package_id, digest)
        assert found is not None
        assert found.needed


async def test_a_version_of_a_deleted_package_comes_back_with_it_only(packages: PackageWorld) -> None:
    await packages.package("acme/app")
    version, _kept = [await packages.version("acme/app", tag) for tag in ("1", "2")]
    olga, place = packages.who("olga"), packages.place("acme/app")
    await service(packages).delete(olga, place, version)
    await packages.services.packages.delete(olga, place)
    assert await outcome(service(packages).restore(olga, place, version)) == MISSING
    await packages.services.packages.restore(olga, place)
    assert list(await listed(packages, deleted=True)) == [version]  # that one was deleted on its own
    async with packages.accounts.store.read() as connection:
        assert await rows.find_version(connection, packages.ids["acme/app"], version) is None

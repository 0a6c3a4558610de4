"""What the store knows of a package and who asks about it, fact by fact, each beside one who lacks it; on both databases.

Whatever a test sets up, the lists must say what the decision says (see test_package_list.py).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from tests.registry_access_world import RegistryAccessWorld, make_registry_access_world

from berth.adapters.store import account as account_rows
from berth.adapters.store import package as rows
from berth.adapters.store import package_grant as grant_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import team as team_rows
from berth.adapters.store.database import Store
from berth.adapters.store.package import Asker, KnownPackage
from berth.adapters.store.package_list import PackageFilter, list_packages
from berth.adapters.store.package_tables import package_codespaces, package_teams, package_workflows, packages
from berth.domain.access import RepositoryFacts
from berth.domain.account import AccountType, OrganizationRole
from berth.domain.package import DEFAULT_POLICY, PackageName, PackagePolicy
from berth.domain.package_access import NamespaceFacts, PackageAction, PackageFacts, SourceFacts, decide_package
from berth.domain.package_role import PackageRole
from berth.domain.problem import Conflict
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.services.registry_access import asker_of

PUBLIC, PRIVATE, INTERNAL = Visibility.PUBLIC, Visibility.PRIVATE, Visibility.INTERNAL
NONE, READ, WRITE, ADMIN = PackageRole
READS = frozenset({Scope.READ_PACKAGES})
LOGINS = ("olga", "mia", "wim", "rita", "otto")


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[RegistryAccessWorld]:
    async with make_registry_access_world(store, tmp_path) as made:
        await _add_umbra(made)
        yield made
        await check_lists(made)


async def _add_umbra(world: RegistryAccessWorld) -> None:
    """Another organization: otto owns it, mia is its member and in its team shades; umbra/open is public."""
    now, people = world.clock.now(), world.people
    async with world.store.begin() as connection:
        umbra = await account_rows.insert_account(connection, login="umbra", kind=AccountType.ORGANIZATION, now=now)
        people.accounts["umbra"] = umbra.id
        await account_rows.set_membership(connection, umbra.id, people.accounts["otto"], OrganizationRole.ADMIN)
        await account_rows.set_membership(connection, umbra.id, people.accounts["mia"], OrganizationRole.MEMBER)
        people.repositories["umbra/open"] = await repository_rows.insert_repository(
            connection,
            owner_id=umbra.id,
            name="open",
            description="",
            visibility=PUBLIC,
            default_branch="main",
            now=now,
        )


async def check_lists(world: RegistryAccessWorld) -> None:
    """Everybody's lists, with a personal token, in a codespace and in a job of every repository."""
    async with world.store.read() as connection:
        live = (await connection.execute(select(packages).where(packages.c.deleted_at.is_(None)))).all()
        subjects = [world.people.subject(login, scopes=READS) for login in LOGINS]
        for repository in world.people.repositories:
            subjects += [world.people.subject(login, codespace_of=repository) for login in LOGINS]
            subjects += [world.people.job(login, repository, packages="read") for login in LOGINS]
        gathered: dict[Asker, list[KnownPackage]] = {}
        for subject in (None, *subjects):
            asker = asker_of(subject)
            if asker not in gathered:
                found = [await rows.find_known_package_by_id(connection, asker, row.id) for row in live]
                gathered[asker] = [known for known in found if known is not None and known.package.published_at]
            expected = [
                known.package.id
                for known in gathered[asker]
                if decide_package(subject, known.facts, PackageAction.PULL)
            ]
            listed, _total = await list_packages(connection, subject, PackageFilter(), limit=100, offset=0)
            assert sorted(one.id for one in listed) == sorted(expected), subject


async def find(
    world: RegistryAccessWorld, login: str | None = None, source: str | None = None, package: str = "acme/web"
) -> KnownPackage | None:
    """Of a live package, about a login, in a codespace or job of a repository."""
    owner, _, name = package.partition("/")
    asker = Asker(
        None if login is None else world.people.accounts[login],
        None if source is None else world.people.repositories[source],
    )
    async with world.store.read() as connection:
        return await rows.find_known_package(connection, asker, PackageName(owner, name))


async def facts(
    world: RegistryAccessWorld, login: str | None = None, source: str | None = None, package: str = "acme/web"
) -> PackageFacts:
    known = await find(world, login, source, package)
    assert known is not None
    return known.facts


async def about(
    world: RegistryAccessWorld, fact: Callable[[PackageFacts], object], package: str = "acme/web"
) -> dict[str, object]:
    """One fact about everybody."""
    return {
        **{login: fact(await facts(world, login, package=package)) for login in LOGINS},
        "anonymous": fact(await facts(world, package=package)),
    }


def nobody_but(expected: Mapping[str, object], otherwise: object) -> dict[str, object]:
    return {**dict.fromkeys([*LOGINS, "anonymous"], otherwise), **expected}


# --- One package, one asker ----------------------------------------------------------------------------------------


async def test_a_package_is_found_by_its_name_while_it_is_live(world: RegistryAccessWorld) -> None:
    package_id = await world.package("acme/web", INTERNAL, linked="acme/web", creator_token_id=77)
    await world.package("acme/web/dev")
    await world.package("otto/web")
    known = await find(world)
    assert known is not None
    assert (known.package.id, known.package.full_name, known.creator_token_id) == (package_id, "acme/web", 77)
    assert (known.package.visibility, known.package.inherits_access) == (INTERNAL, True)
    assert (known.package.owner_is_organization, known.package.deleted_at) == (True, None)
    for missing in ("acme/we", "acme/web/d", "nobody/web", "acme/Web", "Acme/web", "mia/web"):
        assert await find(world, package=missing) is None
    await world.change(package_id, deleted_at=world.clock.now())
    assert await find(world) is None
    async with world.store.read() as connection:
        gone = await rows.find_known_package_by_id(connection, Asker(None), package_id)
        assert await rows.find_known_package_by_id(connection, Asker(None), package_id + 99) is None
    assert gone is not None
    assert gone.package.deleted_at is not None


async def test_a12_the_live_one_of_two_of_a_name_is_found(world: RegistryAccessWorld) -> None:
    old = await world.package("acme/web", PUBLIC)
    await world.change(old, deleted_at=world.clock.now())
    new = await world.package("acme/web", PRIVATE)
    found = await facts(world)
    assert (found.package_id, found.visibility) == (new, PRIVATE)


async def test_what_the_package_is(world: RegistryAccessWorld) -> None:
    for number, (visibility, inherits) in enumerate(product(Visibility, (True, False))):
        package_id = await world.package(f"acme/p{number}", visibility, inherits_access=inherits)
        assert await facts(world, package=f"acme/p{number}") == PackageFacts(
            package_id=package_id,
            owner_id=world.people.accounts["acme"],
            owner_is_organization=True,
            visibility=visibility,
            inherits_access=inherits,
            is_owner=False,
            is_member=False,
        )


async def test_a2_who_owns_it(world: RegistryAccessWorld) -> None:
    await world.package("acme/web")
    await world.package("otto/own")
    assert await about(world, lambda found: found.is_owner) == nobody_but({"olga": True}, otherwise=False)
    of_otto = await about(world, lambda found: found.is_owner, "otto/own")
    assert of_otto == nobody_but({"otto": True}, otherwise=False)
    assert not (await facts(world, package="otto/own")).owner_is_organization


async def test_a5_who_is_a_member(world: RegistryAccessWorld) -> None:
    await world.package("acme/web", INTERNAL)
    await world.package("umbra/web", INTERNAL)
    await world.package("otto/own")
    in_acme = {"olga": True, "mia": True, "wim": True}
    assert await about(world, lambda found: found.is_member) == nobody_but(in_acme, otherwise=False)
    in_umbra = await about(world, lambda found: found.is_member, "umbra/web")
    assert in_umbra == nobody_but({"otto": True, "mia": True}, otherwise=False)
    of_otto = await about(world, lambda found: found.is_member, "otto/own")
    assert of_otto == nobody_but({}, otherwise=False)


async def test_a3_what_was_granted_by_name(world: RegistryAccessWorld) -> None:
    package_id = await world.package("acme/web")
    await world.package("acme/other")
    async with world.store.begin() as connection:
        for login, role in (("mia", READ), ("rita", ADMIN), ("mia", WRITE)):  # the last word counts
            await rows.set_user_grant(connection, package_id, world.people.accounts[login], role)
    expected = nobody_but({"mia": WRITE, "rita": ADMIN}, otherwise=NONE)
    assert await about(world, lambda found: found.user_role) == expected
    assert await about(world, lambda found: found.user_role, "acme/other") == nobody_but({}, otherwise=NONE)
    async with world.store.begin() as connection:
        assert await rows.remove_user_grant(connection, package_id, world.people.accounts["mia"])
        assert not await rows.remove_user_grant(connection, package_id, world.people.accounts["mia"])
    assert await about(world, lambda found: found.user_role) == nobody_but({"rita": ADMIN}, otherwise=NONE)


async def add_team(
    world: RegistryAccessWorld, owner: str, slug: str, package_id: int, role: PackageRole, *logins: str
) -> None:
    async with world.store.begin() as connection:
        team = await team_rows.insert_team(
            connection,
            organization_id=world.people.accounts[owner],
            slug=slug,
            name=slug,
            description="",
            now=world.clock.now(),
        )
        for login in logins:
            await team_rows.set_team_member(connection, team.id, world.people.accounts[login], "member")
        await connection.execute(insert(package_teams).values(package_id=package_id, team_id=team.id, role=int(role)))


async def test_a3_what_was_granted_to_teams(world: RegistryAccessWorld) -> None:
    """The greatest of several; a team of another organization has nothing to say."""
    package_id = await world.package("acme/web")
    other = await world.package("acme/other")
    await add_team(world, "acme", "readers", package_id, READ, "mia", "wim")
    await add_team(world, "acme", "pushers", package_id, WRITE, "wim")
    await add_team(world, "acme", "others", other, ADMIN, "mia")
    await add_team(world, "umbra", "shades", package_id, ADMIN, "mia", "otto")
    expected = nobody_but({"mia": READ, "wim": WRITE}, otherwise=NONE)
    assert await about(world, lambda found: found.team_role) == expected


def role_on_linked(found: PackageFacts) -> object:
    linked = found.linked
    assert linked is not None
    if linked.is_owner:
        return "owner"
    named = max(linked.collaborator_role, linked.team_role)
    return named.word if named is not Role.NONE else ("member" if linked.is_member else "none")


async def test_a4_what_the_asker_is_to_the_linked_repository(world: RegistryAccessWorld) -> None:
    await world.package("acme/web", linked="acme/web")
    expected = nobody_but({"olga": "owner", "mia": "member", "wim": "push", "rita": "pull"}, otherwise="none")
    assert await about(world, role_on_linked) == expected


async def test_a4_a_package_may_be_linked_to_a_repository_of_anybody(world: RegistryAccessWorld) -> None:
    """The facts are those that `domain.access` decides about the repository with."""
    for owner, repository in product(("acme", "umbra", "otto"), world.people.repositories):
        package = f"{owner}/of-{repository}"
        await world.package(package, linked=repository)
        async with world.store.read() as connection:
            for login in (None, *LOGINS):
                account_id = None if login is None else world.people.accounts[login]
                expected = await repository_rows.gather_facts(
                    connection, account_id, world.people.repositories[repository]
                )
                found = await facts(world, login, package=package)
                assert found.linked == expected
                assert found.source is None


async def test_a4_without_a_link_there_is_none(world: RegistryAccessWorld) -> None:
    await world.package("acme/web", inherits_access=True)
    assert await about(world, lambda found: found.linked) == nobody_but({}, otherwise=None)


async def test_a7_the_repository_behind_a_codespace_or_a_job(world: RegistryAccessWorld) -> None:
    await world.package("acme/web", linked="acme/docs")
    found = await facts(world, "wim", "acme/web")
    assert found.source == SourceFacts(
        repository=RepositoryFacts(
            repository_id=world.people.repositories["acme/web"],
            visibility=PRIVATE,
            is_owner=False,
            is_member=True,
            team_role=Role.PUSH,
        ),
        owner_id=world.people.accounts["acme"],
    )
    assert found.linked is not None
    assert found.linked.repository_id == world.people.repositories["acme/docs"]
    own = await facts(world, "otto", "otto/own")
    assert own.source is not None
    assert (own.source.owner_id, own.source.repository.is_owner) == (world.people.accounts["otto"], True)
    assert (await facts(world, "wim")).source is None


async def test_a12_a_repository_that_is_gone_is_behind_nothing(world: RegistryAccessWorld) -> None:
    await world.package("acme/web", linked="acme/web")
    assert (await facts(world, "wim", "acme/web")).source is not None
    async with world.store.begin() as connection:
        await repository_rows.delete_repository(connection, world.people.repositories["acme/web"])
    found = await facts(world, "wim", "acme/web")
    assert (found.source, found.linked) == (None, None)


async def source(world: RegistryAccessWorld, repository: str, package: str = "acme/web") -> SourceFacts:
    found = (await facts(world, "wim", repository, package)).source
    assert found is not None
    return found


async def test_a7_the_codespaces_access_list(world: RegistryAccessWorld) -> None:
    package_id = await world.package("acme/web")
    await world.package("acme/other")
    async with world.store.begin() as connection:
        repository_id = world.people.repositories["acme/site"]
        await connection.execute(insert(package_codespaces).values(package_id=package_id, repository_id=repository_id))
    assert (await source(world, "acme/site")).on_codespaces_list
    assert not (await source(world, "acme/web")).on_codespaces_list
    assert not (await source(world, "acme/site", "acme/other")).on_codespaces_list
    assert (await source(world, "acme/site")).workflow_role is NONE


async def test_a8_the_workflow_access_list(world: RegistryAccessWorld) -> None:
    package_id = await world.package("acme/web")
    await world.package("acme/other")
    async with world.store.begin() as connection:
        for role in (ADMIN, WRITE):  # the last word counts
            repository_id = world.people.repositories["acme/docs"]
            await grant_rows.set_workflow_repository(connection, package_id, repository_id, role)
    assert (await source(world, "acme/docs")).workflow_role is WRITE
    assert (await source(world, "acme/web")).workflow_role is NONE
    assert (await source(world, "acme/docs", "acme/other")).workflow_role is NONE
    assert not (await source(world, "acme/docs")).on_codespaces_list


async def test_a4_a_members_base_permission_counts_on_closed_repositories_only(world: RegistryAccessWorld) -> None:
    """Of the organization that owns the *repository*. The lists are compared at the end."""
    for package, repository in (("otto/a", "umbra/open"), ("otto/b", "acme/site"), ("umbra/c", "acme/docs")):
        await world.package(package, linked=repository)
    got: dict[str, list[str]] = {}
    for package in ("otto/a", "otto/b", "umbra/c"):
        for login in LOGINS:
            subject = world.people.subject(login, scopes=READS)
            found = await facts(world, login, package=package)
            if decide_package(subject, found, PackageAction.PULL):
                got.setdefault(package, []).append(login)
    assert got == {
        "otto/a": ["otto"],  # mia is a member of umbra, whose repository is public
        "otto/b": ["olga", "wim", "otto"],  # the organization's owner, a team's role, the package's owner
        "umbra/c": ["olga", "mia", "wim", "otto"],
    }


# --- Where packages are made ---------------------------------------------------------------------------------------


async def namespace(
    world: RegistryAccessWorld, owner: str, login: str | None, repository: str | None = None
) -> NamespaceFacts | None:
    asker = Asker(
        None if login is None else world.people.accounts[login],
        None if repository is None else world.people.repositories[repository],
    )
    async with world.store.read() as connection:
        return await rows.find_namespace(connection, asker, owner)


NAMESPACES = {
    "an organization's owner": ("acme", "olga", (True, True)),
    "a member": ("acme", "mia", (False, True)),
    "a collaborator of a repository": ("acme", "rita", (False, False)),
    "another organization's owner": ("acme", "otto", (False, False)),
    "the user himself": ("otto", "otto", (True, False)),
    "another user": ("otto", "olga", (False, False)),
    "anonymous, of an organization": ("acme", None, (False, False)),
    "anonymous, of a user": ("otto", None, (False, False)),
}


async def test_what_an_asker_is_to_an_account(world: RegistryAccessWorld) -> None:
    for case, (owner, login, expected) in NAMESPACES.items():
        found = await namespace(world, owner, login)
        assert found is not None
        assert (found.is_owner, found.is_member) == expected, case
        assert (found.owner_id, found.policy, found.source) == (world.people.accounts[owner], DEFAULT_POLICY, None)


async def test_what_is_no_account_is_no_namespace(world: RegistryAccessWorld) -> None:
    for owner in ("nobody", "", "ACME", "acm"):
        assert await namespace(world, owner, "olga") is None


async def test_a8_a_jobs_repository_and_its_owner(world: RegistryAccessWorld) -> None:
    found = await namespace(world, "acme", "wim", "acme/docs")
    assert found is not None
    assert found.source is not None
    assert found.source.owner_id == world.people.accounts["acme"]
    assert found.source.repository.team_role is Role.PUSH
    other = await namespace(world, "acme", "otto", "otto/own")
    assert other is not None
    assert other.source is not None
    assert other.source.owner_id == world.people.accounts["otto"]


async def test_a11_an_organizations_policy(world: RegistryAccessWorld) -> None:
    acme, umbra = world.people.accounts["acme"], world.people.accounts["umbra"]
    wanted = [
        PackagePolicy(inherit_access_default=False, creatable_visibilities=frozenset({PRIVATE, INTERNAL})),
        PackagePolicy(inherit_access_default=True, creatable_visibilities=frozenset()),
        DEFAULT_POLICY,
    ]
    theirs = PackagePolicy(creatable_visibilities=frozenset({PUBLIC}))
    async with world.store.begin() as connection:
        assert await rows.get_policy(connection, umbra) == DEFAULT_POLICY
        await rows.set_policy(connection, umbra, theirs)
    for policy in wanted:
        async with world.store.begin() as connection:
            await rows.set_policy(connection, acme, policy)
        async with world.store.read() as connection:
            assert await rows.get_policy(connection, acme) == policy
            assert await rows.get_policy(connection, umbra) == theirs
        found = await namespace(world, "acme", "mia")
        assert found is not None
        assert found.policy == policy


# --- How packages come, change and go ------------------------------------------------------------------------------


async def insert_one(world: RegistryAccessWorld, owner: str, name: str) -> int:
    async with world.store.begin() as connection:
        return await rows.insert_package(
            connection,
            owner_id=world.people.accounts[owner],
            name=name,
            visibility=PRIVATE,
            inherits_access=False,
            repository_id=None,
            creator_token_id=7,
            now=world.clock.now(),
        )


async def refused(call: Awaitable[object]) -> str:
    with pytest.raises(Conflict) as problem:
        await call
    return problem.value.code


async def test_a_name_is_taken_while_a_live_package_of_the_owner_has_it(world: RegistryAccessWorld) -> None:
    first = await insert_one(world, "acme", "web")
    assert await refused(insert_one(world, "acme", "web")) == "package.name_taken"
    await insert_one(world, "umbra", "web")
    await world.change(first, deleted_at=world.clock.now())
    second = await insert_one(world, "acme", "web")
    assert second > first

    async def restore() -> None:
        async with world.store.begin() as connection:
            await rows.update_package(connection, first, {"deleted_at": None})

    assert await refused(restore()) == "package.name_taken"
    await world.change(second, deleted_at=world.clock.now() + timedelta(seconds=1))
    await restore()
    assert (await facts(world)).package_id == first


async def test_a_refused_name_leaves_the_transaction_usable(world: RegistryAccessWorld) -> None:
    first = await insert_one(world, "acme", "web")
    async with world.store.begin() as connection:
        with pytest.raises(Conflict):
            await rows.insert_package(
                connection,
                owner_id=world.people.accounts["acme"],
                name="web",
                visibility=PRIVATE,
                inherits_access=False,
                repository_id=None,
                creator_token_id=7,
                now=world.clock.now(),
            )
        await rows.update_package(connection, first, {"visibility": PUBLIC})
    assert (await facts(world)).visibility is PUBLIC


async def test_what_is_gone_cannot_be_locked(world: RegistryAccessWorld) -> None:
    package_id = await insert_one(world, "acme", "web")
    async with world.store.begin() as connection:
        assert await rows.lock_package(connection, package_id)
        assert not await rows.lock_package(connection, package_id + 99)


async def test_a12_a_repository_that_goes_is_forgotten_by_every_package(world: RegistryAccessWorld) -> None:
    going, staying = world.people.repositories["acme/web"], world.people.repositories["acme/docs"]
    linked = await world.package("acme/web", linked="acme/web")
    other = await world.package("acme/other", linked="acme/docs")
    async with world.store.begin() as connection:
        for package_id in (linked, other):
            for repository_id in (going, staying):
                await connection.execute(
                    insert(package_codespaces).values(package_id=package_id, repository_id=repository_id)
                )
                await grant_rows.set_workflow_repository(connection, package_id, repository_id, WRITE)
        await rows.forget_repository(connection, going)
    mine = await facts(world, "wim", "acme/web")
    assert (mine.linked, mine.inherits_access) == (None, False)  # the next link begins without inheritance
    theirs = await facts(world, "wim", "acme/web", "acme/other")
    assert theirs.linked is not None
    assert theirs.inherits_access
    for package in ("acme/web", "acme/other"):
        gone, kept = await source(world, "acme/web", package), await source(world, "acme/docs", package)
        assert (gone.on_codespaces_list, gone.workflow_role) == (False, NONE)
        assert (kept.on_codespaces_list, kept.workflow_role) == (True, WRITE)


async def test_a12_what_was_granted_goes_with_the_package(world: RegistryAccessWorld) -> None:
    package_id = await world.package("acme/web")
    async with world.store.begin() as connection:
        await rows.set_user_grant(connection, package_id, world.people.accounts["mia"], ADMIN)
        await grant_rows.set_workflow_repository(connection, package_id, world.people.repositories["acme/web"], ADMIN)
        await connection.execute(packages.delete().where(packages.c.id == package_id))
        assert (await connection.execute(select(package_workflows))).all() == []
    await world.package("acme/web")
    assert await about(world, lambda found: found.user_role) == nobody_but({}, otherwise=NONE)

"""Lists of packages hold what the decision lets pull, no more and no less (A1, A3 to A8, A12, A13), on both databases."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest
from tests.adapters.postgres import Cluster
from tests.adapters.store.random_packages import RandomWorld, Row, draw_world, store_world
from tests.dice import seed_from

from berth.adapters.store import package as rows
from berth.adapters.store.database import Store
from berth.adapters.store.package import Asker, KnownPackage
from berth.adapters.store.package_list import PackageFilter, count_versions, list_packages, list_readable_names
from berth.adapters.store.package_tables import manifests, packages
from berth.adapters.store.tables import accounts
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.package import PackageName
from berth.domain.package_access import PackageAction, decide_package
from berth.domain.repository import Visibility

SEED = seed_from("BERTH_WORLD_SEED")
EVERYTHING = PackageFilter()


class Facts:
    """What `find_known_package` says, asked once for each account, repository and package."""

    def __init__(self, store: Store, world: RandomWorld) -> None:
        self._store = store
        self._world = world
        self._known: dict[tuple[Asker, int], KnownPackage] = {}

    async def allowed(self, subject: Subject | None) -> tuple[list[Row], Counter[str]]:
        """What may be pulled of all that is live and published, and which rules were met."""
        asker = Asker(None)
        if subject is not None:
            asker = Asker(subject.account_id, subject.codespace_repository_id or subject.workflow_repository_id)
        found, met = [], Counter[str]()
        async with self._store.read() as connection:
            for row in self._world.live():
                if (asker, row["id"]) not in self._known:
                    owner, _, name = self._world.full_name(row).partition("/")
                    known = await rows.find_known_package(connection, asker, PackageName(owner, name))
                    assert known is not None
                    assert known.package.id == row["id"]
                    self._known[asker, row["id"]] = known
                decision = decide_package(subject, self._known[asker, row["id"]].facts, PackageAction.PULL)
                met.update(reason.rule for reason in decision.trail)
                if decision and row["published_at"] is not None:
                    found.append(row)
        return found, met


async def check_lists(store: Store, world: RandomWorld) -> Counter[str]:
    """Every list of every subject; the rules that were met on the way, by kind of subject."""
    facts, met = Facts(store, world), Counter[str]()
    async with store.read() as connection:
        for who, subject in world.subjects(30).items():
            allowed, rules = await facts.allowed(subject)
            met.update(rules)
            listed, total = await list_packages(connection, subject, EVERYTHING, limit=100, offset=0)
            assert [one.id for one in listed] == sorted((row["id"] for row in allowed), reverse=True), who
            assert total == len(allowed), who
            names = await list_readable_names(connection, subject, after="", limit=100)
            assert names == sorted(map(world.full_name, allowed), key=str.encode), who
            kind = "anonymous" if subject is None else subject.token_kind.name.lower()
            closed = [row for row in allowed if row["visibility"] != Visibility.PUBLIC]
            met[f"{kind} reads"] += len(closed)
            met[f"{kind} does not read"] += len(world.live()) - len(allowed)
    return met


@pytest.mark.parametrize("number", range(2))
async def test_a13_a_list_has_what_may_be_pulled(store: Store, number: int) -> None:
    seed = SEED + number
    print(f"BERTH_WORLD_SEED={seed}")
    world = draw_world(seed)
    await store_world(store, world)
    await check_lists(store, world)


async def test_the_made_up_worlds_meet_every_rule(store: Store) -> None:
    """With the dice of a seed that does: else the test above might compare nothing with nothing."""
    world = draw_world(5)
    await store_world(store, world)
    met = await check_lists(store, world)
    rules = """
        package.visibility.public package.anonymous package.owner package.grant package.grant.outside package.inherited
        package.visibility.internal package.role.none package.scope.missing package.codespace.no_repository
        package.codespace.linked package.codespace.listed package.codespace.internal package.codespace.public_repository
        package.codespace.not_linked package.workflow.no_repository package.workflow.linked package.workflow.listed
        package.workflow.not_linked package.workflow.permission
    """
    assert [rule for rule in rules.split() if not met[rule]] == []
    for kind in TokenKind:
        assert met[f"{kind.name.lower()} reads"]
        assert met[f"{kind.name.lower()} does not read"]
    assert met["anonymous reads"] == 0  # A1


@pytest.fixture
async def worlds(store: Store) -> RandomWorld:
    world = draw_world(5)
    await store_world(store, world)
    return world


def every_subject(world: RandomWorld) -> list[Subject | None]:
    return list(world.subjects(6).values())


async def test_a14_a_token_of_an_unknown_kind_lists_what_anonymous_lists(store: Store, worlds: RandomWorld) -> None:
    async with store.read() as connection:
        public = await list_readable_names(connection, None, after="", limit=100)
        for subject in every_subject(worlds)[1:]:
            assert subject is not None
            strange = replace(subject, token_kind=cast("TokenKind", "ghx"))
            assert await list_readable_names(connection, strange, after="", limit=100) == public


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_pages_of_packages_are_the_whole_list(store: Store, worlds: RandomWorld, limit: int) -> None:
    async with store.read() as connection:
        for subject in every_subject(worlds):
            whole, total = await list_packages(connection, subject, EVERYTHING, limit=100, offset=0)
            pages = []
            for offset in range(0, total + limit, limit):
                page, count = await list_packages(connection, subject, EVERYTHING, limit=limit, offset=offset)
                assert count == total
                assert len(page) <= limit
                pages += page
            assert pages == whole


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_pages_of_names_are_the_whole_list(store: Store, worlds: RandomWorld, limit: int) -> None:
    async with store.read() as connection:
        for subject in every_subject(worlds):
            whole = await list_readable_names(connection, subject, after="", limit=100)
            pages: list[str] = []
            while page := await list_readable_names(connection, subject, after=pages[-1] if pages else "", limit=limit):
                assert len(page) <= limit
                pages += page
            assert pages == whole


async def test_names_begin_after_any_text_in_the_order_of_bytes(store: Store, worlds: RandomWorld) -> None:
    async with store.read() as connection:
        whole = await list_readable_names(connection, None, after="", limit=100)
        assert len(whole) > 3
        for after in (
            "a",
            "a/",
            "a-",
            "a-b",
            "a-b/a",
            "a-b/a-",
            "acme",
            "acme/a/b",
            "zzz",
            "A",
            "~",
            "é",
            "\U0001f40b",
        ):
            found = await list_readable_names(connection, None, after=after, limit=100)
            assert found == [name for name in whole if name.encode() > after.encode()], after


async def test_filters(store: Store, worlds: RandomWorld) -> None:
    """Of one owner, of one visibility, of both; the total counts what the filter lets through."""
    async with store.read() as connection:
        for subject in every_subject(worlds):
            whole, _total = await list_packages(connection, subject, EVERYTHING, limit=100, offset=0)
            for owner in (None, *worlds.ids(accounts), 999):
                for visibility in (None, *Visibility):
                    wanted = PackageFilter(owner_id=owner, visibility=visibility)
                    found, total = await list_packages(connection, subject, wanted, limit=100, offset=0)
                    assert found == [
                        one for one in whole if owner in {None, one.owner_id} and visibility in {None, one.visibility}
                    ]
                    assert total == len(found)


@pytest.fixture
async def german(postgres: Cluster) -> AsyncIterator[Store]:
    """A database whose own alphabet is not that of bytes: it ignores case and punctuation at first."""
    url = postgres.create_database(icu_locale="de-DE")
    store = Store(url)
    await store.migrate()
    yield store
    await store.close()
    postgres.drop_database(url)


@pytest.mark.postgres
async def test_names_are_in_the_order_of_bytes_whatever_the_databases_alphabet(german: Store) -> None:
    world = draw_world(5)
    for row in world.rows[packages]:
        row["visibility"] = Visibility.PUBLIC
    await store_world(german, world)
    async with german.read() as connection:
        names = await list_readable_names(connection, None, after="", limit=100)
        assert names == sorted(names, key=str.encode)
        assert len(names) == len([row for row in world.live() if row["published_at"] is not None])
        pages: list[str] = []
        while page := await list_readable_names(connection, None, after=pages[-1] if pages else "", limit=3):
            pages += page
        assert pages == names


async def test_versions_are_counted_where_they_live(store: Store, worlds: RandomWorld) -> None:
    first, second, third = worlds.ids(packages)[:3]
    version = {
        "media_type": "m", "artifact_type": "", "size": 1, "created_at": worlds.rows[packages][0]["created_at"],
        "updated_at": worlds.rows[packages][0]["created_at"], "content": b"x",
    }  # fmt: skip
    async with store.begin() as connection:
        for package, digest, deleted in (
            (first, "a", False),
            (first, "b", False),
            (first, "c", True),
            (second, "a", True),
        ):
            await connection.execute(
                manifests.insert().values(
                    package_id=package,
                    digest=digest,
                    deleted_at=version["created_at"] if deleted else None,
                    **version,
                )
            )
        assert await count_versions(connection, [first, second, third]) == {first: 2}
        assert await count_versions(connection, []) == {}

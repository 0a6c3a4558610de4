"""A made-up world of accounts, repositories and packages, drawn with dice: also what the services would not let happen.

Ids of every table begin at 1, so that a query which joins the wrong columns finds something instead of nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Table, insert

from berth.adapters.store.database import Store
from berth.adapters.store.package_tables import (
    package_codespaces,
    package_collaborators,
    package_teams,
    package_workflows,
    packages,
)
from berth.adapters.store.tables import (
    accounts,
    collaborators,
    memberships,
    repositories,
    team_members,
    team_repositories,
    teams,
)
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.account import AccountType, OrganizationRole
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import WorkflowPermission, WorkflowPermissions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Some that only bytes put in order: `-` stands before `/` and digits, and other alphabets ignore it.
USERS = ("Zoe", "ab", "a-b", "a", "a1")
ORGANIZATIONS = ("acme", "Acme-x", "a-b-c")
NAMES = ("a", "a-b", "a.b", "a/b", "a_b", "ab", "a0", "b", "a/b/c", "a--b", "z")
NO_REPOSITORY = 999

Row = dict[str, Any]


@dataclass
class RandomWorld:
    """The rows of each table, and who may ask."""

    dice: Random
    rows: dict[Table, list[Row]] = field(default_factory=dict)

    def ids(self, table: Table) -> list[int]:
        return [row["id"] for row in self.rows[table]]

    def by_id(self, table: Table, number: int) -> Row:
        return next(row for row in self.rows[table] if row["id"] == number)

    def maybe(self, chance: float) -> bool:
        return self.dice.random() < chance

    def some(self, values: Iterable[int], chance: float) -> list[int]:
        return [value for value in values if self.maybe(chance)]

    def visibility(self, owner: Row) -> Visibility:
        of_user = [Visibility.PUBLIC, Visibility.PRIVATE]
        return self.dice.choice(list(Visibility) if owner["type"] == AccountType.ORGANIZATION else of_user)

    def full_name(self, row: Row) -> str:
        return f"{self.by_id(accounts, row['owner_id'])['login'].lower()}/{row['name']}"

    def live(self) -> list[Row]:
        return [row for row in self.rows[packages] if row["deleted_at"] is None]

    def users(self) -> list[int]:
        return [row["id"] for row in self.rows[accounts] if row["type"] == AccountType.USER]

    def organizations(self) -> list[int]:
        return [row["id"] for row in self.rows[accounts] if row["type"] == AccountType.ORGANIZATION]

    def subjects(self, count: int) -> dict[str, Subject | None]:
        """Anonymous, everybody with a personal token that reads, and so many others at random, with what they are."""
        found: dict[str, Subject | None] = {"anonymous": None}
        for user in self.users():
            found[f"{user} read"] = _subject(user, TokenKind.PERSONAL, scopes=frozenset({Scope.READ_PACKAGES}))
        for number in range(count):
            user = self.dice.choice(self.users())
            repository = self.dice.choice([*self.ids(repositories), *self.ids(repositories), None, NO_REPOSITORY])
            permission = self.dice.choice(list(WorkflowPermission))
            scopes = frozenset(self.dice.sample(list(Scope), 4))
            kind = list(TokenKind)[number % len(TokenKind)]
            words = {
                TokenKind.PERSONAL: f"{user} with {sorted(scopes)}",
                TokenKind.CODESPACE: f"{user} in a codespace of {repository}",
                TokenKind.WORKFLOW: f"{user}'s job of {repository}, packages: {permission}",
            }
            found[words[kind]] = _subject(
                user,
                kind,
                scopes=scopes,
                codespace_repository_id=repository if kind is TokenKind.CODESPACE else None,
                workflow_repository_id=repository if kind is TokenKind.WORKFLOW else None,
                permissions=WorkflowPermissions(packages=permission),
            )
        return found


def _subject(user: int, kind: TokenKind, **values: Any) -> Subject:
    return Subject(account_id=user, login=str(user), site_admin=True, token_kind=kind, token_id=1, **values)


def draw_world(seed: int) -> RandomWorld:
    """The same for the same seed."""
    world = RandomWorld(Random(seed))
    _draw_accounts(world)
    _draw_repositories(world)
    _draw_packages(world)
    _draw_grants(world)
    return world


def _draw_accounts(world: RandomWorld) -> None:
    logins = [*USERS, *ORGANIZATIONS]
    world.dice.shuffle(logins)
    world.rows[accounts] = [
        {
            "id": number,
            "login": login,
            "login_key": login.lower(),
            "type": AccountType.ORGANIZATION if login in ORGANIZATIONS else AccountType.USER,
            "created_at": NOW,
            "updated_at": NOW,
        }
        for number, login in enumerate(logins, 1)
    ]
    roles = [OrganizationRole.MEMBER, OrganizationRole.MEMBER, OrganizationRole.ADMIN]
    world.rows[memberships] = [
        {"organization_id": organization, "user_id": user, "role": world.dice.choice(roles)}
        for organization in world.organizations()
        for user in world.some(world.users(), 0.4)
    ]
    world.rows[teams] = [
        {
            "id": number,
            "organization_id": organization,
            "slug": f"t{number}",
            "name": "t",
            "created_at": NOW,
            "updated_at": NOW,
        }
        for number, organization in enumerate([*world.organizations(), *world.organizations()], 1)
    ]
    # Some are no members of the organization (any more).
    world.rows[team_members] = [
        {"team_id": team, "user_id": user, "role": "member"}
        for team in world.ids(teams)
        for user in world.some(world.users(), 0.4)
    ]


def _draw_repositories(world: RandomWorld) -> None:
    world.rows[repositories] = []
    for number in range(1, 7):
        owner = world.dice.choice(world.rows[accounts])
        world.rows[repositories].append(
            {
                "id": number,
                "owner_id": owner["id"],
                "name": f"r{number}",
                "name_key": f"r{number}",
                "visibility": world.visibility(owner),
                "default_branch": "main",
                "created_at": NOW,
                "updated_at": NOW,
                "pushed_at": NOW,
            }
        )
    roles = [role for role in Role if role is not Role.NONE]
    world.rows[collaborators] = [
        {"repository_id": repository, "user_id": user, "role": int(world.dice.choice(roles))}
        for repository in world.ids(repositories)
        for user in world.some(world.users(), 0.3)
    ]
    # Some teams are of another organization: what a transfer leaves behind gives nothing.
    world.rows[team_repositories] = [
        {"team_id": team, "repository_id": repository, "role": int(world.dice.choice(roles))}
        for team in world.ids(teams)
        for repository in world.some(world.ids(repositories), 0.3)
    ]


def _draw_packages(world: RandomWorld) -> None:
    world.rows[packages] = []
    taken = set()
    for number in range(1, 36):
        owner, name = world.dice.choice(world.rows[accounts]), world.dice.choice(NAMES)
        gone = world.maybe(0.15) or (owner["id"], name) in taken
        if not gone:
            taken.add((owner["id"], name))
        world.rows[packages].append(
            {
                "id": number,
                "owner_id": owner["id"],
                "name": name,
                "visibility": world.visibility(owner),
                "inherits_access": world.maybe(0.6),
                "repository_id": world.dice.choice([None, *world.ids(repositories)]),
                "creator_token_id": 1,
                "created_at": NOW,
                "updated_at": NOW,
                "published_at": NOW if world.maybe(0.85) else None,
                "deleted_at": NOW + timedelta(days=1) if gone else None,
            }
        )


def _draw_grants(world: RandomWorld) -> None:
    roles = [role for role in PackageRole if role is not PackageRole.NONE]
    tables = {
        package_collaborators: ("user_id", world.users(), 0.1, True),
        package_teams: ("team_id", world.ids(teams), 0.15, True),
        package_codespaces: ("repository_id", world.ids(repositories), 0.1, False),
        package_workflows: ("repository_id", world.ids(repositories), 0.1, True),
    }
    for table, (column, ids, chance, has_role) in tables.items():
        world.rows[table] = []
        for package in world.ids(packages):
            for number in world.some(ids, chance):
                role = {"role": int(world.dice.choice(roles))} if has_role else {}
                world.rows[table].append({"package_id": package, column: number, **role})


async def store_world(store: Store, world: RandomWorld) -> None:
    async with store.begin() as connection:
        for table, found in world.rows.items():
            if found:
                await connection.execute(insert(table), found)

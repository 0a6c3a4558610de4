"""Queries on packages: one package with the facts that a decision about it needs, and how packages come, change and go."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import repository as repository_rows
from berth.adapters.store.package_tables import (
    package_codespaces,
    package_collaborators,
    package_policies,
    package_teams,
    package_workflows,
    packages,
)
from berth.adapters.store.tables import accounts, memberships, repositories, team_members, teams
from berth.domain.access import RepositoryFacts
from berth.domain.account import AccountType, OrganizationRole
from berth.domain.package import DEFAULT_POLICY, Package, PackageName, PackagePolicy
from berth.domain.package_access import NamespaceFacts, PackageFacts, SourceFacts
from berth.domain.package_role import PackageRole
from berth.domain.problem import Conflict, NotFound
from berth.domain.repository import Visibility

PACKAGE_COLUMNS = [
    *packages.c,
    accounts.c.login.label("owner_login"),
    accounts.c.type.label("owner_type"),
]
_WITH_OWNER = packages.join(accounts, accounts.c.id == packages.c.owner_id)
_NOBODY = -1


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom facts are gathered about: an account (None: anonymous), and the repository behind its codespace or workflow."""

    account_id: int | None
    source_repository_id: int | None = None


@dataclass(frozen=True, slots=True)
class KnownPackage:
    """A package with what an access decision about it needs."""

    package: Package
    facts: PackageFacts
    creator_token_id: int


def to_package(row: Row[Any]) -> Package:
    """A row of PACKAGE_COLUMNS as the domain's value."""
    return Package(
        id=row.id,
        owner_id=row.owner_id,
        owner_login=row.owner_login,
        owner_is_organization=row.owner_type == AccountType.ORGANIZATION,
        name=row.name,
        visibility=Visibility(row.visibility),
        inherits_access=row.inherits_access,
        repository_id=row.repository_id,
        untagged_retention_days=row.untagged_retention_days,
        created_at=row.created_at,
        updated_at=row.updated_at,
        published_at=row.published_at,
        deleted_at=row.deleted_at,
    )


def _facts(asker: Asker) -> list[ColumnElement[Any]]:
    """Columns of the facts about the asker and the package of the row."""
    who = _NOBODY if asker.account_id is None else asker.account_id
    source = _NOBODY if asker.source_repository_id is None else asker.source_repository_id
    membership = select(memberships.c.role).where(
        memberships.c.organization_id == packages.c.owner_id, memberships.c.user_id == who
    )
    collaborator = select(package_collaborators.c.role).where(
        package_collaborators.c.package_id == packages.c.id, package_collaborators.c.user_id == who
    )
    team = (
        select(func.max(package_teams.c.role))
        .join(teams, teams.c.id == package_teams.c.team_id)
        .join(team_members, team_members.c.team_id == teams.c.id)
        .where(
            package_teams.c.package_id == packages.c.id,
            teams.c.organization_id == packages.c.owner_id,
            team_members.c.user_id == who,
        )
    )
    listed = select(package_codespaces.c.repository_id).where(
        package_codespaces.c.package_id == packages.c.id, package_codespaces.c.repository_id == source
    )
    workflow = select(package_workflows.c.role).where(
        package_workflows.c.package_id == packages.c.id, package_workflows.c.repository_id == source
    )
    columns = {
        "organization_role": membership,
        "collaborator_role": collaborator,
        "team_role": team,
        "codespaces_listed": listed,
        "workflow_role": workflow,
    }
    return [
        (packages.c.owner_id == who).label("is_owning_user"),
        *(each.correlate(packages).scalar_subquery().label(name) for name, each in columns.items()),
    ]


async def find_known_package(connection: AsyncConnection, asker: Asker, name: PackageName) -> KnownPackage | None:
    """A live package by name with the facts about the asker. Two queries at most."""
    named = and_(accounts.c.login_key == name.owner, packages.c.name == name.name)
    return await _find_known(connection, asker, and_(named, packages.c.deleted_at.is_(None)))


async def find_known_package_by_id(connection: AsyncConnection, asker: Asker, package_id: int) -> KnownPackage | None:
    """The same by id, also of a deleted one."""
    return await _find_known(connection, asker, packages.c.id == package_id)


async def get_known_package_by_id(connection: AsyncConnection, asker: Asker, package_id: int) -> KnownPackage:
    """The same. Raises NotFound if it was deleted for good meanwhile."""
    known = await find_known_package_by_id(connection, asker, package_id)
    if known is None:
        raise NotFound("Not Found", code="package.not_found")
    return known


async def _find_known(connection: AsyncConnection, asker: Asker, condition: ColumnElement[bool]) -> KnownPackage | None:
    statement: Select[Any] = select(*PACKAGE_COLUMNS, *_facts(asker)).select_from(_WITH_OWNER).where(condition)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    repository_ids = {row.repository_id, asker.source_repository_id} - {None}
    about = await _repository_facts(connection, asker, repository_ids)
    return KnownPackage(to_package(row), _to_facts(row, asker, about), row.creator_token_id)


async def find_deleted_id(
    connection: AsyncConnection, name: PackageName, after: datetime, package_id: int | None
) -> int | None:
    """The package of this name that was deleted last, after that time; or the one of this id, if it is such a one."""
    statement = (
        select(packages.c.id)
        .join(accounts, accounts.c.id == packages.c.owner_id)
        .where(accounts.c.login_key == name.owner, packages.c.name == name.name, packages.c.deleted_at > after)
        .order_by(packages.c.deleted_at.desc(), packages.c.id.desc())
        .limit(1)
    )
    if package_id is not None:
        statement = statement.where(packages.c.id == package_id)
    found: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


@dataclass(frozen=True, slots=True)
class _Owned:
    owner_id: int
    facts: RepositoryFacts


async def _repository_facts(connection: AsyncConnection, asker: Asker, ids: set[int]) -> dict[int, _Owned]:
    """The asker's facts about some repositories, with their owners; no query for none."""
    if not ids:
        return {}
    owners = await connection.execute(
        select(repositories.c.id, repositories.c.owner_id).where(repositories.c.id.in_(ids))
    )
    owner_of = {row.id: row.owner_id for row in owners}
    found = await repository_rows.gather_facts_of_many(connection, asker.account_id, owner_of)
    return {facts.repository_id: _Owned(owner_of[facts.repository_id], facts) for facts in found}


def _to_facts(row: Row[Any], asker: Asker, about: dict[int, _Owned]) -> PackageFacts:
    linked = about.get(row.repository_id)
    source = about.get(asker.source_repository_id or _NOBODY)
    return PackageFacts(
        package_id=row.id,
        owner_id=row.owner_id,
        owner_is_organization=row.owner_type == AccountType.ORGANIZATION,
        visibility=Visibility(row.visibility),
        inherits_access=row.inherits_access,
        is_owner=bool(row.is_owning_user) or row.organization_role == OrganizationRole.ADMIN,
        is_member=row.organization_role is not None,
        user_role=PackageRole(row.collaborator_role or 0),
        team_role=PackageRole(row.team_role or 0),
        linked=None if linked is None else linked.facts,
        source=None
        if source is None
        else SourceFacts(
            repository=source.facts,
            owner_id=source.owner_id,
            on_codespaces_list=row.codespaces_listed is not None,
            workflow_role=PackageRole(row.workflow_role or 0),
        ),
    )


async def find_namespace(connection: AsyncConnection, asker: Asker, owner: str) -> NamespaceFacts | None:
    """What a decision about new packages under this account needs; None if there is no such account."""
    who = _NOBODY if asker.account_id is None else asker.account_id
    membership = select(memberships.c.role).where(
        memberships.c.organization_id == accounts.c.id, memberships.c.user_id == who
    )
    statement = select(
        accounts.c.id, membership.correlate(accounts).scalar_subquery().label("organization_role")
    ).where(accounts.c.login_key == owner)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    about = await _repository_facts(connection, asker, {asker.source_repository_id or _NOBODY} - {_NOBODY})
    source = about.get(asker.source_repository_id or _NOBODY)
    return NamespaceFacts(
        owner_id=row.id,
        is_owner=row.id == who or row.organization_role == OrganizationRole.ADMIN,
        is_member=row.organization_role is not None,
        policy=await get_policy(connection, row.id),
        source=None if source is None else SourceFacts(repository=source.facts, owner_id=source.owner_id),
    )


async def get_policy(connection: AsyncConnection, organization_id: int) -> PackagePolicy:
    """An organization's policy; the defaults where it never said anything."""
    statement = select(package_policies).where(package_policies.c.organization_id == organization_id)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return DEFAULT_POLICY
    return PackagePolicy(
        inherit_access_default=row.inherit_access_default,
        creatable_visibilities=frozenset(Visibility(word) for word in row.creatable_visibilities.split()),
    )


async def set_policy(connection: AsyncConnection, organization_id: int, policy: PackagePolicy) -> None:
    """Replace it. The caller holds the organization's lock."""
    await connection.execute(delete(package_policies).where(package_policies.c.organization_id == organization_id))
    await connection.execute(
        insert(package_policies).values(
            organization_id=organization_id,
            inherit_access_default=policy.inherit_access_default,
            creatable_visibilities=" ".join(sorted(policy.creatable_visibilities)),
        )
    )


async def insert_package(
    connection: AsyncConnection,
    *,
    owner_id: int,
    name: str,
    visibility: Visibility,
    inherits_access: bool,
    repository_id: int | None,
    creator_token_id: int,
    now: datetime,
) -> int:
    """The new package's id. Raises Conflict(code="package.name_taken") if another request was quicker."""
    statement = (
        insert(packages)
        .values(
            owner_id=owner_id,
            name=name,
            visibility=visibility,
            inherits_access=inherits_access,
            repository_id=repository_id,
            creator_token_id=creator_token_id,
            created_at=now,
            updated_at=now,
        )
        .returning(packages.c.id)
    )
    try:
        async with connection.begin_nested():
            return int((await connection.execute(statement)).scalar_one())
    except IntegrityError as error:
        raise _name_taken() from error


async def update_package(connection: AsyncConnection, package_id: int, values: dict[str, object]) -> None:
    """Raises Conflict(code="package.name_taken") where a restored name is in use again."""
    try:
        async with connection.begin_nested():
            await connection.execute(update(packages).where(packages.c.id == package_id).values(**values))
    except IntegrityError as error:
        raise _name_taken() from error


async def lock_package(connection: AsyncConnection, package_id: int) -> bool:
    """Changes of one package take turns; uploads into it go on. False if it was deleted for good meanwhile."""
    statement = select(packages.c.id).where(packages.c.id == package_id).with_for_update(key_share=True)
    return (await connection.execute(statement)).one_or_none() is not None


async def hold_package(connection: AsyncConnection, package_id: int, now: datetime) -> bool:
    """Before something is stored in it, or somebody is told of what is: no collection takes it until the transaction ends,
    nor, if nothing was published under it yet, for the whole grace period. False: it was deleted.
    """
    statement = (
        select(packages.c.published_at)
        .where(packages.c.id == package_id, packages.c.deleted_at.is_(None))
        .with_for_update(read=True, key_share=True)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is not None and row.published_at is None:
        unpublished = (packages.c.id == package_id, packages.c.published_at.is_(None))
        await connection.execute(update(packages).where(*unpublished).values(updated_at=now))
    return row is not None


async def set_user_grant(connection: AsyncConnection, package_id: int, user_id: int, role: PackageRole) -> None:
    """The caller holds the package's lock."""
    await remove_user_grant(connection, package_id, user_id)
    await connection.execute(
        insert(package_collaborators).values(package_id=package_id, user_id=user_id, role=int(role))
    )


async def remove_user_grant(connection: AsyncConnection, package_id: int, user_id: int) -> bool:
    """False: he had none."""
    mine = and_(package_collaborators.c.package_id == package_id, package_collaborators.c.user_id == user_id)
    return bool((await connection.execute(delete(package_collaborators).where(mine))).rowcount)


async def forget_repository(connection: AsyncConnection, repository_id: int) -> None:
    """Rule A12: the repository goes, to another owner or for good. No package is linked to it or lists it any more."""
    await connection.execute(
        update(packages)
        .where(packages.c.repository_id == repository_id)
        .values(repository_id=None, inherits_access=False)
    )
    for table in (package_codespaces, package_workflows):
        await connection.execute(delete(table).where(table.c.repository_id == repository_id))


def _name_taken() -> Conflict:
    return Conflict("A package of this name exists already.", code="package.name_taken")

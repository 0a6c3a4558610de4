"""Lists of packages that somebody may pull: `decide_package` for the action pull, as a condition of a query.

A test holds the two together: for every package and every kind of caller, the list has it if and only if the decision allows.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, cast, exists, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import repository as repository_rows
from berth.adapters.store.package import PACKAGE_COLUMNS, to_package
from berth.adapters.store.package_tables import (
    manifests,
    package_codespaces,
    package_collaborators,
    package_teams,
    package_workflows,
    packages,
)
from berth.adapters.store.paging import fetch_page
from berth.adapters.store.tables import (
    accounts,
    collaborators,
    memberships,
    repositories,
    team_members,
    team_repositories,
    teams,
)
from berth.domain.access import Subject, role_without_token
from berth.domain.access_token import TokenKind
from berth.domain.account import AccountType, OrganizationRole
from berth.domain.package import Package
from berth.domain.repository import Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import WorkflowPermission

_WITH_OWNER = packages.join(accounts, accounts.c.id == packages.c.owner_id)
# Compared by its bytes on both databases, as a client compares: `a-b/x` stands before `a/x`.
_BYTES = String().with_variant(String(collation="C"), "postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFilter:
    """Which packages a list is about. Deleted ones are never in it, nor those that nothing was published under."""

    owner_id: int | None = None
    visibility: Visibility | None = None
    member_id: int | None = None  # those of this user, and of the organizations that he belongs to
    repository_id: int | None = None  # those that are linked to it
    text: str = ""  # a part of `owner/name`


async def list_packages(
    connection: AsyncConnection, subject: Subject | None, wanted: PackageFilter, *, limit: int, offset: int
) -> tuple[list[Package], int]:
    """A page of what the subject may pull, newest first, and how many there are."""
    statement = (await _readable(connection, subject)).order_by(packages.c.id.desc())
    if wanted.owner_id is not None:
        statement = statement.where(packages.c.owner_id == wanted.owner_id)
    if wanted.visibility is not None:
        statement = statement.where(packages.c.visibility == wanted.visibility)
    if wanted.member_id is not None:
        joined = select(memberships.c.organization_id).where(memberships.c.user_id == wanted.member_id)
        statement = statement.where(or_(packages.c.owner_id == wanted.member_id, packages.c.owner_id.in_(joined)))
    if wanted.repository_id is not None:
        statement = statement.where(packages.c.repository_id == wanted.repository_id)
    if wanted.text:
        full_name = accounts.c.login_key + "/" + packages.c.name
        statement = statement.where(full_name.contains(wanted.text.lower(), autoescape=True))
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [to_package(row) for row in rows], total


async def list_deleted(
    connection: AsyncConnection, owner_of: int, after: datetime, *, limit: int, offset: int
) -> tuple[list[Package], int]:
    """Packages that were deleted after that time, of this user and of the organizations that he owns; the last one first."""
    owned = select(memberships.c.organization_id).where(
        memberships.c.user_id == owner_of, memberships.c.role == OrganizationRole.ADMIN
    )
    statement = (
        select(*PACKAGE_COLUMNS)
        .select_from(_WITH_OWNER)
        .where(
            packages.c.deleted_at > after,
            packages.c.published_at.is_not(None),
            or_(packages.c.owner_id == owner_of, packages.c.owner_id.in_(owned)),
        )
        .order_by(packages.c.deleted_at.desc(), packages.c.id.desc())
    )
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return [to_package(row) for row in rows], total


async def list_readable_names(
    connection: AsyncConnection, subject: Subject | None, *, after: str, limit: int
) -> list[str]:
    """`owner/name` of what the subject may pull, in the order of its bytes, those after `after` only."""
    full_name = cast(accounts.c.login_key + "/" + packages.c.name, _BYTES)
    statement = (await _readable(connection, subject)).where(full_name > after).order_by(full_name).limit(limit)
    return [f"{row.owner_login.lower()}/{row.name}" for row in await connection.execute(statement)]


async def _readable(connection: AsyncConnection, subject: Subject | None) -> Select[Any]:
    allowed = [packages.c.visibility == Visibility.PUBLIC]
    if subject is not None:
        allowed.append(await _of_subject(connection, subject))
    return (
        select(*PACKAGE_COLUMNS)
        .select_from(_WITH_OWNER)
        .where(packages.c.deleted_at.is_(None), packages.c.published_at.is_not(None), or_(*allowed))
    )


async def _of_subject(connection: AsyncConnection, subject: Subject) -> ColumnElement[bool]:
    match subject.token_kind:
        case TokenKind.PERSONAL:
            return _of_person(subject.account_id) if subject.has(Scope.READ_PACKAGES) else false()
        case TokenKind.CODESPACE:
            return await _of_codespace(connection, subject)
        case TokenKind.WORKFLOW:
            return await _of_workflow(connection, subject)
        case _:
            return false()


def _of_person(who: int) -> ColumnElement[bool]:
    """domain/package_access.py, policy 1."""
    role = select(memberships.c.role).where(
        memberships.c.organization_id == packages.c.owner_id, memberships.c.user_id == who
    )
    member = exists(role)
    owner = or_(packages.c.owner_id == who, exists(role.where(memberships.c.role == OrganizationRole.ADMIN)))
    by_name = exists(
        select(package_collaborators.c.user_id).where(
            package_collaborators.c.package_id == packages.c.id, package_collaborators.c.user_id == who
        )
    )
    by_team = exists(
        select(package_teams.c.team_id)
        .join(teams, teams.c.id == package_teams.c.team_id)
        .join(team_members, team_members.c.team_id == teams.c.id)
        .where(
            package_teams.c.package_id == packages.c.id,
            teams.c.organization_id == packages.c.owner_id,
            team_members.c.user_id == who,
        )
    )
    granted = and_(or_(by_name, by_team), or_(accounts.c.type == AccountType.USER, member))
    internal = and_(packages.c.visibility == Visibility.INTERNAL, member)
    return or_(owner, internal, granted, and_(packages.c.inherits_access, _has_role_on_linked(who)))


def _has_role_on_linked(who: int) -> ColumnElement[bool]:
    """An explicit role on the repository that the package is linked to (policy 1 d)."""
    membership = select(memberships.c.user_id).where(
        memberships.c.organization_id == repositories.c.owner_id, memberships.c.user_id == who
    )
    not_public = repositories.c.visibility != Visibility.PUBLIC
    by_team = (
        select(team_repositories.c.team_id)
        .join(teams, teams.c.id == team_repositories.c.team_id)
        .join(team_members, team_members.c.team_id == teams.c.id)
        .where(
            team_repositories.c.repository_id == repositories.c.id,
            teams.c.organization_id == repositories.c.owner_id,
            team_members.c.user_id == who,
        )
    )
    by_name = select(collaborators.c.user_id).where(
        collaborators.c.repository_id == repositories.c.id, collaborators.c.user_id == who
    )
    explicit = or_(
        repositories.c.owner_id == who,
        exists(membership.where(or_(not_public, memberships.c.role == OrganizationRole.ADMIN))),
        exists(by_team),
        exists(by_name),
    )
    return exists(select(repositories.c.id).where(repositories.c.id == packages.c.repository_id, explicit))


async def _of_codespace(connection: AsyncConnection, subject: Subject) -> ColumnElement[bool]:
    """Policy 3."""
    source = subject.codespace_repository_id or -1
    facts = await repository_rows.gather_facts(connection, subject.account_id, source)
    if facts is None or role_without_token(facts) < Role.PULL:
        return false()
    listed = exists(
        select(package_codespaces.c.repository_id).where(
            package_codespaces.c.package_id == packages.c.id, package_codespaces.c.repository_id == source
        )
    )
    if facts.visibility is Visibility.PUBLIC:
        return listed
    owner = select(repositories.c.owner_id).where(repositories.c.id == source).scalar_subquery()
    internal = and_(packages.c.visibility == Visibility.INTERNAL, packages.c.owner_id == owner)
    return or_(listed, internal, and_(packages.c.inherits_access, packages.c.repository_id == source))


async def _of_workflow(connection: AsyncConnection, subject: Subject) -> ColumnElement[bool]:
    """Policy 4."""
    source = subject.workflow_repository_id or -1
    facts = await repository_rows.gather_facts(connection, subject.account_id, source)
    nothing = subject.permissions.packages is WorkflowPermission.NONE
    if nothing or facts is None or role_without_token(facts) < Role.PUSH:
        return false()
    listed = exists(
        select(package_workflows.c.repository_id).where(
            package_workflows.c.package_id == packages.c.id, package_workflows.c.repository_id == source
        )
    )
    return or_(listed, and_(packages.c.inherits_access, packages.c.repository_id == source))


async def count_versions(connection: AsyncConnection, package_ids: list[int]) -> dict[int, int]:
    """Live versions of each package; 0 is left out. One query."""
    statement = (
        select(manifests.c.package_id, func.count())
        .where(manifests.c.package_id.in_(package_ids), manifests.c.deleted_at.is_(None))
        .group_by(manifests.c.package_id)
    )
    return {row[0]: row[1] for row in await connection.execute(statement)}

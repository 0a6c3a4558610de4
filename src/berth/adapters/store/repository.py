"""Queries on repositories, who has which role on them, and which of them somebody may see."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from sqlalchemy import ColumnElement, Row, Select, and_, delete, false, func, insert, or_, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.credential_refresh import ask_for_repository
from berth.adapters.store.former_name import leaving_name, take_name, was_named
from berth.adapters.store.paging import fetch_page
from berth.adapters.store.tables import (
    accounts,
    codespaces,
    collaborators,
    forks,
    memberships,
    repositories,
    team_members,
    team_repositories,
    teams,
)
from berth.domain.access import RepositoryFacts, Subject
from berth.domain.access_token import TokenKind
from berth.domain.account import AccountType, OrganizationRole
from berth.domain.lifecycle import Desired
from berth.domain.problem import Invalid, NotFound
from berth.domain.repository import Repository, Visibility
from berth.domain.role import Role
from berth.domain.scope import Scope
from berth.domain.workflow_permissions import WorkflowPermission

_parents = forks.alias("parents")
_COLUMNS = [
    select(_parents.c.parent_id)
    .where(_parents.c.repository_id == repositories.c.id)
    .correlate(repositories)
    .scalar_subquery()
    .label("parent_id"),
    *(column for column in repositories.c if column.name != "name_key"),
    accounts.c.login.label("owner_login"),
    accounts.c.type.label("owner_type"),
]
_WITH_OWNER = repositories.join(accounts, accounts.c.id == repositories.c.owner_id)
_NOBODY = -1


@dataclass(frozen=True, slots=True)
class KnownRepository:
    """A repository with what an access decision about it needs."""

    repository: Repository
    facts: RepositoryFacts


def to_repository(row: Row[Any]) -> Repository:
    """A row as the domain's value."""
    return Repository(
        id=row.id,
        owner_id=row.owner_id,
        owner_login=row.owner_login,
        owner_is_organization=row.owner_type == AccountType.ORGANIZATION,
        name=row.name,
        description=row.description,
        visibility=Visibility(row.visibility),
        default_branch=row.default_branch,
        created_at=row.created_at,
        updated_at=row.updated_at,
        pushed_at=row.pushed_at,
        parent_id=row.parent_id,
    )


def _facts(account_id: int | None) -> list[ColumnElement[Any]]:
    """Columns of the facts about an account and the repository of the row."""
    who = _NOBODY if account_id is None else account_id
    membership = select(memberships.c.role).where(
        memberships.c.organization_id == repositories.c.owner_id, memberships.c.user_id == who
    )
    collaborator = select(collaborators.c.role).where(
        collaborators.c.repository_id == repositories.c.id, collaborators.c.user_id == who
    )
    team = (
        select(func.max(team_repositories.c.role))
        .join(teams, teams.c.id == team_repositories.c.team_id)
        .join(team_members, team_members.c.team_id == teams.c.id)
        .where(
            team_repositories.c.repository_id == repositories.c.id,
            teams.c.organization_id == repositories.c.owner_id,
            team_members.c.user_id == who,
        )
    )
    return [
        (repositories.c.owner_id == who).label("is_owning_user"),
        membership.correlate(repositories).scalar_subquery().label("organization_role"),
        collaborator.correlate(repositories).scalar_subquery().label("collaborator_role"),
        team.correlate(repositories).scalar_subquery().label("team_role"),
    ]


def _to_facts(row: Row[Any]) -> RepositoryFacts:
    return RepositoryFacts(
        repository_id=row.id,
        visibility=Visibility(row.visibility),
        is_owner=bool(row.is_owning_user) or row.organization_role == OrganizationRole.ADMIN,
        is_member=row.organization_role is not None,
        collaborator_role=Role(row.collaborator_role or 0),
        team_role=Role(row.team_role or 0),
    )


def _to_known(row: Row[Any]) -> KnownRepository:
    return KnownRepository(to_repository(row), _to_facts(row))


def _is_named(owner_login: str, name: str) -> ColumnElement[bool]:
    return and_(accounts.c.login_key == owner_login.lower(), repositories.c.name_key == name.lower())


async def find_repository_by_id(connection: AsyncConnection, repository_id: int) -> Repository | None:
    return (await find_repositories_by_ids(connection, [repository_id])).get(repository_id)


async def find_repositories_by_ids(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Repository]:
    """Those that are there."""
    statement = select(*_COLUMNS).select_from(_WITH_OWNER).where(repositories.c.id.in_(ids))
    return {row.id: to_repository(row) for row in await connection.execute(statement)}


async def gather_facts(
    connection: AsyncConnection, account_id: int | None, repository_id: int
) -> RepositoryFacts | None:
    """What decisions need to know of an account (None: anonymous) and a repository. One query."""
    found = await gather_facts_of_many(connection, account_id, [repository_id])
    return found[0] if found else None


async def get_facts(connection: AsyncConnection, account_id: int | None, repository_id: int) -> RepositoryFacts:
    """The same. Raises NotFound if the repository was deleted meanwhile."""
    facts = await gather_facts(connection, account_id, repository_id)
    if facts is None:
        raise NotFound("Not Found", code="repository.not_found")
    return facts


async def gather_facts_of_many(
    connection: AsyncConnection, account_id: int | None, repository_ids: Iterable[int]
) -> list[RepositoryFacts]:
    """The same for many ids, in one query and in order of id; ids of nothing are left out."""
    statement = (
        select(repositories.c.id, repositories.c.visibility, *_facts(account_id))
        .where(repositories.c.id.in_(list(repository_ids)))
        .order_by(repositories.c.id)
    )
    return [_to_facts(row) for row in await connection.execute(statement)]


async def find_known(
    connection: AsyncConnection, account_id: int | None, owner_login: str, name: str, *, formerly: bool = False
) -> KnownRepository | None:
    """A repository by name, or by one that it had, with the facts about an account. One query."""
    return await _find_known(connection, account_id, (was_named if formerly else _is_named)(owner_login, name))


async def find_known_by_id(
    connection: AsyncConnection, account_id: int | None, repository_id: int
) -> KnownRepository | None:
    return await _find_known(connection, account_id, repositories.c.id == repository_id)


async def _find_known(
    connection: AsyncConnection, account_id: int | None, condition: ColumnElement[bool]
) -> KnownRepository | None:
    statement = select(*_COLUMNS, *_facts(account_id)).select_from(_WITH_OWNER).where(condition)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_known(row)


async def find_known_by_ids(
    connection: AsyncConnection, account_id: int | None, ids: Collection[int]
) -> dict[int, KnownRepository]:
    """Those that are there, with the facts about an account. One query, none for no ids."""
    if not ids:
        return {}
    statement = select(*_COLUMNS, *_facts(account_id)).select_from(_WITH_OWNER).where(repositories.c.id.in_(ids))
    return {row.id: _to_known(row) for row in await connection.execute(statement)}


def _involves(account_id: int) -> ColumnElement[bool]:
    """The account has a role of its own: owner, collaborator, member of the organization or of a team."""
    return or_(
        repositories.c.owner_id == account_id,
        repositories.c.owner_id.in_(select(memberships.c.organization_id).where(memberships.c.user_id == account_id)),
        repositories.c.id.in_(select(collaborators.c.repository_id).where(collaborators.c.user_id == account_id)),
        repositories.c.id.in_(
            select(team_repositories.c.repository_id)
            .join(teams, teams.c.id == team_repositories.c.team_id)
            .join(team_members, team_members.c.team_id == teams.c.id)
            .where(
                team_repositories.c.repository_id == repositories.c.id,
                teams.c.organization_id == repositories.c.owner_id,
                team_members.c.user_id == account_id,
            )
            .correlate(repositories)
        ),
    )


def readable_by(subject: Subject | None) -> ColumnElement[bool]:
    """The lists' form of `domain.access`, policy 1 and 2; tests hold both to the same answers."""
    public = repositories.c.visibility == Visibility.PUBLIC
    if subject is None:
        return public
    return or_(public, and_(_involves(subject.account_id), _opened_by(subject)))


def _opened_by(subject: Subject) -> ColumnElement[bool]:
    """What the token lets through of that which is not public."""
    match subject.token_kind:
        case TokenKind.PERSONAL:
            return true() if subject.has(Scope.REPO) else false()
        case TokenKind.CODESPACE:
            return repositories.c.id == (subject.codespace_repository_id or _NOBODY)
        case TokenKind.WORKFLOW:
            reads = subject.permissions.contents is not WorkflowPermission.NONE
            return repositories.c.id == (subject.workflow_repository_id or _NOBODY) if reads else false()
        case _:
            assert_never(subject.token_kind)


async def list_known(
    connection: AsyncConnection,
    subject: Subject | None,
    *,
    limit: int,
    offset: int,
    owner_id: int | None = None,
    team_id: int | None = None,
    among: Select[Any] | None = None,
    own: bool = False,
    text: str = "",
) -> tuple[list[KnownRepository], int]:
    """A page of what the subject may read: of one owner, of one team, those that he has a role on, or by a part of the name.

    `among` selects ids: of what some other table lists.
    """
    account_id = None if subject is None else subject.account_id
    statement: Select[Any] = select(*_COLUMNS, *_facts(account_id)).select_from(_WITH_OWNER).where(readable_by(subject))
    if owner_id is not None:
        statement = statement.where(repositories.c.owner_id == owner_id)
    if team_id is not None:
        granted = select(team_repositories.c.repository_id).where(team_repositories.c.team_id == team_id)
        statement = statement.where(repositories.c.id.in_(granted))
    if among is not None:
        statement = statement.where(repositories.c.id.in_(among))
    if own:
        statement = statement.where(_involves(_NOBODY if account_id is None else account_id))
    if text:
        full_name = accounts.c.login_key + "/" + repositories.c.name_key
        statement = statement.where(full_name.contains(text.lower(), autoescape=True))
    rows, total = await fetch_page(
        connection, statement.order_by(accounts.c.login_key, repositories.c.name_key), limit=limit, offset=offset
    )
    return [_to_known(row) for row in rows], total


async def count_repositories(connection: AsyncConnection, owner_id: int) -> tuple[int, int]:
    """How many public and how many other repositories an account owns."""
    statement = (
        select(repositories.c.visibility, func.count())
        .where(repositories.c.owner_id == owner_id)
        .group_by(repositories.c.visibility)
    )
    counts = {str(row[0]): int(row[1]) for row in await connection.execute(statement)}
    public = counts.pop(Visibility.PUBLIC, 0)
    return public, sum(counts.values())


def _name_taken(name: str) -> Invalid:
    return Invalid(
        f"The owner has a repository '{name}' already.",
        field="name",
        reason="already_exists",
        code="repository.name.taken",
    )


async def insert_repository(
    connection: AsyncConnection,
    *,
    owner_id: int,
    name: str,
    description: str,
    visibility: Visibility,
    default_branch: str,
    now: datetime,
) -> int:
    """A new repository's id; a former name of another is its own now. Raises Invalid (already_exists)."""
    statement = insert(repositories).values(
        owner_id=owner_id,
        name=name,
        name_key=name.lower(),
        description=description,
        visibility=visibility,
        default_branch=default_branch,
        created_at=now,
        updated_at=now,
        pushed_at=now,
    )
    try:
        repository_id = int((await connection.execute(statement.returning(repositories.c.id))).scalar_one())
    except IntegrityError as error:
        raise _name_taken(name) from error
    await take_name(connection, repository_id)
    return repository_id


async def update_repository(connection: AsyncConnection, repository_id: int, values: Mapping[str, Any]) -> None:
    """Change columns; a new `name` brings its key along, the former one leads here. Raises Invalid (already_exists)."""
    changed = dict(values)
    if "name" in changed:
        changed["name_key"] = str(changed["name"]).lower()
    try:
        async with leaving_name(connection, repository_id, changed):
            await connection.execute(update(repositories).where(repositories.c.id == repository_id).values(**changed))
        if changed.keys() & {"owner_id", "visibility"}:  # which organization's secrets reach it, and for whom
            await ask_for_repository(connection, repository_id)
    except IntegrityError as error:
        raise _name_taken(str(changed.get("name"))) from error


async def delete_repository(connection: AsyncConnection, repository_id: int) -> None:
    """The row, and by it grants and secrets; its codespaces are asked to go, the loop removes them."""
    await connection.execute(
        update(codespaces)
        .where(codespaces.c.repository_id == repository_id)
        .values(desired=Desired.DELETED, generation=codespaces.c.generation + 1, attempts=0, next_at=0)
    )
    await connection.execute(delete(repositories).where(repositories.c.id == repository_id))


async def lock_repository(connection: AsyncConnection, repository_id: int) -> None:
    """Changes of who has a role on a repository take turns. Raises NotFound if it was deleted meanwhile."""
    statement = select(repositories.c.id).where(repositories.c.id == repository_id).with_for_update()
    if (await connection.execute(statement)).one_or_none() is None:
        raise NotFound("Not Found", code="repository.not_found")

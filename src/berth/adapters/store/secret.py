"""Queries on secrets. Values go in and out as the sealer's blobs; lists and looks never fetch them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Row,
    Select,
    and_,
    delete,
    false,
    func,
    insert,
    literal,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.secret_tables import secret_repositories, secrets
from berth.adapters.store.tables import accounts, repositories
from berth.domain.problem import Conflict
from berth.domain.secret import SecretLevel, SecretVersion, SecretVisibility


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """A row without its value."""

    id: int
    name: str
    visibility: SecretVisibility | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValue:
    """A row with its value. `owner_id` is an account's or a repository's, as `level` says."""

    id: int
    level: SecretLevel
    owner_id: int
    name: str
    visibility: SecretVisibility | None
    selected: bool
    value: bytes
    version: int


_LOOK: list[ColumnElement[Any]] = [
    secrets.c.id,
    secrets.c.name,
    secrets.c.visibility,
    secrets.c.created_at,
    secrets.c.updated_at,
]
_OWNER = func.coalesce(secrets.c.account_id, secrets.c.repository_id).label("owner_id")
_VALUE: list[ColumnElement[Any]] = [
    secrets.c.id,
    secrets.c.level,
    _OWNER,
    secrets.c.name,
    secrets.c.visibility,
    secrets.c.value,
    secrets.c.version,
]


def _owned(level: SecretLevel, owner_id: int) -> ColumnElement[bool]:
    column = secrets.c.repository_id if level is SecretLevel.REPOSITORY else secrets.c.account_id
    return and_(column == owner_id, secrets.c.level == level)


def _visibility(word: str | None) -> SecretVisibility | None:
    return None if word is None else SecretVisibility(word)


def _to_stored(row: Row[Any]) -> StoredSecret:
    fields: dict[str, Any] = row._asdict()
    return StoredSecret(**fields | {"visibility": _visibility(fields["visibility"])})


def _to_value(row: Row[Any]) -> StoredValue:
    fields: dict[str, Any] = row._asdict()
    fields["level"] = SecretLevel(fields["level"])
    fields["visibility"] = _visibility(fields["visibility"])
    fields["selected"] = bool(fields["selected"])
    return StoredValue(**fields)


async def lock_owner(connection: AsyncConnection, level: SecretLevel, owner_id: int) -> bool:
    """Make writers of this owner's secrets take turns until the transaction ends (S2). False if the owner is gone."""
    table = repositories if level is SecretLevel.REPOSITORY else accounts
    statement = select(table.c.id).where(table.c.id == owner_id).with_for_update(key_share=True)
    return (await connection.execute(statement)).one_or_none() is not None


async def find_secret(connection: AsyncConnection, level: SecretLevel, owner_id: int, name: str) -> StoredSecret | None:
    statement = select(*_LOOK).where(_owned(level, owner_id), secrets.c.name == name)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_stored(row)


async def count_secrets(connection: AsyncConnection, level: SecretLevel, owner_id: int) -> int:
    statement = select(func.count()).select_from(secrets).where(_owned(level, owner_id))
    return int((await connection.execute(statement)).scalar_one())


async def list_secrets(
    connection: AsyncConnection, level: SecretLevel, owner_id: int, *, limit: int, offset: int
) -> tuple[list[StoredSecret], int]:
    """A page by name, and how many there are."""
    total = await count_secrets(connection, level, owner_id)
    statement = select(*_LOOK).where(_owned(level, owner_id)).order_by(secrets.c.name).limit(limit).offset(offset)
    return [_to_stored(row) for row in await connection.execute(statement)], total


async def insert_secret(
    connection: AsyncConnection, level: SecretLevel, owner_id: int, values: Mapping[str, Any]
) -> SecretVersion:
    column = "repository_id" if level is SecretLevel.REPOSITORY else "account_id"
    statement = insert(secrets).values(level=level, **{column: owner_id}, **values)
    row = (await connection.execute(statement.returning(secrets.c.id, secrets.c.version))).one()
    return SecretVersion(row.id, row.version)


async def update_secret(connection: AsyncConnection, secret_id: int, values: Mapping[str, Any]) -> SecretVersion:
    """Also which version it has now: with a value among `values`, a new one."""
    number = secrets.c.version + 1 if "value" in values else secrets.c.version
    statement = update(secrets).where(secrets.c.id == secret_id).values(**values, version=number)
    row = (await connection.execute(statement.returning(secrets.c.version))).one()
    return SecretVersion(secret_id, row.version)


async def delete_secret(connection: AsyncConnection, secret_id: int) -> None:
    await connection.execute(delete(secrets).where(secrets.c.id == secret_id))


async def list_selection(connection: AsyncConnection, secret_id: int) -> list[int]:
    """The ids of the selected repositories, in order."""
    column = secret_repositories.c.repository_id
    statement = select(column).where(secret_repositories.c.secret_id == secret_id).order_by(column)
    return list((await connection.execute(statement)).scalars())


async def add_to_selection(connection: AsyncConnection, secret_id: int, repository_ids: Iterable[int]) -> None:
    """None of them may be there already. Raises Conflict if a repository was deleted meanwhile."""
    new = [{"secret_id": secret_id, "repository_id": repository_id} for repository_id in repository_ids]
    if not new:
        return
    try:
        await connection.execute(insert(secret_repositories), new)
    except IntegrityError as error:
        raise Conflict("A selected repository was deleted meanwhile.", code="secret.repository_gone") from error


async def remove_from_selection(connection: AsyncConnection, secret_id: int, repository_id: int | None = None) -> None:
    """Remove one repository, or all of them."""
    statement = delete(secret_repositories).where(secret_repositories.c.secret_id == secret_id)
    if repository_id is not None:
        statement = statement.where(secret_repositories.c.repository_id == repository_id)
    await connection.execute(statement)


async def find_organization_repositories(
    connection: AsyncConnection, organization_id: int, repository_ids: Iterable[int]
) -> set[int]:
    """Which of these ids are repositories of the organization."""
    statement = select(repositories.c.id).where(
        repositories.c.owner_id == organization_id, repositories.c.id.in_(list(repository_ids))
    )
    return set((await connection.execute(statement)).scalars())


async def list_values_for_codespace(connection: AsyncConnection, user_id: int, repository_id: int) -> list[StoredValue]:
    """What may concern a codespace: the user's secrets that select the repository, its own, its organization's all.

    In order of level and name; one query. Whether an organization's secret may be used is `domain.secret`'s to say.
    """
    selection = and_(
        secret_repositories.c.secret_id == secrets.c.id, secret_repositories.c.repository_id == repository_id
    )
    owner = select(repositories.c.owner_id).where(repositories.c.id == repository_id).scalar_subquery()

    def part(order: int, level: SecretLevel, selected: ColumnElement[bool]) -> Select[Any]:
        return select(literal(order).label("part"), *_VALUE, selected.label("selected")).where(secrets.c.level == level)

    of_user = part(1, SecretLevel.USER, true()).join(secret_repositories, selection)
    of_repository = part(2, SecretLevel.REPOSITORY, false())
    of_organization = part(3, SecretLevel.ORGANIZATION, secret_repositories.c.secret_id.is_not(None))
    parts = union_all(
        of_user.where(secrets.c.account_id == user_id),
        of_repository.where(secrets.c.repository_id == repository_id),
        of_organization.outerjoin(secret_repositories, selection).where(secrets.c.account_id == owner),
    ).subquery()
    columns = [column for column in parts.c if column.name != "part"]
    return [_to_value(row) for row in await connection.execute(select(*columns).order_by(parts.c.part, parts.c.name))]


async def list_unselected_values(
    connection: AsyncConnection, user_id: int, repository_id: int, *, ending: str
) -> list[StoredValue]:
    """The user's own secrets whose names end so, and that do not select the repository; by name."""
    selected = select(secret_repositories.c.secret_id).where(secret_repositories.c.repository_id == repository_id)
    statement: Select[Any] = select(*_VALUE, false().label("selected")).where(
        _owned(SecretLevel.USER, user_id),
        secrets.c.name.endswith(ending, autoescape=True),
        secrets.c.id.not_in(selected),
    )
    return [_to_value(row) for row in await connection.execute(statement.order_by(secrets.c.name))]


async def list_organization_values(
    connection: AsyncConnection, repository_id: int, *, ending: str
) -> list[StoredValue]:
    """The secrets of the repository's organization whose names end so, and whether they select it; by name."""
    selection = and_(
        secret_repositories.c.secret_id == secrets.c.id, secret_repositories.c.repository_id == repository_id
    )
    owner = select(repositories.c.owner_id).where(repositories.c.id == repository_id).scalar_subquery()
    statement: Select[Any] = (
        select(*_VALUE, secret_repositories.c.secret_id.is_not(None).label("selected"))
        .outerjoin(secret_repositories, selection)
        .where(
            secrets.c.level == SecretLevel.ORGANIZATION,
            secrets.c.account_id == owner,
            secrets.c.name.endswith(ending, autoescape=True),
        )
    )
    return [_to_value(row) for row in await connection.execute(statement.order_by(secrets.c.name))]


async def list_owned_values(
    connection: AsyncConnection, level: SecretLevel, owner_id: int, secret_ids: Iterable[int]
) -> list[StoredValue]:
    """Some of an owner's secrets with their values; by name."""
    statement: Select[Any] = select(*_VALUE, false().label("selected")).where(
        _owned(level, owner_id), secrets.c.id.in_(list(secret_ids))
    )
    return [_to_value(row) for row in await connection.execute(statement.order_by(secrets.c.name))]


async def list_values(connection: AsyncConnection, *, after: int, limit: int) -> list[StoredValue]:
    """All rows with their values, page by page: those with an id greater than `after`."""
    statement: Select[Any] = select(*_VALUE, false().label("selected")).where(secrets.c.id > after)
    return [_to_value(row) for row in await connection.execute(statement.order_by(secrets.c.id).limit(limit))]


async def replace_value(connection: AsyncConnection, secret_id: int, *, old: bytes, new: bytes) -> bool:
    """Store another blob of the same value. False if somebody has set the secret meanwhile: his value stays."""
    statement = update(secrets).where(secrets.c.id == secret_id, secrets.c.value == old).values(value=new)
    return (await connection.execute(statement)).rowcount == 1


async def list_value_headers(connection: AsyncConnection, size_bytes: int) -> frozenset[bytes]:
    """The distinct first bytes of all blobs."""
    header = func.substr(secrets.c.value, 1, size_bytes, type_=LargeBinary)
    return frozenset((await connection.execute(select(header).distinct())).scalars())

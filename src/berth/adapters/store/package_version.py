"""Queries on a package's versions as people see them: listed with their tags, by id, restored after a deletion."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.package_tables import blobs, manifest_references, manifests, package_blobs, tags
from berth.adapters.store.paging import fetch_page
from berth.domain.package_version import PackageVersion


def _versions(package_id: int) -> Select[Any]:
    columns = (
        manifests.c.id,
        manifests.c.digest,
        manifests.c.created_at,
        manifests.c.updated_at,
        manifests.c.deleted_at,
    )
    return select(*columns).where(manifests.c.package_id == package_id)


def _is_restorable(after: datetime) -> ColumnElement[bool]:
    return manifests.c.deleted_at > after


async def list_versions(
    connection: AsyncConnection,
    package_id: int,
    *,
    deleted_after: datetime | None,
    limit: int,
    offset: int,
    tagged: bool | None = None,
) -> tuple[list[PackageVersion], int]:
    """A page of the live versions, or of those that were deleted after a time; newest first. Three queries.

    `tagged` leaves only those that have a tag, or only those that have none.
    """
    wanted = manifests.c.deleted_at.is_(None) if deleted_after is None else _is_restorable(deleted_after)
    statement = _versions(package_id).where(wanted).order_by(manifests.c.id.desc())
    if tagged is not None:
        has_tag = exists(select(tags.c.name).where(tags.c.manifest_id == manifests.c.id))
        statement = statement.where(has_tag if tagged else ~has_tag)
    rows, total = await fetch_page(connection, statement, limit=limit, offset=offset)
    return await _with_tags(connection, rows), total


async def find_version(connection: AsyncConnection, package_id: int, version_id: int) -> PackageVersion | None:
    """A live version by id."""
    return await _find(connection, package_id, version_id, manifests.c.deleted_at.is_(None))


async def find_restorable(
    connection: AsyncConnection, package_id: int, version_id: int, deleted_after: datetime
) -> PackageVersion | None:
    """One that was deleted after that time."""
    return await _find(connection, package_id, version_id, _is_restorable(deleted_after))


async def _find(
    connection: AsyncConnection, package_id: int, version_id: int, condition: ColumnElement[bool]
) -> PackageVersion | None:
    rows = (await connection.execute(_versions(package_id).where(manifests.c.id == version_id, condition))).all()
    found = await _with_tags(connection, rows)
    return found[0] if found else None


async def _with_tags(connection: AsyncConnection, rows: Collection[Row[Any]]) -> list[PackageVersion]:
    """One query for all their tags."""
    of_each: dict[int, list[str]] = {row.id: [] for row in rows}
    if of_each:
        statement = select(tags.c.manifest_id, tags.c.name).where(tags.c.manifest_id.in_(of_each)).order_by(tags.c.name)
        for row in await connection.execute(statement):
            of_each[row.manifest_id].append(row.name)
    return [
        PackageVersion(
            id=row.id,
            digest=row.digest,
            tags=tuple(of_each[row.id]),
            created_at=row.created_at,
            updated_at=row.updated_at,
            deleted_at=row.deleted_at,
        )
        for row in rows
    ]


async def is_another_tagged(connection: AsyncConnection, package_id: int, version_id: int) -> bool:
    """Whether a live version other than this one has a tag."""
    statement = (
        select(tags.c.name)
        .join(manifests, manifests.c.id == tags.c.manifest_id)
        .where(tags.c.package_id == package_id, manifests.c.deleted_at.is_(None), manifests.c.id != version_id)
        .limit(1)
    )
    return (await connection.execute(statement)).one_or_none() is not None


async def restore_version(connection: AsyncConnection, package_id: int, version_id: int, now: datetime) -> None:
    """Bring it back, with the blobs that it names: they may have been deleted after it. The caller holds the package's lock."""
    await connection.execute(
        update(manifests).where(manifests.c.id == version_id).values(deleted_at=None, updated_at=now)
    )
    named = (
        select(blobs.c.id)
        .join(manifest_references, manifest_references.c.digest == blobs.c.digest)
        .where(manifest_references.c.manifest_id == version_id, manifest_references.c.kind == "blob")
    )
    await connection.execute(
        update(package_blobs)
        .where(package_blobs.c.package_id == package_id, package_blobs.c.blob_id.in_(named))
        .values(deleted=False, touched_at=now)
    )

"""Queries of garbage collection: what nobody needs any more, a page at a time, in transactions of their own.

Each statement that removes repeats the whole condition: what a push touched between the look and the removal stays.
The invariant is in `blob.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, insert, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from berth.adapters.store.package_tables import (
    blob_trash,
    blobs,
    manifest_references,
    manifests,
    package_blobs,
    packages,
    tags,
    uploads,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedUpload:
    """An upload that nobody went on with."""

    id: str
    size_bytes: int
    handle: str


async def take_abandoned_uploads(connection: AsyncConnection, before: datetime, *, limit: int) -> list[AbandonedUpload]:
    """Remove their rows; what the blob store holds of them is the caller's to discard."""
    stale = select(uploads.c.id).where(uploads.c.touched_at < before).limit(limit)
    statement = (
        delete(uploads)
        .where(uploads.c.id.in_(stale.scalar_subquery()), uploads.c.touched_at < before)
        .returning(uploads.c.id, uploads.c.size, uploads.c.handle)
    )
    rows = await connection.execute(statement)
    return [AbandonedUpload(id=row.id, size_bytes=row.size, handle=row.handle) for row in rows]


async def delete_dead_packages(
    connection: AsyncConnection, *, deleted_before: datetime, unpublished_before: datetime, limit: int
) -> int:
    """Packages that cannot be restored any more, and names that a push took and never published anything under."""
    uploading = exists(select(uploads.c.id).where(uploads.c.package_id == packages.c.id))
    never_published = and_(
        packages.c.published_at.is_(None), packages.c.updated_at < unpublished_before, not_(uploading)
    )
    dead = or_(packages.c.deleted_at < deleted_before, never_published)
    page = select(packages.c.id).where(dead).limit(limit)
    ids = list((await connection.execute(page)).scalars())
    gone = await connection.execute(delete(packages).where(packages.c.id.in_(ids), dead))
    return int(gone.rowcount)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedVersion:
    """A version that cannot be restored any more."""

    manifest_id: int
    package_id: int


async def list_deleted_versions(connection: AsyncConnection, before: datetime, *, limit: int) -> list[DeletedVersion]:
    statement = select(manifests.c.id, manifests.c.package_id).where(manifests.c.deleted_at < before).limit(limit)
    rows = await connection.execute(statement)
    return [DeletedVersion(manifest_id=row.id, package_id=row.package_id) for row in rows]


async def delete_version(connection: AsyncConnection, manifest_id: int, before: datetime) -> list[str]:
    """For good, if it is still deleted; the digests of the blobs that it named. The caller holds the package's lock."""
    named = select(manifest_references.c.digest).where(
        manifest_references.c.manifest_id == manifest_id, manifest_references.c.kind == "blob"
    )
    digests = list((await connection.execute(named)).scalars())
    gone = delete(manifests).where(manifests.c.id == manifest_id, manifests.c.deleted_at < before)
    return digests if (await connection.execute(gone)).rowcount else []


async def list_packages_with_retention(connection: AsyncConnection, *, after: int, limit: int) -> list[tuple[int, int]]:
    """(id, days) of live packages whose untagged versions go after some days."""
    statement = (
        select(packages.c.id, packages.c.untagged_retention_days)
        .where(packages.c.id > after, packages.c.untagged_retention_days.is_not(None), packages.c.deleted_at.is_(None))
        .order_by(packages.c.id)
        .limit(limit)
    )
    return [(row.id, row.untagged_retention_days) for row in await connection.execute(statement)]


async def retire_untagged(connection: AsyncConnection, package_id: int, days: int, now: datetime) -> int:
    """Delete, restorably, versions that have had no tag for so long and that nothing holds.

    What holds a version: an index that lists it; and for one that refers to another (a signature), that other one. The
    caller holds the package's lock.
    """
    other = aliased(manifests)
    tagged = exists(select(tags.c.name).where(tags.c.manifest_id == manifests.c.id))
    listed = exists(
        select(other.c.id)
        .join(manifest_references, manifest_references.c.manifest_id == other.c.id)
        .where(
            other.c.package_id == package_id,
            other.c.deleted_at.is_(None),
            manifest_references.c.kind == "manifest",
            manifest_references.c.digest == manifests.c.digest,
        )
    )
    refers = exists(
        select(other.c.id).where(
            other.c.package_id == package_id,
            other.c.deleted_at.is_(None),
            other.c.digest == manifests.c.subject,
        )
    )
    statement = (
        update(manifests)
        .where(
            manifests.c.package_id == package_id,
            manifests.c.deleted_at.is_(None),
            manifests.c.updated_at < now - timedelta(days=days),
            not_(tagged),
            not_(listed),
            not_(refers),
        )
        .values(deleted_at=now)
    )
    return int((await connection.execute(statement)).rowcount)


def _is_needed() -> ColumnElement[bool]:
    return exists(
        select(manifest_references.c.manifest_id)
        .join(manifests, manifests.c.id == manifest_references.c.manifest_id)
        .join(blobs, blobs.c.digest == manifest_references.c.digest)
        .where(
            manifest_references.c.kind == "blob",
            manifests.c.package_id == package_blobs.c.package_id,
            blobs.c.id == package_blobs.c.blob_id,
        )
        .correlate(package_blobs)
    )


async def delete_unneeded_links(connection: AsyncConnection, before: datetime, *, limit: int) -> int:
    """Links that no version needs and that nobody was told of since."""
    unneeded = and_(package_blobs.c.touched_at < before, not_(_is_needed()))
    page = select(package_blobs.c.package_id, package_blobs.c.blob_id).where(unneeded).limit(limit)
    gone = 0
    for row in (await connection.execute(page)).fetchall():
        mine = (package_blobs.c.package_id == row.package_id, package_blobs.c.blob_id == row.blob_id)
        gone += (await connection.execute(delete(package_blobs).where(*mine, unneeded))).rowcount
    return gone


async def trash_unlinked_blobs(connection: AsyncConnection, before: datetime, now: datetime, *, limit: int) -> int:
    """Blobs that no package links: their rows go, their locations into the trash."""
    linked = exists(select(package_blobs.c.package_id).where(package_blobs.c.blob_id == blobs.c.id))
    unlinked = and_(blobs.c.touched_at < before, not_(linked))
    ids = list((await connection.execute(select(blobs.c.id).where(unlinked).limit(limit))).scalars())
    gone = await connection.execute(delete(blobs).where(blobs.c.id.in_(ids), unlinked).returning(blobs.c.location))
    locations = [{"location": location, "added_at": now} for location in gone.scalars()]
    if locations:
        await connection.execute(insert(blob_trash), locations)
    return len(locations)


async def list_trash(connection: AsyncConnection, *, limit: int) -> list[str]:
    statement = select(blob_trash.c.location).order_by(blob_trash.c.added_at).limit(limit)
    return list((await connection.execute(statement)).scalars())


async def empty_trash(connection: AsyncConnection, locations: Sequence[str]) -> None:
    """Forget them: their content is gone."""
    await connection.execute(delete(blob_trash).where(blob_trash.c.location.in_(locations)))


async def find_unknown_locations(connection: AsyncConnection, locations: Sequence[str]) -> list[str]:
    """Those that no row names."""
    known: set[Any] = set()
    for column in (blobs.c.location, blob_trash.c.location):
        known |= set((await connection.execute(select(column).where(column.in_(locations)))).scalars())
    return [location for location in locations if location not in known]


async def find_unknown_uploads(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Those that no row names."""
    known = set((await connection.execute(select(uploads.c.id).where(uploads.c.id.in_(ids)))).scalars())
    return set(ids) - known

"""Queries of garbage collection: what nobody needs any more, a page at a time, in transactions of their own.

The invariants are in `blob.py`. What removes something does it in two statements: the first locks the rows, skipping those
that somebody holds; the second repeats the whole condition. PostgreSQL lets each statement see what was committed before
it began, so what the second one finds unneeded cannot become needed any more: whoever wants it waits for the lock.

No statement reads a whole table. Links and blobs are walked along their keys, a page per statement, because nothing tells
in advance which of them became unneeded: a million links take some seconds, outside of any writing transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, delete, false, insert, not_, or_, select, tuple_, update
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


def _finds(look: Select[Any]) -> ColumnElement[bool]:
    """Like EXISTS, but looked up for each row of the page. Of an EXISTS, PostgreSQL makes a join, and for some thousand rows
    it may rather read the other table once, from one end to the other: once for every page.
    """
    return look.limit(1).scalar_subquery().is_not(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedUpload:
    """An upload that nobody went on with."""

    id: str
    size_bytes: int
    handle: str


async def take_abandoned_uploads(connection: AsyncConnection, before: datetime, *, limit: int) -> list[AbandonedUpload]:
    """Remove their rows; what the blob store holds of them is the caller's to discard."""
    abandoned = uploads.c.touched_at < before
    page = select(uploads.c.id).where(abandoned).limit(limit).with_for_update(skip_locked=True)
    ids = list((await connection.execute(page)).scalars())
    statement = (
        delete(uploads)
        .where(uploads.c.id.in_(ids), abandoned)
        .returning(uploads.c.id, uploads.c.size, uploads.c.handle)
    )
    rows = await connection.execute(statement)
    return [AbandonedUpload(id=row.id, size_bytes=row.size, handle=row.handle) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageAge:
    """Which packages go: those deleted before, and names without a version that no push came for since."""

    deleted_before: datetime
    unpublished_before: datetime

    @property
    def is_deleted(self) -> ColumnElement[bool]:
        return packages.c.deleted_at < self.deleted_before

    @property
    def is_unpublished(self) -> ColumnElement[bool]:
        uploading = _finds(select(uploads.c.id).where(uploads.c.package_id == packages.c.id))
        return and_(packages.c.published_at.is_(None), packages.c.updated_at < self.unpublished_before, not_(uploading))


async def list_dead_packages(connection: AsyncConnection, age: PackageAge) -> list[int]:
    """Ids of packages that cannot be restored any more, and of names that a push took and never published under."""
    found: list[int] = []
    for dead in (age.is_deleted, age.is_unpublished):  # one at a time: each has its own index
        found += (await connection.execute(select(packages.c.id).where(dead))).scalars()
    return found


async def delete_dead_package(connection: AsyncConnection, package_id: int, age: PackageAge, *, limit: int) -> bool:
    """Up to `limit` of its versions; the package itself once none is left. Whether there is more to do.

    Nothing is done if it is not dead any more, or if somebody holds it.
    """
    dead = and_(packages.c.id == package_id, or_(age.is_deleted, age.is_unpublished))
    lock = select(packages.c.id).where(dead).with_for_update(skip_locked=True)
    if (await connection.execute(lock)).one_or_none() is None:
        return False
    page = select(manifests.c.id).where(manifests.c.package_id == package_id).limit(limit)
    ids = list((await connection.execute(page)).scalars())
    await connection.execute(delete(manifests).where(manifests.c.id.in_(ids)))
    if len(ids) == limit:
        return True
    await connection.execute(delete(packages).where(dead))
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedVersion:
    """A version that cannot be restored any more."""

    manifest_id: int
    package_id: int


async def list_deleted_versions(connection: AsyncConnection, before: datetime, *, limit: int) -> list[DeletedVersion]:
    """Those that were deleted longest ago first."""
    statement = (
        select(manifests.c.id, manifests.c.package_id)
        .where(manifests.c.deleted_at < before)
        .order_by(manifests.c.deleted_at)
        .limit(limit)
    )
    rows = await connection.execute(statement)
    return [DeletedVersion(manifest_id=row.id, package_id=row.package_id) for row in rows]


async def delete_versions(
    connection: AsyncConnection, package_id: int, ids: Iterable[int], before: datetime, now: datetime
) -> int:
    """For good, those that are still deleted; the links of the blobs that they named are touched.

    The caller holds the package's lock.
    """
    still = select(manifests.c.id).where(manifests.c.id.in_(ids), manifests.c.deleted_at < before)
    dead = list((await connection.execute(still)).scalars())
    named = (
        select(blobs.c.id)
        .join(manifest_references, manifest_references.c.digest == blobs.c.digest)
        .where(manifest_references.c.manifest_id.in_(dead), manifest_references.c.kind == "blob")
    )
    touched = (
        update(package_blobs)
        .where(package_blobs.c.package_id == package_id, package_blobs.c.blob_id.in_(named.scalar_subquery()))
        .values(touched_at=now)
    )
    await connection.execute(touched)
    await connection.execute(delete(manifests).where(manifests.c.id.in_(dead)))
    return len(dead)


async def list_packages_with_retention(connection: AsyncConnection, *, after: int, limit: int) -> list[tuple[int, int]]:
    """(id, days) of live packages whose untagged versions go after some days."""
    statement = (
        select(packages.c.id, packages.c.untagged_retention_days)
        .where(packages.c.id > after, packages.c.untagged_retention_days.is_not(None), packages.c.deleted_at.is_(None))
        .order_by(packages.c.id)
        .limit(limit)
    )
    return [(row.id, row.untagged_retention_days) for row in await connection.execute(statement)]


def _may_retire(package_id: int, days: int, before: datetime) -> ColumnElement[bool]:
    """Versions that have had no tag since, and that nothing holds; while the package asks for it.

    What holds a version: an index that lists it; and for one that refers to another (a signature), that other one. Also one
    that was deleted holds it, as long as it can be restored: it shall come back whole.
    """
    other = aliased(manifests)
    tagged = _finds(select(tags.c.name).where(tags.c.manifest_id == manifests.c.id))
    listed = _finds(
        select(manifest_references.c.manifest_id).where(
            manifest_references.c.package_id == package_id,
            manifest_references.c.digest == manifests.c.digest,
            manifest_references.c.kind == "manifest",
        )
    )
    refers = _finds(select(other.c.id).where(other.c.package_id == package_id, other.c.digest == manifests.c.subject))
    asks = _finds(
        select(packages.c.id).where(
            packages.c.id == package_id, packages.c.untagged_retention_days == days, packages.c.deleted_at.is_(None)
        )
    )
    return and_(
        manifests.c.package_id == package_id,
        manifests.c.deleted_at.is_(None),
        manifests.c.updated_at < before,
        not_(tagged),
        not_(listed),
        not_(refers),
        asks,
    )


async def find_untagged(connection: AsyncConnection, package_id: int, days: int, before: datetime) -> list[int]:
    """Ids of versions that may be retired."""
    statement = select(manifests.c.id).where(_may_retire(package_id, days, before))
    return list((await connection.execute(statement)).scalars())


async def retire_untagged(
    connection: AsyncConnection, package_id: int, ids: Sequence[int], days: int, before: datetime, now: datetime
) -> int:
    """Delete them, restorably, if they still may go. The caller holds the package's lock."""
    statement = (
        update(manifests).where(manifests.c.id.in_(ids), _may_retire(package_id, days, before)).values(deleted_at=now)
    )
    return int((await connection.execute(statement)).rowcount)


Link = tuple[int, int]  # the ids of package and blob
BEFORE_ALL_LINKS: Link = (0, 0)
_LINK = tuple_(package_blobs.c.package_id, package_blobs.c.blob_id)


def _are(links: Sequence[Link]) -> ColumnElement[bool]:
    """One by one: for an IN of pairs SQLite reads the whole table."""
    mine = [
        and_(package_blobs.c.package_id == package_id, package_blobs.c.blob_id == blob) for package_id, blob in links
    ]
    return or_(false(), *mine)


def _is_needed(link: FromClause) -> ColumnElement[bool]:
    """Whether a version of the link's package names its blob; also a deleted one, which may be restored."""
    return _finds(
        select(manifest_references.c.manifest_id)
        .join(blobs, blobs.c.digest == manifest_references.c.digest)
        .where(
            manifest_references.c.package_id == link.c.package_id,
            blobs.c.id == link.c.blob_id,
            manifest_references.c.kind == "blob",
        )
        .correlate(link)
    )


async def find_unneeded_links(
    connection: AsyncConnection, before: datetime, *, after: Link, limit: int
) -> tuple[list[Link], Link | None]:
    """Of the next `limit` links: those that no version needs and that nobody was told of since; and where to go on."""
    keys = (package_blobs.c.package_id, package_blobs.c.blob_id)
    walk = select(*keys).where(tuple_(*after) < _LINK).order_by(*keys)
    page = walk.add_columns(package_blobs.c.touched_at).limit(limit).subquery()
    unneeded = select(page.c.package_id, page.c.blob_id).where(page.c.touched_at < before, not_(_is_needed(page)))
    found = [(row.package_id, row.blob_id) for row in await connection.execute(unneeded)]
    last = (await connection.execute(walk.limit(1).offset(limit - 1))).one_or_none()
    return found, None if last is None else (last.package_id, last.blob_id)


async def delete_unneeded_links(connection: AsyncConnection, links: Sequence[Link], before: datetime) -> int:
    """Those that still are. How many."""
    untouched = package_blobs.c.touched_at < before
    lock = (
        select(package_blobs.c.package_id, package_blobs.c.blob_id)
        .where(_are(links), untouched)
        .with_for_update(skip_locked=True)
    )
    locked = [(row.package_id, row.blob_id) for row in await connection.execute(lock)]
    statement = delete(package_blobs).where(_are(locked), untouched, not_(_is_needed(package_blobs)))
    return int((await connection.execute(statement)).rowcount)


def _is_linked(blob: FromClause) -> ColumnElement[bool]:
    return _finds(select(package_blobs.c.package_id).where(package_blobs.c.blob_id == blob.c.id).correlate(blob))


async def find_unlinked_blobs(
    connection: AsyncConnection, before: datetime, *, after: int, limit: int
) -> tuple[list[int], int | None]:
    """Of the next `limit` blobs: the ids of those that no package links; and where to go on."""
    walk = select(blobs.c.id).where(blobs.c.id > after).order_by(blobs.c.id)
    page = walk.add_columns(blobs.c.touched_at).limit(limit).subquery()
    unlinked = select(page.c.id).where(page.c.touched_at < before, not_(_is_linked(page)))
    found = list((await connection.execute(unlinked)).scalars())
    last: int | None = (await connection.execute(walk.limit(1).offset(limit - 1))).scalar_one_or_none()
    return found, last


async def trash_unlinked_blobs(connection: AsyncConnection, ids: Sequence[int], before: datetime, now: datetime) -> int:
    """Those that still are: their rows go, their locations into the trash. How many."""
    untouched = blobs.c.touched_at < before
    lock = select(blobs.c.id).where(blobs.c.id.in_(ids), untouched).with_for_update(skip_locked=True)
    locked = list((await connection.execute(lock)).scalars())
    statement = (
        delete(blobs).where(blobs.c.id.in_(locked), untouched, not_(_is_linked(blobs))).returning(blobs.c.location)
    )
    locations = [
        {"location": location, "added_at": now} for location in (await connection.execute(statement)).scalars()
    ]
    if locations:
        await connection.execute(insert(blob_trash), locations)
    return len(locations)


async def list_trash(connection: AsyncConnection, before: datetime, *, limit: int) -> list[str]:
    """Locations that were put there before, the oldest first."""
    statement = (
        select(blob_trash.c.location).where(blob_trash.c.added_at < before).order_by(blob_trash.c.added_at).limit(limit)
    )
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

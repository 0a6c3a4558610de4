"""Queries on blobs: content that is stored once, the packages in which it may be read, and uploads under way.

The invariants that pushes share with garbage collection (`garbage.py` holds the other half):
1. A manifest that was stored with no warning can be pulled whole. Its push updates the links of all blobs that it names,
   in the transaction that stores it, under the package's lock. A collection locks a link, skipping those that others hold,
   and then looks *in a new statement* whether a version needs it. So either the push was first: the link is held, or the
   collection sees the version; or the collection was: the push finds no link, and says what is missing. No clock decides.
2. A blob's row goes only after the same two steps show that no package links it; whoever links it updates the row in the
   same transaction, and is told if it is gone. Its bytes go after its row, by way of the trash: what is in the store and
   in no row is nobody's. The foreign keys would refuse what these steps overlooked.
3. Whoever was told that a blob is there (a HEAD that found it, a mount, a finished upload) finds it there for the whole
   grace period from then on, unless somebody deletes it: so a client may leave out what a HEAD found. `touched_at` is set
   when that is said of a link that no version needs, and when a version that needed it goes. It may be late by the
   collection's `slack`: a link that was touched less than that ago is not touched again, a transaction takes a while, and
   replicas' clocks differ. Times are whole seconds, cut off: they only ever look too old.
4. The same holds of a package that nothing was published under (`package.hold_package`) and of a version without a tag
   (`manifest.touch_untagged`).

Locks are taken in this order, so that nobody waits in a circle: repository, package, upload, blob, link. Only whoever
holds a package's lock, or waits for nobody (SKIP LOCKED), locks several of its links.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.package_tables import (
    blob_trash,
    blobs,
    manifest_references,
    manifests,
    package_blobs,
    packages,
    uploads,
)
from berth.adapters.store.tables import accounts
from berth.domain.blob import LinkedBlob, Upload
from berth.domain.package import PackageName

_MAX_ATTEMPTS = 3


def _is_needed() -> Any:
    """Whether a version of the link's package names the blob. Correlates with package_blobs and blobs."""
    return exists(
        select(manifest_references.c.manifest_id).where(
            manifest_references.c.package_id == package_blobs.c.package_id,
            manifest_references.c.digest == blobs.c.digest,
            manifest_references.c.kind == "blob",
        )
    )


def _linked() -> Select[Any]:
    columns = (blobs.c.id, blobs.c.size, blobs.c.location, package_blobs.c.touched_at)
    return (
        select(*columns, _is_needed().correlate(package_blobs, blobs).label("needed"))
        .join(package_blobs, package_blobs.c.blob_id == blobs.c.id)
        .where(package_blobs.c.deleted.is_(False))
    )


def _to_linked(row: Row[Any]) -> LinkedBlob:
    return LinkedBlob(
        blob_id=row.id,
        size_bytes=row.size,
        location=row.location,
        touched_at=row.touched_at,
        needed=bool(row.needed),
    )


async def find_linked(connection: AsyncConnection, package_id: int, digest: str) -> LinkedBlob | None:
    """A blob that may be read in this package."""
    statement = _linked().where(package_blobs.c.package_id == package_id, blobs.c.digest == digest)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _to_linked(row)


async def list_packages_with(connection: AsyncConnection, digest: str, *, limit: int) -> list[PackageName]:
    """Names of live packages in which the blob may be read, newest package first. Decides nothing."""
    statement = (
        select(accounts.c.login_key, packages.c.name)
        .select_from(package_blobs)
        .join(blobs, blobs.c.id == package_blobs.c.blob_id)
        .join(packages, packages.c.id == package_blobs.c.package_id)
        .join(accounts, accounts.c.id == packages.c.owner_id)
        .where(blobs.c.digest == digest, package_blobs.c.deleted.is_(False), packages.c.deleted_at.is_(None))
        .order_by(package_blobs.c.package_id.desc())
        .limit(limit)
    )
    return [PackageName(row.login_key, row.name) for row in await connection.execute(statement)]


async def touch_link(connection: AsyncConnection, package_id: int, blob_id: int, now: datetime) -> bool:
    """Start its grace period anew. False: the link went meanwhile."""
    mine = (
        package_blobs.c.package_id == package_id,
        package_blobs.c.blob_id == blob_id,
        package_blobs.c.deleted.is_(False),
    )
    return bool((await connection.execute(update(package_blobs).where(*mine).values(touched_at=now))).rowcount)


async def touch_named(
    connection: AsyncConnection, package_id: int, digests: Collection[str], now: datetime
) -> set[str]:
    """Touch the links of these digests, in a transaction that stores or removes a version. Those that are there.

    The caller holds the package's lock.
    """
    found = select(blobs.c.id, blobs.c.digest).where(blobs.c.digest.in_(digests))
    digest_of = {row.id: row.digest for row in await connection.execute(found)}
    statement = (
        update(package_blobs)
        .where(
            package_blobs.c.package_id == package_id,
            package_blobs.c.blob_id.in_(digest_of),
            package_blobs.c.deleted.is_(False),
        )
        .values(touched_at=now)
        .returning(package_blobs.c.blob_id)
    )
    return {digest_of[blob_id] for blob_id in (await connection.execute(statement)).scalars()}


async def link(connection: AsyncConnection, package_id: int, blob_id: int, now: datetime) -> bool:
    """Let the blob be read in the package, which the caller holds. False: the blob's row went meanwhile."""
    touched = await connection.execute(update(blobs).where(blobs.c.id == blob_id).values(touched_at=now))
    if not touched.rowcount:
        return False
    mine = (package_blobs.c.package_id == package_id, package_blobs.c.blob_id == blob_id)
    values = {"touched_at": now, "deleted": False}
    if not (await connection.execute(update(package_blobs).where(*mine).values(**values))).rowcount:
        try:
            async with connection.begin_nested():
                row = {"package_id": package_id, "blob_id": blob_id, **values}
                await connection.execute(insert(package_blobs).values(**row))
        except IntegrityError:  # another push of the same blob was quicker
            await connection.execute(update(package_blobs).where(*mine).values(**values))
    return True


async def unlink(connection: AsyncConnection, package_id: int, digest: str, now: datetime) -> bool:
    """Let the blob be read in the package no more. False: it could not be read there anyway."""
    blob = select(blobs.c.id).where(blobs.c.digest == digest).scalar_subquery()
    mine = (
        package_blobs.c.package_id == package_id,
        package_blobs.c.blob_id == blob,
        package_blobs.c.deleted.is_(False),
    )
    values = {"deleted": True, "touched_at": now}
    return bool((await connection.execute(update(package_blobs).where(*mine).values(**values))).rowcount)


async def is_needed_by_live_version(connection: AsyncConnection, package_id: int, digest: str) -> bool:
    """Whether a version that is not deleted names the blob."""
    statement = (
        select(manifests.c.id)
        .join(manifest_references, manifest_references.c.manifest_id == manifests.c.id)
        .where(
            manifest_references.c.package_id == package_id,
            manifest_references.c.digest == digest,
            manifest_references.c.kind == "blob",
            manifests.c.deleted_at.is_(None),
        )
        .limit(1)
    )
    return (await connection.execute(statement)).one_or_none() is not None


async def store_blob(connection: AsyncConnection, digest: str, size_bytes: int, location: str, now: datetime) -> int:
    """The id of the blob of content that was just finished.

    If it was stored before, it moves to the new location, and the old one goes into the trash: so pushing again mends a
    blob whose content was lost.
    """
    values = {"digest": digest, "size": size_bytes, "location": location, "touched_at": now}
    attempts = 0
    while True:
        before = select(blobs.c.id, blobs.c.location).where(blobs.c.digest == digest).with_for_update(key_share=True)
        old = (await connection.execute(before)).one_or_none()
        if old is not None:
            moved = update(blobs).where(blobs.c.id == old.id).values(location=location, touched_at=now)
            await connection.execute(moved)
            await connection.execute(insert(blob_trash).values(location=old.location, added_at=now))
            return int(old.id)
        try:
            async with connection.begin_nested():
                return int(
                    (await connection.execute(insert(blobs).values(**values).returning(blobs.c.id))).scalar_one()
                )
        except IntegrityError:  # another upload of the same content was quicker; if not, it is for the caller
            attempts += 1
            if attempts == _MAX_ATTEMPTS:
                raise


async def insert_upload(
    connection: AsyncConnection, upload_id: str, *, package_id: int, token_id: int, now: datetime
) -> Upload:
    """A new one, of no bytes, in a package that the caller holds."""
    values = {"id": upload_id, "package_id": package_id, "token_id": token_id, "size": 0, "handle": ""}
    await connection.execute(insert(uploads).values(**values, created_at=now, touched_at=now))
    return Upload(id=upload_id, package_id=package_id, token_id=token_id, size_bytes=0, handle="")


async def find_upload(connection: AsyncConnection, upload_id: str, *, package_id: int, token_id: int) -> Upload | None:
    """An upload of this package that this access token began (A14)."""
    statement = select(uploads).where(
        uploads.c.id == upload_id, uploads.c.package_id == package_id, uploads.c.token_id == token_id
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return Upload(id=row.id, package_id=row.package_id, token_id=row.token_id, size_bytes=row.size, handle=row.handle)


async def advance_upload(
    connection: AsyncConnection, upload: Upload, *, size_bytes: int, handle: str, now: datetime
) -> bool:
    """Store how far it came. False: another request moved or ended it meanwhile; nothing was stored."""
    same = (uploads.c.id == upload.id, uploads.c.size == upload.size_bytes, uploads.c.handle == upload.handle)
    statement = update(uploads).where(*same).values(size=size_bytes, handle=handle, touched_at=now)
    return bool((await connection.execute(statement)).rowcount)


async def touch_upload(connection: AsyncConnection, upload_id: str, now: datetime) -> bool:
    """It is not abandoned. False: it is gone."""
    statement = update(uploads).where(uploads.c.id == upload_id).values(touched_at=now)
    return bool((await connection.execute(statement)).rowcount)


async def delete_upload(connection: AsyncConnection, upload_id: str) -> bool:
    """False: it was gone."""
    return bool((await connection.execute(delete(uploads).where(uploads.c.id == upload_id))).rowcount)

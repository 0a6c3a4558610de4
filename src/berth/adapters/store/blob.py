"""Queries on blobs: content that is stored once, the packages in which it may be read, and uploads under way.

The invariant that garbage collection and pushes share (`services/garbage.py` is the other half):
- Whoever was told that a blob is there (a HEAD that found it, a mount, a finished upload) finds it there for the whole
  grace period from then on: the link's `touched_at` is set whenever that is said of a link which no version needs, and
  whenever a version that needed it goes. A link goes only if no version needs it and it was touched before the grace period.
- A manifest is stored in one transaction with an UPDATE of the links of all blobs that it names. A collection that runs
  at the same moment either removed a link before, and the manifest's push is told so; or it waits for the row's lock and
  then sees that the link was touched.
- A blob's row goes only if no package links it and it was touched before the grace period; linking touches it in the same
  transaction. Its bytes go after its row: what is in the store and in no row is nobody's.
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
from berth.domain.blob import LinkedBlob, Upload


def _is_needed() -> Any:
    """Whether a version of the link's package names the blob. Correlates with package_blobs and blobs."""
    return exists(
        select(manifest_references.c.manifest_id)
        .join(manifests, manifests.c.id == manifest_references.c.manifest_id)
        .where(
            manifest_references.c.digest == blobs.c.digest,
            manifest_references.c.kind == "blob",
            manifests.c.package_id == package_blobs.c.package_id,
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


async def list_packages_with(connection: AsyncConnection, digest: str, *, limit: int) -> list[int]:
    """Ids of live packages in which the blob may be read, newest link first. Decides nothing."""
    statement = (
        select(package_blobs.c.package_id)
        .join(blobs, blobs.c.id == package_blobs.c.blob_id)
        .join(packages, packages.c.id == package_blobs.c.package_id)
        .where(blobs.c.digest == digest, package_blobs.c.deleted.is_(False), packages.c.deleted_at.is_(None))
        .order_by(package_blobs.c.touched_at.desc(), package_blobs.c.package_id)
        .limit(limit)
    )
    return list((await connection.execute(statement)).scalars())


async def touch_link(connection: AsyncConnection, package_id: int, blob_id: int, now: datetime) -> bool:
    """Start its grace period anew. False: the link went meanwhile."""
    mine = (package_blobs.c.package_id == package_id, package_blobs.c.blob_id == blob_id)
    return bool((await connection.execute(update(package_blobs).where(*mine).values(touched_at=now))).rowcount)


async def touch_named(
    connection: AsyncConnection, package_id: int, digests: Collection[str], now: datetime
) -> set[str]:
    """Touch the links of these digests, in a transaction that stores or removes a version. Those that are there."""
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
    """Let the blob be read in the package. False: the blob's row went meanwhile."""
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
            manifests.c.package_id == package_id,
            manifests.c.deleted_at.is_(None),
            manifest_references.c.kind == "blob",
            manifest_references.c.digest == digest,
        )
        .limit(1)
    )
    return (await connection.execute(statement)).one_or_none() is not None


async def store_blob(connection: AsyncConnection, digest: str, size_bytes: int, location: str, now: datetime) -> int:
    """The id of the blob of content that was just finished.

    If it was stored before, its old location stays, and the new one goes into the trash.
    """
    values = {"digest": digest, "size": size_bytes, "location": location, "touched_at": now}
    while True:
        touched = update(blobs).where(blobs.c.digest == digest).values(touched_at=now).returning(blobs.c.id)
        blob_id = (await connection.execute(touched)).scalar_one_or_none()
        if blob_id is not None:
            await connection.execute(insert(blob_trash).values(location=location, added_at=now))
            return int(blob_id)
        try:
            async with connection.begin_nested():
                return int(
                    (await connection.execute(insert(blobs).values(**values).returning(blobs.c.id))).scalar_one()
                )
        except IntegrityError:
            continue  # another upload of the same content was quicker


async def insert_upload(
    connection: AsyncConnection, upload_id: str, *, package_id: int, token_id: int, now: datetime
) -> Upload:
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

"""Queries on manifests (a package's versions), the tags that point to them, and what refers to them.

A version that was deleted keeps its row, its tags and its references for as long as it may be restored; nothing here
answers with it unless it says so.

A version's `updated_at` says since when it has had no tag: it is set when a tag comes, moves away or is deleted. It is set
too when a version without a tag is pushed again, or asked for in a package that lets untagged versions go (`touch_untagged`).
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, exists, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.package_tables import manifest_references, manifests, tags
from berth.domain.image_reference import Digest, parse_digest
from berth.domain.manifest import Manifest, optional_blobs, referenced_blobs, referenced_manifests

_HAS_TAG = exists(select(tags.c.name).where(tags.c.manifest_id == manifests.c.id))
_LISTED = [column for column in manifests.c if column.name != "content"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredManifest:
    """A live manifest, as it is served."""

    id: int
    digest: Digest
    media_type: str
    content: bytes
    updated_at: datetime
    has_tag: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrer:
    """A manifest whose subject is another, with what the referrers list tells of it."""

    id: int
    digest: Digest
    manifest: Manifest
    size_bytes: int


def _live(package_id: int, has_tag: ColumnElement[bool]) -> Select[Any]:
    columns = (manifests.c.id, manifests.c.digest, manifests.c.media_type, manifests.c.content, manifests.c.updated_at)
    return select(*columns, has_tag.label("has_tag")).where(
        manifests.c.package_id == package_id, manifests.c.deleted_at.is_(None)
    )


def _to_stored(row: Row[Any] | None) -> StoredManifest | None:
    if row is None:
        return None
    return StoredManifest(
        id=row.id,
        digest=parse_digest(row.digest),
        media_type=row.media_type,
        content=row.content,
        updated_at=row.updated_at,
        has_tag=bool(row.has_tag),
    )


async def find_by_digest(connection: AsyncConnection, package_id: int, digest: str) -> StoredManifest | None:
    statement = _live(package_id, _HAS_TAG).where(manifests.c.digest == digest)
    return _to_stored((await connection.execute(statement)).one_or_none())


async def find_by_tag(connection: AsyncConnection, package_id: int, tag: str) -> StoredManifest | None:
    statement = (
        _live(package_id, true())
        .join(tags, tags.c.manifest_id == manifests.c.id)
        .where(tags.c.package_id == package_id, tags.c.name == tag)
    )
    return _to_stored((await connection.execute(statement)).one_or_none())


async def list_there(connection: AsyncConnection, package_id: int, digests: Collection[str]) -> set[str]:
    """Which of these live manifests the package has."""
    live = (manifests.c.package_id == package_id, manifests.c.deleted_at.is_(None))
    statement = select(manifests.c.digest).where(*live, manifests.c.digest.in_(digests))
    return set((await connection.execute(statement)).scalars())


async def store_manifest(
    connection: AsyncConnection, package_id: int, digest: str, manifest: Manifest, content: bytes, now: datetime
) -> int:
    """Insert it, or bring it back to life; its id. The caller holds the package's lock and has checked its references.

    One that was deleted and is pushed again comes back without the tags that it had: they would be nobody's wish.
    """
    old = select(manifests.c.id, manifests.c.deleted_at).where(
        manifests.c.package_id == package_id, manifests.c.digest == digest
    )
    row = (await connection.execute(old)).one_or_none()
    if row is not None:
        if row.deleted_at is not None:
            await connection.execute(delete(tags).where(tags.c.manifest_id == row.id))
        values = {"updated_at": now, "deleted_at": None, "media_type": manifest.media_type}
        await connection.execute(update(manifests).where(manifests.c.id == row.id).values(**values))
        return int(row.id)
    statement = (
        insert(manifests)
        .values(
            package_id=package_id,
            digest=digest,
            media_type=manifest.media_type,
            artifact_type=manifest.artifact_type,
            subject=None if manifest.subject is None else str(manifest.subject.digest),
            annotations=json.dumps(dict(manifest.annotations)) if manifest.subject and manifest.annotations else None,
            size=len(content),
            content=content,
            created_at=now,
            updated_at=now,
        )
        .returning(manifests.c.id)
    )
    manifest_id = int((await connection.execute(statement)).scalar_one())
    named = {("blob", str(each)) for each in (*referenced_blobs(manifest), *optional_blobs(manifest))}
    named |= {("manifest", str(each.digest)) for each in referenced_manifests(manifest)}
    if named:
        owner = {"manifest_id": manifest_id, "package_id": package_id}
        rows = [{**owner, "kind": kind, "digest": each} for kind, each in sorted(named)]
        await connection.execute(insert(manifest_references), rows)
    return manifest_id


async def set_tags(
    connection: AsyncConnection, package_id: int, manifest_id: int, names: Iterable[str], now: datetime
) -> None:
    """Let the tags point to it, wherever they pointed before. The caller holds the package's lock."""
    for name in sorted(set(names)):
        mine = (tags.c.package_id == package_id, tags.c.name == name)
        old = (await connection.execute(select(tags.c.manifest_id).where(*mine))).scalar_one_or_none()
        if old is None:
            values = {"package_id": package_id, "name": name, "manifest_id": manifest_id, "updated_at": now}
            await connection.execute(insert(tags).values(**values))
            continue
        await connection.execute(update(tags).where(*mine).values(manifest_id=manifest_id, updated_at=now))
        if old != manifest_id:
            await _set_updated(connection, old, now)


async def delete_tag(connection: AsyncConnection, package_id: int, name: str, now: datetime) -> bool:
    """False: no live tag has this name. The caller holds the package's lock."""
    live = select(manifests.c.id).where(manifests.c.package_id == package_id, manifests.c.deleted_at.is_(None))
    statement = (
        delete(tags)
        .where(tags.c.package_id == package_id, tags.c.name == name, tags.c.manifest_id.in_(live))
        .returning(tags.c.manifest_id)
    )
    loser = (await connection.execute(statement)).scalar_one_or_none()
    if loser is not None:
        await _set_updated(connection, loser, now)
    return loser is not None


async def _set_updated(connection: AsyncConnection, manifest_id: int, now: datetime) -> None:
    await connection.execute(update(manifests).where(manifests.c.id == manifest_id).values(updated_at=now))


async def touch_untagged(connection: AsyncConnection, manifest_id: int, now: datetime) -> bool:
    """Somebody asked for it: without a tag it stays for as long as if it had lost it now. False: it went meanwhile."""
    mine = (manifests.c.id == manifest_id, manifests.c.deleted_at.is_(None))
    return bool((await connection.execute(update(manifests).where(*mine).values(updated_at=now))).rowcount)


async def mark_deleted(connection: AsyncConnection, package_id: int, digest: str, now: datetime) -> int | None:
    """Delete a version, restorably; its id. None: there is no live one. Its tags are answered with no more."""
    statement = (
        update(manifests)
        .where(manifests.c.package_id == package_id, manifests.c.digest == digest, manifests.c.deleted_at.is_(None))
        .values(deleted_at=now)
        .returning(manifests.c.id)
    )
    manifest_id: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return manifest_id


async def list_tags(connection: AsyncConnection, package_id: int, *, after: str, limit: int) -> list[str]:
    """Names of live tags in the order of their bytes, those after `after` only."""
    statement = (
        select(tags.c.name)
        .join(manifests, manifests.c.id == tags.c.manifest_id)
        .where(tags.c.package_id == package_id, tags.c.name > after, manifests.c.deleted_at.is_(None))
        .order_by(tags.c.name)
        .limit(limit)
    )
    return list((await connection.execute(statement)).scalars())


async def list_referrers(
    connection: AsyncConnection,
    package_id: int,
    subject: str,
    *,
    artifact_type: str | None,
    after: int,
    limit: int,
    limit_bytes: int,
) -> tuple[Sequence[Referrer], bool]:
    """Live manifests whose subject is that digest, oldest first, those after the id `after` only; whether there are more.

    One at least, and no more than have `limit_bytes` of annotations together: they may be megabytes each.
    """
    wanted = [
        manifests.c.package_id == package_id,
        manifests.c.subject == subject,
        manifests.c.deleted_at.is_(None),
        manifests.c.id > after,
    ]
    if artifact_type is not None:
        wanted.append(manifests.c.artifact_type == artifact_type)
    sizes = select(manifests.c.id, func.coalesce(func.length(manifests.c.annotations), 0).label("size"))
    found = (await connection.execute(sizes.where(*wanted).order_by(manifests.c.id).limit(limit + 1))).all()
    totals = accumulate(row.size for row in found)
    page = [row.id for row, total in zip(found, totals, strict=True) if row is found[0] or total <= limit_bytes][:limit]
    statement = select(*_LISTED).where(manifests.c.id.in_(page)).order_by(manifests.c.id)
    return [_to_referrer(row) for row in await connection.execute(statement)], len(page) < len(found)


def _to_referrer(row: Row[Any]) -> Referrer:
    return Referrer(
        id=row.id,
        digest=parse_digest(row.digest),
        manifest=Manifest(
            media_type=row.media_type,
            artifact_type=row.artifact_type,
            annotations=json.loads(row.annotations or "{}"),
        ),
        size_bytes=row.size,
    )

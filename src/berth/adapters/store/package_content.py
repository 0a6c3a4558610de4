"""Queries on what is in a package's versions: how large they are, which indexes they belong to.

A blob counts only if it may be read in this very package: a manifest can name any digest, and is no way to ask what other
packages hold (A13).
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, and_, func, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store.package_tables import blobs, manifest_references, manifests, package_blobs
from berth.domain.media_type import INDEX_TYPES


async def sum_sizes(connection: AsyncConnection, package_id: int, version_ids: Collection[int]) -> dict[int, int]:
    """The bytes of each version's blobs, an index's with those of what it lists; each blob once. What has none is left out."""
    direct = _blob_names(manifest_references.c.manifest_id.in_(version_ids))
    lists, child = manifest_references.alias(), manifests.alias()
    through = (
        select(lists.c.manifest_id.label("version_id"), manifest_references.c.digest)
        .join(child, and_(child.c.package_id == package_id, child.c.digest == lists.c.digest))
        .join(manifest_references, manifest_references.c.manifest_id == child.c.id)
        .where(
            lists.c.manifest_id.in_(version_ids),
            lists.c.kind == "manifest",
            child.c.deleted_at.is_(None),
            manifest_references.c.kind == "blob",
        )
    )
    named = union(direct, through).subquery()  # each version and blob once
    statement = (
        select(named.c.version_id, func.sum(blobs.c.size).label("size"))
        .join(blobs, blobs.c.digest == named.c.digest)
        .join(package_blobs, and_(package_blobs.c.blob_id == blobs.c.id, package_blobs.c.package_id == package_id))
        .where(package_blobs.c.deleted.is_(False))
        .group_by(named.c.version_id)
    )
    return {row.version_id: int(row.size) for row in await connection.execute(statement)}


def _blob_names(condition: Any) -> Select[Any]:
    columns = (manifest_references.c.manifest_id.label("version_id"), manifest_references.c.digest)
    return select(*columns).where(condition, manifest_references.c.kind == "blob")


async def read_indexes(
    connection: AsyncConnection, version_ids: Collection[int], *, limit_bytes: int
) -> dict[int, tuple[str, bytes]]:
    """Media type and content of those versions that are indexes, and no larger than that."""
    statement = select(manifests.c.id, manifests.c.media_type, manifests.c.content).where(
        manifests.c.id.in_(version_ids), manifests.c.media_type.in_(INDEX_TYPES), manifests.c.size <= limit_bytes
    )
    return {row.id: (row.media_type, row.content) for row in await connection.execute(statement)}


async def find_listing(
    connection: AsyncConnection, package_id: int, digests: Collection[str]
) -> dict[str, tuple[int, str]]:
    """For each of these manifests that a live index of the package lists: the newest such index's id and digest."""
    statement = (
        select(manifest_references.c.digest.label("child"), manifests.c.id, manifests.c.digest)
        .join(manifests, manifests.c.id == manifest_references.c.manifest_id)
        .where(
            manifest_references.c.package_id == package_id,
            manifest_references.c.kind == "manifest",
            manifest_references.c.digest.in_(digests),
            manifests.c.deleted_at.is_(None),
        )
        .order_by(manifests.c.id)
    )
    return {row.child: (row.id, row.digest) for row in await connection.execute(statement)}


async def find_ids(connection: AsyncConnection, package_id: int, digests: Collection[str]) -> dict[str, int]:
    """The live versions with these digests."""
    statement = select(manifests.c.digest, manifests.c.id).where(
        manifests.c.package_id == package_id, manifests.c.digest.in_(digests), manifests.c.deleted_at.is_(None)
    )
    return {row.digest: row.id for row in await connection.execute(statement)}

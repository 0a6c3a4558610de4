"""Use cases: what is in a package's versions, for people who look at them: sizes, platforms, layers, labels.

1. Whoever may pull the package sees it; anybody else sees a missing package (A13).
2. A list takes as many queries for thirty versions as for one, and reads no blob.
3. A configuration that is there and could not be read is told apart from one that an artifact does not have.
"""

import logging
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import blob as blob_rows
from berth.adapters.store import manifest as manifest_rows
from berth.adapters.store import package_content as rows
from berth.adapters.store import package_version as version_rows
from berth.adapters.store.database import Store
from berth.domain.access import Subject
from berth.domain.image_reference import Digest
from berth.domain.manifest import Descriptor, Manifest, parse_pushed_manifest, referenced_manifests
from berth.domain.package_access import PackageAction
from berth.domain.package_content import PackageContent, config_of, platforms_of, read_content
from berth.domain.package_version import PackageVersion
from berth.domain.problem import NotFound, Problem
from berth.domain.source_annotation import MAX_CONFIG_BYTES
from berth.services.package_access import PackagePlace, find_allowed
from berth.services.ports import BlobStore

_LOG = logging.getLogger(__name__)
_MAX_INDEX_BYTES = 64 * 1024  # in a list; a larger one is read on its own page
_MAX_CHILDREN = 100  # of an index that are told of


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """A version in a list. `platforms` are an index's; `part_of` is the newest index that lists it: id and digest."""

    version: PackageVersion
    size_bytes: int
    is_index: bool
    platforms: tuple[str, ...]
    part_of: tuple[int, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What an index lists. `version_id` is None where it is not in the package."""

    descriptor: Descriptor
    version_id: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDescription:
    """A version with everything in it. `config_unreadable`: it has a configuration that cannot be read now."""

    version: PackageVersion
    content: PackageContent
    raw_manifest: bytes
    size_bytes: int
    children: tuple[Child, ...]
    more_children: int
    part_of: tuple[int, str] | None
    config_unreadable: bool


class PackageContentService:
    """What versions hold."""

    def __init__(self, *, store: Store, blobs: BlobStore) -> None:
        self._store = store
        self._blobs = blobs

    async def list_versions(
        self, subject: Subject, place: PackagePlace, *, tagged: bool | None, limit: int, offset: int
    ) -> tuple[list[VersionSummary], int]:
        """Live ones, newest first: all, or those with a tag, or those without. Raises NotFound."""
        async with self._store.read() as connection:
            package = (await find_allowed(connection, subject, place, PackageAction.PULL)).package
            found, total = await version_rows.list_versions(
                connection, package.id, deleted_after=None, tagged=tagged, limit=limit, offset=offset
            )
            ids = [version.id for version in found]
            sizes = await rows.sum_sizes(connection, package.id, ids)
            indexes = await rows.read_indexes(connection, ids, limit_bytes=_MAX_INDEX_BYTES)
            parents = await rows.find_listing(connection, package.id, [version.digest for version in found])
        return [
            VersionSummary(
                version=version,
                size_bytes=sizes.get(version.id, 0),
                is_index=version.id in indexes,
                platforms=_platforms(indexes.get(version.id)),
                part_of=parents.get(version.digest),
            )
            for version in found
        ], total

    async def describe(self, subject: Subject, place: PackagePlace, version_id: int) -> VersionDescription:
        """A live one. Raises NotFound."""
        async with self._store.read() as connection:
            package = (await find_allowed(connection, subject, place, PackageAction.PULL)).package
            version = await version_rows.find_version(connection, package.id, version_id)
            stored = (
                None if version is None else await manifest_rows.find_by_digest(connection, package.id, version.digest)
            )
            if version is None or stored is None:
                raise NotFound("Not Found", code="package.version_not_found")
            manifest = parse_pushed_manifest(stored.content, stored.media_type)
            children = await _children(connection, package.id, manifest)
            sizes = await rows.sum_sizes(connection, package.id, [version.id])
            parents = await rows.find_listing(connection, package.id, [version.digest])
            config = config_of(manifest)
            location = None if config is None else await _locate(connection, package.id, config.digest)
        body = None if location is None else await self._read(version.id, *location)
        return VersionDescription(
            version=version,
            content=read_content(stored.content, stored.media_type, body),
            raw_manifest=stored.content,
            size_bytes=sizes.get(version.id, 0),
            children=children,
            more_children=max(0, len(referenced_manifests(manifest)) - len(children)),
            part_of=parents.get(version.digest),
            config_unreadable=config is not None and body is None,
        )

    async def _read(self, version_id: int, location: str, size_bytes: int) -> bytes | None:
        """Policy 3: the page is worth showing without it."""
        try:
            return await self._blobs.read_whole(location, size_bytes)
        except Problem as problem:
            _LOG.warning("package.config_unreadable", extra={"version": version_id, "code": problem.code})
            return None


async def _locate(connection: AsyncConnection, package_id: int, digest: Digest) -> tuple[str, int] | None:
    """Where a configuration lies that may be read in this package, and is not too large to look into."""
    blob = await blob_rows.find_linked(connection, package_id, str(digest))
    return None if blob is None or blob.size_bytes > MAX_CONFIG_BYTES else (blob.location, blob.size_bytes)


async def _children(connection: AsyncConnection, package_id: int, manifest: Manifest) -> tuple[Child, ...]:
    listed = referenced_manifests(manifest)[:_MAX_CHILDREN]
    if not listed:
        return ()
    ids = await rows.find_ids(connection, package_id, {str(child.digest) for child in listed})
    sizes = await rows.sum_sizes(connection, package_id, ids.values())
    known = [(child, ids.get(str(child.digest))) for child in listed]
    return tuple(
        Child(descriptor=child, version_id=version_id, size_bytes=sizes.get(version_id or 0, 0))
        for child, version_id in known
    )


def _platforms(index: tuple[str, bytes] | None) -> tuple[str, ...]:
    return () if index is None else platforms_of(parse_pushed_manifest(index[1], index[0]))

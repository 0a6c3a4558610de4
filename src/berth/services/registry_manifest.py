"""Manifests of the built-in registry: read, pushed, deleted; tags, referrers, and the list of packages.

1. A manifest is kept byte for byte as it was pushed, under its digest; a tag is a pointer to it.
2. A pushed image's configuration must be in the package. Layers and an index's manifests may be missing (sparse
   content); the push then says so in a warning. A blob that lies in other packages only is missing here.
3. The first manifest publishes a package. If its publisher is a person, and the package is linked to nothing yet, it is
   linked to the repository that the image names as its source, if he may write to it (A9). What a job made stays its
   repository's: the label would take its roles elsewhere.
4. Deleting a version keeps it restorable for 30 days (`services/package_version.py`); nothing here shows it any more.
5. In a package whose untagged versions go after a while, one that somebody asks for stays for as long as if it had lost its
   tag now: he may go on to push an index that lists it, and whoever pulls by digest still needs it.
6. Referrers of a package that is missing or hidden are an empty list, as the specification wants; the list tells both
   the same (A13).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import audit
from berth.adapters.store import blob as blob_rows
from berth.adapters.store import manifest as rows
from berth.adapters.store import package as package_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store.database import Store
from berth.adapters.store.fresh import FreshCache
from berth.adapters.store.manifest import Referrer, StoredManifest
from berth.adapters.store.package import KnownPackage
from berth.domain.access import Subject, role_without_token
from berth.domain.access_token import TokenKind
from berth.domain.image_reference import Digest
from berth.domain.manifest import (
    Manifest,
    optional_blobs,
    parse_pushed_manifest,
    referenced_blobs,
    referenced_manifests,
)
from berth.domain.package import PackageName, is_tag
from berth.domain.package_access import PackageAction
from berth.domain.problem import Invalid, NotFound, Problem
from berth.domain.role import Role
from berth.domain.source_annotation import MAX_CONFIG_BYTES, find_source_repository, read_image_labels
from berth.services.ports import BlobStore, Clock
from berth.services.registry_access import Caller, RegistryAccess

_TOUCH_UNTAGGED_EVERY = timedelta(hours=12)  # half of the shortest retention
_LOG = logging.getLogger(__name__)
_MAX_REFERRERS_BYTES = 3 * 1024 * 1024  # of annotations; the rest of 200 descriptors has room in a fourth


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push came to."""

    digest: Digest
    subject: Digest | None
    tags: tuple[str, ...]
    warnings: tuple[str, ...]


class RegistryManifestService:
    """What `/v2/…/manifests`, `…/tags` and `…/referrers` do. Every method decides anew (A14)."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        cache: FreshCache,
        access: RegistryAccess,
        blobs: BlobStore,
        own_hosts: frozenset[str],
    ) -> None:
        self._store = store
        self._clock = clock
        self._cache = cache
        self._access = access
        self._blobs = blobs
        self._own_hosts = own_hosts

    async def get(self, caller: Caller, name: PackageName, reference: str | Digest) -> StoredManifest:
        """By tag or digest. Raises NotFound(code="manifest.unknown")."""
        known = await self._access.authorize(caller, name, PackageAction.PULL)
        key = ("manifest", known.package.id, reference)
        found: StoredManifest | None = await self._cache.get(
            key, lambda: self._read(known.package.id, reference), size_of=_size
        )
        if found is None or not await self._keep(known, found):
            raise _unknown()
        return found

    async def _keep(self, known: KnownPackage, found: StoredManifest) -> bool:
        """Policy 5. False: it just went."""
        may_go = known.package.untagged_retention_days is not None and not found.has_tag
        now = self._clock.now()
        if not may_go or now - found.updated_at < _TOUCH_UNTAGGED_EVERY:
            return True
        try:
            async with self._store.begin() as connection:
                return await rows.touch_untagged(connection, found.id, now)
        except Problem as problem:  # a full disk is no reason to refuse a pull
            _LOG.warning("manifest.touch_failed", extra={"package": known.package.id, "code": problem.code})
            return True

    async def _read(self, package_id: int, reference: str | Digest) -> StoredManifest | None:
        async with self._store.look() as connection:
            if isinstance(reference, Digest):
                return await rows.find_by_digest(connection, package_id, str(reference))
            return await rows.find_by_tag(connection, package_id, reference)

    async def push(
        self,
        caller: Caller,
        name: PackageName,
        reference: str | Digest,
        *,
        content: bytes,
        content_type: str,
        tags: Sequence[str] = (),
    ) -> Pushed:
        """Store it under its digest, and let the tags point to it. Raises Invalid."""
        digest = _check_digest(content, reference)
        manifest = parse_pushed_manifest(content, content_type)
        wanted = _check_tags(reference, tags)
        known = await self._access.authorize_push(caller, name)
        source = await self._find_source(caller, known, manifest)
        now = self._clock.now()
        async with self._store.begin() as connection:
            repository_id = await self._may_link(connection, caller.subject, source)
            known = await self._lock(connection, caller, name, known)
            missing = await self._check_content(connection, known, manifest)
            manifest_id = await rows.store_manifest(connection, known.package.id, str(digest), manifest, content, now)
            await rows.set_tags(connection, known.package.id, manifest_id, wanted, now)
            warnings = [*missing, *await self._publish(connection, caller, known, repository_id)]
        return Pushed(
            digest=digest,
            subject=None if manifest.subject is None else manifest.subject.digest,
            tags=wanted,
            warnings=tuple(warnings),
        )

    async def _lock(
        self, connection: AsyncConnection, caller: Caller, name: PackageName, known: KnownPackage
    ) -> KnownPackage:
        """Changes of a package take turns: as it is now. Raises what a missing one gives if it was deleted meanwhile."""
        there = await package_rows.lock_package(connection, known.package.id)
        now = await package_rows.find_known_package_by_id(connection, caller.asker, known.package.id) if there else None
        if now is None or now.package.deleted_at is not None:
            raise self._access.refusal(caller, name, PackageAction.PUSH)
        return now

    async def _check_content(self, connection: AsyncConnection, known: KnownPackage, manifest: Manifest) -> list[str]:
        """Policy 2. What is there is touched, so that no collection takes it meanwhile."""
        named = {str(digest) for digest in referenced_blobs(manifest)}
        kept = named | {str(digest) for digest in optional_blobs(manifest)}
        found = await blob_rows.touch_named(connection, known.package.id, kept, self._clock.now())
        if manifest.config is not None and str(manifest.config.digest) not in found:
            raise Invalid("The image's configuration was not pushed to this package.", code="manifest.blob_unknown")
        children = {str(child.digest) for child in referenced_manifests(manifest)}
        missing = {
            "the image's layers": named - found,
            "the index's manifests": children - await rows.list_there(connection, known.package.id, children),
        }
        return [
            f"{len(digests)} of {what} are not in this package; nobody can pull it whole."
            for what, digests in missing.items()
            if digests
        ]

    async def _find_source(self, caller: Caller, known: KnownPackage, manifest: Manifest) -> tuple[str, str] | None:
        """The repository that a first publication by a person names (policy 3); read before the transaction begins."""
        by_person = caller.actor.token_kind is TokenKind.PERSONAL
        if not by_person or known.package.published_at is not None or known.package.repository_id is not None:
            return None
        labels: dict[str, str] = {}
        config = manifest.config
        if config is not None and config.size_bytes <= MAX_CONFIG_BYTES:
            async with self._store.read() as connection:
                blob = await blob_rows.find_linked(connection, known.package.id, str(config.digest))
            if blob is not None and blob.size_bytes <= MAX_CONFIG_BYTES:
                labels = read_image_labels(await self._blobs.read_whole(blob.location, blob.size_bytes))
        return find_source_repository(labels, manifest.annotations, self._own_hosts)

    async def _publish(
        self, connection: AsyncConnection, caller: Caller, known: KnownPackage, repository_id: int | None
    ) -> list[str]:
        """Set the times; at first, link it (policy 3). What is left to say about that."""
        now = self._clock.now()
        values: dict[str, object] = {"updated_at": now}
        warnings: list[str] = []
        if known.package.published_at is None:
            values["published_at"] = now
            is_free = known.package.repository_id is None
            links = is_free and repository_id is not None
            if links:
                values["repository_id"] = repository_id
            elif is_free:
                warnings.append("The package is linked to no repository: no label or annotation names one of yours.")
            await audit.record(
                connection,
                at=now,
                actor=caller.actor,
                action="package.publish",
                account_id=known.package.owner_id,
                target=known.package.full_name,
                detail="linked" if links else "",
            )
        await package_rows.update_package(connection, known.package.id, values)
        return warnings

    async def _may_link(
        self, connection: AsyncConnection, subject: Subject | None, source: tuple[str, str] | None
    ) -> int | None:
        """The repository to link to, locked: it is not deleted or given away before the package is linked to it (A12)."""
        if subject is None or source is None:
            return None
        before = await repository_rows.find_known(connection, subject.account_id, *source)
        if before is None:
            return None
        try:
            await repository_rows.lock_repository(connection, before.repository.id)
        except NotFound:
            return None
        found = await repository_rows.find_known(connection, subject.account_id, *source)
        if found is None or found.repository.id != before.repository.id or role_without_token(found.facts) < Role.PUSH:
            return None
        return found.repository.id

    async def delete(self, caller: Caller, name: PackageName, reference: str | Digest) -> None:
        """A tag, or by digest a version with all its tags. Raises NotFound(code="manifest.unknown")."""
        known = await self._access.authorize(caller, name, PackageAction.DELETE)
        now = self._clock.now()
        async with self._store.begin() as connection:
            await self._lock(connection, caller, name, known)
            if isinstance(reference, Digest):
                gone = await rows.mark_deleted(connection, known.package.id, str(reference), now) is not None
            else:
                gone = await rows.delete_tag(connection, known.package.id, reference, now)
            if not gone:
                raise _unknown()
            await audit.record(
                connection,
                at=now,
                actor=caller.actor,
                action="package.version_delete" if isinstance(reference, Digest) else "package.tag_delete",
                account_id=known.package.owner_id,
                target=f"{name}:{reference}",
            )

    async def list_tags(self, caller: Caller, name: PackageName, *, after: str, limit: int) -> tuple[list[str], bool]:
        """Tags in the order of their bytes, and whether there are more."""
        known = await self._access.authorize(caller, name, PackageAction.PULL)
        async with self._store.read() as connection:
            found = await rows.list_tags(connection, known.package.id, after=after, limit=limit + 1)
        return found[:limit], len(found) > limit

    async def list_referrers(
        self,
        caller: Caller,
        name: PackageName,
        digest: Digest,
        *,
        artifact_type: str | None,
        after: int,
        limit: int,
    ) -> tuple[Sequence[Referrer], bool]:
        """What refers to this digest, oldest first, and whether there is more (policy 6).

        At most `limit`, and so few that the answer is no larger than clients read a manifest.
        """
        try:
            known = await self._access.authorize(caller, name, PackageAction.PULL)
        except NotFound:
            return [], False
        async with self._store.read() as connection:
            return await rows.list_referrers(
                connection,
                known.package.id,
                str(digest),
                artifact_type=artifact_type,
                after=after,
                limit=limit,
                limit_bytes=_MAX_REFERRERS_BYTES,
            )


def _size(found: StoredManifest | None) -> int:
    return 0 if found is None else len(found.content)


def _check_digest(content: bytes, reference: str | Digest) -> Digest:
    """The digest to keep it under: the one in the path, else sha256. Raises Invalid(code="digest.mismatch")."""
    if not isinstance(reference, Digest):
        return Digest.of(content)
    if Digest.of(content, reference.algorithm) != reference:
        raise Invalid("The manifest does not have the digest that it was pushed to.", code="digest.mismatch")
    return reference


def _check_tags(reference: str | Digest, tags: Sequence[str]) -> tuple[str, ...]:
    """All tags that shall point to it, each once, in the order given. Raises Invalid(code="manifest.tag")."""
    wanted = dict.fromkeys(tags if isinstance(reference, Digest) else (reference, *tags))
    if not all(is_tag(tag) for tag in wanted):
        raise Invalid(
            "A tag has 1 to 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'.",
            code="manifest.tag",
        )
    return tuple(wanted)


def _unknown() -> NotFound:
    return NotFound("There is no such manifest in this package.", code="manifest.unknown")

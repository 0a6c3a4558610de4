"""A prebuild's versions in the built-in registry: from the engine into the repository's package, and out of it again.

1. The engine's stream goes straight into the blob store: nothing is kept in memory or in a file of its own, and the
   engine needs no credential and no way to this server.
2. Who may push is decided as for a job of the repository that pushes (A8): by the same registry token, at each blob. The
   first version makes the package: linked to the repository, inheriting access, as visible as the repository is.
3. A package of another visibility takes none: what was built with the repository's credentials would be seen by others. Nor
   does one that is not linked to the repository: the name can be foreseen, and whoever made it first is its administrator.
4. A server that dies on the way leaves an upload and blobs that nothing names: the collector takes them.
"""

import hashlib
from collections.abc import AsyncIterator

from berth.adapters.store import audit
from berth.adapters.store import manifest as manifest_rows
from berth.adapters.store import package as package_rows
from berth.adapters.store.database import Store
from berth.adapters.store.package import Asker
from berth.domain.image_export import (
    INDEX,
    MANIFEST_TYPE,
    MAX_INDEX_BYTES,
    StoredFile,
    is_content,
    link_target,
    make_manifest,
)
from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.package import PackageName
from berth.domain.package_access import PackageAction
from berth.domain.prebuild import PrebuildVersion, package_of, package_taken, wrong_visibility
from berth.domain.problem import UpstreamFailed
from berth.domain.repository import Repository
from berth.domain.resource_scope import format_scope
from berth.domain.secret_text import SecretText
from berth.services.launch_failure import LaunchFailed
from berth.services.ports import Clock, Engine, ExportedFile
from berth.services.registry_access import Caller, RegistryAccess
from berth.services.registry_blob import RegistryBlobService
from berth.services.registry_manifest import RegistryManifestService
from berth.services.registry_token import RegistryTokenService


class PrebuildPackages:
    """Publishes versions, and retires them."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        engine: Engine,
        tokens: RegistryTokenService,
        access: RegistryAccess,
        blobs: RegistryBlobService,
        manifests: RegistryManifestService,
    ) -> None:
        self._store = store
        self._clock = clock
        self._engine = engine
        self._tokens = tokens
        self._access = access
        self._blobs = blobs
        self._manifests = manifests

    async def publish(self, token: SecretText, repository: Repository, image_id: str, tag: str) -> Digest:
        """The image under this tag. Raises LaunchFailed, or the Problem that a push would meet."""
        name = package_of(repository)
        caller = await self._authenticate(token, name)
        known = await self._access.authorize_push(caller, name)
        if known.package.repository_id != repository.id:
            raise LaunchFailed(package_taken(name))
        if known.package.visibility is not repository.visibility:
            raise LaunchFailed(wrong_visibility(name, known.package.visibility, repository.visibility))
        files: dict[str, StoredFile] = {}
        links: dict[str, str] = {}
        index = b""
        async for file in self._engine.export_image(image_id):
            if file.link:
                links[file.name] = link_target(file.name, file.link)
            elif file.name == INDEX:
                index = await _read_index(file)
            elif is_content(file.name):
                files[file.name] = await self._store_file(await self._authenticate(token, name), name, file)
        content = make_manifest(index, files, links)
        caller = await self._authenticate(token, name)
        pushed = await self._manifests.push(caller, name, tag, content=content, content_type=MANIFEST_TYPE)
        return pushed.digest

    async def _authenticate(self, token: SecretText, name: PackageName) -> Caller:
        """Anew for each blob: a registry token lives for minutes, and the right may go meanwhile (A14)."""
        scope = format_scope(name, {PackageAction.PULL, PackageAction.PUSH})
        issued = await self._tokens.issue(token, [scope])
        return await self._access.authenticate(issued.value.reveal(), scope)

    async def _store_file(self, caller: Caller, name: PackageName, file: ExportedFile) -> StoredFile:
        upload = await self._blobs.begin_upload(caller, name)
        hasher = hashlib.sha256()

        async def hashed() -> AsyncIterator[bytes]:
            async for chunk in file.chunks:
                hasher.update(chunk)
                yield chunk

        try:
            upload = await self._blobs.append(upload, hashed(), None)
            digest = Digest(DigestAlgorithm.SHA256, hasher.hexdigest())
            await self._blobs.finish(upload, digest)
        except BaseException:
            await self._blobs.abandon(upload)
            raise
        return StoredFile(digest, upload.size_bytes)

    async def holds(self, version: PrebuildVersion, repository: Repository) -> bool:
        """Whether it is still where it was published: somebody may have deleted it, or its package."""
        async with self._store.read() as connection:
            known = await package_rows.find_known_package(connection, Asker(None), package_of(repository))
            if known is None or known.package.owner_id != version.owner_id:
                return False
            return await manifest_rows.find_by_digest(connection, known.package.id, version.digest) is not None

    async def retire(self, version: PrebuildVersion, repository: Repository) -> None:
        """Delete it from its package, as its administrator could. Nothing happens if it, or the package, is gone."""
        if version.owner_id != repository.owner_id:
            return  # the repository has moved, and what it left behind is its former owner's
        name = package_of(repository)
        now = self._clock.now()
        async with self._store.begin() as connection:
            known = await package_rows.find_known_package(connection, Asker(None), name)
            if known is None:
                return
            await package_rows.lock_package(connection, known.package.id)
            if await manifest_rows.mark_deleted(connection, known.package.id, version.digest, now) is None:
                return
            await audit.record(
                connection,
                at=now,
                actor=None,
                action="package.version_delete",
                account_id=known.package.owner_id,
                target=f"{name}:{version.digest}",
                detail="prebuild",
            )


async def _read_index(file: ExportedFile) -> bytes:
    data = bytearray()
    async for chunk in file.chunks:
        data += chunk
        if len(data) > MAX_INDEX_BYTES:
            raise UpstreamFailed("The engine saved the image in a way unknown to Berth.", code="engine.failed")
    return bytes(data)

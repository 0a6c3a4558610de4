"""The built-in registry's services on one database and one blob store, as several replicas, with a clock that tests move."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import func, select

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.adapters.store import account as account_rows
from berth.adapters.store.database import Store
from berth.adapters.store.fresh import FreshCache
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
from berth.domain.access import Subject
from berth.domain.access_token import TokenKind
from berth.domain.account import AccountType
from berth.domain.blob import Upload
from berth.domain.image_reference import Digest
from berth.domain.media_type import OCI_INDEX, OCI_MANIFEST
from berth.domain.package import PackageName
from berth.domain.package_access import PackageAction
from berth.domain.problem import NotFound
from berth.domain.registry_token import RegistryClaims, RegistryGrant
from berth.domain.scope import Scope, expand_scopes
from berth.services.garbage import GarbageCollector
from berth.services.ports import StoredBlob, UploadState
from berth.services.registry_access import Caller, RegistryAccess
from berth.services.registry_blob import GRACE, TOUCH_EVERY, RegistryBlobService
from berth.services.registry_manifest import Pushed, RegistryManifestService

OWNER = "octo"
HOST = "berth.test"
INSTALLATION = "6e0e2cd4-2a5c-4a4e-9d4b-0b7d6a1b2c3d"
AFTER_GRACE = GRACE + TOUCH_EVERY + timedelta(seconds=1)
MONTH = timedelta(days=30) + TOUCH_EVERY + timedelta(seconds=1)
TABLES = (blob_trash, blobs, manifest_references, manifests, package_blobs, packages, tags, uploads)
_SCOPES = frozenset({Scope.READ_PACKAGES, Scope.WRITE_PACKAGES, Scope.DELETE_PACKAGES})


@dataclass
class MovableClock:
    """Stands still until it is moved."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def move(self, by: timedelta = AFTER_GRACE) -> None:
        self.time += by


class DatedBlobStore(DirectoryBlobStore):
    """Files are as old as the tests' clock says."""

    def __init__(self, root: Path, clock: MovableClock) -> None:
        super().__init__(root)
        self._clock = clock

    async def finish(self, upload_id: str, state: UploadState, digest: Digest) -> StoredBlob:
        stored = await super().finish(upload_id, state, digest)
        self.date(stored.location)
        return stored

    def date(self, path: str) -> None:
        os.utime(self._root / path, (self._clock.now().timestamp(),) * 2)


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One server's share."""

    clock: MovableClock
    store: Store
    cache: FreshCache
    content: DirectoryBlobStore
    blobs: RegistryBlobService
    manifests: RegistryManifestService
    access: RegistryAccess
    owner: int

    def collector(self, **options: timedelta) -> GarbageCollector:
        return GarbageCollector(
            store=self.store, clock=self.clock, blobs=self.content, installation=INSTALLATION, **options
        )

    async def collect(self) -> None:
        await self.collector().collect()

    def caller(self, *names: str, package_ids: dict[str, int] | None = None) -> Caller:
        """The owner with a registry token for these packages, which were free when it was made unless an id is given."""
        subject = Subject(
            account_id=self.owner,
            login=OWNER,
            site_admin=False,
            token_kind=TokenKind.PERSONAL,
            token_id=1,
            scopes=expand_scopes(_SCOPES),
        )
        every = frozenset(PackageAction)
        grants = {
            PackageName(OWNER, name): RegistryGrant(actions=every, package_id=(package_ids or {}).get(name))
            for name in names
        }
        claims = RegistryClaims(
            token_id=1,
            login=OWNER,
            grants=grants,
            catalog=False,
            issued_at=self.clock.now(),
            expires_at=self.clock.now() + timedelta(minutes=5),
        )
        return Caller(subject=subject, claims=claims, valid_until=claims.expires_at)

    async def begin(self, name: str) -> Upload:
        return await self.blobs.begin_upload(self.caller(name), PackageName(OWNER, name))

    async def push_blob(self, name: str, content: bytes) -> Digest:
        return await self.finish(await self.begin(name), content)

    async def finish(self, upload: Upload, content: bytes) -> Digest:
        digest = Digest.of(content)
        upload = await self.blobs.append(upload, chunks_of(content), None)
        await self.blobs.finish(upload, digest)
        return digest

    async def head(self, name: str, digest: Digest) -> bool:
        try:
            await self.blobs.find(self.caller(name), PackageName(OWNER, name), digest)
        except NotFound:
            return False
        return True

    async def read(self, name: str, digest: Digest) -> bytes:
        blob = await self.blobs.find(self.caller(name), PackageName(OWNER, name), digest)
        return b"".join([piece async for piece in self.blobs.read(blob, 0, blob.size_bytes)])

    async def mount(self, name: str, digest: Digest, source: str | None = None, *, among: str = "") -> bool:
        """From this source; without one, from any of the packages `among` these names."""
        caller = self.caller(name, *([source] if source else among))
        origin = PackageName(OWNER, source) if source else None
        return await self.blobs.mount(caller, PackageName(OWNER, name), digest, origin)

    async def push_manifest(self, name: str, content: bytes, *tag_names: str, media_type: str = OCI_MANIFEST) -> Pushed:
        """Under its tags, or without any."""
        return await self.manifests.push(
            self.caller(name),
            PackageName(OWNER, name),
            Digest.of(content),
            content=content,
            content_type=media_type,
            tags=tag_names,
        )

    async def push_image(
        self, name: str, *parts: bytes, tag: str | None = None, subject: Digest | None = None
    ) -> Digest:
        """An image whose configuration and layers are these."""
        for part in parts:
            await self.push_blob(name, part)
        pushed = await self.push_manifest(name, image(*parts, subject=subject), *([tag] if tag else []))
        assert pushed.warnings == () or "linked to no repository" in pushed.warnings[0]
        return pushed.digest

    async def push_index(self, name: str, *children: Digest, tag: str | None = None) -> Digest:
        content = index(*children)
        pushed = await self.push_manifest(name, content, *([tag] if tag else []), media_type=OCI_INDEX)
        return pushed.digest

    async def has_version(self, name: str, reference: str | Digest) -> bool:
        """Straight from the database: asking the service would count as asking."""
        live = (manifests.c.package_id == await self.package_id(name), manifests.c.deleted_at.is_(None))
        statement = select(manifests.c.id).where(*live)
        if isinstance(reference, Digest):
            statement = statement.where(manifests.c.digest == str(reference))
        else:
            statement = statement.join(tags, tags.c.manifest_id == manifests.c.id).where(tags.c.name == reference)
        async with self.store.read() as connection:
            return (await connection.execute(statement)).first() is not None

    async def delete(self, name: str, reference: str | Digest) -> None:
        await self.manifests.delete(self.caller(name), PackageName(OWNER, name), reference)

    async def package_id(self, name: str) -> int:
        statement = select(packages.c.id).where(packages.c.name == name).order_by(packages.c.id.desc())
        async with self.store.read() as connection:
            return int((await connection.execute(statement.limit(1))).scalar_one())

    async def count(self, *tables: Any) -> dict[str, int]:
        """Rows of each table that has any."""
        found = {}
        async with self.store.read() as connection:
            for table in tables or TABLES:
                found[table.name] = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
        return {name: number for name, number in found.items() if number}

    def files(self) -> set[str]:
        """Everything that the blob store holds, but for its marker."""
        root = self.content._root
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {"installation"}


@dataclass(kw_only=True)
class GarbageWorld:
    """`one` and `two` are replicas."""

    clock: MovableClock
    one: Replica
    two: Replica
    replicas: list[Replica] = field(default_factory=list)


async def chunks_of(content: bytes, size_bytes: int = 1 << 16) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size_bytes):
        yield content[start : start + size_bytes]


def image(config: bytes, *layers: bytes, subject: Digest | None = None, source: str | None = None) -> bytes:
    """An image's manifest. `source` is the repository that it says it was built from."""
    content: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer) for layer in layers],
    }
    if subject is not None:
        content["subject"] = {"mediaType": OCI_MANIFEST, "digest": str(subject), "size": 2}
    if source is not None:
        content["annotations"] = {"org.opencontainers.image.source": f"https://{HOST}/{OWNER}/{source}"}
    return json.dumps(content).encode()


def index(*children: Digest) -> bytes:
    listed = [{"mediaType": OCI_MANIFEST, "digest": str(digest), "size": 2} for digest in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


@asynccontextmanager
async def open_replica(
    url: str, folder: Path, owner: int, clock: MovableClock, content: DirectoryBlobStore | None = None
) -> AsyncIterator[Replica]:
    """A server's services; closed with what they stand on."""
    store = Store(url)
    cache = FreshCache(store)
    opened = content or DatedBlobStore(folder, clock)
    await opened.claim(INSTALLATION)
    nobody = cast("Any", None)  # registry tokens are not made and not verified here
    access = RegistryAccess(store=store, clock=clock, cache=cache, signer=nobody, tokens=nobody)
    try:
        yield Replica(
            clock=clock,
            store=store,
            cache=cache,
            content=opened,
            access=access,
            blobs=RegistryBlobService(store=store, clock=clock, cache=cache, access=access, blobs=opened),
            manifests=RegistryManifestService(
                store=store, clock=clock, cache=cache, access=access, blobs=opened, own_hosts=frozenset({HOST})
            ),
            owner=owner,
        )
    finally:
        await cache.close()
        await store.close()
        opened.close()


async def make_owner(url: str, now: datetime) -> int:
    store = Store(url)
    async with store.begin() as connection:
        account = await account_rows.insert_account(connection, login=OWNER, kind=AccountType.USER, now=now)
    await store.close()
    return account.id


@asynccontextmanager
async def make_garbage_world(url: str, folder: Path) -> AsyncIterator[GarbageWorld]:
    clock = MovableClock()
    owner = await make_owner(url, clock.now())
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(open_replica(url, folder, owner, clock)) for _ in range(2)]
        yield GarbageWorld(clock=clock, one=one, two=two)

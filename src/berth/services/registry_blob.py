"""Blobs of the built-in registry: read, uploaded, mounted, deleted.

1. A blob is read through a package only (`package_blobs`), whoever else holds the same content.
2. Whoever is told that a blob is there finds it there for the whole grace period (`adapters/store/blob.py`).
3. An upload belongs to the access token that began it and to one package. Its row says how far it came; what the blob
   store holds beyond that does not count. A client that goes away has brought what came; a chunk that is not as long as
   it says, or that the disk has no room for, was never there, and its room is free again.
4. Content becomes a blob in one transaction after its digest was verified and its bytes are safe in the blob store.
5. A mount needs the right to pull the source *with the same registry token*. Where only the registry token is in the way
   the client is told which one to fetch; where the access token itself may not, an ordinary upload begins (A14).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from uuid import uuid4

from berth.adapters.store import audit
from berth.adapters.store import blob as rows
from berth.adapters.store import package as package_rows
from berth.adapters.store.database import Store
from berth.adapters.store.fresh import FreshCache
from berth.adapters.store.package import KnownPackage
from berth.domain.blob import LinkedBlob, Upload
from berth.domain.image_reference import Digest
from berth.domain.package import PackageName
from berth.domain.package_access import PackageAction
from berth.domain.problem import Conflict, Denied, Invalid, LimitReached, NotFound, Problem, UpstreamFailed
from berth.domain.resource_scope import format_scope
from berth.services.ports import BlobStore, Clock, UploadState, UploadWriter
from berth.services.registry_access import Caller, RegistryAccess, TokenNeeded

GRACE = timedelta(hours=24)
TOUCH_EVERY = timedelta(
    minutes=10
)  # of an upload that is still coming, and of a link that is asked for again and again
_MAX_SOURCES = 50


class ClientGone(Exception):
    """The client closed the connection before the end of what it sent."""


class ClientIdle(ClientGone):
    """The client is still there, but sends nothing any more."""


class RegistryBlobService:
    """What `/v2/…/blobs/…` does. Every method decides anew (A14)."""

    def __init__(
        self, *, store: Store, clock: Clock, cache: FreshCache, access: RegistryAccess, blobs: BlobStore
    ) -> None:
        self._store = store
        self._clock = clock
        self._cache = cache
        self._access = access
        self._blobs = blobs

    async def find(self, caller: Caller, name: PackageName, digest: Digest) -> LinkedBlob:
        """A blob that the caller may read in this package. Raises NotFound(code="blob.unknown")."""
        known = await self._access.authorize(caller, name, PackageAction.PULL)
        return await self._find(known, digest)

    def valid_until(self, blob: LinkedBlob, caller: Caller) -> datetime:
        """Until when the caller may be told of the blob again without a new look (policy 2)."""
        if blob.needed:
            return caller.valid_until
        return min(caller.valid_until, blob.touched_at + TOUCH_EVERY)

    async def _find(self, known: KnownPackage, digest: Digest) -> LinkedBlob:
        found: LinkedBlob | None = await self._cache.get(
            ("blob", known.package.id, digest), lambda: self._read_link(known.package.id, digest)
        )
        if found is None or not await self._keep(known.package.id, found):
            raise _unknown()
        return found

    async def _read_link(self, package_id: int, digest: Digest) -> LinkedBlob | None:
        async with self._store.look() as connection:
            return await rows.find_linked(connection, package_id, str(digest))

    async def _keep(self, package_id: int, blob: LinkedBlob) -> bool:
        """Policy 2: a blob that no version needs is touched before somebody is told of it. False: it just went."""
        now = self._clock.now()
        if blob.needed or now - blob.touched_at < TOUCH_EVERY:
            return True
        async with self._store.begin() as connection:
            held = await package_rows.hold_package(connection, package_id, now)
            return held and await rows.touch_link(connection, package_id, blob.blob_id, now)

    async def read_whole(self, blob: LinkedBlob) -> bytes:
        """A small blob's bytes."""
        return await self._blobs.read_whole(blob.location, blob.size_bytes)

    def read(self, blob: LinkedBlob, start: int, stop: int) -> AsyncIterator[bytes]:
        return self._blobs.read(blob.location, start, stop)

    async def find_url(self, blob: LinkedBlob) -> str | None:
        """Where the blob store itself serves it, for a client that has just been let through."""
        return await self._blobs.find_url(blob.location)

    async def delete(self, caller: Caller, name: PackageName, digest: Digest) -> None:
        """Raises Denied(code="blob.needed") while a version names it: an image would be left that nobody can pull."""
        known = await self._access.authorize(caller, name, PackageAction.DELETE)
        async with self._store.begin() as connection:
            await package_rows.lock_package(connection, known.package.id)
            if await rows.is_needed_by_live_version(connection, known.package.id, str(digest)):
                raise Denied("A version of the package needs this blob; delete the version first.", code="blob.needed")
            if not await rows.unlink(connection, known.package.id, str(digest), self._clock.now()):
                raise _unknown()
            await audit.record(
                connection,
                at=self._clock.now(),
                actor=caller.actor,
                action="blob.delete",
                account_id=known.package.owner_id,
                target=f"{name}@{digest}",
            )

    async def mount(self, caller: Caller, name: PackageName, digest: Digest, source: PackageName | None) -> bool:
        """Let the blob be read in this package too. False: it cannot be mounted, let an upload begin (policy 5).

        Without a source it is taken from whichever package has it.
        """
        target = await self._access.authorize_push(caller, name)
        for package in await self._sources(caller, digest, source):
            found = await self._read_link(package.package.id, digest)
            if found is None:
                continue
            covered = caller.claims.lets_through(
                _name(package),
                PackageAction.PULL,
                package_id=package.package.id,
                made_by=package.creator_token_id,
            )
            if not covered:
                raise _pull_needed(name, _name(package))
            now = self._clock.now()
            async with self._store.begin() as connection:
                if not await package_rows.hold_package(connection, target.package.id, now):
                    raise self._access.refusal(caller, name, PackageAction.PUSH)
                if await rows.link(connection, target.package.id, found.blob_id, now):
                    return True
        return False

    async def _sources(self, caller: Caller, digest: Digest, source: PackageName | None) -> list[KnownPackage]:
        """Packages that the access token may pull, and that may have the blob: the one named, or all that have it."""
        if source is not None:
            known = await self._access.find_readable(caller, source)
            return [] if known is None else [known]
        async with self._store.read() as connection:
            names = await rows.list_packages_with(connection, str(digest), limit=_MAX_SOURCES)
        readable = [await self._access.find_readable(caller, each) for each in names]
        covered = [each for each in readable if each is not None]
        return sorted(covered, key=lambda each: _name(each) not in caller.claims.grants)

    async def begin_upload(self, caller: Caller, name: PackageName) -> Upload:
        """A new upload of zero bytes."""
        known = await self._access.authorize_push(caller, name)
        now = self._clock.now()
        async with self._store.begin() as connection:
            if not await package_rows.hold_package(connection, known.package.id, now):
                raise self._access.refusal(caller, name, PackageAction.PUSH)
            return await rows.insert_upload(
                connection, str(uuid4()), package_id=known.package.id, token_id=caller.actor.token_id, now=now
            )

    async def find_upload(self, caller: Caller, name: PackageName, upload_id: str) -> Upload:
        """An upload that this caller began in this package. Raises NotFound(code="upload.unknown") (policy 3)."""
        known = await self._access.authorize(caller, name, PackageAction.PUSH)
        async with self._store.read() as connection:
            upload = await rows.find_upload(
                connection, upload_id, package_id=known.package.id, token_id=caller.actor.token_id
            )
        if upload is None:
            raise _no_upload()
        return upload

    async def append(self, upload: Upload, chunks: AsyncIterator[bytes | memoryview], start: int | None) -> Upload:
        """Write what comes, in order. `start` is where the client thinks that it begins.

        Raises Invalid(code="upload.out_of_order"), Conflict(code="upload.busy", "upload.moved"), LimitReached for a full
        disk. If the client goes away, what came is kept.
        """
        if start is not None and start != upload.size_bytes:
            raise Invalid(f"The next byte is {upload.size_bytes}, not {start}.", code="upload.out_of_order")
        gone: ClientGone | None = None
        try:
            async with self._telling_lost(upload), self._blobs.write(upload.id, _state(upload)) as writer:
                await self._check_unmoved(upload)
                try:
                    await self._write_all(upload, writer, chunks)
                except ClientGone as error:
                    gone = error
            advanced = await self._advance(upload, writer.state)
        except LimitReached:
            await self._make_room(upload)
            raise
        if gone is not None:
            raise gone
        return advanced

    async def _write_all(self, upload: Upload, writer: UploadWriter, chunks: AsyncIterator[bytes | memoryview]) -> None:
        touched_at = self._clock.now()
        async for chunk in chunks:
            await writer.write(chunk)
            now = self._clock.now()
            if now - touched_at > TOUCH_EVERY:
                touched_at = now
                await self._touch(upload)

    async def _check_unmoved(self, upload: Upload) -> None:
        """Asked by who alone may write: was another request quicker since the upload was looked up?"""
        async with self._store.read() as connection:
            found = await rows.find_upload(
                connection, upload.id, package_id=upload.package_id, token_id=upload.token_id
            )
        if found != upload:
            raise _gone()

    @asynccontextmanager
    async def _telling_lost(self, upload: Upload) -> AsyncIterator[None]:
        """What is gone of an upload was another request's to move or finish, or went with a server: begin a new one."""
        try:
            yield
        except UpstreamFailed as problem:
            if problem.code != "blob.lost":
                raise
            await self._check_unmoved(upload)
            raise _no_upload() from problem

    async def _make_room(self, upload: Upload) -> None:
        """Give back what the failed request took. If that fails, the next one does it, or the sweep."""
        with suppress(Problem):
            async with self._blobs.write(upload.id, _state(upload)) as writer:
                await writer.write(b"")

    async def _touch(self, upload: Upload) -> None:
        async with self._store.begin() as connection:
            if not await rows.touch_upload(connection, upload.id, self._clock.now()):
                raise _gone()

    async def _advance(self, upload: Upload, state: UploadState) -> Upload:
        async with self._store.begin() as connection:
            advanced = await rows.advance_upload(
                connection, upload, size_bytes=state.size_bytes, handle=state.handle, now=self._clock.now()
            )
        if not advanced:
            raise _gone()
        return Upload(
            id=upload.id,
            package_id=upload.package_id,
            token_id=upload.token_id,
            size_bytes=state.size_bytes,
            handle=state.handle,
        )

    async def finish(self, upload: Upload, digest: Digest) -> None:
        """Verify, keep, and let it be read in the upload's package (policy 4). Raises Invalid(code="digest.mismatch")."""
        try:
            async with self._telling_lost(upload):
                stored = await self._blobs.finish(upload.id, _state(upload), digest)
        except Invalid:
            async with self._store.begin() as connection:
                await rows.delete_upload(connection, upload.id)
            raise
        now = self._clock.now()
        try:
            async with self._store.begin() as connection:
                held = await package_rows.hold_package(connection, upload.package_id, now)
                if not held or not await rows.delete_upload(connection, upload.id):
                    raise _gone()  # cancelled meanwhile, or its package was deleted; the sweep finds the content
                blob_id = await rows.store_blob(connection, str(digest), stored.size_bytes, stored.location, now)
                await rows.link(connection, upload.package_id, blob_id, now)
        except LimitReached:
            with suppress(Problem):
                await self._blobs.delete(stored.location)  # no row names it: there is room again
            raise

    async def cancel(self, upload: Upload) -> None:
        """Forget it. The bytes go first: on a full disk there is room for nothing else."""
        await self._blobs.discard(upload.id, _state(upload))
        async with self._store.begin() as connection:
            if not await rows.delete_upload(connection, upload.id):
                raise _gone()

    async def abandon(self, upload: Upload) -> None:
        """Cancel what failed and nobody can go on with; what that leaves is swept."""
        with suppress(Problem):
            await self.cancel(upload)


def _name(known: KnownPackage) -> PackageName:
    return PackageName(known.package.owner_login.lower(), known.package.name)


def _state(upload: Upload) -> UploadState:
    return UploadState(size_bytes=upload.size_bytes, handle=upload.handle)


def _pull_needed(target: PackageName, source: PackageName) -> TokenNeeded:
    scopes = (
        format_scope(target, {PackageAction.PULL, PackageAction.PUSH}),
        format_scope(source, {PackageAction.PULL}),
    )
    text = "Mounting needs a registry token that may pull from the source."
    return TokenNeeded(text, scope=" ".join(scopes), error="insufficient_scope", code="registry_token.scope")


def _unknown() -> NotFound:
    return NotFound("There is no such blob in this package.", code="blob.unknown")


def _no_upload() -> NotFound:
    return NotFound("There is no such upload: it was finished, cancelled or given up.", code="upload.unknown")


def _gone() -> Conflict:
    return Conflict("Another request moved or ended this upload meanwhile.", code="upload.moved")

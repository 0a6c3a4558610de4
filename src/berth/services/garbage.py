"""Garbage collection of the built-in registry, online: beside pushes and pulls, a page at a time.

What goes, in this order:
1. uploads that nobody went on with for the grace period;
2. packages and versions that were deleted longer ago than they can be restored; names under which nothing was published;
3. untagged versions of packages that ask for it (they can be restored for 30 days);
4. links of blobs that no version needs, blobs that no package links, and then their bytes;
5. what lies in the blob store and in no row: a server was killed between the two.

Never what a push is about to reference: the invariant is in `adapters/store/blob.py`. A killed collection leaves nothing
half done: each page is one transaction, and bytes go after the rows, by way of the trash.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import blob as blob_rows
from berth.adapters.store import garbage as rows
from berth.adapters.store import package as package_rows
from berth.adapters.store.database import Store
from berth.domain.package import RESTORE_WITHIN
from berth.services.ports import BlobStore, Clock, UploadState
from berth.services.registry_blob import GRACE, TOUCH_EVERY

_PAGE = 200
_LOG = logging.getLogger(__name__)
Item = TypeVar("Item")


class GarbageCollector:
    """Runs as a chore: one replica at a time, though nothing breaks if two do."""

    def __init__(self, *, store: Store, clock: Clock, blobs: BlobStore, grace: timedelta = GRACE) -> None:
        self._store = store
        self._clock = clock
        self._blobs = blobs
        self._grace = grace

    async def collect(self) -> None:
        """All of it, once."""
        told = {
            "uploads": await self._drop_uploads(),
            "packages": await self._all_pages(self._drop_packages),
            "versions": await self._drop_versions(),
            "untagged": await self._retire_untagged(),
            "links": await self._all_pages(self._drop_links),
            "blobs": await self._all_pages(self._drop_blobs),
            "emptied": await self._empty_trash(),
            "leftovers": await self._sweep_blobs() + await self._sweep_uploads(),
        }
        if any(told.values()):
            _LOG.info("garbage.collected", extra={key: number for key, number in told.items() if number})

    def _cutoff(self) -> datetime:
        """What was touched before is nobody's any more. A touch may be recorded up to TOUCH_EVERY late."""
        return self._clock.now() - self._grace - TOUCH_EVERY

    async def _all_pages(self, drop: Callable[[AsyncConnection], Awaitable[int]]) -> int:
        """Repeat a transaction until it finds nothing more to do."""
        total = 0
        for _ in count():
            async with self._store.begin() as connection:
                gone = await drop(connection)
            total += gone
            if not gone:
                break
        return total

    async def _drop_uploads(self) -> int:
        total = 0
        while True:
            async with self._store.begin() as connection:
                taken = await rows.take_abandoned_uploads(connection, self._cutoff(), limit=_PAGE)
            for upload in taken:
                await self._blobs.discard(upload.id, UploadState(size_bytes=upload.size_bytes, handle=upload.handle))
            total += len(taken)
            if not taken:
                return total

    async def _drop_packages(self, connection: AsyncConnection) -> int:
        return await rows.delete_dead_packages(
            connection,
            deleted_before=self._clock.now() - RESTORE_WITHIN,
            unpublished_before=self._cutoff(),
            limit=_PAGE,
        )

    async def _drop_versions(self) -> int:
        before = self._clock.now() - RESTORE_WITHIN
        total = 0
        while True:
            async with self._store.read() as connection:
                page = await rows.list_deleted_versions(connection, before, limit=_PAGE)
            for version in page:
                async with self._store.begin() as connection:
                    await package_rows.lock_package(connection, version.package_id)
                    named = await rows.delete_version(connection, version.manifest_id, before)
                    await blob_rows.touch_named(connection, version.package_id, named, self._clock.now())
            total += len(page)
            if not page:
                return total

    async def _retire_untagged(self) -> int:
        total, after = 0, 0
        while True:
            async with self._store.read() as connection:
                page = await rows.list_packages_with_retention(connection, after=after, limit=_PAGE)
            for package_id, days in page:
                async with self._store.begin() as connection:
                    await package_rows.lock_package(connection, package_id)
                    total += await rows.retire_untagged(connection, package_id, days, self._clock.now())
                after = package_id
            if not page:
                return total

    async def _drop_links(self, connection: AsyncConnection) -> int:
        return await rows.delete_unneeded_links(connection, self._cutoff(), limit=_PAGE)

    async def _drop_blobs(self, connection: AsyncConnection) -> int:
        return await rows.trash_unlinked_blobs(connection, self._cutoff(), self._clock.now(), limit=_PAGE)

    async def _empty_trash(self) -> int:
        total = 0
        while True:
            async with self._store.read() as connection:
                page = await rows.list_trash(connection, limit=_PAGE)
            for location in page:
                await self._blobs.delete(location)
            async with self._store.begin() as connection:
                await rows.empty_trash(connection, page)
            total += len(page)
            if not page:
                return total

    async def _sweep_blobs(self) -> int:
        """Finished content that no row names. Younger than the grace period it may be about to get one."""
        total = 0
        async for page in _pages(self._blobs.list_locations(older_than=self._cutoff())):
            async with self._store.read() as connection:
                unknown = await rows.find_unknown_locations(connection, page)
            for location in unknown:
                await self._blobs.delete(location)
            total += len(unknown)
        return total

    async def _sweep_uploads(self) -> int:
        total = 0
        async for page in _pages(self._blobs.list_uploads(older_than=self._cutoff())):
            async with self._store.read() as connection:
                unknown = await rows.find_unknown_uploads(connection, [upload_id for upload_id, _ in page])
            for upload_id, state in page:
                if upload_id in unknown:
                    await self._blobs.discard(upload_id, state)
            total += len(unknown)
        return total


async def _pages(items: AsyncIterator[Item]) -> AsyncIterator[list[Item]]:
    page: list[Item] = []
    async for item in items:
        page.append(item)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page

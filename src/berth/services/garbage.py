"""Garbage collection of the built-in registry, online: beside pushes and pulls, a page at a time.

What goes, in this order:
1. uploads that nobody went on with for the grace period;
2. packages and versions that were deleted longer ago than they can be restored; names under which nothing was published;
3. untagged versions of packages that ask for it (they can be restored for 30 days);
4. links of blobs that no version needs, blobs that no package links, and then their bytes;
5. what lies in the blob store and in no row: a server was killed between the two.

Never what a push is about to reference: the invariants are in `adapters/store/blob.py`. A killed collection leaves nothing
half done: each page is one transaction, and bytes go after the rows, by way of the trash, in which they stay for an hour:
whoever was just given their location or an address of the blob store still reads them.
"""

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeVar

from berth.adapters.store import garbage as rows
from berth.adapters.store import package as package_rows
from berth.adapters.store.database import Store
from berth.domain.package import RESTORE_WITHIN
from berth.services.ports import BlobStore, Clock, UploadState
from berth.services.registry_blob import GRACE, TOUCH_EVERY

_PAGE = 200  # removed in one transaction
_LOOK = 2000  # looked at in one statement
_MAX_DAYS = 36_500  # of retention: no time is older
_IN_TRASH = timedelta(hours=1)  # longer than a request, or than an address of the blob store is good for
_LOG = logging.getLogger(__name__)
Item = TypeVar("Item")


class GarbageCollector:
    """Runs as a chore: one replica at a time, though nothing breaks if two do.

    It removes what the database does not know, so the blob store has to be this installation's.

    `slack`: by how much a touch may be recorded too early, for whatever reason (`adapters/store/blob.py`).
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        blobs: BlobStore,
        installation: str,
        grace: timedelta = GRACE,
        slack: timedelta = TOUCH_EVERY,
    ) -> None:
        self._installation = installation
        self._store = store
        self._clock = clock
        self._blobs = blobs
        self._grace = grace
        self._slack = slack

    async def collect(self) -> None:
        """All of it, once. Raises Invalid(code="blob.foreign")."""
        await self._blobs.claim(self._installation)
        told = {
            "uploads": await self._drop_uploads(),
            "packages": await self._drop_packages(),
            "versions": await self._drop_versions(),
            "untagged": await self._retire_untagged(),
            "links": await self._drop_links(),
            "blobs": await self._drop_blobs(),
            "emptied": await self._empty_trash(),
            "leftovers": await self._sweep_blobs() + await self._sweep_uploads(),
        }
        if any(told.values()):
            _LOG.info("garbage.collected", extra={key: number for key, number in told.items() if number})

    def _cutoff(self, age: timedelta) -> datetime:
        """What happened before is older than `age`, whichever replica wrote it down."""
        return self._clock.now() - age - self._slack

    async def _drop_uploads(self) -> int:
        total = 0
        while True:
            async with self._store.begin() as connection:
                taken = await rows.take_abandoned_uploads(connection, self._cutoff(self._grace), limit=_PAGE)
            for upload in taken:
                await self._blobs.discard(upload.id, UploadState(size_bytes=upload.size_bytes, handle=upload.handle))
            total += len(taken)
            if not taken:
                return total

    async def _drop_packages(self) -> int:
        age = rows.PackageAge(deleted_before=self._cutoff(RESTORE_WITHIN), unpublished_before=self._cutoff(self._grace))
        async with self._store.read() as connection:
            dead = await rows.list_dead_packages(connection, age)
        for package_id in dead:
            is_more = True
            while is_more:
                async with self._store.begin() as connection:
                    is_more = await rows.delete_dead_package(connection, package_id, age, limit=_PAGE)
        return len(dead)

    async def _drop_versions(self) -> int:
        before = self._cutoff(RESTORE_WITHIN)
        total = 0
        while True:
            async with self._store.read() as connection:
                page = await rows.list_deleted_versions(connection, before, limit=_PAGE)
            gone = 0
            for package_id, group in groupby(page, lambda version: version.package_id):
                ids = [version.manifest_id for version in group]
                async with self._store.begin() as connection:
                    await package_rows.lock_package(connection, package_id)
                    gone += await rows.delete_versions(connection, package_id, ids, before, self._clock.now())
            total += gone
            if not gone:
                return total

    async def _retire_untagged(self) -> int:
        total, after = 0, 0
        while True:
            async with self._store.read() as connection:
                page = await rows.list_packages_with_retention(connection, after=after, limit=_PAGE)
            for package_id, days in page:
                total += await self._retire_untagged_of(package_id, days)
                after = package_id
            if not page:
                return total

    async def _retire_untagged_of(self, package_id: int, days: int) -> int:
        """Looks first, so that pushes wait only where there is something to do."""
        before = self._cutoff(timedelta(days=min(max(days, 1), _MAX_DAYS)))
        async with self._store.read() as connection:
            untagged = await rows.find_untagged(connection, package_id, days, before)
        total = 0
        for ids in _chunks(untagged):
            async with self._store.begin() as connection:
                await package_rows.lock_package(connection, package_id)
                now = self._clock.now()
                total += await rows.retire_untagged(connection, package_id, ids, days, before, now)
        return total

    async def _drop_links(self) -> int:
        total = 0
        after: rows.Link | None = rows.BEFORE_ALL_LINKS
        while after is not None:
            before = self._cutoff(self._grace)
            async with self._store.read() as connection:
                found, after = await rows.find_unneeded_links(connection, before, after=after, limit=_LOOK)
            for links in _chunks(found):
                async with self._store.begin() as connection:
                    total += await rows.delete_unneeded_links(connection, links, before)
        return total

    async def _drop_blobs(self) -> int:
        total = 0
        after: int | None = 0
        while after is not None:
            before = self._cutoff(self._grace)
            async with self._store.read() as connection:
                found, after = await rows.find_unlinked_blobs(connection, before, after=after, limit=_LOOK)
            for ids in _chunks(found):
                async with self._store.begin() as connection:
                    total += await rows.trash_unlinked_blobs(connection, ids, before, self._clock.now())
        return total

    async def _empty_trash(self) -> int:
        before = self._cutoff(_IN_TRASH)
        total = 0
        while True:
            async with self._store.read() as connection:
                page = await rows.list_trash(connection, before, limit=_PAGE)
            if not page:
                return total
            for location in page:
                await self._blobs.delete(location)
            async with self._store.begin() as connection:
                await rows.empty_trash(connection, page)
            total += len(page)

    async def _sweep_blobs(self) -> int:
        """Finished content that no row names. Younger than the grace period it may be about to get one."""
        total = 0
        async for page in _pages(self._blobs.list_locations(older_than=self._cutoff(self._grace))):
            async with self._store.read() as connection:
                unknown = await rows.find_unknown_locations(connection, page)
            for location in unknown:
                await self._blobs.delete(location)
            total += len(unknown)
        return total

    async def _sweep_uploads(self) -> int:
        total = 0
        async for page in _pages(self._blobs.list_uploads(older_than=self._cutoff(self._grace))):
            async with self._store.read() as connection:
                unknown = await rows.find_unknown_uploads(connection, [upload_id for upload_id, _ in page])
            for upload_id, state in page:
                if upload_id in unknown:
                    await self._blobs.discard(upload_id, state)
            total += len(unknown)
        return total


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), _PAGE):
        yield items[start : start + _PAGE]


async def _pages(items: AsyncIterator[Item]) -> AsyncIterator[list[Item]]:
    page: list[Item] = []
    async for item in items:
        page.append(item)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page

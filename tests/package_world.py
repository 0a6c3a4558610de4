"""Packages with versions and grants, straight in the store, for the people and repositories of `account_world`."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, text, update
from tests.account_world import AccountWorld

from berth.adapters.store import blob as blob_rows
from berth.adapters.store import manifest as manifest_rows
from berth.adapters.store import package as rows
from berth.adapters.store import package_grant as grant_rows
from berth.adapters.store.database import Store
from berth.adapters.store.package_tables import manifests, package_teams, packages
from berth.adapters.store.tables import audit_log, teams
from berth.domain.access import Subject
from berth.domain.image_reference import Digest
from berth.domain.manifest import parse_pushed_manifest
from berth.domain.package import PackageName
from berth.domain.package_role import PackageRole
from berth.domain.repository import Visibility
from berth.services.package_access import PackagePlace
from berth.services.services import Services

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY = b"{}"
SCOPES = "repo,admin:org,user,write:packages,delete:packages"


@dataclass
class PackageWorld:
    """See AccountWorld for the people. A package is named `owner/name`."""

    accounts: AccountWorld
    ids: dict[str, int] = field(default_factory=dict)  # of the packages made last under each name

    @property
    def services(self) -> Services:
        return self.accounts.services

    def who(self, name: str) -> Subject:
        """A login with every scope for packages; else as AccountWorld says. `login job owner/name` has packages: write."""
        if " job " in name:
            login, _job, repository = name.split()
            return self.accounts.people.job(login, repository, contents="write", packages="write")
        plain = not set(name) & set(":@")
        return self.accounts.who(f"{name}:{SCOPES}" if plain else name)

    def place(self, name: str) -> PackagePlace:
        owner, _, rest = name.partition("/")
        return PackagePlace(PackageName(owner, rest))

    async def package(
        self,
        name: str,
        visibility: Visibility = Visibility.PRIVATE,
        *,
        linked: str | None = None,
        inherits: bool = False,
        published: bool = True,
    ) -> int:
        owner, _, rest = name.partition("/")
        people = self.accounts.people
        self.ids[name] = await insert_package(
            self.accounts.store,
            people.accounts[owner],
            rest,
            visibility,
            repository_id=None if linked is None else people.repositories[linked],
            inherits=inherits,
            published=published,
        )
        return self.ids[name]

    async def version(self, name: str, *tags: str, layer: bytes = EMPTY) -> int:
        return await insert_version(self.accounts.store, self.ids[name], *tags, layer=layer)

    async def grant(self, name: str, login: str, role: PackageRole) -> None:
        async with self.accounts.store.begin() as connection:
            await rows.set_user_grant(connection, self.ids[name], self.accounts.people.accounts[login], role)

    async def grant_team(self, name: str, slug: str, role: PackageRole) -> None:
        async with self.accounts.store.begin() as connection:
            team_id = (await connection.execute(select(teams.c.id).where(teams.c.slug == slug))).scalar_one()
            values = {"package_id": self.ids[name], "team_id": team_id, "role": int(role)}
            await connection.execute(insert(package_teams).values(**values))

    async def open_to(self, name: str, repository: str, role: PackageRole | None = None) -> None:
        """Put a repository on the list of codespaces; with a role, on that of workflows."""
        package_id, repository_id = self.ids[name], self.accounts.people.repositories[repository]
        async with self.accounts.store.begin() as connection:
            if role is None:
                await grant_rows.add_codespaces_repository(connection, package_id, repository_id)
            else:
                await grant_rows.set_workflow_repository(connection, package_id, repository_id, role)

    async def age(self, name: str, days: int) -> None:
        """As if package and versions had been deleted that many days earlier. The clock of the services is the real one."""
        async with self.accounts.store.begin() as connection:
            for table, mine in ((packages, packages.c.id), (manifests, manifests.c.package_id)):
                where = (mine == self.ids[name], table.c.deleted_at.is_not(None))
                for row in (await connection.execute(select(table.c.id, table.c.deleted_at).where(*where))).all():
                    earlier = row.deleted_at - timedelta(days=days)
                    await connection.execute(update(table).where(table.c.id == row.id).values(deleted_at=earlier))

    async def until_one_waits(self) -> None:
        """Until a transaction waits for a lock that another one holds. On SQLite whoever writes waits before it looks."""
        if self.accounts.store.is_sqlite:
            return
        async with asyncio.timeout(20):
            while True:
                async with self.accounts.store.read() as connection:
                    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
                    if (await connection.execute(waiting)).scalar_one():
                        return
                await asyncio.sleep(0.01)

    async def audit(self, action: str) -> list[tuple[str, str, str]]:
        """(actor, target, detail) of each row of this action, oldest first."""
        columns = (audit_log.c.actor_login, audit_log.c.target, audit_log.c.detail)
        async with self.accounts.store.read() as connection:
            found = await connection.execute(
                select(*columns).where(audit_log.c.action == action).order_by(audit_log.c.id)
            )
            return [(row.actor_login, row.target, row.detail) for row in found]


async def insert_package(
    store: Store,
    owner_id: int,
    name: str,
    visibility: Visibility = Visibility.PRIVATE,
    *,
    repository_id: int | None = None,
    inherits: bool = False,
    published: bool = True,
) -> int:
    now = datetime.now(UTC)
    async with store.begin() as connection:
        package_id = await rows.insert_package(
            connection,
            owner_id=owner_id,
            name=name,
            visibility=visibility,
            inherits_access=inherits,
            repository_id=repository_id,
            creator_token_id=1,
            now=now,
        )
        if published:
            await rows.update_package(connection, package_id, {"published_at": now})
    return package_id


async def insert_version(store: Store, package_id: int, *tags: str, layer: bytes = EMPTY) -> int:
    """A version that no other is like, with a configuration and a layer."""
    now = datetime.now(UTC)
    async with store.begin() as connection:
        count = len((await connection.execute(select(manifests.c.id))).all())
        body = {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE,
            "config": _descriptor(EMPTY),
            "layers": [_descriptor(layer)],
            "annotations": {"number": str(count)},
        }
        content = json.dumps(body).encode()
        for blob in {EMPTY, layer}:
            location = f"{package_id}/{count}/{len(blob)}"
            blob_id = await blob_rows.store_blob(connection, str(Digest.of(blob)), len(blob), location, now)
            await blob_rows.link(connection, package_id, blob_id, now)
        version_id = await manifest_rows.store_manifest(
            connection, package_id, str(Digest.of(content)), parse_pushed_manifest(content, MEDIA_TYPE), content, now
        )
        await manifest_rows.set_tags(connection, package_id, version_id, tags, now)
    return version_id


def _descriptor(content: bytes) -> dict[str, object]:
    return {"mediaType": "application/octet-stream", "digest": str(Digest.of(content)), "size": len(content)}


def names(found: Sequence[object]) -> list[str]:
    """The packages' names in a list of views."""
    return [view.package.name for view in found]  # type: ignore[attr-defined]

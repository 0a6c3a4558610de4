"""Prebuilds in a world of codespaces: the built-in registry and its blobs are real, the engine saves what it is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select, update
from tests.codespace_world import (
    HOST,
    IMAGE,
    MACHINES,
    OWN_HOST,
    PASSWORD,
    SERVER_ID,
    CodespaceWorld,
    make_codespace_world,
)
from tests.registry_access_world import StillClock
from tests.secret_world import WEB

from berth.adapters.blobs_directory import DirectoryBlobStore
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.registry_token_jwt import RegistryTokenJWT
from berth.adapters.store import package as package_rows
from berth.adapters.store import prebuild as rows
from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.adapters.store.fresh import FreshCache
from berth.adapters.store.package import Asker, KnownPackage
from berth.adapters.store.package_tables import manifests, tags
from berth.adapters.store.prebuild_tables import prebuild_versions, prebuilds
from berth.adapters.store.tables import access_tokens
from berth.domain.access_token import TokenKind
from berth.domain.package import PackageName
from berth.domain.prebuild import Prebuild, PrebuildVersion, parse_prebuild
from berth.services.access_token import AccessTokenService
from berth.services.launch_configuration import LaunchConfiguration
from berth.services.launch_image import make_launch_images
from berth.services.prebuild import PrebuildService, PrebuildView
from berth.services.prebuild_credentials import PrebuildCredentialService
from berth.services.prebuild_package import PrebuildPackages
from berth.services.prebuild_worker import PrebuildParts, PrebuildWorker
from berth.services.reconcile import Claim, Reconciler
from berth.services.registry_access import RegistryAccess
from berth.services.registry_blob import RegistryBlobService
from berth.services.registry_manifest import RegistryManifestService
from berth.services.registry_token import RegistryTokenService

DOCKERFILE = ".devcontainer/Dockerfile"


@dataclass
class PrebuildWorld:
    """acme/web builds from a private image that a secret of the repository opens. Nothing is prebuilt yet."""

    codespaces: CodespaceWorld
    service: PrebuildService
    worker: PrebuildWorker
    packages: PrebuildPackages
    credentials: PrebuildCredentialService
    woken: list[int] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.codespaces.store

    async def create(self, login: str = "olga", full_name: str = "acme/web", **wanted: Any) -> Prebuild:
        fields = {
            "branch": "main",
            "devcontainer_path": None,
            "trigger": "push",
            "every_hours": None,
            "kept_versions": 2,
        }
        owner, _, name = full_name.partition("/")
        subject = self.codespaces.secrets.subject(login)
        view = await self.service.create(subject, owner, name, parse_prebuild(**(fields | wanted)))
        return view.prebuild

    async def run(self, prebuild: Prebuild, login: str = "olga") -> PrebuildView:
        """Ask for a run, of which nothing has happened yet."""
        return await self.service.run(self.codespaces.secrets.subject(login), "acme", "web", prebuild.id)

    async def get(self, prebuild: Prebuild) -> PrebuildView:
        return await self.service.get(self.codespaces.secrets.subject("olga"), "acme", "web", prebuild.id)

    async def row(self, prebuild: Prebuild) -> Row[Any] | None:
        async with self.store.read() as connection:
            return (await connection.execute(select(prebuilds).where(prebuilds.c.id == prebuild.id))).one_or_none()

    async def claim(self, prebuild: Prebuild) -> Claim:
        """Take the row, whenever it is due."""
        async with self.store.begin() as connection:
            await connection.execute(update(prebuilds).values(next_at=None, lease=None))
            await connection.execute(update(prebuilds).where(prebuilds.c.id == prebuild.id).values(next_at=0.0))
            (row,) = await work.claim(connection, prebuilds, holder="test", lease_s=60, limit=2)
        return Claim(self.store, prebuilds, row)

    async def step(self, prebuild: Prebuild) -> Prebuild:
        """What the loop does with a due row, once; the prebuild afterwards."""
        await self.work(await self.claim(prebuild))
        row = await self.row(prebuild)
        assert row is not None
        return rows.to_prebuild(row)

    async def work(self, claim: Claim) -> None:
        await Reconciler(self.store, self.worker, holder="test")._step(claim)

    async def make(self, **wanted: Any) -> Prebuild:
        return await self.step(await self.create(**wanted))

    async def versions(self) -> list[PrebuildVersion]:
        """All there are, newest first."""
        async with self.store.read() as connection:
            ids = (await connection.execute(select(prebuild_versions.c.prebuild_id))).scalars()
            return await rows.list_versions(connection, set(ids))

    async def log(self, prebuild: Prebuild) -> str:
        async with self.store.read() as connection:
            return "\n".join(entry.text for entry in await rows.read_log(connection, prebuild.id))

    async def package(self, owner: str = "acme", full_name: str = "acme/web") -> KnownPackage | None:
        name = PackageName(owner, f"prebuild-{self.codespaces.secrets.repositories[full_name]}")
        async with self.store.read() as connection:
            return await package_rows.find_known_package(connection, Asker(None), name)

    async def published(self) -> set[str]:
        """The tags of all versions that somebody could pull."""
        live = select(tags.c.name).join(manifests, manifests.c.id == tags.c.manifest_id)
        async with self.store.read() as connection:
            return set((await connection.execute(live.where(manifests.c.deleted_at.is_(None)))).scalars())

    async def count_tokens(self) -> int:
        """Workflow tokens that are there."""
        async with self.store.read() as connection:
            statement = select(access_tokens.c.id).where(access_tokens.c.kind == TokenKind.WORKFLOW)
            return len((await connection.execute(statement)).all())

    def open_own(self, prebuild_of: str = "acme/web") -> None:
        """Let anybody pull the package by the outside: what A7 says is asked elsewhere."""
        name = f"{OWN_HOST}/acme/prebuild-{self.codespaces.secrets.repositories[prebuild_of]}"
        self.codespaces.registry.passwords[name] = None

    async def give_repository_triple(self, password: str = PASSWORD) -> None:
        for part, value in (("SERVER", HOST), ("USER", "robot"), ("PASSWORD", password)):
            await self.codespaces.secrets.put("olga", WEB, f"REPO_CONTAINER_REGISTRY_{part}", value)


@asynccontextmanager
async def open_prebuild_world(store: Store, folder: Path) -> AsyncIterator[PrebuildWorld]:
    codespaces = await make_codespace_world(store, folder)
    clock, entropy, engine, git = StillClock(), SystemEntropy(), codespaces.engine, codespaces.git
    tokens = AccessTokenService(store=store, clock=clock, entropy=entropy)
    cache, signer = FreshCache(store), RegistryTokenJWT(folder / "master-key")
    access = RegistryAccess(store=store, clock=clock, cache=cache, signer=signer, tokens=tokens)
    blobs = DirectoryBlobStore(folder / "blobs")
    packages = PrebuildPackages(
        store=store,
        clock=clock,
        engine=engine,
        tokens=RegistryTokenService(store=store, clock=clock, signer=signer, tokens=tokens, lifetime_s=300),
        access=access,
        blobs=RegistryBlobService(store=store, clock=clock, cache=cache, access=access, blobs=blobs),
        manifests=RegistryManifestService(
            store=store, clock=clock, cache=cache, access=access, blobs=blobs, own_hosts=frozenset({OWN_HOST})
        ),
    )
    credentials = PrebuildCredentialService(
        store=store,
        clock=clock,
        entropy=entropy,
        secrets=codespaces.secrets.service,
        swaps=codespaces.swaps,
        own_host=OWN_HOST,
    )
    parts = PrebuildParts(
        engine=engine,
        git=git,
        configurations=LaunchConfiguration(git=git),
        images=make_launch_images(
            store=store,
            engine=engine,
            git=git,
            images=codespaces.images,
            builder=codespaces.builder,
            prebuilds=None,
            machines=MACHINES,
            server_id=SERVER_ID,
        ),
        builder=codespaces.builder,
        credentials=credentials,
        packages=packages,
        machines=MACHINES,
    )
    woken: list[int] = []
    world = PrebuildWorld(
        codespaces=codespaces,
        service=PrebuildService(store=store, clock=clock, git=git, wake=lambda: woken.append(1)),
        worker=PrebuildWorker(store=store, clock=clock, parts=parts),
        packages=packages,
        credentials=credentials,
        woken=woken,
    )
    await codespaces.configure("acme/web", build={"dockerfile": "Dockerfile"})
    await codespaces.write("acme/web", DOCKERFILE, f"FROM {IMAGE}\nCOPY . /x\n".encode())
    try:
        yield world
    finally:
        blobs.close()
        await cache.close()

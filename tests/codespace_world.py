"""Codespaces on a real store and real git repositories; engine, dev container CLI and registries are in memory."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select, update
from tests.fakes.container_files import ContainerFiles
from tests.fakes.ecr_memory import FakeEcrAPI, make_swaps
from tests.fakes.engine import FakeDevContainers, FakeEngine
from tests.fakes.registry_client import FakeRegistryClient
from tests.fakes.service_engine import FakeServiceEngine
from tests.secret_world import ACME, SecretWorld, make_secret_world

from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.git_process import run_git
from berth.adapters.git_repositories import BareGitRepositories
from berth.adapters.store import codespace as rows
from berth.adapters.store import package as package_rows
from berth.adapters.store import repository as repository_rows
from berth.adapters.store import work
from berth.adapters.store.database import Store
from berth.adapters.store.tables import codespaces
from berth.adapters.workspaces_disk import DiskWorkspaces
from berth.domain.codespace import LABEL, SERVER_LABEL, Codespace, LogEntry
from berth.domain.codespace_timer import TimeLimits
from berth.domain.git_object import Signature
from berth.domain.host_option import HostOption
from berth.domain.machine import Machine, Machines
from berth.domain.repository import Repository, Visibility
from berth.domain.secret import SecretVisibility
from berth.domain.secret_text import SecretText
from berth.services.access_token import AccessTokenService
from berth.services.codespace import CodespaceService
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_install import CodespaceInstaller
from berth.services.codespace_request import CodespaceLimits, CodespaceRequest
from berth.services.codespace_token import CodespaceTokens
from berth.services.compose import ComposeServices
from berth.services.credential_refresh import CredentialRefreshWorker, ask_for_refresh
from berth.services.image_access import ImageAccess
from berth.services.image_build import ImageBuilder
from berth.services.last_check import LastChecks
from berth.services.launch import Launcher
from berth.services.launch_configuration import LaunchConfiguration
from berth.services.launch_credentials import CodespaceCredentials
from berth.services.launch_image import make_launch_images
from berth.services.launch_source import LaunchSources
from berth.services.lifecycle import CodespaceWorker
from berth.services.package_refusal import PackageRefusals
from berth.services.ports import EcrAPI
from berth.services.prebuild_image import PrebuiltImages
from berth.services.reconcile import Claim, Reconciler
from berth.services.registry_credential_swap import RegistryCredentialSwap

HOST = "registry.example.com"
IMAGE = f"{HOST}/team/dev:1"
PASSWORD = "correct-horse-battery"
SERVER_ID = "server-1"
ORIGIN = "http://berth.test:8080"
OWN_HOST = "berth.test:8080"  # of the built-in registry
LIMIT = 3
BUILD_TIMEOUT_S = 2.0
TOKEN_LIFE_S = 8 * 3600
FEATURE_BYTES = 64 * 1024
SERVICE_WAIT_S = 0.2
LONGEST = TimeLimits(idle_minutes=240, retention_minutes=43200)
MACHINES = Machines(
    (
        Machine(name="small", display_name="small", cpus=1, memory_bytes=2**29),
        Machine(name="big", display_name="big", cpus=2, memory_bytes=2**30, storage_bytes=2**35),
    )
)


@dataclass
class CodespaceWorld:
    """Who and what there is: see SecretWorld. acme/web has a devcontainer.json that names a private image."""

    secrets: SecretWorld
    folder: Path
    engine: FakeEngine
    services: FakeServiceEngine
    dev_containers: FakeDevContainers
    registry: FakeRegistryClient
    ecr: FakeEcrAPI
    swaps: RegistryCredentialSwap
    git: BareGitRepositories
    tokens: AccessTokenService
    images: ImageAccess
    builder: ImageBuilder
    launcher: Launcher
    worker: CodespaceWorker
    refresher: CredentialRefreshWorker
    activity: CodespaceActivity
    service: CodespaceService
    woken: list[int] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.secrets.store

    @property
    def workspaces(self) -> Path:
        return self.folder / "codespaces"

    async def repository(self, full_name: str) -> Repository:
        async with self.store.read() as connection:
            found = await repository_rows.find_repository_by_id(connection, self.secrets.repositories[full_name])
        assert found is not None
        return found

    async def configure(self, full_name: str, path: str = ".devcontainer/devcontainer.json", **config: Any) -> str:
        """Commit a configuration, with the image unless another way to get one is given; the commit's id."""
        image = {} if config.keys() & {"build", "dockerFile", "dockerComposeFile"} else {"image": IMAGE}
        return await self.write(full_name, path, json.dumps({**image, **config}).encode())

    async def write(self, full_name: str, path: str, data: bytes) -> str:
        """Commit a file; the commit's id."""
        repository_id = self.secrets.repositories[full_name]
        head = await self.git.find_commit(repository_id, "main")
        entry = None if head is None else await self.git.find_entry(repository_id, head, path)
        written = await self.git.write_file(
            repository_id,
            branch="main",
            path=path,
            data=data,
            expected=None if entry is None else entry.sha,
            message="configure",
            author=Signature(name="olga", email="olga@example.com", at=datetime(2026, 1, 1, tzinfo=UTC)),
        )
        return written.commit.sha

    async def commit_tree(self, full_name: str, *entries: str) -> None:
        """Make `main` what these say, as lines of git update-index(1) say it: mode, object, path. Blobs are given as texts."""
        at = [f"--git-dir={self.git.path(self.secrets.repositories[full_name])}"]
        names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        extra = {**names, "GIT_INDEX_FILE": str(self.folder / "index")}
        await run_git([*at, "read-tree", "--empty"], extra=extra)
        for entry in entries:
            mode, content, path = entry.split(" ")
            blob = (await run_git([*at, "hash-object", "-w", "--stdin"], stdin=content.encode())).decode().strip()
            await run_git([*at, "update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}"], extra=extra)
        tree = (await run_git([*at, "write-tree"], extra=extra)).decode().strip()
        commit = (await run_git([*at, "commit-tree", tree, "-m", "x"], extra=extra)).decode().strip()
        await run_git([*at, "update-ref", "refs/heads/main", commit])

    async def give_triple(self, password: str = PASSWORD) -> None:
        """The organization's credential for the private image."""
        for part, value in (("SERVER", HOST), ("USER", "robot"), ("PASSWORD", password)):
            await self.secrets.put(
                "olga",
                ACME,
                f"CORP_CONTAINER_REGISTRY_{part}",
                value,
                visibility=SecretVisibility.ALL,
            )

    async def create(self, login: str = "olga", full_name: str = "acme/web", **wanted: Any) -> str:
        view = await self.service.create(
            self.secrets.subject(login), await self.repository(full_name), CodespaceRequest(**wanted)
        )
        return view.codespace.name

    async def find(self, name: str) -> Codespace | None:
        row = await self.row(name)
        return None if row is None else rows.to_codespace(row)

    async def get(self, name: str) -> Codespace:
        found = await self.find(name)
        assert found is not None
        return found

    async def row(self, name: str) -> Row[Any] | None:
        async with self.store.read() as connection:
            return (await connection.execute(select(codespaces).where(codespaces.c.name == name))).one_or_none()

    async def claim(self, name: str) -> Claim:
        """Take the row, whenever it is due."""
        async with self.store.begin() as connection:
            await connection.execute(update(codespaces).values(next_at=None, lease=None))
            await connection.execute(update(codespaces).where(codespaces.c.name == name).values(next_at=0.0))
            (row,) = await work.claim(connection, codespaces, holder="test", lease_s=60, limit=2)
        return Claim(self.store, codespaces, row)

    async def step(self, name: str) -> Codespace:
        """What the loop does with a due row, once; the codespace afterwards."""
        await self.run(await self.claim(name))
        return await self.get(name)

    async def run(self, claim: Claim) -> None:
        await Reconciler(self.store, self.worker, holder="test")._step(claim)

    async def launch(self, login: str = "olga", full_name: str = "acme/web", **wanted: Any) -> Codespace:
        return await self.step(await self.create(login, full_name, **wanted))

    async def log(self, name: str) -> list[LogEntry]:
        codespace = await self.get(name)
        async with self.store.read() as connection:
            return await rows.read_log(connection, codespace.id, after=0, limit=20_000)

    async def log_text(self, name: str) -> str:
        return "\n".join(entry.text for entry in await self.log(name))

    async def is_valid(self, token: str) -> bool:
        return await self.tokens.find_subject(SecretText(token)) is not None

    async def files(self, name: str) -> ContainerFiles:
        """Of the codespace's container."""
        return self.engine.files((await self.get(name)).container_id or "")

    def labels(self, name: str, server_id: str = SERVER_ID) -> dict[str, str]:
        return {LABEL: name, SERVER_LABEL: server_id}

    async def make_package(self, name: str, **values: Any) -> int:
        """A private package of acme's that inherits nothing and belongs to no repository, unless values say more."""
        about: dict[str, Any] = {
            "visibility": Visibility.PRIVATE,
            "inherits_access": False,
            "repository_id": None,
            "creator_token_id": 0,
        }
        now = self.secrets.clock.now()
        async with self.store.begin() as connection:
            owner_id = self.secrets.accounts["acme"]
            return await package_rows.insert_package(
                connection, owner_id=owner_id, name=name, now=now, **(about | values)
            )

    def nothing_left(self, name: str) -> bool:
        """Neither a container nor a checkout, nor a network or a volume."""
        mine = [one for one in self.engine.containers.values() if one.labels.get(LABEL) == name]
        belongings = [one for one in self.services.belongings.values() if one.labels.get(LABEL) == name]
        return not mine and not belongings and not (self.workspaces / name).exists()


async def make_codespace_world(
    store: Store,
    folder: Path,
    *,
    default_image: str = "",
    site_options: Collection[HostOption] = (),
    per_user: int = LIMIT,
    aws: EcrAPI | None = None,
) -> CodespaceWorld:
    """`aws` is asked in the place of the one in memory."""
    secrets = await make_secret_world(store, folder)
    clock, entropy, engine = secrets.clock, SystemEntropy(), FakeEngine(folder=folder / "containers")
    git = BareGitRepositories(folder / "repositories")
    dev_containers = FakeDevContainers(engine)
    registry = FakeRegistryClient({f"{HOST}/team/dev": PASSWORD})
    ecr = FakeEcrAPI(now=lambda: clock.time)
    last_checks = LastChecks(store=store, clock=clock)
    swaps = make_swaps(aws or ecr, clock, partial(ask_for_refresh, store), last_checks.keep_swap)
    tokens = AccessTokenService(store=store, clock=clock, entropy=entropy)
    executor = CodespaceExec(engine)
    refusals = PackageRefusals(store=store, tokens=tokens, own_host=OWN_HOST)
    images = ImageAccess(registry=registry, engine=engine, refusals=refusals, swaps=swaps, last_checks=last_checks)
    activity = CodespaceActivity(store=store, clock=clock)
    limits = CodespaceLimits(per_user=per_user, idle_timeout_minutes=30, retention_minutes=60, longest=LONGEST)
    codespace_tokens = CodespaceTokens(store=store, access=tokens, clock=clock, entropy=entropy, life_s=TOKEN_LIFE_S)
    credentials = CodespaceCredentials(secrets=secrets.service, tokens=codespace_tokens, swaps=swaps, own_host=OWN_HOST)
    installer = CodespaceInstaller(engine)
    services = FakeServiceEngine(engine)
    builder = ImageBuilder(
        engine=engine, git=git, images=images, machines=MACHINES, server_id=SERVER_ID, timeout_s=BUILD_TIMEOUT_S
    )
    launch_images = make_launch_images(
        store=store,
        engine=engine,
        git=git,
        images=images,
        builder=builder,
        prebuilds=PrebuiltImages(store=store, engine=engine, images=images, builder=builder, own_host=OWN_HOST),
        machines=MACHINES,
        server_id=SERVER_ID,
        build_timeout_s=BUILD_TIMEOUT_S,
        feature_bytes=FEATURE_BYTES,
    )
    launcher = Launcher(
        store=store,
        sources=LaunchSources(store=store, site_options=site_options),
        engine=engine,
        dev_containers=dev_containers,
        images=launch_images,
        compose=ComposeServices(
            engine=engine,
            services=services,
            git=git,
            images=launch_images,
            machines=MACHINES,
            server_id=SERVER_ID,
            wait_s=SERVICE_WAIT_S,
            look_every_s=0.001,
        ),
        git=git,
        credentials=credentials,
        executor=executor,
        installer=installer,
        workspaces=DiskWorkspaces(folder / "codespaces"),
        configurations=LaunchConfiguration(git=git, default_image=default_image),
        machines=MACHINES,
        server_id=SERVER_ID,
        origin=ORIGIN,
    )
    woken: list[int] = []
    world = CodespaceWorld(
        secrets=secrets,
        folder=folder,
        engine=engine,
        services=services,
        dev_containers=dev_containers,
        registry=registry,
        ecr=ecr,
        swaps=swaps,
        git=git,
        tokens=tokens,
        images=images,
        builder=builder,
        launcher=launcher,
        worker=CodespaceWorker(store=store, clock=clock, launcher=launcher, limits=limits),
        refresher=CredentialRefreshWorker(
            store=store, clock=clock, tokens=codespace_tokens, credentials=credentials, installer=installer
        ),
        activity=activity,
        service=CodespaceService(
            store=store,
            clock=clock,
            entropy=entropy,
            git=git,
            executor=executor,
            activity=activity,
            limits=limits,
            machines=MACHINES,
            wake=lambda: woken.append(1),
        ),
        woken=woken,
    )
    await git.create(secrets.repositories["acme/web"], default_branch="main")
    await world.configure("acme/web")
    return world

"""The composition root: the only place that knows every adapter, makes the services and hands them to the edges."""

import asyncio
import logging
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from starlette.types import ASGIApp

from berth.adapters.blobs import open_blob_store
from berth.adapters.clock_system import SystemClock
from berth.adapters.dev_container_cli import DevContainerCLI
from berth.adapters.engine_docker import DockerEngine
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.git_http_backend import GitHTTPBackend
from berth.adapters.git_repositories import BareGitRepositories
from berth.adapters.registry_http import RegistryHTTP
from berth.adapters.registry_token_jwt import RegistryTokenJWT
from berth.adapters.store.database import Store
from berth.adapters.store.fresh import FreshCache
from berth.adapters.store.installation import get_server_id
from berth.adapters.workspaces_disk import DiskWorkspaces
from berth.domain.codespace_timer import TimeLimits
from berth.domain.problem import LimitReached, Problem, UpstreamFailed
from berth.domain.registry_host import WebAddress, parse_web_address
from berth.front import make_front
from berth.git.app import make_git_app
from berth.local import data_dir, keyring, make_sealer, open_store, own_origin
from berth.oci.app import AtOnce, answer_at_once, make_oci_app
from berth.oci.call import OCIServices
from berth.outgoing import make_ecr_client, make_registry_client
from berth.rest.app import make_rest_app
from berth.rest.codespace_exec import socket_routes
from berth.rest.routes import ROUTES
from berth.rest.sockets import make_socket_app
from berth.services.access_token import AccessTokenService
from berth.services.account import AccountService
from berth.services.audit import AuditService
from berth.services.chore import Chore, ChoreWorker
from berth.services.codespace import CodespaceService
from berth.services.codespace_access import CodespaceAccessService
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_export import CodespaceExportService
from berth.services.codespace_export_worker import CodespaceExportWorker
from berth.services.codespace_policy import CodespacePolicyService
from berth.services.codespace_request import CodespaceLimits
from berth.services.codespace_session import CodespaceSessionService
from berth.services.codespace_watch import CodespaceWatch
from berth.services.contents import ContentsService
from berth.services.dev_container import DevContainerService
from berth.services.fork import ForkService
from berth.services.former_name import FormerNameService
from berth.services.garbage import GarbageCollector
from berth.services.image_access import ImageAccess
from berth.services.image_build import ImageBuilder
from berth.services.launch import Launcher
from berth.services.launch_configuration import LaunchConfiguration
from berth.services.launch_credentials import CodespaceCredentials
from berth.services.launch_image import LaunchImages
from berth.services.lifecycle import CodespaceWorker
from berth.services.organization_codespace import OrganizationCodespaceService
from berth.services.package import PackageService
from berth.services.package_explanation import PackageExplanationService
from berth.services.package_grant import PackageGrantService
from berth.services.package_policy import PackagePolicyService
from berth.services.package_refusal import PackageRefusals
from berth.services.package_repository import PackageRepositoryService
from berth.services.package_settings import PackageSettingsService
from berth.services.package_version import PackageVersionService
from berth.services.ports import BlobStore
from berth.services.pull_request import PullRequestService
from berth.services.reconcile import Reconciler
from berth.services.registry_access import RegistryAccess
from berth.services.registry_blob import RegistryBlobService
from berth.services.registry_catalog import RegistryCatalogService
from berth.services.registry_credential import RegistryCredentialService
from berth.services.registry_credential_swap import RegistryCredentialSwap
from berth.services.registry_manifest import RegistryManifestService
from berth.services.registry_token import RegistryTokenService
from berth.services.repository import RepositoryService
from berth.services.repository_transfer import RepositoryTransferService
from berth.services.secret import SecretService
from berth.services.services import Services
from berth.services.team import TeamService
from berth.services.workflow_token import WorkflowTokenService
from berth.settings import Settings

_SWEEP_EVERY_S = 600
_COLLECT_EVERY_S = 3600
_NODE_MODULES = Path(__file__).parents[2] / "node_modules"  # beside the sources, where dev/setup puts it
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Berth:
    """A whole server, without its sockets."""

    store: Store
    services: Services
    worker: CodespaceWorker
    watch: CodespaceWatch
    reconcilers: tuple[Reconciler, ...]
    chores: ChoreWorker
    engine: DockerEngine
    dev_containers: DevContainerCLI
    app: ASGIApp
    at_once: AtOnce  # what of it can be answered without waiting
    resources: AsyncExitStack  # closed in the reverse order of opening

    async def close(self) -> None:
        await self.resources.aclose()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The background work: the loop, and the sweep of what crashes left."""
        await self.dev_containers.sweep()
        await self.chores.enrol()
        tasks = [asyncio.create_task(loop.run()) for loop in self.reconcilers]
        tasks += [asyncio.create_task(self._keep_sweeping()), asyncio.create_task(self.watch.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self.dev_containers.sweep()  # of replicas that were killed since
                await self.worker.sweep()
            except Problem as problem:
                _LOG.warning("codespace.sweep_failed", extra={"code": problem.code})
            await asyncio.sleep(_SWEEP_EVERY_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The adapters, and the services that others stand on."""

    settings: Settings
    origin: str  # what codespaces call us by
    data: Path
    clock: SystemClock
    entropy: SystemEntropy
    store: Store
    engine: DockerEngine
    git: BareGitRepositories
    blobs: BlobStore
    secrets: SecretService
    tokens: AccessTokenService
    swaps: RegistryCredentialSwap
    executor: CodespaceExec

    @property
    def own(self) -> WebAddress:
        return parse_web_address(self.origin)


async def make_berth(settings: Settings) -> Berth:
    """Everything, wired. The database is migrated, the data folder and its keys are there."""
    resources = AsyncExitStack()
    try:
        parts = await _make_parts(settings, resources)
        parts.store.claim_host()
        await parts.store.migrate()
        server_id = await get_server_id(parts.store, str(uuid4()))
        await _claim(parts.blobs, server_id)
        dev_containers = DevContainerCLI(
            settings.docker_host, node_modules=_NODE_MODULES, scratch=parts.data / "scratch", node=_find_node()
        )
        launcher = _make_launcher(
            parts, dev_containers, make_registry_client(settings, parts.own, resources), server_id
        )
    except BaseException:
        await resources.aclose()
        raise
    limits = _limits(settings)
    worker = CodespaceWorker(store=parts.store, clock=parts.clock, launcher=launcher, limits=limits)
    chores = _make_chores(parts, server_id)
    holder = f"{socket.gethostname()[:40]}:{os.getpid()}"
    reconciler = Reconciler(parts.store, worker, holder=holder)
    exports = Reconciler(parts.store, _make_export_worker(parts), holder=holder)
    services = _make_services(parts, reconciler.wake, exports.wake)
    registry = _make_registry(parts, resources)
    app = make_front(
        rest=make_rest_app(services, ROUTES, settings.external_url),
        sockets=make_socket_app(services, socket_routes(), settings.external_url),
        git=make_git_app(services, GitHTTPBackend()),
        oci=make_oci_app(registry, settings.external_url),
        checks={"database": parts.store.ping, "blobs": parts.blobs.ping, "engine": parts.engine.ping},
    )
    return Berth(
        store=parts.store,
        services=services,
        worker=worker,
        watch=CodespaceWatch(store=parts.store, launcher=launcher, wake=reconciler.wake),
        reconcilers=(reconciler, exports, Reconciler(parts.store, chores, holder=holder)),
        chores=chores,
        engine=parts.engine,
        dev_containers=dev_containers,
        app=app,
        at_once=partial(answer_at_once, registry),
        resources=resources,
    )


async def _make_parts(settings: Settings, resources: AsyncExitStack) -> _Parts:
    data = data_dir(settings)
    clock, entropy = SystemClock(), SystemEntropy()
    store = open_store(settings)
    resources.push_async_callback(store.close)
    blobs = await resources.enter_async_context(open_blob_store(settings.blobs or data / "blobs"))
    engine = DockerEngine(settings.docker_host)
    ecr = make_ecr_client(settings, clock, resources)
    swaps = RegistryCredentialSwap(ecr=ecr, clock=clock, entropy=entropy)
    resources.push_async_callback(swaps.close)
    return _Parts(
        settings=settings,
        origin=settings.external_url or own_origin(settings),
        data=data,
        clock=clock,
        entropy=entropy,
        store=store,
        engine=engine,
        git=BareGitRepositories(data / "repositories"),
        blobs=blobs,
        secrets=SecretService(store=store, sealer=make_sealer(settings), clock=clock),
        tokens=AccessTokenService(store=store, clock=clock, entropy=entropy),
        swaps=swaps,
        executor=CodespaceExec(engine),
    )


async def _claim(blobs: BlobStore, server_id: str) -> None:
    """Raises Invalid where the store is another installation's. It may come up later than we do: collection asks again."""
    try:
        await blobs.claim(server_id)
    except (UpstreamFailed, LimitReached) as problem:
        _LOG.warning("blob.not_claimed", extra={"code": problem.code, "reason": problem.message})


def _make_launcher(parts: _Parts, dev_containers: DevContainerCLI, registry: RegistryHTTP, server_id: str) -> Launcher:
    own_host = parts.own.host
    refusals = PackageRefusals(store=parts.store, tokens=parts.tokens, own_host=own_host)
    images = ImageAccess(registry=registry, engine=parts.engine, refusals=refusals, swaps=parts.swaps)
    builder = ImageBuilder(
        engine=parts.engine, git=parts.git, images=images, machines=parts.settings.machines, server_id=server_id
    )
    return Launcher(
        store=parts.store,
        engine=parts.engine,
        dev_containers=dev_containers,
        images=LaunchImages(images=images, builder=builder),
        git=parts.git,
        credentials=CodespaceCredentials(
            secrets=parts.secrets, tokens=parts.tokens, swaps=parts.swaps, own_host=own_host
        ),
        executor=parts.executor,
        workspaces=DiskWorkspaces(parts.data / "codespaces"),
        configurations=LaunchConfiguration(git=parts.git, default_image=parts.settings.default_image or ""),
        machines=parts.settings.machines,
        server_id=server_id,
        origin=parts.origin,
    )


def _make_registry(parts: _Parts, resources: AsyncExitStack) -> OCIServices:
    """The built-in registry's services, on a cache and a signer of their own."""
    store, clock, blobs = parts.store, parts.clock, parts.blobs
    cache = FreshCache(store)
    resources.push_async_callback(cache.close)
    signer = RegistryTokenJWT(keyring(parts.settings))
    access = RegistryAccess(store=store, clock=clock, cache=cache, signer=signer, tokens=parts.tokens)
    return OCIServices(
        tokens=RegistryTokenService(
            store=store,
            clock=clock,
            signer=signer,
            tokens=parts.tokens,
            lifetime_s=parts.settings.registry_token_ttl_s,
        ),
        access=access,
        manifests=RegistryManifestService(
            store=store,
            clock=clock,
            cache=cache,
            access=access,
            blobs=blobs,
            own_hosts=frozenset({parts.own.host}),
        ),
        blobs=RegistryBlobService(store=store, clock=clock, cache=cache, access=access, blobs=blobs),
        catalog=RegistryCatalogService(store=store),
    )


def _make_chores(parts: _Parts, server_id: str) -> ChoreWorker:
    garbage = GarbageCollector(store=parts.store, clock=parts.clock, blobs=parts.blobs, installation=server_id)
    return ChoreWorker(store=parts.store, chores={"garbage": Chore(every_s=_COLLECT_EVERY_S, do=garbage.collect)})


def _make_export_worker(parts: _Parts) -> CodespaceExportWorker:
    return CodespaceExportWorker(
        store=parts.store,
        clock=parts.clock,
        git=parts.git,
        executor=parts.executor,
        activity=CodespaceActivity(store=parts.store, clock=parts.clock),
        origin=parts.origin,
    )


def _make_services(parts: _Parts, wake: Callable[[], None], wake_exports: Callable[[], None]) -> Services:
    store, clock, git = parts.store, parts.clock, parts.git
    repositories = RepositoryService(store=store, clock=clock, git=git)
    activity = CodespaceActivity(store=store, clock=clock)
    codespaces = CodespaceService(
        store=store,
        clock=clock,
        entropy=parts.entropy,
        git=git,
        executor=parts.executor,
        activity=activity,
        limits=_limits(parts.settings),
        machines=parts.settings.machines,
        wake=wake,
    )
    return Services(
        accounts=AccountService(store=store, clock=clock),
        teams=TeamService(store=store, clock=clock),
        repositories=repositories,
        repository_transfers=RepositoryTransferService(store=store, clock=clock),
        forks=ForkService(store=store, clock=clock, git=git),
        pull_requests=PullRequestService(store=store, clock=clock, git=git),
        former_names=FormerNameService(store=store),
        contents=ContentsService(store=store, clock=clock, git=git, repositories=repositories),
        access_tokens=parts.tokens,
        workflow_tokens=WorkflowTokenService(store=store, clock=clock, entropy=parts.entropy),
        secrets=parts.secrets,
        registry_credentials=_make_registry_credentials(parts),
        codespaces=codespaces,
        codespace_activity=activity,
        codespace_access=CodespaceAccessService(store=store, clock=clock),
        codespace_exports=CodespaceExportService(
            store=store, clock=clock, git=git, codespaces=codespaces, wake=wake_exports
        ),
        codespace_sessions=CodespaceSessionService(
            clock=clock, codespaces=codespaces, tokens=parts.tokens, executor=parts.executor, activity=activity
        ),
        codespace_policies=CodespacePolicyService(store=store, clock=clock),
        organization_codespaces=OrganizationCodespaceService(store=store, codespaces=codespaces),
        dev_containers=DevContainerService(git=git),
        packages=PackageService(store=store, clock=clock),
        package_versions=PackageVersionService(store=store, clock=clock),
        package_settings=PackageSettingsService(store=store, clock=clock),
        package_grants=PackageGrantService(store=store, clock=clock),
        package_repositories=PackageRepositoryService(store=store, clock=clock),
        package_policies=PackagePolicyService(store=store, clock=clock),
        package_explanations=PackageExplanationService(store=store),
        audit=AuditService(store=store),
    )


def _make_registry_credentials(parts: _Parts) -> RegistryCredentialService:
    return RegistryCredentialService(
        store=parts.store, secrets=parts.secrets, swaps=parts.swaps, own_host=parts.own.host
    )


def _limits(settings: Settings) -> CodespaceLimits:
    return CodespaceLimits(
        per_user=settings.max_codespaces_per_user,
        idle_timeout_minutes=settings.idle_timeout_default_min,
        retention_minutes=settings.retention_default_min,
        longest=TimeLimits(idle_minutes=settings.idle_timeout_max_min, retention_minutes=settings.retention_max_min),
    )


def _find_node() -> str:
    """The node that came with the virtual environment, else the machine's."""
    own = Path(sys.prefix) / "bin" / "node"
    return str(own) if own.exists() else shutil.which("node") or "node"

"""What brings codespaces about, put together: the launcher, and the workers of the reconcile loop."""

from berth.adapters.dev_container_cli import DevContainerCLI
from berth.adapters.engine_docker_services import DockerServices
from berth.adapters.registry_http import RegistryHTTP
from berth.adapters.workspaces_disk import DiskWorkspaces
from berth.domain.codespace_timer import TimeLimits
from berth.services.codespace_activity import CodespaceActivity
from berth.services.codespace_export_worker import CodespaceExportWorker
from berth.services.codespace_request import CodespaceLimits
from berth.services.compose import ComposeServices
from berth.services.credential_refresh import CredentialRefreshWorker
from berth.services.image_access import ImageAccess
from berth.services.image_build import ImageBuilder
from berth.services.launch import Launcher
from berth.services.launch_configuration import LaunchConfiguration
from berth.services.launch_image import make_launch_images
from berth.services.launch_source import LaunchSources
from berth.services.package_refusal import PackageRefusals
from berth.settings import Settings
from berth.wiring.parts import Parts
from berth.wiring.prebuild import make_prebuilt_images


def make_images(parts: Parts, registry: RegistryHTTP, server_id: str) -> tuple[ImageAccess, ImageBuilder]:
    """What pulls and what builds, for launches and for prebuilds."""
    refusals = PackageRefusals(store=parts.store, tokens=parts.tokens, own_host=parts.own.host)
    images = ImageAccess(
        registry=registry,
        engine=parts.engine,
        refusals=refusals,
        swaps=parts.swaps,
        last_checks=parts.last_checks,
    )
    machines = parts.settings.machines
    return images, ImageBuilder(
        engine=parts.engine, git=parts.git, images=images, machines=machines, server_id=server_id
    )


def make_launcher(
    parts: Parts, dev_containers: DevContainerCLI, images: ImageAccess, builder: ImageBuilder, server_id: str
) -> Launcher:
    launch_images = make_launch_images(
        store=parts.store,
        engine=parts.engine,
        git=parts.git,
        images=images,
        builder=builder,
        prebuilds=make_prebuilt_images(parts, images, builder),
        machines=parts.settings.machines,
        server_id=server_id,
    )
    return Launcher(
        store=parts.store,
        sources=LaunchSources(store=parts.store, site_options=parts.settings.dev_container_allowed),
        engine=parts.engine,
        dev_containers=dev_containers,
        images=launch_images,
        compose=ComposeServices(
            engine=parts.engine,
            services=DockerServices(parts.settings.docker_host),
            git=parts.git,
            images=launch_images,
            machines=parts.settings.machines,
            server_id=server_id,
        ),
        git=parts.git,
        credentials=parts.codespace_credentials,
        executor=parts.executor,
        installer=parts.installer,
        workspaces=DiskWorkspaces(parts.data / "codespaces"),
        configurations=LaunchConfiguration(git=parts.git, default_image=parts.settings.default_image or ""),
        machines=parts.settings.machines,
        server_id=server_id,
        origin=parts.origin,
    )


def make_export_worker(parts: Parts) -> CodespaceExportWorker:
    return CodespaceExportWorker(
        store=parts.store,
        clock=parts.clock,
        git=parts.git,
        executor=parts.executor,
        activity=CodespaceActivity(store=parts.store, clock=parts.clock),
        origin=parts.origin,
    )


def make_refresh_worker(parts: Parts) -> CredentialRefreshWorker:
    return CredentialRefreshWorker(
        store=parts.store,
        clock=parts.clock,
        tokens=parts.codespace_tokens,
        credentials=parts.codespace_credentials,
        installer=parts.installer,
    )


def make_limits(settings: Settings) -> CodespaceLimits:
    return CodespaceLimits(
        per_user=settings.max_codespaces_per_user,
        idle_timeout_minutes=settings.idle_timeout_default_min,
        retention_minutes=settings.retention_default_min,
        longest=TimeLimits(idle_minutes=settings.idle_timeout_max_min, retention_minutes=settings.retention_max_min),
    )

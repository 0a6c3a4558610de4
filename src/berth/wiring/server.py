"""A whole server: everything put together, without its sockets."""

import asyncio
import logging
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from starlette.types import ASGIApp

from berth.adapters.dev_container_cli import DevContainerCLI
from berth.adapters.engine_docker import DockerEngine
from berth.adapters.git_http_backend import GitHTTPBackend
from berth.adapters.store.database import Store
from berth.adapters.store.installation import get_server_id
from berth.domain.problem import Problem
from berth.front import make_front
from berth.git.app import make_git_app
from berth.oci.app import AtOnce, answer_at_once, make_oci_app
from berth.oci.call import OCIServices
from berth.outgoing import make_registry_client
from berth.rest.app import make_rest_app
from berth.rest.codespace_exec import socket_routes
from berth.rest.routes import ROUTES
from berth.rest.sockets import make_socket_app
from berth.services.chore import ChoreWorker
from berth.services.codespace_watch import CodespaceWatch
from berth.services.lifecycle import CodespaceWorker
from berth.services.reconcile import Reconciler
from berth.services.services import Services
from berth.settings import Settings
from berth.ui.app import make_ui_app
from berth.ui.routes import ROUTES as PAGES
from berth.ui.routes import SOCKETS as PAGE_SOCKETS
from berth.wiring.background import keep_running
from berth.wiring.codespace import make_export_worker, make_images, make_launcher, make_limits, make_refresh_worker
from berth.wiring.parts import Parts, claim_blobs, make_parts
from berth.wiring.prebuild import make_prebuild_worker
from berth.wiring.registry import make_chores, make_registry
from berth.wiring.services import Wakes, make_services

_SWEEP_EVERY_S = 600
_NODE_MODULES = Path(__file__).parents[3] / "node_modules"  # beside the sources, where dev/setup puts it
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
        jobs = {f"loop {number}": loop.run for number, loop in enumerate(self.reconcilers, 1)}
        jobs |= {"sweep": self._sweep, "watch": self.watch.run}
        tasks = [asyncio.create_task(keep_running(name, job)) for name, job in jobs.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            try:
                await self.dev_containers.sweep()  # of replicas that were killed since
                await self.worker.sweep()
            except Problem as problem:
                _LOG.warning("codespace.sweep_failed", extra={"code": problem.code})
            await asyncio.sleep(_SWEEP_EVERY_S)


async def make_berth(settings: Settings) -> Berth:
    """Everything, wired. The database is migrated, the data folder and its keys are there."""
    resources = AsyncExitStack()
    try:
        parts = await make_parts(settings, resources)
        parts.store.claim_host()
        await parts.store.migrate()
        server_id = await get_server_id(parts.store, str(uuid4()))
        await claim_blobs(parts.blobs, server_id)
        dev_containers = DevContainerCLI(
            settings.docker_host, node_modules=_NODE_MODULES, scratch=parts.data / "scratch", node=_find_node()
        )
        asked = make_registry_client(settings, parts.own, resources)
        images, builder = make_images(parts, asked, server_id)
        launcher = make_launcher(parts, dev_containers, images, builder, server_id)
    except BaseException:
        await resources.aclose()
        raise
    worker = CodespaceWorker(store=parts.store, clock=parts.clock, launcher=launcher, limits=make_limits(settings))
    chores = make_chores(parts, server_id)
    holder = f"{socket.gethostname()[:40]}:{os.getpid()}"
    reconciler = Reconciler(parts.store, worker, holder=holder)
    exports = Reconciler(parts.store, make_export_worker(parts), holder=holder)
    refreshes = Reconciler(parts.store, make_refresh_worker(parts), holder=holder)
    registry = make_registry(parts, resources)
    prebuilds = Reconciler(
        parts.store, make_prebuild_worker(parts, images, builder, registry, server_id), holder=holder
    )
    wakes = Wakes(codespaces=reconciler.wake, exports=exports.wake, prebuilds=prebuilds.wake)
    services = make_services(parts, asked, wakes)
    return Berth(
        store=parts.store,
        services=services,
        worker=worker,
        watch=CodespaceWatch(store=parts.store, launcher=launcher, wake=reconciler.wake),
        reconcilers=(reconciler, exports, refreshes, prebuilds, Reconciler(parts.store, chores, holder=holder)),
        chores=chores,
        engine=parts.engine,
        dev_containers=dev_containers,
        app=_make_app(parts, services, registry),
        at_once=partial(answer_at_once, registry),
        resources=resources,
    )


def _make_app(parts: Parts, services: Services, registry: OCIServices) -> ASGIApp:
    external_url = parts.settings.external_url
    return make_front(
        rest=make_rest_app(services, ROUTES, external_url),
        sockets=make_socket_app(services, socket_routes(), external_url),
        git=make_git_app(services, GitHTTPBackend()),
        oci=make_oci_app(registry, external_url),
        ui=_make_ui(parts, services),
        proxies=parts.settings.trusted_proxies,
        checks={"database": parts.store.ping, "blobs": parts.blobs.ping, "engine": parts.engine.ping},
    )


def _make_ui(parts: Parts, services: Services) -> ASGIApp:
    external_url = parts.settings.external_url
    return make_ui_app(
        services,
        PAGES,
        clock=parts.clock,
        entropy=parts.entropy,
        external_url=external_url,
        sockets=PAGE_SOCKETS,
        node_modules=_NODE_MODULES,
    )


def _find_node() -> str:
    """The node that came with the virtual environment, else the machine's."""
    own = Path(sys.prefix) / "bin" / "node"
    return str(own) if own.exists() else shutil.which("node") or "node"

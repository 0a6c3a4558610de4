"""The services of one launch or start: their images, their network and volumes, their containers in the order of waiting.

1. Images go the way of every launch's: proven with the launching user's credentials, pulled by digest or built (L1, L2).
2. Before the codespace's own container: what does not wait for it. After it: the rest. Each waits for what it names, for a
   bounded time; one that ends or gets ill instead ends the launch with its last lines of output (L8).
3. They get no secret, no token and no login of the codespace (S7).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from berth.domain.codespace import Codespace
from berth.domain.compose import (
    SERVICE_LABEL,
    ComposeProject,
    checkout_folder,
    image_configuration,
    main_configuration,
    project_name,
    volume_name,
    with_service_defaults,
)
from berth.domain.compose_container import MainContainer, ServicePlacement, goes_on_with, service_container
from berth.domain.compose_service import ComposeService, Condition
from berth.domain.dev_container import DevContainerConfig, ImageMetadata
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import ImageReference
from berth.domain.machine import Machine
from berth.domain.registry_credential import RegistryCredentials
from berth.services.creation_log import CreationLog
from berth.services.launch_failure import LaunchFailed
from berth.services.launch_image import LaunchImage, LaunchImages, WantedImage
from berth.services.launch_source import LaunchSource
from berth.services.ports import Container, Engine, ServiceEngine, ServiceState

_TAIL_LINES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupParts:
    """What every group works with."""

    engine: Engine
    services: ServiceEngine
    images: LaunchImages
    labels: Mapping[str, str]  # of every container of the codespace
    machine: Machine
    wait_s: float
    look_every_s: float


class ServiceGroup:
    """Called from top to bottom, once. Without Compose (`project` None) nothing of it does anything."""

    def __init__(
        self,
        parts: GroupParts,
        codespace: Codespace,
        launched: LaunchSource,
        config: DevContainerConfig,
        commit: str,
        project: ComposeProject | None,
        environments: Mapping[str, Mapping[str, str]],
        log: CreationLog,
    ) -> None:
        self._parts = parts
        self._codespace = codespace
        self._launched = launched
        self._commit = commit
        self._project = project
        self._environments = environments
        self._log = log
        self._wanted: dict[str, WantedImage] = {}
        self._images: dict[str, str] = {}
        self._containers: dict[str, str] = {}  # service → id of its container
        self.config = config if project is None else main_configuration(config, project)

    @property
    def mounted(self) -> str:
        """Where the main container sees the checkout, if the files say so."""
        return "" if self._project is None else checkout_folder(self._project)

    @property
    def main_labels(self) -> dict[str, str]:
        """What tells the codespace's own container from the others."""
        return {} if self._project is None else {SERVICE_LABEL: self._project.main}

    def complete(self, metadata: ImageMetadata) -> DevContainerConfig:
        """The configuration, with what the service says where neither it nor the image's label does."""
        return self.config if self._project is None else with_service_defaults(self.config, metadata, self._project)

    async def read_images(self) -> tuple[ImageReference, ...]:
        """Those of the other services; no registry is asked. Raises LaunchFailed or a Problem."""
        for service in self._others:
            config = image_configuration(service)
            self._wanted[service.name] = await self._parts.images.read(
                self._codespace, self._launched, config, self._commit, self._log, service=service.name
            )
        return tuple(dict.fromkeys(image for wanted in self._wanted.values() for image in wanted.images))

    async def obtain_images(self, registries: RegistryCredentials, *, afresh: bool) -> None:
        """The first that is refused ends it, so no registry is asked twice with a wrong password."""
        pulled: dict[tuple[ImageReference, ...], str] = {}
        for name, wanted in self._wanted.items():
            if wanted.is_built or wanted.images not in pulled:
                image = await self._parts.images.obtain(wanted, registries, self._log, afresh=afresh)
                self._images[name] = image.name
            else:
                self._images[name] = pulled[wanted.images]
            if not wanted.is_built:
                pulled[wanted.images] = self._images[name]

    async def make_before(
        self, workspace: Path, image: LaunchImage, config: DevContainerConfig
    ) -> MainContainer | None:
        """Network, volumes, and what starts before the main container; what that one gets of it all."""
        project, codespace = self._project, self._codespace.name
        if project is None:
            return None
        network = await self._parts.services.make_network(project_name(codespace), self._parts.labels)
        for volume in project.volumes:
            await self._parts.services.make_volume(volume_name(codespace, volume), self._parts.labels)
        make = self._maker(workspace, network)
        for service in project.before:
            await self._start(service, make)
        main = project.main_service
        await self._wait_for_others(main)
        local = await self._parts.engine.find_image(image.name)
        overridden = config.values.get("overrideCommand") is True
        return MainContainer(
            service=replace(main, options=config.options),
            placement=self._placement(main, workspace, network),
            checkout_target=self.mounted,
            command=None if overridden or local is None else goes_on_with(main, local.entrypoint),
        )

    async def make_after(self, workspace: Path, main_id: str) -> None:
        """What waits for the main container; then a look at all: none may have ended badly by now."""
        project = self._project
        if project is None:
            return
        self._containers[project.main] = main_id
        network = await self._parts.services.make_network(project_name(self._codespace.name), self._parts.labels)
        make = self._maker(workspace, network)
        for service in project.after:
            await self._start(service, make)
        await self._look_at_all()

    async def start_before(self, containers: Sequence[Container]) -> None:
        """Start what there is, in the same order. Raises LaunchFailed where a container is missing."""
        for service in () if self._project is None else self._project.before:
            await self._start(service, self._finder(containers))
        if self._project is not None:
            await self._wait_for_others(self._project.main_service)

    async def start_after(self, containers: Sequence[Container], main_id: str) -> None:
        if self._project is None:
            return
        self._containers[self._project.main] = main_id
        for service in self._project.after:
            await self._start(service, self._finder(containers))
        await self._look_at_all()

    @property
    def _others(self) -> tuple[ComposeService, ...]:
        return () if self._project is None else (*self._project.before, *self._project.after)

    def _placement(self, service: ComposeService, workspace: Path, network: str) -> ServicePlacement:
        return ServicePlacement(
            codespace=self._codespace.name,
            checkout=str(workspace),
            network=network,
            joined=self._containers.get(service.network_of, ""),
            environment=self._environments[service.name],
        )

    def _maker(self, workspace: Path, network: str) -> Callable[[ComposeService], Awaitable[str]]:
        async def make(service: ComposeService) -> str:
            container = service_container(
                service,
                self._placement(service, workspace, network),
                image=self._images[service.name],
                labels=self._parts.labels,
                machine=self._parts.machine,
            )
            if service.options.label:
                said = f"The service {service.name} gets {service.options.label} of its host, as this server allows."
                await self._log.output(said)
            return await self._parts.services.make_container(container)

        return make

    def _finder(self, containers: Sequence[Container]) -> Callable[[ComposeService], Awaitable[str]]:
        by_service = {one.labels.get(SERVICE_LABEL): one.container_id for one in containers}

        async def find(service: ComposeService) -> str:
            if service.name not in by_service:
                raise LaunchFailed(_lost(service.name))
            machine = self._parts.machine
            container = by_service[service.name]
            await self._parts.engine.limit_container(container, cpus=machine.cpus, memory_bytes=machine.memory_bytes)
            return container

        return find

    async def _start(self, service: ComposeService, obtain: Callable[[ComposeService], Awaitable[str]]) -> None:
        await self._wait_for_others(service)
        await self._log.phase(f"Starting the service {service.name}")
        container = await obtain(service)
        await self._parts.engine.start_container(container)
        self._containers[service.name] = container

    async def _wait_for_others(self, service: ComposeService) -> None:
        for other, dependency in service.depends_on.items():
            if other in self._containers and dependency.condition is not Condition.STARTED:
                await self._log.phase(f"Waiting for the service {other}")
                await self._wait(other, dependency.condition)

    async def _wait(self, service: str, condition: Condition) -> None:
        try:
            async with asyncio.timeout(self._parts.wait_s):
                while True:
                    if await self._has_come(service, condition):
                        return
                    await asyncio.sleep(self._parts.look_every_s)
        except TimeoutError:
            raise await self._failed(service, f"did not get so far in {self._parts.wait_s:.0f} seconds") from None

    async def _has_come(self, service: str, condition: Condition) -> bool:
        """Whether the condition holds. Raises LaunchFailed where it will not any more."""
        state = await self._parts.services.look_at(self._containers[service])
        if condition is Condition.COMPLETED:
            if not state.is_running and state.exit_code != 0:
                raise await self._failed(service, f"ended with exit code {state.exit_code}")
            return not state.is_running
        if not state.is_running:
            raise await self._failed(service, f"ended with exit code {state.exit_code}")
        if not state.health or state.health == "unhealthy":
            raise await self._failed(service, "is unhealthy" if state.health else "has no health check to wait for")
        return state.health == "healthy"

    async def _look_at_all(self) -> None:
        for service in self._others:
            state = await self._parts.services.look_at(self._containers[service.name])
            if _ended_badly(state) and service.restart == "no":
                raise await self._failed(service.name, f"ended with exit code {state.exit_code}")

    async def _failed(self, service: str, how: str) -> LaunchFailed:
        said = await self._parts.services.last_output(self._containers[service], lines=_TAIL_LINES)
        await self._log.output(f"The service {service} wrote last:\n{said}")
        return LaunchFailed(
            Finding(
                code="compose.service_failed",
                sentence=f"The service {service} {how}.",
                fixer=Fixer.DEVELOPER,
                next_step="Read its last output, mend it in the Compose file or its image, push that, and rebuild the codespace.",
                evidence={"service": service, "output": said},
            )
        )


def _ended_badly(state: ServiceState) -> bool:
    return not state.is_running and state.exit_code != 0


def _lost(service: str) -> Finding:
    return Finding(
        code="container.lost",
        sentence=f"The container of the service {service} is gone from the engine.",
        fixer=Fixer.DEVELOPER,
        next_step="Rebuild the codespace: berth codespace rebuild NAME. Its checkout and volumes are kept.",
    )

"""Codespaces with Compose: the other services beside the codespace's own container (L1, L2, L4, L8).

What a launch does for them is in `service_group.py`. Here: the files read, and what is the same whatever they say: stopping,
removing, sweeping. Containers are found by the codespace's labels, as its own is.
"""

import asyncio
from collections.abc import Collection, Sequence

from berth.domain.codespace import LABEL, SERVER_LABEL, Codespace
from berth.domain.compose import SERVICE_LABEL, ComposeRequest, find_compose, read_compose
from berth.domain.compose_service import ComposeService
from berth.domain.compose_variables import check_environment, parse_variables
from berth.domain.dev_container import DevContainerConfig
from berth.domain.finding import Finding, Fixer
from berth.domain.machine import Machines
from berth.domain.problem import Invalid, LimitReached
from berth.domain.repository import Repository
from berth.services.creation_log import CreationLog
from berth.services.launch_failure import LaunchFailed
from berth.services.launch_image import LaunchImages
from berth.services.launch_source import LaunchSource
from berth.services.ports import Container, ContainerStatus, Engine, GitRepositories, ServiceEngine
from berth.services.service_group import GroupParts, ServiceGroup

_WAIT_S = 300.0
_LOOK_EVERY_S = 0.5


class ComposeServices:
    """Holds no state. `wait_s` is how long one service may wait for another."""

    def __init__(
        self,
        *,
        engine: Engine,
        services: ServiceEngine,
        git: GitRepositories,
        images: LaunchImages,
        machines: Machines,
        server_id: str,
        wait_s: float = _WAIT_S,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._engine = engine
        self._services = services
        self._git = git
        self._images = images
        self._machines = machines
        self._server_id = server_id
        self._wait_s = wait_s
        self._look_every_s = look_every_s

    async def open(
        self, codespace: Codespace, launched: LaunchSource, config: DevContainerConfig, commit: str, log: CreationLog
    ) -> ServiceGroup:
        """The services that the configuration names, which may be none. Raises LaunchFailed, Invalid."""
        request, repository = find_compose(config), launched.repository
        project, environments = None, dict[str, dict[str, str]]()
        if request is not None:
            await log.phase(f"Reading {' and '.join(request.files)}")
            variables = await self._read_variables(repository, commit, request)
            contents = [await self._read(codespace, repository, commit, path) for path in request.files]
            project = await asyncio.to_thread(
                read_compose, request, contents, variables, repository.name, launched.allowances
            )
            for note in project.notes:
                await log.output(note)
            for service in project.services:
                environments[service.name] = await self._environment(codespace, repository, commit, service, variables)
        parts = GroupParts(
            engine=self._engine,
            services=self._services,
            images=self._images,
            labels={LABEL: codespace.name, SERVER_LABEL: self._server_id},
            machine=self._machines.resolve(codespace.machine),
            wait_s=self._wait_s,
            look_every_s=self._look_every_s,
        )
        return ServiceGroup(parts, codespace, launched, config, commit, project, environments, log)

    async def stop(self, containers: Sequence[Container]) -> None:
        """Stop those of these that are services beside the codespace's own container. May be repeated."""
        running = [
            one.container_id
            for one in containers
            if SERVICE_LABEL in one.labels and one.status not in {ContainerStatus.EXITED, ContainerStatus.CREATED}
        ]
        await asyncio.gather(*(self._services.stop_container(one) for one in running))

    async def remove_belongings(self, codespace: Codespace) -> None:
        """Its network and its volumes, once its containers are gone. May be repeated."""
        labels = {LABEL: codespace.name, SERVER_LABEL: self._server_id}
        for one in await self._services.list_belongings(labels):
            await self._services.remove_belonging(one)

    async def sweep(self, names: Collection[str]) -> None:
        """Networks and volumes of no codespace."""
        for one in await self._services.list_belongings({SERVER_LABEL: self._server_id}):
            if one.labels.get(LABEL) not in names:
                await self._services.remove_belonging(one)

    async def _read_variables(self, repository: Repository, commit: str, request: ComposeRequest) -> dict[str, str]:
        data = await self._find(repository, commit, request.variables_file)
        return {} if data is None else parse_variables(data, request.variables_file, {})

    async def _environment(
        self,
        codespace: Codespace,
        repository: Repository,
        commit: str,
        service: ComposeService,
        variables: dict[str, str],
    ) -> dict[str, str]:
        """What the file says wins over files of variables. A name without a value is one of `.env`, or none."""
        found: dict[str, str] = {}
        for file in service.environment_files:
            data = await self._find(repository, commit, file.path)
            if data is not None:
                found |= parse_variables(data, file.path, {**variables, **found})
                check_environment(found, f"the service {service.name}")
            elif file.required:
                raise _missing(codespace, repository, commit, file.path)
        for name, value in service.environment.items():
            if value is not None:
                found[name] = value
            elif name in variables:
                found[name] = variables[name]
        return found

    async def _read(self, codespace: Codespace, repository: Repository, commit: str, path: str) -> bytes:
        data = await self._find(repository, commit, path)
        if data is None:
            raise _missing(codespace, repository, commit, path)
        return data

    async def _find(self, repository: Repository, commit: str, path: str) -> bytes | None:
        """The bytes of a file at the commit; a link is none."""
        try:
            return await self._git.read_file(repository.id, commit, path)
        except LimitReached:
            why = f"{path} is larger than 1 MiB."
            raise Invalid(why, field="devcontainer_path", code="compose.malformed") from None


def _missing(codespace: Codespace, repository: Repository, commit: str, path: str) -> LaunchFailed:
    return LaunchFailed(
        Finding(
            code="compose.missing",
            sentence=f"{repository.full_name} has no file {path or '.'} at {codespace.ref} ({commit[:12]}).",
            fixer=Fixer.DEVELOPER,
            next_step="Commit it. Paths are relative to devcontainer.json, or to the first Compose file. Links are not followed.",
        )
    )

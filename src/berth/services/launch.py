"""Launching a codespace: from a row to a running container, in the sequence of the rules L1 to L9.

1. The repository, by the user's own rights, at the commit that the ref names now.
2. Its dev container configuration, reviewed: what is not allowed is refused, with the source named (L3, L4).
3. The secrets, and from them the registry credentials: one level at a time, whole triples only (C1, C2); and the
   codespace's token, which opens the built-in registry (C6).
4. The image, asked for with this user's credential, whatever the engine holds already (L2), and pulled by digest; or built
   from a Dockerfile, whose images are obtained in the same way.
5. The checkout; the container, made by the dev container CLI in a sandbox (L5), by digest, with the services of a Compose file
   before and after it; onCreateCommand, updateContentCommand.
6. Secrets and docker config on a tmpfs (L7), then postCreateCommand and postStartCommand.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from berth.adapters.store.database import Store
from berth.domain.codespace import LABEL, SERVER_LABEL, Codespace
from berth.domain.dev_container import (
    DevContainerConfig,
    Hook,
    ImageMetadata,
    find_remote_user,
    lifecycle_commands,
    mounted_folder,
    override_configuration,
    remote_environment,
    review_image_metadata,
)
from berth.domain.finding import Finding, Fixer
from berth.domain.host_option import merge_options
from berth.domain.image_build import built_image_name, codespace_of_image
from berth.domain.launch import CodespaceIdentity, container_environment, session_environment
from berth.domain.machine import Machines
from berth.domain.problem import UpstreamFailed
from berth.domain.repository import Repository
from berth.domain.secret import choose_environment
from berth.domain.unix_user import find_unix_user, is_root
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_install import CodespaceInstaller
from berth.services.codespace_policy import require_images
from berth.services.compose import ComposeServices
from berth.services.creation_log import CreationLog, OutputLines
from berth.services.engine_build import is_step
from berth.services.launch_configuration import LaunchConfiguration
from berth.services.launch_credentials import CodespaceCredentials, LaunchCredentials
from berth.services.launch_failure import HookFailed, LaunchFailed
from berth.services.launch_image import LaunchImage, LaunchImages
from berth.services.launch_source import LaunchSource, LaunchSources
from berth.services.ports import (
    Container,
    DevContainers,
    Engine,
    GitRepositories,
    UpRequest,
    Workspaces,
)
from berth.services.service_group import ServiceGroup

_STOP_TIMEOUT_S = 10
_LAYER_LIFE_S = 7 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """What the row keeps of a launch."""

    commit_id: str
    container_id: str
    image: str
    remote_user: str
    remote_folder: str
    from_prebuild: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What the hooks of one container need to know."""

    launched: Launched
    config: DevContainerConfig
    metadata: ImageMetadata


class Launcher:
    """Makes, starts, stops and removes the containers of codespaces. Holds no state: every call looks first."""

    def __init__(
        self,
        *,
        store: Store,
        sources: LaunchSources,
        engine: Engine,
        dev_containers: DevContainers,
        images: LaunchImages,
        compose: ComposeServices,
        git: GitRepositories,
        credentials: CodespaceCredentials,
        executor: CodespaceExec,
        installer: CodespaceInstaller,
        workspaces: Workspaces,
        configurations: LaunchConfiguration,
        machines: Machines,
        server_id: str,
        origin: str,
    ) -> None:
        self._store = store
        self._sources = sources
        self._engine = engine
        self._dev_containers = dev_containers
        self._images = images
        self._compose = compose
        self._git = git
        self._credentials = credentials
        self._executor = executor
        self._installer = installer
        self._workspaces = workspaces
        self._configurations = configurations
        self._machines = machines
        self._server_id = server_id
        self._origin = origin

    async def look(self, codespace: Codespace) -> tuple[Container, ...]:
        """The codespace's containers, as the engine shows them now."""
        found = await self._engine.list_containers(self._labels(codespace))
        return tuple(one for one in found if not is_step(one))

    async def look_at_all(self) -> tuple[Container, ...]:
        """All containers of this installation's codespaces."""
        return await self._engine.list_containers({SERVER_LABEL: self._server_id})

    def list_checkouts(self) -> set[str]:
        """The names of the codespaces that have a checkout on this host."""
        return self._workspaces.names()

    async def remove_orphan(self, container: Container) -> None:
        """Remove a container that belongs to no codespace any more."""
        await self._engine.remove_container(container.container_id)

    async def sweep_builds(self, names: Collection[str]) -> None:
        """Remove what builds left: images of no codespace, old layers. Networks and volumes of no codespace go with them.

        Containers are the watch's (`codespace_watch.py`).
        """
        mine = {SERVER_LABEL: self._server_id}
        for image in await self._engine.list_images(mine):
            if codespace_of_image(image) not in {None, *names}:
                await self._engine.remove_image(image)
        await self._engine.prune_images(mine, older_than_s=_LAYER_LIFE_S)
        await self._compose.sweep(names)

    async def remove_checkout(self, name: str) -> None:
        """Remove a codespace's files on this host. Nothing happens if there are none."""
        await self._workspaces.remove(name)

    def _labels(self, codespace: Codespace) -> dict[str, str]:
        return {LABEL: codespace.name, SERVER_LABEL: self._server_id}

    async def launch(self, codespace: Codespace, log: CreationLog, replaced: tuple[Container, ...] = ()) -> Launched:
        """All of it. Raises LaunchFailed or a Problem; what was made by then is the caller's to undo.

        A rebuild's old containers go as late as they can: once the right to the image is proven and the image is there.
        A checkout that is there is kept.
        """
        await log.phase("Reading the dev container configuration")
        source = await self._sources.find(codespace)
        commit = await self._configurations.find_commit(codespace, source.repository)
        config = await self._configurations.read(codespace, source, commit, log)
        group = await self._compose.open(codespace, source, config, commit, log)
        wanted = await self._images.read(codespace, source, group.config, commit, log)
        await require_images(self._store, source.repository, (*wanted.images, *await group.read_images()))
        await log.phase("Finding the credentials")
        credentials = await self._credentials.open_for_image(codespace, source.owner.login, source.repository.id)
        await credentials.tell(log)
        full = codespace.needs_rebuild and codespace.rebuild_full
        if full and not wanted.is_built:
            await self.discard(replaced)  # the engine forgets no image that a container uses
        image = await self._images.obtain(wanted, credentials.registries, log, afresh=full)
        await group.obtain_images(credentials.registries, afresh=full)
        await self.discard(replaced)
        config = group.complete(image.metadata)
        request = await self._prepare(codespace, source, config, commit, image, group, log)
        await log.phase("Creating the container")
        up = await self._dev_containers.up(request, log.output)
        if up.container_id not in {one.container_id for one in await self.look(codespace)}:
            # The CLI works on a stranger's files: secrets do not go wherever it says.
            raise UpstreamFailed(
                "The dev container CLI named a container that is not this codespace's.", code="devcontainer.up_failed"
            )
        await group.make_after(request.workspace, up.container_id)
        launched = Launched(
            commit_id=commit,
            container_id=up.container_id,
            image=image.name,
            remote_user=up.remote_user,
            remote_folder=up.remote_workspace_folder,
            from_prebuild=image.from_prebuild,
        )
        run = _Run(launched=launched, config=config, metadata=image.metadata)
        # Creation may have taken an hour: what the user may have is decided again, at the moment he gets it (S6). The
        # token that opened the image never enters the container: this makes another, and ends that one.
        source = await self._sources.find(codespace)
        credentials = await self._open_credentials(codespace, source)
        await self._install(self._identity(codespace, source), credentials, run, log)
        for hook in (Hook.POST_CREATE, Hook.POST_START):
            await self._run_hook(codespace, hook, run, log)
        return launched

    async def _prepare(
        self,
        codespace: Codespace,
        source: LaunchSource,
        config: DevContainerConfig,
        commit: str,
        image: LaunchImage,
        group: ServiceGroup,
        log: CreationLog,
    ) -> UpRequest:
        """The checkout, the services that come first, and what the dev container CLI is asked to make on it."""
        options = merge_options((config.options, image.metadata.options))
        if options.label:
            await log.output(f"The container gets {options.label} of its host, as this server allows.")
        await log.phase(f"Checking out {codespace.ref}")
        workspace = await self._check_out(codespace, source.repository, commit)
        await self._give_workspace(codespace, config, image)
        machine = self._machines.resolve(codespace.machine)
        mounted = group.mounted or mounted_folder(source.repository.name)
        return UpRequest(
            codespace=codespace.name,
            workspace=workspace,
            folder=mounted,
            image=image.name,
            machine=machine,
            configuration=override_configuration(
                config,
                image=image.name,
                codespace=codespace.name,
                workspace=workspace,
                repository_name=source.repository.name,
                environment=container_environment(self._identity(codespace, source)),
                machine=machine,
                mounted=mounted,
            ),
            options=options,
            labels={**self._labels(codespace), **group.main_labels},
            added=await group.make_before(workspace, image, config),
        )

    async def start(
        self, codespace: Codespace, container: Container, log: CreationLog, containers: tuple[Container, ...] = ()
    ) -> None:
        """Start a stopped container, with the secrets of now (S8), among its services. Raises LaunchFailed or a Problem.

        HookFailed comes last: the container runs, and all but that hook is done.
        """
        await log.phase("Starting the container")
        source = await self._sources.find(codespace)
        source.require_allowed(container, containers)
        commit = codespace.commit_id or ""
        config = await self._configurations.read(codespace, source, commit, log)
        credentials = await self._open_credentials(codespace, source)
        await credentials.tell(log)
        machine = self._machines.resolve(codespace.machine)
        group = await self._compose.open(codespace, source, config, commit, log)
        await group.start_before(containers)
        await self._engine.limit_container(container.container_id, cpus=machine.cpus, memory_bytes=machine.memory_bytes)
        await self._engine.start_container(container.container_id)
        await group.start_after(containers, container.container_id)
        launched = Launched(
            commit_id=commit,
            container_id=container.container_id,
            image=codespace.image or "",
            remote_user=codespace.remote_user or "",
            remote_folder=codespace.remote_folder or "",
        )
        metadata = review_image_metadata(container.labels, source.allowances)
        run = _Run(launched=launched, config=config, metadata=metadata)
        await self._install(self._identity(codespace, source), credentials, run, log)
        await self._run_hook(codespace, Hook.POST_START, run, log)

    async def stop(self, codespace: Codespace, container: Container) -> None:
        """Stop the container; its token is void from now on, its secrets are gone with the tmpfs, its user's logins stay."""
        await self.void_token(codespace)
        await self._installer.save(container.container_id, codespace.remote_user or "")
        await self._engine.stop_container(container.container_id, timeout_s=_STOP_TIMEOUT_S)

    async def stop_services(self, containers: tuple[Container, ...]) -> None:
        """Stop those of these that are services beside the codespace's own container. May be repeated."""
        await self._compose.stop(containers)

    async def discard(self, containers: tuple[Container, ...]) -> None:
        """Remove these containers and nothing else. May be repeated."""
        for container in containers:
            await self._engine.remove_container(container.container_id)

    async def undo(self, codespace: Codespace, containers: tuple[Container, ...]) -> None:
        """Remove everything of it but its row: containers, token, built images, network, volumes, checkout. May be repeated."""
        await self.void_token(codespace)
        await self.discard(containers)
        await self._engine.remove_image(built_image_name(codespace.name))  # a prebuild's, too, whatever its labels
        for image in await self._engine.list_images({SERVER_LABEL: self._server_id}):
            if codespace_of_image(image) == codespace.name:
                await self._engine.remove_image(image)
        await self._compose.remove_belongings(codespace)
        await self.remove_checkout(codespace.name)

    async def void_token(self, codespace: Codespace) -> None:
        """The codespace does not run any more, so its token is good for nothing. May be repeated."""
        await self._credentials.void(codespace)

    async def _open_credentials(self, codespace: Codespace, source: LaunchSource) -> LaunchCredentials:
        return await self._credentials.open_for_container(codespace, source.owner.login, source.repository.id)

    async def _give_workspace(self, codespace: Codespace, config: DevContainerConfig, image: LaunchImage) -> None:
        """The checkout belongs to the codespace's user before anything of it runs."""
        user = find_remote_user(image.metadata, config) or image.user
        if is_root(user):
            return
        passwd = await self._engine.read_image_file(image.name, "/etc/passwd", labels=self._labels(codespace))
        owner = find_unix_user(user, passwd or b"")
        if owner is None:
            raise LaunchFailed(
                Finding(
                    code="devcontainer.user_unknown",
                    sentence=f"The image has no user '{user}'.",
                    fixer=Fixer.DEVELOPER,
                    next_step="Name a user that is in the image's /etc/passwd as remoteUser, or a number.",
                )
            )
        await self._workspaces.give_to(codespace.name, owner)

    def _identity(self, codespace: Codespace, source: LaunchSource) -> CodespaceIdentity:
        owner = source.owner
        return CodespaceIdentity(
            name=codespace.name,
            user_login=owner.login,
            user_name=owner.git_name,
            user_email=owner.git_email,
            repository_full_name=source.repository.full_name,
            origin=self._origin,
        )

    async def _check_out(self, codespace: Codespace, repository: Repository, commit: str) -> Path:
        target = self._workspaces.find(codespace.name) or self._workspaces.path(codespace.name, repository.name)
        await self._git.check_out(
            repository.id,
            commit,
            branch=codespace.ref,  # a tag or a commit is none, and is checked out detached
            target=target,
            origin=f"{self._origin}/{repository.full_name}.git",
        )
        return target

    async def _install(
        self,
        identity: CodespaceIdentity,
        credentials: LaunchCredentials,
        run: _Run,
        log: CreationLog,
    ) -> None:
        """Secrets, the token and the docker config into the container."""
        await log.phase("Installing secrets and registry credentials")
        credentials.mask(log)
        container_id, user = run.launched.container_id, run.launched.remote_user
        said = await self._installer.install(
            container_id,
            user,
            session_environment(identity, choose_environment(credentials.opened.secrets), credentials.token),
            remote_environment(run.metadata, run.config, folder=run.launched.remote_folder),
        )
        chosen = tuple(credentials.registries.chosen.values())
        notes = await self._installer.log_in(container_id, user, chosen, credentials.token)
        await log.output("\n".join([said, *notes]))

    async def _run_hook(self, codespace: Codespace, hook: Hook, run: _Run, log: CreationLog) -> None:
        """The image's hooks, then the file's. Raises HookFailed for the first that fails."""
        container_id, user, folder = run.launched.container_id, run.launched.remote_user, run.launched.remote_folder
        launched = replace(codespace, container_id=container_id, remote_user=user, remote_folder=folder)
        for command in lifecycle_commands(run.metadata, run.config, hook, folder=folder):
            await log.phase(f"Running {hook}")
            lines = OutputLines(log)
            result = await self._executor.run(launched, command, on_output=lines.feed)
            await lines.end()
            if result.exit_code != 0:
                raise HookFailed(hook, result.exit_code)

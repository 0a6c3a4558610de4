"""Building a codespace's image from its repository's Dockerfile (L1, L2, L4, L7), by the engine's own builder.

1. Dockerfile and context are objects of the commit. No file of this server is read, and no link of the repository is followed.
2. Each image that the Dockerfile names is proven and pulled like one that `image` names; the engine gets its digest.
3. The engine gets no credential and no secret (S7). What a RUN may reach is the engine's default network.
4. The image is known by its id from then on. A name of ours is only there to find it again, and to remove it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from berth.domain.codespace import Codespace
from berth.domain.dev_container_build import DevContainerBuild
from berth.domain.dockerfile import BuildArguments, Dockerfile, parse_dockerfile, render_dockerfile
from berth.domain.dockerignore import MAX_SIZE_BYTES as MAX_IGNORE_BYTES
from berth.domain.dockerignore import NAME as IGNORE_FILE
from berth.domain.dockerignore import parse_ignore_rules
from berth.domain.finding import Finding, Fixer
from berth.domain.git_object import TreeFile
from berth.domain.image_build import build_labels, built_image_name
from berth.domain.image_reference import ImageReference
from berth.domain.machine import Machines
from berth.domain.prebuild import PrebuildInput
from berth.domain.problem import Invalid, LimitReached
from berth.domain.registry_credential import RegistryCredentials
from berth.domain.repository import Repository
from berth.services.creation_log import CreationLog
from berth.services.engine_build import BUILD_TIMEOUT_S, BuildFailed, run_build
from berth.services.image_access import ImageAccess, ImageRequest
from berth.services.launch_failure import LaunchFailed
from berth.services.ports import Engine, GitRepositories, ImageBuild, LocalImage

MAX_CONTEXT_BYTES = 512 * 1024 * 1024
MAX_CONTEXT_FILES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSource:
    """What is built, and for whom."""

    codespace: Codespace
    repository: Repository
    commit: str
    build: DevContainerBuild
    service: str = ""  # beside the main one, that it is for


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """A build whose Dockerfile is read. No registry was asked for anything yet."""

    source: BuildSource
    given: BuildArguments
    dockerfile: Dockerfile
    pinned: Mapping[ImageReference, ImageReference] = field(default_factory=dict)  # what `pin` has proven


class ImageBuilder:
    """Builds images for launches. Holds no state."""

    def __init__(
        self,
        *,
        engine: Engine,
        git: GitRepositories,
        images: ImageAccess,
        machines: Machines,
        server_id: str,
        timeout_s: float = BUILD_TIMEOUT_S,
    ) -> None:
        self._engine = engine
        self._git = git
        self._images = images
        self._machines = machines
        self._server_id = server_id
        self._timeout_s = timeout_s

    async def read(self, source: BuildSource, log: CreationLog) -> BuildPlan:
        """What the Dockerfile needs. Raises LaunchFailed or a Problem."""
        await log.phase(f"Reading {source.build.dockerfile}")
        given = BuildArguments(
            values=source.build.arguments,
            target=source.build.target,
            platform=f"linux/{await self._engine.architecture()}",
        )
        dockerfile = parse_dockerfile(await self._read_dockerfile(source), given)
        for note in (*source.build.notes, *dockerfile.notes):
            await log.output(note)
        return BuildPlan(source=source, given=given, dockerfile=dockerfile)

    async def pin(self, plan: BuildPlan, registries: RegistryCredentials, log: CreationLog) -> BuildPlan:
        """The plan with each image proven (L2) and by digest; nothing is pulled. Raises LaunchFailed or a Problem."""
        pinned = {image: await self._images.pin(_ask(plan, image), registries, log) for image in plan.dockerfile.images}
        return replace(plan, pinned=pinned)

    async def describe(self, plan: BuildPlan) -> PrebuildInput:
        """All that goes into the image of a plan that was pinned. Raises LaunchFailed or a Problem."""
        files, own_ignore = await self._gather_context(plan.source)
        return PrebuildInput(
            dockerfile=render_dockerfile(plan.dockerfile, plan.pinned, {}),
            arguments=plan.dockerfile.arguments_for(plan.given),
            target=plan.given.target,
            platform=plan.given.platform,
            files=files,
            ignore_file=own_ignore,
        )

    async def build(
        self,
        plan: BuildPlan,
        registries: RegistryCredentials,
        log: CreationLog,
        *,
        afresh: bool = False,
        named: bool = True,
    ) -> LocalImage:
        """The image, as the engine holds it; `afresh`: every step runs again. Raises LaunchFailed or a Problem.

        Not `named`, it is there for another build upon it, and goes as layers do. The name of an image that was built for
        the codespace before stays with that one until the new one is there.
        """
        source, dockerfile = plan.source, plan.dockerfile
        files, own_ignore = await self._gather_context(source)
        pinned = await self._prove_images(plan, registries, log, afresh=afresh)
        labels = build_labels(self._server_id, source.codespace)
        name = _free_name(files)
        added = {name: render_dockerfile(dockerfile, pinned, labels), IGNORE_FILE: _ignore_file(own_ignore, name)}
        machine = self._machines.resolve(source.codespace.machine)
        request = ImageBuild(
            name=built_image_name(source.codespace.name, source.service) if named else "",
            dockerfile=name,
            arguments=dockerfile.arguments_for(plan.given),
            labels=labels,
            cpus=machine.cpus,
            memory_bytes=machine.memory_bytes,
            cached=not afresh,
        )
        await log.phase("Building the image")
        return await self._run(source, request, files, added, log)

    async def _read_dockerfile(self, source: BuildSource) -> bytes:
        path = source.build.dockerfile
        try:
            data = await self._git.read_file(source.repository.id, source.commit, path)
        except LimitReached:
            raise Invalid(
                f"{path} is larger than 1 MiB.", field="devcontainer_path", code="devcontainer.dockerfile"
            ) from None
        if data is None:
            raise _missing(source, f"no file {path}")
        return data

    async def _prove_images(
        self, plan: BuildPlan, registries: RegistryCredentials, log: CreationLog, *, afresh: bool
    ) -> dict[ImageReference, ImageReference]:
        """Each by digest. The first that is refused ends it, so that no registry is asked twice with a wrong password."""
        pinned = {}
        for image in plan.dockerfile.images:
            proven = await self._images.prove(_ask(plan, image), registries, log, afresh=afresh)
            if proven.local.triggers:
                raise Invalid(
                    f"{image} has ONBUILD steps, which would run in this build unread.",
                    field="devcontainer_path",
                    code="devcontainer.dockerfile_refused",
                    remedy="Use an image without ONBUILD, and write those steps into the Dockerfile.",
                )
            pinned[image] = proven.image
        return pinned

    async def _gather_context(self, source: BuildSource) -> tuple[list[TreeFile], bytes | None]:
        """What the context holds, its `.dockerignore` apart; that is None if it is not to be sent."""
        repository, build = source.repository, source.build
        found = await self._git.list_tree(repository.id, source.commit, build.context)
        if found is None:
            raise _missing(source, f"no folder {build.context}")
        by_path = {file.path: file for file in found}
        own = await self._read_ignore_file(repository, by_path.get(IGNORE_FILE))
        special = await self._git.read_file(repository.id, source.commit, f"{build.dockerfile}{IGNORE_FILE}")
        kept = await asyncio.to_thread(_keep, own if special is None else special, list(by_path))
        files = [by_path[path] for path in kept if path != IGNORE_FILE]
        size = sum(file.size_bytes for file in files)
        if len(files) > MAX_CONTEXT_FILES or size > MAX_CONTEXT_BYTES:
            raise LimitReached(
                f"The build context has {len(files)} files with {size // 2**20} MiB;"
                f" {MAX_CONTEXT_FILES} with {MAX_CONTEXT_BYTES // 2**20} MiB may be.",
                code="devcontainer.context_too_large",
                remedy=f"Name a smaller folder as the context, or keep files out with {IGNORE_FILE}.",
            )
        return files, own if IGNORE_FILE in kept else None

    async def _read_ignore_file(self, repository: Repository, file: TreeFile | None) -> bytes | None:
        """The bytes of an ignore file; None without one."""
        if file is None or file.kind == "symlink":
            return None
        if file.size_bytes > MAX_IGNORE_BYTES:
            why = f"{IGNORE_FILE} is larger than {MAX_IGNORE_BYTES // 1024} KiB."
            raise Invalid(why, field="devcontainer_path", code="devcontainer.dockerignore")
        return (await self._git.read_blobs(repository.id, [file.sha]))[file.sha]

    async def _run(
        self,
        source: BuildSource,
        request: ImageBuild,
        files: Sequence[TreeFile],
        added: Mapping[str, bytes],
        log: CreationLog,
    ) -> LocalImage:
        at = (await self._git.get_commit(source.repository.id, source.commit)).committer.at
        context = self._git.archive(source.repository.id, files, added, modified_at=at)
        ended = await run_build(self._engine, request, context, log, timeout_s=self._timeout_s)
        if isinstance(ended, BuildFailed):
            raise LaunchFailed(ended.finding())
        return ended


def _ask(plan: BuildPlan, image: ImageReference) -> ImageRequest:
    """What was pinned stays that, whatever its tag names by now."""
    source = plan.source
    wanted = plan.pinned.get(image, image)
    return ImageRequest(image=wanted, user_id=source.codespace.owner_id, repository=source.repository)


def _keep(rules: bytes | None, paths: Sequence[str]) -> set[str]:
    return set(parse_ignore_rules(rules).keep(paths))


def _free_name(files: Sequence[TreeFile]) -> str:
    """Where the rewritten Dockerfile goes: not where the repository has something."""
    taken = {file.path.partition("/")[0] for file in files}
    return next(name for number in range(len(taken) + 1) if (name := f".berth.dockerfile{number or ''}") not in taken)


def _ignore_file(own: bytes | None, dockerfile: str) -> bytes:
    """What makes the engine take the rewritten Dockerfile out of the context again, before the first step.

    Observed with engine 20.10: its builder looks into `.dockerignore` for this file and for itself, and for nothing else.
    """
    hidden = [dockerfile] if own is not None else [dockerfile, IGNORE_FILE]
    return b"".join([own or b"", *(f"\n{name}".encode() for name in hidden), b"\n"])


def _missing(source: BuildSource, what: str) -> LaunchFailed:
    return LaunchFailed(
        Finding(
            code="devcontainer.build_missing",
            sentence=f"{source.repository.full_name} has {what} at {source.codespace.ref} ({source.commit[:12]}).",
            fixer=Fixer.DEVELOPER,
            next_step="Paths in 'build' are relative to devcontainer.json. Links are not followed.",
        )
    )

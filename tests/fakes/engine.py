"""An engine and a dev container CLI in memory. They keep the ports' contracts; faults are set by the test."""

import asyncio
import io
import shlex
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tests.fakes.container_files import ContainerFiles
from tests.fakes.exec_stream import FakeExecStream

from berth.domain.codespace_environment import INSTALL_SCRIPT
from berth.domain.docker_config_files import READ_SCRIPT, WRITE_SCRIPT
from berth.domain.exec_frame import TerminalSize
from berth.domain.exec_process import KILL_SCRIPT
from berth.domain.host_option import OPTIONS_LABEL
from berth.domain.image_reference import ImageReference
from berth.domain.problem import Conflict, NotFound, Problem, UpstreamFailed
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.secret_text import SecretText
from berth.services.ports import (
    Container,
    ContainerStatus,
    ExecOutput,
    ExecResult,
    ExportedFile,
    ImageBuild,
    ImageBuilt,
    LocalImage,
    PullProgress,
    UpRequest,
    UpResult,
)

BUILT = f"sha256:{'b' * 64}"  # the id of everything that is built
PASSWD = b"root:x:0:0::/root:/bin/sh\ndev:x:1000:1000::/home/dev:/bin/sh\n"
UNREACHABLE = UpstreamFailed("The container engine does not answer.", retryable=True, code="engine.unreachable")

# An image of two layers that are the same, and what engines of long ago read.
SAVED: tuple[tuple[str, bytes, str], ...] = (
    ("a/VERSION", b"1.0", ""),
    ("a/json", b"{}", ""),
    ("a/layer.tar", b"layer", ""),
    ("b/layer.tar", b"", "../a/layer.tar"),
    (f"{'b' * 64}.json", b'{"os": "linux"}', ""),
    ("manifest.json", f'[{{"Config": "{"b" * 64}.json", "Layers": ["a/layer.tar", "b/layer.tar"]}}]'.encode(), ""),
    ("repositories", b"{}", ""),
)


async def _once(content: bytes, error: Exception | None) -> AsyncIterator[bytes]:
    yield content
    if error is not None:
        raise error


@dataclass
class Executed:
    """One command that ran in a container."""

    container_id: str
    command: tuple[str, ...]
    user: str
    stdin: str


@dataclass
class Build:
    """One build: what was asked for, and the context."""

    asked: ImageBuild
    files: dict[str, bytes]
    members: dict[str, tarfile.TarInfo]

    @property
    def dockerfile(self) -> list[str]:
        return self.files[self.asked.dockerfile].decode().splitlines()


@dataclass
class FakeEngine:
    """Containers and images in memory. `faults` maps a verb to what it raises; `chunks` is what hooks print."""

    containers: dict[str, Container] = field(default_factory=dict)
    images: dict[str, LocalImage] = field(default_factory=dict)
    pulled: list[tuple[str, RegistryCredential | Anonymous]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)  # names of images that were there
    logins: list[tuple[RegistryCredential | Anonymous, str | None]] = field(default_factory=list)  # one per pull
    layers: int = 2
    breaks: list[int] = field(default_factory=list)  # after how many layers the next pulls break off
    on_break: Callable[[], None] = lambda: None
    executed: list[Executed] = field(default_factory=list)
    faults: dict[str, BaseException] = field(default_factory=dict)
    exit_codes: dict[str, int] = field(default_factory=dict)  # a hook's or command's text → its exit code
    chunks: tuple[bytes, ...] = ()
    on_execute: Callable[[Executed], Awaitable[ExecResult | None]] | None = (
        None  # what a command does; None: as without it
    )
    install_result: ExecResult = field(default_factory=lambda: ExecResult(0, b""))
    image_labels: dict[str, str] = field(default_factory=dict)
    image_user: str = ""
    image_entrypoint: tuple[str, ...] = ()
    loses_images: bool = False
    down: bool = False
    made: int = 0
    streams: list[FakeExecStream] = field(default_factory=list)  # what somebody talks to, oldest first
    make_stream: Callable[[], FakeExecStream] = FakeExecStream
    limits: dict[str, tuple[int, int]] = field(default_factory=dict)  # container → processors, bytes of memory
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)  # when containers are made
    triggers: tuple[str, ...] = ()  # of images that are pulled
    builds: list[Build] = field(default_factory=list)
    build_result: ImageBuilt = field(default_factory=lambda: ImageBuilt(image_id=BUILT))
    build_takes_s: float = 0.0
    pruned: list[tuple[Mapping[str, str], int]] = field(default_factory=list)
    folder: Path | None = None  # for the files of containers; only what installs codespaces needs them
    shell: tuple[str, ...] = ("busybox", "sh")  # what images have
    on_write: Callable[[], Awaitable[None]] | None = None  # before a docker config is replaced
    on_look: Callable[[], Awaitable[None]] | None = None  # after one was read
    written: list[str] = field(default_factory=list)  # containers whose docker config was replaced, one entry each time
    export_breaks: Exception | None = None  # how every file of an export ends
    exports: list[tuple[str, bytes, str]] = field(default_factory=lambda: list(SAVED))  # (name, content, link) of files

    def files(self, container_id: str) -> ContainerFiles:
        """What its user has on disk and on the tmpfs."""
        assert self.folder is not None
        return ContainerFiles(self.folder / container_id, self.shell)

    def _check(self, verb: str) -> None:
        if self.down:
            raise UNREACHABLE
        if verb in self.faults:
            raise self.faults[verb]

    def make(self, labels: Mapping[str, str], status: ContainerStatus = ContainerStatus.RUNNING) -> Container:
        self.made += 1
        container = Container(
            container_id=f"container-{self.made}",
            name=f"c{self.made}",
            status=status,
            labels=labels,
            image_id="i",
            created_at=self.now,
        )
        self.containers[container.container_id] = container
        return container

    async def ping(self) -> str:
        self._check("ping")
        return "fake"

    async def architecture(self) -> str:
        self._check("architecture")
        return "amd64"

    async def find_image(self, reference: str) -> LocalImage | None:
        self._check("find_image")
        return self.images.get(reference)

    async def read_image_file(self, reference: str, path: str, *, labels: Mapping[str, str]) -> bytes | None:
        self._check("read_image_file")
        return PASSWD if path == "/etc/passwd" and reference in self.images else None

    async def pull(
        self, image: ImageReference, credential: RegistryCredential | Anonymous, token: SecretText | None
    ) -> AsyncIterator[PullProgress]:
        self._check("pull")
        self.logins.append((credential, token.reveal() if token else None))
        total = self.layers
        for done in range(total + 1):
            yield PullProgress(layers_total=total, layers_done=done, bytes_total=total * 10, bytes_done=done * 10)
            if self.breaks and done == self.breaks[0]:
                self.breaks.pop(0)
                self.on_break()
                raise UpstreamFailed("The token is too old.", code="image.pull_failed")
        self.pulled.append((image.pull_name, credential))
        if not self.loses_images:
            self.images[image.pull_name] = LocalImage(
                image_id="i",
                labels=self.image_labels,
                architecture="amd64",
                user=self.image_user,
                triggers=self.triggers,
                entrypoint=self.image_entrypoint,
            )

    async def build(
        self, build: ImageBuild, context: AsyncIterator[bytes], on_output: Callable[[bytes], Awaitable[None]]
    ) -> ImageBuilt:
        self._check("build")
        data = b"".join([chunk async for chunk in context])
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            members = {one.name: one for one in tar.getmembers()}
            files = {name: tar.extractfile(one).read() for name, one in members.items() if one.isreg()}  # type: ignore[union-attr]
        self.builds.append(Build(build, files, members))
        for chunk in self.chunks:
            await on_output(chunk)
        await asyncio.sleep(self.build_takes_s)
        if self.build_result.image_id is not None and not self.loses_images:
            labels = {**self.image_labels, **build.labels}
            built = LocalImage(image_id=BUILT, labels=labels, architecture="amd64", user=self.image_user)
            self.images |= {BUILT: built, build.name: built}
        return self.build_result

    async def export_image(self, image_id: str) -> AsyncIterator[ExportedFile]:
        """As engine 20.10 saves one; `exports` says what of."""
        self._check("export_image")
        if image_id not in self.images:
            raise NotFound("The container is gone.", code="container.gone")
        for name, content, link in self.exports:
            yield ExportedFile(name=name, link=link, chunks=_once(content, self.export_breaks))

    async def tag_image(self, reference: str, name: str) -> None:
        self._check("tag_image")
        self.images[name] = self.images[reference]

    async def remove_image(self, name: str) -> None:
        self._check("remove_image")
        if self.images.pop(name, None) is not None:
            self.forgotten.append(name)

    async def list_images(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        self._check("list_images")
        return tuple(
            name for name, one in self.images.items() if name != BUILT and labels.items() <= one.labels.items()
        )

    async def prune_images(self, labels: Mapping[str, str], *, older_than_s: int) -> None:
        self._check("prune_images")
        self.pruned.append((labels, older_than_s))

    async def list_containers(self, labels: Mapping[str, str]) -> tuple[Container, ...]:
        self._check("list_containers")
        return tuple(one for one in self.containers.values() if labels.items() <= one.labels.items())

    async def start_container(self, container_id: str) -> None:
        self._check("start_container")
        self._set(container_id, ContainerStatus.RUNNING)

    async def limit_container(self, container_id: str, *, cpus: int, memory_bytes: int) -> None:
        self._check("limit_container")
        self._get(container_id)
        self.limits[container_id] = (cpus, memory_bytes)

    async def stop_container(self, container_id: str, *, timeout_s: int) -> None:
        self._check("stop_container")
        if container_id in self.containers:
            self._set(container_id, ContainerStatus.EXITED)
            if self.folder is not None:
                self.files(container_id).stop()

    async def remove_container(self, container_id: str) -> None:
        self._check("remove_container")
        self.containers.pop(container_id, None)

    async def execute(
        self,
        container_id: str,
        command: Sequence[str],
        *,
        user: str = "",
        working_directory: str = "",
        environment: Mapping[str, str | SecretText] | None = None,
        stdin: bytes | SecretText = b"",
        on_output: Callable[[ExecOutput], Awaitable[None]] | None = None,
    ) -> ExecResult:
        self._check("execute")
        container = self._get(container_id)
        if container.status is not ContainerStatus.RUNNING:
            raise Conflict("The container is not running.", code="container.not_running")
        text = stdin.reveal() if isinstance(stdin, SecretText) else stdin.decode()
        if READ_SCRIPT in command or WRITE_SCRIPT in command:
            return await self._run_script(container_id, command[2], text)
        self.executed.append(Executed(container_id, tuple(command), user, text))
        if INSTALL_SCRIPT in command:
            if self.folder is not None:
                self.files(container_id).install()
            return self.install_result
        if KILL_SCRIPT in command:
            return ExecResult(0, b"")
        written = b""

        async def write(chunk: bytes) -> None:
            nonlocal written
            written += chunk
            if on_output is not None:
                await on_output(ExecOutput(is_stderr=False, data=chunk))

        await write(b"77\n")  # which process it is (domain/exec_process.py)
        said = None if self.on_execute is None else await self.on_execute(self.executed[-1])
        for chunk in self.chunks if said is None else (said.output,):
            await write(chunk)
        exit_code = self.exit_codes.get(command[-1], 0) if said is None else said.exit_code
        return ExecResult(exit_code, written)

    async def _run_script(self, container_id: str, script: str, stdin: str) -> ExecResult:
        """The real one, on the files of this container."""
        if script == WRITE_SCRIPT:
            if self.on_write is not None:
                await self.on_write()
            self.written.append(container_id)
        result = await asyncio.to_thread(self.files(container_id).run, script, stdin)
        if script == READ_SCRIPT and self.on_look is not None:
            await self.on_look()
        return result

    @asynccontextmanager
    async def open_exec(
        self,
        container_id: str,
        command: Sequence[str],
        *,
        user: str,
        working_directory: str,
        terminal: TerminalSize | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[FakeExecStream]:
        self._check("open_exec")
        if self._get(container_id).status is not ContainerStatus.RUNNING:
            raise Conflict("The container is not running.", code="container.not_running")
        self.executed.append(Executed(container_id, tuple(command), user, ""))
        stream = self.make_stream()
        self.streams.append(stream)
        try:
            yield stream
        finally:
            stream.closed = True

    @property
    def killed(self) -> list[str]:
        """Process ids whose groups were ended."""
        return [one.command[-1] for one in self.executed if KILL_SCRIPT in one.command]

    def _get(self, container_id: str) -> Container:
        if container_id not in self.containers:
            raise NotFound("The container is gone.", code="container.gone")
        return self.containers[container_id]

    def _set(self, container_id: str, status: ContainerStatus) -> None:
        self.containers[container_id] = replace(self._get(container_id), status=status)

    @property
    def environments(self) -> list[dict[str, str]]:
        """What each installation wrote, oldest first."""
        return [_environment(one.stdin) for one in self.executed if INSTALL_SCRIPT in one.command]

    @property
    def hooks(self) -> list[str]:
        """The last word of each command that ran with the installed environment."""
        ours = {INSTALL_SCRIPT, KILL_SCRIPT}
        return [one.command[-1] for one in self.executed if ours.isdisjoint(one.command)]


def _environment(text: str) -> dict[str, str]:
    words = shlex.split(text)
    return dict(word.split("=", 1) for before, word in pairwise(words) if before == "export")


@dataclass
class FakeDevContainers:
    """`devcontainer up` in memory: makes a running container in the engine."""

    engine: FakeEngine
    requests: list[UpRequest] = field(default_factory=list)
    lines: tuple[str, ...] = ()
    error: Problem | None = None
    after_making: Callable[[], None] = lambda: None
    named: str = ""  # the container that it says it made, if that is not true

    async def up(self, request: UpRequest, on_line: Callable[[str], Awaitable[None]]) -> UpResult:
        self.requests.append(request)
        self.engine._check("up")
        for line in self.lines:
            await on_line(line)
        container = self.engine.make({**request.labels, OPTIONS_LABEL: request.options.label})
        self.after_making()
        if self.error is not None:
            raise self.error  # the contract: whoever sees it fail removes the container
        folder = str(request.configuration["workspaceFolder"])
        return UpResult(
            container_id=self.named or container.container_id, remote_user="root", remote_workspace_folder=folder
        )

    async def sweep(self) -> None:
        return

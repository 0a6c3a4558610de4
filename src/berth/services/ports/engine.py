"""What runs containers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from berth.domain.exec_frame import TerminalSize
from berth.domain.image_reference import ImageReference
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.secret_text import SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far a pull is. Sums over all layers known so far."""

    layers_total: int
    layers_done: int
    bytes_total: int
    bytes_done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalImage:
    """An image that the engine holds. Its presence proves nobody's right to it (L2)."""

    image_id: str
    labels: Mapping[str, str]
    architecture: str
    user: str  # as the image has it: empty, a name, a number, either with a group
    triggers: tuple[str, ...] = ()  # what ONBUILD left in it: steps of every build from it
    entrypoint: tuple[str, ...] = ()


class ContainerStatus(StrEnum):
    """What a look at a container can find."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    OTHER = "other"  # paused, restarting, removing, dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as the engine shows it."""

    container_id: str
    name: str
    status: ContainerStatus
    labels: Mapping[str, str]
    image_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command in a container ended. `output` is stdout and stderr as they came, cut at 1 MiB."""

    exit_code: int
    output: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBuild:
    """One build: by the engine's own builder, of local images only, without any credential."""

    name: str  # what the image will be called; empty: by its id only
    dockerfile: str  # its path in the context
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    cpus: int  # 0: no limit, as for memory
    memory_bytes: int
    cached: bool = True  # False: no layer that is there already is used


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBuilt:
    """How a build ended: with an image, or with the reason, and the step that it came to. Both are the engine's words."""

    image_id: str | None
    step: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A file of a saved image. `link` is what it is a link to; empty for a regular one.

    `chunks` must be read to the end, or not at all, before the next file is asked for.
    """

    name: str
    link: str
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class ExecOutput:
    """What a command wrote, in one piece. In a terminal all of it is standard output."""

    is_stderr: bool
    data: bytes


class ExecStream(Protocol):
    """A running command. Whoever opened it closes it, by leaving the context; that ends no process."""

    async def read(self) -> ExecOutput | None:
        """What it wrote next; None at the end, also where something that it left behind keeps its output open.

        Nothing is read ahead of the caller but a bounded buffer. Raises UpstreamFailed(code="engine.exec_lost").
        """
        ...

    async def write(self, data: bytes) -> None:
        """Hand it input; waits while it does not read. A command that has ended swallows it."""
        ...

    async def end_input(self) -> None:
        """Its standard input ends. May be repeated."""
        ...

    async def resize(self, size: TerminalSize) -> None:
        """Its terminal has this size from now on. Nothing happens if it has ended."""
        ...

    async def exit_code(self) -> int:
        """After the end of its output. Raises UpstreamFailed(code="engine.exec_lost") if it goes on nevertheless."""
        ...


class Engine(Protocol):
    """Runs containers. Every verb may be repeated. Docker now; Kubernetes when Berth grows."""

    async def ping(self) -> str:
        """The engine's version. Raises UpstreamFailed(code="engine.unreachable")."""
        ...

    async def architecture(self) -> str:
        """Of the images that it runs, in OCI's words: amd64, arm64."""
        ...

    async def find_image(self, reference: str) -> LocalImage | None: ...

    async def read_image_file(self, reference: str, path: str, *, labels: Mapping[str, str]) -> bytes | None:
        """A regular file of an image, at most 1 MiB, without running anything of it; None if it has none there.

        Whatever is made for that carries the labels, so that a crash leaves nothing unknown.
        """
        ...

    def pull(
        self, image: ImageReference, credential: RegistryCredential | Anonymous, token: SecretText | None
    ) -> AsyncIterator[PullProgress]:
        """Pull by digest with this credential for this request only. Raises UpstreamFailed(code="image.pull_failed").

        With a token the credential is not used: an engine sends a password wherever a registry tells it to (C7).
        """
        ...

    async def build(
        self, build: ImageBuild, context: AsyncIterator[bytes], on_output: Callable[[bytes], Awaitable[None]]
    ) -> ImageBuilt:
        """Build an image from a context, a tar; nothing is left running, also if it is cancelled or this process dies.

        Layers of a build that failed stay as a cache, for whoever has the same labels.
        """
        ...

    def export_image(self, image_id: str) -> AsyncIterator[ExportedFile]:
        """The image as the engine saves it, file by file, as it comes. Raises UpstreamFailed where that breaks off."""
        ...

    async def tag_image(self, reference: str, name: str) -> None:
        """Give an image that the engine holds one more name. Raises UpstreamFailed, NotFound."""
        ...

    async def remove_image(self, name: str) -> None:
        """Take the name away, and with the last one the image and its layers, unless a container needs them.

        Nothing happens if there is none, or if a container uses it under no other name.
        """
        ...

    async def list_images(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The names of all images that carry these labels."""
        ...

    async def prune_images(self, labels: Mapping[str, str], *, older_than_s: int) -> None:
        """Remove images with these labels that have no name, no container, and nothing built upon them."""
        ...

    async def list_containers(self, labels: Mapping[str, str]) -> tuple[Container, ...]:
        """All containers, stopped ones too, that carry all these labels; oldest first."""
        ...

    async def start_container(self, container_id: str) -> None: ...

    async def limit_container(self, container_id: str, *, cpus: int, memory_bytes: int) -> None:
        """What it may use from now on, swap included. 0 leaves a limit as it is: an engine takes none away."""
        ...

    async def stop_container(self, container_id: str, *, timeout_s: int) -> None: ...

    async def remove_container(self, container_id: str) -> None:
        """Force-remove, with its anonymous volumes. Nothing happens if it is gone."""
        ...

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
        """Run a command to its end. Environment and stdin travel in the engine's API, never in an argument list (L7).

        Cancelled, and where `on_output` raises, it lets go of the command; what runs, goes on.
        """
        ...

    def open_exec(
        self,
        container_id: str,
        command: Sequence[str],
        *,
        user: str,
        working_directory: str,
        terminal: TerminalSize | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Start a command and talk to it. `terminal`: it runs in one of this size. Raises NotFound, Conflict, UpstreamFailed."""
        ...

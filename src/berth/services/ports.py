"""The ports: what Berth needs of the world, each with two real implementations or an outside world behind it.

The database has no port: SQLAlchemy is the portability layer, `adapters/store`. Every method is async. Adapters raise
nothing but `Problem`s, translated at the boundary; what they return is a value of `domain`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from berth.domain.finding import Finding
from berth.domain.git_object import Commit, Signature, TreeEntry, WrittenFile
from berth.domain.image_reference import Digest, ImageReference
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.secret_text import SecretText
from berth.domain.unix_user import UnixUser


class Clock(Protocol):
    """The time of day."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class Entropy(Protocol):
    """Unguessable bytes."""

    def token_bytes(self, size_bytes: int) -> bytes: ...


class Sealer(Protocol):
    """Opens what clients sealed (S5), and encrypts what the store keeps under a key that the store does not hold."""

    def public_key(self, *, owner: str) -> tuple[str, str]:
        """(master key's id, standard padded base64 of the 32-byte X25519 key) to seal with now. Every owner has his own."""
        ...

    def open_sealed(self, key_id: str, sealed_base64: str, *, owner: str) -> SecretText:
        """Raises Invalid for an unknown key, base64 that is none, or a box that does not open: another owner's, too."""
        ...

    def encrypt(self, value: SecretText, *, context: str) -> bytes:
        """Envelope encryption: a fresh data key per value, wrapped by the newest master key. `context` is authenticated."""
        ...

    def decrypt(self, blob: bytes, *, context: str) -> SecretText:
        """Raises UpstreamFailed(code="secret.undecryptable") for a key that is not there, another context, a damaged blob."""
        ...

    def rewrap(self, blob: bytes) -> bytes | None:
        """The same value with its data key wrapped by the newest master key; None if it already is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """What the registry answered for one reference with one credential: the right to it is proven (L2)."""

    image: ImageReference  # with the digest of the engine's platform set
    media_type: str
    size_bytes: int
    pull_token: SecretText | None  # what a token service gave for this image; it lives for minutes
    password_shown: bool  # to the registry itself, which wants Basic: an engine tells it nothing new


@dataclass(frozen=True, slots=True)
class ImageRefused:
    """The registry did not give it, or could not be asked. Never means "anonymous" (C11)."""

    finding: Finding


class RegistryClient(Protocol):
    """Asks other registries, under C7 (who gets a credential) and C9 (which addresses may be reached)."""

    async def resolve(
        self, image: ImageReference, credential: RegistryCredential | Anonymous, architecture: str
    ) -> ResolvedImage | ImageRefused:
        """Get manifest and configuration, for linux and that architecture, with this credential, and check their digests.

        One login attempt at most. Bounded in time and size. Never raises.
        """
        ...

    async def check_login(self, credential: RegistryCredential) -> Finding | None:
        """Whether the registry takes the credential; None if it does. Never raises."""
        ...


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


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command in a container ended. `output` is stdout and stderr as they came, cut at 1 MiB."""

    exit_code: int
    output: bytes


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

    async def list_containers(self, labels: Mapping[str, str]) -> tuple[Container, ...]:
        """All containers, stopped ones too, that carry all these labels; oldest first."""
        ...

    async def start_container(self, container_id: str) -> None: ...

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
        on_output: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> ExecResult:
        """Run a command to its end. Environment and stdin travel in the engine's API, never in an argument list (L7)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpRequest:
    """One `devcontainer up --prebuild`: the sanitised configuration is complete, its image local and pinned by digest."""

    codespace: str  # name; deterministic label and lock key
    workspace: Path  # the checkout on this host, mounted at the same path into the sandbox
    configuration: Mapping[str, object]  # what is written as the override configuration
    labels: Mapping[str, str]  # id labels of the container


@dataclass(frozen=True, slots=True, kw_only=True)
class UpResult:
    """What the CLI reported."""

    container_id: str
    remote_user: str
    remote_workspace_folder: str


class DevContainers(Protocol):
    """The dev container CLI, contained: an empty environment (L5), a sandbox, its own process group."""

    async def up(self, request: UpRequest, on_line: Callable[[str], Awaitable[None]]) -> UpResult:
        """Create and start the container, run onCreateCommand and updateContentCommand, no later hook.

        Raises UpstreamFailed with code "devcontainer.hook_failed" or "devcontainer.up_failed". Cancellation kills the
        whole process group. Temporary files are gone when it returns or raises.
        """
        ...

    async def sweep(self) -> None:
        """At start-up: kill process groups and remove temporary files that a killed server left behind."""
        ...


class GitRepositories(Protocol):
    """Bare git repositories on disk, addressed by their id, never by a name that a user chose."""

    async def create(self, repository_id: int, *, default_branch: str) -> None:
        """An empty bare repository. What lies there belongs to no row (a creation was interrupted, or the database is
        older than the disk): it is put aside, never reused.
        """
        ...

    async def delete(self, repository_id: int) -> None: ...

    async def find_commit(self, repository_id: int, ref: str) -> str | None:
        """The full commit id that a branch, tag or (abbreviated) id names; None if there is none. `ref` may be hostile."""
        ...

    async def read_file(self, repository_id: int, commit: str, path: str) -> bytes | None:
        """A regular file's bytes at a commit (symlinks are not followed: None). At most 1 MiB, else LimitReached."""
        ...

    async def read_link(self, repository_id: int, commit: str, path: str) -> str | None:
        """What a symbolic link says, as it stands there: it may point anywhere. None for anything else."""
        ...

    async def check_out(
        self, repository_id: int, commit: str, *, branch: str | None, target: Path, origin: str
    ) -> None:
        """A working clone at `target` (absent or empty before) whose `origin` is that URL. Holds no credential.

        Interrupted, it leaves a directory that the next call replaces.
        """
        ...

    async def list_directory(self, repository_id: int, commit: str, path: str) -> tuple[TreeEntry, ...] | None:
        """The entries of a directory ("" is the root) at a commit; None if it is none. At most 1 000."""
        ...

    async def find_entry(self, repository_id: int, commit: str, path: str) -> TreeEntry | None:
        """What a path names at a commit."""
        ...

    async def get_commit(self, repository_id: int, commit: str) -> Commit:
        """A commit by its full id. Raises NotFound."""
        ...

    async def list_branches(self, repository_id: int) -> tuple[str, ...]:
        """The first 1 000 branches, by name."""
        ...

    async def set_default_branch(self, repository_id: int, branch: str) -> None:
        """What a clone checks out."""
        ...

    async def write_file(
        self,
        repository_id: int,
        *,
        branch: str,
        path: str,
        data: bytes,
        expected: str | None,
        message: str,
        author: Signature,
    ) -> WrittenFile:
        """Commit one file on a branch; in an empty repository this makes the first commit.

        `expected` is the blob that the caller saw at that path, None for a new file. Raises Conflict where the branch
        holds another, or moved meanwhile; NotFound for a branch that is not there in a repository that has others.
        """
        ...

    def path(self, repository_id: int) -> Path: ...


class Workspaces(Protocol):
    """The checkouts of codespaces on this host."""

    def path(self, codespace: str, repository: str) -> Path:
        """Where a codespace's checkout lies, or would."""
        ...

    async def give_to(self, codespace: str, owner: UnixUser) -> None:
        """Make the codespace's user the owner of everything in it. Not while a container sees it."""
        ...

    async def remove(self, codespace: str) -> None:
        """All of a codespace's files. Nothing happens if there are none."""
        ...

    def names(self) -> set[str]:
        """The codespaces that have files here."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRequest:
    """One request of git's smart HTTP protocol, its rights already decided."""

    repository: Path
    service_path: str  # info/refs, git-upload-pack or git-receive-pack
    method: str
    query: str
    content_type: str
    content_encoding: str
    protocol: str  # the Git-Protocol header
    login: str  # empty: anonymous, may not push


@dataclass(frozen=True, slots=True, kw_only=True)
class GitResponse:
    """Git's answer; `chunks` is read once."""

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: AsyncIterator[bytes]


class GitBackend(Protocol):
    """Speaks git's smart HTTP protocol for one repository."""

    def serve(self, request: GitRequest, body: AsyncIterator[bytes]) -> AbstractAsyncContextManager[GitResponse]:
        """Run one request; leaving the context ends whatever still runs. Bodies are streamed both ways."""
        ...


__all__ = [
    "Clock",
    "Container",
    "ContainerStatus",
    "DevContainers",
    "Digest",
    "Engine",
    "Entropy",
    "ExecResult",
    "GitBackend",
    "GitRepositories",
    "GitRequest",
    "GitResponse",
    "ImageRefused",
    "LocalImage",
    "PullProgress",
    "RegistryClient",
    "ResolvedImage",
    "Sealer",
    "UpRequest",
    "UpResult",
    "Workspaces",
]

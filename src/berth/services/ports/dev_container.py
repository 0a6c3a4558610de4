"""The dev container CLI, and the checkouts that it works on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from berth.domain.compose_container import MainContainer
from berth.domain.host_option import NO_OPTIONS, HostOptions
from berth.domain.machine import Machine
from berth.domain.unix_user import UnixUser


@dataclass(frozen=True, slots=True, kw_only=True)
class UpRequest:
    """One `devcontainer up --prebuild`: the sanitised configuration is complete, its image local and pinned by digest."""

    codespace: str  # name; deterministic label and lock key
    workspace: Path  # the checkout on this host, mounted at the same path into the sandbox
    folder: str  # where the container sees it
    image: str  # what the container runs, and nothing else: by digest or id
    machine: Machine
    configuration: Mapping[str, object]  # what is written as the override configuration
    labels: Mapping[str, str]  # id labels of the container
    options: HostOptions = NO_OPTIONS  # what of the host it gets, and says in the label OPTIONS_LABEL
    added: MainContainer | None = None  # what Compose files give it besides


@dataclass(frozen=True, slots=True, kw_only=True)
class UpResult:
    """What the CLI reported."""

    container_id: str
    remote_user: str
    remote_workspace_folder: str


class DevContainers(Protocol):
    """The dev container CLI, contained: an empty environment (L5), a sandbox, a filtered engine, its own process group."""

    async def up(self, request: UpRequest, on_line: Callable[[str], Awaitable[None]]) -> UpResult:
        """Create and start the container, run onCreateCommand and updateContentCommand, no later hook.

        Raises UpstreamFailed with code "devcontainer.hook_failed" or "devcontainer.up_failed". Cancellation kills the
        whole process group. Temporary files are gone when it returns or raises.
        """
        ...

    async def sweep(self) -> None:
        """At start-up: kill process groups and remove temporary files that a killed server left behind."""
        ...


class Workspaces(Protocol):
    """The checkouts of codespaces on this host."""

    def path(self, codespace: str, repository: str) -> Path:
        """Where a codespace's checkout lies, or would."""
        ...

    def find(self, codespace: str) -> Path | None:
        """The checkout that is there whole, whatever the repository was called when it was made."""
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

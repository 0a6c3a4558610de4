"""What the engine has of a codespace beside its own container: other services, their network, their volumes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from berth.domain.compose_container import ServiceContainer


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """What a look at a service's container found. `health` is the engine's word, empty without a health check."""

    is_running: bool  # also while it is being restarted
    exit_code: int = 0
    health: str = ""
    reason: str = ""  # why it did not even start, if the engine says


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """A network or a volume. `key` is what removes it."""

    key: str
    labels: Mapping[str, str]


class ServiceEngine(Protocol):
    """Networks, volumes and containers of services. Every verb may be repeated. Containers are started and removed by Engine."""

    async def make_network(self, name: str, labels: Mapping[str, str]) -> str:
        """The id of the network of this name and these labels, made if it is not there. Raises Conflict for another's name."""
        ...

    async def make_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """The volume of this name and these labels, made if it is not there. Raises Conflict for another's name."""
        ...

    async def make_container(self, container: ServiceContainer) -> str:
        """Its id; it does not run yet. Raises UpstreamFailed(code="engine.failed") with the engine's reason."""
        ...

    async def look_at(self, container_id: str) -> ServiceState:
        """Raises NotFound if it is gone."""
        ...

    async def stop_container(self, container_id: str) -> None:
        """Stop it in the time that it was made with, ten seconds where nothing was said. Nothing happens if it is gone."""
        ...

    async def last_output(self, container_id: str, *, lines: int) -> str:
        """The last lines that it wrote, to stdout and stderr, cut at some kilobytes."""
        ...

    async def list_belongings(self, labels: Mapping[str, str]) -> tuple[Belonging, ...]:
        """The networks and volumes with these labels."""
        ...

    async def remove_belonging(self, belonging: Belonging) -> None:
        """Nothing happens if it is gone, or if a container still uses it."""
        ...

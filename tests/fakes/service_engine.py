"""Networks, volumes and services in memory, beside the containers of a FakeEngine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.fakes.engine import FakeEngine

from berth.domain.compose_container import ServiceContainer
from berth.domain.problem import NotFound
from berth.services.ports import Belonging, ContainerStatus, ServiceState

FINE = ServiceState(is_running=True, health="healthy")


@dataclass
class FakeServiceEngine:
    """`state_of` says how a service is, by its name; `bodies` is what was asked for."""

    engine: FakeEngine
    belongings: dict[str, Belonging] = field(default_factory=dict)
    bodies: dict[str, Mapping[str, object]] = field(default_factory=dict)  # container id → body
    names: dict[str, str] = field(default_factory=dict)  # container id → name
    state_of: Callable[[str], ServiceState] = lambda _service: FINE
    output: str = "it said so"
    stopped: list[str] = field(default_factory=list)

    async def make_network(self, name: str, labels: Mapping[str, str]) -> str:
        self.engine._check("make_network")
        self.belongings[f"network {name}"] = Belonging(key=f"network {name}", labels=labels)
        return f"network {name}"

    async def make_volume(self, name: str, labels: Mapping[str, str]) -> None:
        self.engine._check("make_volume")
        self.belongings[f"volume {name}"] = Belonging(key=f"volume {name}", labels=labels)

    async def make_container(self, container: ServiceContainer) -> str:
        self.engine._check("make_container")
        labels = container.body["Labels"]
        assert isinstance(labels, dict)
        made = self.engine.make(labels, ContainerStatus.CREATED).container_id
        self.bodies[made], self.names[made] = container.body, container.name
        return made

    async def look_at(self, container_id: str) -> ServiceState:
        self.engine._check("look_at")
        if container_id not in self.engine.containers:
            raise NotFound("The container is gone.", code="container.gone")
        return self.state_of(self.engine.containers[container_id].labels["dev.berth.service"])

    async def stop_container(self, container_id: str) -> None:
        self.stopped.append(container_id)
        await self.engine.stop_container(container_id, timeout_s=10)

    async def last_output(self, container_id: str, *, lines: int) -> str:
        self.engine._check("last_output")
        return self.output

    async def list_belongings(self, labels: Mapping[str, str]) -> tuple[Belonging, ...]:
        self.engine._check("list_belongings")
        return tuple(one for one in self.belongings.values() if labels.items() <= one.labels.items())

    async def remove_belonging(self, belonging: Belonging) -> None:
        self.engine._check("remove_belonging")
        self.belongings.pop(belonging.key, None)

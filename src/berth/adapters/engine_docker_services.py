"""The ServiceEngine port on a Docker engine, through its HTTP API. Connections are those of one call, as in `engine_docker.py`.

Observed with engine 20.10: networks are told apart by id, and two of one name are possible only where both are made at the same
time; a volume that is there answers its making with itself, whatever labels were asked for.
Source: Docker Engine API 1.41.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiodocker import Docker, DockerError

from berth.adapters.engine_docker import ignoring, label_pairs, translating
from berth.domain.compose_container import ServiceContainer
from berth.domain.compose_service import MAX_STOP_S
from berth.domain.problem import Conflict
from berth.services.ports import Belonging, ServiceState

_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = _TIMEOUT_S + MAX_STOP_S
_MAX_OUTPUT = 4000
_NETWORKS, _VOLUMES = "networks", "volumes"


class DockerServices:
    """`docker_host` is what DOCKER_HOST would be."""

    def __init__(self, docker_host: str) -> None:
        self._docker_host = docker_host

    async def make_network(self, name: str, labels: Mapping[str, str]) -> str:
        async with self._connected() as docker:
            for network in await _listed(docker, _NETWORKS, {"name": [name]}):
                if network["Name"] == name:
                    _require_labels(network, labels)
                    return str(network["Id"])
            wanted = {"Name": name, "CheckDuplicate": True, "Driver": "bridge", "Labels": dict(labels)}
            made = await _post(docker, "networks/create", wanted)
            return str(made["Id"])

    async def make_volume(self, name: str, labels: Mapping[str, str]) -> None:
        async with self._connected() as docker:
            made = await _post(docker, "volumes/create", {"Name": name, "Driver": "local", "Labels": dict(labels)})
            _require_labels(made, labels)

    async def make_container(self, container: ServiceContainer) -> str:
        async with self._connected() as docker:
            body: dict[str, Any] = dict(container.body)
            made = await docker.containers.create(body, name=container.name)
            return str(made.id)

    async def look_at(self, container_id: str) -> ServiceState:
        async with self._connected() as docker:
            state = (await docker.containers.container(container_id).show())["State"]
        return ServiceState(
            is_running=bool(state["Running"]),
            exit_code=int(state["ExitCode"]),
            health=str((state.get("Health") or {}).get("Status", "")),
            reason=str(state.get("Error") or ""),
        )

    async def stop_container(self, container_id: str) -> None:
        async with self._connected(_STOP_TIMEOUT_S) as docker:
            with ignoring(404):
                await docker.containers.container(container_id).stop()

    async def last_output(self, container_id: str, *, lines: int) -> str:
        async with self._connected() as docker:
            container = docker.containers.container(container_id)
            said = await container.log(stdout=True, stderr=True, tail=lines)
        return "".join(said)[-_MAX_OUTPUT:].strip()

    async def list_belongings(self, labels: Mapping[str, str]) -> tuple[Belonging, ...]:
        filters = {"label": label_pairs(labels)}
        async with self._connected() as docker:
            networks = await _listed(docker, _NETWORKS, filters)
            volumes = await _listed(docker, _VOLUMES, filters)
        return (
            *(Belonging(key=f"{_NETWORKS}/{one['Id']}", labels=one.get("Labels") or {}) for one in networks),
            *(Belonging(key=f"{_VOLUMES}/{one['Name']}", labels=one.get("Labels") or {}) for one in volumes),
        )

    async def remove_belonging(self, belonging: Belonging) -> None:
        async with self._connected() as docker:
            with ignoring(403, 404, 409):  # 403 and 409: something uses it
                async with docker._query(belonging.key, "DELETE"):  # noqa: SLF001 one call for both kinds
                    pass

    @asynccontextmanager
    async def _connected(self, timeout_s: float = _TIMEOUT_S) -> AsyncIterator[Docker]:
        with translating():
            async with Docker(url=self._docker_host) as docker, asyncio.timeout(timeout_s):
                yield docker


async def _post(docker: Docker, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        answer: Mapping[str, Any] = await docker._query_json(path, "POST", data=body)  # noqa: SLF001 likewise
    except DockerError as error:
        if error.status == 409:
            raise _taken(str(body["Name"])) from error
        raise
    return answer


async def _listed(docker: Docker, kind: str, filters: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    answer = await docker._query_json(kind, params={"filters": json.dumps(filters)})  # noqa: SLF001 likewise
    found: list[dict[str, Any]] = (answer["Volumes"] or []) if isinstance(answer, dict) else answer
    return found


def _require_labels(found: Mapping[str, Any], labels: Mapping[str, str]) -> None:
    if not labels.items() <= (found.get("Labels") or {}).items():
        raise _taken(str(found["Name"]))


def _taken(name: str) -> Conflict:
    return Conflict(
        f"The engine has another network or volume of the name {name}.",
        code="compose.name_taken",
        remedy="Ask the administrator of this server to remove it, or create another codespace.",
    )

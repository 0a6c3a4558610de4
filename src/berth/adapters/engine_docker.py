"""The Engine port on a Docker engine, through its HTTP API.

Each call opens connections of its own and closes them: a cancelled call leaves none behind, and an engine that was restarted
meanwhile is no special case. No docker config is read: a pull has exactly the credential that it is given.

Observed with aiodocker 0.27: its stream of pull messages ends quietly when the connection breaks, so a pull counts only
with the engine's last word, "Status: …".
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiodocker import Docker, DockerError
from aiodocker.containers import DockerContainer

from berth.adapters.engine_docker_build import build_image
from berth.adapters.engine_docker_exec import DockerExecStream, converse, exit_code
from berth.adapters.engine_docker_export import export_files, only_file, tag
from berth.adapters.engine_problems import CONNECTION_FAILED, problem_of, pull_failed, readable, unreachable
from berth.domain.exec_frame import TerminalSize
from berth.domain.image_reference import ImageReference
from berth.domain.problem import UpstreamFailed
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
)

_GO_MODE_TYPE = 0x8F280000  # the bits of Go's os.FileMode that are set for what is no regular file
_MAX_FILE_BYTES = 1024 * 1024
_CALL_TIMEOUT_S = 60.0
_SILENCE_TIMEOUT_S = 900.0  # a pull that says nothing for so long is dead
_PROGRESS_INTERVAL_S = 0.2

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # for engines that answer as the kernel does
_STATUSES = {"created": ContainerStatus.CREATED, "running": ContainerStatus.RUNNING, "exited": ContainerStatus.EXITED}


class DockerEngine:
    """One Docker engine. `docker_host` is what DOCKER_HOST would be. Holds no connection, so it needs no closing."""

    def __init__(self, docker_host: str) -> None:
        self._docker_host = docker_host

    async def ping(self) -> str:
        async with self._bounded(5) as docker:
            return str((await docker.version())["Version"])

    async def architecture(self) -> str:
        async with self._bounded(5) as docker:
            machine = str((await docker.version())["Arch"])
        return _ARCHITECTURES.get(machine, machine)

    async def find_image(self, reference: str) -> LocalImage | None:
        async with self._bounded() as docker:
            try:
                image = await docker.images.inspect(reference)
            except DockerError as error:
                if error.status == 404:
                    return None
                raise
        config = image.get("Config") or {}
        return LocalImage(
            image_id=image["Id"],
            labels=config.get("Labels") or {},
            architecture=image.get("Architecture", ""),
            user=config.get("User") or "",
            triggers=tuple(config.get("OnBuild") or ()),
            entrypoint=tuple(config.get("Entrypoint") or ()),
        )

    async def pull(
        self, image: ImageReference, credential: RegistryCredential | Anonymous, token: SecretText | None
    ) -> AsyncIterator[PullProgress]:
        """Pull. Progress comes at most five times a second, and once more at the end, be it good or bad."""
        auth = _login(credential, token)
        layers = _Layers()
        clock = asyncio.get_running_loop()
        next_at = clock.time()
        async with self._connected() as docker:
            try:
                messages = docker.images.pull(image.pull_name, auth=auth, stream=True)
                while (message := await _next(messages)) is not None:
                    layers.take(message)
                    if clock.time() >= next_at:
                        next_at = clock.time() + _PROGRESS_INTERVAL_S
                        yield layers.progress()
            except DockerError as error:
                if error.status == CONNECTION_FAILED:
                    raise
                yield layers.progress()
                raise pull_failed(image, error.message, auth) from error
        yield layers.progress()
        if not layers.complete:
            raise pull_failed(image, "the engine ended the transfer too early", None)

    async def read_image_file(self, reference: str, path: str, *, labels: Mapping[str, str]) -> bytes | None:
        """Through a container that is made and removed, never started."""
        config: dict[str, Any] = {"Image": reference, "Cmd": ["-"], "NetworkDisabled": True, "Labels": dict(labels)}
        async with self._bounded() as docker:
            container = await docker.containers.create(config)
            try:
                with ignoring(404):
                    if await _is_small_file(docker, container.id, path):
                        with await container.get_archive(path) as archive:
                            return only_file(archive, _MAX_FILE_BYTES)
            finally:
                await container.delete(force=True, v=True)
        return None

    async def build(
        self, build: ImageBuild, context: AsyncIterator[bytes], on_output: Callable[[bytes], Awaitable[None]]
    ) -> ImageBuilt:
        async with self._connected() as docker:
            built = await build_image(docker, build, context, on_output)
        if built is None:
            raise unreachable()
        if "no space left on device" in built.reason:
            raise UpstreamFailed("The engine's disk is full.", code="engine.disk_full")
        return replace(built, reason=readable(built.reason))

    async def export_image(self, image_id: str) -> AsyncIterator[ExportedFile]:
        async with self._connected() as docker, aclosing(export_files(docker, image_id)) as files:
            async for file in files:
                yield file

    async def tag_image(self, reference: str, name: str) -> None:
        async with self._bounded() as docker:
            await tag(docker, reference, name)

    async def remove_image(self, name: str) -> None:
        async with self._bounded() as docker:
            with ignoring(404, 409):  # 409: a container needs it
                await docker.images.delete(name)

    async def list_images(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        async with self._bounded() as docker:
            found = await docker.images.list(filters={"label": label_pairs(labels)})
        return tuple(name for image in found for name in image.get("RepoTags") or () if name != "<none>:<none>")

    async def prune_images(self, labels: Mapping[str, str], *, older_than_s: int) -> None:
        filters = {"dangling": ["true"], "until": [f"{older_than_s}s"], "label": label_pairs(labels)}
        async with self._bounded() as docker:
            await docker._query_json("images/prune", "POST", params={"filters": json.dumps(filters)})  # noqa: SLF001 likewise

    async def list_containers(self, labels: Mapping[str, str]) -> tuple[Container, ...]:
        async with self._bounded() as docker:
            found = await docker.containers.list(all=True, filters=json.dumps({"label": label_pairs(labels)}))
        return tuple(_container(one) for one in sorted(found, key=lambda one: int(one["Created"])))

    async def start_container(self, container_id: str) -> None:
        async with self._bounded() as docker:
            await docker.containers.container(container_id).start()

    async def limit_container(self, container_id: str, *, cpus: int, memory_bytes: int) -> None:
        limits = {"NanoCpus": cpus * 10**9} if cpus else {}
        limits |= {"Memory": memory_bytes, "MemorySwap": memory_bytes} if memory_bytes else {}
        if not limits:
            return
        async with self._bounded() as docker:
            await docker._query_json(f"containers/{container_id}/update", "POST", data=limits)  # noqa: SLF001 it has no call for this

    async def stop_container(self, container_id: str, *, timeout_s: int) -> None:
        async with self._bounded(timeout_s + _CALL_TIMEOUT_S) as docker:
            with ignoring(404):
                await docker.containers.container(container_id).stop(t=timeout_s)

    async def remove_container(self, container_id: str) -> None:
        async with self._bounded() as docker:
            with ignoring(404, 409):  # 409: it is being removed already
                await docker.containers.container(container_id).delete(force=True, v=True)

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
        """Run a command. Cancelled, it leaves the process running in the container."""
        data = stdin.reveal().encode() if isinstance(stdin, SecretText) else stdin
        variables = {
            name: value.reveal() if isinstance(value, SecretText) else value
            for name, value in (environment or {}).items()
        }
        async with self._connected() as docker:
            process = await docker.containers.container(container_id).exec(
                list(command), stdin=bool(data), user=user, environment=variables, workdir=working_directory
            )
            async with process.start(detach=False) as stream:
                output = await converse(process, stream, data, on_output)
            return ExecResult(await exit_code(process), output)

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
    ) -> AsyncIterator[DockerExecStream]:
        """Errors of whoever talks to it stay his: only what happens at the start is translated here."""
        async with AsyncExitStack() as stack:
            with translating():
                docker = await stack.enter_async_context(Docker(url=self._docker_host))
                process = await docker.containers.container(container_id).exec(
                    list(command),
                    stdin=True,
                    tty=terminal is not None,
                    user=user,
                    environment=dict(environment or {}),
                    workdir=working_directory,
                )
                stream = process.start(detach=False)
                stack.push_async_callback(stream.close)
                await stream.__aenter__()
            running = DockerExecStream(process, stream)
            stack.push_async_callback(running.close)
            if terminal is not None:
                await running.resize(terminal)
            yield running

    @asynccontextmanager
    async def _bounded(self, timeout_s: float = _CALL_TIMEOUT_S) -> AsyncIterator[Docker]:
        async with self._connected() as docker, asyncio.timeout(timeout_s):
            yield docker

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Docker]:
        """A client whose errors are Problems, and whose connections end with the block."""
        with translating():
            async with Docker(url=self._docker_host) as docker:
                yield docker


@contextmanager
def translating() -> Iterator[None]:
    """What the engine says no with becomes a Problem."""
    try:
        yield
    except DockerError as error:
        raise problem_of(error) from error
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise unreachable() from error


async def _is_small_file(docker: Docker, container_id: str, path: str) -> bool:
    """Whether it is a regular file that may be read into memory; asked before the content is.

    Source: Docker Engine API 1.41, "Get information about files in a container"; `mode` is Go's os.FileMode.
    """
    url = f"containers/{container_id}/archive"
    async with docker._query(url, "HEAD", params={"path": path}) as answer:  # noqa: SLF001 it has no call for this one
        stat = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    return int(stat["mode"]) & _GO_MODE_TYPE == 0 and int(stat["size"]) <= _MAX_FILE_BYTES


class _Layers:
    """How far each layer of a pull is."""

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[int, int]] = {}  # layer → bytes done, bytes in all
        self._done: set[str] = set()
        self.complete = False

    def take(self, message: Mapping[str, Any]) -> None:
        status, layer = str(message.get("status", "")), str(message.get("id", ""))
        if status.startswith("Status: "):
            self.complete = True
        elif status in {"Pulling fs layer", "Already exists", "Pull complete", "Download complete", "Downloading"}:
            done, total = self._sizes.get(layer, (0, 0))
            if status == "Downloading":
                detail = message.get("progressDetail") or {}
                done, total = int(detail.get("current", done)), max(int(detail.get("total", 0)), total)
            elif status != "Pulling fs layer":
                done = total
            self._sizes[layer] = (done, total)
            if status in {"Already exists", "Pull complete"}:
                self._done.add(layer)

    def progress(self) -> PullProgress:
        return PullProgress(
            layers_total=len(self._sizes),
            layers_done=len(self._done),
            bytes_total=sum(total for _, total in self._sizes.values()),
            bytes_done=sum(done for done, _ in self._sizes.values()),
        )


async def _next(messages: AsyncIterator[dict[str, Any]]) -> dict[str, Any] | None:
    async with asyncio.timeout(_SILENCE_TIMEOUT_S):
        return await anext(messages, None)


def _container(listed: DockerContainer) -> Container:
    return Container(
        container_id=listed["Id"],
        name=(listed["Names"] or [""])[0].removeprefix("/"),
        status=_STATUSES.get(listed["State"], ContainerStatus.OTHER),
        labels=listed["Labels"] or {},
        image_id=listed["ImageID"],
        created_at=datetime.fromtimestamp(int(listed["Created"]), UTC),
    )


def label_pairs(labels: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in labels.items()]


@contextlib.contextmanager
def ignoring(*statuses: int) -> Any:
    try:
        yield
    except DockerError as error:
        if error.status not in statuses:
            raise


def _login(credential: RegistryCredential | Anonymous, token: SecretText | None) -> dict[str, str] | None:
    """What the engine is told. A registry token is used as it is: no token service is asked."""
    if token is not None:
        return {"registrytoken": token.reveal()}
    if isinstance(credential, Anonymous):
        return None
    return {"username": credential.user, "password": credential.password.reveal()}

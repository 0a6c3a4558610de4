"""Everything the main job needs, for real: an engine, a registry with a private image, a server, a repository, a triple."""

import asyncio
import base64
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from nacl.public import PublicKey, SealedBox
from tests.server import Server, free_port

ORGANIZATION = "acme"
REGISTRY_USER = "robot"
REGISTRY_PASSWORD = "correct-horse-battery"


@dataclass
class World:
    """One of everything. `repository` is private and has a devcontainer.json that names the private image."""

    server: Server
    docker_host: str
    registry_host: str
    image: str
    repository: str
    other_host: str  # 127.0.0.1 and a free port, plain HTTP allowed: for a test that plays a registry itself

    async def containers(self, *, everything: bool = True) -> list[dict[str, Any]]:
        """The engine's containers that belong to this world's server."""
        async with engine_api(self.docker_host) as engine:
            filters = json.dumps({"label": ["dev.berth.codespace"]})
            answer = await engine.get("/containers/json", params={"all": int(everything), "filters": filters})
            return list(answer.raise_for_status().json())

    async def until(self, condition: Callable[[], Awaitable[bool]], timeout_s: float = 30) -> None:
        async with asyncio.timeout(timeout_s):
            while not await condition():
                await asyncio.sleep(0.05)

    async def until_gone(self, name: str) -> None:
        """Wait until a deleted codespace has left no container and no checkout."""

        async def gone() -> bool:
            labels = [container["Labels"]["dev.berth.codespace"] for container in await self.containers()]
            return name not in labels and not (self.server.data / "codespaces" / name).exists()

        await self.until(gone)

    def leftover_processes(self) -> list[str]:
        """Command lines of sandboxes of the dev container CLI that still run."""
        return [line for line in command_lines() if "bwrap" in line and str(self.server.data) in line]

    async def commit(self, api: httpx.AsyncClient, path: str, content: str, repository: str | None = None) -> None:
        """Commit a file through the API."""
        target = f"/repos/{repository or self.repository}/contents/{path}"
        body: dict[str, Any] = {"message": f"add {path}", "content": base64.b64encode(content.encode()).decode()}
        existing = await api.get(target)
        if existing.status_code == 200:
            body["sha"] = existing.json()["sha"]
        answer = await api.put(target, json=body)
        assert answer.status_code in {200, 201}, answer.text


def command_lines() -> list[str]:
    """The command line of every process on this machine."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it ended meanwhile
    return lines


def engine_api(docker_host: str) -> httpx.AsyncClient:
    """On a unix socket, so without authorities: to load them takes longer than most questions."""
    transport = httpx.AsyncHTTPTransport(uds=docker_host.removeprefix("unix://"), verify=False)
    return httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=60)


def busybox_layer() -> bytes:
    """The tar of a small dev image: busybox with its usual names, and a user `dev`."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("sh", "ls", "cat", "sleep", "id", "mkdir", "chmod", "chown", "ln", "rm", "mv", "env", "test"):
            _link(tar, f"bin/{name}")
        for name in (
            "base64",
            "head",
            "tail",
            "wc",
            "cut",
            "grep",
            "sed",
            "tr",
            "readlink",
            "dirname",
            "touch",
            "stat",
        ):
            _link(tar, f"bin/{name}")
        for name in ("uname", "printf", "echo", "true", "false", "kill", "ps", "cp", "mktemp", "getent", "awk", "sort"):
            _link(tar, f"bin/{name}")
        _file(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\ndev:x:1000:1000:dev:/home/dev:/bin/sh\n")
        _file(tar, "etc/group", "root:x:0:\ndev:x:1000:\n")
        for folder, owner in (("root", 0), ("home/dev", 1000), ("tmp", 0), ("etc/profile.d", 0)):
            info = tarfile.TarInfo(folder)
            info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, 0o755, owner, owner
            tar.addfile(info)
    return raw.getvalue()


def _link(tar: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "busybox"
    tar.addfile(info)


def _file(tar: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(text), 0o644
    tar.addfile(info, io.BytesIO(text.encode()))


async def import_image(
    docker_host: str,
    repository: str,
    tag: str,
    *instructions: str,
    labels: dict[str, str] | None = None,
    layer: bytes | None = None,
) -> str:
    """An image in the engine under this name, of busybox if no layer is given; `instructions` are lines of a Dockerfile."""
    labelled = [f"LABEL {key}={json.dumps(value)}" for key, value in (labels or {}).items()]
    changes = ["ENV PATH=/bin", *labelled, *instructions]
    query: list[tuple[str, str | int | float | bool | None]] = [("fromSrc", "-"), ("repo", repository), ("tag", tag)]
    query += [("changes", change) for change in changes]
    async with engine_api(docker_host) as engine:
        answer = await engine.post("/images/create", params=query, content=layer or busybox_layer())
        assert answer.status_code == 200, answer.text
    return f"{repository}:{tag}"


async def push(docker_host: str, image: str, user: str, password: str) -> None:
    """Push with these credentials, then remove it from the engine."""
    auth = base64.urlsafe_b64encode(json.dumps({"username": user, "password": password}).encode()).decode()
    name, _, tag = image.rpartition(":")
    async with engine_api(docker_host) as engine:
        answer = await engine.post(f"/images/{name}/push", params={"tag": tag}, headers={"X-Registry-Auth": auth})
        assert '"errorDetail"' not in answer.text, answer.text
        (await engine.delete(f"/images/{image}", params={"force": "1"})).raise_for_status()


async def put_secret(api: httpx.AsyncClient, url: str, value: str, **body: Any) -> httpx.Response:
    """Seal and store a secret at `url`, such as /orgs/acme/codespaces/secrets/NAME."""
    key = (await api.get(f"{url.rpartition('/')[0]}/public-key")).raise_for_status().json()
    sealed = SealedBox(PublicKey(base64.b64decode(key["key"]))).encrypt(value.encode())
    content = {"encrypted_value": base64.b64encode(sealed).decode(), "key_id": key["key_id"], **body}
    return await api.put(url, json=content)


async def put_triple(api: httpx.AsyncClient, base: str, prefix: str, values: tuple[str, str, str], **body: Any) -> None:
    """Store a triple below `base`, such as /orgs/acme/codespaces/secrets."""
    for part, value in zip(("SERVER", "USER", "PASSWORD"), values, strict=True):
        answer = await put_secret(api, f"{base}/{prefix}_CONTAINER_REGISTRY_{part}", value, **body)
        assert answer.status_code in {201, 204}, answer.text


@asynccontextmanager
async def make_world(
    folder: Path,
    docker_host: str,
    registry_host: str,
    settings: dict[str, str] | None = None,
    *,
    also_listen: tuple[str, ...] = (),
) -> AsyncIterator[World]:
    """A server of its own on a shared engine and registry."""
    image = f"{registry_host}/team/dev-{os.urandom(3).hex()}:1"
    await import_image(docker_host, *_split(image))
    await push(docker_host, image, REGISTRY_USER, REGISTRY_PASSWORD)
    other_host = f"127.0.0.1:{free_port()}"
    insecure = f"{registry_host},{other_host}"
    made = Server(folder / "data", docker_host, insecure, settings or {}, also_listen=also_listen)
    async with made as server, server.api() as api:
        world = World(server, docker_host, registry_host, image, f"{ORGANIZATION}/webapp", other_host)
        await _set_up(world, api)
        yield world


async def _set_up(world: World, api: httpx.AsyncClient) -> None:
    for url, body in (
        ("/admin/organizations", {"login": ORGANIZATION, "admin": "admin"}),
        (f"/orgs/{ORGANIZATION}/repos", {"name": "webapp", "private": True}),
    ):
        answer = await api.post(url, json=body)
        assert answer.status_code == 201, answer.text
    await world.commit(api, ".devcontainer/devcontainer.json", json.dumps({"image": world.image}))
    triple = (world.registry_host, REGISTRY_USER, REGISTRY_PASSWORD)
    await put_triple(api, f"/orgs/{ORGANIZATION}/codespaces/secrets", "CORP", triple, visibility="all")


def _split(image: str) -> tuple[str, str]:
    name, _, tag = image.rpartition(":")
    return name, tag

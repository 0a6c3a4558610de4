"""Debian's docker-registry (CNCF distribution 2.8) as a process of its own, with htpasswd or any other `auth`."""

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import bcrypt
import httpx

from berth.domain.image_reference import Digest

PROGRAM = "docker-registry"
CONFIG_BODY = b'{"rootfs": {"type": "layers", "diff_ids": []}}'
CONFIG = Digest.of(CONFIG_BODY)
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(CONFIG_BODY),
            "digest": str(CONFIG),
        },
        "layers": [],
    }
).encode()


@asynccontextmanager
async def run_docker_registry(folder: Path, user: str, password: str) -> AsyncIterator[str]:
    """Its host:port, with acme/app:1 pushed. Fails if the program is not installed; `make setup` installs it."""
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{user}:{hashed}\n")
    async with start_docker_registry(folder, f"htpasswd: {{realm: test, path: {folder}/htpasswd}}") as address:
        async with httpx.AsyncClient(base_url=f"http://{address}", auth=(user, password), trust_env=False) as client:
            await _push(client)
        yield address


@asynccontextmanager
async def start_docker_registry(folder: Path, auth: str) -> AsyncIterator[str]:
    """An empty one with this `auth` in its configuration; its host:port."""
    program = shutil.which(PROGRAM)
    assert program, f"{PROGRAM} is not installed; run: make setup"
    address = f"127.0.0.1:{free_port()}"
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {{addr: '{address}'}}\n"
        f"auth: {{{auth}}}\n"
    )
    process = await asyncio.create_subprocess_exec(
        program,
        "serve",
        str(folder / "config.yml"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
            await _wait(client)
        yield address
    finally:
        process.terminate()
        await process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def _wait(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await client.get("/v2/")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


async def _push(client: httpx.AsyncClient) -> None:
    upload = await client.post("/v2/acme/app/blobs/uploads/")
    blob = await client.put(
        upload.headers["location"],
        params={**httpx.URL(upload.headers["location"]).params, "digest": str(CONFIG)},
        content=CONFIG_BODY,
    )
    assert blob.status_code == 201, blob.text
    manifest = await client.put("/v2/acme/app/manifests/1", content=MANIFEST, headers={"Content-Type": MANIFEST_TYPE})
    assert manifest.status_code == 201, manifest.text

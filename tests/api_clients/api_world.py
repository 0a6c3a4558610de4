"""A server that listens in three ways at once, for clients of GitHub's API: plain on loopback, TLS, and a unix socket."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.fakes.certificates import Authority
from tests.own_registry import own_host
from tests.server import free_port
from tests.world import ORGANIZATION, World, import_image, make_world, push

USER = "octo"  # owner of the organization
SCOPES = ("repo", "delete_repo", "user", "admin:org", "codespace", "write:packages", "delete:packages")
REPOSITORY = f"{ORGANIZATION}/webapp"  # private; its codespaces start from a private image


@dataclass
class ApiWorld:
    """USER owns the organization, and `token` is one of his with all scopes that gh asks for."""

    world: World
    tls_host: str
    socket: Path
    ca_file: Path
    token: str

    @property
    def plain_url(self) -> str:
        return self.world.server.url

    def api(self, token: str | None = None) -> httpx.AsyncClient:
        return self.world.server.api(token or self.token)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self.api() as api:
            answer = await api.post(path, json=body)
            assert answer.status_code in {200, 201}, answer.text
            return dict(answer.json())

    async def new_repository(self, owner: str = ORGANIZATION) -> tuple[str, int]:
        """owner/name and id."""
        path = "/user/repos" if owner == USER else f"/orgs/{owner}/repos"
        made = await self.post(path, {"name": f"r{os.urandom(4).hex()}", "private": True})
        return str(made["full_name"]), int(made["id"])

    async def new_codespace(self) -> str:
        """The name of one that is Available."""
        async with self.api() as api:
            made = await api.post(f"/repos/{REPOSITORY}/codespaces", json={})
            assert made.status_code == 201, made.text
            name = str(made.json()["name"])
            codespace = await self.world.server.until_at_rest(api, name)
            assert codespace["state"] == "Available", codespace
        return name

    async def new_package(self, owner: str = ORGANIZATION) -> str:
        """The name of a package, with two versions: an untagged one, and one with the tag `1`."""
        name = f"hello/web-{os.urandom(4).hex()}"
        image = f"{own_host(self.world)}/{owner}/{name}"
        for number in range(2):
            await import_image(self.world.docker_host, image, "1", labels={"number": str(number)})
            await push(self.world.docker_host, f"{image}:1", USER, self.token)
        return name


@asynccontextmanager
async def make_api_world(folder: Path, docker_host: str, registry_host: str) -> AsyncIterator[ApiWorld]:
    authority = Authority(folder)
    authority.server_context("localhost")
    chain = str(folder / "localhost.pem")  # with its key
    tls_host, socket = f"localhost:{free_port()}", folder / "berth.sock"
    settings = {"BERTH_TLS_CERT": chain, "BERTH_TLS_KEY": chain}
    listen = (tls_host.replace("localhost", "127.0.0.1"), f"unix:{socket}")
    async with make_world(folder, docker_host, registry_host, settings, also_listen=listen) as world:
        async with world.server.api() as admin:
            for method, path, body in (
                ("POST", "/admin/users", {"login": USER, "email": f"{USER}@example.com"}),
                ("PUT", f"/orgs/{ORGANIZATION}/memberships/{USER}", {"role": "admin"}),
            ):
                (await admin.request(method, path, json=body)).raise_for_status()
            made = await admin.post(f"/admin/users/{USER}/authorizations", json={"scopes": list(SCOPES)})
            token = str(made.raise_for_status().json()["token"])
        yield ApiWorld(world, tls_host, socket, authority.ca_file, token)

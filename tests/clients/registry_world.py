"""A server whose registry real clients use, with people, repositories and tokens."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from tests.clients.images import SOURCE
from tests.clients.wire import Wire
from tests.world import ORGANIZATION, World, make_world

MEMBER, OUTSIDER = "mia", "otto"
PRIVATE, PUBLIC, OTHER = f"{ORGANIZATION}/webapp", f"{ORGANIZATION}/site", f"{ORGANIZATION}/other"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSettings:
    """What the API says of a package."""

    visibility: str
    inherit_access: bool
    repository: str | None  # the one that it is linked to


@dataclass
class RegistryWorld:
    """MEMBER belongs to the organization and may push to PRIVATE; OUTSIDER knows nobody. `host` is where clients go."""

    world: World
    wire: Wire

    @property
    def host(self) -> str:
        return self.wire.host

    @property
    def url(self) -> str:
        """What the server believes its address to be."""
        return f"http://{self.wire.host}"

    def api(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"token {token or self.world.server.admin_token}"}
        return httpx.Client(base_url=f"{self.world.server.url}/api/v3", headers=headers, timeout=60, trust_env=False)

    def token(self, login: str, *scopes: str) -> str:
        """A personal access token."""
        return str(self._post(f"/admin/users/{login}/authorizations", {"scopes": list(scopes)})["token"])

    def workflow_token(self, repository: str, packages: str = "write") -> str:
        return str(self._post(f"/repos/{repository}/workflow-tokens", {"permissions": {"packages": packages}})["token"])

    def new_name(self, owner: str = ORGANIZATION) -> str:
        """A package that does not exist yet: owner/name."""
        return f"{owner}/app-{os.urandom(4).hex()}"

    def source(self, repository: str) -> dict[str, str]:
        """The label, or annotation, that says that an image was built from this repository."""
        return {SOURCE: f"{self.url}/{repository}"}

    def settings(self, name: str) -> PackageSettings:
        """Of an organization's package."""
        owner, _, rest = name.partition("/")
        with self.api() as api:
            answer = api.get(f"/orgs/{owner}/packages/container/{quote(rest, safe='')}/settings")
        body = answer.raise_for_status().json()
        return PackageSettings(
            visibility=body["visibility"], inherit_access=body["inherit_access"], repository=body["repository"]
        )

    def ask(self, method: str, path: str, token: str | None, scope: str, **options: Any) -> httpx.Response:
        """A plain request with a registry token for this scope."""
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            auth = None if token is None else ("x", token)
            got = client.get("/token", params={"scope": scope}, auth=auth or httpx.USE_CLIENT_DEFAULT)
            headers = {
                "Authorization": f"Bearer {got.raise_for_status().json()['token']}",
                **options.pop("headers", {}),
            }
            return client.request(method, path, headers=headers, **options)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.api() as api:
            answer = api.post(path, json=body)
            assert answer.status_code in {200, 201}, answer.text
            return dict(answer.json())

    def fill(self) -> None:
        for login in (MEMBER, OUTSIDER):
            self._post("/admin/users", {"login": login, "email": f"{login}@example.com"})
        for repository, private in ((PUBLIC, False), (OTHER, True)):
            self._post(f"/orgs/{ORGANIZATION}/repos", {"name": repository.partition("/")[2], "private": private})
        with self.api() as api:
            joined = api.put(f"/orgs/{ORGANIZATION}/memberships/{MEMBER}", json={"role": "member"})
            assert joined.status_code == 200, joined.text
            added = api.put(f"/repos/{PRIVATE}/collaborators/{MEMBER}", json={"permission": "push"})
            assert added.status_code in {201, 204}, added.text


@asynccontextmanager
async def make_registry_world(folder: Path, docker_host: str, registry_host: str) -> AsyncIterator[RegistryWorld]:
    """The server is told that its address is the wire's, as behind any proxy."""
    with Wire() as wire:
        settings = {"BERTH_EXTERNAL_URL": f"http://{wire.host}"}
        async with make_world(folder, docker_host, registry_host, settings) as world:
            wire.port = world.server.port
            made = RegistryWorld(world, wire)
            made.fill()
            yield made

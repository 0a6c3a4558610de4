"""The built-in registry from outside: publishing as a CI job does, and clients that log in with a docker config."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert
from tests.server import fresh_name
from tests.world import World, engine_api, import_image, push

from berth.adapters.store import package as package_rows
from berth.adapters.store.database import Store
from berth.adapters.store.package import Asker
from berth.adapters.store.package_tables import package_codespaces
from berth.domain.package import PackageName

CONFIGURATION = ".devcontainer/devcontainer.json"


def own_host(world: World) -> str:
    """Where the built-in registry answers."""
    return world.server.url.removeprefix("http://")


async def make_organization(api: httpx.AsyncClient) -> str:
    login = fresh_name("o")
    answer = await api.post("/admin/organizations", json={"login": login, "admin": "admin"})
    assert answer.status_code == 201, answer.text
    return login


async def make_user(world: World, api: httpx.AsyncClient, *scopes: str) -> tuple[str, str]:
    """(login, token)."""
    login = fresh_name("u")
    answer = await api.post("/admin/users", json={"login": login, "email": f"{login}@example.com"})
    assert answer.status_code == 201, answer.text
    wanted = {"scopes": list(scopes or ("repo", "codespace", "read:packages"))}
    made = await api.post(f"/admin/users/{login}/authorizations", json=wanted)
    assert made.status_code == 201, made.text
    return login, str(made.json()["token"])


async def make_repository(
    world: World, api: httpx.AsyncClient, full_name: str, image: str, *, visibility: str = "private"
) -> int:
    """A repository whose codespaces start from that image; its id. Of the caller's own, if it has no organization."""
    owner, _, name = full_name.partition("/")
    mine = (await api.get("/user")).json()["login"] == owner
    answer = await api.post(
        "/user/repos" if mine else f"/orgs/{owner}/repos", json={"name": name, "visibility": visibility}
    )
    assert answer.status_code == 201, answer.text
    await world.commit(api, CONFIGURATION, json.dumps({"image": image}), full_name)
    return int(answer.json()["id"])


async def workflow_token(api: httpx.AsyncClient, full_name: str, packages: str = "write") -> str:
    """What a CI job of the repository is given."""
    answer = await api.post(f"/repos/{full_name}/workflow-tokens", json={"permissions": {"packages": packages}})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


async def publish(
    world: World, api: httpx.AsyncClient, full_name: str, package: str = "dev", *, layer: bytes | None = None
) -> str:
    """Push the image as `docker push` in a job of the repository does; its name. The engine keeps no copy."""
    image = f"{own_host(world)}/{full_name.partition('/')[0]}/{package}:1"
    name, _, tag = image.rpartition(":")
    await import_image(world.docker_host, name, tag, layer=layer)
    await push(world.docker_host, image, "ci", await workflow_token(api, full_name))
    return image


async def launch(world: World, api: httpx.AsyncClient, full_name: str) -> dict[str, Any]:
    """The codespace, at rest."""
    answer = await api.post(f"/repos/{full_name}/codespaces", json={})
    assert answer.status_code == 201, answer.text
    return await world.server.until_at_rest(api, answer.json()["name"], timeout_s=90)


async def launch_well(world: World, api: httpx.AsyncClient, full_name: str) -> str:
    """The codespace's name."""
    codespace = await launch(world, api, full_name)
    assert codespace["state"] == "Available", codespace
    return str(codespace["name"])


async def launch_badly(world: World, api: httpx.AsyncClient, full_name: str) -> dict[str, Any]:
    """The finding."""
    codespace = await launch(world, api, full_name)
    assert codespace["state"] == "Failed", codespace["state"]
    finding: dict[str, Any] = codespace["finding"]
    return finding


async def run_inside(api: httpx.AsyncClient, name: str, script: str) -> tuple[int, str]:
    """A shell in the codespace."""
    answer = await api.post(f"/user/codespaces/{name}/exec", json={"command": ["sh", "-c", script]})
    assert answer.status_code == 200, answer.text
    return answer.json()["exit_code"], base64.b64decode(answer.json()["output"]).decode()


async def docker_config(api: httpx.AsyncClient, name: str) -> dict[str, str]:
    """The codespace's docker config: host → user:password."""
    code, text = await run_inside(api, name, "cat ~/.docker/config.json")
    assert code == 0, text
    return {host: base64.b64decode(entry["auth"]).decode() for host, entry in json.loads(text)["auths"].items()}


async def holds_image(world: World, image: str) -> bool:
    """Whether the engine has anything of this name."""
    async with engine_api(world.docker_host) as engine:
        listed = (await engine.get("/images/json", params={"digests": "1"})).raise_for_status().json()
    name = image.rpartition(":")[0]
    return any(reference.startswith(f"{name}@") for one in listed for reference in one.get("RepoDigests") or ())


class Skopeo:
    """skopeo, logged in as a codespace is: with the docker config that was found inside it."""

    def __init__(self, folder: Path, config: dict[str, str]) -> None:
        auths = {host: {"auth": base64.b64encode(pair.encode()).decode()} for host, pair in config.items()}
        self._folder = folder
        self._authfile = folder / fresh_name("auth-")
        self._authfile.write_text(json.dumps({"auths": auths}))

    async def pull(self, image: str) -> tuple[bool, str]:
        return await self._copy(f"docker://{image}", f"dir:{self._folder / fresh_name('image-')}")

    async def push(self, folder: Path, image: str) -> tuple[bool, str]:
        return await self._copy(f"dir:{folder}", f"docker://{image}")

    async def pull_to(self, image: str, folder: Path) -> None:
        done, said = await self._copy(f"docker://{image}", f"dir:{folder}")
        assert done, said

    async def _copy(self, source: str, target: str) -> tuple[bool, str]:
        """Whether it worked, and what it said."""
        process = await asyncio.create_subprocess_exec(
            "skopeo", "copy", "--authfile", str(self._authfile), "--src-tls-verify=false", "--dest-tls-verify=false",
            "--retry-times=0", source, target,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode == 0, said.decode(errors="replace")


@asynccontextmanager
async def packages_of(world: World) -> AsyncIterator[Store]:
    """The server's own database, beside it: what no route does yet."""
    store = Store(f"sqlite:///{world.server.data}/berth.db")
    try:
        yield store
    finally:
        await store.close()


async def change_package(world: World, image: str, **values: Any) -> int:
    """Set columns of the package behind an image; its id."""
    name = PackageName(*image.partition("/")[2].rpartition(":")[0].split("/", 1))
    async with packages_of(world) as store, store.begin() as connection:
        known = await package_rows.find_known_package(connection, Asker(None), name)
        assert known is not None
        if values:
            await package_rows.update_package(connection, known.package.id, values)
        return known.package.id


async def allow_codespaces(world: World, image: str, repository_id: int) -> None:
    """Put the repository on the package's Codespaces access list (A7 c)."""
    package_id = await change_package(world, image)
    async with packages_of(world) as store, store.begin() as connection:
        await connection.execute(insert(package_codespaces).values(package_id=package_id, repository_id=repository_id))

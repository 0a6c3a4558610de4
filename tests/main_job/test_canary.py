"""L7: secrets planted in every place are found nowhere but where they belong."""

import asyncio
import base64
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.server import fresh_name
from tests.world import World, command_lines, engine_api, put_secret, put_triple

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(240)]

CANARIES = {
    "user": "canary-user-7d21e0",
    "repository": "canary-repository-7d21e0",
    "organization": "canary-organization-7d21e0",
    "password": "canary-password-7d21e0",
}
HOOK = "echo $PLANTED_USER $PLANTED_REPOSITORY $PLANTED_ORGANIZATION $MY_CONTAINER_REGISTRY_PASSWORD; sleep 1"


def forms() -> list[bytes]:
    """Each canary as it is and in base64 at each of the three alignments."""
    found = []
    for value in CANARIES.values():
        raw = value.encode()
        found.append(raw)
        for shift in range(3):
            found.append(base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4])
    return found


def holds_canary(data: bytes) -> bool:
    return any(form in data for form in forms())


class ProcessWatch:
    """Reads every command line on the machine, again and again, while a launch runs."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.looks = 0

    async def run(self) -> None:
        while True:
            self.found |= {line[:300] for line in await asyncio.to_thread(command_lines) if holds_canary(line.encode())}
            self.looks += 1
            await asyncio.sleep(0.005)


def test_the_search_finds_what_it_looks_for() -> None:
    secret = CANARIES["password"]
    assert holds_canary(f"x {secret} y".encode())
    for user in ("a", "ab", "abc"):
        assert holds_canary(base64.b64encode(f"{user}:{secret}".encode())), user
    assert not holds_canary(b"nothing here")


async def test_l7_planted_secrets_are_found_nowhere(world: World) -> None:
    owner = fresh_name("c")
    watch = ProcessWatch()
    async with world.server.api() as api:
        assert (await api.post("/admin/organizations", json={"login": owner, "admin": "admin"})).status_code == 201
        repository = (await api.post(f"/orgs/{owner}/repos", json={"name": "r", "private": True})).json()
        config = {"image": world.image, "postCreateCommand": HOOK, "postStartCommand": "env; " + HOOK}
        await world.commit(api, ".devcontainer/devcontainer.json", json.dumps(config), f"{owner}/r")
        places: dict[str, tuple[str, dict[str, Any]]] = {
            "user": ("/user/codespaces/secrets", {"selected_repository_ids": [repository["id"]]}),
            "repository": (f"/repos/{owner}/r/codespaces/secrets", {}),
            "organization": (f"/orgs/{owner}/codespaces/secrets", {"visibility": "all"}),
        }
        for level, (base, body) in places.items():
            answer = await put_secret(api, f"{base}/PLANTED_{level.upper()}", CANARIES[level], **body)
            assert answer.status_code == 201, answer.text
        # The world's own credential at organization level opens the image; a wrong one at user level fails the first launch.
        bad = (world.registry_host, "robot", CANARIES["password"])
        await put_triple(api, places["user"][0], "MY", bad, **places["user"][1])
        failed = (await api.post(f"/repos/{owner}/r/codespaces", json={})).json()["name"]
        assert (await world.server.until_at_rest(api, failed))["state"] == "Failed"
        good = (world.registry_host, "robot", "correct-horse-battery")
        await put_triple(api, places["user"][0], "OK", good, **places["user"][1])
        for part in ("SERVER", "USER"):  # MY is incomplete now, and still holds its canary
            await api.delete(f"/user/codespaces/secrets/MY_CONTAINER_REGISTRY_{part}")
        watching = asyncio.create_task(watch.run())
        name = (await api.post(f"/repos/{owner}/r/codespaces", json={})).json()["name"]
        assert (await world.server.until_at_rest(api, name))["state"] == "Available"
        log = (await api.get(f"/user/codespaces/{name}/logs")).text
        watching.cancel()
        assert "********" in log, "the hook printed the secrets: the log shows that they were masked"
        assert watch.looks > 20
        assert watch.found == set(), "no argument list holds a secret"
        bodies = [log, (await api.get(f"/user/codespaces/{failed}/logs")).text]
        for url in ("/user/codespaces", "/user/codespaces/secrets", f"/repos/{owner}/r/codespaces/registries"):
            bodies.append((await api.get(url)).text)
        assert not holds_canary("".join(bodies).encode())
        await _engine_is_clean(world, name)
        _files_are_clean(world)
        inside = {"command": ["sh", "-c", "cat /run/codespaces/* ~/.docker/config.json"]}
        answer = (await api.post(f"/user/codespaces/{name}/exec", json=inside)).json()
        assert holds_canary(base64.b64decode(answer["output"])), "the positive control: inside they are"
        await api.delete(f"/user/codespaces/{name}")
        await api.delete(f"/user/codespaces/{failed}")
        await world.until_gone(name)
        for secret in ("PLANTED_USER", "MY_CONTAINER_REGISTRY_PASSWORD"):
            await api.delete(f"/user/codespaces/secrets/{secret}")
        for part in ("SERVER", "USER", "PASSWORD"):
            await api.delete(f"/user/codespaces/secrets/OK_CONTAINER_REGISTRY_{part}")


async def _engine_is_clean(world: World, name: str) -> None:
    async with engine_api(world.docker_host) as engine:
        (container,) = [c for c in await world.containers() if c["Labels"]["dev.berth.codespace"] == name]
        for url in (
            f"/containers/{container['Id']}/json",
            f"/images/{container['ImageID']}/json",
            f"/images/{container['ImageID']}/history",
            f"/containers/{container['Id']}/changes",
        ):
            answer = await engine.get(url)
            assert answer.status_code == 200
            assert not holds_canary(answer.content), url


def _files_are_clean(world: World) -> None:
    """The database, its journal, the server's log, the checkout, and every temporary file."""
    roots = [world.server.data, world.server.log_file]
    roots += [path for path in Path(tempfile.gettempdir()).iterdir() if re.match(r"berth|devcontainer", path.name)]
    looked = 0
    for root in roots:
        for path in [root, *root.rglob("*")] if root.is_dir() else [root]:
            if "netns" in path.parts:  # an engine's network namespaces, which cannot be read
                continue
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 64 * 2**20:
                looked += 1
                assert not holds_canary(path.read_bytes()), path
    assert looked > 5

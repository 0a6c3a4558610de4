"""C1: SERVER of one level never meets USER or PASSWORD of another. A sink plays the registry and logs every request."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx
import pytest
from tests.server import fresh_name
from tests.world import World, put_secret

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(240)]

LEVELS = ("user", "repository", "organization")
PARTS = ("SERVER", "USER", "PASSWORD")


class Sink:
    """A registry that wants Basic credentials, takes none, and remembers every request it gets."""

    def __init__(self, host: str) -> None:
        self.requests: list[str] = []
        self.host = host

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            body = b'{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}'
            head = (
                'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="sink"\r\n'
                f"Docker-Distribution-Api-Version: registry/2.0\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    @property
    def credentials(self) -> list[str]:
        return [request for request in self.requests if "authorization:" in request.lower()]


@asynccontextmanager
async def sink(host: str) -> AsyncIterator[Sink]:
    one = Sink(host)
    address, _, port = host.partition(":")
    server = await asyncio.start_server(one.answer, address, int(port))
    async with server:
        yield one


@dataclass(frozen=True)
class Target:
    """A repository whose image is the sink's; `places` are where its secrets are stored, with what each wants to know."""

    world: World
    api: httpx.AsyncClient
    owner: str
    places: dict[str, tuple[str, dict[str, Any]]]

    async def attack(self, host: str, levels: tuple[str, str, str]) -> str:
        """Store the three parts at three levels, launch, and answer the finding's code. Afterwards they are gone."""
        api, prefix = self.api, fresh_name("m").upper()
        urls = []
        for part, level, value in zip(PARTS, levels, (host, "mixed-user", "mixed-password"), strict=True):
            base, body = self.places[level]
            urls.append(f"{base}/{prefix}_CONTAINER_REGISTRY_{part}")
            answer = await put_secret(api, urls[-1], value, **body)
            assert answer.status_code == 201, answer.text
        name = (await api.post(f"/repos/{self.owner}/r/codespaces", json={})).json()["name"]
        codespace = await self.world.server.until_at_rest(api, name)
        for url in (*urls, f"/user/codespaces/{name}"):
            assert (await api.delete(url)).is_success, url
        return str(codespace["finding"]["code"])


async def make_target(world: World, api: httpx.AsyncClient, one: Sink) -> Target:
    owner = fresh_name("m")
    assert (await api.post("/admin/organizations", json={"login": owner, "admin": "admin"})).status_code == 201
    created = await api.post(f"/orgs/{owner}/repos", json={"name": "r", "private": True})
    config = json.dumps({"image": f"{one.host}/team/dev:1"})
    await world.commit(api, ".devcontainer/devcontainer.json", config, f"{owner}/r")
    places: dict[str, tuple[str, dict[str, Any]]] = {
        "user": ("/user/codespaces/secrets", {"selected_repository_ids": [created.json()["id"]]}),
        "repository": (f"/repos/{owner}/r/codespaces/secrets", {}),
        "organization": (f"/orgs/{owner}/codespaces/secrets", {"visibility": "all"}),
    }
    return Target(world, api, owner, places)


MIXED = [(a, b, c) for a, b, c in product(LEVELS, repeat=3) if not a == b == c]


async def test_c1_no_mixture_of_levels_builds_a_credential(world: World) -> None:
    assert len(MIXED) == 24
    async with sink(world.other_host) as one, world.server.api() as api:
        target = await make_target(world, api, one)
        for levels in MIXED:
            code = await target.attack(one.host, levels)
            assert code in {"credential.incomplete", "image.credential_missing"}, levels
        assert not one.credentials


@pytest.mark.parametrize("level", LEVELS)
async def test_the_positive_control_one_level_does_send_its_credential(world: World, level: str) -> None:
    async with sink(world.other_host) as one, world.server.api() as api:
        code = await (await make_target(world, api, one)).attack(one.host, (level, level, level))
        assert code == "image.unauthorized"
        assert one.credentials, "the sink sees credentials when there are any"

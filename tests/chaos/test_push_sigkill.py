"""SIGKILL at random moments of pushes: what was acknowledged is there and whole, and half content is never served."""

import asyncio
import hashlib
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.dice import seed_from
from tests.oci.images import Image, image
from tests.oci.registry_api import OCIClient
from tests.server import Server

from berth.domain.image_reference import Digest

CLIENTS = 4
KILLS = int(os.environ.get("BERTH_CHAOS_KILLS", "2"))  # `make chaos` asks for more
SEED = seed_from("BERTH_CHAOS_SEED")


class RegistryServer(Server):
    """Ready as soon as the registry is: there is no engine here, and none is needed."""

    async def wait_until_ready(self) -> None:
        async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert self.process is not None
                assert self.process.poll() is None, self.log_file.read_text()[-3000:]
                try:
                    states = (await client.get(f"{self.url}/readyz")).json()
                    if states["database"] == states["blobs"] == "ok":
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.02)


@dataclass
class Promised:
    """What clients sent, and what they were told."""

    sent: dict[tuple[str, Digest], bytes] = field(default_factory=dict)  # blobs, acknowledged or not
    blobs: set[tuple[str, Digest]] = field(default_factory=set)
    manifests: dict[tuple[str, Digest], bytes] = field(default_factory=dict)
    tags: dict[tuple[str, str], bytes] = field(default_factory=dict)  # what the last acknowledged push let it point to
    maybe: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)  # or one of these, sent since then


class Gone(Exception):
    """The server was killed under the request."""


@dataclass
class Pusher:
    """Pushes images, one after the other, in every way that there is."""

    client: OCIClient
    package: str
    dice: random.Random
    promised: Promised

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            one = image(*(self.dice.randbytes(self.dice.choice([10, 5_000, 400_000, 2_000_000])) for _ in range(2)))
            for blob in one.blobs:
                while not stop.is_set() and not await self._push_blob(blob):
                    await asyncio.sleep(0.05)
            while not stop.is_set() and not await self._push_manifest(one):
                await asyncio.sleep(0.05)

    async def _ask(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        try:
            answer = await self.client.request(method, path, content=content, headers=headers)
        except httpx.TransportError as error:
            raise Gone from error
        assert answer.status_code < 500, answer.text
        return answer

    async def _push_blob(self, content: bytes) -> bool:
        """Whether it was acknowledged."""
        digest = Digest.of(content)
        key = (self.package, digest)
        self.promised.sent[key] = content
        try:
            if self.dice.random() < 0.3:
                answer = await self._ask("POST", f"/v2/{self.package}/blobs/uploads/?digest={digest}", content)
            else:
                answer = await self._upload(content, digest)
        except Gone:
            return False
        if answer.status_code == 201:
            self.promised.blobs.add(key)
        return answer.status_code == 201

    async def _upload(self, content: bytes, digest: Digest) -> httpx.Response:
        """In chunks; a broken one is taken up again where the server says, until the server knows nothing of it."""
        begun = await self._ask("POST", f"/v2/{self.package}/blobs/uploads/")
        assert begun.status_code == 202, begun.text
        location = begun.headers["Location"]
        done, acknowledged, size = 0, 0, max(len(content) // self.dice.randrange(1, 5), 1)
        while done < len(content):
            chunk = content[done : done + size]
            try:
                headers = {"Content-Range": f"{done}-{done + len(chunk) - 1}"}
                answer = await self._ask("PATCH", location, chunk, **headers)
                if answer.status_code == 202:
                    done = acknowledged = done + len(chunk)
                    continue
                assert answer.status_code in {404, 409, 416}, answer.text
            except Gone:
                await asyncio.sleep(0.1)
            state = await self._ask("GET", location)
            if state.status_code == 404:
                return state
            done = int(state.headers["Range"].partition("-")[2])
            done = done + 1 if done else 0  # `0-0` is said of nothing, too; a chunk is never one byte here
            assert done >= acknowledged, "what was acknowledged is there"
        return await self._ask("PUT", f"{location}?digest={digest}")

    async def _push_manifest(self, one: Image) -> bool:
        tag = self.dice.choice(["latest", "stable", f"v{self.dice.randrange(1000)}"])
        maybe = self.promised.maybe.setdefault((self.package, tag), [])
        maybe.append(one.content)
        headers = {"Content-Type": one.media_type}
        try:
            answer = await self._ask("PUT", f"/v2/{self.package}/manifests/{tag}", one.content, **headers)
        except Gone:
            return False
        assert answer.status_code == 201, answer.text  # its blobs were acknowledged
        self.promised.manifests[self.package, one.digest] = one.content
        self.promised.tags[self.package, tag] = one.content
        maybe.clear()
        return True


async def check(client: OCIClient, promised: Promised) -> None:
    for (package, digest), content in promised.sent.items():
        answer = await client.get(f"/v2/{package}/blobs/{digest}")
        if answer.status_code != 404 or (package, digest) in promised.blobs:
            assert (answer.status_code, answer.content == content) == (200, True), digest
    for (package, digest), content in promised.manifests.items():
        assert (await client.get(f"/v2/{package}/manifests/{digest}")).content == content
    for (package, tag), maybe in promised.maybe.items():
        answer = await client.get(f"/v2/{package}/manifests/{tag}")
        wanted = promised.tags.get((package, tag))
        assert answer.content in {wanted, *maybe} or (answer.status_code == 404 and wanted is None), tag


def check_files(blobs: Path) -> None:
    """Whatever has a name below `content` is what its name says."""
    found = list((blobs / "content").glob("*/*"))
    assert found
    for path in found:
        digest = path.name.split(".")[0].partition("-")[2]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, path.name


@pytest.mark.timeout(600)
async def test_killed_while_clients_push(tmp_path: Path) -> None:
    print(f"BERTH_CHAOS_SEED={SEED}")
    dice, promised, stop = random.Random(SEED), Promised(), asyncio.Event()
    async with RegistryServer(tmp_path / "data", f"unix://{tmp_path}/no-engine") as server:
        async with server.api() as api:
            await api.post("/admin/users", json={"login": "octo", "email": "octo@example.com"})
            body = {"scopes": ["write:packages"]}
            made = (await api.post("/admin/users/octo/authorizations", json=body)).raise_for_status()
        async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as http:
            pushers = [
                Pusher(OCIClient(http, made.json()["token"]), f"octo/p{number}", random.Random(dice.random()), promised)
                for number in range(CLIENTS)
            ]
            running = [asyncio.create_task(pusher.run(stop)) for pusher in pushers]
            for _ in range(KILLS):
                await asyncio.sleep(dice.uniform(0.1, 1.2))
                server.kill()
                await server.start()
            async with asyncio.timeout(60):
                while not promised.manifests or len(promised.blobs) <= KILLS:
                    await asyncio.sleep(0.1)  # a busy machine may have let nothing through between the kills
            stop.set()
            await asyncio.gather(*running)
            await check(OCIClient(http, made.json()["token"]), promised)
        check_files(server.data / "blobs")
    print(f"{len(promised.blobs)} blobs, {len(promised.manifests)} manifests, {len(promised.tags)} tags")

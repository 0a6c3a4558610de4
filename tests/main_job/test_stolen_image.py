"""L2 and C7 against a registry that shows Berth one face and the engine another; the test plays it."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
from tests.fakes.http_server import Asked, HTTPServer, Reply
from tests.server import fresh_name
from tests.world import World, busybox_layer, engine_api, put_triple

from berth.adapters.engine_docker import DockerEngine
from berth.domain.image_reference import Digest, parse_digest, parse_image_reference
from berth.domain.problem import UpstreamFailed
from berth.domain.registry_credential import CredentialSource, RegistryCredential
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(180)]

CANARY = "canary-of-bob"
TOKEN = "t0ken-of-bob"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass
class Image:
    """What a registry serves: manifest and blobs."""

    manifest: bytes
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return str(Digest.of(self.manifest))

    def __call__(self, request: Asked) -> Reply:
        kind, _, name = request.path.removeprefix("/v2/bob/app/").partition("/")
        if request.path == "/v2/":
            return Reply(body=b"{}", headers={"Docker-Distribution-Api-Version": "registry/2.0"})
        if kind == "manifests" and name in {"1", self.digest}:
            return Reply(
                body=self.manifest, headers={"Content-Type": MANIFEST_TYPE, "Docker-Content-Digest": self.digest}
            )
        if kind == "blobs" and name in self.blobs:
            return Reply(body=self.blobs[name])
        return Reply(status=404, body=b'{"errors": [{"code": "BLOB_UNKNOWN"}]}')


def manifest(config: str, layers: list[bytes]) -> bytes:
    described = [{"mediaType": LAYER_TYPE, "size": len(one), "digest": str(Digest.of(one))} for one in layers]
    head = {"mediaType": CONFIG_TYPE, "size": 1000, "digest": config}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": head, "layers": described}).encode()


def honest_image() -> Image:
    tar = busybox_layer()
    layer = gzip.compress(tar)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Labels": {"made-by": fresh_name("bob-")}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        }
    ).encode()
    content = json.loads(manifest(str(Digest.of(config)), [layer]))
    content["config"]["size"] = len(config)
    blobs = {str(Digest.of(one)): one for one in (config, layer)}
    return Image(json.dumps(content).encode(), blobs)


async def repository(world: World, api: httpx.AsyncClient) -> str:
    """Bob's: a fresh one, whose image is at the registry that the test plays."""
    name = fresh_name("s")
    assert (await api.post("/admin/organizations", json={"login": name, "admin": "admin"})).status_code == 201
    assert (await api.post(f"/orgs/{name}/repos", json={"name": "r", "private": True})).status_code == 201
    config = json.dumps({"image": f"{world.other_host}/bob/app:1"})
    await world.commit(api, ".devcontainer/devcontainer.json", config, f"{name}/r")
    return f"{name}/r"


async def launch(world: World, api: httpx.AsyncClient, full_name: str) -> tuple[str, str, str]:
    """State, the finding's code, name."""
    answer = await api.post(f"/repos/{full_name}/codespaces", json={})
    assert answer.status_code == 201, answer.text
    name = str(answer.json()["name"])
    codespace = await world.server.until_at_rest(api, name, timeout_s=90)
    assert CANARY not in json.dumps(codespace)
    return codespace["state"], (codespace.get("finding") or {}).get("code", ""), name


def port_of(host: str) -> int:
    return int(host.rpartition(":")[2])


async def test_l2_to_know_the_id_of_an_image_is_no_right_to_it(world: World) -> None:
    async with world.server.api() as api:
        state, _, alice = await launch(world, api, world.repository)
        assert state == "Available"
        (hers,) = [one for one in await world.containers() if one["Labels"]["dev.berth.codespace"] == alice]
        stolen, honest = Image(manifest(hers["ImageID"], [])), honest_image()
        full_name = await repository(world, api)
        async with HTTPServer.run(stolen, port=port_of(world.other_host)):
            assert (await launch(world, api, full_name))[:2] == ("Failed", "image.unproven")
            async with engine_api(world.docker_host) as engine:
                query = {"fromImage": f"{world.other_host}/bob/app@{stolen.digest}"}
                control = (await engine.post("/images/create", params=query)).text
                assert "Status: " in control, "the control: the engine alone falls for it"
            assert (await launch(world, api, full_name))[:2] == ("Failed", "image.unproven")
        async with HTTPServer.run(honest, port=port_of(world.other_host)):
            assert (await launch(world, api, full_name))[0] == "Available", "the control: an honest registry"


Face = Callable[[Asked], Reply]


def bearer(image: Image, host: str) -> Face:
    """An honest registry whose token service is its own."""

    def answer(request: Asked) -> Reply:
        if request.path == "/token":
            return Reply(body=json.dumps({"token": TOKEN}).encode())
        if request.headers.get("authorization") == f"Bearer {TOKEN}":
            return image(request)
        return asks_at(f"http://{host}/token")

    return answer


def asks_at(realm: str) -> Reply:
    return Reply(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}, body=b"{}")


def two_faced(to_berth: Face, to_engine: Face) -> Face:
    return lambda request: (to_berth if request.headers.get("user-agent") == "berth" else to_engine)(request)


@pytest.mark.parametrize("kind", ["bearer", "open"])
async def test_c7_the_engine_takes_no_password_to_a_foreign_token_service(world: World, kind: str) -> None:
    host, image = world.other_host, honest_image()
    async with world.server.api() as api, HTTPServer.run(lambda _: Reply(status=403, body=b"{}")) as sink:
        full_name = await repository(world, api)
        await put_triple(api, f"/repos/{full_name}/codespaces/secrets", "BOB", (host, "bob", CANARY))
        to_berth = bearer(image, host) if kind == "bearer" else image
        to_engine: Face = lambda _: asks_at(f"http://{sink.address}/token")  # noqa: E731
        async with HTTPServer.run(two_faced(to_berth, to_engine), port=port_of(host)) as registry:
            answer = await api.post(f"/repos/{full_name}/codespaces", json={})
            await world.until(lambda: asked_by_engine(registry))
            await asyncio.sleep(1)  # for the engine to do what it would
            await api.delete(f"/user/codespaces/{answer.json()['name']}")  # it would be tried again
            assert sink.authorizations == []
            assert bool(sink.asked) is (kind == "open")
            await pull_with_password(world, image)
            assert sink.authorizations, "the control: with the password, the engine takes it there"
        async with HTTPServer.run(to_berth, port=port_of(host)) as registry:
            assert (await launch(world, api, full_name))[0] == "Available", "the control: an honest registry"
            told = {
                one.headers.get("authorization", "") for one in registry.asked if "docker" in one.headers["user-agent"]
            }
            assert not any(text.startswith("Basic") for text in told)


async def asked_by_engine(registry: HTTPServer) -> bool:
    return any("docker" in request.headers["user-agent"] for request in registry.asked)


async def pull_with_password(world: World, image: Image) -> None:
    credential = RegistryCredential(
        host=world.other_host, user="bob", password=SecretText(CANARY), source=CredentialSource(SecretLevel.USER, "BOB")
    )
    pinned = parse_image_reference(f"{world.other_host}/bob/app:1").pinned(parse_digest(image.digest))
    with pytest.raises(UpstreamFailed):
        async for _ in DockerEngine(world.docker_host).pull(pinned, credential, None):
            pass

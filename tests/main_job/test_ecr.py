"""The main job with AWS keys: a codespace from an image in ECR, which a fake plays over TLS under AWS's own names (C5)."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.certificates import Authority
from tests.fakes.connect_proxy import run_connect_proxy
from tests.fakes.ecr import KEY_ID, SECRET, FakeECR, error
from tests.fakes.http_server import HTTPServer, Reply
from tests.main_job.test_launch import create
from tests.own_registry import docker_config, launch_badly, make_organization, make_repository
from tests.server import Server
from tests.world import World, busybox_layer, engine_api, put_triple

from berth.adapters.engine_private import PrivateEngine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OWN_KEY = "AKIASERVERSOWNKEY000"


def image(path: str, architecture: str) -> Mapping[str, Reply]:
    """What a registry serves for an image of busybox with the tag 1."""
    layer = busybox_layer()
    packed = gzip.compress(layer, 1, mtime=0)
    rootfs = {"type": "layers", "diff_ids": [digest(layer)]}
    about = {"architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/bin"]}, "rootfs": rootfs}
    config = json.dumps(about).encode()
    described = [
        {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest(config), "size": len(config)},
        {
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "digest": digest(packed),
            "size": len(packed),
        },
    ]
    body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    manifest = json.dumps(body).encode()
    found = Reply(headers={"Content-Type": MANIFEST, "Docker-Content-Digest": digest(manifest)}, body=manifest)
    blobs = {f"/v2/{path}/blobs/{digest(blob)}": Reply(body=blob) for blob in (config, packed)}
    return {f"/v2/{path}/manifests/{name}": found for name in ("1", digest(manifest))} | blobs


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Amazon:
    """The world with a fake ECR in it; `sink` is where the server's own AWS variables lead."""

    world: World
    fake: FakeECR
    sink: HTTPServer


@pytest.fixture
async def amazon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Amazon]:
    fake, authority = FakeECR(), Authority(tmp_path)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        registry = await enter(HTTPServer.run(fake, tls=authority.server_context(HOST)))
        api, sink = await enter(HTTPServer.run(fake)), await enter(HTTPServer.run(lambda _: Reply(status=500)))
        proxy = await enter(run_connect_proxy({f"{HOST}:443": registry.port}))
        with monkeypatch.context() as patch:
            patch.setenv("HTTPS_PROXY", f"http://{proxy}")
            engine = await enter(PrivateEngine(options=[f"--insecure-registry={HOST}"]))
        async with engine_api(engine.docker_host) as docker:
            fake.content = image("team/dev", (await docker.get("/version")).json()["Arch"])
        environment = {
            "BERTH_RESOLVE": f"{HOST}={registry.address}",
            "BERTH_CA_FILE": str(authority.ca_file),
            "BERTH_ECR_ENDPOINT": f"http://{api.address}",
            "AWS_ACCESS_KEY_ID": OWN_KEY,
            "AWS_SECRET_ACCESS_KEY": "s" * 40,
            "AWS_ENDPOINT_URL": f"http://{sink.address}",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{sink.address}",
        }
        server = await enter(Server(tmp_path / "data", engine.docker_host, environment=environment))
        yield Amazon(World(server, engine.docker_host, "", f"{HOST}/team/dev:1", "", ""), fake, sink)


async def test_c5_a_codespace_from_an_image_in_ecr(amazon: Amazon) -> None:
    world, fake = amazon.world, amazon.fake
    async with world.server.api() as api:
        organization = await make_organization(api)
        world.repository = f"{organization}/webapp"
        await make_repository(world, api, world.repository, world.image)
        without = await launch_badly(world, api, world.repository)
        assert (without["code"], fake.swaps) == ("image.credential_missing", []), "the server's own keys are nobody's"
        told = await api.post(f"/repos/{world.repository}/codespaces/doctor", json={"image": world.image})
        assert (told.json()["finding"]["code"], fake.swaps) == ("image.credential_missing", [])

        secrets = f"/repos/{world.repository}/codespaces/secrets"
        await put_triple(api, secrets, "AWS_CI", (HOST, KEY_ID, SECRET))

        fake.refuse = [error(400, "UnrecognizedClientException", "x")]
        assert (await launch_badly(world, api, world.repository))["code"] == "ecr.key_unknown"

        name = (await create(world, api))["name"]
        (token,) = fake.tokens
        assert (await docker_config(api, str(name)))[HOST] == f"AWS:{token}"
        log = (await api.get(f"/user/codespaces/{name}/logs")).text
        assert "were swapped for a token" in log
        for secret in (SECRET, KEY_ID, token):
            assert secret not in log
        listed = (await api.get(f"/repos/{world.repository}/codespaces/registries")).json()["registries"][0]
        assert (listed["server"], listed["kind"], listed["level"]) == (HOST, "ecr", "repository")
        assert listed["expires_at"] == f"{fake.tokens[token]:%Y-%m-%dT%H:%M:%SZ}"

        # B3: AWS ends the token, as it does with a key. The next launch has another, and what runs gets that one.
        fake.tokens[token] = datetime.now(UTC)
        second = (await create(world, api))["name"]
        (other,) = fake.tokens.keys() - {token}
        assert (await docker_config(api, str(second)))[HOST] == f"AWS:{other}"
        assert "does not take its token any more" in (await api.get(f"/user/codespaces/{second}/logs")).text
        async with asyncio.timeout(30):
            while (await docker_config(api, str(name)))[HOST] != f"AWS:{other}":
                await asyncio.sleep(0.5)
    assert fake.swaps == [f"{KEY_ID} ecr eu-west-1"] * 3, "one was refused, one ended"
    assert amazon.sink.connections == 0, "nobody asked with the server's own identity, or for it"
    assert OWN_KEY not in world.server.log_file.read_text()

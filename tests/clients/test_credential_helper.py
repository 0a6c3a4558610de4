"""`docker-credential-berth` with the clients that ask it: docker, podman, buildah, skopeo and the dev container CLI."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.clients.containers_tools import ContainersTool, Skopeo
from tests.clients.docker_tool import Docker
from tests.clients.images import make_image
from tests.clients.tool import Tool
from tests.domain.test_environment_triple import triple
from tests.fakes.certificates import Authority
from tests.fakes.connect_proxy import run_connect_proxy
from tests.fakes.ecr import KEY_ID, SECRET, FakeECR
from tests.fakes.http_server import HTTPServer
from tests.main_job.test_ecr import HOST as ECR_HOST
from tests.main_job.test_ecr import image as image_in_ecr
from tests.world import REGISTRY_PASSWORD, REGISTRY_USER

ROOT = Path(__file__).parents[2]
BIN = str(Path(sys.executable).parent)
pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(120)]
IMAGE = make_image()


@pytest.fixture(scope="module")
def image(tools: dict[str, Tool], registry_host: str) -> str:
    """A private image in Debian's docker-registry."""
    name, skopeo = f"{registry_host}/acme/helped:1", tools["skopeo"]
    assert isinstance(skopeo, Skopeo)
    skopeo.login(registry_host, REGISTRY_USER, REGISTRY_PASSWORD).or_fail()
    skopeo.push(IMAGE, name).or_fail()
    skopeo.forget()
    return name


def with_helper(tool: Tool, host: str, environ: dict[str, str]) -> None:
    """It asks the helper, and is logged in nowhere itself."""
    if isinstance(tool, Docker):
        tool._config.mkdir(exist_ok=True)
        (tool._config / "config.json").write_text(json.dumps({"credsStore": "berth"}))
    else:
        assert isinstance(tool, ContainersTool)
        tool._auth.write_text(json.dumps({"credHelpers": {host: "berth"}}))
    program = tool.run
    kept = {name: value for name, value in program._environment.items() if "CONTAINER_REGISTRY" not in name}
    path = kept["PATH"] if kept["PATH"].startswith(BIN) else f"{BIN}{os.pathsep}{kept['PATH']}"
    program._environment = {**kept, "PATH": path, **environ}


@pytest.fixture
def helped(tool: Tool) -> Iterator[Tool]:
    yield tool
    with_helper(tool, "", {})


@pytest.mark.parametrize("tool", ["docker", "podman", "buildah", "skopeo"], indirect=True)
def test_a_private_image_is_pulled_with_the_environment_s_login(helped: Tool, image: str, registry_host: str) -> None:
    with_helper(helped, registry_host, triple("CORP", registry_host, REGISTRY_USER, REGISTRY_PASSWORD))
    helped.pull(image).or_fail()
    assert helped.pulled_id(image) == IMAGE.id
    with_helper(helped, registry_host, triple("CORP", registry_host, REGISTRY_USER, "wrong"))
    assert not helped.pull(image).worked
    with_helper(helped, registry_host, triple("CORP", f"{registry_host}0", REGISTRY_USER, REGISTRY_PASSWORD))
    assert not helped.pull(image).worked, "C4: another port is another host"


@pytest.mark.parametrize("tool", ["podman", "skopeo"], indirect=True)
def test_c11_why_a_login_is_broken_is_said_by_the_client(helped: Tool, image: str, registry_host: str) -> None:
    with_helper(helped, registry_host, {"CORP_CONTAINER_REGISTRY_SERVER": registry_host})
    said = helped.pull(image)
    assert (said.worked, "CORP_CONTAINER_REGISTRY_USER" in said.text) == (False, True), said.text


@pytest.mark.parametrize("tool", ["docker"], indirect=True)
def test_docker_takes_a_helper_s_failure_for_no_login(helped: Tool, image: str, registry_host: str) -> None:
    """As docs/registries.md says: what refuses is the registry, and nothing was sent to it."""
    with_helper(helped, registry_host, {"CORP_CONTAINER_REGISTRY_SERVER": registry_host})
    said = helped.pull(image)
    assert (said.worked, "no basic auth credentials" in said.text) == (False, True), said.text


def test_docker_is_told_that_nothing_is_stored(tools: dict[str, Tool], image: str, registry_host: str) -> None:
    docker = tools["docker"]
    with_helper(docker, registry_host, {})
    said = docker.login(registry_host, REGISTRY_USER, REGISTRY_PASSWORD)
    assert (said.worked, "_CONTAINER_REGISTRY_SERVER" in said.text) == (False, True), said.text
    docker.forget()


async def test_c5_skopeo_pulls_from_ecr_with_aws_keys(tmp_path: Path) -> None:
    """A fake plays AWS and its registry under their own names; the helper swaps, once for two pulls."""
    fake, authority = FakeECR(), Authority(tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo", ca_file=authority.ca_file)
    fake.content = image_in_ecr("team/dev", "amd64")
    async with (
        HTTPServer.run(fake, tls=authority.server_context(ECR_HOST)) as registry,
        HTTPServer.run(fake) as api,
        run_connect_proxy({f"{ECR_HOST}:443": registry.port}) as proxy,
    ):
        environ = {
            "BERTH_ECR_ENDPOINT": f"http://{api.address}",
            "XDG_CACHE_HOME": str(tmp_path / "kept"),
            "HTTPS_PROXY": f"http://{proxy}",
        }
        with_helper(skopeo, ECR_HOST, environ | triple("AWS", ECR_HOST, KEY_ID, SECRET))
        for _ in range(2):
            (await asyncio.to_thread(skopeo.pull, f"{ECR_HOST}/team/dev:1")).or_fail()
        assert fake.swaps == [f"{KEY_ID} ecr eu-west-1"]
        with_helper(skopeo, ECR_HOST, environ | triple("AWS", ECR_HOST, KEY_ID, "x" * 40))
        said = await asyncio.to_thread(skopeo.pull, f"{ECR_HOST}/team/dev:1")
        assert (said.worked, "AWS_CONTAINER_REGISTRY_" in said.text) == (False, True), said.text
        assert "x" * 40 not in said.text


def test_the_dev_container_cli_asks_it_for_features(tmp_path: Path, image: str, registry_host: str) -> None:
    """It speaks plain HTTP to localhost only."""
    host = registry_host.replace("127.0.0.1", "localhost")
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "berth"}))

    def ask(password: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)}
        name = image.replace(registry_host, host)
        cli = ROOT / "node_modules/@devcontainers/cli/devcontainer.js"
        return subprocess.run(
            [f"{BIN}/node", cli, "features", "info", "manifest", name, "--output-format", "json"],
            env={**environ, **triple("CORP", host, REGISTRY_USER, password)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    read_it = "Unexpected manifest media type: application/vnd.oci.image.config"  # an image is no Feature
    good = ask(REGISTRY_PASSWORD)
    assert read_it in good.stderr, good.stderr
    assert read_it not in ask("wrong").stderr

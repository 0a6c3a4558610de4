"""The same over TLS, with a certificate that the client is told to trust: no option that allows less."""

import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from tests.clients.containers_tools import Podman, Skopeo
from tests.clients.images import make_image
from tests.clients.oras_tool import Oras
from tests.fakes.certificates import Authority
from tests.server import Server

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.timeout(120)]


@dataclass(frozen=True, slots=True)
class SafeRegistry:
    host: str
    token: str
    ca_file: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def safe_registry(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SafeRegistry]:
    folder = tmp_path_factory.mktemp("safe")
    authority = Authority(folder)
    authority.server_context("localhost")
    chain = str(folder / "localhost.pem")  # with its key
    settings = {"BERTH_TLS_CERT": chain, "BERTH_TLS_KEY": chain}
    async with Server(folder / "data", docker_host, environment=settings, ca_file=authority.ca_file) as server:
        yield SafeRegistry(f"localhost:{server.port}", server.admin_token, authority.ca_file)


@pytest.mark.parametrize("kind", [Podman, Skopeo, Oras])
def test_push_and_pull_over_tls(
    kind: type[Podman | Skopeo | Oras], safe_registry: SafeRegistry, tmp_path: Path
) -> None:
    tool, image = kind(tmp_path, ca_file=safe_registry.ca_file), make_image()
    reference = f"{safe_registry.host}/admin/{kind.__name__.lower()}:1"
    tool.login(safe_registry.host, "admin", safe_registry.token).or_fail()
    tool.push(image, reference).or_fail()
    tool.pull(reference).or_fail()
    assert tool.pulled_id(reference) == image.id


def test_without_that_trust_nothing_is_sent(safe_registry: SafeRegistry, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo", ca_file=other.ca_file)
    said = skopeo.login(safe_registry.host, "admin", safe_registry.token)
    assert not said.worked
    assert "certificate signed by unknown authority" in said.text


@pytest.mark.parametrize("first", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
def test_the_client_chooses_the_cipher(first: str, safe_registry: SafeRegistry) -> None:
    """docker's order is by what its processor is quick at, and it costs us a third less than OpenSSL's own order."""
    client = ssl.create_default_context(cafile=str(safe_registry.ca_file))
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # Python cannot change the order of the newer ones; the rule is one
    client.set_ciphers(f"{first}:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    host, _, port = safe_registry.host.partition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        client.wrap_socket(plain, server_hostname=host) as safe,
    ):
        assert safe.cipher() == (first, "TLSv1.2", 128 if "128" in first else 256)

"""What podman does that docker does not: OCI indexes, layers packed with zstd."""

import json

import pytest
from tests.clients.containers_tools import Podman, Skopeo
from tests.clients.images import INDEX, make_image
from tests.clients.registry_world import MEMBER, RegistryWorld
from tests.clients.tool import Tool

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(120)]
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
HTTP = "--tls-verify=false"


@pytest.fixture
def podman(tools: dict[str, Tool], registry: RegistryWorld) -> Podman:
    """Logged in as MEMBER."""
    found = tools["podman"]
    assert isinstance(found, Podman)
    found.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages")).or_fail()
    return found


@pytest.fixture
def skopeo(tools: dict[str, Tool], registry: RegistryWorld) -> Skopeo:
    found = tools["skopeo"]
    assert isinstance(found, Skopeo)
    found.login(registry.host, MEMBER, registry.token(MEMBER, "read:packages")).or_fail()
    return found


def test_an_index_of_images_for_several_machines(podman: Podman, skopeo: Skopeo, registry: RegistryWorld) -> None:
    images = {each: make_image(architecture=each) for each in ("amd64", "arm64")}
    name = f"{registry.host}/{registry.new_name()}"
    podman.run("manifest", "create", name).or_fail()
    for image in images.values():
        podman.run("manifest", "add", name, podman.layout(image)).or_fail()
    for kind, tag, media_type in (("oci", "1", INDEX), ("v2s2", "2", LIST)):
        podman.run("manifest", "push", HTTP, "--all", "--format", kind, name, f"docker://{name}:{tag}").or_fail()
        index = json.loads(skopeo.ask("inspect", "--raw", f"docker://{name}:{tag}").or_fail())
        assert index["mediaType"] == media_type
        assert [each["platform"]["architecture"] for each in index["manifests"]] == list(images)
    podman.run("manifest", "rm", name).or_fail()
    for architecture, image in images.items():
        pulled = podman.run("pull", HTTP, "--quiet", "--arch", architecture, f"{name}:1").or_fail()
        assert f"sha256:{pulled.split()[-1]}" == image.id


def test_layers_packed_with_zstd(podman: Podman, skopeo: Skopeo, registry: RegistryWorld) -> None:
    image, reference = make_image(), f"{registry.host}/{registry.new_name()}:1"
    podman.load(image, reference)
    podman.run("push", HTTP, "--format", "oci", "--compression-format", "zstd", reference).or_fail()
    (layer,) = json.loads(skopeo.ask("inspect", "--raw", f"docker://{reference}").or_fail())["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+zstd"
    podman.pull(reference).or_fail()
    assert podman.pulled_id(reference) == image.id

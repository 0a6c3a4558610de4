"""What every client does every day: push, pull, push again, push the same elsewhere; and one pulls what another pushed."""

import pytest
from tests.clients.images import digest_of, make_image
from tests.clients.registry_world import MEMBER, RegistryWorld
from tests.clients.tool import Tool

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(120)]
PULLED_BY = {"docker": "podman", "podman": "buildah", "buildah": "skopeo", "skopeo": "docker", "oras": "docker"}


def test_what_is_pushed_is_what_is_pulled(tool: Tool, registry: RegistryWorld) -> None:
    image, reference = make_image(), f"{registry.host}/{registry.new_name()}:1"
    tool.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages")).or_fail()
    tool.push(image, reference).or_fail()
    assert len(registry.wire.of("PUT", "/blobs/uploads/")) == 2, "its layer and its configuration"
    tool.pull(reference).or_fail()
    assert len(registry.wire.of("GET", "/blobs/")) >= 1, "nothing comes from what the tool holds already"
    assert tool.pulled_id(reference) == image.id


def test_what_is_there_is_not_sent_again(tool: Tool, registry: RegistryWorld) -> None:
    image, name = make_image(), registry.new_name()
    tool.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages")).or_fail()
    tool.push(image, f"{registry.host}/{name}:1").or_fail()
    registry.wire.clear()
    tool.push(image, f"{registry.host}/{name}:2").or_fail()
    assert registry.wire.of("POST", "/blobs/uploads/") == []
    assert [each.status for each in registry.wire.of("PUT", f"/v2/{name}/manifests/2")] == [201]


@pytest.mark.parametrize("tool", ["docker", "podman", "buildah", "skopeo"], indirect=True)
def test_a14_a_layer_is_mounted_from_a_package_that_the_same_token_may_pull(
    tool: Tool, registry: RegistryWorld
) -> None:
    """oras never mounts. The configuration is no layer: these tools send it again."""
    image, first, second = make_image(), registry.new_name(), registry.new_name()
    tool.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages")).or_fail()
    tool.push(image, f"{registry.host}/{first}:1").or_fail()
    registry.wire.clear()
    tool.push(image, f"{registry.host}/{second}:1").or_fail()
    asked = [each for each in registry.wire.of("POST", f"/v2/{second}/blobs/uploads/") if "mount" in each.query]
    assert [(each.query["from"], each.status) for each in asked] == [([first], 201)]
    (sent,) = registry.wire.of("PUT", "/blobs/uploads/")
    assert sent.query["digest"] == [digest_of(image.config)]
    tool.pull(f"{registry.host}/{second}:1").or_fail()
    assert tool.pulled_id(f"{registry.host}/{second}:1") == image.id


@pytest.mark.parametrize(("pusher", "puller"), PULLED_BY.items(), ids=[f"{a}, {b}" for a, b in PULLED_BY.items()])
def test_one_pulls_what_another_pushed(
    pusher: str, puller: str, tools: dict[str, Tool], registry: RegistryWorld
) -> None:
    image, reference = make_image(), f"{registry.host}/{registry.new_name()}:1"
    token = registry.token(MEMBER, "write:packages")
    for name in (pusher, puller):
        tools[name].login(registry.host, MEMBER, token).or_fail()
    tools[pusher].push(image, reference).or_fail()
    tools[puller].pull(reference).or_fail()
    assert tools[puller].pulled_id(reference) == image.id

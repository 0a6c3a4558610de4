"""What skopeo does besides: looking, listing, copying between packages with all platforms, mirroring, deleting."""

import json

import pytest
from tests.clients.containers_tools import Skopeo
from tests.clients.images import INDEX, digest_of, make_image
from tests.clients.registry_world import MEMBER, RegistryWorld
from tests.clients.tool import Tool

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(120)]


@pytest.fixture
def skopeo(tools: dict[str, Tool], registry: RegistryWorld) -> Skopeo:
    """Logged in as MEMBER, who may delete."""
    found = tools["skopeo"]
    assert isinstance(found, Skopeo)
    found.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages", "delete:packages")).or_fail()
    return found


def test_inspect_and_list_tags(skopeo: Skopeo, registry: RegistryWorld) -> None:
    image, name = make_image(labels={"is": "labelled"}), f"{registry.host}/{registry.new_name()}"
    for tag in ("b", "a", "c"):
        skopeo.push(image, f"{name}:{tag}").or_fail()
    seen = json.loads(skopeo.ask("inspect", f"docker://{name}:a").or_fail())
    assert (seen["Digest"], seen["Labels"], seen["RepoTags"]) == (
        digest_of(image.manifest),
        {"is": "labelled"},
        ["a", "b", "c"],
    )
    assert json.loads(skopeo.ask("list-tags", f"docker://{name}").or_fail())["Tags"] == ["a", "b", "c"]


def test_an_index_is_copied_between_packages_as_it_is(skopeo: Skopeo, registry: RegistryWorld) -> None:
    images = [make_image(architecture=each) for each in ("amd64", "arm64", "s390x")]
    first, second = registry.new_name(), registry.new_name()
    skopeo.copy(skopeo.layout(*images), f"docker://{registry.host}/{first}:1", "--all", "--preserve-digests").or_fail()
    registry.wire.clear()
    source, target = (f"docker://{registry.host}/{name}:1" for name in (first, second))
    skopeo.copy(source, target, "--all", "--preserve-digests").or_fail()
    copied = skopeo.ask("inspect", "--raw", target).or_fail()
    assert copied == skopeo.ask("inspect", "--raw", source).or_fail()
    index = json.loads(copied)
    assert index["mediaType"] == INDEX
    assert [each["digest"] for each in index["manifests"]] == [digest_of(image.manifest) for image in images]
    mounts = [each for each in registry.wire.of("POST", f"/v2/{second}/blobs/uploads/") if "mount" in each.query]
    assert [each.status for each in mounts] == [201] * len(images), "its layers were not sent"


def test_a_package_is_mirrored(skopeo: Skopeo, registry: RegistryWorld) -> None:
    images, name = {tag: make_image() for tag in ("1", "2")}, registry.new_name()
    for tag, image in images.items():
        skopeo.push(image, f"{registry.host}/{name}:{tag}").or_fail()
    target = skopeo.folder / "mirror"
    skopeo.run(
        "sync", "--src-tls-verify=false", "--src", "docker", "--dest", "dir", f"{registry.host}/{name}", str(target)
    ).or_fail()
    found = {path.parent.name.rpartition(":")[2]: path.read_bytes() for path in target.rglob("manifest.json")}
    assert found == {tag: image.manifest for tag, image in images.items()}


def test_delete(skopeo: Skopeo, registry: RegistryWorld) -> None:
    """It deletes the version that a tag points to, and so all tags of it."""
    image, name = make_image(), f"{registry.host}/{registry.new_name()}"
    for tag in ("1", "2"):
        skopeo.push(image, f"{name}:{tag}").or_fail()
    skopeo.push(make_image(), f"{name}:other").or_fail()
    skopeo.ask("delete", f"docker://{name}:1").or_fail()
    assert json.loads(skopeo.ask("list-tags", f"docker://{name}").or_fail())["Tags"] == ["other"]
    said = skopeo.ask("inspect", f"docker://{name}:2")
    assert not said.worked
    assert "There is no such manifest in this package." in said.text


def test_a6_delete_without_the_scope(skopeo: Skopeo, registry: RegistryWorld) -> None:
    name = f"{registry.host}/{registry.new_name()}"
    skopeo.push(make_image(), f"{name}:1").or_fail()
    skopeo.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages")).or_fail()
    said = skopeo.ask("delete", f"docker://{name}:1")
    assert not said.worked
    assert "Your token lacks the scope delete:packages." in said.text
    assert json.loads(skopeo.ask("list-tags", f"docker://{name}").or_fail())["Tags"] == ["1"]

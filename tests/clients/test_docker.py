"""What docker does that the others do not."""

import json

import pytest
from tests.clients.docker_tool import Docker
from tests.clients.images import make_image
from tests.clients.registry_world import MEMBER, RegistryWorld
from tests.clients.tool import Tool

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(120)]
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture
def docker(tools: dict[str, Tool], registry: RegistryWorld) -> Docker:
    """Logged in as MEMBER."""
    found = tools["docker"]
    assert isinstance(found, Docker)
    found.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages")).or_fail()
    return found


def test_all_tags_at_once(docker: Docker, registry: RegistryWorld) -> None:
    name, images = f"{registry.host}/{registry.new_name()}", {tag: make_image() for tag in ("one", "two", "three")}
    for tag, image in images.items():
        docker.load(image, f"{name}:{tag}")
    docker.run("push", "--all-tags", name).or_fail()
    docker.run("image", "rm", "--force", *(image.id for image in images.values())).or_fail()
    docker.run("pull", "--all-tags", name).or_fail()
    assert {tag: docker.pulled_id(f"{name}:{tag}") for tag in images} == {
        tag: image.id for tag, image in images.items()
    }


def test_a_manifest_list_and_a_pull_by_digest(docker: Docker, registry: RegistryWorld) -> None:
    """`docker manifest` is the command line's own client, which does not ask the engine."""
    name = f"{registry.host}/{registry.new_name()}"
    images = {each: make_image(architecture=each) for each in ("amd64", "arm64")}
    for architecture, image in images.items():
        docker.push(image, f"{name}:{architecture}").or_fail()
    docker.run("manifest", "create", "--insecure", f"{name}:all", *(f"{name}:{each}" for each in images)).or_fail()
    digest = docker.run("manifest", "push", "--insecure", "--purge", f"{name}:all").or_fail().split()[-1]
    listed = json.loads(docker.run("manifest", "inspect", "--insecure", f"{name}@{digest}").or_fail())
    assert listed["mediaType"] == LIST
    assert {each["platform"]["architecture"] for each in listed["manifests"]} == set(images)
    docker.run("image", "rm", "--force", *(image.id for image in images.values())).or_fail()
    docker.run("pull", f"{name}@{digest}").or_fail()
    assert docker.pulled_id(f"{name}@{digest}") == images["amd64"].id


def test_a_name_without_an_owner_is_refused_at_once(docker: Docker, registry: RegistryWorld) -> None:
    """It would push four times more, for 50 seconds, if it took the answer for one that may change."""
    for said in (
        docker.push(make_image(), f"{registry.host}/app:1"),
        docker.run("pull", f"{registry.host}/app:1"),
    ):
        assert not said.worked
        assert "A package's name is owner/name" in said.text
        assert "Retrying" not in said.text

"""A8 and A9: what a package is that a client makes by pushing."""

import pytest
from tests.clients.images import Image, make_image
from tests.clients.registry_world import MEMBER, OTHER, PRIVATE, PUBLIC, PackageSettings, RegistryWorld
from tests.clients.tool import Tool

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(120)]
UNLINKED = PackageSettings(visibility="private", inherit_access=False, repository=None)
LINKED = PackageSettings(visibility="private", inherit_access=False, repository=PRIVATE)


def publish(tool: Tool, registry: RegistryWorld, image: Image, token: str) -> tuple[str, PackageSettings]:
    """Push it to a new name of the organization: that name, and what the package is."""
    name = registry.new_name()
    tool.login(registry.host, MEMBER, token).or_fail()
    tool.push(image, f"{registry.host}/{name}:1").or_fail()
    return name, registry.settings(name)


def warnings(registry: RegistryWorld) -> list[str]:
    """What the client was told with the last manifest. None of them shows it."""
    header = registry.wire.of("PUT", "/manifests/")[-1].headers.get("warning")
    return [] if header is None else [header]


def test_a8_a_workflow_makes_a_package_of_its_repository(tool: Tool, registry: RegistryWorld) -> None:
    image = make_image(labels=registry.source(OTHER))
    name, package = publish(tool, registry, image, registry.workflow_token(PRIVATE))
    assert package == PackageSettings(visibility="private", inherit_access=True, repository=PRIVATE)
    assert warnings(registry) == []
    tool.push(make_image(), f"{registry.host}/{name}:2").or_fail()
    tool.pull(f"{registry.host}/{name}:1").or_fail()
    assert tool.pulled_id(f"{registry.host}/{name}:1") == image.id


def test_a1_what_a_public_repositorys_workflow_makes_is_for_everybody(tool: Tool, registry: RegistryWorld) -> None:
    image = make_image()
    name, package = publish(tool, registry, image, registry.workflow_token(PUBLIC))
    assert package == PackageSettings(visibility="public", inherit_access=True, repository=PUBLIC)
    tool.logout(registry.host)
    registry.wire.clear()
    tool.pull(f"{registry.host}/{name}:1").or_fail()
    assert tool.pulled_id(f"{registry.host}/{name}:1") == image.id
    assert {each.asked.get("authorization") for each in registry.wire.of("GET", "/token")} == {None}


@pytest.fixture(scope="module")
def published(shared_registry: RegistryWorld, tools: dict[str, Tool]) -> str:
    """A package that PRIVATE's workflow made, with a tag `1`: owner/name."""
    name, _ = publish(tools["skopeo"], shared_registry, make_image(), shared_registry.workflow_token(PRIVATE))
    tools["skopeo"].forget()
    return name


def test_a8_a_workflow_of_another_repository_is_refused(tool: Tool, registry: RegistryWorld, published: str) -> None:
    tool.login(registry.host, MEMBER, registry.workflow_token(OTHER)).or_fail()
    pushed = tool.push(make_image(), f"{registry.host}/{published}:2")
    assert not pushed.worked
    assert "This workflow can neither push to a package of this name nor make one." in pushed.text
    pulled = tool.pull(f"{registry.host}/{published}:1")
    assert not pulled.worked
    assert "There is no such package, or this workflow may not read it." in pulled.text


def test_a8_a_workflow_that_may_only_read(tool: Tool, registry: RegistryWorld, published: str) -> None:
    tool.login(registry.host, MEMBER, registry.workflow_token(PRIVATE, "read")).or_fail()
    tool.pull(f"{registry.host}/{published}:1").or_fail()
    pushed = tool.push(make_image(), f"{registry.host}/{published}:2")
    assert not pushed.worked
    assert "The workflow's token has packages: read; this needs packages: write." in pushed.text


def test_a9_a_person_makes_a_package_of_the_repository_that_a_label_names(tool: Tool, registry: RegistryWorld) -> None:
    image = make_image(labels=registry.source(PRIVATE))
    _, package = publish(tool, registry, image, registry.token(MEMBER, "write:packages"))
    assert package == LINKED
    assert warnings(registry) == []


@pytest.mark.parametrize("tool", ["podman", "buildah", "skopeo", "oras"], indirect=True)
def test_a9_or_an_annotation(tool: Tool, registry: RegistryWorld) -> None:
    """docker sends manifests of its own kind, which have none."""
    image = make_image(annotations=registry.source(PRIVATE))
    _, package = publish(tool, registry, image, registry.token(MEMBER, "write:packages"))
    assert package == LINKED


def test_a9_without_a_label_it_is_linked_to_nothing(tool: Tool, registry: RegistryWorld) -> None:
    _, package = publish(tool, registry, make_image(), registry.token(MEMBER, "write:packages"))
    assert package == UNLINKED
    (warning,) = warnings(registry)
    assert warning.startswith('299 - "The package is linked to no repository')


@pytest.mark.parametrize("tool", ["docker", "skopeo"], indirect=True)
@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{url}/" + OTHER, id="a repository that he may only read"),
        pytest.param("{url}/acme/gone", id="a repository that does not exist"),
        pytest.param("https://registry.example/" + PRIVATE, id="another server"),
    ],
)
def test_a9_a_label_is_a_claim_and_gives_no_right(source: str, tool: Tool, registry: RegistryWorld) -> None:
    labels = {"org.opencontainers.image.source": source.format(url=registry.url)}
    _, package = publish(tool, registry, make_image(labels=labels), registry.token(MEMBER, "write:packages"))
    assert package == UNLINKED
    assert len(warnings(registry)) == 1

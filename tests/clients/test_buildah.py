"""buildah builds on an image from here, and pushes what it built."""

import pytest
from tests.clients.containers_tools import Buildah
from tests.clients.images import SOURCE, make_image
from tests.clients.registry_world import MEMBER, PRIVATE, PackageSettings, RegistryWorld
from tests.clients.tool import Tool
from tests.world import busybox_layer

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(120)]
HTTP = "--tls-verify=false"


@pytest.fixture
def buildah(tools: dict[str, Tool], registry: RegistryWorld) -> Buildah:
    """Logged in as MEMBER."""
    found = tools["buildah"]
    assert isinstance(found, Buildah)
    found.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages")).or_fail()
    return found


def test_from_run_commit_push(buildah: Buildah, registry: RegistryWorld) -> None:
    base, built = (f"{registry.host}/{registry.new_name()}:1" for _ in range(2))
    (buildah.folder / "busybox.tar").write_bytes(busybox_layer())
    run = buildah.run
    run("from", "--name", "base", "scratch").or_fail()
    run("add", "base", "busybox.tar", "/").or_fail()
    run("config", "--env", "PATH=/bin", "base").or_fail()
    run("commit", "--rm", "base", base).or_fail()
    run("push", HTTP, base).or_fail()
    run("rmi", base).or_fail()
    run("from", HTTP, "--name", "work", base).or_fail()
    run("run", "work", "--", "sh", "-c", "echo made inside > /made").or_fail()
    run("config", "--label", f"{SOURCE}={registry.url}/{PRIVATE}", "work").or_fail()
    run("commit", "--rm", "work", built).or_fail()
    run("push", HTTP, "--format", "docker", built).or_fail()
    run("rmi", built).or_fail()
    run("from", HTTP, "--name", "again", built).or_fail()
    assert run("run", "again", "--", "cat", "/made").or_fail() == "made inside\n"
    run("rm", "again").or_fail()
    name = built.removeprefix(f"{registry.host}/").removesuffix(":1")
    assert registry.settings(name) == PackageSettings(visibility="private", inherit_access=False, repository=PRIVATE)


def test_a_build_from_an_image_that_is_private(buildah: Buildah, registry: RegistryWorld) -> None:
    """L1: the credentials that pull also resolve `FROM`."""
    image, base = make_image(), f"{registry.host}/{registry.new_name()}:1"
    buildah.push(image, base).or_fail()
    buildah.run("rmi", "--force", image.id.partition(":")[2]).or_fail()
    context = buildah.folder / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(f"FROM {base}\nCOPY Dockerfile /\n")
    buildah.run("build", HTTP, "--tag", f"{base}-built", str(context)).or_fail()
    buildah.run("push", HTTP, f"{base}-built").or_fail()
    buildah.logout(registry.host).or_fail()
    buildah.run("rmi", "--all", "--force").or_fail()
    said = buildah.run("build", HTTP, str(context))
    assert not said.worked
    assert "There is no public package of this name." in said.text

"""What a person sees in his client who is refused: the rule, and what he can do. Rules A6, A7, A13."""

import re

import pytest
from tests.clients.images import make_image
from tests.clients.oras_tool import Oras
from tests.clients.registry_world import MEMBER, OUTSIDER, RegistryWorld
from tests.clients.tool import Tool

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def hidden(shared_registry: RegistryWorld, tools: dict[str, Tool]) -> str:
    """A private package, with a tag `1`: owner/name."""
    name, skopeo = shared_registry.new_name(), tools["skopeo"]
    skopeo.login(shared_registry.host, MEMBER, shared_registry.token(MEMBER, "write:packages")).or_fail()
    skopeo.push(make_image(), f"{shared_registry.host}/{name}:1").or_fail()
    skopeo.forget()
    return name


def refused_push(tool: Tool, registry: RegistryWorld, name: str) -> str:
    said = tool.push(make_image(), f"{registry.host}/{name}:1")
    assert not said.worked
    assert registry.wire.uploads() == []
    assert "Retrying" not in said.text, "what is refused is not asked for again"
    return said.text


def refused_pull(tool: Tool, registry: RegistryWorld, name: str) -> str:
    said = tool.pull(f"{registry.host}/{name}:1")
    assert not said.worked
    assert [each for each in registry.wire.of("GET", "/manifests/") if each.status == 200] == []
    assert "Retrying" not in said.text
    return re.sub('time="[^"]*"', "", said.text)


def test_a_wrong_password(tool: Tool, registry: RegistryWorld, hidden: str) -> None:
    """podman and its kin have a sentence of their own; oras asks nobody before it needs to."""
    said = tool.login(registry.host, MEMBER, "ghp_wrong")
    if isinstance(tool, Oras):
        said = tool.pull(f"{registry.host}/{hidden}:1")
        assert not said.worked
        assert "This endpoint requires a token." in said.text
        return
    assert not said.worked
    assert "is no valid access token of this server. Use" in said.text or "invalid username/password" in said.text
    assert "ghp_wrong" not in said.text


def test_a13_without_a_login(tool: Tool, registry: RegistryWorld, hidden: str) -> None:
    """podman and its kin push with HEAD first, whose answer has no body; they have a sentence of their own for that."""
    tool.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages")).or_fail()
    tool.pull(f"{registry.host}/{hidden}:1").or_fail()
    registry.wire.clear()
    tool.logout(registry.host).or_fail()
    text = refused_pull(tool, registry, hidden)
    assert "There is no public package of this name. Log in, with an access token" in text
    missing = registry.new_name()
    assert refused_pull(tool, registry, missing).replace(missing, hidden) == text
    text = refused_push(tool, registry, hidden)
    assert "This needs a login. Log in, with an access token" in text or "authentication required" in text


def test_a13_hidden_and_missing_look_the_same(tool: Tool, registry: RegistryWorld, hidden: str) -> None:
    missing = registry.new_name()
    tool.login(registry.host, OUTSIDER, registry.token(OUTSIDER, "write:packages")).or_fail()
    text = refused_pull(tool, registry, hidden)
    assert "There is no such package, or you may not read it." in text
    assert refused_pull(tool, registry, missing).replace(missing, hidden) == text
    text = refused_push(tool, registry, hidden)
    assert "You can neither push to a package of this name nor make one." in text


def test_a6_a_token_without_the_scope(tool: Tool, registry: RegistryWorld, hidden: str) -> None:
    tool.login(registry.host, MEMBER, registry.token(MEMBER, "read:packages")).or_fail()
    tool.pull(f"{registry.host}/{hidden}:1").or_fail()
    assert "lacks the scope write:packages. Log in with one that has it." in refused_push(tool, registry, hidden)
    registry.wire.clear()
    tool.login(registry.host, MEMBER, registry.token(MEMBER, "repo")).or_fail()
    assert "Your token lacks the scope read:packages" in refused_pull(tool, registry, hidden)


def test_a7_a_push_with_a_codespaces_token(
    tool: Tool, registry: RegistryWorld, codespace_token: str, hidden: str
) -> None:
    tool.login(registry.host, "admin", codespace_token).or_fail()
    for name in (hidden, registry.new_name()):
        text = refused_push(tool, registry, name)
        assert "A codespace's token pulls only." in text
        assert "log in with a personal access token that has the scope write:packages." in text
    assert "or this codespace may not read it." in refused_pull(tool, registry, hidden)

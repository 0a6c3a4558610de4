"""gh from Debian, unmodified: codespaces. Source: GITHUB_CLIENTS sections 1 A and C of the references."""

import base64
import json
from collections.abc import Callable

import pytest
from tests.api_clients.api_world import REPOSITORY, USER, ApiWorld
from tests.api_clients.gh_tool import Gh
from tests.world import ORGANIZATION

pytestmark = [pytest.mark.engine, pytest.mark.registry]


async def state_of(world: ApiWorld, name: str) -> str:
    async with world.api() as api:
        return str((await world.world.server.until_at_rest(api, name))["state"])


async def test_the_life_of_a_codespace(api_world: ApiWorld, gh_codespace: Gh) -> None:
    gh, name = gh_codespace, await api_world.new_codespace()
    assert name in gh("codespace", "list")
    assert name in gh("codespace", "list", "-R", REPOSITORY)
    fields = "name,state,repository,machineName,gitStatus,createdAt,lastUsedAt,displayName,owner"
    (found,) = (each for each in json.loads(gh("codespace", "list", "--json", fields)) if each["name"] == name)
    assert (found["state"], found["repository"], found["owner"]) == ("Available", REPOSITORY, USER)
    assert found["gitStatus"]["ref"] == "main"
    assert gh("codespace", "code", "-c", name).strip() == f"vscode://github.codespaces/connect?name={name}"
    shown = gh("codespace", "code", "--web", "-c", name).strip()
    host = "https://github.com" if gh.way == "socket" else api_world.plain_url
    assert shown == f"{host}/codespaces/{name}"
    gh("codespace", "stop", "-c", name)
    assert await state_of(api_world, name) == "Shutdown"
    assert "is not running" in gh.fail("codespace", "stop", "-c", name)
    gh("codespace", "delete", "-c", name)
    assert name not in gh("codespace", "list")


async def test_creation_and_change(api_world: ApiWorld, gh_codespace: Gh) -> None:
    """Five requests: the repository, who pays, configurations, machines, the creation."""
    gh = gh_codespace
    flags = ("--idle-timeout", "20m", "--retention-period", "24h", "-d", "my box")
    name = gh("codespace", "create", "-R", REPOSITORY, "-b", "main", *flags).strip().splitlines()[-1]
    assert await state_of(api_world, name) == "Available"
    async with api_world.api() as api:
        made = (await api.get(f"/user/codespaces/{name}")).json()
        machine = made["machine"]["name"]
    assert made["display_name"] == "my box"
    assert (made["idle_timeout_minutes"], made["retention_period_minutes"]) == (20, 1440)
    gh("codespace", "edit", "-c", name, "-d", "renamed", "-m", machine)
    assert "renamed" in gh("codespace", "list")
    assert "HTTP 422" in gh.fail("codespace", "edit", "-c", name, "-m", "nothing")
    assert name in gh("codespace", "list", "-o", ORGANIZATION)
    assert name in gh("codespace", "list", "-o", ORGANIZATION, "-u", USER)
    gh("codespace", "stop", "-c", name, "-o", ORGANIZATION, "-u", USER)
    assert await state_of(api_world, name) == "Shutdown"
    gh("codespace", "delete", "-c", name, "-o", ORGANIZATION, "-u", USER)
    assert name not in gh("codespace", "list")


async def test_creation_with_a_machine_and_a_configuration(api_world: ApiWorld, gh_codespace: Gh) -> None:
    gh, path = gh_codespace, ".devcontainer/devcontainer.json"
    async with api_world.api() as api:
        (machine,) = (await api.get(f"/repos/{REPOSITORY}/codespaces/machines")).json()["machines"]
    create = ("codespace", "create", "-R", REPOSITORY, "--devcontainer-path", path)
    name = gh(*create, "-m", machine["name"]).strip().splitlines()[-1]
    assert "there is no such machine for the repository: nothing" in gh.fail(*create, "-m", "nothing")
    gh("codespace", "delete", "-c", name, "-f")


async def test_a_secret_that_gh_sealed_is_in_the_codespace(api_world: ApiWorld, make_gh: Callable[..., Gh]) -> None:
    gh = make_gh("TLS")
    gh("secret", "set", "FROM_GH", "-R", REPOSITORY, "--app", "codespaces", "--body", "a value")
    name = await api_world.new_codespace()
    async with api_world.api() as api:
        command = {"command": ["sh", "-c", 'printf %s "$FROM_GH"']}
        answer = (await api.post(f"/user/codespaces/{name}/exec", json=command)).raise_for_status()
    assert base64.b64decode(answer.json()["output"]) == b"a value"
    gh("api", "-X", "DELETE", f"user/codespaces/{name}")
    gh("secret", "delete", "FROM_GH", "-R", REPOSITORY, "--app", "codespaces")


@pytest.mark.parametrize(
    "command", [("ssh",), ("logs",), ("ports",), ("jupyter",), ("rebuild",), ("cp", "a", "remote:b")]
)
async def test_what_needs_a_tunnel_ends_at_once_and_says_where(
    api_world: ApiWorld, make_gh: Callable[..., Gh], available: str, command: tuple[str, ...]
) -> None:
    verb, *rest = command
    assert "unsupported.berth.invalid" in make_gh("plain").fail("codespace", verb, "-c", available, *rest)

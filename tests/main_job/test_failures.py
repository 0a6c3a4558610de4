"""Bad input and faults: each ends in Failed with a stable code, one sentence and a next step, and leaves nothing behind."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
from tests.server import free_port, fresh_name
from tests.world import REGISTRY_PASSWORD, REGISTRY_USER, World, put_triple

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(180)]

CANARY = "canary-4f1c9b"


async def repository(world: World, api: httpx.AsyncClient, config: str) -> str:
    """A fresh repository of a fresh organization: no secrets reach it but its own."""
    name = fresh_name("o")
    assert (await api.post("/admin/organizations", json={"login": name, "admin": "admin"})).status_code == 201
    assert (await api.post(f"/orgs/{name}/repos", json={"name": "r", "private": True})).status_code == 201
    await world.commit(api, ".devcontainer/devcontainer.json", config, f"{name}/r")
    return f"{name}/r"


async def fail(world: World, api: httpx.AsyncClient, full_name: str) -> dict[str, str]:
    """Launch, see it fail, see that nothing is left; the finding."""
    answer = await api.post(f"/repos/{full_name}/codespaces", json={})
    assert answer.status_code == 201, answer.text
    name = answer.json()["name"]
    codespace = await world.server.until_at_rest(api, name, timeout_s=90)
    assert codespace["state"] == "Failed"
    log = (await api.get(f"/user/codespaces/{name}/logs")).text
    finding: dict[str, str] = codespace["finding"]
    assert CANARY not in log + json.dumps(codespace)
    assert finding["code"] in log
    assert finding["sentence"].rstrip().endswith((".", "?", "!"))
    assert finding["next_step"]
    assert not [c for c in await world.containers() if c["Labels"]["dev.berth.codespace"] == name]
    assert not (world.server.data / "codespaces" / name).exists()
    return finding


CONFIGURATIONS = {
    "a malformed file": ("{ not json", "devcontainer.malformed"),
    "no object": ('["image"]', "devcontainer."),
    "no image": ("{}", "devcontainer."),
    "a Dockerfile": ('{"build": {"dockerfile": "Dockerfile"}}', "devcontainer."),
    "compose": ('{"dockerComposeFile": "c.yml", "service": "a"}', "compose.missing"),
    "a Feature of nowhere": ('{"image": "IMAGE", "features": {"https://127.0.0.1/x.tgz": {}}}', "feature."),
    "L3 initializeCommand": ('{"image": "IMAGE", "initializeCommand": "touch /tmp/was-here"}', "devcontainer."),
    "L4 privileged": ('{"image": "IMAGE", "privileged": true}', "devcontainer."),
    "L4 a mount of the host": ('{"image": "IMAGE", "mounts": ["source=/etc,target=/e,type=bind"]}', "devcontainer."),
    "L4 run arguments": ('{"image": "IMAGE", "runArgs": ["--privileged"]}', "devcontainer."),
    "L4 a context far out": (
        '{"build": {"dockerfile": "Dockerfile", "context": "../../../../../etc"}}',
        "devcontainer.not_allowed",
    ),
    "an impossible image name": ('{"image": "UPPER/../x"}', "image_reference."),
    "a bare image id": ('{"image": "' + "a" * 64 + '"}', "image_reference."),
}


@pytest.mark.parametrize(("config", "code"), CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
async def test_configurations(world: World, config: str, code: str) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, config.replace("IMAGE", world.image))
        assert (await fail(world, api, full_name))["code"].startswith(code)


async def test_a_missing_configuration(world: World) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, json.dumps({"image": world.image}))
        body = {"devcontainer_path": "elsewhere.json"}
        name = (await api.post(f"/repos/{full_name}/codespaces", json=body)).json()["name"]
        assert (await world.server.until_at_rest(api, name))["finding"]["code"] == "devcontainer.missing"


async def test_an_unknown_ref_is_refused_at_once(world: World) -> None:
    async with world.server.api() as api:
        answer = await api.post(f"/repos/{world.repository}/codespaces", json={"ref": "no-such-branch"})
        assert answer.status_code == 422
        assert "no-such-branch" in answer.json()["message"]


CREDENTIALS = {
    "no secrets at all": (None, "image.credential_missing"),
    "a wrong password": (("HOST", REGISTRY_USER, CANARY), "image.unauthorized"),
    "a wrong user": (("HOST", CANARY, REGISTRY_PASSWORD), "image.unauthorized"),
    "C4 a look-alike host": (("HOST.example", REGISTRY_USER, REGISTRY_PASSWORD), "image.credential_missing"),
    "C3 an impossible SERVER": ((f"https://{CANARY}:x@HOST", REGISTRY_USER, CANARY), "image.credential_missing"),
}


@pytest.mark.parametrize(("triple", "code"), CREDENTIALS.values(), ids=CREDENTIALS.keys())
async def test_credentials(world: World, triple: tuple[str, str, str] | None, code: str) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, json.dumps({"image": world.image}))
        if triple is not None:
            server, user, password = (part.replace("HOST", world.registry_host) for part in triple)
            await put_triple(api, f"/repos/{full_name}/codespaces/secrets", "MY", (server, user, password))
        assert (await fail(world, api, full_name))["code"] == code


async def test_an_incomplete_triple_is_the_named_cause(world: World) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, json.dumps({"image": world.image}))
        triple = (world.registry_host, REGISTRY_USER, REGISTRY_PASSWORD)
        await put_triple(api, f"/repos/{full_name}/codespaces/secrets", "MY", triple)
        await api.delete(f"/repos/{full_name}/codespaces/secrets/MY_CONTAINER_REGISTRY_PASSWORD")
        finding = await fail(world, api, full_name)
        assert finding["code"] == "credential.incomplete"
        assert "MY_CONTAINER_REGISTRY_PASSWORD" in finding["sentence"]


@pytest.mark.parametrize("tag", [":2", "-none:1"], ids=["a missing tag", "a missing repository"])
async def test_an_image_that_does_not_exist(world: World, tag: str) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, json.dumps({"image": world.image.removesuffix(":1") + tag}))
        triple = (world.registry_host, REGISTRY_USER, REGISTRY_PASSWORD)
        await put_triple(api, f"/repos/{full_name}/codespaces/secrets", "MY", triple)
        assert (await fail(world, api, full_name))["code"] == "image.not_found"


async def _html(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    page = b"<html>Welcome to our hotel</html>"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + page)
    await writer.drain()
    writer.close()


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.read(4096):
            pass
    finally:
        writer.close()


Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(host: str, respond: Respond) -> AsyncIterator[None]:
    address, _, port = host.partition(":")
    async with await asyncio.start_server(respond, address, int(port)):
        yield


async def test_a_registry_that_is_down(world: World) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, json.dumps({"image": f"127.0.0.1:{free_port()}/a/b:1"}))
        assert (await fail(world, api, full_name))["code"].startswith("registry.")


@pytest.mark.parametrize(
    ("respond", "code"),
    [(_html, "registry.not_a_registry"), (_hang, "registry.timeout")],
    ids=["answers HTML", "hangs"],
)
async def test_a_registry_that_is_none(world: World, respond: Respond, code: str) -> None:
    async with listening(world.other_host, respond), world.server.api() as api:
        full_name = await repository(world, api, json.dumps({"image": f"{world.other_host}/a/b:1"}))
        assert (await fail(world, api, full_name))["code"] == code


async def test_an_image_without_a_host_means_docker_hub(world: World) -> None:
    async with world.server.api() as api:
        full_name = await repository(world, api, json.dumps({"image": "debian:12"}))
        finding = await fail(world, api, full_name)  # there is no way to Docker Hub from here
        assert finding["code"].startswith("registry.")
        assert "docker.io" in json.dumps(finding)


async def test_a_hook_that_fails(world: World) -> None:
    for hook in ("onCreateCommand", "postCreateCommand"):
        async with world.server.api() as api:
            config = {"image": world.image, hook: "echo the reason; exit 9"}
            full_name = await repository(world, api, json.dumps(config))
            triple = (world.registry_host, REGISTRY_USER, REGISTRY_PASSWORD)
            await put_triple(api, f"/repos/{full_name}/codespaces/secrets", "MY", triple)
            finding = await fail(world, api, full_name)
            assert finding["code"] == "devcontainer.hook_failed"
            assert hook in finding["sentence"]


async def test_deleting_and_stopping_in_the_middle_of_a_launch(world: World) -> None:
    async with world.server.api() as api:
        config = {"image": world.image, "onCreateCommand": "sleep 60"}
        full_name = await repository(world, api, json.dumps(config))
        triple = (world.registry_host, REGISTRY_USER, REGISTRY_PASSWORD)
        await put_triple(api, f"/repos/{full_name}/codespaces/secrets", "MY", triple)
        names = [(await api.post(f"/repos/{full_name}/codespaces", json={})).json()["name"] for _ in range(2)]
        for name in names:
            await world.until(partial(_has_container, world, name))
        await api.delete(f"/user/codespaces/{names[0]}")
        await api.post(f"/user/codespaces/{names[1]}/stop")
        await world.until_gone(names[0])
        assert (await world.server.until_at_rest(api, names[1]))["state"] == "Shutdown"
        assert not await _has_container(world, names[1])
        assert not world.leftover_processes()


async def _has_container(world: World, name: str) -> bool:
    return any(c["Labels"]["dev.berth.codespace"] == name for c in await world.containers())


async def test_l2_an_image_that_the_engine_holds_is_not_free_for_everybody(world: World) -> None:
    async with world.server.api() as api:
        name = (await api.post(f"/repos/{world.repository}/codespaces", json={})).json()["name"]
        assert (await world.server.until_at_rest(api, name))["state"] == "Available", "the positive control"
        full_name = await repository(world, api, json.dumps({"image": world.image}))
        assert (await fail(world, api, full_name))["code"] == "image.credential_missing"
        (container,) = [c for c in await world.containers() if c["Labels"]["dev.berth.codespace"] == name]
        for cached in (container["ImageID"].removeprefix("sha256:"), container["ImageID"]):
            other = await repository(world, api, json.dumps({"image": cached}))
            assert (await fail(world, api, other))["code"].startswith(("image_reference.", "registry."))
        await api.delete(f"/user/codespaces/{name}")
        await world.until_gone(name)

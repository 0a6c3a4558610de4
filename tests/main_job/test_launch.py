"""The main job, end to end: three secrets, one codespace from a private image, on a real engine and a real registry."""

import base64
import json

import httpx
import pytest
from tests.own_registry import own_host
from tests.world import REGISTRY_PASSWORD, REGISTRY_USER, World

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(180)]


async def create(world: World, api: httpx.AsyncClient, **body: object) -> dict[str, object]:
    answer = await api.post(f"/repos/{world.repository}/codespaces", json=body)
    assert answer.status_code == 201, answer.text
    name = answer.json()["name"]
    codespace = await world.server.until_at_rest(api, name)
    assert codespace["state"] == "Available", (await api.get(f"/user/codespaces/{name}/logs")).text
    return codespace


async def run(api: httpx.AsyncClient, name: object, *command: str, stdin: str = "") -> tuple[int, str]:
    body = {"command": list(command), "stdin": base64.b64encode(stdin.encode()).decode()}
    answer = await api.post(f"/user/codespaces/{name}/exec", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["exit_code"], base64.b64decode(answer.json()["output"]).decode()


async def test_a_codespace_from_a_private_image(world: World) -> None:
    async with world.server.api() as api:
        name = (await create(world, api))["name"]
        assert await run(api, name, "sh", "-c", "echo $CODESPACES $CODESPACE_NAME") == (0, f"true {name}\n")
        assert await run(api, name, "cat", ".devcontainer/devcontainer.json") == (0, json.dumps({"image": world.image}))
        assert await run(api, name, "sh", "-c", "exit 7") == (7, "")
        assert await run(api, name, "cat", stdin="to the end") == (0, "to the end")


async def test_l7_the_docker_config_is_there_for_exactly_that_registry_and_ours(world: World) -> None:
    async with world.server.api() as api:
        name = (await create(world, api))["name"]
        code, text = await run(api, name, "sh", "-c", "cat ~/.docker/config.json")
        _, token = await run(api, name, "sh", "-c", "printf %s $GITHUB_TOKEN")
        logins = {world.registry_host: f"{REGISTRY_USER}:{REGISTRY_PASSWORD}", own_host(world): f"admin:{token}"}
        auths = {host: {"auth": base64.b64encode(pair.encode()).decode()} for host, pair in logins.items()}
        assert code == 0
        assert json.loads(text) == {"auths": auths}
        assert (await run(api, name, "sh", "-c", "stat -c %a ~/.docker/config.json -L"))[1] == "600\n"
        assert (await run(api, name, "sh", "-c", "grep /run/codespaces /proc/mounts | cut -d' ' -f1"))[1] == "tmpfs\n"


async def test_s7_secrets_and_l9_variables_are_in_the_environment(world: World) -> None:
    async with world.server.api() as api:
        name = (await create(world, api))["name"]
        _, text = await run(api, name, "env")
        environment = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        assert environment["CORP_CONTAINER_REGISTRY_PASSWORD"] == REGISTRY_PASSWORD
        assert environment["GITHUB_REPOSITORY"] == world.repository
        assert environment["GITHUB_USER"] == "admin"
        assert environment["GITHUB_SERVER_URL"] == world.server.url
        assert environment["GITHUB_API_URL"] == f"{world.server.url}/api/v3"
        async with world.server.api(environment["GITHUB_TOKEN"]) as inside:
            assert (await inside.get(f"/repos/{world.repository}")).status_code == 200
            assert (await inside.put("/user/codespaces/secrets/X", json={})).status_code in {403, 404, 422}


async def test_l2_the_container_runs_by_digest(world: World) -> None:
    async with world.server.api() as api:
        name = (await create(world, api))["name"]
    (container,) = [c for c in await world.containers() if c["Labels"]["dev.berth.codespace"] == name]
    assert "@sha256:" in container["Image"]


async def test_stop_start_delete(world: World) -> None:
    async with world.server.api() as api:
        name = str((await create(world, api))["name"])
        await run(api, name, "sh", "-c", "echo kept > /tmp/mine; echo kept > here")
        _, token = await run(api, name, "sh", "-c", "printf %s $GITHUB_TOKEN")
        assert (await api.post(f"/user/codespaces/{name}/stop")).json()["state"] in {"ShuttingDown", "Shutdown"}
        assert (await world.server.until_at_rest(api, name))["state"] == "Shutdown"
        async with world.server.api(token) as inside:
            assert (await inside.get("/user")).status_code == 401, "its token is void while it does not run"
        assert (await api.post(f"/user/codespaces/{name}/exec", json={"command": ["true"]})).status_code == 409
        assert (await api.post(f"/user/codespaces/{name}/start")).status_code == 200
        assert (await world.server.until_at_rest(api, name))["state"] == "Available"
        assert (await api.post(f"/user/codespaces/{name}/start")).status_code == 409
        assert await run(api, name, "cat", "/tmp/mine", "here") == (0, "kept\nkept\n")
        assert (await run(api, name, "sh", "-c", "cat ~/.docker/config.json"))[0] == 0
        deleted = await api.delete(f"/user/codespaces/{name}")
        assert (deleted.status_code, deleted.json()) == (202, {})
        assert (await api.get(f"/user/codespaces/{name}")).status_code == 404
        await world.until_gone(name)


async def test_hooks_run_in_order_and_secrets_come_after_creation(world: World) -> None:
    hook = (
        "echo {0} ${{CORP_CONTAINER_REGISTRY_USER:-none}} $(test -e ~/.docker/config.json && echo config) >> /tmp/order"
    )
    hooks = ("onCreateCommand", "updateContentCommand", "postCreateCommand", "postStartCommand")
    config = {"image": world.image, **{name: hook.format(name) for name in hooks}}
    async with world.server.api() as api:
        await world.commit(api, ".devcontainer/hooks/devcontainer.json", json.dumps(config))
        body = {"devcontainer_path": ".devcontainer/hooks/devcontainer.json"}
        name = (await create(world, api, **body))["name"]
        _, text = await run(api, name, "cat", "/tmp/order")
    assert text.splitlines() == [
        "onCreateCommand none",
        "updateContentCommand none",
        f"postCreateCommand {REGISTRY_USER} config",
        f"postStartCommand {REGISTRY_USER} config",
    ]


async def test_a_user_who_is_not_root_owns_his_checkout(world: World) -> None:
    config = {"image": world.image, "remoteUser": "dev", "onCreateCommand": "touch made-by-hook"}
    async with world.server.api() as api:
        await world.commit(api, ".devcontainer/user/devcontainer.json", json.dumps(config))
        body = {"devcontainer_path": ".devcontainer/user/devcontainer.json"}
        name = (await create(world, api, **body))["name"]
        assert await run(api, name, "sh", "-c", "id -u; touch mine && stat -c %u mine made-by-hook .git/HEAD") == (
            0,
            "1000\n1000\n1000\n1000\n",
        )
        assert (await run(api, name, "sh", "-c", "cat ~/.docker/config.json"))[0] == 0


async def test_the_log_as_events(world: World) -> None:
    async with world.server.api() as api:
        answer = await api.post(f"/repos/{world.repository}/codespaces", json={})
        url = f"/user/codespaces/{answer.json()['name']}/logs"
        kinds = []
        async with api.stream("GET", url, params={"follow": "1"}) as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            async for line in events.aiter_lines():
                if line.startswith("event: "):
                    kinds.append(line.removeprefix("event: "))
        assert kinds[-1] == "end"
        assert "phase" in kinds
        assert "progress" in kinds
        entries = (await api.get(url)).json()
        assert [entry["kind"] for entry in entries] == kinds[:-1]

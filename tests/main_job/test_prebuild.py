"""Prebuilds on a real engine: made after a push, published, launched from; what they must not open, and must not hold."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.main_job.test_dockerfile import RIGHT, Project, code, make_project
from tests.own_registry import Skopeo, make_user, own_host, workflow_token
from tests.server import fresh_name
from tests.world import REGISTRY_PASSWORD, World, put_triple

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(240)]
NONCE = "RUN head -c 12 /dev/urandom | base64 > /nonce\n"


async def at_rest(project: Project, number: int) -> dict[str, Any]:
    """The prebuild, once its run has ended."""
    async with asyncio.timeout(90):
        while True:
            answer = await project.api.get(f"/repos/{project.full_name}/codespaces/prebuilds/{number}")
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            if found["state"] in {"ready", "failed"}:
                return found
            await asyncio.sleep(0.1)


async def prebuild(project: Project, **wanted: Any) -> dict[str, Any]:
    body = {"branch": "main", **wanted}
    answer = await project.api.post(f"/repos/{project.full_name}/codespaces/prebuilds", json=body)
    assert answer.status_code == 201, answer.text
    return await at_rest(project, answer.json()["id"])


async def delete(project: Project, number: int) -> None:
    path = f"/repos/{project.full_name}/codespaces/prebuilds"
    assert (await project.api.delete(f"{path}/{number}")).status_code == 204
    await project.delete()


async def machines(project: Project) -> str:
    answer = await project.api.get(f"/repos/{project.full_name}/codespaces/machines")
    return str(answer.json()["machines"][0]["prebuild_availability"])


@pytest.fixture
async def api(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with world.server.api() as api:
        yield api


async def test_a_launch_uses_what_was_built_after_the_push(world: World, api: httpx.AsyncClient) -> None:
    project = await make_project(world, api, f"FROM {world.image}\n{NONCE}")
    await project.give(world.registry_host, RIGHT)
    assert await machines(project) == "none"
    made = await prebuild(project)
    assert made["state"] == "ready", made
    assert await machines(project) == "ready"
    (version,) = made["versions"]
    first = await project.launch()
    assert code(first) == ""
    log = await project.log(first)
    assert f"Using the prebuild of {version['configuration_hash'][:12]}, made " in log
    assert "Building the image" not in log
    assert first["prebuild"] is True
    nonce = await project.run(first, "cat /nonce")
    assert len(nonce) == 16
    await project.commit(**{".devcontainer/Dockerfile": f"FROM {world.image}\n{NONCE}RUN echo more > /more\n"})
    other = await project.launch()
    if not other["prebuild"]:  # the push has the prebuild made anew, in the background
        assert "No prebuild was made of this configuration" in await project.log(other)
    assert await project.run(other, "cat /more") == "more", "what was built before the push is not what is used"
    async with asyncio.timeout(60):
        while len((await at_rest(project, made["id"]))["versions"]) < 2:
            await asyncio.sleep(0.1)
    third = await project.launch()
    assert third["prebuild"] is True
    assert await project.run(third, "cat /more") == "more"
    await delete(project, made["id"])


async def test_l2_a_prebuild_opens_no_image_to_who_has_no_right_to_it(world: World, api: httpx.AsyncClient) -> None:
    project = await make_project(world, api, f"FROM {world.image}\n{NONCE}")
    owner, _, name = project.full_name.partition("/")
    await project.give(world.registry_host, RIGHT)
    made = await prebuild(project)
    assert made["state"] == "ready", made
    login, token = await make_user(world, api, "repo", "codespace", "user", "read:packages")
    path = f"/repos/{owner}/{name}/collaborators/{login}"
    assert (await api.put(path, json={"permission": "pull"})).status_code in {201, 204}
    async with world.server.api(token) as theirs:
        reader = Project(world, theirs, project.full_name, project.repository_id)
        refused = await reader.launch()
        assert code(refused) == "image.credential_missing", (
            "secrets go to writers only (S6), and the prebuild opens nothing"
        )
        assert (await api.put(path, json={"permission": "push"})).status_code in {201, 204}
        allowed = await reader.launch()
        assert code(allowed) == "", "the control"
        assert allowed["prebuild"] is True
        await reader.delete()
    await delete(project, made["id"])


async def test_no_credential_is_in_a_version_and_a_users_are_not_used(
    world: World, api: httpx.AsyncClient, tmp_path: Path
) -> None:
    """L7, S7. The administrator's own login to the registry opens the image for his launch, and not for the prebuild."""
    dockerfile = f"FROM {world.image}\nRUN (env; ls -laR /root /run) > /environment 2>&1 || true\n"
    project = await make_project(world, api, dockerfile)
    await put_triple(
        api,
        "/user/codespaces/secrets",
        fresh_name("MINE"),
        (world.registry_host, *RIGHT),
        selected_repository_ids=[project.repository_id],
    )
    assert code(await project.launch()) == "", "the control"
    made = await prebuild(project)
    assert made["finding"]["code"] == "image.credential_missing", made
    await project.give(world.registry_host, RIGHT)
    again = await api.post(f"/repos/{project.full_name}/codespaces/prebuilds/{made['id']}/runs")
    assert again.status_code == 202
    made = await at_rest(project, made["id"])
    assert made["state"] == "ready", made
    login = f"ci:{await workflow_token(api, project.full_name, 'read')}"
    image = f"{own_host(world)}/{made['package']}:{made['versions'][0]['configuration_hash']}"
    await Skopeo(tmp_path, {own_host(world): login}).pull_to(image, tmp_path / "image")
    files = [path.read_bytes() for path in (tmp_path / "image").iterdir()]
    assert any(b"environment" in data for data in files), "the control: the layer is among them"
    for secret in (REGISTRY_PASSWORD.encode(), b"ghs_", b"CONTAINER_REGISTRY"):
        assert not [data for data in files if secret in data]
    await delete(project, made["id"])

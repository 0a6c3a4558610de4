"""The main job without any secret: a codespace and the built-in registry, opened by the codespace's own token (C6, A7)."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.own_registry import (
    CONFIGURATION,
    Skopeo,
    allow_codespaces,
    change_package,
    docker_config,
    holds_image,
    launch_badly,
    launch_well,
    make_organization,
    make_repository,
    make_user,
    own_host,
    publish,
    workflow_token,
)
from tests.world import World, engine_api, put_triple

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


@dataclass
class Own:
    """An organization with the private repository `webapp`, which published the private package `dev`, and `other`."""

    world: World
    api: httpx.AsyncClient
    organization: str
    image: str
    webapp: str
    webapp_id: int
    other: str
    other_id: int


@pytest.fixture
async def own(world: World) -> AsyncIterator[Own]:
    async with world.server.api() as api:
        organization = await make_organization(api)
        webapp, other = f"{organization}/webapp", f"{organization}/other"
        image = f"{own_host(world)}/{organization}/dev:1"
        webapp_id = await make_repository(world, api, webapp, image)
        other_id = await make_repository(world, api, other, image)
        assert await publish(world, api, webapp) == image
        yield Own(world, api, organization, image, webapp, webapp_id, other, other_id)


async def test_c6_a_private_image_and_no_secret_at_all(own: Own) -> None:
    assert not await holds_image(own.world, own.image)
    name = await launch_well(own.world, own.api, own.webapp)
    config = await docker_config(own.api, name)
    assert list(config) == [own_host(own.world)], "L7"
    user, _, token = config[own_host(own.world)].partition(":")
    assert (user, token[:4]) == ("admin", "ghu_")
    async with own.world.server.api(token) as inside:
        assert (await inside.get(f"/repos/{own.webapp}")).status_code == 200, (
            "it is the codespace's token, GITHUB_TOKEN"
        )
    log = (await own.api.get(f"/user/codespaces/{name}/logs")).text
    assert "opened by the codespace's own token" in log
    async with engine_api(own.world.docker_host) as engine:
        containers = (await engine.get("/containers/json")).json()
        (mine,) = [one["Id"] for one in containers if one["Labels"].get("dev.berth.codespace") == name]
        inspected = (await engine.get(f"/containers/{mine}/json")).text
    written = [own.world.server.log_file, *(path for path in own.world.server.data.rglob("*") if path.is_file())]
    for form in (token, base64.b64encode(f"admin:{token}".encode()).decode()):
        assert form not in log + inspected, "L7"
        assert not [path for path in written if form.encode() in path.read_bytes()], "L7"
    listed = (await own.api.get(f"/repos/{own.webapp}/codespaces/registries")).json()["registries"]
    assert [(one["server"], one["kind"]) for one in listed] == [(own_host(own.world), "codespace")]


async def test_a7_a_codespace_of_another_repository_is_refused_until_it_is_on_the_list(own: Own) -> None:
    finding = await launch_badly(own.world, own.api, own.other)
    assert finding["code"] == "package.codespace_denied"
    assert finding["sentence"] == (
        f"A codespace of {own.other} may not pull {own.organization}/dev. The codespace's repository is neither linked to "
        "the package with inheritance on, nor on its Codespaces access list."
    )
    assert finding["fixer"] == "package_admin"
    assert finding["next_step"].endswith(f"berth package grant {own.organization}/dev --codespaces {own.other}")
    await allow_codespaces(own.world, own.image, own.other_id)
    await launch_well(own.world, own.api, own.other)


async def test_a7_so_is_one_of_a_public_repository_although_it_is_linked(own: Own) -> None:
    assert (await own.api.patch(f"/repos/{own.webapp}", json={"visibility": "public"})).status_code == 200
    finding = await launch_badly(own.world, own.api, own.webapp)
    assert finding["code"] == "package.codespace_denied"
    assert "a public repository needs to be on the package's Codespaces access list" in finding["sentence"]
    await allow_codespaces(own.world, own.image, own.webapp_id)
    await launch_well(own.world, own.api, own.webapp)


async def test_a7_an_internal_package_is_for_what_is_not_public_in_the_organization(own: Own) -> None:
    await change_package(own.world, own.image, visibility="internal")
    await launch_well(own.world, own.api, own.other)
    open_source = f"{own.organization}/open"
    await make_repository(own.world, own.api, open_source, own.image, visibility="public")
    finding = await launch_badly(own.world, own.api, open_source)
    assert "internal to the same organization, but a public repository needs" in finding["sentence"]


async def test_a13_and_l2_what_a_user_may_not_read_is_not_there_whatever_the_engine_holds(own: Own) -> None:
    await launch_well(own.world, own.api, own.webapp)
    assert await holds_image(own.world, own.image)
    login, token = await make_user(own.world, own.api)
    async with own.world.server.api(token) as mine:
        await make_repository(own.world, mine, f"{login}/hidden", own.image)
        await make_repository(own.world, mine, f"{login}/missing", own.image.replace("/dev:", "/nothing:"))
        hidden, missing = [await launch_badly(own.world, mine, f"{login}/{name}") for name in ("hidden", "missing")]
    assert hidden["code"] == "package.not_found"
    assert str(hidden).replace("/dev", "/nothing") == str(missing)


async def test_s6_and_a7_who_may_only_read_the_repository_gets_no_secrets_but_its_image(own: Own) -> None:
    login, token = await make_user(own.world, own.api)
    answer = await own.api.put(f"/repos/{own.webapp}/collaborators/{login}", json={"permission": "pull"})
    assert answer.status_code in {201, 204}, answer.text
    async with own.world.server.api(token) as mine:
        name = await launch_well(own.world, mine, own.webapp)
        assert "Secrets are withheld" in (await mine.get(f"/user/codespaces/{name}/logs")).text
        assert list(await docker_config(mine, name)) == [own_host(own.world)]


@pytest.mark.parametrize(
    ("image", "code"),
    [("dev:none", "image.not_found"), ("none:1", "package.not_found")],
    ids=["a tag that is missing", "a package that is missing"],
)
async def test_what_is_missing(own: Own, image: str, code: str) -> None:
    config = json.dumps({"image": f"{own_host(own.world)}/{own.organization}/{image}"})
    await own.world.commit(own.api, CONFIGURATION, config, own.webapp)
    assert (await launch_badly(own.world, own.api, own.webapp))["code"] == code


async def test_an_image_without_an_owner(own: Own) -> None:
    full_name = f"{own.organization}/typo"
    await make_repository(own.world, own.api, full_name, f"{own_host(own.world)}/dev:1")
    finding = await launch_badly(own.world, own.api, full_name)
    assert finding["code"] == "package.name"
    assert f"{own_host(own.world)}/owner/name" in finding["sentence"]


async def test_c6_a_triple_that_names_this_server_wins(own: Own) -> None:
    """For good: it opens what the codespace's token does not. And for bad: it stands in the token's way."""
    token = (await own.api.post("/user/tokens", json={"note": "x", "scopes": ["read:packages"]})).json()["token"]
    values = (f"http://{own_host(own.world)}/", "admin", token)
    await put_triple(own.api, f"/repos/{own.other}/codespaces/secrets", "MINE", values)
    name = await launch_well(own.world, own.api, own.other)
    assert await docker_config(own.api, name) == {own_host(own.world): f"admin:{token}"}
    assert (
        "MINE_CONTAINER_REGISTRY_… (repository) is used there"
        in (await own.api.get(f"/user/codespaces/{name}/logs")).text
    )
    await put_triple(own.api, f"/repos/{own.webapp}/codespaces/secrets", "MINE", (*values[:2], "no-token"))
    finding = await launch_badly(own.world, own.api, own.webapp)
    assert (finding["code"], finding["fixer"]) == ("image.unauthorized", "repository_admin")
    weak = (await own.api.post("/user/tokens", json={"note": "x", "scopes": ["repo"]})).json()["token"]
    await put_triple(own.api, f"/repos/{own.webapp}/codespaces/secrets", "MINE", (*values[:2], weak))
    finding = await launch_badly(own.world, own.api, own.webapp)
    assert finding["code"] == "package.credential_denied"
    assert "the token's scopes do not let it" in finding["sentence"]


async def test_a7_a_push_from_a_codespace_is_refused_with_what_it_needs(own: Own, tmp_path: Path) -> None:
    name = await launch_well(own.world, own.api, own.webapp)
    inside = Skopeo(tmp_path, await docker_config(own.api, name))
    await inside.pull_to(own.image, tmp_path / "image")
    for target in (own.image, own.image.replace("/dev:", "/new:")):
        done, said = await inside.push(tmp_path / "image", target)
        assert not done
        assert "A codespace's token pulls only." in said
        assert "personal access token that has the scope write:packages" in said
    job = Skopeo(tmp_path, {own_host(own.world): f"ci:{await workflow_token(own.api, own.webapp)}"})
    done, said = await job.push(tmp_path / "image", own.image.replace(":1", ":2"))
    assert done, f"the control: a job's token pushes: {said}"


async def test_a9_what_a_person_publishes_belongs_to_no_repository(own: Own, tmp_path: Path) -> None:
    image = own.image.replace("/dev:", "/by-hand:")
    answer = await own.api.post("/user/tokens", json={"note": "x", "scopes": ["write:packages"]})
    person = Skopeo(tmp_path, {own_host(own.world): f"admin:{answer.json()['token']}"})
    await person.pull_to(own.image, tmp_path / "image")
    done, said = await person.push(tmp_path / "image", image)
    assert done, said
    await own.world.commit(own.api, CONFIGURATION, json.dumps({"image": image}), own.webapp)
    finding = await launch_badly(own.world, own.api, own.webapp)
    assert "neither linked to the package" in finding["sentence"]
    await allow_codespaces(own.world, image, own.webapp_id)
    await launch_well(own.world, own.api, own.webapp)


Change = Callable[[Own, str], Awaitable[Any]]


async def unlink(own: Own, _name: str) -> None:
    await change_package(own.world, own.image, repository_id=None)


async def stop_inheriting(own: Own, _name: str) -> None:
    await change_package(own.world, own.image, inherits_access=False)


async def transfer(own: Own, _name: str) -> None:
    new_owner = await make_organization(own.api)
    answer = await own.api.post(f"/repos/{own.webapp}/transfer", json={"new_owner": new_owner})
    assert answer.status_code == 202, answer.text


async def publish_the_repository(own: Own, _name: str) -> None:
    assert (await own.api.patch(f"/repos/{own.webapp}", json={"visibility": "public"})).status_code == 200


async def stop(own: Own, name: str) -> None:
    await own.api.post(f"/user/codespaces/{name}/stop")
    assert (await own.world.server.until_at_rest(own.api, name))["state"] == "Shutdown"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param(unlink, 404, id="A7 b the link is removed"),
        # These three without containers: tests/oci/test_remembered.py.
        pytest.param(stop_inheriting, 404, id="A4 inheritance is switched off", marks=pytest.mark.slow),
        pytest.param(transfer, 404, id="A12 the repository is transferred", marks=pytest.mark.slow),
        pytest.param(publish_the_repository, 404, id="A7 b the repository becomes public", marks=pytest.mark.slow),
        pytest.param(stop, 401, id="the codespace stops"),
    ],
)
async def test_a14_a_right_that_ends_is_gone_at_the_next_request(
    own: Own, tmp_path: Path, change: Change, status: int
) -> None:
    """Also for a registry token that was made before."""
    name = await launch_well(own.world, own.api, own.webapp)
    config = await docker_config(own.api, name)
    inside = Skopeo(tmp_path, config)
    assert (await inside.pull(own.image))[0], "the control"
    async with with_registry_token(own, config[own_host(own.world)]) as registry:
        assert (await registry.get("manifests/1")).status_code == 200, "the control"
        await change(own, name)
        assert (await registry.get("manifests/1")).status_code == status
    assert not (await inside.pull(own.image))[0]


async def test_a14_an_internal_package_that_becomes_private(own: Own, tmp_path: Path) -> None:
    await change_package(own.world, own.image, visibility="internal")
    name = await launch_well(own.world, own.api, own.other)
    inside = Skopeo(tmp_path, await docker_config(own.api, name))
    assert (await inside.pull(own.image))[0], "the control"
    await change_package(own.world, own.image, visibility="private")
    assert not (await inside.pull(own.image))[0]


@asynccontextmanager
async def with_registry_token(own: Own, pair: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the package with a registry token that this login:password gets."""
    login, _, password = pair.partition(":")
    name = f"{own.organization}/dev"
    async with httpx.AsyncClient(base_url=own.world.server.url, trust_env=False) as client:
        query = {"service": own_host(own.world), "scope": f"repository:{name}:pull"}
        token = (await client.get("/token", params=query, auth=(login, password))).raise_for_status().json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    base_url = f"{own.world.server.url}/v2/{name}/"
    async with httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False) as registry:
        yield registry

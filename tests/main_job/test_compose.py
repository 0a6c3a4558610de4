"""Dev containers of several services, on a real engine: private images, one network and volumes of their own, one life."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.main_job.test_dockerfile import RIGHT, WRONG, Project, code, publish
from tests.server import fresh_name
from tests.world import World, engine_api

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(240)]

FOLDER = ".devcontainer"
# The database says what is in its volume to whoever asks, once it has taken its time to get well.
COMPOSE = """
services:
  app:
    image: {image}
    command: sleep infinity
    environment: {{GREETING: "hello ${{WHO:-you}}", ONLY: app}}
    volumes: ["../..:/workspaces:cached", "shared:/shared"]
    depends_on:
      db: {{condition: service_healthy}}
      seed: {{condition: service_completed_successfully}}
  seed:
    image: {image}
    command: sh -c 'echo seeded >> /data/seeds'
    volumes: [data:/data]
  db:
    image: {db}
    command: sh -c 'while [ ! -e /data/seeds ]; do sleep 0.1; done; busybox httpd -f -p 8080 -h /data'
    healthcheck: {{test: test -s /data/seeds, interval: 100ms, retries: 100}}
    volumes: [data:/data, shared:/shared]
    networks: {{default: {{aliases: [database]}}}}
  later:
    image: {db}
    command: sh -c 'cat /src/.devcontainer/docker-compose.yml | head -c 1 > /shared/later; sleep infinity'
    volumes: ["..:/src:ro", "shared:/shared"]
    depends_on: [app]
volumes: {{data: , shared: }}
"""
NOTHING: dict[str, list[str]] = {"containers": [], "networks": [], "volumes": []}
ASK = "busybox wget -q -O - http://{host}:8080/seeds"


@dataclass
class Composed(Project):
    """A repository whose codespaces have services."""

    async def secrets_of_others(self, name: str) -> list[str]:
        """Environment variables of the services beside the main one, that are not theirs."""
        async with engine_api(self.world.docker_host) as engine:
            found = []
            for service in ("db", "later", "seed"):
                container = (await engine.get(f"/containers/berth-{name}.{service}/json")).raise_for_status().json()
                found += [one for one in container["Config"]["Env"] if not one.startswith("PATH=")]
        return found

    async def belongings(self, name: str) -> dict[str, list[str]]:
        """What the engine has with the codespace's label, by kind."""
        filters = {"filters": json.dumps({"label": [f"dev.berth.codespace={name}"]})}
        async with engine_api(self.world.docker_host) as engine:
            containers = (await engine.get("/containers/json", params={"all": 1, **filters})).json()
            networks = (await engine.get("/networks", params=filters)).json()
            volumes = (await engine.get("/volumes", params=filters)).json()["Volumes"] or []
        return {
            "containers": sorted(
                f"{one['Labels'].get('dev.berth.service', 'alone')} {one['State']}" for one in containers
            ),
            "networks": [one["Name"] for one in networks],
            "volumes": sorted(one["Name"] for one in volumes),
        }


async def make_composed(world: World, api: httpx.AsyncClient, compose: str, **config: Any) -> Composed:
    owner = fresh_name("c")
    assert (await api.post("/admin/organizations", json={"login": owner, "admin": "admin"})).status_code == 201
    created = await api.post(f"/orgs/{owner}/repos", json={"name": "r", "private": True})
    project = Composed(world, api, f"{owner}/r", int(created.raise_for_status().json()["id"]))
    said = {"dockerComposeFile": "docker-compose.yml", "service": "app", "workspaceFolder": "/workspaces/r", **config}
    await project.commit(**{f"{FOLDER}/devcontainer.json": json.dumps(said), f"{FOLDER}/docker-compose.yml": compose})
    return project


async def test_l1_services_of_private_images_and_their_life(world: World) -> None:
    async with world.server.api() as api:
        db = await publish(world)
        project = await make_composed(world, api, COMPOSE.format(image=world.image, db=db), remoteUser="dev")
        await project.give(world.registry_host, RIGHT)
        codespace = await project.launch()
        name = str(codespace["name"])
        assert code(codespace) == "", await project.log(codespace)
        for host in ("db", "database"):
            assert await project.run(codespace, ASK.format(host=host)) == "seeded"
        assert await project.run(codespace, "echo $GREETING $ONLY; pwd; id -un") == "hello you app\n/workspaces/r\ndev"
        running = ["app running", "db running", "later running", "seed exited"]
        volumes = [f"berth-{name}.data", f"berth-{name}.shared"]
        there = {"containers": running, "networks": [f"berth-{name}"], "volumes": volumes}
        assert await project.belongings(name) == there
        assert await project.secrets_of_others(name) == []

        stranger = await make_composed(world, api, COMPOSE.format(image=world.image, db=db))
        assert code(await stranger.launch()) == "image.credential_missing", "what the engine holds proves nothing (L2)"

        assert (await api.post(f"/user/codespaces/{name}/stop")).status_code == 200
        assert (await world.server.until_at_rest(api, name))["state"] == "Shutdown"
        stopped = [f"{one.split()[0]} exited" for one in running]
        assert await project.belongings(name) == {**there, "containers": stopped}

        assert (await api.post(f"/user/codespaces/{name}/start")).status_code == 200
        assert (await world.server.until_at_rest(api, name, timeout_s=120))["state"] == "Available"
        assert await project.belongings(name) == there
        assert await project.run(codespace, ASK.format(host="db")) == "seeded\nseeded"

        assert (await api.post(f"/user/codespaces/{name}/rebuild", json={"full": False})).status_code == 202
        rebuilt = await world.server.until_at_rest(api, name, timeout_s=120)
        assert rebuilt["state"] == "Available", await project.log(codespace)
        assert await project.belongings(name) == there
        assert await project.run(codespace, ASK.format(host="db")) == "seeded\nseeded\nseeded", "volumes are kept"

        await project.delete()
        assert await project.belongings(name) == NOTHING


async def test_c11_the_wrong_password_for_a_service(world: World) -> None:
    async with world.server.api() as api:
        db = await publish(world)
        project = await make_composed(world, api, COMPOSE.format(image=await publish(world), db=db))
        await project.give(world.registry_host, WRONG)
        codespace = await project.launch()
        assert code(codespace) == "image.unauthorized", await project.log(codespace)
        assert await project.belongings(str(codespace["name"])) == NOTHING


async def test_l8_a_service_that_dies_ends_the_launch_with_its_last_words(world: World) -> None:
    bad = "services: {app: {image: IMAGE, network_mode: 'service:db', depends_on: {db: {condition: service_healthy}}}, db: DB}"
    db = "{image: IMAGE, command: sh -c 'echo no disk here; sleep 1; exit 3', healthcheck: {test: 'false', interval: 100ms}}"
    async with world.server.api() as api:
        project = await make_composed(world, api, bad.replace("DB", db).replace("IMAGE", world.image))
        await project.give(world.registry_host, RIGHT)
        codespace = await project.launch()
        assert code(codespace) == "compose.service_failed", await project.log(codespace)
        assert codespace["finding"]["evidence"] == {"service": "db", "output": "no disk here"}
        assert await project.belongings(str(codespace["name"])) == NOTHING


ALONE = """
services:
  app: {image: IMAGE, network_mode: "service:db", tty: true, user: "0:0", volumes: [data:/data]}
  db: {image: IMAGE, command: sh -c 'echo OWN > /seeds; busybox httpd -f -p 8080 -h /'}
volumes: {data: {}}
"""
KEEP = "id -un; cat /data/x 2>/dev/null || echo none; echo mine > /data/x"


def forwards() -> bool:
    """Whether this machine's kernel passes packets on: then the engine's firewall, which is off here, is the wall."""
    return Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() != "0"


async def test_nothing_of_another_codespace_is_reached(world: World) -> None:
    """Two codespaces of two repositories, with the same names for everything; each has its own."""
    async with world.server.api() as api:
        projects, names = [], []
        for own in ("one", "two"):
            compose = ALONE.replace("IMAGE", world.image).replace("OWN", own)
            project = await make_composed(world, api, compose, workspaceFolder="/workspaces/r")
            await project.give(world.registry_host, RIGHT)
            codespace = await project.launch()
            assert code(codespace) == "", await project.log(codespace)
            projects.append((project, codespace))
            names.append(str(codespace["name"]))
        for (project, codespace), own in zip(projects, ("one", "two"), strict=True):
            assert await project.run(codespace, ASK.format(host="localhost")) == own, "the network is the service's"
            assert await project.run(codespace, KEEP) == "root\nnone", "the volume is the codespace's"
        async with engine_api(world.docker_host) as engine:
            mine, other = [
                {each["Name"]: each["IPv4Address"].partition("/")[0] for each in network["Containers"].values()}
                for network in [
                    (await engine.get(f"/networks/berth-{name}")).raise_for_status().json() for name in names
                ]
            ]
        assert [set(mine), set(other)] == [{f"berth-{name}.db"} for name in names]
        project, codespace = projects[0]
        for name in (f"berth-{names[1]}.db", f"berth-{names[1]}"):
            assert await project.run(codespace, f"busybox nslookup {name} >/dev/null 2>&1 || echo unknown") == "unknown"
        reach = "busybox timeout 3 busybox wget -q -O - http://{}:8080/seeds 2>/dev/null || echo unreached"
        assert await project.run(codespace, reach.format(*mine.values())) == "one", "the control"
        if not forwards():
            assert (await project.run(codespace, reach.format(*other.values()))).endswith("unreached")
        for project, _ in projects:
            await project.delete()


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("privileged: true", "compose.not_allowed"),
        ("volumes: ['/:/host']", "compose.not_allowed"),
        ("network_mode: host", "compose.not_allowed"),
        ("volumes: ['./link:/x']", "compose.unsupported"),
    ],
    ids=["privileged", "a folder of the server", "the server's network", "a link in the checkout"],
)
async def test_l4_a_hostile_file_is_refused(world: World, service: str, expected: str) -> None:
    async with world.server.api() as api:
        compose = f"services:\n  app:\n    image: {world.image}\n  db:\n    image: {world.image}\n    {service}\n"
        project = await make_composed(world, api, compose)
        codespace = await project.launch()
        assert code(codespace) == expected, codespace
        assert "service db in docker-compose.yml" in codespace["finding"]["sentence"]


@pytest.mark.slow
async def test_a_server_killed_while_services_start_goes_on(world: World) -> None:
    compose = """
services:
  app: {image: IMAGE, command: sleep infinity, depends_on: {db: {condition: service_healthy}}}
  db: {image: IMAGE, command: sleep infinity, volumes: [data:/data], healthcheck: {test: sleep 3, interval: 100ms}}
volumes: {data: }
"""
    async with world.server.api() as api:
        project = await make_composed(world, api, compose.replace("IMAGE", world.image))
        await project.give(world.registry_host, RIGHT)
        answer = await api.post(f"/repos/{project.full_name}/codespaces", json={})
        name = str(answer.json()["name"])
        project.made.append(name)

        async def waits_for_db() -> bool:
            return (await project.belongings(name))["containers"] == ["db running"]

        await world.until(waits_for_db, timeout_s=60)
        world.server.kill()
        await world.server.start()
        assert (await world.server.until_at_rest(api, name, timeout_s=120))["state"] == "Available"
        there = {
            "containers": ["app running", "db running"],
            "networks": [f"berth-{name}"],
            "volumes": [f"berth-{name}.data"],
        }
        assert await project.belongings(name) == there
        await project.delete()
        assert await project.belongings(name) == NOTHING

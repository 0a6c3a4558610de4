"""Bob cannot start, build from, or read Alice's private image, container, volume, build cache or log on the engine they share.

Alice's launches are the control: the same names open the same things with her own rights. Bob knows every name, digest and
id there is, and has no credential of hers. What further files of this folder show: a registry of Bob's own that names Alice's
content (test_stolen_image.py), networks of two codespaces (test_compose.py), and every role's status at every route of the API
(tests/access_matrix).
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.features import feature_files, push_feature, tar_of
from tests.main_job.test_compose import Composed
from tests.main_job.test_dockerfile import NONCE, RIGHT, Project, build_past_us, code
from tests.main_job.test_exec import finish
from tests.main_job.test_prebuild import prebuild
from tests.own_registry import make_user, own_host
from tests.server import fresh_name
from tests.world import World, engine_api

from berth.client import Client
from berth.domain.exec_frame import Start
from berth.domain.problem import NotFound
from berth.domain.secret_text import SecretText

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(240)]

FOLDER = ".devcontainer"
SCOPES = ("repo", "codespace", "user", "read:packages")
HERS = "only-alice-reads-this"
DOCKERFILE = (
    f"FROM IMAGE AS base\n{NONCE}FROM DIGEST\nCOPY --from=base /nonce /nonce\nCOPY --from=IMAGE /etc/group /group\n"
)
COMPOSED = {"dockerComposeFile": "compose.yml", "service": "app", "workspaceFolder": "/workspaces/r"}
COMPOSE = f"""
services:
  app: {{build: ., command: sleep infinity, volumes: ["..:/workspaces/r", "kept:/kept"]}}
  db: {{image: DIGEST, command: "sh -c 'echo {HERS} > /kept/file; sleep infinity'", volumes: ["kept:/kept"]}}
volumes: {{kept: }}
"""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with a repository of his own."""

    login: str
    token: str
    full_name: str
    repository_id: int

    def project(self, world: World, api: httpx.AsyncClient) -> Composed:
        return Composed(world, api, self.full_name, self.repository_id)


@dataclass(frozen=True, kw_only=True)
class Alice(Person):
    """She runs one codespace with everything."""

    codespace: str
    nonce: str
    words: dict[str, str] = field(default_factory=dict)  # what a file of Bob's calls something → its name on the engine


async def make_person(world: World) -> Person:
    async with world.server.api() as admin:
        login, token = await make_user(world, admin, *SCOPES)
    async with world.server.api(token) as api:
        created = await api.post("/user/repos", json={"name": "r", "private": True})
        return Person(login=login, token=token, full_name=f"{login}/r", repository_id=created.json()["id"])


async def configure(
    project: Project, config: Mapping[str, Any], files: Mapping[str, str], words: Mapping[str, str]
) -> None:
    for path, content in {"devcontainer.json": json.dumps(config), **files}.items():
        await project.commit(**{f"{FOLDER}/{path}": fill(content, words)})


def fill(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = re.sub(rf"\b{word}\b", value, text)
    return text


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def alice(world: World) -> AsyncIterator[Alice]:
    """Her codespace is built, with a Feature, a service and a volume; all from private images."""
    person = await make_person(world)
    feature = await push_feature(
        world.registry_host, RIGHT, f"team/features/{fresh_name('f')}", tar_of(feature_files("echo hers > /feature"))
    )
    words = {"IMAGE": world.image, "DIGEST": await digest_of(world), "FEATURE": feature}
    async with world.server.api(person.token) as api:
        project = person.project(world, api)
        await project.give(world.registry_host, RIGHT)
        files = {"compose.yml": COMPOSE, "Dockerfile": DOCKERFILE}
        await configure(project, {**COMPOSED, "features": {"FEATURE": {}}}, files, words)
        codespace = await project.launch()
        assert code(codespace) == "", await project.log(codespace)
        name = str(codespace["name"])
        inside = await project.run(codespace, "cat /kept/file /feature /nonce")
        assert inside.splitlines()[:2] == [HERS, "hers"]
        words |= await names_on_the_engine(world, name)
        hers = Alice(**vars(person), codespace=name, nonce=inside.splitlines()[2], words=words)
        yield hers
        await project.delete()


async def digest_of(world: World) -> str:
    """The private image, by digest."""
    repository, _, tag = world.image.partition("/")[2].rpartition(":")
    async with httpx.AsyncClient(auth=RIGHT, trust_env=False) as client:
        accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        answer = await client.head(f"http://{world.registry_host}/v2/{repository}/manifests/{tag}", headers=accept)
    return f"{world.image.removesuffix(':1')}@{answer.raise_for_status().headers['docker-content-digest']}"


async def names_on_the_engine(world: World, codespace: str) -> dict[str, str]:
    """All that Bob could know, and that each of them is really there."""
    base = f"berth-{codespace}"
    async with engine_api(world.docker_host) as engine:

        async def get(path: str) -> Any:
            return (await engine.get(path)).raise_for_status().json()

        built = await get(f"/images/berth.invalid/{codespace}:built/json")
        history = await get(f"/images/{built['Id']}/history")
        container = await get(f"/containers/{base}.db/json")
        assert (await get(f"/volumes/{base}.kept"))["Name"] == f"{base}.kept"
        assert (await get(f"/networks/{base}"))["Name"] == base
    layers = [layer["Id"] for layer in history if layer["Id"].startswith("sha256:")]
    return {
        "BUILT": f"berth.invalid/{codespace}:built",
        "FULL_ID": built["Id"],
        "SHORT_ID": built["Id"][7:19],
        "LAYER": layers[1],
        "VOLUME": f"{base}.kept",
        "NETWORK": base,
        "SERVICE": f"{base}.db",
        "CONTAINER": container["Id"],
        "KEY": built["Config"]["Labels"]["dev.berth.build"],
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bob(world: World) -> Person:
    return await make_person(world)


REFUSED = ("image.credential_missing",)
NO_NAME = ("image_reference.", "registry.", "image.")  # nothing that a registry has
NAMES = {
    "IMAGE": REFUSED,
    "DIGEST": REFUSED,
    "FULL_ID": NO_NAME,
    "SHORT_ID": NO_NAME,
    "LAYER": NO_NAME,
    "BUILT": NO_NAME,
}


def service(text: str) -> dict[str, str]:
    """A Compose file with this in a service that is otherwise harmless."""
    return {
        "compose.yml": f"services:\n  app: {{build: ., command: sleep infinity, {text}}}\n",
        "Dockerfile": "FROM scratch\n",
    }


BUILD = {"build": {"dockerfile": "Dockerfile"}}
USES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "image": ({"image": "NAME"}, {}),
    "FROM": (BUILD, {"Dockerfile": "FROM NAME\n"}),
    "COPY --from": (BUILD, {"Dockerfile": "FROM scratch\nCOPY --from=NAME /nonce /\n"}),
    "a service": (COMPOSED, {"compose.yml": "services: {app: {image: NAME}}\n"}),
    "a service's build": (COMPOSED, {"compose.yml": "services: {app: {build: .}}\n", "Dockerfile": "FROM NAME\n"}),
}
_QUICK = {("image", name) for name in NAMES} | {(use, "IMAGE") for use in USES}


@pytest.mark.parametrize(
    ("use", "name"),
    [
        pytest.param(use, name, marks=[] if (use, name) in _QUICK else [pytest.mark.slow])
        for use in USES
        for name in NAMES
    ],
)
async def test_l2_her_images_are_not_his(world: World, alice: Alice, bob: Person, use: str, name: str) -> None:
    config, files = USES[use]
    words = {**alice.words, "NAME": alice.words[name]}
    async with world.server.api(bob.token) as api:
        project = bob.project(world, api)
        await configure(project, config, files, words)
        codespace = await project.launch()
        assert code(codespace).startswith(NAMES[name]), codespace
        await project.delete()


async def test_the_control_the_engine_alone_gives_them(world: World, alice: Alice) -> None:
    """Not by the tag, which Berth never pulls; that one Alice has used."""
    for name in NAMES.keys() - {"IMAGE"}:
        said = await build_past_us(world, f"FROM scratch\nCOPY --from={alice.words[name]} /etc/group /\n")
        assert "Successfully built" in said, (name, said)


MOUNT, PLACE = "devcontainer.not_allowed", "compose.not_allowed"
OTHERS: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "her Feature": ({"image": "IMAGE", "features": {"FEATURE": {}}}, {}, "image.credential_missing"),
    "her volume": ({"image": "IMAGE", "mounts": ["type=volume,source=VOLUME,target=/x"]}, {}, MOUNT),
    "her volume as the workspace": (
        {"image": "IMAGE", "workspaceMount": "type=volume,source=VOLUME,target=/x", "workspaceFolder": "/x"},
        {},
        MOUNT,
    ),
    "her volume as an argument": ({"image": "IMAGE", "runArgs": ["-v", "VOLUME:/x"]}, {}, MOUNT),
    "her container's volumes": ({"image": "IMAGE", "runArgs": ["--volumes-from", "CONTAINER"]}, {}, MOUNT),
    "her container's network": ({"image": "IMAGE", "runArgs": ["--network=container:CONTAINER"]}, {}, MOUNT),
    "her network": ({"image": "IMAGE", "runArgs": ["--network", "NETWORK"]}, {}, MOUNT),
    "her container's processes": ({"image": "IMAGE", "runArgs": ["--pid=container:SERVICE"]}, {}, MOUNT),
    "her network in a build": (
        {"build": {"dockerfile": "Dockerfile", "options": ["--network=container:CONTAINER"]}},
        {"Dockerfile": "FROM scratch\n"},
        MOUNT,
    ),
    "her volume, external": (
        COMPOSED,
        {
            "compose.yml": "services: {app: {image: IMAGE, volumes: ['VOLUME:/x']}}\nvolumes: {VOLUME: {external: true}}\n"
        },
        PLACE,
    ),
    "her volume, undeclared": (COMPOSED, service("volumes: ['VOLUME:/x']"), "compose.value"),
    "her network, external": (
        COMPOSED,
        {"compose.yml": "services: {app: {image: IMAGE}}\nnetworks: {default: {external: true, name: NETWORK}}\n"},
        PLACE,
    ),
    "a service in her container's network": (COMPOSED, service("network_mode: 'container:CONTAINER'"), PLACE),
    "a service in her network": (COMPOSED, service("network_mode: NETWORK"), PLACE),
    "a service in her service's network": (COMPOSED, service("network_mode: 'service:SERVICE'"), "compose.value"),
    "a service among her processes": (COMPOSED, service("pid: 'container:SERVICE'"), PLACE),
    "a service in her memory": (COMPOSED, service("ipc: 'container:SERVICE'"), PLACE),
    "a service with her volumes": (COMPOSED, service("volumes_from: ['container:SERVICE']"), PLACE),
    "a service linked to hers": (COMPOSED, service("external_links: [SERVICE]"), PLACE),
    "her network in a service's build": (
        COMPOSED,
        {"compose.yml": "services: {app: {build: {context: ., network: 'container:CONTAINER'}}}\n"},
        PLACE,
    ),
    "her image as a context": (
        COMPOSED,
        {"compose.yml": "services: {app: {build: {context: ., additional_contexts: {x: 'docker-image://BUILT'}}}}\n"},
        "compose.unsupported",
    ),
}


_FIRST = {"her Feature", "her volume", "her container's network", "her volume, external", "her network, external"}
_FIRST |= {"a service in her container's network", "a service with her volumes"}


@pytest.mark.parametrize(
    ("config", "files", "expected"),
    [pytest.param(*case, id=key, marks=[] if key in _FIRST else [pytest.mark.slow]) for key, case in OTHERS.items()],
)
async def test_l4_her_containers_and_volumes_are_not_his(
    world: World, alice: Alice, bob: Person, config: dict[str, Any], files: dict[str, str], expected: str
) -> None:
    async with world.server.api(bob.token) as api:
        project = bob.project(world, api)
        await configure(project, config, files, alice.words)
        codespace = await project.launch()
        assert code(codespace) == expected, codespace
        await project.delete()


@pytest.mark.parametrize(
    "claim",
    ["", pytest.param("LABEL dev.berth.build=KEY\n", marks=pytest.mark.slow)],
    ids=["word for word", "with a label that says it is hers"],
)
async def test_l2_her_layers_are_not_his_and_a_volume_of_that_name_is_his_own(
    world: World, alice: Alice, claim: str
) -> None:
    """Carol may pull the image, and has Alice's files."""
    carol = await make_person(world)
    async with world.server.api(carol.token) as api:
        project = carol.project(world, api)
        await project.give(world.registry_host, RIGHT)
        compose = COMPOSE.replace(HERS, "mine").replace("{kept: }", "{kept: {name: VOLUME}}")
        dockerfile = DOCKERFILE.replace("AS base\n", f"AS base\n{claim}")
        await configure(project, COMPOSED, {"compose.yml": compose, "Dockerfile": dockerfile}, alice.words)
        codespace = await project.launch()
        assert code(codespace) == "", await project.log(codespace)
        file, nonce = (await project.run(codespace, "cat /kept/file /nonce")).splitlines()
        assert file == "mine"
        assert nonce != alice.nonce
        await project.delete()
    async with world.server.api(alice.token) as api:
        project = alice.project(world, api)
        assert await project.run({"name": alice.codespace}, "cat /kept/file") == HERS, "hers is as it was"
        again = await project.launch()
        assert await project.run(again, "cat /nonce") == alice.nonce, "the control: her own layers are cached"
        await project.delete()


@pytest.mark.slow
async def test_l2_who_works_in_her_repository_builds_his_own_layers(world: World, alice: Alice) -> None:
    """Dave has her files and her repository's credential, and is not she."""
    dave = await make_person(world)
    path = f"/repos/{alice.full_name}/collaborators/{dave.login}"
    async with world.server.api(alice.token) as hers, world.server.api(dave.token) as his:
        assert (await hers.put(path, json={"permission": "push"})).status_code in {201, 204}
        project = Project(world, his, alice.full_name, alice.repository_id)
        codespace = await project.launch()
        assert code(codespace) == "", await project.log(codespace)
        nonce, feature = (await project.run(codespace, "cat /nonce /feature")).splitlines()
        assert (nonce == alice.nonce, feature) == (False, "hers")
        refused = await hers.get(f"/user/codespaces/{codespace['name']}/logs")
        assert refused.status_code == 404, "what is his in her repository is not hers"
        await project.delete()
        assert (await hers.delete(path)).status_code == 204


ROUTES = {
    "GET /user/codespaces/{name}": 200,
    "GET /user/codespaces/{name}/logs": 200,
    "GET /user/codespaces/{name}/machines": 200,
    "POST /user/codespaces/{name}/exec": 200,
    "PATCH /user/codespaces/{name}": 200,
    "POST /user/codespaces/{name}/exports": 202,
    "POST /user/codespaces/{name}/heartbeat": 204,
    "POST /user/codespaces/{name}/start": 409,  # it runs
    "POST /user/codespaces/{name}/stop": 0,  # not for her: it is needed
    "POST /user/codespaces/{name}/rebuild": 0,
    "DELETE /user/codespaces/{name}": 0,
}


async def test_a13_her_codespace_is_not_there_for_him(world: World, alice: Alice, bob: Person) -> None:
    bodies = {"exec": {"command": ["true"]}, "codespaces": {"display_name": "x"}, "rebuild": {}}
    async with world.server.api(bob.token) as his, world.server.api(alice.token) as hers:
        for route, expected in ROUTES.items():
            method, _, path = route.partition(" ")

            async def ask(api: httpx.AsyncClient, name: str, method: str = method, path: str = path) -> httpx.Response:
                kind = path.rpartition("/")[2] if method == "POST" else "codespaces"
                body = bodies.get(kind) if method in {"POST", "PATCH"} else None
                return await api.request(method, path.format(name=name), json=body)

            answers = [await ask(his, name) for name in (alice.codespace, "no-such-codespace")]
            assert [answer.status_code for answer in answers] == [404, 404], route
            assert answers[0].text == answers[1].text, "the same answer as for a missing name"
            if expected:
                assert (await ask(hers, alice.codespace)).status_code == expected, (route, "the control")
        assert alice.codespace not in (await his.get("/user/codespaces")).text
        assert alice.codespace in (await hers.get("/user/codespaces")).text, "the control"
    with Client(world.server.url, SecretText(bob.token)) as calls, pytest.raises(NotFound):
        async with calls.open_command(alice.codespace, Start(command=("true",))):
            pass
    with Client(world.server.url, SecretText(alice.token)) as calls:
        async with calls.open_command(alice.codespace, Start(command=("true",))) as command:
            assert await finish(command) == (0, b"", b""), "the control"


async def test_l2_a_prebuild_of_her_repository_is_not_his(world: World, bob: Person) -> None:
    owner = await make_person(world)
    async with world.server.api(owner.token) as hers, world.server.api(bob.token) as his:
        project = owner.project(world, hers)
        await project.give(world.registry_host, RIGHT)
        await configure(project, BUILD, {"Dockerfile": f"FROM {world.image}\n{NONCE}"}, {})
        made = await prebuild(project)
        assert made["state"] == "ready", made
        path = f"/repos/{owner.full_name}/codespaces/prebuilds"
        for suffix in ("", f"/{made['id']}", f"/{made['id']}/logs"):
            assert (await hers.get(f"{path}{suffix}")).status_code == 200, "the control"
            assert (await his.get(f"{path}{suffix}")).status_code == 404
        assert (await his.post(f"{path}/{made['id']}/runs")).status_code == 404
        image = f"{own_host(world)}/{made['package']}:{made['versions'][0]['configuration_hash']}"
        stranger = bob.project(world, his)
        for config, files in (({"image": image}, {}), (BUILD, {"Dockerfile": f"FROM {image}\n"})):
            await configure(stranger, config, files, {})
            codespace = await stranger.launch()
            assert code(codespace) == "package.not_found", codespace
        used = await project.launch()
        assert (code(used), used["prebuild"]) == ("", True), "the control"
        assert (await hers.delete(f"{path}/{made['id']}")).status_code == 204
        for each in (stranger, project):
            await each.delete()

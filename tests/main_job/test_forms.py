"""Every form of a dev container, with the right credential, without and with a wrong one: the state, the reason, the logins.

The registry is a real one behind a front that remembers each request. Where one part alone is to be refused, the others come
from another registry, whose login is always right. The failures make no container and are fast. Of the successes, those that
another file of this folder has as well are slow.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.fakes.registry_front import RegistryFront, open_front
from tests.features import feature_files, push_feature, tar_of
from tests.main_job.test_compose import NOTHING, Composed, make_composed
from tests.main_job.test_dockerfile import RIGHT, WRONG, built_images, code
from tests.server import fresh_name
from tests.world import World

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(240)]

FOLDER = ".devcontainer"
BUILT = {"build": {"dockerfile": "Dockerfile"}}
COMPOSED = {"dockerComposeFile": "compose.yml", "service": "app", "workspaceFolder": "/workspaces/r"}
FEATURE: dict[str, Any] = {"features": {"FEATURE": {}}}
OWN_FEATURE: dict[str, Any] = {"features": {"./own": {}}}
DOCKERFILE = "FROM PRIVATE\nRUN echo built > /built\n"
SERVED = "sh -c 'echo answer > /answer; busybox httpd -f -p 8080 -h /'"
KEPT = 'volumes: ["..:/workspaces/r", "kept:/kept"]'
COMPOSE = f"""
services:
  app: {{APP, command: sleep infinity, {KEPT}}}
  db: {{DB, command: "{SERVED}"}}
volumes: {{kept: }}
"""
ASK = "busybox wget -q -O - http://db:8080/answer && echo more >> /kept/file && busybox uniq /kept/file"
CAT_BUILT, CAT_FEATURE = "cat /built", "cat /feature"


def composed(app: str, db: str) -> str:
    return COMPOSE.replace("APP", app).replace("DB", db)


IMAGE, BUILD, OTHER_IMAGE = "image: PRIVATE", "build: .", "image: OTHER"


@dataclass(frozen=True, kw_only=True)
class Form:
    """A repository's configuration. PRIVATE and FEATURE stand for what the registry has, OTHER for what the other one has."""

    config: Mapping[str, Any]
    files: Mapping[str, str]  # beside it
    inside: Mapping[str, str]  # command in the codespace → what it prints
    private: str = "team/dev"  # how the name begins of what is refused first
    also_elsewhere: bool = False  # another file of this folder launches this form


def form(config: Mapping[str, Any], files: Mapping[str, str] | None = None, **fields: Any) -> Form:
    return Form(config=config, files=files or {}, **fields)


DB = {ASK: "answer\nmore"}
FORMS = {
    "image": form({"image": "PRIVATE"}, inside={"id -un": "root"}, also_elsewhere=True),
    "Dockerfile": form(BUILT, {"Dockerfile": DOCKERFILE}, inside={CAT_BUILT: "built"}, also_elsewhere=True),
    "a stage that takes from a private image": form(
        BUILT,
        {
            "Dockerfile": "FROM OTHER AS base\nRUN echo built > /built\nFROM base\nCOPY --from=PRIVATE /etc/group /group\n"
        },
        inside={CAT_BUILT: "built", "head -n 1 /group": "root:x:0:"},
        also_elsewhere=True,
    ),
    "Compose": form(COMPOSED, {"compose.yml": composed(IMAGE, IMAGE)}, inside=DB, also_elsewhere=True),
    "Compose of which a service has another registry": form(
        COMPOSED, {"compose.yml": composed(OTHER_IMAGE, IMAGE)}, inside=DB
    ),
    "Compose that builds": form(
        COMPOSED,
        {"compose.yml": composed(BUILD, BUILD), "Dockerfile": DOCKERFILE},
        inside={**DB, CAT_BUILT: "built", "busybox wget -q -O - http://db:8080/built": "built"},
    ),
    "image and Feature": form(
        {"image": "PRIVATE", **FEATURE}, inside={CAT_FEATURE: "there"}, private="team/features/", also_elsewhere=True
    ),
    "a Feature of which the registry is another one": form(
        {"image": "OTHER", **FEATURE}, inside={CAT_FEATURE: "there"}, private="team/features/", also_elsewhere=True
    ),
    "a Feature of the repository upon a private image": form(
        {"image": "PRIVATE", **OWN_FEATURE}, inside={CAT_FEATURE: "there"}, also_elsewhere=True
    ),
    "Dockerfile and Feature": form(
        {**BUILT, **FEATURE},
        {"Dockerfile": DOCKERFILE},
        inside={CAT_BUILT: "built", CAT_FEATURE: "there"},
        private="team/features/",
        also_elsewhere=True,
    ),
    "Compose and Feature": form(
        {**COMPOSED, **FEATURE},
        {"compose.yml": composed(IMAGE, IMAGE)},
        inside={**DB, CAT_FEATURE: "there"},
        private="team/features/",
    ),
    "Compose that builds and Feature": form(
        {**COMPOSED, **FEATURE},
        {"compose.yml": composed(BUILD, IMAGE), "Dockerfile": DOCKERFILE},
        inside={**DB, CAT_BUILT: "built", CAT_FEATURE: "there"},
        private="team/features/",
    ),
}
INSTALL = feature_files("echo there > /feature")


@pytest.fixture
async def front(world: World) -> AsyncIterator[RegistryFront]:
    async with open_front(world.registry_host, host=world.other_host) as opened:
        yield opened


@pytest.fixture
async def api(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with world.server.api() as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def feature(world: World) -> str:
    """A Feature that the registry has."""
    return await push_feature(world.registry_host, RIGHT, f"team/features/{fresh_name('f')}", tar_of(INSTALL))


@dataclass(frozen=True)
class Maker:
    """Makes repositories."""

    world: World
    api: httpx.AsyncClient
    front: RegistryFront
    feature: str

    async def make(self, wanted: Form) -> Composed:
        """One of this form, in an organization of its own."""
        here, there = self.world.registry_host, self.world.other_host
        project = await make_composed(self.world, self.api, "")
        names = {"PRIVATE": self.world.image.replace(here, there), "FEATURE": self.feature.replace(here, there)}
        files = {"devcontainer.json": json.dumps(wanted.config), **wanted.files}
        if "./own" in files["devcontainer.json"]:
            files |= {f"own/{path}": content.decode().replace("hello", "own") for path, content in INSTALL.items()}
        if any("OTHER" in content for content in files.values()):
            await project.give(here, RIGHT)
        for path, content in files.items():
            filled = content.replace("OTHER", self.world.image)
            for name, value in names.items():
                filled = filled.replace(name, value)
            await project.commit(**{f"{FOLDER}/{path}": filled})
        return project

    async def make_well(self, wanted: Form) -> Composed:
        """With the right credential."""
        project = await self.make(wanted)
        await project.give(self.world.other_host, RIGHT)
        return project


@pytest.fixture
def maker(world: World, api: httpx.AsyncClient, front: RegistryFront, feature: str) -> Maker:
    return Maker(world, api, front, feature)


REFUSALS = (
    (None, ("image.credential_missing", "developer")),
    (WRONG, ("image.unauthorized", "repository_admin")),
)


@pytest.mark.parametrize("wanted", FORMS.values(), ids=FORMS.keys())
async def test_l1_without_a_credential_and_with_a_wrong_one(world: World, maker: Maker, wanted: Form) -> None:
    project, front = await maker.make(wanted), maker.front
    for login, expected in REFUSALS:
        if login:
            await project.give(world.other_host, login)
        codespace = await project.launch()
        finding, name = codespace["finding"], str(codespace["name"])
        assert codespace["state"] == "Failed"
        assert (finding["code"], finding["fixer"]) == expected
        assert world.other_host in finding["sentence"]
        assert len(front.authorizations) == len(front.refused) == (1 if login else 0), "it is asked to log in once"
        assert wanted.private in (front.refused[0].path if login else finding["sentence"])
        assert await project.belongings(name) == NOTHING
        assert not [image for image in await built_images(world) if name in image]


def launches(*, slow: bool | None = None) -> list[Any]:
    """`slow` None: those that another file launches as well."""
    marked = [(name, one, one.also_elsewhere if slow is None else slow) for name, one in FORMS.items()]
    return [pytest.param(one, id=name, marks=[pytest.mark.slow] if is_slow else []) for name, one, is_slow in marked]


@pytest.mark.parametrize("wanted", launches())
async def test_l1_with_the_right_credential(world: World, maker: Maker, wanted: Form) -> None:
    project, front = await maker.make_well(wanted), maker.front
    codespace = await project.launch()
    assert code(codespace) == "", await project.log(codespace)
    assert front.refused == []
    assert front.authorizations, "the control: what is counted does arrive"
    await look_inside(project, codespace, wanted)
    await project.delete()
    assert await project.belongings(project.made[0]) == NOTHING
    assert not [image for image in await built_images(world) if project.made[0] in image]


async def look_inside(project: Composed, codespace: dict[str, Any], wanted: Form) -> None:
    for command, expected in wanted.inside.items():
        assert await project.run(codespace, command) == expected, command


@pytest.mark.parametrize("wanted", launches(slow=True))
async def test_a_rebuild_and_a_start_of_each_form(world: World, maker: Maker, wanted: Form) -> None:
    project, api = await maker.make_well(wanted), maker.api
    codespace = await project.launch()
    assert code(codespace) == "", await project.log(codespace)
    name = str(codespace["name"])
    there = await project.belongings(name)
    for full in (False, True):
        assert (await api.post(f"/user/codespaces/{name}/rebuild", json={"full": full})).status_code == 202
        rebuilt = await world.server.until_at_rest(api, name, timeout_s=120)
        assert code(rebuilt) == "", await project.log(codespace)
        await look_inside(project, codespace, wanted)
        assert await project.belongings(name) == there, "the same services, network and volumes"
    assert (await api.post(f"/user/codespaces/{name}/stop")).status_code == 200
    await world.server.until_at_rest(api, name)
    assert (await api.post(f"/user/codespaces/{name}/start")).status_code == 200
    started = await world.server.until_at_rest(api, name, timeout_s=120)
    assert code(started) == "", await project.log(codespace)
    await look_inside(project, codespace, wanted)
    assert maker.front.refused == []
    await project.delete()

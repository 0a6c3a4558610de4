"""Ways out of a codespace that a checkout, an image or the order of things would open (L3, L4, L5), each beside its control.

The other half of `tests/domain/test_escapes.py`. A link is a blob whose text names another place. Berth reads blobs by their
kind, so what a launch needs is not there when it is a link, wherever that leads: to a file of the server or to one beside it.
The context's own links, which the engine's builder follows inside of it: `tests/main_job/test_dockerfile.py`. A link in the place
of an ignore file is none: `test_image_build.py`.
"""

import json
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.codespace_world import IMAGE, CodespaceWorld, make_codespace_world

from berth.adapters.store.database import Store
from berth.domain.codespace import Codespace
from berth.domain.lifecycle import State

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # nothing here asks the database anything new

FOLDER = ".devcontainer"
CONFIG = f"{FOLDER}/devcontainer.json"


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> CodespaceWorld:
    world = await make_codespace_world(store, tmp_path)
    await world.give_triple()
    return world


def code(codespace: Codespace) -> str:
    return "" if codespace.finding is None else codespace.finding.code


def said(**values: Any) -> str:
    """JSON without blanks, which is YAML as well."""
    return json.dumps(values, separators=(",", ":"))


def services(**db: Any) -> str:
    return said(services={"app": {"image": IMAGE}, "db": db})


async def remove(world: CodespaceWorld, name: str) -> None:
    """There is room for a few at a time."""
    await world.service.delete(world.secrets.subject("olga"), name)
    await world.run(await world.claim(name))


@dataclass(frozen=True, slots=True)
class Link:
    """The repository's files, and which of them is a link; what lies below it is gone then."""

    files: dict[str, str]
    linked: str
    expected: str

    def entries(self, target: str) -> list[str]:
        kept = [path for path in self.files if path != self.linked and not path.startswith(f"{self.linked}/")]
        return [*(f"100644 {self.files[path]} {path}" for path in kept), f"120000 {target} {self.linked}"]


PLAIN = {CONFIG: said(image=IMAGE)}
BUILT = {
    CONFIG: said(build={"dockerfile": "build/Dockerfile", "context": "build"}),
    f"{FOLDER}/build/Dockerfile": f"FROM\t{IMAGE}",
}
COMPOSED = {CONFIG: said(dockerComposeFile=["c.yml", "d.yml"], service="app"), f"{FOLDER}/d.yml": said(services={})}
OF_SERVICE = {
    **COMPOSED,
    f"{FOLDER}/c.yml": services(build={"context": "db"}),
    f"{FOLDER}/db/Dockerfile": f"FROM\t{IMAGE}",
}
WITH_FEATURE = {
    CONFIG: said(image=IMAGE, features={"./own": {}}),
    f"{FOLDER}/own/devcontainer-feature.json": said(id="own"),
    f"{FOLDER}/own/install.sh": "true",
}
LINKS = {
    "devcontainer.json": Link(PLAIN, CONFIG, "devcontainer.missing"),
    "the folder of devcontainer.json": Link(PLAIN, FOLDER, "devcontainer.missing"),
    "the Dockerfile": Link(BUILT, f"{FOLDER}/build/Dockerfile", "devcontainer.build_missing"),
    "the context": Link(BUILT, f"{FOLDER}/build", "devcontainer.build_missing"),
    "a Compose file": Link({**COMPOSED, f"{FOLDER}/c.yml": services(image=IMAGE)}, f"{FOLDER}/c.yml", "compose.missing"),
    "a further Compose file": Link(
        {**COMPOSED, f"{FOLDER}/c.yml": services(image=IMAGE)}, f"{FOLDER}/d.yml", "compose.missing"
    ),
    "a file of variables": Link(
        {**COMPOSED, f"{FOLDER}/c.yml": services(image=IMAGE, env_file="x.env"), f"{FOLDER}/x.env": "A=1"},
        f"{FOLDER}/x.env",
        "compose.missing",
    ),
    "the variables of Compose files": Link(
        {**COMPOSED, f"{FOLDER}/c.yml": services(image=f"{IMAGE[:-1]}${{TAG:?needed}}"), f"{FOLDER}/.env": "TAG=1"},
        f"{FOLDER}/.env",
        "compose.variable",
    ),
    "a service's Dockerfile": Link(OF_SERVICE, f"{FOLDER}/db/Dockerfile", "devcontainer.build_missing"),
    "a service's context": Link(OF_SERVICE, f"{FOLDER}/db", "devcontainer.build_missing"),
    "a Feature's folder": Link(WITH_FEATURE, f"{FOLDER}/own", "feature.missing"),
    "what a Feature says of itself": Link(WITH_FEATURE, f"{FOLDER}/own/devcontainer-feature.json", "feature.archive"),
    "what a Feature runs": Link(WITH_FEATURE, f"{FOLDER}/own/install.sh", "feature.archive"),
}  # fmt: skip


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
async def test_l4_a_link_in_the_checkout_leads_nowhere(world: CodespaceWorld, link: Link) -> None:
    beside = f"elsewhere/{Path(link.linked).name}"
    for target in ("/etc/passwd", posixpath.relpath(beside, posixpath.dirname(link.linked) or ".")):
        copies = [f"100644 {text} {path.replace(link.linked, beside)}" for path, text in link.files.items()]
        entries = link.entries(target)
        taken = {entry.split(" ")[2] for entry in entries}
        await world.commit_tree("acme/web", *entries, *(one for one in copies if one.split(" ")[2] not in taken))
        failed = await world.launch()
        assert (code(failed), failed.state) == (link.expected, State.FAILED), target
        assert world.nothing_left(failed.name)
        await remove(world, failed.name)
    assert not world.engine.builds
    await world.commit_tree("acme/web", *(f"100644 {text} {path}" for path, text in link.files.items()))
    control = await world.launch()
    assert control.state is State.AVAILABLE, control.finding


# -- what is refused is refused before anything is asked for, whatever the place

SOURCES: dict[str, dict[str, str]] = {
    "devcontainer.json": {CONFIG: said(image=IMAGE, ESCAPE=0)},
    "the main service": {**COMPOSED, f"{FOLDER}/c.yml": said(services={"app": {"image": IMAGE, "ESCAPE": 0}})},
    "another service": {**COMPOSED, f"{FOLDER}/c.yml": services(image=IMAGE, ESCAPE=0)},
    "a Feature of the repository": {**WITH_FEATURE, f"{FOLDER}/own/devcontainer-feature.json": said(id="own", ESCAPE=0)},
}  # fmt: skip
IN_JSON = {"L3": '"initializeCommand":"id"', "L4": '"mounts":["type=bind,source=/etc,target=/x"]'}
IN_COMPOSE = {"L3": '"post_start":[{"command":"id"}]', "L4": '"volumes":["/etc:/x"]'}


@pytest.mark.parametrize("item", IN_JSON)
@pytest.mark.parametrize("source", SOURCES)
async def test_l3_l4_nothing_is_pulled_for_what_is_refused(world: CodespaceWorld, source: str, item: str) -> None:
    words = (IN_COMPOSE if "service" in source else IN_JSON)[item]
    for escape, is_refused in ((words, True), ('"init":true', False)):
        files = {path: text.replace('"ESCAPE":0', escape) for path, text in SOURCES[source].items()}
        await world.commit_tree("acme/web", *(f"100644 {text} {path}" for path, text in files.items()))
        codespace = await world.launch()
        assert (codespace.state is State.FAILED) is is_refused, codespace.finding
        assert (not world.registry.asked and not world.engine.pulled) is is_refused
        assert world.nothing_left(codespace.name) is is_refused
        if codespace.finding is not None:
            assert code(codespace).endswith(("not_allowed", "host_command", "unsupported"))
            assert codespace.finding.next_step

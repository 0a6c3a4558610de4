"""A version's page, of images that were pushed: everything in it is a stranger's, and is shown as text."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.oci.images import Image, artifact, image, index
from tests.oci.registry_api import OCIClient, Registry, make_registry
from tests.ui.browser import ORIGIN, Browser, ConsoleWorld

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.store.database import Store
from berth.domain.image_reference import Digest
from berth.front import make_front
from berth.ui.app import make_ui_app
from berth.ui.routes import ROUTES

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>\u202e' + "W" * 300
PAGE = "/packages/octo/app"


@dataclass
class World:
    """A console over a registry; octo in both."""

    registry: Registry
    client: OCIClient
    browser: Browser

    async def version_of(self, made: Image) -> str:
        """The path of its page."""
        answer = await self.registry.rest["octo"].get("/user/packages/container/app/versions?per_page=100")
        (found,) = [version["id"] for version in answer.json() if version["name"] == str(made.digest)]
        return f"{PAGE}/-/versions/{found}"


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[World]:
    async with make_registry(tmp_path, store) as registry:
        berth = registry.berth
        client = await registry.person("octo")
        ui = make_ui_app(
            berth.services, ROUTES, clock=SystemClock(), entropy=SystemEntropy(), external_url=f"{ORIGIN}/"
        )
        app = make_front(rest=berth.rest, sockets=berth.rest, git=berth.git, oci=berth.rest, checks={}, ui=ui)
        yield World(registry, client, await ConsoleWorld(berth, app).set_password("octo"))


async def test_an_image_of_a_stranger_is_text(world: World) -> None:
    config = {
        "os": HOSTILE,
        "architecture": HOSTILE,
        "created": HOSTILE,
        "history": [{"created_by": HOSTILE}],
        "config": {"User": HOSTILE, "Entrypoint": [HOSTILE], "Cmd": [HOSTILE], "Labels": {HOSTILE: HOSTILE}},
    }
    made = image(b"a layer", config=json.dumps(config).encode(), annotations={HOSTILE: HOSTILE})
    await world.client.push("octo/app", made, "1")
    version = await world.version_of(made)
    for path in (PAGE, f"{PAGE}?versions=all", version):
        page = await world.browser.get(path)
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "<img src=x" not in page.text
        assert len(page.content) < 100_000
    shown = (await world.browser.get(version)).text
    assert shown.count("&lt;script&gt;alert(1)") > 6
    assert "docker pull berth.test/octo/app:1" in shown


async def test_an_index_leads_to_what_it_lists_and_back(world: World) -> None:
    child, missing = image(), image()
    await world.client.push("octo/app", child, child.digest)
    made = index(
        [
            child.descriptor(platform={"os": "linux", "architecture": "arm64"}),
            missing.descriptor(platform={"os": "unknown", "architecture": "unknown"}),
        ]
    )
    await world.client.push("octo/app", made, "latest")
    above, below = await world.version_of(made), await world.version_of(child)
    for path in (PAGE, above):
        page = (await world.browser.get(path)).text
        assert f'href="{below}"' in page
        assert "linux/arm64" in page
        assert "about the build (attestation)" in page
        assert "not in this package" in page
    assert f'href="{above}"' in (await world.browser.get(below)).text
    assert f"@{child.digest}" in (await world.browser.get(below)).text
    untagged = (await world.browser.get(f"{PAGE}?versions=untagged")).text
    assert re.findall(rf'part of <a href="({above})">', untagged) == [above]


async def test_an_artifact_names_its_type_and_what_it_is_about(world: World) -> None:
    made = image()
    await world.client.push("octo/app", made, "1")
    about = artifact("application/vnd.example.sbom", subject=made)
    await world.client.push("octo/app", about, about.digest)
    page = (await world.browser.get(await world.version_of(about))).text
    assert "application/vnd.example.sbom" in page
    assert str(made.digest)[7:19] in page


async def test_what_cannot_be_read_is_told(world: World) -> None:
    made = image()
    await world.client.push("octo/app", made, "1")
    for blob in (world.registry.folder / "blobs" / "content").rglob("*"):
        if blob.is_file() and Digest.of(blob.read_bytes()) == Digest.of(made.blobs[0]):
            blob.unlink()
    page = await world.browser.get(await world.version_of(made))
    assert page.status_code == 200
    assert "The configuration cannot be read now." in page.text
    assert "not given" in page.text


async def test_of_very_much_a_page_shows_a_part(world: World) -> None:
    labels = {f"label {number} {'k' * 300}": "v" * 900 for number in range(80)}
    made = image(*[f"layer {number}".encode() for number in range(150)], labels=labels)
    await world.client.push("octo/app", made, "1")
    version = await world.version_of(made)
    for path in (PAGE, version):
        page = await world.browser.get(path)
        assert "and 50 more layers" in page.text
        assert len(page.content) < 100_000
    assert "and 30 more<" in (await world.browser.get(version)).text

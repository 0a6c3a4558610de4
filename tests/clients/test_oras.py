"""oras: artifacts that are no images, and what refers to them."""

import json
from pathlib import Path
from typing import Any

import pytest
from oras.oci import Subject
from tests.clients.images import MANIFEST, digest_of
from tests.clients.oras_tool import Oras
from tests.clients.registry_world import MEMBER, PRIVATE, PackageSettings, RegistryWorld
from tests.clients.tool import Tool

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.registry, pytest.mark.timeout(120)]
REPORT = "application/vnd.example.report"


@pytest.fixture
def oras(tools: dict[str, Tool], registry: RegistryWorld) -> Oras:
    """Logged in as MEMBER."""
    found = tools["oras"]
    assert isinstance(found, Oras)
    found.login(registry.host, MEMBER, registry.token(MEMBER, "write:packages")).or_fail()
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "report.txt"
    path.write_text("all is well\n")
    return path


def manifest(oras: Oras, registry: RegistryWorld, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    oras.say(lambda: found.update(oras.client(registry.host).get_manifest(reference))).or_fail()
    return found


def test_an_artifact_and_what_is_attached_to_it(oras: Oras, registry: RegistryWorld, file: Path) -> None:
    name = registry.new_name()
    reference = f"{registry.host}/{name}:1"
    annotations = {**registry.source(PRIVATE), "of": "today"}
    oras.push_files(reference, [f"{file}:{REPORT}"], manifest_annotations=annotations).or_fail()
    assert registry.settings(name) == PackageSettings(visibility="private", inherit_access=False, repository=PRIVATE)
    oras.pull(reference).or_fail()
    assert (oras.folder / "pulled" / "report.txt").read_text() == "all is well\n"
    pushed = manifest(oras, registry, reference)
    assert pushed["annotations"] == annotations
    assert [each["mediaType"] for each in pushed["layers"]] == [REPORT]

    content = json.dumps(pushed).encode()  # as this library wrote it
    subject = Subject(mediaType=MANIFEST, digest=digest_of(content), size=len(content))
    oras.push_files(
        f"{registry.host}/{name}:signature", [str(file)], subject=subject, manifest_annotations={"by": "me"}
    ).or_fail()
    answer = registry.wire.of("PUT", f"/v2/{name}/manifests/signature")[-1]
    assert answer.headers["oci-subject"] == subject.digest
    token = registry.token(MEMBER, "read:packages")
    listed = registry.ask("GET", f"/v2/{name}/referrers/{subject.digest}", token, f"repository:{name}:pull").json()
    assert [each["annotations"] for each in listed["manifests"]] == [{"by": "me"}]


def test_tags_are_listed(oras: Oras, registry: RegistryWorld, file: Path) -> None:
    """They are not deleted: it asks for a token to look the digest up, and keeps that one."""
    name = f"{registry.host}/{registry.new_name()}"
    for tag in ("b", "a"):
        oras.push_files(f"{name}:{tag}", [str(file)]).or_fail()
    tags: list[str] = []
    oras.say(lambda: tags.extend(oras.client_for(name).get_tags(name))).or_fail()
    assert tags == ["a", "b"]


def test_a_blob_in_chunks(oras: Oras, registry: RegistryWorld, tmp_path: Path) -> None:
    reference, path = f"{registry.host}/{registry.new_name()}:1", tmp_path / "large"
    path.write_bytes(b"0123456789abcdef" * 1000)
    oras.push_files(reference, [str(path)], do_chunked=True, chunk_size=7000).or_fail()
    patches = [each.asked["content-range"] for each in registry.wire.of("PATCH")]
    assert patches == ["0-6999", "7000-13999", "14000-15999"]
    oras.pull(reference).or_fail()
    assert (oras.folder / "pulled" / "large").read_bytes() == path.read_bytes()

"""What an engine saves becomes a manifest; both ways in which engines save."""

import json

import pytest

from berth.domain.image_export import MANIFEST_TYPE, StoredFile, is_content, link_target, make_manifest
from berth.domain.image_reference import Digest
from berth.domain.problem import UpstreamFailed


def stored(content: bytes) -> StoredFile:
    return StoredFile(Digest.of(content), len(content))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("abc/layer.tar", True),
        ("abc.json", True),
        ("blobs/sha256/abc", True),
        ("manifest.json", False),
        ("abc/json", False),
        ("abc/VERSION", False),
        ("repositories", False),
        ("oci-layout", False),
    ],
)
def test_which_files_are_content(name: str, expected: bool) -> None:
    assert is_content(name) is expected


def test_links_are_relative_to_their_folder() -> None:
    assert link_target("b/layer.tar", "../a/layer.tar") == "a/layer.tar"


@pytest.mark.parametrize(
    ("config", "layers"),
    [("c.json", ["a/layer.tar", "b/layer.tar"]), ("blobs/sha256/c", ["blobs/sha256/a", "blobs/sha256/a"])],
)
def test_the_manifest_names_what_was_stored(config: str, layers: list[str]) -> None:
    index = json.dumps([{"Config": config, "RepoTags": None, "Layers": layers}]).encode()
    manifest = json.loads(
        make_manifest(index, {config: stored(b"c"), layers[0]: stored(b"aa")}, {"b/layer.tar": layers[0]})
    )
    assert manifest["mediaType"] == MANIFEST_TYPE
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": str(Digest.of(b"c")),
        "size": 1,
    }
    assert [each["digest"] for each in manifest["layers"]] == [str(Digest.of(b"aa"))] * 2
    assert {each["mediaType"] for each in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar"}


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"\xff",
        b"[]",
        b"[1]",
        b"{}",
        b"null",
        b'[{"Config": "c.json"}]',
        b'[{"Config": "gone.json", "Layers": []}]',
        b'[{"Config": "c.json", "Layers": ["gone"]}]',
        b'[{"Config": ["c.json"], "Layers": []}]',
        b'[{"Config": "c.json", "Layers": []}, {}]',
    ],
)
def test_an_archive_that_is_not_understood_is_a_failure(index: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        make_manifest(index, {"c.json": stored(b"c")}, {})

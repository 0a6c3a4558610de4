"""Media types: how one is written, and the kinds of manifests."""

import pytest

from berth.domain.media_type import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    is_media_type,
    keys_of_other_kinds,
    parse_content_type,
)


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(text, id=text.rpartition(".")[0]) for text in MANIFEST_TYPES),
        pytest.param("application/vnd.oci.image.layer.v1.tar+gzip", id="a layer"),
        pytest.param("text/spdx+json", id="another tree"),
        pytest.param("application/vnd.dev.sigstore.bundle+json;version=0.2", id="with a parameter"),
        pytest.param('text/plain ; charset="utf-8"', id="with a quoted parameter"),
        pytest.param("a/b", id="the shortest"),
        pytest.param(f"{'a' * 127}/{'b' * 127}", id="RFC 6838 127 characters on both sides"),
    ],
)
def test_it_is_a_media_type(text: str) -> None:
    assert is_media_type(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("application", id="no subtype"),
        pytest.param("application/", id="an empty subtype"),
        pytest.param("/json", id="an empty type"),
        pytest.param("a/b/c", id="three parts"),
        pytest.param("+a/b", id="RFC 6838 does not begin with a sign"),
        pytest.param("a b/c", id="a space"),
        pytest.param("a/b\n", id="a line feed at the end"),
        pytest.param("a/b;c=\r\nX: y", id="a header in a parameter"),
        pytest.param("a/\u00e4", id="not ASCII"),
        pytest.param("a/b;\u00e4", id="a parameter that is not ASCII"),
        pytest.param(f"{'a' * 128}/b", id="RFC 6838 128 characters"),
        pytest.param(f"a/b;{'c' * 252}", id="256 characters"),
    ],
)
def test_it_is_none(text: str) -> None:
    assert not is_media_type(text)


@pytest.mark.parametrize(
    "header,media_type",
    [
        pytest.param("", "", id="none"),
        pytest.param(OCI_INDEX, OCI_INDEX, id="as it is"),
        pytest.param(f" {OCI_INDEX.upper()} ; charset=utf-8; x=y", OCI_INDEX, id="parameters and case fall off"),
        pytest.param(f"{OCI_INDEX}, {OCI_INDEX}", f"{OCI_INDEX}, {OCI_INDEX}", id="two headers are no type"),
    ],
)
def test_content_types(header: str, media_type: str) -> None:
    assert parse_content_type(header) == media_type


def test_a_kind_has_no_key_of_another() -> None:
    assert set(INDEX_TYPES) < set(MANIFEST_TYPES)
    assert keys_of_other_kinds(OCI_MANIFEST).isdisjoint({"config", "layers"})
    assert keys_of_other_kinds(OCI_INDEX).isdisjoint({"manifests"})
    assert "manifests" in keys_of_other_kinds(OCI_MANIFEST)
    assert "layers" in keys_of_other_kinds(OCI_INDEX)
    assert all("fsLayers" in keys_of_other_kinds(kind) for kind in MANIFEST_TYPES)

"""Pushed manifests: what the conformance program and real clients push, and everything that is refused."""

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.manifest import (
    MAX_DESCRIPTORS,
    MAX_MANIFEST_BYTES,
    NON_DISTRIBUTABLE_TYPES,
    Manifest,
    optional_blobs,
    parse_pushed_manifest,
    referenced_blobs,
    referenced_manifests,
    to_descriptor,
)
from berth.domain.media_type import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST
from berth.domain.problem import Invalid, LimitReached, Problem

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN_TYPE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
SHA512 = DigestAlgorithm.SHA512
SBOM = "application/vnd.example.sbom.v1"
Fields = dict[str, Any]


def described(content: bytes, media_type: str = LAYER_TYPE, /, **more: object) -> Fields:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content), **more}


CONFIG = described(b"{}", CONFIG_TYPE)
LAYER = described(b"layer")
CHILD = described(b"child", OCI_MANIFEST, platform={"os": "linux", "architecture": "arm64", "variant": "v8"})
SUBJECT = described(b"missing content", OCI_MANIFEST)


def image(**changes: object) -> Fields:
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER], **changes}


def index(**changes: object) -> Fields:
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [CHILD], **changes}


def without(fields: Fields, *names: str) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


def written(value: object) -> bytes:
    return json.dumps(value).encode()


def parse(value: object, content_type: str | None = None) -> Manifest:
    """By default pushed with the Content-Type that it says itself, as clients do."""
    own = value["mediaType"] if isinstance(value, dict) and "mediaType" in value else ""
    return parse_pushed_manifest(written(value), own if content_type is None else content_type)


LARGE = image(annotations={f"large-annotation-{number}": "A" * 10_000 for number in range(390)})
ACCEPTED = [
    pytest.param(image(), OCI_MANIFEST, id="2 an image"),
    pytest.param(index(), OCI_INDEX, id="2 an index"),
    pytest.param(image(mediaType=DOCKER_MANIFEST), DOCKER_MANIFEST, id="2 an image of Docker"),
    pytest.param(index(mediaType=DOCKER_MANIFEST_LIST), DOCKER_MANIFEST_LIST, id="2 a manifest list of Docker"),
    pytest.param(LARGE, OCI_MANIFEST, id="1 conformance: 3.9 MB of annotations"),
    pytest.param(image(layers=[]), OCI_MANIFEST, id="conformance: no layers"),
    pytest.param(index(manifests=[]), OCI_INDEX, id="conformance: an empty index"),
    pytest.param(image(layers=None), OCI_MANIFEST, id="3 no layers, as Go writes it"),
    pytest.param(index(manifests=None), OCI_INDEX, id="3 an empty index, as Go writes it"),
    pytest.param(
        image(subject=None, annotations=None, artifactType=None),
        OCI_MANIFEST,
        id="3 null is as if the key were missing",
    ),
    pytest.param(
        image(layers=[{**LAYER, "urls": None, "data": None, "annotations": None, "platform": None}]),
        OCI_MANIFEST,
        id="3 null in a descriptor",
    ),
    pytest.param(
        image(**{"org.QQ": "x", "deeper": {"size": [{"Digest": 1.5}]}}), OCI_MANIFEST, id="3 conformance: custom fields"
    ),
    pytest.param(index(**{"org.QQ": "x"}), OCI_INDEX, id="3 conformance: custom fields of an index"),
    pytest.param(
        image(layers=[{**LAYER, "org.QQ": {"mediatype": 1}}]), OCI_MANIFEST, id="3 a custom field of a descriptor"
    ),
    pytest.param(
        image(annotations={"Digest": "x", "digest": "y", "size": "1"}), OCI_MANIFEST, id="3 annotations have any names"
    ),
    pytest.param(image(artifactType=SBOM), OCI_MANIFEST, id="conformance: an artifact"),
    pytest.param(
        image(artifactType=SBOM, config=described(b"{}", EMPTY_TYPE), layers=[described(b"{}", EMPTY_TYPE)]),
        OCI_MANIFEST,
        id="conformance: an artifact without layers",
    ),
    pytest.param(image(config=described(b"{}", "application/vnd.cncf.helm.config.v1+json")), OCI_MANIFEST, id="2 Helm"),
    pytest.param(index(artifactType=SBOM), OCI_INDEX, id="conformance: an index that is an artifact"),
    pytest.param(index(artifactType=""), OCI_INDEX, id="8 an empty artifactType is none"),
    pytest.param(image(subject=SUBJECT), OCI_MANIFEST, id="conformance: a subject that is missing"),
    pytest.param(
        index(manifests=[described(b"nested", OCI_INDEX), described(b"list", DOCKER_MANIFEST_LIST)]),
        OCI_INDEX,
        id="conformance: a nested index",
    ),
    pytest.param(index(manifests=[{**CHILD, "platform": {}}]), OCI_INDEX, id="4 an empty platform"),
    pytest.param(
        index(manifests=[{**CHILD, "platform": {"os": "windows", "architecture": "amd64", "os.version": "10.0.1"}}]),
        OCI_INDEX,
        id="4 a platform with more than we show",
    ),
    pytest.param(image(layers=[{**LAYER, "size": 2**63 - 1}]), OCI_MANIFEST, id="4 the largest size"),
    pytest.param(image(layers=[described(b"")]), OCI_MANIFEST, id="4 nothing in it"),
    pytest.param(
        image(config={**CONFIG, "data": "e30="}, layers=[{**described(b""), "data": ""}]),
        OCI_MANIFEST,
        id="4 conformance: data",
    ),
    pytest.param(
        image(
            layers=[{**LAYER, "digest": str(Digest.of(b"layer", SHA512)), "data": base64.b64encode(b"layer").decode()}]
        ),
        OCI_MANIFEST,
        id="4 conformance: sha512",
    ),
    pytest.param(image(layers=[LAYER] * MAX_DESCRIPTORS), OCI_MANIFEST, id="5 as many layers as may be"),
]


@pytest.mark.parametrize("value,media_type", ACCEPTED)
def test_it_is_accepted(value: Fields, media_type: str) -> None:
    manifest = parse(value)
    assert manifest.media_type == media_type
    assert len(manifest.layers) == len(value.get("layers") or [])
    assert len(manifest.manifests) == len(value.get("manifests") or [])
    assert manifest.annotations == (value.get("annotations") or {})


@pytest.mark.parametrize(
    "value,content_type",
    [
        pytest.param(image(), "", id="no Content-Type"),
        pytest.param(without(image(), "mediaType"), OCI_MANIFEST, id="no mediaType"),
        pytest.param(image(mediaType=""), OCI_MANIFEST, id="an empty mediaType"),
        pytest.param(image(), f"{OCI_MANIFEST.upper()}; charset=utf-8", id="parameters and case are ignored"),
    ],
)
def test_2_one_of_the_two_types_is_enough(value: Fields, content_type: str) -> None:
    assert parse(value, content_type).media_type == OCI_MANIFEST


REFUSED = [
    pytest.param(b"", "malformed", id="1 nothing"),
    pytest.param(b"[]", "malformed", id="1 a list"),
    pytest.param(written(image())[:-1], "malformed", id="1 truncated"),
    pytest.param(json.dumps(image()).encode("utf-16"), "malformed", id="1 UTF-16"),
    pytest.param(b'{"config": ' * 100_000, "malformed", id="1 nested without end"),
    pytest.param(b'{"layers": [' + b"[]," * 1_000_000 + b"[]]}", "malformed", id="1 a million values"),
    pytest.param(b'{"layers": [], "layers": []}', "malformed", id="1 a key twice"),
    pytest.param(
        written(image()).replace(b'"size"', b'"size": 1, "size"'), "malformed", id="1 a descriptor's key twice"
    ),
    pytest.param(
        written(image(annotations={"a": "1"})).replace(b'"a"', b'"a":"2","a"'), "malformed", id="1 an annotation"
    ),
    pytest.param(written(without(image(), "mediaType")), "media_type", id="2 no type at all"),
    pytest.param(image(mediaType="application/json"), "media_type", id="2 no manifest"),
    pytest.param(image(mediaType="application/vnd.oci.artifact.manifest.v1+json"), "media_type", id="decided: retired"),
    pytest.param(image(mediaType=OCI_MANIFEST.upper()), "media_type_mismatch", id="2 another case"),
    pytest.param(
        {"schemaVersion": 1, "mediaType": "application/vnd.docker.distribution.manifest.v1+json", "fsLayers": []},
        "schema_1",
        id="2 schema 1",
    ),
    pytest.param(image(mediaType=[OCI_MANIFEST]), "media_type", id="2 a type that is a list"),
    pytest.param(image(mediaType=0), "media_type", id="2 a type that is a number"),
    pytest.param(without(image(), "schemaVersion"), "schema_version", id="2 no schemaVersion"),
    pytest.param(image(schemaVersion=1), "schema_version", id="2 schemaVersion 1"),
    pytest.param(image(schemaVersion="2"), "schema_version", id="2 schemaVersion as a text"),
    pytest.param(image(schemaVersion=2.0), "schema_version", id="2 schemaVersion as a fraction"),
    pytest.param(index(schemaVersion=True), "schema_version", id="2 schemaVersion true"),
    pytest.param(image(manifests=[]), "ambiguous", id="3 CVE-2021-41190 an image with manifests"),
    pytest.param(index(layers=[]), "ambiguous", id="3 CVE-2021-41190 an index with layers"),
    pytest.param(index(config=CONFIG), "ambiguous", id="3 CVE-2021-41190 an index with a configuration"),
    pytest.param(index(layers=None), "ambiguous", id="3 CVE-2021-41190 an index with null layers"),
    pytest.param(image(fsLayers=[]), "ambiguous", id="3 an image with keys of schema 1"),
    pytest.param(image(Layers=[]), "ambiguous", id="3 a second list in another case"),
    pytest.param(image(Manifests=[]), "ambiguous", id="3 a key of another kind in another case"),
    pytest.param(image(SUBJECT=SUBJECT), "ambiguous", id="3 only in another case"),
    pytest.param({**image(), "layer\u017f": []}, "ambiguous", id="3 the long s, which Go takes for an s"),
    pytest.param(image(config={**CONFIG, "Digest": LAYER["digest"]}), "ambiguous", id="3 a descriptor's key"),
    pytest.param(index(manifests=[{**CHILD, "platform": {"OS": "linux"}}]), "ambiguous", id="3 a platform's key"),
    pytest.param(without(image(), "config"), "incomplete", id="an image without a configuration"),
    pytest.param(image(config=None), "incomplete", id="an image whose configuration is null"),
    pytest.param(without(image(), "layers"), "incomplete", id="3 an image without layers"),
    pytest.param(without(index(), "manifests"), "incomplete", id="3 an index without manifests"),
    pytest.param(image(layers={}), "descriptor", id="layers that are no list"),
    pytest.param(image(layers=0), "descriptor", id="layers that are a number"),
    pytest.param(image(layers=[None]), "descriptor", id="a layer that is null"),
    pytest.param(image(config="sha256:"), "descriptor", id="a configuration that is a text"),
    pytest.param(image(subject=[]), "descriptor", id="a subject that is a list"),
    pytest.param(image(layers=[{}]), "descriptor", id="4 an empty descriptor"),
    pytest.param(image(layers=[without(LAYER, "mediaType")]), "descriptor", id="4 no type"),
    pytest.param(image(layers=[{**LAYER, "mediaType": ""}]), "descriptor", id="4 an empty type"),
    pytest.param(image(layers=[{**LAYER, "mediaType": "a/b\r\nX: y"}]), "descriptor", id="4 a header in the type"),
    pytest.param(image(layers=[{**LAYER, "mediaType": "a/" + "b" * 300}]), "descriptor", id="4 a type without end"),
    pytest.param(image(layers=[without(LAYER, "digest")]), "descriptor", id="4 no digest"),
    pytest.param(image(layers=[{**LAYER, "digest": 1}]), "descriptor", id="4 a digest that is a number"),
    pytest.param(image(layers=[{**LAYER, "digest": "sha256:../../etc/passwd"}]), "descriptor", id="4 CVE-2024-3727"),
    pytest.param(
        image(layers=[{**LAYER, "digest": LAYER["digest"].upper()}]), "descriptor", id="4 an upper-case digest"
    ),
    pytest.param(image(layers=[{**LAYER, "digest": "blake3:" + "a" * 64}]), "descriptor", id="decided: blake3"),
    pytest.param(image(subject={**SUBJECT, "digest": "sha256:abc"}), "descriptor", id="4 a subject's digest"),
    pytest.param(image(layers=[without(LAYER, "size")]), "descriptor", id="4 no size"),
    pytest.param(image(layers=[{**LAYER, "size": -1}]), "descriptor", id="4 a negative size"),
    pytest.param(image(layers=[{**LAYER, "size": 2**63}]), "descriptor", id="4 a size beyond 2^63"),
    pytest.param(image(layers=[{**LAYER, "size": 5.0}]), "descriptor", id="4 a size that is a fraction"),
    pytest.param(image(layers=[{**LAYER, "size": True}]), "descriptor", id="4 a size that is true"),
    pytest.param(image(layers=[{**LAYER, "size": "5"}]), "descriptor", id="4 a size that is a text"),
    pytest.param(image(config={**CONFIG, "data": "e30"}), "data", id="4 data without padding"),
    pytest.param(image(config={**CONFIG, "data": "e3 0="}), "data", id="4 data that is no base64"),
    pytest.param(image(config={**CONFIG, "data": "\u00e4"}), "data", id="4 data that is no ASCII"),
    pytest.param(image(config={**CONFIG, "data": 1}), "data", id="4 data that is no text"),
    pytest.param(image(config={**CONFIG, "data": ""}), "data", id="4 data that is empty"),
    pytest.param(image(config={**CONFIG, "data": "W10="}), "data", id="4 data that is other content"),
    pytest.param(image(config={**CONFIG, "data": "e30=", "size": 3}), "data", id="4 data of another size"),
    pytest.param(image(layers=[{**LAYER, "urls": "https://a"}]), "descriptor", id="4 urls that are a text"),
    pytest.param(image(layers=[{**LAYER, "urls": [1]}]), "descriptor", id="4 urls that are numbers"),
    pytest.param(index(manifests=[{**CHILD, "platform": "linux"}]), "descriptor", id="4 a platform that is a text"),
    pytest.param(index(manifests=[{**CHILD, "platform": {"os": 0}}]), "descriptor", id="4 an os that is a number"),
    pytest.param(
        index(manifests=[{**CHILD, "platform": {"os": "<b>"}}]), "descriptor", id="4 an os that is more than a word"
    ),
    pytest.param(image(layers=[LAYER] * (MAX_DESCRIPTORS + 1)), "too_many", id="5 too many layers"),
    pytest.param(index(manifests=[CHILD] * (MAX_DESCRIPTORS + 1)), "too_many", id="5 too many manifests"),
    pytest.param(image(annotations=[]), "annotations", id="6 annotations that are a list"),
    pytest.param(image(annotations={"a": 1}), "annotations", id="6 an annotation that is a number"),
    pytest.param(image(annotations={"a": None}), "annotations", id="6 an annotation that is null"),
    pytest.param(image(annotations={"a": "\x00"}), "annotations", id="6 a NUL"),
    pytest.param(image(annotations={"\ud800": "a"}), "annotations", id="6 half a character"),
    pytest.param(image(layers=[{**LAYER, "annotations": {"a": {}}}]), "annotations", id="6 a layer's annotations"),
    pytest.param(image(artifactType="sbom"), "artifact_type", id="8 an artifactType that is no media type"),
    pytest.param(image(artifactType=["a/b"]), "artifact_type", id="8 an artifactType that is a list"),
    pytest.param(image(artifactType=0), "artifact_type", id="8 an artifactType that is a number"),
    pytest.param(index(manifests=[{**CHILD, "artifactType": "x"}]), "artifact_type", id="8 a child's artifactType"),
]


@pytest.mark.parametrize("value,kind", REFUSED)
def test_it_is_refused(value: Fields | bytes, kind: str) -> None:
    body = value if isinstance(value, bytes) else written(value)
    own = value["mediaType"] if isinstance(value, dict) and isinstance(value.get("mediaType"), str) else ""
    with pytest.raises(Invalid) as refusal:
        parse_pushed_manifest(body, own)
    assert refusal.value.code == f"manifest.{kind}"


@pytest.mark.parametrize("content_type", [*MANIFEST_TYPES[:1], "application/json", "text/html", f"{OCI_MANIFEST}, x"])
def test_2_content_type_and_media_type_do_not_differ(content_type: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse(image(), content_type)
    assert refusal.value.code == "manifest.media_type_mismatch"


def test_1_four_mebibytes_and_not_a_byte_more() -> None:
    body = written(image())
    largest = body + b" " * (MAX_MANIFEST_BYTES - len(body))
    assert parse_pushed_manifest(largest, OCI_MANIFEST) == parse(image())
    with pytest.raises(LimitReached) as refusal:
        parse_pushed_manifest(largest + b" ", OCI_MANIFEST)
    assert refusal.value.code == "manifest.too_large"


def test_a_refusal_says_where_and_repeats_nothing() -> None:
    with pytest.raises(Invalid, match=re.escape("`layers[1]`")) as refusal:
        parse(image(layers=[LAYER, {**LAYER, "digest": "sha256:hunter2"}]))
    assert "hunter2" not in refusal.value.message


def test_what_it_refers_to() -> None:
    foreign = described(b"windows", FOREIGN_TYPE, urls=["https://store.example.com/windows"])
    other = described(b"other", urls=["https://store.example.com/other"])
    manifest = parse(image(layers=[foreign, LAYER, other, LAYER], subject=SUBJECT))
    assert referenced_blobs(manifest) == (Digest.of(b"{}"), Digest.of(b"layer"), Digest.of(b"other"))
    assert optional_blobs(manifest) == (Digest.of(b"windows"),)
    assert referenced_manifests(manifest) == ()
    assert manifest.layers[0].urls == ("https://store.example.com/windows",)
    assert manifest.subject is not None
    assert manifest.subject.digest == Digest.of(b"missing content")
    assert manifest.subject.size_bytes == len(b"missing content")


@pytest.mark.parametrize("media_type", sorted(NON_DISTRIBUTABLE_TYPES))
def test_7_every_non_distributable_type_is_foreign(media_type: str) -> None:
    manifest = parse(image(layers=[described(b"windows", media_type)]))
    assert referenced_blobs(manifest) == (Digest.of(b"{}"),)


def test_7_a_configuration_is_never_foreign() -> None:
    assert referenced_blobs(parse(image(config=described(b"c", FOREIGN_TYPE), layers=[]))) == (Digest.of(b"c"),)


def test_7_an_index_refers_to_manifests_and_buildkits_cache_to_blobs() -> None:
    cache = described(b"cache", "application/vnd.buildkit.cacheconfig.v0")
    manifest = parse(index(manifests=[CHILD, LAYER, cache, LAYER], subject=SUBJECT))
    (child,) = referenced_manifests(manifest)
    assert (child.digest, child.media_type, child.platform) == (Digest.of(b"child"), OCI_MANIFEST, "linux/arm64/v8")
    assert optional_blobs(manifest) == (Digest.of(b"layer"), Digest.of(b"cache"))
    assert referenced_blobs(manifest) == ()


@pytest.mark.parametrize(
    "value,more",
    [
        pytest.param(image(artifactType=SBOM), {"artifactType": SBOM}, id="8 its own artifactType"),
        pytest.param(image(), {"artifactType": CONFIG_TYPE}, id="8 the configuration's type"),
        pytest.param(image(artifactType=""), {"artifactType": CONFIG_TYPE}, id="8 an empty one is none"),
        pytest.param(index(), {}, id="8 an index without one has none"),
        pytest.param(index(artifactType=SBOM), {"artifactType": SBOM}, id="8 an index's own"),
        pytest.param(index(annotations={"a": "b"}), {"annotations": {"a": "b"}}, id="annotations are shown"),
    ],
)
def test_how_the_referrers_api_shows_it(value: Fields, more: Fields) -> None:
    shown = to_descriptor(parse(value), Digest.of(b"x"), 123)
    assert shown == {"mediaType": value["mediaType"], "digest": str(Digest.of(b"x")), "size": 123, **more}


_odd = st.recursive(
    st.sampled_from([None, True, 0, 2, -1, 1.5, "", "a/b", "e30=", "\x00", "\ud800", OCI_INDEX, str(Digest.of(b"{}"))]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from([*LAYER, "os", "platform", "urls", "data", "Size", "annotations"]), inner, max_size=4
        )
    ),
    max_leaves=6,
)
_changes = st.dictionaries(
    st.sampled_from(["schemaVersion", *image(), *index(), "subject", "annotations", "artifactType", "Layers"]),
    _odd | st.sampled_from([LAYER, [LAYER], [CHILD]]),
    max_size=3,
)


def outcome(body: bytes, content_type: str) -> Manifest | Problem:
    try:
        return parse_pushed_manifest(body, content_type)
    except Problem as refusal:
        return refusal


@given(st.sampled_from([image(), index()]), _changes, st.sampled_from([*MANIFEST_TYPES, "", "text/html"]))
def test_any_manifest_is_accepted_or_refused(value: Fields, changes: Fields, content_type: str) -> None:
    """And what is accepted can be stored and shown."""
    manifest = outcome(written({**value, **changes}), content_type)
    if isinstance(manifest, Problem):
        assert manifest.code.startswith("manifest.")
        return
    shown = to_descriptor(manifest, Digest.of(b""), 0)
    json.dumps(shown, ensure_ascii=False).encode()
    assert manifest.media_type in MANIFEST_TYPES
    assert (manifest.config is None) == bool("manifests" in value)


@given(st.binary(max_size=200), st.text(max_size=20))
def test_any_bytes_are_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(Invalid):
        parse_pushed_manifest(body, content_type)

"""end-7: pushing manifests. Source: OCI distribution-spec v1.1, "Pushing Manifests"; OCI image-spec v1.1."""

import asyncio
import json
from typing import Any

import pytest
from tests.oci.images import (
    CONFIG,
    DOCKER_LAYER,
    EMPTY,
    LAYER,
    Image,
    artifact,
    descriptor,
    fresh,
    image,
    index,
    manifest_list,
)
from tests.oci.registry_api import OCIClient, Registry, outcome

from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.manifest import MAX_MANIFEST_BYTES, NON_DISTRIBUTABLE_TYPES
from berth.domain.media_type import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHILD = image()
KINDS = {
    "image": image(),
    "image of many layers": image(*(fresh() for _ in range(12))),
    "image without layers": image(fresh(), layers=[]),
    "Docker image": image(media_type=DOCKER_MANIFEST),
    "index": index([CHILD]),
    "nested index": index([index([CHILD]), CHILD]),
    "sparse index": index([image(), image()]),
    "empty index": index([]),
    "Docker list": manifest_list([CHILD]),
    "artifact": artifact("application/vnd.example.sbom.v1"),
    "artifact of an index": index([], artifactType="application/vnd.example.v1"),
    "subject": artifact("application/vnd.example.sbom.v1", subject=CHILD),
    "subject of an index": index([], subject=CHILD.descriptor()),
    "annotations": image(annotations={"org.example.ä": "\N{SNOWMAN}"}),
    "data in a descriptor": image(subject=descriptor(b"{}", EMPTY) | {"data": "e30="}),
    "keys of its own": image(more=[1, {"a": None}]),
    "written with spaces": Image(json.dumps(json.loads(CHILD.content), indent=7).encode() + b"\n\n", OCI_MANIFEST, CHILD.blobs),
}  # fmt: skip


BY_DIGEST = [(kind, by) for kind in ("image", "sparse index", "subject") for by in ("sha256", "sha512")]


@pytest.mark.parametrize(("kind", "by"), [*((kind, "tag") for kind in KINDS), *BY_DIGEST])
async def test_every_kind_of_manifest_is_kept_byte_for_byte(octo: OCIClient, name: str, kind: str, by: str) -> None:
    one = KINDS[kind]
    for blob in one.blobs:
        await octo.push_blob(name, blob)
    digest = Digest.of(one.content, DigestAlgorithm(by) if by != "tag" else DigestAlgorithm.SHA256)
    reference = "v1" if by == "tag" else digest
    for _ in range(2):
        answer = await octo.put_manifest(name, reference, one.content, one.media_type)
        assert answer.status_code == 201, answer.text
        assert answer.headers["Location"] == f"/v2/{name}/manifests/{digest}"
        assert answer.headers["Docker-Content-Digest"] == str(digest)
        subject = json.loads(one.content).get("subject")
        assert answer.headers.get("OCI-Subject") == (subject and subject["digest"])
        assert "OCI-Tag" not in answer.headers
    for where in (reference, digest):
        got = await octo.get(f"/v2/{name}/manifests/{where}")
        assert (got.status_code, got.content) == (200, one.content)
        assert got.headers["Content-Type"] == one.media_type
        assert got.headers["Docker-Content-Digest"] == str(digest)


async def test_a_tag_moves_and_the_old_manifest_stays(each_octo: OCIClient, name: str) -> None:
    first, second = image(), image()
    for one in (first, second, first, second):
        await each_octo.push(name, one)
        assert (await each_octo.get(f"/v2/{name}/manifests/latest")).content == one.content
    assert (await each_octo.get(f"/v2/{name}/manifests/{first.digest}")).content == first.content


async def test_end_7b_tags_may_come_with_the_digest(each_octo: OCIClient, name: str) -> None:
    one = image()
    tags = [f"v{number}" for number in range(12)]
    for blob in one.blobs:
        await each_octo.push_blob(name, blob)
    params = [("tag", tag) for tag in [*tags, "v3"]]
    answer = await each_octo.put_manifest(name, one.digest, one.content, one.media_type, params=params)
    assert answer.status_code == 201
    accepted = [tag.strip() for line in answer.headers.get_list("OCI-Tag") for tag in line.split(",")]
    assert accepted == tags
    assert sorted((await each_octo.get(f"/v2/{name}/tags/list")).json()["tags"]) == sorted(tags)
    for tag in tags:
        assert (await each_octo.get(f"/v2/{name}/manifests/{tag}")).content == one.content


async def test_what_is_no_tag_makes_no_tag_at_all(octo: OCIClient, name: str) -> None:
    one = image()
    await octo.push(name, one, one.digest)
    for bad in ("-x", ".x", "a/b", "a:b", "", "t" * 129, "ä", "a b", "x\n", "a\x00b"):
        params = [("tag", "good"), ("tag", bad)]
        answer = await octo.put_manifest(name, one.digest, one.content, one.media_type, params=params)
        assert answer.status_code == 400, bad
        assert outcome(answer)[1] in {"MANIFEST_INVALID", "UNSUPPORTED"}, bad
    for bad in ("-x", ".x", "t" * 129, "%C3%A4", "a%20b", "x%0A", "a%00b"):
        answer = await octo.put_manifest(name, bad, one.content, one.media_type)
        assert outcome(answer) == (400, "MANIFEST_INVALID"), bad
    assert (await octo.get(f"/v2/{name}/tags/list")).json()["tags"] == []
    await octo.push(name, one, "t" * 128)
    await octo.push(name, one, "_")


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
async def test_another_digest_than_that_of_the_content(octo: OCIClient, name: str, algorithm: DigestAlgorithm) -> None:
    one = image()
    await octo.push(name, one)
    other = Digest.of(b"other", algorithm)
    refused = await octo.put_manifest(name, other, one.content, one.media_type)
    assert outcome(refused) == (400, "DIGEST_INVALID")
    assert (await octo.get(f"/v2/{name}/manifests/{other}")).status_code == 404
    for bad in ("sha256:baddigeststring", "md5:d41d8cd98f00b204e9800998ecf8427e", "a:b"):
        refused = await octo.put_manifest(name, bad, one.content, one.media_type)
        assert outcome(refused) == (400, "DIGEST_INVALID")


async def test_a_subject_may_come_later(each_octo: OCIClient, name: str) -> None:
    subject = image()
    referrer = artifact("application/vnd.example.sbom.v1", subject=subject)
    await each_octo.push(name, referrer, referrer.digest)
    assert len((await each_octo.get(f"/v2/{name}/referrers/{subject.digest}")).json()["manifests"]) == 1
    await each_octo.push(name, subject)
    assert len((await each_octo.get(f"/v2/{name}/referrers/{subject.digest}")).json()["manifests"]) == 1


async def test_a_configuration_has_to_be_here(each_octo: OCIClient, name: str) -> None:
    """That another package has it counts for nothing."""
    one = image()
    await each_octo.push(f"{name}/other", one)
    refused = await each_octo.put_manifest(name, "latest", one.content, one.media_type)
    assert outcome(refused) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert outcome(await each_octo.get(f"/v2/{name}/manifests/latest")) == (404, "MANIFEST_UNKNOWN")
    await each_octo.push_blob(name, one.blobs[0])
    answer = await each_octo.put_manifest(name, "latest", one.content, one.media_type)
    assert answer.status_code == 201
    (warning,) = [line for line in answer.headers.get_list("Warning") if "layers" in line]
    assert warning.startswith("299 - \"1 of the image's layers")


async def test_layers_that_are_elsewhere_need_not_be_here(octo: OCIClient, name: str) -> None:
    config = fresh()
    await octo.push_blob(name, config)
    for media_type in sorted(NON_DISTRIBUTABLE_TYPES):
        layers = [descriptor(fresh(), media_type) | {"urls": ["http://169.254.169.254/latest"]}]
        one = image(config=config, layers=layers)
        answer = await octo.put_manifest(name, "latest", one.content, one.media_type)
        assert answer.status_code == 201
        assert not [line for line in answer.headers.get_list("Warning") if "layers" in line]


async def test_an_index_may_name_blobs(octo: OCIClient, name: str) -> None:
    """BuildKit's cache."""
    layer = fresh()
    await octo.push_blob(name, layer)
    one = index([descriptor(layer, LAYER), descriptor(fresh(), LAYER), CHILD.descriptor()])
    assert (await octo.put_manifest(name, "cache", one.content, one.media_type)).status_code == 201
    refused = await octo.delete(f"/v2/{name}/blobs/{Digest.of(layer)}")
    assert outcome(refused) == (403, "DENIED"), "the cache needs it"


CONTENT_TYPES = {
    "its own": (OCI_MANIFEST, 201),
    "with parameters": (f"{OCI_MANIFEST}; charset=utf-8", 201),
    "in upper case": (OCI_MANIFEST.upper(), 201),
    "none": ("", 201),
    "another kind": (OCI_INDEX, 400),
    "Docker's": (DOCKER_MANIFEST, 400),
    "JSON": ("application/json", 400),
    "no media type": ('x"y', 400),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTENT_TYPES)
async def test_the_content_type_is_what_the_manifest_says(octo: OCIClient, name: str, case: str) -> None:
    """CVE-2021-41190."""
    one, (header, status) = image(), CONTENT_TYPES[case]
    await octo.push(name, one, "before")
    answer = await octo.put_manifest(name, "latest", one.content, header)
    assert answer.status_code == status, answer.text
    if status == 400:
        assert outcome(answer) == (400, "MANIFEST_INVALID")


def without(key: str) -> bytes:
    body = json.loads(CHILD.content)
    del body[key]
    return json.dumps(body).encode()


def changed(**more: Any) -> bytes:
    return json.dumps({**json.loads(CHILD.content), **more}).encode()


def first_layer(**more: Any) -> bytes:
    layers = json.loads(CHILD.content)["layers"]
    return changed(layers=[{**layers[0], **more}])


BROKEN = {
    "nothing": b"",
    "no JSON": b"oh no",
    "cut off": CHILD.content[:-1],
    "something behind": CHILD.content + b"{}",
    "a list": b"[]",
    "a number": b"2",
    "null": b"null",
    "no UTF-8": CHILD.content.replace(b"schemaVersion", b"schema\xff"),
    "UTF-16": CHILD.content.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + CHILD.content,
    "a key twice": CHILD.content.replace(b'{"schemaVersion": 2', b'{"schemaVersion": 2, "schemaVersion": 2'),
    "a key in another case": changed(MediaType=OCI_INDEX),
    "deep": b'{"schemaVersion":2,"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deep and cut off": b'{"schemaVersion":2,"x":' + b"[" * 1_000_000,
    "a million values": changed(more=[0] * 1_000_000),
    "NaN": changed(more=float("nan")),
    "a number of a million digits": CHILD.content[:-1] + b', "more": ' + b"9" * 1_000_000 + b"}",
    "no schemaVersion": without("schemaVersion"),
    "schemaVersion 1": changed(schemaVersion=1),
    "schemaVersion 2.0": changed(schemaVersion=2.0),
    "schemaVersion true": changed(schemaVersion=True),
    "image and index": changed(manifests=[]),
    "schema 1's keys": changed(fsLayers=[]),
    "no config": without("config"),
    "no layers": without("layers"),
    "config is null": changed(config=None),
    "layers are an object": changed(layers={}),
    "a layer is a text": changed(layers=["sha256:abc"]),
    "10 001 layers": changed(layers=[json.loads(CHILD.content)["layers"][0]] * 10_001),
    "a layer without a digest": changed(layers=[{"mediaType": LAYER, "size": 1}]),
    "a digest that leads away": first_layer(digest="sha256:../../../../etc/passwd"),
    "a digest of md5": first_layer(digest="md5:d41d8cd98f00b204e9800998ecf8427e"),
    "a negative size": first_layer(size=-1),
    "a size of 2^63": first_layer(size=2**63),
    "a size of 40 digits": first_layer(size=int("9" * 40)),
    "a size as a text": first_layer(size="1"),
    "a size of 1.5": first_layer(size=1.5),
    "data of something else": first_layer(data="b2ggbm8="),
    "annotations that are numbers": changed(annotations={"a": 1}),
    "annotations with NUL": changed(annotations={"a": "\0"}),
    "annotations with a lone surrogate": CHILD.content[:-1] + rb', "annotations": {"a": "\ud800"}}',
    "artifactType is no type": changed(artifactType="oh no"),
    "a subject without a size": changed(subject={"mediaType": OCI_MANIFEST, "digest": str(CHILD.digest)}),
    "mediaType is a number": changed(mediaType=1),
    "mediaType is unknown": changed(mediaType="application/vnd.example.v1+json"),
    "an artifact manifest": changed(mediaType="application/vnd.oci.artifact.manifest.v1+json"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
async def test_a_manifest_that_is_none(octo: OCIClient, name: str, case: str) -> None:
    await octo.push(name, CHILD, "before")
    answer = await octo.put_manifest(name, "latest", BROKEN[case], OCI_MANIFEST)
    assert outcome(answer) == (400, "MANIFEST_INVALID")
    assert len(answer.content) < 500, "it is not repeated"
    assert (await octo.get(f"/v2/{name}/manifests/latest")).status_code == 404


async def test_four_mebibytes_are_taken_and_no_byte_more(octo: OCIClient, name: str) -> None:
    await octo.push(name, CHILD)
    empty = len(changed(annotations={"a": ""}))
    for size, status in ((4_000_000, 201), (MAX_MANIFEST_BYTES, 201), (MAX_MANIFEST_BYTES + 1, 413)):
        content = changed(annotations={"a": "x" * (size - empty)})
        assert len(content) == size
        answer = await octo.put_manifest(name, f"size-{size}", content, OCI_MANIFEST)
        assert answer.status_code == status
        if status == 413:
            assert outcome(answer) == (413, "MANIFEST_INVALID")
        else:
            assert (await octo.get(f"/v2/{name}/manifests/size-{size}")).content == content


async def test_two_pushes_of_one_tag_at_once(each_octo: OCIClient, name: str) -> None:
    """Both are stored; the tag points to one of them, whole."""
    images = [image() for _ in range(6)]
    for one in images:
        for blob in one.blobs:
            await each_octo.push_blob(name, blob)
    answers = await asyncio.gather(
        *(each_octo.put_manifest(name, "latest", one.content, one.media_type) for one in images)
    )
    assert [answer.status_code for answer in answers] == [201] * 6
    assert (await each_octo.get(f"/v2/{name}/manifests/latest")).content in {one.content for one in images}
    for one in images:
        assert (await each_octo.get(f"/v2/{name}/manifests/{one.digest}")).content == one.content
    assert (await each_octo.get(f"/v2/{name}/tags/list")).json()["tags"] == ["latest"]


async def test_many_pushes_to_a_free_name_at_once_make_one_package(each_octo: OCIClient, name: str) -> None:
    one = image()
    await each_octo.log_in(f"repository:{name}:pull,push")
    answers = await asyncio.gather(
        *(each_octo.post(f"/v2/{name}/blobs/uploads/?digest={Digest.of(blob)}", content=blob) for blob in one.blobs * 4)
    )
    assert {answer.status_code for answer in answers} == {201}
    assert (await each_octo.put_manifest(name, "latest", one.content, one.media_type)).status_code == 201


async def test_warnings_are_of_the_form_that_the_specification_wants(octo: OCIClient, name: str) -> None:
    one = image()
    for blob in one.blobs:
        await octo.push_blob(name, blob)
    answer = await octo.put_manifest(name, "latest", one.content, one.media_type)
    warnings = answer.headers.get_list("Warning")
    assert any("linked to no repository" in line for line in warnings)
    assert all(line.startswith('299 - "') and line.endswith('"') and line.count('"') == 2 for line in warnings)
    assert sum(map(len, warnings)) < 4096


async def test_a_configuration_that_is_no_json_is_any_blob(registry: Registry, octo: OCIClient, name: str) -> None:
    """It is read for its labels only; what cannot be read has none."""
    for config in (b"", b"\xff" * 100, b"[" * 100_000, b'{"config": {"Labels": 7}}', fresh(5 * 1024 * 1024)):
        one = image(config=config)
        await octo.push(f"{name}/{len(config)}", one)


async def test_the_table_of_kinds_has_every_media_type() -> None:
    assert {one.media_type for one in KINDS.values()} == {
        OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, "application/vnd.docker.distribution.manifest.list.v2+json"
    }  # fmt: skip
    assert CONFIG
    assert DOCKER_LAYER

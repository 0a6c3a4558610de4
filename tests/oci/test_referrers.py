"""end-12: what refers to a manifest. Source: OCI distribution-spec v1.1, "Listing Referrers"."""

import json
from typing import Any

import pytest
from sqlalchemy import insert, select
from tests.oci.images import Image, artifact, descriptor, image, index
from tests.oci.registry_api import OCIClient, Registry, outcome
from tests.oci.test_tags import next_of

from berth.adapters.store.package_tables import manifests
from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.media_type import OCI_INDEX, OCI_MANIFEST

pytestmark = pytest.mark.asyncio(loop_scope="module")
SBOM = "application/vnd.example.sbom.v1"
SIGNATURE = "application/vnd.example.signature.v1+json"


async def push(octo: OCIClient, name: str, *referrers: Image) -> None:
    for one in referrers:
        await octo.push(name, one, one.digest)


async def listed(octo: OCIClient, path: str) -> list[dict[str, Any]]:
    """All pages; each is an image index, whose descriptors come in the order of the pushes."""
    found: list[dict[str, Any]] = []
    here: str | None = path
    while here is not None:
        answer = await octo.get(here)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == OCI_INDEX
        body = answer.json()
        assert (body["schemaVersion"], body["mediaType"]) == (2, OCI_INDEX)
        found += body["manifests"]
        here = next_of(answer)
    return found


async def test_referrers_are_listed_as_the_specification_wants(each_octo: OCIClient, name: str) -> None:
    subject = image()
    sbom = artifact(SBOM, subject=subject, annotations={"org.example.format": "json", "ä": "\N{SNOWMAN}"})
    signature = artifact(SIGNATURE, subject=subject)
    plain = image(subject=subject.descriptor(), annotations={"a": "b"})  # its type is its configuration's
    group = index([sbom], subject=subject.descriptor(), annotations={"kind": "group"})  # it has none
    typed = index([], subject=subject.descriptor(), artifactType=SBOM)
    await push(each_octo, name, subject, sbom, signature, plain, group, typed, artifact(SBOM, subject=image()))
    assert await listed(each_octo, f"/v2/{name}/referrers/{subject.digest}") == [
        sbom.descriptor(artifactType=SBOM, annotations={"org.example.format": "json", "ä": "\N{SNOWMAN}"}),
        signature.descriptor(artifactType=SIGNATURE),
        plain.descriptor(artifactType="application/vnd.oci.image.config.v1+json", annotations={"a": "b"}),
        group.descriptor(annotations={"kind": "group"}),
        typed.descriptor(artifactType=SBOM),
    ]


async def test_a_filter_by_the_type_of_artifact(each_octo: OCIClient, name: str) -> None:
    subject = image()
    sboms = [artifact(SBOM, subject=subject) for _ in range(3)]
    signature = artifact(SIGNATURE, subject=subject)
    await push(each_octo, name, sboms[0], signature, *sboms[1:])
    path = f"/v2/{name}/referrers/{subject.digest}"
    for wanted, digests in ((SBOM, sboms), (SIGNATURE, [signature]), ("application/none", []), ("", [])):
        answer = await each_octo.get(path, params={"artifactType": wanted})
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        assert [one["digest"] for one in answer.json()["manifests"]] == [str(one.digest) for one in digests]
    assert "OCI-Filters-Applied" not in (await each_octo.get(path)).headers
    refused = await each_octo.get(path, params={"artifactType": "a\0b"})
    assert outcome(refused) == (400, "UNSUPPORTED")


async def test_more_referrers_than_fit_into_one_answer(registry: Registry, octo: OCIClient, name: str) -> None:
    """In pages, joined by the Link, which keeps the filter."""
    subject = image()
    await push(octo, name, index([], subject=subject.descriptor(), artifactType=SBOM))
    digests = [Digest.of(str(number).encode()) for number in range(203)]
    async with registry.store.begin() as connection:
        mine = manifests.c.package_id == await registry.package_id(name)
        (one,) = (await connection.execute(select(manifests).where(mine))).all()
        first = {key: value for key, value in one._mapping.items() if key != "id"}
        await connection.execute(insert(manifests), [{**first, "digest": str(digest)} for digest in digests])
    path = f"/v2/{name}/referrers/{subject.digest}"
    for query, filtered in (("", None), ("?artifactType=" + SBOM.replace("+", "%2B"), "artifactType")):
        first_page = await octo.get(path + query)
        assert len(first_page.json()["manifests"]) == 200
        second = await octo.get(str(next_of(first_page)))
        assert len(second.json()["manifests"]) == 4
        assert second.headers.get("OCI-Filters-Applied") == filtered
        found = await listed(octo, path + query)
        assert [each["digest"] for each in found[1:]] == [str(digest) for digest in digests]


async def test_an_answer_is_no_larger_than_a_manifest_may_be(each_octo: OCIClient, name: str) -> None:
    """Annotations may be megabytes; clients read no larger index, and a server should not have to hold it."""
    subject = image()
    large = [
        index([], subject=subject.descriptor(), annotations={"n": str(number), "large": "x" * 1_500_000})
        for number in range(5)
    ]
    await push(each_octo, name, *large)
    answer = await each_octo.get(f"/v2/{name}/referrers/{subject.digest}")
    assert len(answer.content) <= 4 * 1024 * 1024
    assert len(answer.json()["manifests"]) == 2
    found = await listed(each_octo, f"/v2/{name}/referrers/{subject.digest}")
    assert [one["annotations"]["n"] for one in found] == ["0", "1", "2", "3", "4"]
    huge = index([], subject=large[0].descriptor(), annotations={"large": "x" * 4_190_000})
    await push(each_octo, name, huge)
    assert len(await listed(each_octo, f"/v2/{name}/referrers/{large[0].digest}")) == 1, "one at least"


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
async def test_a_subject_by_either_algorithm(octo: OCIClient, name: str, algorithm: DigestAlgorithm) -> None:
    content = b"is not here"
    referrer = index([], subject=descriptor(content, OCI_MANIFEST, algorithm))
    answer = await octo.put_manifest(name, "latest", referrer.content, referrer.media_type)
    assert answer.headers["OCI-Subject"] == str(Digest.of(content, algorithm))
    assert len(await listed(octo, f"/v2/{name}/referrers/{Digest.of(content, algorithm)}")) == 1


async def test_nothing_refers_to_it(octo: OCIClient, name: str) -> None:
    """Never 404: a client would fall back to tags."""
    await octo.push(name, image())
    missing = Digest.of(b"missing")
    for where in (name, "octo/missing", "nobody/nothing"):
        answer = await octo.get(f"/v2/{where}/referrers/{missing}")
        assert (answer.status_code, answer.json()["manifests"]) == (200, []), where
        assert answer.headers["Content-Type"] == OCI_INDEX


@pytest.mark.parametrize("after", ["-1", "x", "9" * 40, "", "%00", "1e3"])
async def test_a_place_in_the_list_that_we_never_gave(octo: OCIClient, name: str, after: str) -> None:
    subject = image()
    await push(octo, name, artifact(SBOM, subject=subject))
    answer = await octo.get(f"/v2/{name}/referrers/{subject.digest}?after={after}")
    assert answer.status_code == (400 if after == "%00" else 200)
    if after != "%00":
        assert len(answer.json()["manifests"]) == 1


async def test_a_referrer_that_was_deleted_is_listed_no_more(each_octo: OCIClient, name: str) -> None:
    subject = image()
    gone, stays = (artifact(SBOM, subject=subject) for _ in range(2))
    await push(each_octo, name, subject, gone, stays)
    assert (await each_octo.delete(f"/v2/{name}/manifests/{gone.digest}")).status_code == 202
    path = f"/v2/{name}/referrers/{subject.digest}"
    assert [one["digest"] for one in await listed(each_octo, path)] == [str(stays.digest)]
    assert (await each_octo.delete(f"/v2/{name}/manifests/{subject.digest}")).status_code == 202
    assert len(await listed(each_octo, path)) == 1, "the subject goes, what refers to it stays"
    await push(each_octo, name, gone)
    assert len(await listed(each_octo, path)) == 2


async def test_the_referrers_tag_of_older_clients_is_a_tag_like_any(octo: OCIClient, name: str) -> None:
    subject = image()
    fallback = index([artifact(SBOM, subject=subject)])
    await octo.push(name, subject)
    tag = str(subject.digest).replace(":", "-")
    assert (await octo.put_manifest(name, tag, fallback.content, fallback.media_type)).status_code == 201
    assert json.loads((await octo.get(f"/v2/{name}/manifests/{tag}")).content) == json.loads(fallback.content)

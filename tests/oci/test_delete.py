"""end-9 and end-10: deleting tags, manifests and blobs. Source: OCI distribution-spec v1.1, "Content Management"."""

import pytest
from tests.oci.images import fresh, image, index
from tests.oci.registry_api import OCIClient, Registry, challenge_of, outcome

from berth.domain.image_reference import Digest

pytestmark = pytest.mark.asyncio(loop_scope="module")
MISSING = Digest.of(b"missing")


async def test_a_tag_goes_and_its_manifest_stays(each_octo: OCIClient, name: str) -> None:
    one = image()
    for tag in ("one", "two"):
        await each_octo.push(name, one, tag)
    answer = await each_octo.delete(f"/v2/{name}/manifests/one")
    assert (answer.status_code, answer.content) == (202, b"")
    assert outcome(await each_octo.get(f"/v2/{name}/manifests/one")) == (404, "MANIFEST_UNKNOWN")
    assert outcome(await each_octo.delete(f"/v2/{name}/manifests/one")) == (404, "MANIFEST_UNKNOWN")
    for reference in ("two", one.digest):
        assert (await each_octo.get(f"/v2/{name}/manifests/{reference}")).status_code == 200
    assert (await each_octo.get(f"/v2/{name}/tags/list")).json()["tags"] == ["two"]


async def test_a_manifest_goes_with_all_its_tags(each_octo: OCIClient, name: str) -> None:
    one, other = image(), image()
    for tag in ("one", "two"):
        await each_octo.push(name, one, tag)
    await each_octo.push(name, other, "other")
    assert (await each_octo.delete(f"/v2/{name}/manifests/{one.digest}")).status_code == 202
    for reference in ("one", "two", one.digest):
        assert outcome(await each_octo.get(f"/v2/{name}/manifests/{reference}")) == (404, "MANIFEST_UNKNOWN")
        assert outcome(await each_octo.delete(f"/v2/{name}/manifests/{reference}")) == (404, "MANIFEST_UNKNOWN")
    assert (await each_octo.get(f"/v2/{name}/tags/list")).json()["tags"] == ["other"]
    assert (await each_octo.get(f"/v2/{name}/manifests/other")).content == other.content


async def test_a_manifest_that_comes_again_comes_without_its_old_tags(each_octo: OCIClient, name: str) -> None:
    one = image()
    await each_octo.push(name, one, "old")
    await each_octo.delete(f"/v2/{name}/manifests/{one.digest}")
    await each_octo.push(name, one, "new")
    assert (await each_octo.get(f"/v2/{name}/tags/list")).json()["tags"] == ["new"]
    assert (await each_octo.get(f"/v2/{name}/manifests/{one.digest}")).content == one.content


async def test_a_blob_goes_once(each_octo: OCIClient, name: str) -> None:
    content = fresh()
    digest = await each_octo.push_blob(name, content)
    answer = await each_octo.delete(f"/v2/{name}/blobs/{digest}")
    assert (answer.status_code, answer.content) == (202, b"")
    unknown = (404, "BLOB_UNKNOWN")
    assert outcome(await each_octo.get(f"/v2/{name}/blobs/{digest}")) == unknown
    assert (await each_octo.head(f"/v2/{name}/blobs/{digest}")).status_code == 404
    assert outcome(await each_octo.delete(f"/v2/{name}/blobs/{digest}")) == unknown
    assert outcome(await each_octo.delete(f"/v2/{name}/blobs/{MISSING}")) == unknown
    await each_octo.push_blob(name, content)
    assert (await each_octo.get(f"/v2/{name}/blobs/{digest}")).content == content


async def test_a_blob_goes_from_one_package_only(each_octo: OCIClient, name: str) -> None:
    """CVE-2026-35172, the other way round: it does not come back here because it is still there."""
    content = fresh()
    digest = Digest.of(content)
    for where in (name, f"{name}/other"):
        await each_octo.push_blob(where, content)
    await each_octo.delete(f"/v2/{name}/blobs/{digest}")
    assert (await each_octo.get(f"/v2/{name}/blobs/{digest}")).status_code == 404
    assert (await each_octo.get(f"/v2/{name}/other/blobs/{digest}")).content == content


async def test_a_blob_that_an_image_needs_stays(each_octo: OCIClient, name: str) -> None:
    layer = fresh()
    first, second = image(layer), image(layer)
    for one in (first, second):
        await each_octo.push(name, one, one.digest)
    for blob in first.blobs:
        refused = await each_octo.delete(f"/v2/{name}/blobs/{Digest.of(blob)}")
        assert outcome(refused) == (403, "DENIED")
    await each_octo.delete(f"/v2/{name}/manifests/{first.digest}")
    assert (await each_octo.delete(f"/v2/{name}/blobs/{Digest.of(first.blobs[0])}")).status_code == 202
    refused = await each_octo.delete(f"/v2/{name}/blobs/{Digest.of(layer)}")
    assert outcome(refused) == (403, "DENIED"), "the other image needs it still"
    assert (await each_octo.get(f"/v2/{name}/blobs/{Digest.of(layer)}")).content == layer


async def test_an_index_survives_its_children(octo: OCIClient, name: str) -> None:
    child = image()
    parent = index([child])
    await octo.push(name, child, child.digest)
    await octo.put_manifest(name, "latest", parent.content, parent.media_type)
    assert (await octo.delete(f"/v2/{name}/manifests/{child.digest}")).status_code == 202
    assert (await octo.get(f"/v2/{name}/manifests/latest")).content == parent.content


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("manifests/missing", (404, "MANIFEST_UNKNOWN")),
        (f"manifests/{MISSING}", (404, "MANIFEST_UNKNOWN")),
        ("manifests/-", (404, "MANIFEST_UNKNOWN")),
        ("manifests/sha256:abc", (400, "DIGEST_INVALID")),
        ("blobs/latest", (400, "DIGEST_INVALID")),
    ],
)
async def test_deleting_what_is_not_there(octo: OCIClient, name: str, path: str, wanted: tuple[int, str]) -> None:
    await octo.push(name, image())
    assert outcome(await octo.delete(f"/v2/{name}/{path}")) == wanted
    assert outcome(await octo.delete(f"/v2/octo/missing/{path}"))[0] in {400, 404}


async def test_a14_deleting_is_an_action_of_its_own(registry: Registry, octo: OCIClient, name: str) -> None:
    """CVE-2026-61833: a token for pushing deletes nothing, nor does a role that only pushes."""
    one = image()
    await octo.push(name, one)
    paths = [f"manifests/{one.digest}", "manifests/latest", f"blobs/{Digest.of(one.blobs[0])}"]
    await octo.log_in(f"repository:{name}:pull,push")
    writer = await registry.person("wes")
    await registry.grant(name, "wes", "write")
    pusher = await registry.person("octo", "write:packages")
    for path in paths:
        refused = await octo.once("DELETE", f"/v2/{name}/{path}")
        assert outcome(refused) == (401, "UNAUTHORIZED")
        assert challenge_of(refused).parameters["scope"] == f"repository:{name}:delete"
        assert outcome(await writer.delete(f"/v2/{name}/{path}")) == (403, "DENIED")
        refused = await pusher.delete(f"/v2/{name}/{path}")
        assert outcome(refused) == (403, "DENIED")
        assert "delete:packages" in refused.text
    assert (await octo.get(f"/v2/{name}/manifests/latest")).status_code == 200


async def test_what_was_deleted_is_written_down(registry: Registry, octo: OCIClient, name: str) -> None:
    one = image()
    await octo.push(name, one)
    spare = await octo.push_blob(name, fresh())
    for path in ("manifests/latest", f"manifests/{one.digest}", f"blobs/{spare}"):
        assert (await octo.delete(f"/v2/{name}/{path}")).status_code == 202
    rows = await registry.audit(name)
    assert [(action, actor) for action, actor, _ in rows] == [
        ("package.create", "octo"), ("package.publish", "octo"), ("package.tag_delete", "octo"),
        ("package.version_delete", "octo"), ("blob.delete", "octo"),
    ]  # fmt: skip

"""end-11: a blob from another package. Source: OCI distribution-spec v1.1, "Mounting a blob from another repository"; A14."""

from collections.abc import Mapping

import pytest
from tests.oci.images import fresh, image
from tests.oci.registry_api import OCIClient, Registry, challenge_of, outcome

from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.repository import Visibility

pytestmark = pytest.mark.asyncio(loop_scope="module")


def mount(name: str, digest: Digest, source: str | None = None) -> str:
    return f"/v2/{name}/blobs/uploads/?mount={digest}" + ("" if source is None else f"&from={source}")


def is_upload(status: int, location: str, name: str) -> bool:
    """An ordinary upload began, as if nothing could be mounted."""
    return status == 202 and location.startswith(f"/v2/{name}/blobs/uploads/")


@pytest.mark.parametrize("with_source", [True, False], ids=["from", "without from"])
@pytest.mark.parametrize("algorithm", DigestAlgorithm)
async def test_a_blob_is_mounted(
    each_octo: OCIClient, name: str, with_source: bool, algorithm: DigestAlgorithm
) -> None:
    content = fresh()
    digest = await each_octo.push_blob(f"{name}/source", content, algorithm)
    if not with_source:  # where the blob is cannot be in the first challenge
        await each_octo.log_in(f"repository:{name}:pull,push")
    answer = await each_octo.post(mount(name, digest, f"{name}/source" if with_source else None))
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v2/{name}/blobs/{digest}")
    assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert (await each_octo.get(answer.headers["Location"])).content == content
    await each_octo.delete(f"/v2/{name}/source/blobs/{digest}")
    assert (await each_octo.get(answer.headers["Location"])).content == content, "it is this package's own now"


async def test_a_mount_needs_a_token_for_both_and_says_so(octo: OCIClient, name: str) -> None:
    """CVE-2026-117685: the source is judged by the token that is shown. The client is told which token would do."""
    digest = await octo.push_blob(f"{name}/source", fresh())
    await octo.log_in(f"repository:{name}:pull,push")
    wanted: Mapping[str, str] = {}
    for source in (f"{name}/source", None):
        refused = await octo.once("POST", mount(name, digest, source))
        assert outcome(refused) == (401, "UNAUTHORIZED")
        wanted = challenge_of(refused).parameters
        assert wanted["error"] == "insufficient_scope"
        assert wanted["scope"] == f"repository:{name}:pull,push repository:{name}/source:pull"
    await octo.log_in(wanted["scope"])
    assert (await octo.once("POST", mount(name, digest, f"{name}/source"))).status_code == 201


async def test_a_client_without_a_token_is_told_of_both_at_once(registry: Registry, octo: OCIClient, name: str) -> None:
    """It comes again once, and then has what it needs. The source is its own word: it learns nothing."""
    digest = await octo.push_blob(f"{name}/source", fresh())
    for source in (f"{name}/source", "octo/missing"):
        refused = await registry.anonymous.once("POST", mount(name, digest, source))
        assert outcome(refused) == (401, "UNAUTHORIZED")
        scope = challenge_of(refused).parameters["scope"]
        assert scope == f"repository:{name}:pull,push repository:{source}:pull"
    refused = await registry.anonymous.once("POST", mount(name, digest, "NO NAME"))
    assert challenge_of(refused).parameters["scope"] == f"repository:{name}:pull,push"


async def test_a_token_for_a_package_that_came_anew_mounts_nothing_of_it(
    registry: Registry, octo: OCIClient, name: str
) -> None:
    """A12."""
    source, content = f"{name}/source", fresh()
    digest = await octo.push_blob(source, content)
    await octo.push_blob(name, b"")
    await octo.log_in(f"repository:{name}:pull,push repository:{source}:pull")
    old = octo.token
    await registry.delete_package(source)
    answer = await octo.once("POST", mount(name, digest, source))
    assert is_upload(answer.status_code, answer.headers["Location"], name)
    await octo.push_blob(source, content)
    octo.token = old
    assert (await octo.once("POST", mount(name, digest, source))).status_code == 401


async def test_what_cannot_be_mounted_can_be_uploaded(octo: OCIClient, name: str) -> None:
    content = fresh()
    digest = Digest.of(content)
    await octo.push_blob(f"{name}/source", fresh())
    for source in (f"{name}/source", f"{name}/missing", "nobody/nothing", "UPPER/case", "", "a/../b", None):
        answer = await octo.post(mount(name, digest, source))
        assert is_upload(answer.status_code, answer.headers["Location"], name), source
    answer = await octo.put(f"{answer.headers['Location']}?digest={digest}", content=content)
    assert answer.status_code == 201


async def test_a_mount_that_fails_does_not_take_the_body(octo: OCIClient, name: str) -> None:
    """`digest` beside `mount` is of no request that the specification knows: the mount decides."""
    content = fresh()
    digest = Digest.of(content)
    answer = await octo.post(f"{mount(name, digest)}&digest={digest}", content=content)
    assert is_upload(answer.status_code, answer.headers["Location"], name)
    assert (await octo.head(f"/v2/{name}/blobs/{digest}")).status_code == 404


async def test_mounting_into_itself_and_twice_changes_nothing(octo: OCIClient, name: str) -> None:
    digest = await octo.push_blob(name, fresh())
    for _ in range(2):
        assert (await octo.post(mount(name, digest, name))).status_code == 201


@pytest.mark.parametrize("with_source", [True, False], ids=["from", "without from"])
async def test_a14_nothing_comes_from_what_one_may_not_read(
    each_registry: Registry, each_octo: OCIClient, name: str, with_source: bool
) -> None:
    """Not even that it is there: the answer is that for a blob that nobody has (CVE-2024-39897)."""
    hidden, otto = f"{name}/hidden", await each_registry.person("otto")
    digest = await each_octo.push_blob(hidden, fresh())
    target = name.replace("octo/", "otto/")
    await otto.log_in(f"repository:{target}:pull,push repository:{hidden}:pull")
    shown = []
    for wanted, source in ((digest, hidden), (Digest.of(fresh()), hidden), (digest, "octo/missing")):
        answer = await otto.once("POST", mount(target, wanted, source if with_source else None))
        assert is_upload(answer.status_code, answer.headers["Location"], target)
        upload_id = answer.headers["Docker-Upload-UUID"]
        shown.append((answer.content, str(dict(answer.headers)).replace(upload_id, "ID")))
        assert (await otto.head(f"/v2/{target}/blobs/{digest}")).status_code == 404
    assert len(set(shown)) == 1
    assert otto.fetched == [f"repository:{target}:pull,push repository:{hidden}:pull"], "no other token was asked for"


async def test_from_a_public_package_anybody_mounts(registry: Registry, octo: OCIClient, name: str) -> None:
    otto = await registry.person("otto")
    one = image()
    await octo.push(name, one)
    await registry.publish(name, Visibility.PUBLIC)
    target = name.replace("octo/", "otto/")
    answer = await otto.post(mount(target, Digest.of(one.blobs[0]), name))
    assert answer.status_code == 201
    await otto.log_in(f"repository:{target}:pull,push")
    answer = await otto.post(mount(target, Digest.of(one.blobs[1])))
    assert answer.status_code == 201


async def test_a_role_that_is_lost_mounts_no_more(registry: Registry, octo: OCIClient, name: str) -> None:
    """The token was made when it still was right (A14)."""
    otto = await registry.person("otto")
    one = image()
    await octo.push(name, one)
    await registry.grant(name, "otto", "read")
    target = name.replace("octo/", "otto/")
    scope = f"repository:{target}:pull,push repository:{name}:pull"
    await otto.log_in(scope)
    first, second = (Digest.of(blob) for blob in one.blobs)
    assert (await otto.once("POST", mount(target, first, name))).status_code == 201
    await registry.grant(name, "otto", None)
    assert (await otto.once("POST", mount(target, second, name))).status_code == 202


async def test_the_target_is_judged_before_the_source(registry: Registry, octo: OCIClient, name: str) -> None:
    otto = await registry.person("otto")
    digest = await octo.push_blob(name, fresh())
    own = await otto.push_blob("otto/own", fresh())
    for wanted, source in ((digest, name), (own, "otto/own"), (own, None)):
        assert outcome(await otto.post(mount(name, wanted, source))) == (404, "NAME_UNKNOWN")

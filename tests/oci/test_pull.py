"""end-1 to end-3: pulling. Source: OCI distribution-spec v1.1, "Pull"; RFC 9110, sections 8, 13, 14 and 15."""

import httpx
import pytest
from tests.oci.images import fresh, image, index
from tests.oci.registry_api import OCIClient, Registry, challenge_of, outcome

from berth.domain.image_reference import Digest, DigestAlgorithm

pytestmark = pytest.mark.asyncio(loop_scope="module")
BIG = 700_000  # more than is read at once
MISSING = Digest.of(b"nobody has this")


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
async def test_end_1_says_what_is_spoken_to_who_has_a_token(registry: Registry, octo: OCIClient, path: str) -> None:
    refused = await registry.anonymous.once("GET", path)
    assert outcome(refused) == (401, "UNAUTHORIZED")
    assert challenge_of(refused).parameters == {"realm": "http://berth.test/token", "service": "berth.test"}
    await octo.log_in("")
    answer = await octo.get(path)
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    anonymous = registry.anonymous
    await anonymous.log_in("")
    assert (await anonymous.get(path)).status_code == 200


async def test_a_manifest_comes_as_it_was_pushed(each_octo: OCIClient, name: str) -> None:
    one = image()
    await each_octo.push(name, one)
    for reference in ("latest", one.digest):
        answer = await each_octo.get(f"/v2/{name}/manifests/{reference}")
        assert answer.status_code == 200
        assert answer.content == one.content
        assert answer.headers["Content-Type"] == one.media_type
        assert answer.headers["Content-Length"] == str(len(one.content))
        assert answer.headers["Docker-Content-Digest"] == str(one.digest)
        assert answer.headers["ETag"] == f'"{one.digest}"'


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
@pytest.mark.parametrize("size", [0, 1, 1024, BIG])
async def test_a_blob_comes_as_it_was_pushed(octo: OCIClient, name: str, size: int, algorithm: DigestAlgorithm) -> None:
    content = fresh(size) if size else b""
    digest = await octo.push_blob(name, content, algorithm)
    answer = await octo.get(f"/v2/{name}/blobs/{digest}")
    assert answer.status_code == 200
    assert answer.content == content
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == str(size)
    assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert answer.headers["ETag"] == f'"{digest}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_head_is_get_without_the_body(each_registry: Registry, each_octo: OCIClient, name: str) -> None:
    """Of everything that can be read, there or not, and refused or not."""
    one = image(fresh(BIG))
    await each_octo.push(name, one)
    config, layer = (Digest.of(blob) for blob in one.blobs)
    paths = [
        "manifests/latest", f"manifests/{one.digest}", f"manifests/{MISSING}", "manifests/missing", "manifests/-",
        "manifests/sha256:abc", f"blobs/{config}", f"blobs/{layer}", f"blobs/{MISSING}", "blobs/sha256:abc", "tags/list",
        f"referrers/{one.digest}", "referrers/sha256:abc", "nothing/here",
    ]  # fmt: skip
    everywhere = [f"/v2/{where}/{path}" for where in (name, "octo/missing", "OCTO/bad") for path in paths]
    for client in (each_octo, each_registry.anonymous):
        for path in [*everywhere, "/v2/", "/v2/_catalog"]:
            got, head = await client.get(path), await client.head(path)
            assert head.status_code == got.status_code, path
            assert head.headers == got.headers, path
            assert head.content == b"", path
            assert int(head.headers["Content-Length"]) == len(got.content), path


@pytest.mark.parametrize("size", [1024, BIG])
@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=500-999", 500, 1000),
        ("bytes=500-", 500, None),
        ("bytes=-500", -500, None),
        ("bytes=1000-99999999", 1000, None),
        ("bytes=0-0", 0, 1),
        ("bytes=-99999999", 0, None),
        (f"bytes=1-{'9' * 40}", 1, None),
        ("BYTES=5-6", 5, 7),
    ],
)
async def test_a_range_of_a_blob(
    octo: OCIClient, name: str, size: int, header: str, start: int, stop: int | None
) -> None:
    content = fresh(size)
    digest = await octo.push_blob(name, content)
    answer = await octo.get(f"/v2/{name}/blobs/{digest}", headers={"Range": header})
    wanted = content[start:stop]
    first = start if start >= 0 else size + start
    assert answer.status_code == 206
    assert answer.content == wanted
    assert answer.headers["Content-Length"] == str(len(wanted))
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(wanted) - 1}/{size}"
    assert answer.headers["Docker-Content-Digest"] == str(digest)


@pytest.mark.parametrize("header", ["bytes=500-0", "bytes=5000-10000", "bytes=1024-", "bytes=-0", f"bytes={'9' * 40}-"])
async def test_a_range_with_nothing_in_it(octo: OCIClient, name: str, header: str) -> None:
    digest = await octo.push_blob(name, fresh(1024))
    answer = await octo.get(f"/v2/{name}/blobs/{digest}", headers={"Range": header})
    assert outcome(answer) == (416, "SIZE_INVALID")
    assert answer.headers["Content-Range"] == "bytes */1024"


@pytest.mark.parametrize("header", ["bytes=0-1,3-4", "lines=1-2", "bytes", "bytes=", "bytes=a-b", "bytes=-", "0-5", ""])
async def test_what_is_no_single_range_gets_the_whole(octo: OCIClient, name: str, header: str) -> None:
    digest = await octo.push_blob(name, fresh(64))
    answer = await octo.get(f"/v2/{name}/blobs/{digest}", headers={"Range": header})
    assert (answer.status_code, len(answer.content)) == (200, 64)


async def test_a_download_that_broke_off_goes_on(octo: OCIClient, name: str) -> None:
    content = fresh(BIG)
    digest = await octo.push_blob(name, content)
    path = f"/v2/{name}/blobs/{digest}"
    headers = {"Range": "bytes=300000-", "If-Range": f'"{digest}"'}
    rest = await octo.get(path, headers=headers)
    assert (rest.status_code, content[:300_000] + rest.content) == (206, content)
    headers["If-Range"] = f'"{MISSING}"'
    assert (await octo.get(path, headers=headers)).status_code == 200, "another blob's tag: from the beginning"
    headers["If-Range"] = "Tue, 01 Jan 2030 00:00:00 GMT"
    assert (await octo.get(path, headers=headers)).status_code == 200


async def test_what_the_client_has_already_is_not_sent_again(octo: OCIClient, name: str) -> None:
    one = image()
    await octo.push(name, one)
    blob = Digest.of(one.blobs[1])
    for path, digest in (
        ("manifests/latest", one.digest),
        (f"manifests/{one.digest}", one.digest),
        (f"blobs/{blob}", blob),
    ):
        for known in (f'"{digest}"', f'W/"{digest}"', f'"other", "{digest}"', "*"):
            answer = await octo.get(f"/v2/{name}/{path}", headers={"If-None-Match": known})
            assert (answer.status_code, answer.content) == (304, b""), known
            assert answer.headers["ETag"] == f'"{digest}"'
            assert answer.headers["Docker-Content-Digest"] == str(digest)
            assert "Content-Length" not in answer.headers, "RFC 9110, section 8.6: not that of the empty body"
        for other in (f'"{MISSING}"', '""', ""):
            assert (await octo.get(f"/v2/{name}/{path}", headers={"If-None-Match": other})).status_code == 200, other


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("manifests/missing", (404, "MANIFEST_UNKNOWN")),
        (f"manifests/{MISSING}", (404, "MANIFEST_UNKNOWN")),
        ("manifests/.no-tag", (404, "MANIFEST_UNKNOWN")),
        (f"manifests/{'t' * 129}", (404, "MANIFEST_UNKNOWN")),
        ("manifests/sha256:baddigeststring", (400, "DIGEST_INVALID")),
        (f"manifests/{str(MISSING).upper()}", (400, "DIGEST_INVALID")),
        ("manifests/md5:d41d8cd98f00b204e9800998ecf8427e", (400, "DIGEST_INVALID")),
        (f"blobs/{MISSING}", (404, "BLOB_UNKNOWN")),
        ("blobs/latest", (400, "DIGEST_INVALID")),
        ("blobs/sha256:", (400, "DIGEST_INVALID")),
        (f"blobs/{MISSING}0", (400, "DIGEST_INVALID")),
        ("referrers/latest", (400, "DIGEST_INVALID")),
        ("tags", (404, "UNSUPPORTED")),
        ("tags/other", (404, "UNSUPPORTED")),
        ("other/latest", (404, "UNSUPPORTED")),
    ],
)
async def test_what_is_not_there(octo: OCIClient, name: str, path: str, wanted: tuple[int, str]) -> None:
    await octo.push(name, image())
    assert outcome(await octo.get(f"/v2/{name}/{path}")) == wanted


@pytest.mark.parametrize("path", ["manifests/latest", f"manifests/{MISSING}", f"blobs/{MISSING}", "tags/list"])
@pytest.mark.parametrize("where", ["octo/nothing", "nobody/nothing", "ubuntu", f"octo/{'a' * 251}"])
async def test_a_package_that_is_not_there(octo: OCIClient, where: str, path: str) -> None:
    """Also one that is a name by the specification and cannot be one here: no second part, or too long."""
    await octo.log_in("")
    assert outcome(await octo.get(f"/v2/{where}/{path}")) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize(
    "where", ["Octo/app", "octo/_app", "octo/app-", "octo//app", "octo/a..b", "octo/ä", "octo/a%00b"]
)
async def test_a_name_that_can_be_none(registry: Registry, octo: OCIClient, where: str) -> None:
    await octo.log_in("")
    assert outcome(await octo.get(f"/v2/{where}/tags/list")) == (400, "NAME_INVALID")
    assert outcome(await registry.anonymous.once("GET", f"/v2/{where}/tags/list")) == (401, "UNAUTHORIZED")


async def test_a_blob_is_read_through_a_package_that_has_it(each_octo: OCIClient, name: str) -> None:
    digest = await each_octo.push_blob(name, fresh())
    await each_octo.push(f"{name}/other", image())
    assert (await each_octo.get(f"/v2/{name}/blobs/{digest}")).status_code == 200
    assert outcome(await each_octo.get(f"/v2/{name}/other/blobs/{digest}")) == (404, "BLOB_UNKNOWN")
    assert outcome(await each_octo.get(f"/v2/{name}/manifests/{digest}")) == (404, "MANIFEST_UNKNOWN")


async def test_a_manifest_is_no_blob(octo: OCIClient, name: str) -> None:
    one = image()
    await octo.push(name, one)
    assert outcome(await octo.get(f"/v2/{name}/blobs/{one.digest}")) == (404, "BLOB_UNKNOWN")


async def test_names_may_hold_the_words_of_the_endpoints(octo: OCIClient, name: str) -> None:
    for where in (
        f"{name}/blobs/uploads",
        f"{name}/manifests",
        f"{name}/tags/list",
        f"{name}/referrers",
        f"{name}/blobs",
    ):
        one = image()
        await octo.push(where, one)
        location = await octo.begin(where)
        assert (await octo.get(location)).status_code == 204
        for path in ("manifests/latest", f"blobs/{Digest.of(one.blobs[0])}", "tags/list", f"referrers/{one.digest}"):
            assert (await octo.get(f"/v2/{where}/{path}")).status_code == 200, f"{where} {path}"


METHODS = {
    "/v2/": {"GET", "HEAD"},
    "/v2/_catalog": {"GET", "HEAD"},
    "/v2/{name}/manifests/latest": {"GET", "HEAD", "PUT", "DELETE"},
    "/v2/{name}/blobs/" + str(MISSING): {"GET", "HEAD", "DELETE"},
    "/v2/{name}/blobs/uploads/": {"POST"},
    "/v2/{name}/blobs/uploads/x": {"GET", "PATCH", "PUT", "DELETE"},
    "/v2/{name}/tags/list": {"GET", "HEAD"},
    "/v2/{name}/referrers/" + str(MISSING): {"GET", "HEAD"},
    "/token": {"GET", "POST"},
}


@pytest.mark.parametrize("path", METHODS)
async def test_other_methods_are_refused_and_the_right_ones_named(octo: OCIClient, name: str, path: str) -> None:
    await octo.log_in("")
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        answer = await octo.once(method, path.format(name=name))
        if method in METHODS[path]:
            assert answer.status_code != 405, method
            continue
        assert answer.status_code == 405, method
        assert set(answer.headers["Allow"].split(", ")) == METHODS[path]
        if method != "HEAD":
            assert outcome(answer) == (405, "UNSUPPORTED")


async def test_nested_and_sparse_indexes_are_pulled_level_by_level(each_octo: OCIClient, name: str) -> None:
    inner, missing = image(), image()
    await each_octo.push(name, inner, inner.digest)
    middle = index([inner, missing])
    outer = index([middle])
    for each, reference in ((middle, middle.digest), (outer, "latest")):
        assert (await each_octo.put_manifest(name, reference, each.content, each.media_type)).status_code == 201
    found: httpx.Response = await each_octo.get(f"/v2/{name}/manifests/latest")
    for _ in range(2):
        child = found.json()["manifests"][0]["digest"]
        found = await each_octo.get(f"/v2/{name}/manifests/{child}")
    assert found.content == inner.content
    assert (await each_octo.get(f"/v2/{name}/manifests/{missing.digest}")).status_code == 404

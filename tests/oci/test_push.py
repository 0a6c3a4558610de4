"""end-4 and end-6: blobs in one piece. Source: OCI distribution-spec v1.1, "Pushing a blob monolithically"."""

import re
from collections.abc import AsyncIterator

import pytest
from tests.oci.images import fresh
from tests.oci.registry_api import OCIClient, Registry, outcome, pieces

from berth.domain.image_reference import Digest, DigestAlgorithm

pytestmark = pytest.mark.asyncio(loop_scope="module")
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CONTENTS = [b"", b"{}", fresh(512), fresh(3_000_000)]
WAYS = ["post", "post and put", "post and put, chunked", "one patch", "one patch, chunked"]


async def stream(content: bytes) -> AsyncIterator[bytes]:
    """Without a length: chunked transfer encoding."""
    for piece in pieces(content, 64 * 1024):
        yield piece


async def push(octo: OCIClient, name: str, content: bytes, digest: Digest, way: str) -> tuple[int, dict[str, str]]:
    """Push it in one of the ways; status and headers of the last answer."""
    await octo.log_in(f"repository:{name}:pull,push")
    if way == "post":
        answer = await octo.post(f"/v2/{name}/blobs/uploads/", params={"digest": str(digest)}, content=content)
        return answer.status_code, dict(answer.headers)
    location = await octo.begin(name)
    last = b""
    if way == "post and put":
        last = content
    elif way == "one patch":
        assert (await octo.patch(location, content=content)).status_code == 202
    elif way == "one patch, chunked":
        assert (await octo.patch(location, content=stream(content))).status_code == 202
    body = stream(content) if way == "post and put, chunked" else last
    answer = await octo.put(location, params={"digest": str(digest)}, content=body)
    return answer.status_code, dict(answer.headers)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("content", "algorithm"),
    [*((content, DigestAlgorithm.SHA256) for content in CONTENTS), (CONTENTS[2], DigestAlgorithm.SHA512)],
    ids=["empty", "empty JSON", "small", "large", "sha512"],
)
async def test_a_blob_is_pushed_and_can_be_pulled(
    octo: OCIClient, name: str, way: str, algorithm: DigestAlgorithm, content: bytes
) -> None:
    digest = Digest.of(content, algorithm)
    path = f"/v2/{name}/blobs/{digest}"
    for _ in range(2):  # again, although it is there: nobody is refused what he has
        status, headers = await push(octo, name, content, digest, way)
        assert status == 201
        assert headers["location"] == path
        assert headers["docker-content-digest"] == str(digest)
    pulled = await octo.get(path)
    assert (pulled.status_code, pulled.content) == (200, content)
    head = await octo.head(path)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(content)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("algorithm", DigestAlgorithm)
async def test_another_content_than_the_digest_says_is_not_kept(
    octo: OCIClient, name: str, way: str, algorithm: DigestAlgorithm
) -> None:
    digest = Digest.of(fresh(), algorithm)
    await octo.log_in(f"repository:{name}:pull,push")
    location = await octo.begin(name)
    if way == "post":
        answer = await octo.post(f"/v2/{name}/blobs/uploads/?digest={digest}", content=b"oh no")
    else:
        if "patch" in way:
            assert (await octo.patch(location, content=b"oh no")).status_code == 202
        answer = await octo.put(f"{location}?digest={digest}", content=b"oh no" if "put" in way else b"")
        assert outcome(await octo.get(location)) == (404, "BLOB_UPLOAD_UNKNOWN"), "the upload is over"
    assert outcome(answer) == (400, "DIGEST_INVALID")
    for found in (digest, Digest.of(b"oh no", algorithm)):
        assert outcome(await octo.get(f"/v2/{name}/blobs/{found}")) == (404, "BLOB_UNKNOWN")


async def test_a_new_upload_has_an_id_of_its_own(each_octo: OCIClient, name: str) -> None:
    answers = [await each_octo.post(f"/v2/{name}/blobs/uploads{slash}") for slash in ("/", "")]
    for answer in answers:
        assert answer.status_code == 202
        assert re.fullmatch(f"/v2/{name}/blobs/uploads/{UUID}", answer.headers["Location"])
        assert answer.headers["Range"] == "0-0"
        assert answer.headers["Docker-Upload-UUID"] in answer.headers["Location"]
        assert "OCI-Chunk-Min-Length" not in answer.headers
    assert answers[0].headers["Location"] != answers[1].headers["Location"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("digest=sha256:abc", (400, "DIGEST_INVALID")),
        ("digest=", (400, "DIGEST_INVALID")),
        ("digest=md5:d41d8cd98f00b204e9800998ecf8427e", (400, "DIGEST_INVALID")),
        (f"digest=sha384:{'0' * 96}", (400, "DIGEST_INVALID")),
        (f"digest={str(Digest.of(b'')).upper()}", (400, "DIGEST_INVALID")),
        (f"digest={Digest.of(b'')}%00", (400, "UNSUPPORTED")),
        ("mount=latest", (400, "DIGEST_INVALID")),
        ("digest-algorithm=md5", (400, "DIGEST_INVALID")),
        ("digest-algorithm=SHA256", (400, "DIGEST_INVALID")),
        ("digest-algorithm=", (400, "DIGEST_INVALID")),
    ],
)
async def test_what_a_post_may_not_ask_for(octo: OCIClient, name: str, query: str, wanted: tuple[int, str]) -> None:
    await octo.push_blob(name, b"")
    assert outcome(await octo.post(f"/v2/{name}/blobs/uploads/?{query}", content=b"")) == wanted


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
async def test_end_4c_the_algorithm_may_be_named_before(
    each_octo: OCIClient, name: str, algorithm: DigestAlgorithm
) -> None:
    content = fresh()
    answer = await each_octo.post(f"/v2/{name}/blobs/uploads/?digest-algorithm={algorithm}")
    assert answer.status_code == 202
    answer = await each_octo.put(
        f"{answer.headers['Location']}?digest={Digest.of(content, algorithm)}", content=content
    )
    assert answer.status_code == 201


@pytest.mark.parametrize("digest", ["", "?digest=", "?digest=sha256:1", "?digest=latest", "?Digest=sha256"])
async def test_the_end_needs_a_digest_and_without_one_goes_on(octo: OCIClient, name: str, digest: str) -> None:
    content = fresh()
    location = await octo.begin(name)
    assert outcome(await octo.put(f"{location}{digest}", content=content)) == (400, "DIGEST_INVALID")
    assert (await octo.get(location)).headers["Range"] == "0-0", "nothing of it was taken"
    assert (await octo.put(f"{location}?digest={Digest.of(content)}", content=content)).status_code == 201


async def test_an_upload_ends_once(each_octo: OCIClient, name: str) -> None:
    content = fresh()
    location = await each_octo.begin(name)
    url = f"{location}?digest={Digest.of(content)}"
    assert (await each_octo.put(url, content=content)).status_code == 201
    gone = (404, "BLOB_UPLOAD_UNKNOWN")
    assert outcome(await each_octo.put(url, content=content)) == gone
    assert outcome(await each_octo.patch(location, content=b"more")) == gone
    assert outcome(await each_octo.get(location)) == gone
    assert outcome(await each_octo.delete(location)) == gone


async def test_a14_an_upload_is_one_tokens_and_one_packages(
    each_registry: Registry, each_octo: OCIClient, name: str
) -> None:
    """CVE-2026-32589: whoever learns the id has nothing of it."""
    content = fresh()
    location = await each_octo.begin(name)
    await each_octo.begin(f"{name}/other")
    digest = Digest.of(content)
    same_user = await each_registry.person("octo")
    elsewhere = location.replace(name, f"{name}/other")
    for client, url in ((same_user, location), (each_octo, elsewhere)):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            answer = await client.request(method, f"{url}?digest={digest}", content=content)
            assert outcome(answer) == (404, "BLOB_UPLOAD_UNKNOWN"), f"{method} {url}"
    assert (await each_octo.get(location)).status_code == 204, "and nobody disturbed it"
    assert (await each_octo.put(f"{location}?digest={digest}", content=content)).status_code == 201


async def test_a_push_makes_the_package(each_registry: Registry, each_octo: OCIClient, name: str) -> None:
    assert outcome(await each_octo.get(f"/v2/{name}/tags/list")) == (404, "NAME_UNKNOWN")
    await each_octo.begin(name)
    assert (await each_octo.get(f"/v2/{name}/tags/list")).json() == {"name": name, "tags": []}
    catalog = (await each_octo.get("/v2/_catalog?n=10000")).json()["repositories"]
    assert name not in catalog, "nothing was published under it"


NO_NAMES = {
    "ubuntu": (404, "NAME_UNKNOWN"),  # docker would push a name that is "invalid" again and again
    f"octo/{'a' * 251}": (404, "NAME_UNKNOWN"),
    "Octo/app": (400, "NAME_INVALID"),
    "octo/_": (400, "NAME_INVALID"),
}


@pytest.mark.parametrize("where", NO_NAMES)
async def test_a_name_that_can_be_none_is_said_to_be_one(octo: OCIClient, where: str) -> None:
    await octo.log_in("")
    for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/latest")):
        answer = await octo.once(method, f"/v2/{where}/{path}")
        assert outcome(answer) == NO_NAMES[where]
        assert "owner/name" in answer.text


@pytest.mark.parametrize(("length", "kept"), [(0, 201), (1, 201), (32, 201)])
async def test_a_body_is_taken_as_long_as_it_is(octo: OCIClient, name: str, length: int, kept: int) -> None:
    """Lengths of 0 and a body that is empty mean the same, with and without a Content-Length."""
    content = fresh(length) if length else b""
    for body in (content, stream(content)):
        await octo.log_in(f"repository:{name}:pull,push")
        answer = await octo.post(f"/v2/{name}/blobs/uploads/?digest={Digest.of(content)}", content=body)
        assert answer.status_code == kept

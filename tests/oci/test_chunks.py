"""end-5, end-13 and end-14: uploads in pieces. Source: OCI distribution-spec v1.1, "Pushing a blob in chunks", "Cancel"."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.oci.images import fresh
from tests.oci.registry_api import OCIClient, Registry, outcome, pieces
from tests.oci.test_push import stream

from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.package import parse_package_name
from berth.domain.problem import Conflict

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = fresh(1000)
DIGEST = Digest.of(CONTENT)


def ranged(start: int, content: bytes) -> dict[str, str]:
    return {"Content-Range": f"{start}-{start + len(content) - 1}"}


async def how_far(octo: OCIClient, location: str) -> str:
    answer = await octo.get(location)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Location"] == location
    assert "Content-Length" not in answer.headers, "RFC 9110, section 8.6"
    return str(answer.headers["Range"])


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
@pytest.mark.parametrize("size", [1, 300, 1000])
@pytest.mark.parametrize("last", ["patch", "put", "put with range"])
async def test_a_blob_in_chunks(octo: OCIClient, name: str, size: int, last: str, algorithm: DigestAlgorithm) -> None:
    digest = Digest.of(CONTENT, algorithm)
    location = await octo.begin(name, headers={"Content-Length": "0"})
    assert await how_far(octo, location) == "0-0"
    chunks = list(pieces(CONTENT, size)) if size > 1 else [CONTENT[:1], CONTENT[1:2], CONTENT[2:]]
    final = chunks.pop() if last != "patch" else b""
    start = 0
    for chunk in chunks:
        answer = await octo.patch(location, content=chunk, headers=ranged(start, chunk))
        start += len(chunk)
        assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{start - 1}")
        location = answer.headers["Location"]
        assert await how_far(octo, location) == f"0-{start - 1}"
    headers = ranged(start, final) if last == "put with range" else {}
    answer = await octo.put(f"{location}?digest={digest}", content=final, headers=headers)
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v2/{name}/blobs/{digest}")
    assert (await octo.get(answer.headers["Location"])).content == CONTENT


async def test_a_stream_may_go_on_in_another_request(each_octo: OCIClient, name: str) -> None:
    """As docker pushes: without a range, and without a length."""
    location = await each_octo.begin(name)
    for chunk in (CONTENT[:300], CONTENT[300:301], b"", CONTENT[301:]):
        assert (await each_octo.patch(location, content=stream(chunk))).status_code == 202
    assert (await each_octo.put(f"{location}?digest={DIGEST}")).status_code == 201
    assert (await each_octo.get(f"/v2/{name}/blobs/{DIGEST}")).content == CONTENT


@pytest.mark.parametrize("how", ["PATCH", "PUT"])
@pytest.mark.parametrize("start", [0, 1, 299, 301, 500, 10**18])
async def test_a_chunk_out_of_order_is_refused_and_the_upload_goes_on(
    octo: OCIClient, name: str, how: str, start: int
) -> None:
    location = await octo.begin(name)
    await octo.patch(location, content=CONTENT[:300], headers=ranged(0, CONTENT[:300]))
    chunk = CONTENT[:100]
    answer = await octo.request(how, f"{location}?digest={DIGEST}", content=chunk, headers=ranged(start, chunk))
    assert outcome(answer) == (416, "BLOB_UPLOAD_INVALID")
    assert await how_far(octo, location) == "0-299"
    rest = CONTENT[300:]
    answer = await octo.put(f"{location}?digest={DIGEST}", content=rest, headers=ranged(300, rest))
    assert answer.status_code == 201
    assert (await octo.get(f"/v2/{name}/blobs/{DIGEST}")).content == CONTENT


async def test_the_first_chunk_begins_with_zero(octo: OCIClient, name: str) -> None:
    location = await octo.begin(name)
    answer = await octo.patch(location, content=b"x", headers={"Content-Range": "1-1"})
    assert outcome(answer) == (416, "BLOB_UPLOAD_INVALID")


@pytest.mark.parametrize(
    "header",
    [
        "bytes 0-99/100", "bytes=0-99", "0-", "-99", "0-99/100", "99-0", "a-b", "0 - 99", "0-99,100-199", "", "-1-98",
        f"0-{2**63}", f"{'9' * 40}-{'9' * 41}", "\u0660-\u0669", "+0-99", "0x0-0x63",
    ],
)  # fmt: skip
async def test_what_is_no_range_of_a_chunk(octo: OCIClient, name: str, header: str) -> None:
    location = await octo.begin(name)
    answer = await octo.patch(location, content=CONTENT[:100], headers={"Content-Range": header.encode()})
    assert outcome(answer) == (400, "BLOB_UPLOAD_INVALID")
    assert await how_far(octo, location) == "0-0"


@pytest.mark.parametrize("said", [1, 99, 101, 5000, 10**15])
@pytest.mark.parametrize("with_length", [True, False], ids=["length", "chunked"])
async def test_a_chunk_as_long_as_it_says_or_not_at_all(
    octo: OCIClient, name: str, said: int, with_length: bool
) -> None:
    location = await octo.begin(name)
    body = CONTENT[:100]
    answer = await octo.patch(
        location, content=body if with_length else stream(body), headers={"Content-Range": f"0-{said - 1}"}
    )
    assert outcome(answer) == (400, "SIZE_INVALID")
    assert await how_far(octo, location) == "0-0"
    assert (await octo.put(f"{location}?digest={DIGEST}", content=CONTENT)).status_code == 201


@pytest.mark.parametrize("before", [0, 300], ids=["nothing came", "something came"])
async def test_end_14_a_cancelled_upload_is_gone(registry: Registry, octo: OCIClient, name: str, before: int) -> None:
    folder = registry.folder / "blobs" / "uploads"
    of_others = set(folder.iterdir())
    location = await octo.begin(name)
    if before:
        assert (await octo.patch(location, content=CONTENT[:before])).status_code == 202
    answer = await octo.delete(location)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Length" not in answer.headers
    gone = (404, "BLOB_UPLOAD_UNKNOWN")
    assert outcome(await octo.get(location)) == gone
    assert outcome(await octo.patch(location, content=b"x")) == gone
    assert outcome(await octo.put(f"{location}?digest={DIGEST}", content=CONTENT)) == gone
    assert outcome(await octo.delete(location)) == gone
    assert set(folder.iterdir()) <= of_others, "nothing of it lies about"


@pytest.mark.parametrize(
    "upload_id",
    ["0", "00000000-0000-4000-8000-000000000000", "..", "a%00b", "x" * 5000, "ä", "?digest=x"],
)
async def test_an_id_that_nobody_got(octo: OCIClient, name: str, upload_id: str) -> None:
    await octo.begin(name)
    for method in ("GET", "PATCH", "DELETE"):
        answer = await octo.request(method, f"/v2/{name}/blobs/uploads/x{upload_id}")
        assert outcome(answer) == (404, "BLOB_UPLOAD_UNKNOWN"), method


async def wait_for(gate: asyncio.Event, *contents: bytes) -> AsyncIterator[bytes]:
    """The first, and the others when the gate opens."""
    for number, content in enumerate(contents):
        if number:
            await gate.wait()
        yield content


async def test_only_one_request_at_a_time_writes_to_an_upload(each_octo: OCIClient, name: str) -> None:
    location, gate = await each_octo.begin(name), asyncio.Event()
    slow = asyncio.create_task(each_octo.patch(location, content=wait_for(gate, CONTENT[:300], CONTENT[300:])))
    busy = await each_octo.patch(location, content=b"quick")
    while busy.status_code == 202:  # the slow one had not begun yet
        await each_octo.delete(location)
        location = await each_octo.begin(name)
        slow.cancel()
        slow = asyncio.create_task(each_octo.patch(location, content=wait_for(gate, CONTENT[:300], CONTENT[300:])))
        for _ in range(10):
            await asyncio.sleep(0.01)
        busy = await each_octo.patch(location, content=b"quick")
    assert outcome(busy) == (409, "BLOB_UPLOAD_INVALID")
    assert outcome(await each_octo.put(f"{location}?digest={DIGEST}", content=CONTENT)) == (409, "BLOB_UPLOAD_INVALID")
    gate.set()
    assert (await slow).headers["Range"] == "0-999"
    assert (await each_octo.put(f"{location}?digest={DIGEST}")).status_code == 201


async def test_many_at_once_and_not_one_byte_wrong(each_octo: OCIClient, name: str) -> None:
    """Whoever is told 202 has his bytes in it; all others are refused, and the whole is what its digest says."""
    for _ in range(2):
        location = await each_octo.begin(name)
        chunks = list(pieces(CONTENT, 100))
        start = 0
        while start < len(CONTENT):
            chunk = chunks[start // 100]
            headers = ranged(start, chunk)
            answers = await asyncio.gather(
                *(each_octo.patch(location, content=chunk, headers=headers) for _ in range(4))
            )
            taken = [answer for answer in answers if answer.status_code == 202]
            assert len(taken) == 1, [answer.text for answer in answers]
            assert {answer.status_code for answer in answers} <= {202, 409, 416}
            start += 100
            assert await how_far(each_octo, location) == f"0-{start - 1}"
        assert (await each_octo.put(f"{location}?digest={DIGEST}")).status_code == 201


async def test_several_ends_at_once_are_one_end(each_octo: OCIClient, name: str) -> None:
    for _ in range(5):
        location = await each_octo.begin(name)
        await each_octo.patch(location, content=CONTENT)
        url = f"{location}?digest={DIGEST}"
        answers = await asyncio.gather(*(each_octo.put(url) for _ in range(4)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] == 201
        assert set(statuses[1:]) <= {404, 409}, [answer.text for answer in answers]
        assert (await each_octo.get(f"/v2/{name}/blobs/{DIGEST}")).content == CONTENT


async def test_cancelled_while_it_comes(octo: OCIClient, name: str) -> None:
    location, gate = await octo.begin(name), asyncio.Event()
    slow = asyncio.create_task(octo.patch(location, content=wait_for(gate, CONTENT[:300], CONTENT[300:])))
    await asyncio.sleep(0.05)
    assert (await octo.delete(location)).status_code == 204
    gate.set()
    assert outcome(await slow)[1] in {"BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN"}
    assert outcome(await octo.get(location)) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_a_body_that_breaks_off_counts_as_far_as_it_came(registry: Registry, octo: OCIClient, name: str) -> None:
    """The client's word that the request is over is missing: it went away."""
    location = await octo.begin(name)
    await octo.patch(location, content=CONTENT[:100])
    path = location.encode()
    messages: Iterator[dict[str, object]] = iter(
        [
            {"type": "http.request", "body": CONTENT[100:300], "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return next(messages)

    async def send(message: object) -> None:
        sent.append(message)

    headers = [(b"host", b"berth.test"), (b"authorization", f"Bearer {octo.token}".encode())]
    scope = {
        "type": "http", "method": "PATCH", "scheme": "http", "path": path.decode(), "raw_path": path,
        "query_string": b"", "headers": headers,
    }  # fmt: skip
    await registry.app(scope, receive, send)
    assert sent == [], "there is nobody to answer"
    assert await how_far(octo, location) == "0-299"
    assert (await octo.put(f"{location}?digest={DIGEST}", content=CONTENT[300:])).status_code == 201


async def test_who_looked_before_another_wrote_destroys_nothing(
    each_registry: Registry, each_octo: OCIClient, name: str
) -> None:
    """Two requests find the upload at the same place; the second comes to write when the first has ended."""
    blobs, location = each_registry.services.blobs, await each_octo.begin(name)
    assert each_octo.token is not None
    caller = await each_registry.services.access.authenticate(each_octo.token, "")
    package, upload_id = parse_package_name(name), location.rpartition("/")[2]
    stale = await blobs.find_upload(caller, package, upload_id)
    assert (await each_octo.patch(location, content=CONTENT[:300])).status_code == 202
    with pytest.raises(Conflict) as refused:
        await blobs.append(stale, stream(b"other content"), None)
    assert refused.value.code == "upload.moved"
    assert await how_far(each_octo, location) == "0-299"
    assert (await each_octo.put(f"{location}?digest={DIGEST}", content=CONTENT[300:])).status_code == 201


async def test_an_upload_whose_bytes_are_lost_is_over(registry: Registry, octo: OCIClient, name: str) -> None:
    """As if a server had been killed between storing the content and saying so."""
    for method in ("PATCH", "PUT"):
        location = await octo.begin(name)
        await octo.patch(location, content=CONTENT[:300])
        (registry.folder / "blobs" / "uploads" / location.rpartition("/")[2]).unlink()
        answer = await octo.request(method, f"{location}?digest={DIGEST}", content=CONTENT[300:])
        assert outcome(answer) == (404, "BLOB_UPLOAD_UNKNOWN")

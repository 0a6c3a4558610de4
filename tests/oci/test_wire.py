"""What clients do to a connection: break it, send slowly, lie about lengths, wait for 100. On real sockets.

Source: RFC 9110 sections 8.6 and 10.1.1 (Expect); RFC 9112 section 6.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from sqlalchemy import func, select
from starlette.types import Message, Receive, Scope, Send
from tests.oci.images import Image, fresh, image
from tests.oci.registry_api import OCIClient, Registry
from tests.oci.wire import Reply, Wire, listening

from berth.adapters.store.package_tables import uploads
from berth.domain.image_reference import Digest
from berth.domain.manifest import MAX_MANIFEST_BYTES
from berth.oci.app import make_oci_app

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = fresh(200_000)
DIGEST = Digest.of(CONTENT)


@dataclass
class Live:
    registry: Registry
    octo: OCIClient  # in the process; what it sees is what the sockets did
    port: int
    name: str

    @property
    def authorization(self) -> str:
        return f"Bearer {self.octo.token}"

    def connect(self) -> AbstractAsyncContextManager[Wire]:
        return Wire.to(self.port)

    async def how_far(self, location: str) -> str:
        answer = await self.octo.get(location)
        return str(answer.headers.get("Range", answer.status_code))

    async def count_uploads(self) -> tuple[int, int]:
        """Rows, and files."""
        async with self.registry.store.read() as connection:
            rows = (await connection.execute(select(func.count()).select_from(uploads))).scalar_one()
        return rows, len(list((self.registry.folder / "blobs" / "uploads").iterdir()))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(registry: Registry) -> AsyncIterator[int]:
    async with listening(registry.app, registry.services) as port:
        yield port


@pytest_asyncio.fixture(loop_scope="module")
async def live(registry: Registry, port: int, octo: OCIClient, name: str) -> Live:
    await octo.push_blob(name, b"the package is there")
    await octo.log_in(f"repository:{name}:pull,push")
    return Live(registry, octo, port, name)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


BREAKS = ["closed", "reset"]


def break_off(wire: Wire, how: str) -> None:
    if how == "closed":
        wire.close()
    else:
        wire.reset()


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("encoding", ["length", "chunked", "range"])
async def test_a_client_that_goes_away_finds_what_it_sent(live: Live, method: str, encoding: str, how: str) -> None:
    location = await live.octo.begin(live.name)
    async with live.connect() as wire:
        headers: dict[str, str | int] = {"Authorization": live.authorization}
        if encoding == "chunked":
            headers["Transfer_Encoding"] = "chunked"
        else:
            headers["Content_Length"] = len(CONTENT)
        if encoding == "range":
            headers["Content_Range"] = f"0-{len(CONTENT) - 1}"
        await wire.head(method, f"{location}?digest={DIGEST}", **headers)
        await (wire.chunk if encoding == "chunked" else wire.send)(CONTENT[:70_000])
        await until(lambda: has_come(live, location, 70_000))
        break_off(wire, how)
        await until(lambda: is_at(live, location, 69_999))
    answer = await live.octo.put(f"{location}?digest={DIGEST}", content=CONTENT[70_000:])
    assert answer.status_code == 201
    assert (await live.octo.get(f"/v2/{live.name}/blobs/{DIGEST}")).content == CONTENT


async def is_at(live: Live, location: str, last: int) -> bool:
    return await live.how_far(location) == f"0-{last}"


async def has_come(live: Live, location: str, size: int) -> bool:
    """What was sent has reached the disk: a reset would drop what still lies in the socket."""
    path = live.registry.folder / "blobs" / "uploads" / location.rpartition("/")[2]
    return path.exists() and path.stat().st_size == size


@pytest.mark.parametrize("how", BREAKS)
async def test_an_upload_in_one_request_that_breaks_off_leaves_nothing(live: Live, how: str) -> None:
    """Nobody knows its id: nobody can go on with it."""
    before = await live.count_uploads()
    async with live.connect() as wire:
        target = f"/v2/{live.name}/blobs/uploads/?digest={DIGEST}"
        await wire.head("POST", target, Authorization=live.authorization, Content_Length=len(CONTENT))
        await wire.send(CONTENT[:70_000])
        await until(lambda: is_more(live, before))
        break_off(wire, how)
        await until(lambda: is_same(live, before))
    assert (await live.octo.head(f"/v2/{live.name}/blobs/{DIGEST}")).status_code == 404


async def is_more(live: Live, before: tuple[int, int]) -> bool:
    return all(now > then for now, then in zip(await live.count_uploads(), before, strict=True))


async def is_same(live: Live, before: tuple[int, int]) -> bool:
    return await live.count_uploads() == before


async def test_a_manifest_that_breaks_off_is_not_there(live: Live) -> None:
    one = image()
    await live.octo.push(live.name, one, "before")
    for how in BREAKS:
        async with live.connect() as wire:
            await put_manifest(live, wire, one, len(one.content), "latest")
            await wire.send(one.content[:-1])
            await asyncio.sleep(0.05)
            break_off(wire, how)
    assert (await live.octo.get(f"/v2/{live.name}/manifests/latest")).status_code == 404
    assert (await live.octo.get(f"/v2/{live.name}/tags/list")).json()["tags"] == ["before"]


async def put_manifest(live: Live, wire: Wire, one: Image, length: int, tag: str, **headers: str) -> None:
    await wire.head(
        "PUT",
        f"/v2/{live.name}/manifests/{tag}",
        Authorization=live.authorization,
        Content_Type=one.media_type,
        Content_Length=length,
        **headers,
    )


async def test_a_byte_now_and_then(live: Live) -> None:
    content = fresh(30)
    location = await live.octo.begin(live.name)
    async with live.connect() as wire:
        await wire.head("PATCH", location, Authorization=live.authorization, Content_Length=len(content))
        for number in range(len(content)):
            await wire.send(content[number : number + 1])
            await asyncio.sleep(0.01)
        assert (await wire.reply()).status == 202
        await wire.head("PUT", f"{location}?digest={Digest.of(content)}", Authorization=live.authorization)
        await wire.send(b"")
        assert (await wire.reply()).status == 201
    assert (await live.octo.get(f"/v2/{live.name}/blobs/{Digest.of(content)}")).content == content


@pytest.mark.parametrize("what", ["upload", "manifest"])
async def test_a_client_that_falls_silent_is_told_and_what_came_is_kept(
    registry: Registry, octo: OCIClient, name: str, what: str
) -> None:
    location = await octo.begin(name)
    async with listening(make_oci_app(registry.services, None, idle_s=0.2)) as port, Wire.to(port) as wire:
        method, target = ("PATCH", location) if what == "upload" else ("PUT", f"/v2/{name}/manifests/latest")
        await wire.head(method, target, Authorization=f"Bearer {octo.token}", Content_Length=len(CONTENT))
        await wire.send(CONTENT[:1000])
        reply = await wire.reply()
    assert (reply.status, code_in(reply)) == (408, "BLOB_UPLOAD_INVALID")
    if what == "upload":
        assert (await octo.get(location)).headers["Range"] == "0-999"


@pytest.mark.parametrize("what", ["form", "manifest"])
async def test_a_small_body_comes_in_one_go(registry: Registry, octo: OCIClient, name: str, what: str) -> None:
    """A byte now and then, from whoever has no login either, must not hold a connection for days."""
    target = ("POST", "/token") if what == "form" else ("PUT", f"/v2/{name}/manifests/latest")
    await octo.begin(name)  # so that it has a token
    async with listening(make_oci_app(registry.services, None, idle_s=0.5)) as port, Wire.to(port) as wire:
        await wire.head(*target, Authorization=f"Bearer {octo.token}", Content_Length=60_000)
        reply = asyncio.create_task(wire.reply())
        async with asyncio.timeout(10):
            while not reply.done():
                await wire.send(b"a")
                await asyncio.sleep(0.05)
        assert ((await reply).status, code_in(await reply)) == (408, "BLOB_UPLOAD_INVALID")


def code_in(reply: Reply) -> str:
    return str(json.loads(reply.body)["errors"][0]["code"])


async def test_a_body_that_is_longer_than_it_says_is_cut_there(live: Live) -> None:
    """The rest is no request: 400, and the connection is over."""
    location = await live.octo.begin(live.name)
    async with live.connect() as wire:
        await wire.head("PATCH", location, Authorization=live.authorization, Content_Length=10)
        await wire.send(CONTENT[:10])
        assert (await wire.reply()).status == 202
        await wire.send(b"and more, and more\r\n\r\n")
        assert (await wire.until_closed()).startswith(b"HTTP/1.1 400")
    assert await live.how_far(location) == "0-9"


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: -1"], ["Content-Length: ten"], ["Content-Length: 1" + "0" * 40],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked, gzip"],
    ],
    ids=["negative", "a word", "41 digits", "two", "two ways", "chunked is not last"],
)  # fmt: skip
async def test_a_length_that_is_none_is_refused_before_anything_is_read(live: Live, lines: list[str]) -> None:
    """Request smuggling lives of such requests."""
    location = await live.octo.begin(live.name)
    async with live.connect() as wire:
        head = [f"PATCH {location} HTTP/1.1", "Host: x", f"Authorization: {live.authorization}", *lines, "", ""]
        await wire.send("\r\n".join(head).encode() + b"5\r\nhello\r\n0\r\n\r\n")
        assert (await wire.until_closed()).startswith(b"HTTP/1.1 400")
    assert await live.how_far(location) == "0-0"


@pytest.mark.parametrize(
    "piece", [b"zz\r\nhello\r\n", b"-1\r\n", b"5\r\nhello!!\r\n", b"5;" + b"x" * 9 + b"\r\nhel\r\n0\r\n\r\n"]
)
async def test_a_chunk_that_is_none_ends_the_connection_and_keeps_what_came(live: Live, piece: bytes) -> None:
    location = await live.octo.begin(live.name)
    async with live.connect() as wire:
        await wire.head("PATCH", location, Authorization=live.authorization, Transfer_Encoding="chunked")
        await wire.chunk(CONTENT[:1000])
        await until(lambda: has_come(live, location, 1000))
        await wire.send(piece)
        await wire.until_closed()
        await until(lambda: is_over(live, location))
    range_ = await live.how_far(location)
    assert 999 <= int(range_.partition("-")[2]) <= 999 + len(piece)


async def is_over(live: Live, location: str) -> bool:
    return await live.how_far(location) != "0-0"


async def test_100_continue_comes_when_the_body_is_wanted(live: Live) -> None:
    location = await live.octo.begin(live.name)
    async with live.connect() as wire:
        length = len(CONTENT)
        await wire.head(
            "PUT",
            f"{location}?digest={DIGEST}",
            Authorization=live.authorization,
            Content_Length=length,
            Expect="100-continue",
        )
        assert (await wire.reply()).status == 100
        await wire.send(CONTENT)
        assert (await wire.reply()).status == 201


REFUSED_BEFORE = {
    "nobody": (401, {"Authorization": "Bearer none"}),
    "out of order": (416, {"Content_Range": f"5-{len(CONTENT) + 4}"}),
    "contradiction": (400, {"Content_Range": "0-5"}),
}


@pytest.mark.parametrize("case", REFUSED_BEFORE)
async def test_what_is_refused_is_not_asked_for(live: Live, case: str) -> None:
    """Nor is it read: a stranger's gigabytes stay his."""
    location = await live.octo.begin(live.name)
    status, more = REFUSED_BEFORE[case]
    for expect in ({"Expect": "100-continue"}, {}):
        async with live.connect() as wire:
            headers = {"Authorization": live.authorization, "Content_Length": str(len(CONTENT)), **expect, **more}
            await wire.head("PATCH", location, **headers)
            assert (await wire.reply()).status == status
    assert await live.how_far(location) == "0-0"


async def test_a_manifest_is_refused_before_it_is_sent(live: Live) -> None:
    """Too large, or by somebody who may not push."""
    one = image()
    otto = await live.registry.person("otto")
    await otto.log_in(f"repository:{live.name}:pull,push")
    async with live.connect() as wire:
        await put_manifest(live, wire, one, MAX_MANIFEST_BYTES + 1, "large")
        assert (await wire.reply()).status == 413
    async with live.connect() as wire:
        await wire.head(
            "PUT",
            f"/v2/{live.name}/manifests/x",
            Authorization=f"Bearer {otto.token}",
            Content_Length=MAX_MANIFEST_BYTES,
        )
        assert (await wire.reply()).status == 404


async def test_a_manifest_without_a_length_is_read_no_further_than_it_may_be_long(live: Live) -> None:
    async with live.connect() as wire:
        await wire.head(
            "PUT", f"/v2/{live.name}/manifests/x", Authorization=live.authorization, Transfer_Encoding="chunked"
        )
        for _ in range(MAX_MANIFEST_BYTES // 65_536 + 1):
            await wire.chunk(b" " * 65_536)
        assert (await wire.reply()).status == 413


async def test_answers_without_a_body_have_no_length(live: Live) -> None:
    """And the connection goes on."""
    one = image()
    await live.octo.push(live.name, one)
    location = await live.octo.begin(live.name)
    async with live.connect() as wire:
        for _ in range(2):
            await wire.head("GET", location, Authorization=live.authorization)
            reply = await wire.reply()
            assert reply.status == 204
            assert {"content-length", "transfer-encoding"} & set(reply.headers) == set()
            target = f"/v2/{live.name}/manifests/latest"
            await wire.head("GET", target, Authorization=live.authorization, If_None_Match=f'"{one.digest}"')
            reply = await wire.reply()
            assert reply.status == 304
            assert {"content-length", "transfer-encoding"} & set(reply.headers) == set()
            await wire.head("HEAD", target, Authorization=live.authorization)
            reply = await wire.reply(head=True)
            assert (reply.status, reply.headers["content-length"]) == (200, str(len(one.content)))
            await wire.head("GET", target, Authorization=live.authorization)
            assert (await wire.reply()).body == one.content


@pytest.mark.parametrize("how", BREAKS)
async def test_a_download_that_nobody_reads_any_more_ends(
    registry: Registry, octo: OCIClient, name: str, how: str
) -> None:
    """A blob is read from the disk for somebody, not to the end whoever is there."""
    size = 48 * 1024 * 1024
    digest = await octo.push_blob(name, bytes(size))
    sent = 0
    ended = asyncio.Event()

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            nonlocal sent
            await send(message)
            sent += len(message.get("body", b""))

        try:
            await registry.app(scope, receive, counted)
        finally:
            ended.set()

    async with listening(counting) as port, Wire.to(port) as wire:
        await wire.head("GET", f"/v2/{name}/blobs/{digest}", Authorization=f"Bearer {octo.token}")
        assert len(await wire.reader.readexactly(300_000)) == 300_000
        break_off(wire, how)
        async with asyncio.timeout(10):
            await ended.wait()
    assert sent < size


async def test_content_that_is_lost_is_no_half_answer(registry: Registry, octo: OCIClient, name: str) -> None:
    """Gone before the answer began: an error. Shorter than it should be: the connection breaks, and the client sees it."""
    content = fresh(1_000_000)
    digests = [await octo.push_blob(name, content + bytes([number])) for number in range(2)]
    files = {str(path).split("-")[-1][:64]: path for path in (registry.folder / "blobs" / "content").glob("*/*")}
    async with listening(registry.app, registry.services) as port:
        files[digests[0].hex].unlink()
        async with Wire.to(port) as wire:
            await wire.head("GET", f"/v2/{name}/blobs/{digests[0]}", Authorization=f"Bearer {octo.token}")
            reply = await wire.reply()
            assert reply.status == 500
            assert b"Push it again" in reply.body
        with files[digests[1].hex].open("r+b") as file:
            file.truncate(500_000)
        async with Wire.to(port) as wire:
            await wire.head("GET", f"/v2/{name}/blobs/{digests[1]}", Authorization=f"Bearer {octo.token}")
            raw = await wire.until_closed()
            assert raw.startswith(b"HTTP/1.1 200")
            assert len(raw) < 1_000_000, "less than it said"


async def test_heads_that_are_too_large_end_the_connection(live: Live) -> None:
    async with live.connect() as wire:
        await wire.head("GET", f"/v2/{live.name}/tags/list?last={'x' * 70_000}", Authorization=live.authorization)
        assert (await wire.until_closed())[:12] in {b"HTTP/1.1 400", b""}
    async with live.connect() as wire:
        await wire.head("GET", f"/v2/{live.name}/tags/list", Authorization="Bearer " + "x" * 70_000)
        assert (await wire.until_closed())[:12] in {b"HTTP/1.1 400", b""}
    assert (await live.octo.get(f"/v2/{live.name}/tags/list")).status_code == 200

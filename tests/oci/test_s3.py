"""The registry on an S3 store, a real server process: pushes of every form, pulls by redirect, mounts, deletes; replicas."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from tests.adapters.s3_server import SIZES, S3Server, at_bucket
from tests.oci.images import Image, artifact, fresh, image, index
from tests.oci.registry_api import HOST, OCIClient, Registry, code_of, outcome, pieces
from tests.oci.test_push import stream
from tests.oci.wire import Reply, Wire, listening
from tests.server import free_port

from berth.adapters.blobs_s3 import S3BlobStore
from berth.adapters.s3_client import S3Client
from berth.domain.image_reference import Digest, DigestAlgorithm
from berth.domain.s3_address import S3Address
from berth.front import make_front
from berth.oci.app import make_oci_app
from berth.services.registry_blob import RegistryBlobService
from berth.services.registry_manifest import RegistryManifestService

pytestmark = pytest.mark.asyncio(loop_scope="module")
PART = SIZES.first_bytes
CONTENT = fresh(3 * PART + 7)
DIGEST = Digest.of(CONTENT)
SIZES_OF_BLOBS = {"nothing": 0, "tiny": 10, "parts": 3 * PART + 7}


@dataclass
class Bucket:
    """The S3 store of these tests, seen from behind."""

    server: S3Server
    connection: S3Client
    address: S3Address

    @property
    def client(self) -> S3Client:
        return at_bucket(self.connection, self.address)

    def store(self, *, redirect: bool = True) -> S3BlobStore:
        """As another replica opens it."""
        return S3BlobStore(self.client, redirect=redirect, sizes=SIZES)

    async def keys(self) -> set[str]:
        """Of objects, and of uploads to them that are under way."""
        objects = {found.key async for found in self.client.list("")}
        return objects | {f"{found.key} (under way)" async for found in self.client.list_multiparts("")}


def replica(registry: Registry, store: S3BlobStore) -> Registry:
    """The same accounts and tables; the blobs are elsewhere."""
    old = registry.services
    shared: dict[str, Any] = {
        "store": registry.store, "clock": registry.clock, "cache": old.manifests._cache, "access": old.access,
        "blobs": store,
    }  # fmt: skip
    services = replace(
        old,
        manifests=RegistryManifestService(**shared, own_hosts=frozenset({HOST})),
        blobs=RegistryBlobService(**shared),
    )
    front = make_front(
        rest=registry.berth.rest,
        sockets=registry.berth.rest,
        git=registry.berth.git,
        oci=make_oci_app(services, None),
        checks={},
    )
    return replace(registry, services=services, app=front)


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server, s3_connection: S3Client) -> Bucket:
    return Bucket(s3_server, s3_connection, s3_server.make_bucket())


@pytest.fixture(scope="module")
def on_s3(registry: Registry, bucket: Bucket) -> Registry:
    return replica(registry, bucket.store())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ann(on_s3: Registry) -> OCIClient:
    return await on_s3.person("octo")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(on_s3: Registry) -> AsyncIterator[int]:
    async with listening(on_s3.app, on_s3.services) as port:
        yield port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outside() -> AsyncIterator[httpx.AsyncClient]:
    """A client that follows a redirect, with nothing of what it showed us."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def pulled(outside: httpx.AsyncClient, answer: httpx.Response, **headers: str) -> bytes:
    """What lies where a redirect leads."""
    assert (answer.status_code, answer.content) == (307, b"")
    found = await outside.get(answer.headers["Location"], headers=headers)
    assert found.status_code == (206 if "Range" in headers else 200), found.text
    return found.content


async def push(client: OCIClient, name: str, content: bytes, way: str, digest: Digest) -> httpx.Response:
    if way == "post":
        return await client.post(f"/v2/{name}/blobs/uploads/?digest={digest}", content=content)
    location = await client.begin(name)
    if way == "put":
        return await client.put(f"{location}?digest={digest}", content=content)
    for body in pieces(content, PART - 1) if way == "chunks" else (stream(content),):
        assert (await client.patch(location, content=body)).status_code == 202
    return await client.put(f"{location}?digest={digest}")


WAYS = ["post", "put", "chunks", "stream"]


@pytest.mark.parametrize("size", SIZES_OF_BLOBS)
@pytest.mark.parametrize("way", WAYS)
async def test_what_is_pushed_is_pulled(
    ann: OCIClient, outside: httpx.AsyncClient, name: str, way: str, size: str
) -> None:
    for algorithm in DigestAlgorithm if size == "parts" else (DigestAlgorithm.SHA256,):
        content = fresh(SIZES_OF_BLOBS[size])
        digest = Digest.of(content, algorithm)
        assert (await push(ann, name, content, way, digest)).status_code == 201
        path = f"/v2/{name}/blobs/{digest}"
        for _ in range(2):  # found, then remembered
            assert await pulled(outside, await ann.get(path)) == content
            head = await ann.head(path)
            assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(content)))
            assert head.headers["Docker-Content-Digest"] == str(digest)


@pytest.mark.parametrize("way", ["post", "chunks"])
async def test_another_content_than_the_digest_says_leaves_nothing(
    ann: OCIClient, bucket: Bucket, name: str, way: str
) -> None:
    await ann.begin(name)
    before = await bucket.keys()
    assert outcome(await push(ann, name, CONTENT, way, Digest.of(b"other"))) == (400, "DIGEST_INVALID")
    assert await bucket.keys() == before
    assert outcome(await ann.get(f"/v2/{name}/blobs/{DIGEST}")) == (404, "BLOB_UNKNOWN")


async def test_a_cancelled_upload_leaves_nothing(ann: OCIClient, bucket: Bucket, name: str) -> None:
    before, location = await bucket.keys(), await ann.begin(name)
    assert (await ann.patch(location, content=CONTENT)).status_code == 202
    assert await bucket.keys() > before, "it lies there"
    assert (await ann.delete(location)).status_code == 204
    assert await bucket.keys() == before
    assert outcome(await ann.get(location)) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("size", ["tiny", "parts"])
async def test_a_redirect_is_for_minutes_and_for_who_was_let_through(
    on_s3: Registry, ann: OCIClient, bucket: Bucket, outside: httpx.AsyncClient, port: int, name: str, size: str
) -> None:
    """On a real connection: the first answer, and those that are given again."""
    content = fresh(SIZES_OF_BLOBS[size])
    digest = await ann.push_blob(name, content)
    stranger = await on_s3.person("stranger")
    await stranger.log_in(f"repository:{name}:pull")
    path = f"/v2/{name}/blobs/{digest}"
    async with Wire.to(port) as wire:

        async def ask(method: str, token: str | None, **more: str) -> Reply:
            await wire.head(method, path, Authorization=f"Bearer {token}", **more)
            return await wire.reply(head=method == "HEAD")

        for number in range(3):
            reply = await ask("GET", ann.token, **({"Range": "bytes=1-3"} if number == 2 else {}))
            assert (reply.status, reply.body) == (307, b"")
            assert reply.headers["docker-content-digest"] == str(digest)
            assert "cache-control" not in reply.headers, "the address ends sooner than the content changes"
            check_address(reply.headers, bucket, str(ann.token))
            part = (await outside.get(reply.headers["location"], headers={"Range": "bytes=1-3"})).content
            assert part == content[1:4], "a client sends its Range again, there"
            head = await ask("HEAD", ann.token)
            assert (head.status, head.headers["content-length"]) == (200, str(len(content)))
            assert "location" not in head.headers
            same = await ask("GET", ann.token, If_None_Match=f'"{digest}"')
            assert (same.status, "location" in same.headers) == (304, False)
            for token, status in ((stranger.token, 404), ("none", 401)):
                refused = await ask("GET", token)
                assert (refused.status, "location" in refused.headers) == (status, False)


def check_address(headers: Mapping[str, str], bucket: Bucket, token: str) -> None:
    address = urlsplit(headers["location"])
    query = parse_qs(address.query)
    assert f"{address.scheme}://{address.netloc}" == bucket.server.endpoint
    assert 60 <= int(query["X-Amz-Expires"][0]) <= 900
    assert token not in headers["location"]


async def test_images_indexes_and_artifacts(ann: OCIClient, outside: httpx.AsyncClient, name: str) -> None:
    one = image(fresh(PART + 1), fresh())
    signature = artifact("application/vnd.example.signature", subject=one)
    for each, reference in ((one, "one"), (index([one]), "many"), (signature, signature.digest)):
        await ann.push(name, each, reference)
        assert (await ann.get(f"/v2/{name}/manifests/{reference}")).content == each.content
        for blob in each.blobs:
            assert await pulled(outside, await ann.get(f"/v2/{name}/blobs/{Digest.of(blob)}")) == blob
    referrers = (await ann.get(f"/v2/{name}/referrers/{one.digest}")).json()["manifests"]
    assert [each["digest"] for each in referrers] == [str(signature.digest)]
    assert (await ann.get(f"/v2/{name}/tags/list")).json()["tags"] == ["many", "one"]


async def test_a9_the_label_is_read_from_the_store(on_s3: Registry, ann: OCIClient, name: str) -> None:
    repository_id = await on_s3.repository("octo", "octo/code")
    await ann.push(name, image(labels={"org.opencontainers.image.source": f"http://{HOST}/octo/code"}))
    assert (await on_s3.package(name)).repository_id == repository_id


async def test_mounted_and_deleted(
    on_s3: Registry, ann: OCIClient, bucket: Bucket, outside: httpx.AsyncClient, name: str
) -> None:
    """A mount moves no byte; what goes from one package stays in the other."""
    content = fresh(PART + 3)
    digest = await ann.push_blob(f"{name}/source", content)
    keys = await bucket.keys()
    mounted = await ann.post(f"/v2/{name}/blobs/uploads/?mount={digest}&from={name}/source")
    assert mounted.status_code == 201
    assert await bucket.keys() == keys
    assert (await ann.delete(f"/v2/{name}/source/blobs/{digest}")).status_code == 202
    gone = await ann.get(f"/v2/{name}/source/blobs/{digest}")
    assert (outcome(gone), "Location" in gone.headers) == ((404, "BLOB_UNKNOWN"), False)
    assert await pulled(outside, await ann.get(f"/v2/{name}/blobs/{digest}")) == content
    stranger = await on_s3.person("stranger")
    theirs = f"stranger/{name.rpartition('/')[2]}"
    refused = await stranger.post(f"/v2/{theirs}/blobs/uploads/?mount={digest}&from={name}")
    assert refused.status_code == 202, "A14: an ordinary upload"
    one = image()
    await ann.push(name, one)
    assert (await ann.delete(f"/v2/{name}/manifests/{one.digest}")).status_code == 202
    assert outcome(await ann.get(f"/v2/{name}/manifests/latest")) == (404, "MANIFEST_UNKNOWN")
    await ann.push(name, one)
    assert (await ann.get(f"/v2/{name}/manifests/latest")).content == one.content


async def test_an_upload_goes_from_replica_to_replica(
    registry: Registry, ann: OCIClient, bucket: Bucket, outside: httpx.AsyncClient, name: str
) -> None:
    """None of them remembers anything of it."""
    other = OCIClient(replica(registry, bucket.store()).http(), ann.password)
    location = await ann.begin(name)
    chunks = list(pieces(CONTENT, PART // 2 + 11))
    for number, piece in enumerate(chunks):
        answer = await (ann, other)[number % 2].patch(location, content=piece)
        assert answer.status_code == 202, answer.text
        assert answer.headers["Range"] == f"0-{sum(map(len, chunks[: number + 1])) - 1}"
    assert (await other.put(f"{location}?digest={DIGEST}")).status_code == 201
    assert await pulled(outside, await ann.get(f"/v2/{name}/blobs/{DIGEST}")) == CONTENT


async def test_where_clients_cannot_reach_the_store_we_serve(registry: Registry, bucket: Bucket, name: str) -> None:
    served = replica(registry, bucket.store(redirect=False))
    client = await served.person("octo")
    for size in SIZES_OF_BLOBS.values():
        content = fresh(size)
        path = f"/v2/{name}/blobs/{await client.push_blob(name, content)}"
        for _ in range(2):
            answer = await client.get(path)
            assert (answer.status_code, answer.content) == (200, content)
        if size > 9:
            part = await client.get(path, headers={"Range": "bytes=2-7"})
            assert (part.status_code, part.content) == (206, content[2:8])
            assert part.headers["Content-Range"] == f"bytes 2-7/{size}"


async def test_a_store_that_is_away_is_503_and_told_nothing_of(registry: Registry, bucket: Bucket, name: str) -> None:
    """A push begins again when it is back."""
    one: Image = image()
    there = await replica(registry, bucket.store()).person("octo")
    await there.push(name, one)
    nowhere = replace(bucket.address, endpoint=f"http://127.0.0.1:{free_port()}")
    async with S3Client.open(nowhere, read_timeout_s=0.5, attempts=1) as client:
        away = OCIClient(replica(registry, S3BlobStore(client, sizes=SIZES)).http(), there.password)
        location = await away.begin(name)
        for answer in (
            await away.patch(location, content=CONTENT),
            await away.put(f"{location}?digest={DIGEST}", content=CONTENT),
            await away.post(f"/v2/{name}/blobs/uploads/?digest={DIGEST}", content=CONTENT),
        ):
            assert answer.status_code == 503, answer.text
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert "127.0.0.1" not in answer.text
            assert bucket.address.bucket not in answer.text
        assert (await away.get(f"/v2/{name}/manifests/latest")).content == one.content, "these lie in the database"
    assert (await there.put(f"{location}?digest={DIGEST}", content=CONTENT)).status_code == 201
    assert code_of(await there.get(location)) == "BLOB_UPLOAD_UNKNOWN"

"""Paths, queries and headers that no client sends: never a 5xx, never a code that is none, nothing of it repeated or stored."""

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.dice import seed_from
from tests.oci.images import image
from tests.oci.registry_api import OCIClient, Registry
from tests.oci.test_wire import code_in
from tests.oci.wire import Reply, Wire, listening

from berth.domain.image_reference import Digest
from berth.oci.problems import CODES

pytestmark = pytest.mark.asyncio(loop_scope="module")
DIGEST = Digest.of(b"")
SEED = seed_from("BERTH_CHAOS_SEED")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(registry: Registry, octo: OCIClient) -> AsyncIterator[int]:
    await octo.push("octo/app", image())
    async with listening(registry.app, registry.services) as port:
        yield port


async def ask(port: int, octo: OCIClient, method: str, target: bytes, *lines: bytes, body: bytes = b"") -> Reply:
    """One request, byte for byte, with a token for everything that octo has."""
    head = [
        method.encode() + b" " + target + b" HTTP/1.1", b"Host: berth.test", b"Content-Length: %d" % len(body),
        f"Authorization: Bearer {octo.token}".encode(), *lines, b"", b"",
    ]  # fmt: skip
    async with Wire.to(port) as wire:
        await wire.send(b"\r\n".join(head) + body)
        return await wire.reply(head=method == "HEAD")


# What is decoded from %xx is what a name, a tag or a digest is judged by.
TARGETS = {
    b"/v2/octo/app/manifests/latest": (200, None),
    b"/v2/octo%2Fapp/manifests/latest": (200, None),
    b"/v2/octo/app/manifests%2Flatest": (200, None),
    b"/v2/octo/%61pp/manifests/l%61test": (200, None),
    b"/v2/octo/app/manifests/latest?n=%00": (200, None),
    b"/v2/octo/app/manifests/latest?%zz&&&=&;": (200, None),
    b"/v2/octo/app/../app/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/../v2/octo/app/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/..%2f..%2fetc%2fpasswd/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/%2e%2e/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/app%00/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/app%0A/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/app%ff/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/%F0%9F%90%B3/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/%ED%A0%80/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/app%EF%BC%8Fx/manifests/latest": (400, "NAME_INVALID"),
    b"/v2//octo/app/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/app//manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/app\\x/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/" + b"a/" * 20_000 + b"manifests/latest": (404, "NAME_UNKNOWN"),
    b"/v2/octo/" + b"a" * 40_000 + b"/manifests/latest": (404, "NAME_UNKNOWN"),
    b"/v2/octo/" + b"a-" * 20_000 + b"/manifests/latest": (400, "NAME_INVALID"),
    b"/v2/octo/app/manifests/": (404, "MANIFEST_UNKNOWN"),
    b"/v2/octo/app/manifests/..": (404, "MANIFEST_UNKNOWN"),
    b"/v2/octo/app/manifests/%2e%2e%5c": (404, "MANIFEST_UNKNOWN"),
    b"/v2/octo/app/manifests/latest%00": (404, "MANIFEST_UNKNOWN"),
    b"/v2/octo/app/manifests/latest%0A": (404, "MANIFEST_UNKNOWN"),
    b"/v2/octo/app/manifests/LATEST": (404, "MANIFEST_UNKNOWN"),
    b"/v2/octo/app/manifests/%6c%61%74%65%73%74%cc%81": (404, "MANIFEST_UNKNOWN"),
    b"/v2/octo/app/manifests/" + b"x" * 40_000: (404, "MANIFEST_UNKNOWN"),
    b"/v2/octo/app/manifests/latest/": (404, "UNSUPPORTED"),
    b"/v2/octo/app/manifests/:": (400, "DIGEST_INVALID"),
    b"/v2/octo/app/manifests/sha256:%00": (400, "DIGEST_INVALID"),
    b"/v2/octo/app/blobs/..%2f..%2fetc%2fpasswd": (404, "UNSUPPORTED"),
    b"/v2/octo/app/blobs/": (400, "DIGEST_INVALID"),
    b"/v2/octo/app/blobs/sha256:../../../etc/passwd": (404, "UNSUPPORTED"),
    b"/v2/octo/app/blobs/sha256:..%2f..%2f": (404, "UNSUPPORTED"),
    b"/v2/octo/app/blobs/sha256:" + b"0" * 63 + b"%30": (404, "BLOB_UNKNOWN"),
    b"/v2/octo/app/blobs/sha256:" + b"0" * 63 + b"%D9%A0": (400, "DIGEST_INVALID"),
    b"/v2/octo/app/blobs/" + str(DIGEST).encode() + b"%00": (400, "DIGEST_INVALID"),
    b"/v2/octo/app/blobs/" + b"0" * 40_000: (400, "DIGEST_INVALID"),
    b"/v2/octo/app/blobs/uploads/%2e%2e": (404, "BLOB_UPLOAD_UNKNOWN"),
    b"/v2/octo/app/blobs/uploads/a%00b": (404, "BLOB_UPLOAD_UNKNOWN"),
    b"/v2/octo/app/blobs/uploads/" + b"9" * 40: (404, "BLOB_UPLOAD_UNKNOWN"),
    b"/v2/octo/app/tags/list?n=" + b"9" * 40: (200, None),
    b"/v2/octo/app/tags/list?n=-" + b"9" * 40: (200, None),
    b"/v2/octo/app/tags/list?n=1&n=2&last=a&last=%00": (400, "UNSUPPORTED"),
    b"/v2/octo/app/tags/list?" + b"&".join(b"n=1" for _ in range(300)): (400, "UNSUPPORTED"),
    b"/v2/octo/app/tags/list?last=" + b"%F0%9F%90%B3" * 3_000: (200, None),
    b"/v2/octo/app/referrers/..": (400, "DIGEST_INVALID"),
    b"/v2/octo/app/referrers/" + str(DIGEST).encode() + b"?artifactType=%FF&after=%FF": (200, None),
    b"/v2/": (200, None),
    b"/v2//": (404, "UNSUPPORTED"),
    b"/v2/%2f": (404, "UNSUPPORTED"),
    b"/v2/%00": (404, "UNSUPPORTED"),
    b"/v2/octo/app": (404, "UNSUPPORTED"),
    b"/v2/manifests/latest": (404, "UNSUPPORTED"),
    b"/v2/_catalog/": (404, "UNSUPPORTED"),
}


async def test_targets(port: int, octo: OCIClient) -> None:
    await octo.log_in("repository:octo/app:pull,push")
    seen = {}
    for target in TARGETS:
        reply = await ask(port, octo, "GET", target)
        seen[target] = (reply.status, None if reply.status < 400 else code_in(reply))
        if reply.status >= 400:
            assert b"passwd" not in reply.body
            assert len(reply.body) < 500
    assert seen == TARGETS


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"Range: bytes=" + b"0-1," * 5000], 200),
        ([b"Range: bytes=" + b"9" * 40 + b"-"], 416),
        ([b"Range: bytes=0-0", b"Range: bytes=1-1"], 206),
        ([b"If-None-Match: " + b'"x",' * 5000], 200),
        ([b"If-None-Match: \xff\xfe"], 200),
        ([b"If-Range: \xff", b"Range: bytes=0-0"], 200),
        ([b"Accept: text/html"], 200),
        ([b"Accept-Encoding: gzip, br"], 200),
        ([b"Transfer-Encoding: identity"], None),
        ([b"X-Forwarded-Host: evil.example", b"X-Forwarded-Proto: https"], 200),
    ],
    ids=range(10),
)
async def test_headers(port: int, octo: OCIClient, lines: list[bytes], status: int | None) -> None:
    await octo.log_in("repository:octo/app:pull,push")
    digest = await octo.push_blob("octo/app", b"some content")
    reply = await ask(port, octo, "GET", f"/v2/octo/app/blobs/{digest}".encode(), *lines)
    assert reply.status == status or (status is None and reply.status in {200, 400})


@pytest.mark.parametrize(
    "host",
    [b'a"b', b'a, Basic realm="evil"', b"a b", b"\xff", b"x" * 400, b"", b"a/b", b"a@b", b"[::1]:80", b"host:5000"],
)
async def test_a_host_cannot_change_what_a_challenge_says(registry: Registry, port: int, host: bytes) -> None:
    async with Wire.to(port) as wire:
        await wire.send(b"GET /v2/ HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        reply = await wire.reply()
    if reply.status == 400:
        return  # the server's own word: no such host
    said = host.decode("latin-1") if host in {b"[::1]:80", b"host:5000"} else "localhost"
    assert reply.headers["www-authenticate"] == f'Bearer realm="http://{said}/token",service="{said}"'


async def test_an_external_url_is_what_it_says(own_registry: Registry) -> None:
    """Whatever host the client named: the realm is where passwords go."""
    client = own_registry.client()
    client.http = own_registry.http(external_url="https://berth.example:8443/")
    answer = await client.once("GET", "/v2/", headers={"Host": "evil.example"})
    wanted = 'Bearer realm="https://berth.example:8443/token",service="berth.example:8443"'
    assert answer.headers["WWW-Authenticate"] == wanted


PIECES = [
    b"/v2", b"/", b"octo", b"app", b"manifests", b"blobs", b"uploads", b"tags", b"list", b"referrers", b"latest", b"..",
    b"%2e", b"%2F", b"%00", b"%ff", b"\xc3\xa4".hex().encode(), b"sha256:", b"0" * 64, str(DIGEST).encode(), b"_catalog",
    b"?", b"&", b"=", b"n", b"last", b"digest", b"mount", b"from", b"tag", b"-", b"9" * 30, b"%F0%9F%90%B3", b":", b"@", b"%",
]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
HEADERS = [
    b"Content-Range: 0-4", b"Content-Range: 9-1", b"Content-Type: application/vnd.oci.image.index.v1+json", b"Range: bytes=1-",
    b"If-None-Match: *", b"Content-Type: \xff", b"Content-Range: bytes */*",
]  # fmt: skip
BODIES = [
    b"",
    b"hello",
    b"{}",
    b"[" * 1000,
    b'{"schemaVersion":2,"manifests":[]}',
    bytes(range(256)),
    b'{"schemaVersion":2,',
]


async def test_what_a_blind_typewriter_sends(port: int, octo: OCIClient) -> None:
    print(f"BERTH_CHAOS_SEED={SEED}")
    dice = random.Random(SEED)
    await octo.log_in("repository:octo/app:pull,push,delete repository:octo/typed:pull,push,delete")
    for _ in range(600):
        start = dice.choice([b"/v2/octo/app/", b"/v2/octo/typed/", b"/v2/", b"/token?"])
        target = start + b"".join(dice.choices([*PIECES, b"/", b"/"], k=dice.randrange(0, 9)))
        method, body = dice.choice(METHODS), dice.choice(BODIES)
        reply = await ask(port, octo, method, target, *dice.sample(HEADERS, dice.randrange(0, 3)), body=body)
        where = f"{method} {target!r} {body[:20]!r}"
        assert reply.status < 500, where
        if reply.status >= 400 and method != "HEAD" and reply.headers["content-type"] == "application/json":
            assert code_in(reply) in CODES, where

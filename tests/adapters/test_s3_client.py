"""What may go wrong between us and an S3 store: each a Problem, none a leak."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import aiohttp.client_exceptions
import aiohttp.http_exceptions
import botocore.exceptions
import botocore.httpsession
import pytest
import pytest_asyncio
from tests.adapters.s3_server import IDENTITY, S3Server, at_bucket, start_s3_server
from tests.fakes.certificates import Authority
from tests.fakes.http_server import Asked, Behaviour, HTTPServer, Reply, babble, drip, flood_of_headers, hang
from tests.server import free_port

from berth.adapters.s3_client import S3Client
from berth.domain.problem import Problem, UpstreamFailed
from berth.domain.s3_address import parse_s3_address

KEY = "content/canary-key"
pytestmark = pytest.mark.usefixtures("s3_identity")


@asynccontextmanager
async def client_at(port: int) -> AsyncIterator[S3Client]:
    address = parse_s3_address(f"s3://canary-bucket/canary?endpoint=http://127.0.0.1:{port}&region=us-east-1")
    async with S3Client.open(address, read_timeout_s=0.5, attempts=1) as client:
        yield client


async def fetch(client: S3Client, start: int = 0, stop: int = 5) -> bytes:
    return b"".join([piece async for piece in client.read(KEY, start, stop)])


async def problem_of(attempt: Awaitable[object]) -> Problem:
    with pytest.raises(Problem) as caught:
        await attempt
    problem = caught.value
    for secret in ("canary", "127.0.0.1", "http:", "Signature"):
        assert secret not in f"{problem.message} {problem.remedy}", "no address, no key, none of the store's own words"
    if problem.code == "blob.unavailable":
        assert isinstance(problem, UpstreamFailed)
        assert problem.retryable
    return problem


def xml(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>canary</Message></Error>".encode()


ANSWERS = {
    "no such key": (404, xml("NoSuchKey"), "blob.lost"),
    "a range that is not there": (416, xml("InvalidRange"), "blob.lost"),
    "no such bucket": (404, xml("NoSuchBucket"), "blob.unavailable"),
    "not found, of what kind is not said": (404, b"", "blob.unavailable"),
    "access denied": (403, xml("AccessDenied"), "blob.unavailable"),
    "unknown key id": (403, xml("InvalidAccessKeyId"), "blob.unavailable"),
    "unauthenticated": (401, xml("Unauthorized"), "blob.unavailable"),
    "expired identity": (400, xml("ExpiredToken"), "blob.unavailable"),
    "another region": (301, xml("PermanentRedirect"), "blob.unavailable"),
    "broken": (500, xml("InternalError"), "blob.unavailable"),
    "a proxy is broken": (502, b"<html>canary", "blob.unavailable"),
    "slow down": (503, xml("SlowDown"), "blob.unavailable"),
    "too many requests": (429, xml("TooManyRequests"), "blob.unavailable"),
    "a code that is none": (400, xml("x y &lt;canary&gt;"), "blob.unavailable"),
    "full": (507, xml("XMinioStorageFull"), "blob.disk_full"),
    "full, in other words": (403, xml("QuotaExceeded"), "blob.disk_full"),
}


@dataclass
class Answering:
    """A store that gives one answer, and a client of it."""

    client: S3Client
    server: HTTPServer
    replies: list[Reply]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answering() -> AsyncIterator[Answering]:
    replies: list[Reply] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in IDENTITY.items():
            patch.setenv(name, value)
        async with HTTPServer.run(lambda _: replies[-1]) as server, client_at(server.port) as client:
            yield Answering(client, server, replies)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("status, body, code", ANSWERS.values(), ids=ANSWERS)
async def test_what_the_store_answers(answering: Answering, status: int, body: bytes, code: str) -> None:
    answering.replies.append(Reply(status=status, body=body, headers={"Content-Type": "application/xml"}))
    before = len(answering.server.asked)
    assert (await problem_of(fetch(answering.client))).code == code
    assert len(answering.server.asked) == before + 1, "not tried again here, nor elsewhere"


async def test_a_failure_that_may_pass_is_tried_again() -> None:
    def answer(_: Asked) -> Reply:
        return Reply(status=503, body=xml("SlowDown")) if len(server.asked) < 2 else Reply(status=206, body=b"12345")

    async with HTTPServer.run(answer) as server:
        address = parse_s3_address(f"s3://bucket?endpoint=http://{server.address}&region=us-east-1")
        async with S3Client.open(address) as client:
            assert await fetch(client) == b"12345"


BEHAVIOURS = {"silence": hang, "something else": babble, "a head without end": flood_of_headers}


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
async def test_what_is_no_answer(behaviour: Behaviour) -> None:
    async with HTTPServer.run(behaviour=behaviour) as server, client_at(server.port) as client:
        for attempt in (fetch(client), client.ping(), client.delete(KEY)):
            assert (await problem_of(attempt)).code == "blob.unavailable"


async def test_nobody_listens() -> None:
    async with client_at(free_port()) as client:
        for attempt in (fetch(client), client.ping(), client.delete(KEY), client.create_multipart(KEY)):
            assert (await problem_of(attempt)).code == "blob.unavailable"


async def test_no_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    async with client_at(free_port()) as client:
        problem = await problem_of(fetch(client))
        assert problem.message == "The S3 store cannot be used (NoCredentialsError)."


async def test_a_profile_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "canary")
    with pytest.raises(UpstreamFailed) as caught:
        async with client_at(1):
            pass
    assert caught.value.message == "The S3 store cannot be used (ProfileNotFound)."


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that ends too early."""
    writer.write(b"HTTP/1.1 206 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
    await writer.drain()


async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that does not go on."""
    await cut(reader, writer)
    await reader.read()


@pytest.mark.parametrize("behaviour", [cut, stall])
async def test_a_body_that_is_not_whole(behaviour: Behaviour) -> None:
    async with HTTPServer.run(behaviour=behaviour) as server, client_at(server.port) as client:
        got: list[bytes] = []

        async def read_all() -> None:
            async for piece in client.read(KEY, 0, 1_000_000):
                got.append(piece)

        assert (await problem_of(read_all())).code == "blob.unavailable"
        assert len(b"".join(got)) == 1000


async def test_a_store_that_does_not_know_ranges() -> None:
    """Its first bytes must not pass for those that were asked for."""
    async with HTTPServer.run(lambda _: Reply(body=b"0123456789")) as server, client_at(server.port) as client:
        assert (await problem_of(fetch(client, 3, 5))).code == "blob.lost"


async def test_a_slow_body_is_waited_for_as_long_as_something_comes() -> None:
    async with HTTPServer.run(behaviour=drip) as server, client_at(server.port) as client:
        got = 0
        async for piece in client.read(KEY, 0, 1_000_000):
            got += len(piece)
            if got > 35:
                return  # 0.7 s, longer than the timeout


@pytest.mark.asyncio(loop_scope="module")
async def test_a_bucket_that_is_gone(s3_server: S3Server, s3_connection: S3Client) -> None:
    client = at_bucket(s3_connection, replace(s3_server.make_bucket(), bucket="canary-no-such-bucket"))
    for attempt in (client.ping(), client.delete(KEY), anext(client.list("")), anext(client.list_multiparts(""))):
        assert (await problem_of(attempt)).message == "The S3 store has no such bucket."


async def test_the_store_dies() -> None:
    with start_s3_server() as server:
        async with S3Client.open(server.make_bucket(), attempts=1) as client:
            await client.ping()
            server.process.kill()
            server.process.wait()
            for attempt in (client.ping(), fetch(client)):
                assert (await problem_of(attempt)).code == "blob.unavailable"


async def test_a_private_certificate_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/storage.md: AWS_CA_BUNDLE. An unknown authority is refused."""
    authority = Authority(tmp_path)
    async with HTTPServer.run(lambda _: Reply(), tls=authority.server_context("localhost")) as server:
        address = parse_s3_address(f"s3://bucket?endpoint=https://localhost:{server.port}&region=us-east-1")
        async with S3Client.open(address, attempts=1) as client:
            assert (await problem_of(client.ping())).code == "blob.unavailable"
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.ca_file))
        async with S3Client.open(address, attempts=1) as client:
            await client.ping()


async def test_every_exception_of_the_library_is_translated() -> None:
    """A new class of failure in the library must not come through as a bug of ours."""
    of_other_things = {"UndefinedModelAttributeError", "MissingServiceIdError", "WSMessageTypeError"}
    async with client_at(1) as client:
        for module in (botocore.exceptions, botocore.httpsession, aiohttp.client_exceptions, aiohttp.http_exceptions):
            for kind in exceptions_of(module):
                assert issubclass(kind, client._failures) or kind.__name__ in of_other_things, kind


def exceptions_of(module: ModuleType) -> list[type[Exception]]:
    found = [each for _, each in inspect.getmembers(module, inspect.isclass) if issubclass(each, Exception)]
    ours = [each for each in found if each.__module__.startswith(("botocore", "aiohttp"))]
    return [each for each in ours if not issubclass(each, Warning)]

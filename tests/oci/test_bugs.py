"""A bug behind any endpoint: 500, plain text with a number, nothing of the inside; the log has the traceback and no secret."""

import base64
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn, cast

import pytest
import pytest_asyncio
from tests.oci.images import fresh, image
from tests.oci.registry_api import OCIClient, Registry
from tests.oci.wire import Reply, Wire, listening

from berth.adapters.log_lines import LineFormatter
from berth.domain.blob import LinkedBlob
from berth.oci.app import ROUTES, make_oci_app
from berth.oci.call import OCIServices
from berth.services.registry_access import RegistryAccess
from berth.services.registry_blob import RegistryBlobService

pytestmark = pytest.mark.asyncio(loop_scope="module")
ONE = image()
UPLOAD = "00000000-0000-4000-8000-000000000000"
PATHS = {
    ("manifests", "GET"): "manifests/latest",
    ("manifests", "HEAD"): "manifests/latest",
    ("manifests", "PUT"): "manifests/latest",
    ("manifests", "DELETE"): "manifests/latest",
    ("blobs", "GET"): f"blobs/{ONE.digest}",
    ("blobs", "HEAD"): f"blobs/{ONE.digest}",
    ("blobs", "DELETE"): f"blobs/{ONE.digest}",
    ("uploads", "POST"): "blobs/uploads/",
    ("uploads", "GET"): f"blobs/uploads/{UPLOAD}",
    ("uploads", "PATCH"): f"blobs/uploads/{UPLOAD}",
    ("uploads", "PUT"): f"blobs/uploads/{UPLOAD}?digest={ONE.digest}",
    ("uploads", "DELETE"): f"blobs/uploads/{UPLOAD}",
    ("tags", "GET"): "tags/list",
    ("tags", "HEAD"): "tags/list",
    ("referrers", "GET"): f"referrers/{ONE.digest}",
    ("referrers", "HEAD"): f"referrers/{ONE.digest}",
}
REQUESTS = {
    **{f"{method} {kind}": (method, f"/v2/octo/app/{path}") for (kind, method), path in PATHS.items()},
    "GET catalog": ("GET", "/v2/_catalog"),
    "GET token": ("GET", "/token?service=berth.test&scope=repository:octo/app:pull"),
    "POST token": ("POST", "/token"),
}


class Broken:
    """A service of which nothing works."""

    def __getattr__(self, name: str) -> NoReturn:
        raise ZeroDivisionError(f"the inside of {name}")


def broken(services: OCIServices) -> OCIServices:
    """All but who asks, and what he may do."""
    bug = cast("Any", Broken())
    return replace(services, tokens=bug, manifests=bug, blobs=bug, catalog=bug)


async def test_every_route_has_a_row() -> None:
    assert set(PATHS) == {(kind, method) for kind in ROUTES for method in ROUTES[kind]}


@dataclass
class Lines:
    """What stands in the server's log, as it stands there."""

    records: list[logging.LogRecord]

    @property
    def text(self) -> str:
        return "\n".join(LineFormatter().format(record) for record in self.records)


@contextmanager
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    """Of a block."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        yield Lines(caplog.records)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(registry: Registry) -> AsyncIterator[int]:
    """A server all of whose services are broken."""
    services = broken(registry.services)
    async with listening(make_oci_app(services, None), services) as port:
        yield port


@pytest.fixture
def basic(octo: OCIClient) -> str:
    return base64.b64encode(f"octo:{octo.password}".encode()).decode()


@pytest.mark.parametrize("case", REQUESTS)
async def test_a_bug_is_a_500_with_a_number_and_nothing_else(
    port: int, octo: OCIClient, basic: str, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    method, path = REQUESTS[case]
    await octo.log_in("repository:octo/app:pull,push,delete registry:catalog:*")
    credential = f"Basic {basic}" if "token" in case else f"Bearer {octo.token}"
    body = b"" if method in {"GET", "HEAD", "DELETE"} or case == "POST uploads" else ONE.content
    form = {"Content_Type": "application/x-www-form-urlencoded"} if case == "POST token" else {}
    if form:
        body = b"grant_type=password&username=octo&service=berth.test&password=" + str(octo.password).encode()
    sized: dict[str, str | int] = {"Content_Length": len(body)} if body else {}
    with log(caplog) as lines:
        async with Wire.to(port) as wire:
            await wire.head(method, path, Authorization=credential, **form, **sized)
            await wire.send(body)
            reply = await wire.reply(head=method == "HEAD")
            await wire.head("GET", "/v2/", Authorization=f"Bearer {octo.token}")
            assert (await wire.reply()).status == 200, "the connection goes on"
    (failed,) = [record for record in lines.records if record.message == "oci.failed"]
    check(reply, str(vars(failed)["request_id"]), head=method == "HEAD")
    assert "ZeroDivisionError: the inside of" in lines.text
    assert "Traceback" in lines.text
    for secret in (str(octo.token), str(octo.password), basic):
        assert secret not in lines.text


def check(reply: Reply, request_id: str, *, head: bool) -> None:
    assert reply.status == 500
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert "www-authenticate" not in reply.headers
    text = f"Server Error. The request id is {request_id}.\n"
    assert reply.headers["content-length"] == str(len(text))
    assert reply.body.decode() == ("" if head else text)


class Torn(RegistryBlobService):
    """Of its blobs the first bytes can be read."""

    async def read(self, blob: LinkedBlob, start: int, stop: int) -> AsyncIterator[bytes]:
        yield bytes(1000)
        raise ZeroDivisionError("the inside of a blob")


async def test_a_bug_in_the_middle_of_an_answer_breaks_it_off(
    registry: Registry, octo: OCIClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client sees that something is missing; what was sent so far is content only."""
    digest = await octo.push_blob(name, fresh(500_000))
    real = registry.services.blobs
    torn = Torn(store=real._store, clock=real._clock, cache=real._cache, access=real._access, blobs=real._blobs)
    services = replace(registry.services, blobs=torn)
    with log(caplog) as lines:
        async with listening(make_oci_app(services, None), services) as port, Wire.to(port) as wire:
            await wire.head("GET", f"/v2/{name}/blobs/{digest}", Authorization=f"Bearer {octo.token}")
            head, _, body = (await wire.until_closed()).partition(b"\r\n\r\n")
    assert b" 200 " in head.partition(b"\r\n")[0]
    assert b"content-length: 500000" in head.lower()
    assert set(body) == {0}
    assert len(body) == 1000
    assert "ZeroDivisionError: the inside of a blob" in lines.text
    assert str(octo.token) not in lines.text


class Forgetful(RegistryAccess):
    """Cannot say what it knows."""

    def recall(self, token: bytes, path: str) -> NoReturn:
        raise ZeroDivisionError("the inside of a memory")


async def test_a_bug_in_the_short_way_is_seen_and_the_long_way_answers(
    registry: Registry, octo: OCIClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await octo.push(name, ONE)
    real = registry.services.access
    forgetful = Forgetful(
        store=real._store, clock=real._clock, cache=real._cache, signer=real._signer, tokens=real._tokens
    )
    services = replace(registry.services, access=forgetful)
    with log(caplog) as lines:
        async with listening(registry.app, services) as port, Wire.to(port) as wire:
            for _ in range(2):
                await wire.head("GET", f"/v2/{name}/manifests/latest", Authorization=f"Bearer {octo.token}")
                reply = await wire.reply()
                assert (reply.status, reply.body) == (200, ONE.content)
    assert "ZeroDivisionError: the inside of a memory" in lines.text
    assert str(octo.token) not in lines.text

"""C9 and the bounds, against real servers on loopback; each attack stands beside a request that succeeds."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpcore
import pytest
from tests.fakes.certificates import Authority
from tests.fakes.http_server import (
    Asked,
    Behaviour,
    HTTPServer,
    Reply,
    babble,
    drip,
    flood,
    flood_of_headers,
    hang,
    many_headers,
)

from berth.adapters.guarded_http import (
    Endpoint,
    GuardedHTTP,
    GuardedHTTPSettings,
    GuardedRequest,
    GuardedResponse,
    Resolver,
    parse_resolve,
    system_resolver,
)
from berth.domain.address_policy import parse_private_addresses
from berth.domain.problem import Invalid, UpstreamFailed
from berth.domain.secret_text import SecretText

QUICK = GuardedHTTPSettings(resolve_timeout_s=0.5, connect_timeout_s=1, read_timeout_s=0.5, total_timeout_s=1)


def hello(request: Asked) -> Reply:
    return Reply(headers={"X-A": "1", "x-a": "2", "Set-Cookie": "a=b"}, body=b"hello")


def allowing(server: HTTPServer, settings: GuardedHTTPSettings = QUICK) -> GuardedHTTPSettings:
    """Plain http to exactly this server."""
    allow = parse_private_addresses([server.address])
    return replace(settings, private_addresses=allow, insecure_hosts=frozenset({server.address}))


@asynccontextmanager
async def client(settings: GuardedHTTPSettings, resolver: Resolver = system_resolver) -> AsyncIterator[GuardedHTTP]:
    http = GuardedHTTP(settings, resolver=resolver)
    yield http
    http.close()


async def get(
    url: str, settings: GuardedHTTPSettings, resolver: Resolver = system_resolver, max_body_bytes: int = 65536
) -> GuardedResponse:
    async with client(settings, resolver) as http, http.session() as session:
        return await session.send(GuardedRequest(method="GET", url=url, max_body_bytes=max_body_bytes))


async def code_of(url: str, settings: GuardedHTTPSettings, resolver: Resolver = system_resolver) -> str:
    with pytest.raises(UpstreamFailed) as failure:
        await get(url, settings, resolver)
    return failure.value.code


async def test_an_allowed_server_answers() -> None:
    async with HTTPServer.run(hello) as server:
        answer = await get(f"http://{server.address}/x?y=z", allowing(server))
    assert answer == GuardedResponse(
        status=200,
        headers={"connection": "close", "content-length": "5", "x-a": "1, 2", "set-cookie": "a=b"},
        body=b"hello",
    )
    assert server.asked[0].target == "/x?y=z"
    assert server.asked[0].headers == {"host": server.address, "accept-encoding": "identity", "user-agent": "berth"}


async def test_c9_loopback_is_forbidden_unless_listed() -> None:
    async with HTTPServer.run(hello) as server:
        settings = replace(allowing(server), private_addresses=parse_private_addresses([]))
        assert await code_of(f"http://{server.address}/", settings) == "registry.address_forbidden"
        assert server.connections == 0
        assert (await get(f"http://{server.address}/", allowing(server))).status == 200
        assert server.connections == 1


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(["127.0.0.1"], id="loopback"),
        pytest.param(["140.82.112.33", "127.0.0.1"], id="one public and one loopback"),
        pytest.param(["169.254.169.254"], id="metadata"),
        pytest.param(["::ffff:127.0.0.1"], id="mapped loopback"),
        pytest.param(["64:ff9b::7f00:1"], id="NAT64 of loopback"),
    ],
)
async def test_c9_a_name_that_leads_inside_is_forbidden(answers: list[str]) -> None:
    async with HTTPServer.run(hello) as server:
        url, name = f"http://inner.test:{server.port}/", f"inner.test:{server.port}"
        settings = replace(QUICK, insecure_hosts=frozenset({name}))
        assert await code_of(url, settings, lambda name, port: answers) == "registry.address_forbidden"
        assert server.connections == 0
        listed = replace(settings, private_addresses=parse_private_addresses([name]))
        assert (await get(url, listed, lambda name, port: ["127.0.0.1"])).status == 200


async def test_c9_rebinding_changes_nothing() -> None:
    """The second look-up would lead to a forbidden address; there is none, and the checked address is dialled."""
    looked_up: list[str] = []

    def rebinding(name: str, port: int) -> Sequence[str]:
        looked_up.append(name)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["127.0.0.2"]

    async with HTTPServer.run(hello) as server:
        name = f"rebind.test:{server.port}"
        settings = replace(
            QUICK, insecure_hosts=frozenset({name}), private_addresses=parse_private_addresses(["127.0.0.1/32"])
        )
        async with client(settings, rebinding) as http:
            async with http.session() as session:
                for _ in range(3):  # the server closes each connection, so each request dials anew
                    await session.send(GuardedRequest(method="GET", url=f"http://{name}/"))
            assert looked_up == ["rebind.test"]
            assert server.connections == 3
            assert server.asked[0].headers["host"] == name
            async with http.session() as session:  # a new session looks again, and checks again
                with pytest.raises(UpstreamFailed) as failure:
                    await session.send(GuardedRequest(method="GET", url=f"http://{name}/"))
    assert failure.value.code == "registry.address_forbidden"
    assert server.connections == 3


async def test_the_next_address_is_tried_where_one_refuses() -> None:
    async with HTTPServer.run(hello) as server:
        name = f"two.test:{server.port}"
        settings = replace(
            QUICK, insecure_hosts=frozenset({name}), private_addresses=parse_private_addresses(["127.0.0.0/8"])
        )
        answer = await get(f"http://{name}/", settings, lambda name, port: ["127.0.0.9", "127.0.0.1"])
    assert answer.status == 200


async def test_plain_http_only_to_listed_hosts() -> None:
    async with HTTPServer.run(hello) as server:
        settings = replace(allowing(server), insecure_hosts=frozenset())
        assert await code_of(f"http://{server.address}/", settings) == "registry.plain_http"
        assert server.connections == 0


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_no_proxy_of_the_environment_is_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with HTTPServer.run(hello) as other, HTTPServer.run(hello) as server:
        monkeypatch.setenv(proxy, f"http://{other.address}")
        assert (await get(f"http://{server.address}/", allowing(server))).status == 200
    assert other.connections == 0


async def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    headers: dict[str, str] = {"Set-Cookie": "a=b"}
    async with (
        HTTPServer.run(hello) as other,
        HTTPServer.run(lambda request: Reply(status=302, headers=headers)) as server,
        client(allowing(server)) as http,
        http.session() as session,
    ):
        headers["Location"] = f"http://{other.address}/"
        secret = {"Authorization": SecretText("s")}
        request = GuardedRequest(method="POST", url=f"http://{server.address}/", headers=secret, body=b"b")
        assert (await session.send(request)).status == 302
        await session.send(request)
    assert other.connections == 0
    assert server.authorizations == ["s", "s"]
    assert "cookie" not in server.asked[1].headers


@pytest.mark.parametrize(
    "behaviour,code",
    [
        pytest.param(hang, "registry.timeout", id="no answer"),
        pytest.param(drip, "registry.timeout", id="a slow drip"),
        pytest.param(flood, "registry.answer_too_big", id="a body without end"),
        pytest.param(flood_of_headers, "registry.bad_answer", id="headers without end"),
        pytest.param(many_headers, "registry.answer_too_big", id="a thousand headers"),
        pytest.param(babble, "registry.bad_answer", id="another protocol"),
    ],
)
async def test_time_and_bytes_are_bounded(behaviour: Behaviour, code: str) -> None:
    async with HTTPServer.run(behaviour=behaviour) as server:
        started = time.monotonic()
        assert await code_of(f"http://{server.address}/", allowing(server)) == code
        assert time.monotonic() - started < 3


async def test_a_body_of_exactly_the_limit_is_taken() -> None:
    async with HTTPServer.run(hello) as server:
        url = f"http://{server.address}/"
        assert (await get(url, allowing(server), max_body_bytes=5)).body == b"hello"
        with pytest.raises(UpstreamFailed, match="more than 4 bytes"):
            await get(url, allowing(server), max_body_bytes=4)


async def test_a_refused_connection() -> None:
    async with HTTPServer.run(hello) as server:
        url, settings = f"http://{server.address}/", allowing(server)
    assert await code_of(url, settings) == "registry.unreachable"


def failing_resolver(name: str, port: int) -> Sequence[str]:
    raise OSError(-2, "Name or service not known")


def slow_resolver(name: str, port: int) -> Sequence[str]:
    time.sleep(1)
    return []


@pytest.mark.parametrize(
    "resolver,code",
    [
        pytest.param(failing_resolver, "registry.name_unknown", id="no such name"),
        pytest.param(lambda name, port: [], "registry.name_unknown", id="a name without addresses"),
        pytest.param(slow_resolver, "registry.name_timeout", id="a slow name server"),
    ],
)
async def test_names_that_do_not_resolve(resolver: Resolver, code: str) -> None:
    assert await code_of("https://nowhere.test/", QUICK, resolver) == code


async def test_a_strange_url_is_refused() -> None:
    with pytest.raises(Invalid):
        await get("http://127.1/", QUICK)


async def test_tls_keeps_the_real_name(tmp_path: Path) -> None:
    """The address comes from RESOLVE; server name, Host header and certificate check are the real name's."""
    authority = Authority(tmp_path)
    seen: list[str | None] = []
    context = authority.server_context("registry.test")
    context.sni_callback = lambda connection, name, same: seen.append(name)
    async with HTTPServer.run(hello, tls=context) as server:
        resolve = parse_resolve([f"registry.test={server.address}", f"other.test={server.address}"])
        settings = replace(QUICK, resolve=resolve, ca_file=authority.ca_file)
        assert (await get("https://registry.test/", settings)).body == b"hello"
        assert seen == ["registry.test"]
        assert server.asked[0].headers["host"] == "registry.test"
        assert await code_of("https://other.test/", settings) == "registry.tls"
        untrusting = replace(settings, ca_file=None)
        assert await code_of("https://registry.test/", untrusting) == "registry.tls"
        assert len(server.asked) == 1


async def test_tls_with_a_server_that_has_none() -> None:
    async with HTTPServer.run(behaviour=babble) as server:
        settings = replace(QUICK, resolve=parse_resolve([f"registry.test={server.address}"]))
        assert await code_of("https://registry.test/", settings) in {
            "registry.tls",
            "registry.timeout",
            "registry.connect_timeout",
        }


async def test_cancelling_ends_at_once() -> None:
    async with HTTPServer.run(behaviour=hang) as server:
        task = asyncio.create_task(get(f"http://{server.address}/", allowing(server)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    "entry", ["", "host", "host=", "host=10.0.0.5", "host=name:1", "host:1=10.0.0.5:1", "=10.0.0.5:1", "host=127.1:1"]
)
def test_a_wrong_resolve_entry_is_named(entry: str) -> None:
    with pytest.raises(Invalid, match="is not host=address:port"):
        parse_resolve([entry])


def test_resolve_entries() -> None:
    assert parse_resolve(["A.test=10.0.0.5:1", "b.test=[::1]:2"]) == {
        "a.test": Endpoint("10.0.0.5", 1),
        "b.test": Endpoint("::1", 2),
    }


def test_the_system_resolves_localhost() -> None:
    assert set(system_resolver("localhost", 80)) <= {"127.0.0.1", "::1"}


def test_every_failure_of_the_transport_is_translated() -> None:
    """What httpcore can raise while it talks is below one of the classes that `send` catches."""
    caught = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
    not_talking = {"UnsupportedProtocol", "ConnectionNotAvailable", "ProxyError"}  # no such URL, internal, no proxy
    for name in dir(httpcore):
        thing = getattr(httpcore, name)
        if isinstance(thing, type) and issubclass(thing, Exception) and name not in not_talking:
            assert issubclass(thing, caught), name


_HUNG = """
import asyncio, time
from berth.adapters.guarded_http import *
async def main():
    http = GuardedHTTP(GuardedHTTPSettings(resolve_timeout_s=0.1), resolver=lambda name, port: time.sleep(600))
    async with http.session() as session:
        await session.send(GuardedRequest(method="GET", url="https://nowhere.test/"))
try:
    asyncio.run(main())
except UpstreamFailed as problem:
    print(problem.code)
"""


def test_a_resolver_that_hangs_does_not_hold_up_a_program_s_end() -> None:
    done = subprocess.run([sys.executable, "-c", _HUNG], capture_output=True, text=True, check=False, timeout=50)
    assert done.stdout == "registry.name_timeout\n", done.stderr


async def test_a_closed_client_looks_up_no_name() -> None:
    asked: list[str] = []

    def resolver(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        return []

    http = GuardedHTTP(QUICK, resolver=resolver)
    async with http.session() as session:
        request = GuardedRequest(method="GET", url="https://nowhere.test/")
        with pytest.raises(UpstreamFailed):
            await session.send(request)
        assert asked == ["nowhere.test"]
        http.close()
        with pytest.raises(RuntimeError):
            await session.send(replace(request, url="https://other.test/"))
    assert asked == ["nowhere.test"]

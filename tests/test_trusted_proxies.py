"""Whose address the edges see, by real connections to a server set up as `berth serve` sets up its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.oci.wire import Wire, listening
from websockets.asyncio.client import connect

from berth.adapters.log_lines import LineFormatter
from berth.front import make_front
from berth.listen_address import TCPAddress, UnixAddress
from berth.server import check_proxies
from berth.settings import load
from berth.wiring.server import make_berth

VISITOR = "203.0.113.7"


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """An edge that says who asks, over which scheme."""
    client = scope["client"]
    said = "nobody" if client is None else client[0]
    if scope["type"] == "http":
        await PlainTextResponse(f"{said} {scope['scheme']}")(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": said})
    await send({"type": "websocket.close"})


def front(*trusted: str) -> ASGIApp:
    proxies = load({"BERTH_TRUSTED_PROXIES": ",".join(trusted)}, None).trusted_proxies
    return make_front(rest=tell, sockets=tell, git=tell, oci=tell, ui=tell, checks={}, proxies=proxies)


async def ask(port: int, *headers: tuple[str, str], path: str = "/") -> str:
    async with Wire.to(port) as wire:
        lines = [f"{name}: {value}" for name, value in (("Host", "berth.test"), *headers)]
        await wire.send("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1"))
        return (await wire.reply()).body.decode()


@pytest.mark.parametrize("path", ["/login", "/api/v3/user", "/v2/acme/app/tags/list", "/a/b.git/info/refs", "/token"])
async def test_each_edge_sees_the_client(path: str) -> None:
    async with listening(front("127.0.0.1")) as port:
        assert await ask(port, ("X-Forwarded-For", f"192.0.2.1, {VISITOR}"), path=path) == f"{VISITOR} http"
        assert await ask(port, path=path) == "127.0.0.1 http"


async def test_several_headers_are_one_list() -> None:
    async with listening(front("127.0.0.1")) as port:
        for name in ("X-Forwarded-For", "x-forwarded-for", "X-FORWARDED-FOR"):
            assert await ask(port, (name, "127.0.0.1"), (name, VISITOR)) == f"{VISITOR} http"
        assert await ask(port, ("X-Forwarded-For", VISITOR), ("X-Forwarded-For", "\x80\xff")) == "nobody http"


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8", "unix")])
async def test_attack_a_client_says_that_it_is_another(trusted: tuple[str, ...]) -> None:
    async with listening(front(*trusted)) as port:
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X_Forwarded_For"):
            value = f"for={VISITOR}" if name == "Forwarded" else VISITOR
            assert await ask(port, (name, value)) == "127.0.0.1 http"
    async with listening(front("127.0.0.1")) as port:  # what the attack is without
        assert await ask(port, ("X-Forwarded-For", VISITOR)) == f"{VISITOR} http"


@pytest.mark.parametrize("path", ["/login", "/v2/acme/app/blobs/uploads/1"])
async def test_attack_a_trailer_says_who_asks(path: str) -> None:
    """Behind a proxy that hands trailers on: what stands in them came last, but not from the proxy."""
    async with listening(front("127.0.0.1")) as port, Wire.to(port) as wire:
        lines = f"Host: berth.test\r\nX-Forwarded-For: {VISITOR}\r\nTransfer-Encoding: chunked"
        await wire.send(f"POST {path} HTTP/1.1\r\n{lines}\r\n\r\n0\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n".encode())
        assert (await wire.reply()).body.decode() == f"{VISITOR} http"
        said = (
            ("X-Forwarded-For", VISITOR),
            ("X-Forwarded-For", "198.51.100.9"),
        )  # the control: so it would be believed
        assert await ask(port, *said) == "198.51.100.9 http"


async def test_no_other_header_of_a_proxy_is_believed() -> None:
    """The address and scheme of Berth are EXTERNAL_URL's to say (rest/own_address.py, ui/console.py)."""
    async with listening(front("127.0.0.1")) as port:
        others = (
            ("X-Forwarded-Proto", "https"),
            ("Forwarded", "for=192.0.2.1;proto=https"),
            ("X-Real-IP", "192.0.2.1"),
        )
        assert await ask(port, *others) == "127.0.0.1 http"
        assert await ask(port, ("X-Forwarded-For", VISITOR), *others) == f"{VISITOR} http"


async def test_a_websocket_has_the_same_client() -> None:
    for trusted, client in ((("127.0.0.1",), VISITOR), ((), "127.0.0.1")):
        async with (
            listening(front(*trusted)) as port,
            asyncio.timeout(20),
            connect(f"ws://127.0.0.1:{port}/", proxy=None, additional_headers={"X-Forwarded-For": VISITOR}) as wire,
        ):
            assert await wire.recv() == client


@asynccontextmanager
async def on_path(path: Path, *trusted: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        listening(front(*trusted), address=UnixAddress(path)),
        httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://berth.test") as client,
    ):
        yield client


async def test_a_unix_socket_is_a_proxys_only_if_that_is_said(tmp_path: Path) -> None:
    said = {"X-Forwarded-For": VISITOR}
    for number, (trusted, client) in enumerate([((), "nobody"), (("127.0.0.1",), "nobody"), (("unix",), VISITOR)]):
        async with on_path(tmp_path / f"s{number}", *trusted) as socket:
            assert (await socket.get("/", headers=said)).text == f"{client} https"
            assert (await socket.get("/")).text == "nobody https"


async def test_a_proxy_that_speaks_ipv4_to_a_server_on_ipv6() -> None:
    """It comes from ::ffff:127.0.0.1 then."""
    async with listening(front("127.0.0.1"), address=TCPAddress("::", 0)) as port:
        assert await ask(port, ("X-Forwarded-For", VISITOR)) == f"{VISITOR} http"
        assert await ask(port) == "::ffff:127.0.0.1 http"


@pytest.mark.parametrize(
    ("environment", "is_said"),
    [
        ({"BERTH_EXTERNAL_URL": "https://berth.example.com"}, True),
        ({"BERTH_EXTERNAL_URL": "https://berth.example.com", "BERTH_TRUSTED_PROXIES": "127.0.0.1"}, False),
        ({"BERTH_EXTERNAL_URL": "https://b.example.com", "BERTH_TLS_CERT": "c", "BERTH_TLS_KEY": "k"}, False),
        ({"BERTH_EXTERNAL_URL": "http://berth.example.com"}, False),
        ({}, False),
    ],
)
def test_a_proxy_that_is_not_named_is_noticed(
    environment: dict[str, str], is_said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    check_proxies(load(environment, None))
    assert [record.message for record in caplog.records] == ["server.no_trusted_proxies"] * is_said


@pytest.mark.parametrize(("trusted", "address"), [("127.0.0.1", VISITOR), ("10.1.0.2", "127.0.0.1")])
async def test_a_whole_server_knows_its_visitors(
    tmp_path: Path, trusted: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """From the setting to the log."""
    berth = await make_berth(load({"BERTH_DATA_DIR": str(tmp_path), "BERTH_TRUSTED_PROXIES": trusted}, None))
    said = {"X-Forwarded-For": f"198.51.100.9, {VISITOR}"}
    try:
        async with (
            listening(berth.app) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=said, trust_env=False) as client,
        ):
            word = (await client.get("/login")).text.partition('name="form_word" value="')[2][:64]
            form = {"form_word": word, "login": "nobody", "password": "a canary"}
            assert (await client.post("/login", data=form)).status_code == 401
    finally:
        await berth.close()
    lines = [LineFormatter().format(each).partition(" ")[2] for each in caplog.records if "session" in each.message]
    assert lines == [f"warning session.refused address={address} login='unknown account' way=password"]

"""C7, C9: what a registry names leads Berth nowhere. A sink counts every connection; Berth makes none.

Beside each lure a client that does follow reaches the sink by it: that is its control.
"""

import asyncio
import contextlib
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import httpx
import pytest
from tests.fakes.certificates import Authority
from tests.fakes.ecr import KEY_ID, SECRET, FakeECR
from tests.fakes.http_server import Asked, Handler, HTTPServer, Reply
from tests.fakes.provider_registry import CONFIG, MANIFEST, PASSWORD, ProviderRegistry, error
from tests.fakes.providers import PROGRAMS

from berth.adapters.ecr_http import EcrHTTP
from berth.adapters.guarded_http import GuardedHTTP, GuardedHTTPSettings, parse_resolve, system_resolver
from berth.adapters.registry_http import RegistryHTTP
from berth.domain.address_policy import parse_private_addresses
from berth.domain.ecr_host import find_ecr_registry
from berth.domain.ecr_key import AwsKeys, EcrToken
from berth.domain.feature_manifest import CONFIG_TYPE, LAYER_TYPE
from berth.domain.image_reference import Digest, ImageReference, parse_image_reference
from berth.domain.login_exchange import LoginProof
from berth.domain.media_type import MANIFEST_TYPES
from berth.domain.problem import Invalid
from berth.domain.registry_credential import Anonymous, CredentialSource, RegistryCredential
from berth.domain.registry_provider import Provider
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.ports import FetchedFeature, ImageRefused, ResolvedImage

HOST, SINK = "r.test", "https://sink.test"
PROGRAM = replace(PROGRAMS[Provider.PLAIN], host=HOST)
BEARER = replace(PROGRAM, realm=f"https://{HOST}/token", service="s")
CREDENTIAL = RegistryCredential(
    host=HOST, user="ana", password=SecretText(PASSWORD), source=CredentialSource(SecretLevel.USER, "P")
)
API = "api.ecr.eu-west-1.amazonaws.com"


@dataclass
class Sink:
    """Counts connections before anything is said on them; then it speaks TLS, and answers everything."""

    connections: int = 0
    port: int = 0

    @asynccontextmanager
    async def open(self, tls: ssl.SSLContext, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator["Sink"]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                await writer.start_tls(tls)
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
            except (OSError, asyncio.IncompleteReadError):
                pass  # whoever came had enough
            finally:
                writer.close()

        server = await asyncio.start_server(serve, host, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@dataclass
class Trap:
    """The registry r.test, and the sink that it would like to see reached."""

    server: HTTPServer
    sink: Sink
    settings: GuardedHTTPSettings
    ports: Mapping[str, int] = field(default_factory=dict)

    async def follow(self, url: str) -> None:
        """As a client does that goes wherever it is told."""
        name = url.removeprefix("https://").partition("/")[0]
        here = url.replace(f"//{name}", f"//127.0.0.1:{self.ports[name]}", 1)
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            await client.get(here, headers={"Host": name})


@asynccontextmanager
async def trap(authority: Authority, handler: Handler) -> AsyncIterator[Trap]:
    async with (
        HTTPServer.run(handler, tls=authority.server_context(HOST, API)) as server,
        Sink().open(authority.server_context("sink.test")) as sink,
    ):
        ports = {HOST: server.port, API: server.port, "sink.test": sink.port}
        resolve = parse_resolve(f"{name}=127.0.0.1:{port}" for name, port in ports.items())
        yield Trap(server, sink, GuardedHTTPSettings(resolve=resolve, ca_file=authority.ca_file), ports)


@contextmanager
def closing(
    settings: GuardedHTTPSettings, resolver: Callable[[str, int], Sequence[str]] = system_resolver
) -> Iterator[GuardedHTTP]:
    http = GuardedHTTP(settings, resolver=resolver)
    try:
        yield http
    finally:
        http.close()


async def ask_everything(http: GuardedHTTP, path: str = "app") -> list[object]:
    """All that is ever asked of a registry: an image, with and without a login; a tag that is missing; a login; a Feature."""
    registry = RegistryHTTP(http)
    image, missing = (parse_image_reference(f"{HOST}/{path}:{tag}") for tag in ("1", "2"))
    return [
        await registry.resolve(image, CREDENTIAL, "amd64"),
        await registry.resolve(image, Anonymous(), "amd64"),
        await registry.resolve(missing, CREDENTIAL, "amd64"),
        await registry.check_login(CREDENTIAL),
        await registry.fetch_feature(parse_image_reference(f"{HOST}/feature:1"), CREDENTIAL),
    ]


# --- what a registry can name

LAYER = b"an archive"


def described(media_type: str, content: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content), **more}


def foreign_image() -> tuple[bytes, bytes]:
    """A manifest whose layer and configuration lie elsewhere, and that configuration."""
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [str(Digest.of(LAYER))]}}).encode()
    body = {
        "mediaType": MANIFEST_TYPES[1],
        "config": described("application/vnd.oci.image.config.v1+json", config, urls=[f"{SINK}/config"]),
        "layers": [
            described("application/vnd.oci.image.layer.nondistributable.v1.tar", LAYER, urls=[f"{SINK}/layer"]),
        ],
    }
    return json.dumps(body).encode(), config


def feature() -> bytes:
    body = {
        "mediaType": MANIFEST_TYPES[1],
        "config": described(CONFIG_TYPE, b"{}", urls=[f"{SINK}/config"]),
        "layers": [described(LAYER_TYPE, LAYER, urls=[f"{SINK}/layer"])],
    }
    return json.dumps(body).encode()


def index() -> bytes:
    platform = {"os": "linux", "architecture": "amd64"}
    entry = described(MANIFEST_TYPES[1], MANIFEST, platform=platform, urls=[f"{SINK}/manifest"])
    return json.dumps({"mediaType": MANIFEST_TYPES[0], "manifests": [entry]}).encode()


def of_type(body: bytes, number: int = 1) -> Reply:
    return Reply(headers={"Content-Type": MANIFEST_TYPES[number]}, body=body)


def holding(program: ProviderRegistry, content: Mapping[str, Reply]) -> Handler:
    """The program, with these answers for who is logged in."""

    def answer(asked: Asked) -> Reply:
        reply = program(asked)
        return content.get(asked.path, reply) if reply.status != 401 else reply

    return answer


def with_headers(program: ProviderRegistry, **headers: str) -> Handler:
    """The same, with these headers on each answer, whatever its status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(asked: Asked) -> Reply:
        reply = FEATURE(program)(asked)
        return replace(reply, headers={**reply.headers, **named})

    return answer


def FEATURE(program: ProviderRegistry) -> Handler:  # noqa: N802 - as a constant beside the others
    content = {
        "/v2/feature/manifests/1": of_type(feature()),
        f"/v2/feature/blobs/{Digest.of(LAYER)}": Reply(body=LAYER),
    }
    return holding(program, content)


FOREIGN, FOREIGN_CONFIG = foreign_image()
LURES: Mapping[str, tuple[Handler, str]] = {  # who answers, and where a client finds the lure
    "a pagination link": (with_headers(PROGRAM, Link=f'<{SINK}/v2/app/tags/list?last=1>; rel="next"'), "/v2/app/tags/list"),
    "an upload's location": (
        with_headers(PROGRAM, Location=f"{SINK}/v2/app/blobs/uploads/1", Docker_Upload_UUID="1"), "/v2/app/manifests/1",
    ),
    "the same with a token": (
        with_headers(BEARER, Location=f"{SINK}/v2/app/blobs/uploads/1", Docker_Upload_UUID="1"), "/v2/app/manifests/1",
    ),
    "another place for the same": (with_headers(PROGRAM, Content_Location=f"{SINK}/x"), "/v2/"),
    "another service for the same": (with_headers(PROGRAM, Alt_Svc=f'h2="{SINK}"; ma=9'), "/v2/"),
    "a page that moves on": (with_headers(PROGRAM, Refresh=f"0; url={SINK}/x"), "/v2/"),
    "a layer elsewhere": (
        holding(PROGRAM, {
            "/v2/app/manifests/1": of_type(FOREIGN),
            f"/v2/app/blobs/{Digest.of(FOREIGN_CONFIG)}": Reply(body=FOREIGN_CONFIG),
        }), "/v2/app/manifests/1",
    ),
    "a manifest elsewhere": (
        holding(PROGRAM, {
            "/v2/app/manifests/1": of_type(index(), 0), f"/v2/app/manifests/{Digest.of(MANIFEST)}": of_type(MANIFEST),
            f"/v2/app/blobs/{Digest.of(CONFIG)}": Reply(body=CONFIG),
        }), "/v2/app/manifests/1",
    ),
    "a Feature elsewhere": (FEATURE(PROGRAM), "/v2/feature/manifests/1"),
}  # fmt: skip


def urls_in(reply: Reply) -> set[str]:
    told = " ".join([*reply.headers.values(), reply.body.decode("latin-1")])
    return set(re.findall(r"https://sink\.test[^\s\"'>\],;}]*", told))


@pytest.mark.parametrize("lure", LURES)
async def test_c7_what_a_registry_names_is_not_gone_to(authority: Authority, lure: str) -> None:
    handler, where = LURES[lure]
    async with trap(authority, handler) as there:
        with closing(there.settings) as http:
            image, _, missing, login, fetched = await ask_everything(http)
        assert isinstance(image, ResolvedImage), "the rest of the registry is good"
        assert isinstance(missing, ImageRefused)
        assert missing.finding.code == "image.not_found"
        assert isinstance(login, LoginProof), "it is not refused"
        assert isinstance(fetched, FetchedFeature) is (lure not in {"a layer elsewhere", "a manifest elsewhere"})
        assert there.sink.connections == 0
        assert {asked.method for asked in there.server.asked} == {"GET"}, "nothing is ever uploaded"
        logins = (f"Bearer token-{PASSWORD}", httpx.BasicAuth("ana", PASSWORD)._auth_header)
        requests = [Asked(method="GET", target=where, headers={"host": HOST, "authorization": one}) for one in logins]
        found = set().union(*(urls_in(handler(one)) for one in requests))
        assert found, "the control: it is there to be found"
        for url in found:
            await there.follow(url)
        assert there.sink.connections == len(found)


async def test_c7_what_aws_names_is_not_gone_to(authority: Authority) -> None:
    """Its answer names an address for docker to log in to; a redirect is none of its answers."""
    fake = FakeECR()

    def answer(asked: Asked) -> Reply:
        reply = fake(asked)
        body = reply.body.replace(b"https://123456789012.dkr.ecr.eu-west-1.amazonaws.com", f"{SINK}/x".encode())
        return replace(reply, body=body, headers={**reply.headers, "Location": f"{SINK}/x"})

    registry = find_ecr_registry("123456789012.dkr.ecr.eu-west-1.amazonaws.com")
    assert registry is not None
    keys = AwsKeys(key_id=KEY_ID, secret=SecretText(SECRET))
    clock = type("Clock", (), {"now": lambda self: datetime.now(UTC)})()
    async with trap(authority, answer) as there:
        with closing(there.settings) as http:
            assert isinstance(await EcrHTTP(http, clock=clock).authorize(registry, keys), EcrToken)
        assert there.sink.connections == 0
        await there.follow(f"{SINK}/x")
        assert there.sink.connections == 1


async def test_c9_a_name_that_is_bound_anew_leads_to_the_first_address_or_nowhere(authority: Authority) -> None:
    """127.0.0.1 stands for a public address, which it was when it was checked; 127.0.0.2 is inside."""
    answers: list[str] = []

    def rebind(name: str, port: int) -> Sequence[str]:
        answers.append("127.0.0.2" if answers else "127.0.0.1")
        return answers[-1:]

    tls = authority.server_context(HOST)
    async with HTTPServer.run(PROGRAM, tls=tls) as server, Sink().open(tls, "127.0.0.2", server.port) as sink:
        host = f"{HOST}:{server.port}"
        settings = GuardedHTTPSettings(
            private_addresses=parse_private_addresses(["127.0.0.1/32"]), ca_file=authority.ca_file
        )
        image, credential = parse_image_reference(f"{host}/app:1"), replace(CREDENTIAL, host=host)
        with closing(settings, rebind) as http:
            registry = RegistryHTTP(http)
            first = await registry.resolve(image, credential, "amd64")
            assert isinstance(first, ResolvedImage)
            assert (answers, len(server.asked)) == (["127.0.0.1"], 3), "asked once, though it was dialled three times"
            second = await registry.resolve(image, credential, "amd64")
        assert isinstance(second, ImageRefused)
        assert second.finding.code == "registry.address_forbidden"
        assert (sink.connections, len(server.asked)) == (0, 3)
        with socket.create_connection((rebind(HOST, server.port)[0], server.port), timeout=5):
            await until(lambda: sink.connections == 1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


# --- spellings of this machine's own address. What a client that does not look dials; None: nothing, on this machine

SPELLINGS: Mapping[str, str | None] = {
    "127.0.0.1": "127.0.0.1",
    "2130706433": "2130706433",
    "0x7f000001": "0x7f000001",
    "0x7f.0.0.1": "0x7f.0.0.1",
    "0177.0.0.1": "0177.0.0.1",
    "017700000001": "017700000001",
    "127.1": "127.1",
    "127.0.1": "127.0.1",
    "0": "0",
    "0.0.0.0": "0.0.0.0",
    "localhost": "localhost",
    "LocalHost": "LocalHost",
    "localhost.": None,  # on some machines it is the same name
    "127.0.0.1.": None,
    "[::ffff:127.0.0.1]": "::ffff:127.0.0.1",
    "[::FFFF:7f00:1]": "::FFFF:7f00:1",
    "[0:0:0:0:0:ffff:7f00:1]": "0:0:0:0:0:ffff:7f00:1",
    "[::127.0.0.1]": None,
    "[64:ff9b::7f00:1]": None,
    "[2002:7f00:1::]": None,
    "[::1]": "::1",
    "::1": "::1",
    "[::]": "::",
    "[::1%1]": "::1%1",
    "[::1%lo]": "::1%lo",
    "[::1%25lo]": "::1%lo",
    "[fe80::1%lo]": None,
    "ana@127.0.0.1": "127.0.0.1",
    "ana:pw@127.0.0.1": "127.0.0.1",
    f"{HOST}@127.0.0.1": "127.0.0.1",
    f"{HOST}:443@127.0.0.1": "127.0.0.1",
    f"127.0.0.1\\@{HOST}": "127.0.0.1",
    "\uff11\uff12\uff17.0.0.1": "\uff11\uff12\uff17.0.0.1",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460": "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
    "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54": "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
    "127\u30020\u30020\u30021": "127\u30020\u30020\u30021",
    "xn--localhost-": None,
    "127.0.0.1%2f": None,
    f"127.0.0.1%00.{HOST}": None,
    f"127.0.0.1 .{HOST}": None,
    f"127.0.0.1\t.{HOST}": None,
}


def find(name: str, port: int) -> Sequence[str]:
    """The system's, but for names that nobody has: there it would ask somebody."""
    if name != "localhost" and not re.fullmatch(r"[0-9a-fx.:]+", name):
        raise socket.gaierror(name)
    return system_resolver(name, port)


@pytest.fixture
async def sink(authority: Authority) -> AsyncIterator[Sink]:
    """At every address of loopback."""
    tls = authority.server_context("localhost")
    sink = Sink()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(sink.open(tls))
        if has_ipv6():
            port = sink.port  # of another program it may be in IPv6: then there are fewer controls, no fewer attacks
            with contextlib.suppress(OSError):
                await stack.enter_async_context(sink.open(tls, "::1", port))
        yield sink


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_c9_the_control_a_client_that_does_not_look_reaches_it(sink: Sink) -> None:
    reached = 0
    for dialled in filter(None, SPELLINGS.values()):
        try:
            connection = socket.create_connection((dialled, sink.port), timeout=5)
        except OSError:
            continue  # this machine's resolver does not read it so, or there is no IPv6
        with connection:
            reached += 1
            await until(lambda wanted=reached: sink.connections == wanted)  # type: ignore[misc]
    assert reached >= 20


def parsed(name: str) -> ImageReference | None:
    try:
        return parse_image_reference(name)
    except Invalid:
        return None


async def test_c9_no_spelling_in_an_image_s_name_leads_inside(sink: Sink) -> None:
    asked = 0
    with closing(GuardedHTTPSettings(), find) as http:
        for spelling in SPELLINGS:
            image = parsed(f"{spelling}:{sink.port}/acme/app:1")
            if image is None:
                continue
            answer = await RegistryHTTP(http).resolve(image, Anonymous(), "amd64")
            assert isinstance(answer, ImageRefused)
            assert answer.finding.code in {"registry.address_forbidden", "registry.name_unknown"}, spelling
            asked += 1
    assert sink.connections == 0
    assert asked > 5, "some are names, and it is the address that is refused"


@pytest.mark.parametrize("where", ["a realm", "a redirect", "a redirect without a scheme"])
async def test_c9_no_spelling_that_a_registry_names_leads_inside(authority: Authority, sink: Sink, where: str) -> None:
    named = [""]

    def answer(asked: Asked) -> Reply:
        if where == "a realm":
            challenge = {"WWW-Authenticate": f'Bearer realm="https://{named[0]}/token",service="s"'}
            return replace(error(401, "UNAUTHORIZED"), headers=challenge)
        reply = PROGRAM(asked)
        scheme = "https:" if where == "a redirect" else ""
        if "/blobs/" not in asked.path or reply.status != 200:
            return reply
        return Reply(status=307, headers={"Location": f"{scheme}//{named[0]}/blob"})

    def latin(text: str) -> str:
        return text.encode().decode("latin-1")  # as bytes on the wire

    async with HTTPServer.run(answer, tls=authority.server_context(HOST)) as server:
        settings = GuardedHTTPSettings(resolve=parse_resolve([f"{HOST}={server.address}"]), ca_file=authority.ca_file)
        with closing(settings, find) as http:
            for spelling in SPELLINGS:
                named[0] = latin(f"{spelling}:{sink.port}")
                for credential in (CREDENTIAL, Anonymous()):
                    answered = await RegistryHTTP(http).resolve(
                        parse_image_reference(f"{HOST}/app:1"), credential, "amd64"
                    )
                    assert isinstance(answered, ImageRefused), spelling
    assert sink.connections == 0
    if where == "a realm":
        assert server.authorizations == []
        assert len(server.asked) == 2 * len(SPELLINGS)
    else:
        assert len([asked for asked in server.asked if "/blobs/" in asked.path]) == len(SPELLINGS), (
            "it was named each time"
        )

"""Registries of every temper, over TLS on loopback: who gets the credential (C7), and what the person is told."""

import base64
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.fakes.certificates import Authority
from tests.fakes.docker_registry import MANIFEST, run_docker_registry
from tests.fakes.http_server import Asked, Behaviour, Handler, HTTPServer, Reply, drip, flood, hang

from berth.adapters.guarded_http import GuardedHTTP, GuardedHTTPSettings, parse_resolve
from berth.adapters.registry_http import BuiltInRegistry, RegistryHTTP
from berth.domain.address_policy import parse_private_addresses
from berth.domain.finding import Finding, Fixer
from berth.domain.image_reference import Digest, ImageReference, parse_image_reference
from berth.domain.login_exchange import LoginProof
from berth.domain.media_type import MANIFEST_TYPES
from berth.domain.registry_credential import Anonymous, CredentialSource, RegistryCredential
from berth.domain.registry_host import parse_web_address
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.ports import ImageRefused, RegistryClient, ResolvedImage

CANARY = "c4nary-p4ssword"
TOKEN = "c4nary-t0ken"
BASIC = "Basic " + base64.b64encode(f"ana:{CANARY}".encode()).decode()
CONFIG_BODY = b'{"rootfs": {"type": "layers", "diff_ids": []}}'
CONFIG = f"/v2/acme/app/blobs/{Digest.of(CONFIG_BODY)}"


def manifest(config: Digest) -> bytes:
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(config), "size": 46}
    return json.dumps({"mediaType": MANIFEST_TYPES[1], "config": described, "layers": []}).encode()


BODY = manifest(Digest.of(CONFIG_BODY))
HOST = "registry.test"
IMAGE = parse_image_reference(f"{HOST}/acme/app:1")
CREDENTIAL = RegistryCredential(
    host=HOST, user="ana", password=SecretText(CANARY), source=CredentialSource(SecretLevel.ORGANIZATION, "ACME")
)
QUICK = GuardedHTTPSettings(resolve_timeout_s=0.5, connect_timeout_s=1, read_timeout_s=0.5, total_timeout_s=1)


FOUND = Reply(headers={"Content-Type": MANIFEST_TYPES[1], "Docker-Content-Digest": str(Digest.of(BODY))}, body=BODY)
CONTENT = {"/v2/acme/app/manifests/1": FOUND, CONFIG: Reply(body=CONFIG_BODY)}


@dataclass(frozen=True)
class Registry:
    """How a well-behaved registry answers; the fields are its temper."""

    realm: str = f"https://{HOST}/token"
    scheme: str = "Bearer"
    accepts: str = BASIC
    rights: bool = True
    content: Mapping[str, Reply] = field(default_factory=lambda: CONTENT)

    def __call__(self, request: Asked) -> Reply:
        if request.path == "/token":
            if request.headers.get("authorization") not in {self.accepts, None}:
                return self.error(401, "UNAUTHORIZED")
            return Reply(body=json.dumps({"access_token": TOKEN}).encode())
        wanted = f"Bearer {TOKEN}" if self.scheme == "Bearer" else self.accepts
        if request.headers.get("authorization") != wanted:
            challenge = f'{self.scheme} realm="{self.realm}",service="{HOST}"'
            return replace(self.error(401, "UNAUTHORIZED"), headers={"WWW-Authenticate": challenge})
        if request.path == "/v2/":
            return Reply(body=b"{}")
        if not self.rights:
            return self.error(403, "DENIED")
        return self.content.get(request.path, self.error(404, "MANIFEST_UNKNOWN"))

    def error(self, status: int, code: str) -> Reply:
        return Reply(status=status, body=json.dumps({"errors": [{"code": code}]}).encode())


@contextmanager
def registries(
    settings: GuardedHTTPSettings, *, realm_table: Mapping[str, str] | None = None
) -> Iterator[RegistryHTTP]:
    http = GuardedHTTP(settings)
    yield RegistryHTTP(http, realm_table=realm_table, insecure_registries=settings.insecure_hosts, total_timeout_s=2)
    http.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def serving(
    authority: Authority, handler: Handler | None = None, behaviour: Behaviour | None = None
) -> AsyncIterator[tuple[HTTPServer, GuardedHTTPSettings]]:
    """That registry as https://registry.test."""
    context = authority.server_context(HOST)
    async with HTTPServer.run(handler, behaviour=behaviour, tls=context) as server:
        resolve = parse_resolve([f"{HOST}={server.address}"])
        yield server, replace(QUICK, ca_file=authority.ca_file, resolve=resolve)


async def finding_of(client: RegistryClient, credential: RegistryCredential | Anonymous = CREDENTIAL) -> Finding:
    result = await client.resolve(IMAGE, credential, "amd64")
    assert isinstance(result, ImageRefused)
    finding = result.finding
    text = f"{finding!r}"
    assert CANARY not in text
    assert BASIC.removeprefix("Basic ") not in text
    assert TOKEN not in text
    assert "{" not in finding.sentence + finding.next_step
    assert finding.next_step
    return finding


RESOLVED = ResolvedImage(
    image=IMAGE.pinned(Digest.of(BODY)),
    media_type=MANIFEST_TYPES[1],
    size_bytes=len(BODY),
    pull_token=SecretText(TOKEN),
    password_shown=False,
)
WITH_BASIC = replace(RESOLVED, pull_token=None, password_shown=True, login_proof=LoginProof.CHECKED)


@pytest.mark.parametrize(
    "registry,credential,resolved,authorizations",
    [
        pytest.param(
            Registry(), CREDENTIAL, RESOLVED, [BASIC, *[f"Bearer {TOKEN}"] * 2], id="Bearer with a credential"
        ),
        pytest.param(Registry(), Anonymous(), RESOLVED, [f"Bearer {TOKEN}"] * 2, id="Bearer anonymously"),
        pytest.param(Registry(scheme="Basic"), CREDENTIAL, WITH_BASIC, [BASIC] * 2, id="Basic with a credential"),
    ],
)
async def test_an_image_is_resolved(
    authority: Authority,
    registry: Registry,
    credential: RegistryCredential | Anonymous,
    resolved: ResolvedImage,
    authorizations: list[str],
) -> None:
    async with serving(authority, registry) as (server, settings):
        with registries(settings) as client:
            assert await client.resolve(IMAGE, credential, "amd64") == resolved
    assert server.authorizations == authorizations


WRONG = replace(CREDENTIAL, password=SecretText("wrong"))


@pytest.mark.parametrize(
    "registry,credential,code,fixer,evidence",
    [
        pytest.param(
            Registry(), WRONG, "image.unauthorized", Fixer.ORGANIZATION_OWNER,
            {"phase": "token", "status": "401", "error_code": "UNAUTHORIZED", "level": "organization", "prefix": "ACME"},
            id="a wrong password at the token service",
        ),
        pytest.param(
            Registry(scheme="Basic"), WRONG, "image.unauthorized", Fixer.ORGANIZATION_OWNER,
            {"phase": "manifest", "status": "401", "error_code": "UNAUTHORIZED"}, id="a wrong password with Basic",
        ),
        pytest.param(
            Registry(scheme="Basic"), Anonymous(), "image.credential_missing", Fixer.DEVELOPER,
            {"phase": "ping", "credential": "none"}, id="no password with Basic",
        ),
        pytest.param(
            Registry(rights=False), CREDENTIAL, "image.denied", Fixer.ORGANIZATION_OWNER,
            {"phase": "manifest", "status": "403", "error_code": "DENIED"}, id="no right to the image",
        ),
        pytest.param(
            lambda request: Reply(headers={"Content-Type": "text/html"}, body=b"<html>"), CREDENTIAL,
            "registry.not_a_registry", Fixer.DEVELOPER, {"phase": "ping"}, id="a web site",
        ),
        pytest.param(
            lambda request: Reply(status=429, headers={"Retry-After": "9"}), CREDENTIAL,
            "registry.rate_limited", Fixer.DEVELOPER, {"status": "429"}, id="a limit",
        ),
        pytest.param(
            lambda request: Reply(status=503), CREDENTIAL,
            "registry.server_error", Fixer.REGISTRY, {"status": "503"}, id="a failing registry",
        ),
    ],
)  # fmt: skip
async def test_a_refusal_says_why_and_who_can_mend_it(
    authority: Authority,
    registry: Handler,
    credential: RegistryCredential | Anonymous,
    code: str,
    fixer: Fixer,
    evidence: dict[str, str],
) -> None:
    async with serving(authority, registry) as (_, settings):
        with registries(settings) as client:
            finding = await finding_of(client, credential)
    assert (finding.code, finding.fixer) == (code, fixer)
    assert {"host": HOST, **evidence}.items() <= finding.evidence.items()


async def test_a_missing_tag(authority: Authority) -> None:
    async with serving(authority, Registry()) as (_, settings):
        with registries(settings) as client:
            result = await client.resolve(parse_image_reference(f"{HOST}/acme/app:2"), CREDENTIAL, "amd64")
    assert isinstance(result, ImageRefused)
    assert result.finding.code == "image.not_found"
    assert result.finding.evidence["error_code"] == "MANIFEST_UNKNOWN"


@asynccontextmanager
async def with_sink(
    authority: Authority, handler: Handler
) -> AsyncIterator[tuple[HTTPServer, HTTPServer, GuardedHTTPSettings]]:
    """A registry, and https://sink.test, which would like to see the credential."""

    def greedy(request: Asked) -> Reply:
        if request.path == "/token":
            return Reply(body=json.dumps({"token": TOKEN}).encode())
        if request.path == "/blob":
            return Reply(body=CONFIG_BODY)
        return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="give it to me"'})

    async with (
        serving(authority, handler) as (server, settings),
        HTTPServer.run(greedy, tls=authority.server_context("sink.test")) as sink,
    ):
        both = parse_resolve([f"{HOST}={server.address}", f"sink.test={sink.address}"])
        yield server, sink, replace(settings, resolve=both)


async def test_c7_a_realm_elsewhere_gets_nothing(authority: Authority) -> None:
    async with with_sink(authority, Registry(realm="https://sink.test/token")) as (server, sink, settings):
        with registries(settings) as client:
            finding = await finding_of(client)
        assert finding.code == "registry.realm_elsewhere"
        assert finding.evidence["other_host"] == "sink.test"
        assert HOST in finding.sentence
        assert "sink.test" in finding.sentence
        assert (sink.connections, server.authorizations) == (0, [])


async def test_c7_control_a_realm_in_the_table_gets_the_password(authority: Authority) -> None:
    async with with_sink(authority, Registry(realm="https://sink.test/token")) as (_, sink, settings):
        with registries(settings, realm_table={HOST: "sink.test"}) as client:
            assert await client.resolve(IMAGE, CREDENTIAL, "amd64") == RESOLVED
    assert sink.authorizations == [BASIC]


async def test_c7_control_anonymous_callers_may_use_a_realm_elsewhere(authority: Authority) -> None:
    async with with_sink(authority, Registry(realm="https://sink.test/token")) as (_, sink, settings):
        with registries(settings) as client:
            assert await client.resolve(IMAGE, Anonymous(), "amd64") == RESOLVED
    assert (len(sink.asked), sink.authorizations) == (1, [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["/v2/", "/token", "/v2/acme/app/manifests/1", CONFIG])
async def test_c7_no_redirect_carries_the_credential(authority: Authority, where: str, status: int) -> None:
    def redirecting(request: Asked) -> Reply:
        if request.path == where:
            return Reply(status=status, headers={"Location": f"https://sink.test{where}"})
        return Registry()(request)

    async with with_sink(authority, redirecting) as (_, sink, settings):
        with registries(settings) as client:
            await client.resolve(IMAGE, CREDENTIAL, "amd64")
            await client.check_login(CREDENTIAL)
    assert sink.authorizations == []
    assert bool(sink.asked) is (where in CONTENT)


async def test_c7_control_a_redirect_on_the_way_is_followed_without_the_credential(authority: Authority) -> None:
    def redirecting(request: Asked) -> Reply:
        if request.path == "/v2/acme/app/manifests/1":
            return Reply(status=307, headers={"Location": "/elsewhere"})
        if request.path == "/elsewhere":
            return FOUND
        return Registry()(request)

    async with serving(authority, redirecting) as (server, settings):
        with registries(settings) as client:
            assert await client.resolve(IMAGE, CREDENTIAL, "amd64") == RESOLVED
    (elsewhere,) = [request for request in server.asked if request.path == "/elsewhere"]
    assert "authorization" not in elsewhere.headers


async def test_c7_control_the_configuration_may_lie_elsewhere(authority: Authority) -> None:
    moved = {**CONTENT, CONFIG: Reply(status=307, headers={"Location": "https://sink.test/blob?sig=1"})}
    async with with_sink(authority, Registry(content=moved)) as (_, sink, settings):
        with registries(settings) as client:
            assert await client.resolve(IMAGE, CREDENTIAL, "amd64") == RESOLVED
    assert ([request.target for request in sink.asked], sink.authorizations) == (["/blob?sig=1"], [])


@pytest.mark.parametrize(
    "config,code",
    [
        pytest.param(None, "image.unproven", id="none"),
        pytest.param(Reply(body=b"{}"), "image.unproven", id="another one"),
        pytest.param(Reply(body=b" " * 5_000_000), "registry.answer_too_big", id="too big"),
    ],
)
async def test_l2_to_know_an_image_s_id_proves_nothing(authority: Authority, config: Reply | None, code: str) -> None:
    """The control is `test_an_image_is_resolved`: the same registry with the configuration."""
    content = {**CONTENT, CONFIG: config} if config else {path: CONTENT[path] for path in CONTENT if path != CONFIG}
    async with serving(authority, Registry(content=content)) as (_, settings):
        with registries(settings) as client:
            finding = await finding_of(client)
    assert finding.code == code
    assert finding.evidence["phase"] == "config"


async def test_an_image_for_another_platform(authority: Authority) -> None:
    platform = {"os": "linux", "architecture": "arm64"}
    index = json.dumps({"manifests": [{"digest": str(Digest.of(BODY)), "platform": platform}]}).encode()
    there = {
        "/v2/acme/app/manifests/1": Reply(headers={"Content-Type": MANIFEST_TYPES[0]}, body=index),
        f"/v2/acme/app/manifests/{Digest.of(BODY)}": FOUND,
        CONFIG: CONTENT[CONFIG],
    }
    async with serving(authority, Registry(content=there)) as (_, settings):
        with registries(settings) as client:
            finding = await finding_of(client)
            assert await client.resolve(IMAGE, CREDENTIAL, "arm64") == RESOLVED
    assert finding.code == "image.platform_missing"
    assert "linux/amd64" in finding.sentence
    assert "linux/arm64" in finding.sentence


async def test_c4_a_credential_for_another_host_is_not_sent(authority: Authority) -> None:
    async with serving(authority, Registry()) as (server, settings):
        with registries(settings) as client:
            finding = await finding_of(client, replace(CREDENTIAL, host="ghcr.io"))
    assert finding.code == "credential.other_host"
    assert server.connections == 0


async def test_one_login_attempt_at_most(authority: Authority) -> None:
    async with serving(authority, Registry(rights=False)) as (server, settings):
        with registries(settings) as client:
            await finding_of(client)
    assert [request.path for request in server.asked].count("/token") == 1


@pytest.mark.parametrize(
    "behaviour,code",
    [
        pytest.param(hang, "registry.timeout", id="no answer"),
        pytest.param(drip, "registry.timeout", id="a slow drip"),
        pytest.param(flood, "registry.answer_too_big", id="a body without end"),
    ],
)
async def test_a_bad_temper_ends_in_time(authority: Authority, behaviour: Behaviour, code: str) -> None:
    async with serving(authority, behaviour=behaviour) as (_, settings):
        with registries(settings) as client:
            finding = await finding_of(client)
    assert finding.code == code
    assert finding.evidence["phase"] == "ping"


async def test_c9_a_private_address_is_named_and_the_administrator_asked() -> None:
    async with HTTPServer.run(Registry()) as server:
        image = parse_image_reference(f"{server.address}/acme/app:1")
        with registries(QUICK) as client:
            result = await client.resolve(image, Anonymous(), "amd64")
        assert isinstance(result, ImageRefused)
        assert result.finding.code == "registry.address_forbidden"
        assert result.finding.fixer is Fixer.SITE_ADMIN
        assert server.connections == 0


async def test_c9_a_realm_inside_is_not_asked(authority: Authority) -> None:
    async with HTTPServer.run(Registry()) as inside:
        realm = f"https://{inside.address}/token"
        async with serving(authority, Registry(realm=realm)) as (_, settings):
            with registries(settings) as client:
                finding = await finding_of(client, Anonymous())
        assert finding.code == "registry.address_forbidden"
        assert finding.evidence["other_host"] == inside.address
        assert inside.connections == 0


@contextmanager
def with_built_in(own: HTTPServer, *ours: HTTPServer, settings: GuardedHTTPSettings = QUICK) -> Iterator[RegistryHTTP]:
    """A client of the server at `own`, to which `ours` belong, as wiring.py makes it."""
    reaching = settings.reaching([parse_web_address(f"http://{one.address}") for one in (own, *ours)])
    theirs, http = GuardedHTTP(settings), GuardedHTTP(reaching)
    yield RegistryHTTP(
        theirs,
        built_in=BuiltInRegistry(host=own.address, http=http),
        insecure_registries=reaching.insecure_hosts,
        total_timeout_s=2,
    )
    theirs.close()
    http.close()


def image_at(server: HTTPServer) -> ImageReference:
    return parse_image_reference(f"{server.address}/acme/app:1")


def later(handlers: list[Handler]) -> Handler:
    """For a server that must know its own address before it can say how it answers."""

    def answer(request: Asked) -> Reply:
        return handlers[0](request)

    return answer


@pytest.mark.parametrize("redirect", [False, True], ids=["blobs from here", "blobs from a store of ours"])
async def test_c9_the_built_in_registry_is_asked_without_being_listed(redirect: bool) -> None:
    handlers: list[Handler] = []
    async with HTTPServer.run(later(handlers)) as own, HTTPServer.run(lambda _: Reply(body=CONFIG_BODY)) as store:
        location = {"Location": f"http://{store.address}/bucket/blob?signature=1"}
        content = {**CONTENT, CONFIG: Reply(status=307, headers=location)} if redirect else CONTENT
        handlers.append(Registry(realm=f"http://{own.address}/token", content=content))
        with with_built_in(own, store) as client:
            credential = replace(CREDENTIAL, host=own.address)
            assert isinstance(await client.resolve(image_at(own), credential, "amd64"), ResolvedImage)
            assert await client.check_login(credential) is LoginProof.NOT_CHECKED
        assert (len(store.asked), store.authorizations) == (int(redirect), []), "C7"


async def test_c9_the_built_in_registry_leads_to_no_other_address() -> None:
    handlers: list[Handler] = []
    async with HTTPServer.run(later(handlers)) as own, HTTPServer.run(lambda _: Reply(body=CONFIG_BODY)) as inside:
        moved = {**CONTENT, CONFIG: Reply(status=307, headers={"Location": f"http://{inside.address}/"})}
        handlers.append(Registry(realm=f"http://{own.address}/token", content=moved))
        with with_built_in(own) as client:
            result = await client.resolve(image_at(own), replace(CREDENTIAL, host=own.address), "amd64")
        assert isinstance(result, ImageRefused)
        assert result.finding.evidence["other_host"] == inside.address
        assert inside.connections == 0


@pytest.mark.parametrize("where", ["redirect", "realm"])
async def test_c9_no_other_registry_leads_to_what_is_ours(where: str) -> None:
    async with HTTPServer.run(Registry()) as own, HTTPServer.run(Registry()) as store:
        for ours in (own, store):
            moved = {**CONTENT, CONFIG: Reply(status=307, headers={"Location": f"http://{ours.address}/"})}
            handlers: list[Handler] = []
            async with HTTPServer.run(later(handlers)) as other:
                realm = f"http://{ours.address if where == 'realm' else other.address}/token"
                handlers.append(Registry(realm=realm, content=moved))
                listed = replace(
                    QUICK,
                    private_addresses=parse_private_addresses([other.address]),
                    insecure_hosts=frozenset({other.address}),
                )
                with with_built_in(own, store, settings=listed) as client:
                    credential = replace(CREDENTIAL, host=other.address)
                    assert isinstance(await client.resolve(image_at(other), credential, "amd64"), ImageRefused)
            assert (ours.connections, bool(other.authorizations)) == (0, where == "redirect")


async def test_there_is_no_way_from_https_to_http() -> None:
    async with HTTPServer.run(Registry()) as server:
        settings = replace(QUICK, private_addresses=parse_private_addresses([server.address]))
        image = parse_image_reference(f"{server.address}/acme/app:1")
        with registries(settings) as client:
            result = await client.resolve(image, replace(CREDENTIAL, host=server.address), "amd64")
    assert isinstance(result, ImageRefused)
    assert result.finding.code in {
        "registry.tls",
        "registry.timeout",
        "registry.connect_timeout",
        "registry.unreachable",
    }
    assert server.asked == []


@pytest.mark.parametrize(
    "registry,credential,code",
    [
        pytest.param(Registry(), CREDENTIAL, "not_checked", id="Bearer and right, and tokens for anybody"),
        pytest.param(Registry(), WRONG, "image.unauthorized", id="Bearer and wrong"),
        pytest.param(Registry(scheme="Basic"), CREDENTIAL, "checked", id="Basic and right"),
        pytest.param(Registry(scheme="Basic"), WRONG, "image.unauthorized", id="Basic and wrong"),
        pytest.param(lambda request: Reply(body=b"{}"), CREDENTIAL, "not_asked", id="no login wanted"),
        pytest.param(lambda request: Reply(status=404), CREDENTIAL, "registry.not_a_registry", id="no registry"),
    ],
)
async def test_a_login_is_checked(
    authority: Authority, registry: Handler, credential: RegistryCredential, code: str
) -> None:
    async with serving(authority, registry) as (_, settings):
        with registries(settings) as client:
            finding = await client.check_login(credential)
    assert (finding.code if isinstance(finding, Finding) else finding) == code


async def test_a_login_at_a_name_that_does_not_resolve() -> None:
    http = GuardedHTTP(QUICK, resolver=lambda name, port: [])
    finding = await RegistryHTTP(http).check_login(CREDENTIAL)
    http.close()
    assert isinstance(finding, Finding)
    assert finding.code == "registry.name_unknown"


async def test_an_endless_realm_is_refused(authority: Authority) -> None:
    realm = f"https://{HOST}/" + "x" * 8150
    async with serving(authority, Registry(realm=realm)) as (_, settings):
        with registries(settings) as client:
            finding = await finding_of(client)
    assert finding.code in {"registry.bad_answer", "registry.realm_elsewhere"}


@pytest.mark.registry
@pytest.mark.parametrize(
    "user,password,tag,code",
    [
        pytest.param("ana", CANARY, "1", "", id="right"),
        pytest.param("ana", "wrong", "1", "image.unauthorized", id="wrong password"),
        pytest.param("eve", CANARY, "1", "image.unauthorized", id="wrong user"),
        pytest.param("", "", "1", "image.credential_missing", id="anonymous"),
        pytest.param("ana", CANARY, "2", "image.not_found", id="missing tag"),
    ],
)
async def test_the_real_docker_registry(tmp_path: Path, user: str, password: str, tag: str, code: str) -> None:
    async with run_docker_registry(tmp_path, "ana", CANARY) as address:
        settings = replace(
            QUICK, private_addresses=parse_private_addresses([address]), insecure_hosts=frozenset({address})
        )
        credential = (
            replace(CREDENTIAL, host=address, user=user, password=SecretText(password)) if user else Anonymous()
        )
        image = parse_image_reference(f"{address}/acme/app:{tag}")
        with registries(settings) as client:
            result = await client.resolve(image, credential, "amd64")
            login = await client.check_login(credential) if isinstance(credential, RegistryCredential) else None
    if code:
        assert isinstance(result, ImageRefused)
        assert result.finding.code == code
        assert (login is LoginProof.CHECKED) is (password == CANARY and user == "ana") or user == ""
    else:
        assert isinstance(result, ResolvedImage)
        assert result.image.digest == Digest.of(MANIFEST)
        assert login is LoginProof.CHECKED

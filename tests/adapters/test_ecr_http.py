"""The swap over TLS on loopback, under AWS's real names (C5, C9): only the user's keys sign, whatever this server has."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.certificates import Authority
from tests.fakes.ecr import DENIED, KEY_ID, SECRET, SESSION_TOKEN, TEMPORARY_ID, FakeECR, Key, error
from tests.fakes.http_server import Behaviour, Handler, HTTPServer, Reply, babble, drip, flood, hang

from berth.adapters.ecr_http import EcrHTTP
from berth.adapters.guarded_http import GuardedHTTP, GuardedHTTPSettings, parse_resolve
from berth.adapters.registry_http import RegistryHTTP
from berth.domain.ecr_answer import EcrFailure
from berth.domain.ecr_host import EcrRegistry, find_ecr_registry
from berth.domain.ecr_key import AwsKeys, EcrToken
from berth.domain.image_reference import Digest, parse_image_reference
from berth.domain.media_type import MANIFEST_TYPES
from berth.domain.registry_credential import CredentialSource, RegistryCredential
from berth.domain.registry_host import parse_web_address
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.services.ports import ImageRefused

KEYS = AwsKeys(key_id=KEY_ID, secret=SecretText(SECRET))
TEMPORARY = AwsKeys(key_id=TEMPORARY_ID, secret=SecretText(SECRET), session_token=SecretText(SESSION_TOKEN))
QUICK = GuardedHTTPSettings(resolve_timeout_s=0.5, connect_timeout_s=1, read_timeout_s=0.5, total_timeout_s=1)
FOREIGN = {
    "AWS_ACCESS_KEY_ID": "AKIASERVERSOWNKEY000",
    "AWS_SECRET_ACCESS_KEY": "s" * 40,
    "AWS_SESSION_TOKEN": "t" * 40,
}


def registry_of(host: str) -> EcrRegistry:
    found = find_ecr_registry(host)
    assert found is not None
    return found


HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PRIVATE = registry_of(HOST)
PUBLIC = registry_of("public.ecr.aws")


@dataclass
class Clock:
    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def serving(
    authority: Authority, handler: Handler | None, behaviour: Behaviour | None = None
) -> AsyncIterator[tuple[HTTPServer, GuardedHTTPSettings]]:
    """The API's own names, by RESOLVE."""
    names = [PRIVATE.api_host, PUBLIC.api_host]
    async with HTTPServer.run(handler, behaviour=behaviour, tls=authority.server_context(*names)) as server:
        resolve = parse_resolve(f"{name}={server.address}" for name in names)
        yield server, replace(QUICK, ca_file=authority.ca_file, resolve=resolve)


@contextmanager
def asking(
    settings: GuardedHTTPSettings, *, endpoint: str | None = None, clock: Clock | None = None
) -> Iterator[EcrHTTP]:
    http = GuardedHTTP(settings)
    yield EcrHTTP(http, clock=clock or Clock(), endpoint=endpoint)
    http.close()


@pytest.mark.parametrize("registry", [PRIVATE, PUBLIC], ids=["ecr", "ecr-public"])
@pytest.mark.parametrize("keys", [KEYS, TEMPORARY], ids=["long-lived", "temporary"])
async def test_c5_keys_are_swapped(authority: Authority, registry: EcrRegistry, keys: AwsKeys) -> None:
    fake = FakeECR()
    async with serving(authority, fake) as (server, settings):
        with asking(settings) as ecr:
            found = await ecr.authorize(registry, keys)
    assert isinstance(found, EcrToken)
    assert fake.tokens == {found.password.reveal(): found.expires_at}
    assert fake.swaps == [f"{keys.key_id} {registry.service} {registry.region}"]
    assert server.asked[0].headers["host"] == registry.api_host
    assert SECRET not in repr(server.asked)


async def test_c5_the_servers_own_identity_is_never_used(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Everything is set that AWS's own libraries would listen to, and leads into a sink."""
    fake = FakeECR()
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAPROFILE000000000\naws_secret_access_key = x\n"
    )
    async with HTTPServer.run(lambda _: Reply(status=500)) as sink, serving(authority, fake) as (server, settings):
        url = f"http://{sink.address}"
        redirects = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "HTTPS_PROXY", "https_proxy", "ALL_PROXY")
        metadata = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT")
        for name, value in {**FOREIGN, **dict.fromkeys((*redirects, *metadata), url)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        with asking(settings) as ecr:
            assert isinstance(await ecr.authorize(PRIVATE, KEYS), EcrToken)
            wrong = await ecr.authorize(PRIVATE, replace(KEYS, secret=SecretText("x" * 40)))
        assert isinstance(wrong, EcrFailure)
        assert wrong.code == "ecr.secret_wrong", "no other key is tried"
        assert (sink.connections, len(server.asked)) == (0, 2)
    assert fake.swaps == [f"{KEY_ID} ecr eu-west-1"] * 2
    assert not any(value in repr(server.asked) for value in FOREIGN.values())


def expired(keys: AwsKeys) -> FakeECR:
    return FakeECR(keys={keys.key_id: Key(session_token=SESSION_TOKEN, expired=True)})


THROTTLED = error(400, "ThrottlingException", "Rate exceeded")
OTHER_SECRET = replace(KEYS, secret=SecretText(SECRET[::-1]))
NO_SESSION = replace(TEMPORARY, session_token=None)
ROWS = [
    ("an unknown key", FakeECR(keys={}), KEYS, 0, "ecr.key_unknown"),
    ("a temporary key without its session token", FakeECR(), NO_SESSION, 0, "ecr.key_unknown"),
    ("a wrong secret", FakeECR(), OTHER_SECRET, 0, "ecr.secret_wrong"),
    ("our clock is behind", FakeECR(), KEYS, -20, "ecr.clock_skew"),
    ("our clock is ahead", FakeECR(), KEYS, 20, "ecr.clock_skew"),
    ("our clock is behind, and the secret is wrong", FakeECR(), OTHER_SECRET, -20, "ecr.clock_skew"),
    ("expired temporary keys", expired(TEMPORARY), TEMPORARY, 0, "ecr.keys_expired"),
    ("no right", FakeECR(refuse=[DENIED]), KEYS, 0, "ecr.access_denied"),
    ("too often", FakeECR(refuse=[THROTTLED]), KEYS, 0, "ecr.throttled"),
    ("AWS fails", FakeECR(refuse=[error(500, "ServerException", "x")]), KEYS, 0, "ecr.server_error"),
    ("not opted in", FakeECR(refuse=[error(403, "OptInRequired", "x")]), KEYS, 0, "ecr.not_opted_in"),
    ("malformed", FakeECR(refuse=[error(400, "IncompleteSignatureException", "x")]), KEYS, 0, "ecr.key_malformed"),
    ("XML", FakeECR(refuse=[Reply(status=403, body=b"<ErrorResponse/>")]), KEYS, 0, "ecr.bad_answer"),
    (
        "a redirect",
        FakeECR(refuse=[Reply(status=307, headers={"Location": "https://evil.example"})]),
        KEYS,
        0,
        "ecr.bad_answer",
    ),
    ("no token", FakeECR(refuse=[Reply(body=b"{}")]), KEYS, 0, "ecr.bad_answer"),
]


@pytest.mark.parametrize("fake, keys, minutes, code", [pytest.param(*row[1:], id=row[0]) for row in ROWS])
async def test_b3_every_refusal_and_the_same_without_its_cause(
    authority: Authority, fake: FakeECR, keys: AwsKeys, minutes: int, code: str
) -> None:
    async with serving(authority, fake) as (_, settings):
        with asking(settings, clock=Clock(timedelta(minutes=minutes))) as ecr:
            found = await ecr.authorize(PRIVATE, keys)
        assert isinstance(found, EcrFailure)
        assert found.code == code
        assert (abs(found.skew_s) > 60) == bool(minutes)
        good = FakeECR()
    async with serving(authority, good) as (_, settings):
        with asking(settings) as ecr:
            assert isinstance(await ecr.authorize(PRIVATE, KEYS), EcrToken)


@pytest.mark.parametrize("behaviour", [hang, drip, flood, babble], ids=lambda one: one.__name__)
async def test_whatever_answers_has_an_end(authority: Authority, behaviour: Behaviour) -> None:
    async with serving(authority, None, behaviour) as (_, settings):
        with asking(settings) as ecr:
            found = await ecr.authorize(PRIVATE, KEYS)
    assert isinstance(found, EcrFailure)
    assert found.code == "ecr.unreachable"
    assert found.error_code.startswith("registry.")


async def test_c9_the_address_is_checked_and_the_certificate_too(authority: Authority, tmp_path: Path) -> None:
    fake = FakeECR()
    async with serving(authority, fake) as (server, settings):
        cases = {
            "registry.tls": (replace(settings, ca_file=None), ["127.0.0.1"]),
            "registry.address_forbidden": (replace(settings, resolve={}), ["127.0.0.1"]),
            "registry.name_unknown": (replace(settings, resolve={}), []),
        }
        for error_code, (changed, addresses) in cases.items():

            def resolver(name: str, port: int, found: list[str] = addresses) -> list[str]:
                if not found:
                    raise OSError(name, port)
                return found

            http = GuardedHTTP(changed, resolver=resolver)
            failure = await EcrHTTP(http, clock=Clock()).authorize(PRIVATE, KEYS)
            http.close()
            assert isinstance(failure, EcrFailure)
            assert failure.error_code == error_code
            assert ("BERTH_PRIVATE_ADDRESSES" in failure.reason) == (error_code == "registry.address_forbidden")
            assert failure.code == (
                "ecr.region_unknown" if error_code == "registry.name_unknown" else "ecr.unreachable"
            )
        assert server.asked == []
        with asking(settings) as ecr:
            assert isinstance(await ecr.authorize(PRIVATE, KEYS), EcrToken)


async def test_the_administrators_stand_in_takes_the_place_of_every_address() -> None:
    fake = FakeECR()
    async with HTTPServer.run(fake) as server:
        endpoint = f"http://{server.address}"
        allowed = QUICK.reaching([parse_web_address(endpoint)])
        for registry in (PRIVATE, PUBLIC):
            with asking(allowed, endpoint=endpoint) as ecr:
                assert isinstance(await ecr.authorize(registry, KEYS), EcrToken)
            with asking(QUICK, endpoint=endpoint) as ecr:
                assert getattr(await ecr.authorize(registry, KEYS), "error_code", "") == "registry.plain_http"
    assert len(fake.swaps) == 2


async def test_b3_a_token_opens_the_registry_until_it_is_too_old(authority: Authority) -> None:
    """The whole way: swap, and the exchange with the registry behind it."""
    config = b'{"rootfs": {"type": "layers", "diff_ids": []}}'
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(Digest.of(config)), "size": 46}
    manifest = json.dumps({"mediaType": MANIFEST_TYPES[1], "config": described, "layers": []}).encode()
    content = {
        "/v2/team/dev/manifests/1": Reply(headers={"Content-Type": MANIFEST_TYPES[1]}, body=manifest),
        f"/v2/team/dev/blobs/{Digest.of(config)}": Reply(body=config),
    }
    fake = FakeECR(content=content)
    async with HTTPServer.run(fake, tls=authority.server_context(HOST, PRIVATE.api_host)) as server:
        resolve = parse_resolve(f"{name}={server.address}" for name in (HOST, PRIVATE.api_host))
        http = GuardedHTTP(replace(QUICK, ca_file=authority.ca_file, resolve=resolve))
        registry = RegistryHTTP(http)
        swapped = await EcrHTTP(http, clock=Clock()).authorize(PRIVATE, KEYS)
        assert isinstance(swapped, EcrToken)
        credential = RegistryCredential(
            host=HOST, user="AWS", password=swapped.password, source=CredentialSource(SecretLevel.USER, "A")
        )

        async def code_of(path: str = "team/dev", password: str = "") -> str:
            used = replace(credential, password=SecretText(password)) if password else credential
            found = await registry.resolve(parse_image_reference(f"{HOST}/{path}:1"), used, "amd64")
            return found.finding.code if isinstance(found, ImageRefused) else ""

        assert await code_of() == ""
        assert await code_of(path="team/other") == "image.not_found"
        assert await code_of(password="no-token-at-all") == "image.unauthorized"
        fake.now = lambda: datetime.now(UTC) + timedelta(hours=13)
        assert await code_of() == "image.token_expired"
        http.close()

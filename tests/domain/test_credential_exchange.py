"""The exchange, step by step and without a socket: what is asked, with which authorization, and what it ends in."""

import base64
import json
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

import pytest

from berth.domain.credential_exchange import Resolved, pull_exchange
from berth.domain.exchange_message import ExchangeRequest, ExchangeResponse, RateLimit
from berth.domain.exchange_session import ExchangeFailure, ExchangePolicy
from berth.domain.image_reference import Digest, DigestAlgorithm, ImageReference, parse_image_reference
from berth.domain.login_exchange import LoginProof
from berth.domain.media_type import MANIFEST_TYPES
from berth.domain.registry_credential import Anonymous, CredentialSource, RegistryCredential
from berth.domain.registry_provider import Provider
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

OCI = MANIFEST_TYPES[1]
CONFIG_BODY = json.dumps({"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]}}).encode()
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def manifest(config: bytes = CONFIG_BODY, /, **changes: object) -> bytes:
    described = {"mediaType": CONFIG_TYPE, "digest": str(Digest.of(config)), "size": len(config)}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI, "config": described, "layers": [{"digest": "sha256:2"}], **changes}
    ).encode()


BODY = manifest()
DIGEST = Digest.of(BODY)
IMAGE = parse_image_reference("ghcr.io/acme/app:1")
CREDENTIAL = RegistryCredential(
    host="ghcr.io", user="ana", password=SecretText("p:w"), source=CredentialSource(SecretLevel.USER, "ACME")
)
BASIC = "Basic " + base64.b64encode(b"ana:p:w").decode()
POLICY = ExchangePolicy()
BEARER_401 = ExchangeResponse(
    status=401, headers={"www-authenticate": 'Bearer realm="https://ghcr.io/token",service="ghcr.io"'}
)
BASIC_401 = ExchangeResponse(status=401, headers={"www-authenticate": 'Basic realm="x"'})
TOKEN = ExchangeResponse(status=200, body=b'{"token": "t0k"}')
MANIFEST = ExchangeResponse(status=200, headers={"docker-content-digest": str(DIGEST), "content-type": OCI}, body=BODY)
CONFIG = ExchangeResponse(status=200, body=CONFIG_BODY)
FOUND = (MANIFEST, CONFIG)
OPEN = ExchangeResponse(status=200, headers={"content-type": "application/json"}, body=b"{}")
HTML = ExchangeResponse(status=200, headers={"content-type": "text/html; charset=utf-8"}, body=b"<html>")
RESOLVED = Resolved(digest=DIGEST, media_type=OCI, size_bytes=len(BODY), login_proof=LoginProof.NOT_ASKED)
WITH_TOKEN = replace(RESOLVED, token=SecretText("t0k"), login_proof=LoginProof.CHECKED)
WITH_BASIC = replace(RESOLVED, password_shown=True, login_proof=LoginProof.CHECKED)


def answer(status: int, code: str = "", **headers: str) -> ExchangeResponse:
    body = json.dumps({"errors": [{"code": code}]}).encode() if code else b""
    return ExchangeResponse(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=body)


@dataclass(frozen=True)
class Story:
    """What was asked, and what it ended in."""

    asked: list[ExchangeRequest]
    result: Resolved | ExchangeFailure

    @property
    def code(self) -> str:
        return self.result.code if isinstance(self.result, ExchangeFailure) else ""

    @property
    def lines(self) -> list[str]:
        return [f"{r.phase} {(r.authorization.reveal() if r.authorization else '-')}" for r in self.asked]


def play(
    *answers: ExchangeResponse,
    credential: RegistryCredential | Anonymous = CREDENTIAL,
    image: ImageReference = IMAGE,
    policy: ExchangePolicy = POLICY,
) -> Story:
    """Play the answers in order; all must be used."""
    exchange = pull_exchange(image, credential, policy, "amd64")
    asked: list[ExchangeRequest] = []
    left = list(answers)
    try:
        asked.append(next(exchange))
        while left:
            asked.append(exchange.send(left.pop(0)))
    except StopIteration as end:
        assert not left, f"{len(left)} answers are not used"
        return Story(asked, end.value)
    raise AssertionError(f"not at the end: {asked[-1]}")


def test_a_bearer_exchange_in_full() -> None:
    story = play(BEARER_401, TOKEN, *FOUND)
    assert story.result == WITH_TOKEN
    assert story.lines == ["ping -", f"token {BASIC}", "manifest Bearer t0k", "config Bearer t0k"]
    ping, token, asked, config = story.asked
    assert ping.url == "https://ghcr.io/v2/"
    assert urlsplit(token.url)._replace(query="").geturl() == "https://ghcr.io/token"
    assert parse_qs(urlsplit(token.url).query) == {"service": ["ghcr.io"], "scope": ["repository:acme/app:pull"]}
    assert asked.url == "https://ghcr.io/v2/acme/app/manifests/1"
    assert config.url == f"https://ghcr.io/v2/acme/app/blobs/{Digest.of(CONFIG_BODY)}"
    assert set(MANIFEST_TYPES) == set(asked.accept.split(", "))


def test_a_basic_exchange_in_full() -> None:
    story = play(BASIC_401, *FOUND)
    assert story.result == WITH_BASIC
    assert story.lines == ["ping -", f"manifest {BASIC}", f"config {BASIC}"]


def test_an_anonymous_exchange_in_full() -> None:
    story = play(BEARER_401, TOKEN, *FOUND, credential=Anonymous())
    assert story.result == replace(WITH_TOKEN, login_proof=None)
    assert story.lines == ["ping -", "token -", "manifest Bearer t0k", "config Bearer t0k"]


def test_an_open_registry_is_asked_without_the_credential() -> None:
    assert play(OPEN, *FOUND).lines == ["ping -", "manifest -", "config -"]


def test_docker_hub_is_asked_at_its_api_and_its_token_service() -> None:
    hub = RegistryCredential(
        host="docker.io", user="ana", password=SecretText("p:w"), source=CredentialSource(SecretLevel.USER, "HUB")
    )
    challenge = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
    story = play(
        answer(401, www_authenticate=challenge), TOKEN, *FOUND, credential=hub, image=parse_image_reference("acme/app")
    )
    assert story.result == WITH_TOKEN
    assert [urlsplit(r.url).netloc for r in story.asked] == [
        "registry-1.docker.io", "auth.docker.io", "registry-1.docker.io", "registry-1.docker.io",
    ]  # fmt: skip


def test_an_insecure_registry_is_asked_over_plain_http() -> None:
    story = play(OPEN, *FOUND, policy=ExchangePolicy(insecure_hosts={"ghcr.io"}))
    assert story.asked[0].url == "http://ghcr.io/v2/"


def test_a_registry_with_an_open_ping_may_ask_for_the_login_later() -> None:
    story = play(OPEN, BEARER_401, TOKEN, *FOUND)
    assert story.result == WITH_TOKEN
    assert story.lines == ["ping -", "manifest -", f"token {BASIC}", "manifest Bearer t0k", "config Bearer t0k"]


@pytest.mark.parametrize(
    ("subject", "proof"), [("ana", LoginProof.CHECKED), ("", LoginProof.NOT_CHECKED), ("7f3a", None), (None, None)]
)
def test_what_a_token_of_an_unknown_provider_says_of_the_login(subject: str | None, proof: LoginProof | None) -> None:
    """Nothing more is asked to find that out; at ghcr.io the same answers show that it was looked at."""
    claims = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).decode().rstrip("=")
    token = ExchangeResponse(status=200, body=json.dumps({"token": f"h.{claims}.s"}).encode())
    challenge = answer(401, www_authenticate='Bearer realm="https://r.test/token"')
    plain = replace(CREDENTIAL, host="r.test")
    unknown = play(challenge, token, *FOUND, credential=plain, image=parse_image_reference("r.test/acme/app:1"))
    for story, expected in ((unknown, proof), (play(BEARER_401, token, *FOUND), LoginProof.CHECKED)):
        assert isinstance(story.result, Resolved)
        assert story.result.login_proof == expected
        assert len(story.asked) == 4


def test_bearer_is_preferred_to_basic() -> None:
    both = 'Basic realm="x", Bearer realm="https://ghcr.io/token"'
    assert play(answer(401, www_authenticate=both), TOKEN, *FOUND).lines[1] == f"token {BASIC}"


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_d1_either_name_of_the_token_is_taken(name: str) -> None:
    token = ExchangeResponse(status=200, body=json.dumps({name: "t0k"}).encode())
    assert play(BEARER_401, token, *FOUND).lines[-1] == "config Bearer t0k"


def test_the_scope_is_ours_whatever_the_registry_names() -> None:
    challenge = 'Bearer realm="https://ghcr.io/token?a=b",scope="repository:other/app:push"'
    token = play(answer(401, www_authenticate=challenge), TOKEN, *FOUND).asked[1]
    assert token.url == "https://ghcr.io/token?a=b&scope=repository%3Aacme%2Fapp%3Apull"


def test_the_media_type_may_stand_in_the_manifest() -> None:
    got = ExchangeResponse(status=200, headers={"content-type": "application/json"}, body=BODY)
    assert play(OPEN, got, CONFIG).result == RESOLVED


def test_a_digest_in_the_reference_is_binding() -> None:
    pinned = IMAGE.pinned(DIGEST)
    other = IMAGE.pinned(Digest.of(b"other"))
    strong = IMAGE.pinned(Digest.of(BODY, DigestAlgorithm.SHA512))
    assert play(OPEN, *FOUND, image=pinned).result == RESOLVED
    assert play(OPEN, MANIFEST, image=other).code == "image.digest_mismatch"
    assert isinstance(play(OPEN, *FOUND, image=strong).result, Resolved)


def test_a_digest_header_that_lies_about_the_body_is_found_out() -> None:
    lie = replace(MANIFEST, headers={"docker-content-digest": str(Digest.of(b"x")), "content-type": OCI})
    assert play(OPEN, lie).code == "image.digest_mismatch"


INDEX = MANIFEST_TYPES[0]


def index(*entries: tuple[str, str, str, bytes]) -> ExchangeResponse:
    manifests: list[object] = [
        {"digest": str(Digest.of(body)), "platform": {"os": system, "architecture": machine, "variant": variant}}
        for system, machine, variant, body in entries
    ]
    body = json.dumps({"schemaVersion": 2, "manifests": [*manifests, {"digest": "x"}, "no object"]}).encode()
    return ExchangeResponse(status=200, headers={"content-type": INDEX}, body=body)


def test_l2_of_an_index_the_platform_s_manifest_is_the_image() -> None:
    """Not the index: an engine that is given that could choose another manifest of it."""
    there = index(
        ("windows", "amd64", "", b"w"),
        ("linux", "amd64", "v3", b"3"),
        ("linux", "amd64", "", BODY),
        ("linux", "arm64", "v8", b"a"),
    )
    story = play(BASIC_401, there, *FOUND)
    assert story.result == WITH_BASIC
    assert story.lines == ["ping -", *(f"{phase} {BASIC}" for phase in ("manifest", "platform", "config"))]
    assert story.asked[2].url == f"https://ghcr.io/v2/acme/app/manifests/{DIGEST}"


def test_a_platform_that_is_missing_is_named_with_those_that_are_there() -> None:
    there = index(("linux", "arm64", "", b"a"), ("unknown", "unknown", "", b"u"), ("{evil}", "amd64", "", b"e"))
    result = play(OPEN, there).result
    assert isinstance(result, ExchangeFailure)
    assert result.code == "image.platform_missing"
    assert "linux/amd64; there is linux/arm64." in result.reason
    assert play(OPEN, replace(there, body=b'{"manifests": 7}')).code == "image.platform_missing"


def test_l2_an_index_proves_as_little_as_a_manifest() -> None:
    there = index(("linux", "amd64", "", BODY))
    assert play(OPEN, there, answer(404)).code == "image.unproven"
    assert play(OPEN, there, replace(MANIFEST, body=b"{}")).code == "image.digest_mismatch"
    assert play(OPEN, there, answer(302)).code == "registry.not_a_registry"
    assert play(OPEN, there, MANIFEST, answer(404)).code == "image.unproven"
    nested = index(("linux", "amd64", "", there.body))
    assert play(OPEN, nested, there).code == "image.unsupported"


@pytest.mark.parametrize(
    "config,code",
    [
        pytest.param(answer(404), "image.unproven", id="not there"),
        pytest.param(HTML, "registry.not_a_registry", id="a web page"),
        pytest.param(replace(CONFIG, body=b"{}"), "image.unproven", id="another configuration"),
        pytest.param(answer(401), "image.unauthorized", id="401"),
        pytest.param(answer(403), "image.denied", id="403"),
        pytest.param(answer(503), "registry.server_error", id="503"),
        pytest.param(answer(302), "registry.not_a_registry", id="a redirect to nowhere"),
    ],
)
def test_l2_the_configuration_must_be_served(config: ExchangeResponse, code: str) -> None:
    story = play(BASIC_401, MANIFEST, config)
    assert story.code == code
    assert story.asked[-1].phase == "config"


@pytest.mark.parametrize(
    "config", [b"[]", b"{}", b'{"rootfs": []}', b'{"rootfs": {"diff_ids": 1}}', b'{"rootfs": {"diff_ids": []}}']
)
def test_l2_the_configuration_must_fit_the_layers(config: bytes) -> None:
    got = ExchangeResponse(status=200, headers={"content-type": OCI}, body=manifest(config))
    assert play(OPEN, got, replace(CONFIG, body=config)).code == "image.unsupported"


def test_c7_the_configuration_may_lie_elsewhere_and_is_fetched_there_without_the_credential() -> None:
    story = play(BASIC_401, MANIFEST, answer(307, location="https://blobs.example/x?sig=1"), CONFIG)
    assert story.result == WITH_BASIC
    assert story.lines[-2:] == [f"config {BASIC}", "config -"]
    again = answer(302, location="/again")
    assert play(BASIC_401, MANIFEST, again, again, again, again).code == "registry.not_a_registry"


VICTIM = {"mediaType": CONFIG_TYPE, "digest": str(Digest.of(b"victim"))}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(manifest(mediaType=1), id="a kind that is no word"),
        pytest.param(b"[" * 60_000, id="nested without end"),
        pytest.param(manifest(mediaType=MANIFEST_TYPES[3]), id="another kind than its header says"),
        pytest.param(manifest(manifests=[]), id="an index too"),
        pytest.param(manifest(fsLayers=[]), id="schema 1 too"),
        pytest.param(manifest(Config=VICTIM), id="two configurations, as engines read it"),
        pytest.param(manifest(config=VICTIM | {"dige\u017ft": "x"}), id="two digests, as engines read it"),
        pytest.param(manifest(config=VICTIM | {"digest": "sha256:x"}), id="no digest"),
        pytest.param(manifest(config=VICTIM | {"mediaType": "application/vnd.oci.empty.v1+json"}), id="an artifact"),
        pytest.param(manifest(config=1), id="no configuration"),
        pytest.param(manifest(layers=1), id="no layers"),
    ],
)
def test_what_is_no_plain_image_is_refused(body: bytes) -> None:
    got = ExchangeResponse(status=200, headers={"content-type": OCI}, body=body)
    result = play(OPEN, got).result
    assert isinstance(result, ExchangeFailure)
    assert (result.code, result.reason[-1:]) == ("image.unsupported", ".")


def test_another_kind_of_manifest_is_refused() -> None:
    assert play(OPEN, ExchangeResponse(status=200, body=b"{}")).code == "image.unsupported"


def test_an_index_with_layers_is_refused() -> None:
    both = index(("linux", "amd64", "", BODY))
    got = replace(both, body=json.dumps({**json.loads(both.body), "layers": []}).encode())
    assert play(OPEN, got).code == "image.unsupported"


AT_MANIFEST = [BEARER_401, TOKEN]
FAILURES = [
    pytest.param([answer(404)], CREDENTIAL, "registry.not_a_registry", id="ping 404"),
    pytest.param([HTML], CREDENTIAL, "registry.not_a_registry", id="ping HTML"),
    pytest.param([answer(401)], CREDENTIAL, "registry.not_a_registry", id="ping 401 without a challenge"),
    pytest.param([answer(401, www_authenticate="NTLM")], CREDENTIAL, "registry.not_a_registry", id="a strange challenge"),
    pytest.param([answer(403)], CREDENTIAL, "image.denied", id="ping 403"),
    pytest.param([answer(403)], Anonymous(), "image.credential_missing", id="ping 403 anonymously"),
    pytest.param([answer(429)], CREDENTIAL, "registry.rate_limited", id="ping 429"),
    pytest.param([answer(503)], CREDENTIAL, "registry.server_error", id="ping 503"),
    pytest.param([BASIC_401], Anonymous(), "image.credential_missing", id="Basic and no credential"),
    pytest.param([BEARER_401, answer(401)], CREDENTIAL, "image.unauthorized", id="token 401"),
    pytest.param([BEARER_401, answer(403)], CREDENTIAL, "image.unauthorized", id="token 403, as GHCR says it"),
    pytest.param([BEARER_401, answer(401)], Anonymous(), "image.credential_missing", id="token 401 anonymously"),
    pytest.param([BEARER_401, answer(403)], Anonymous(), "image.credential_missing", id="token 403 anonymously"),
    pytest.param([BEARER_401, answer(429)], CREDENTIAL, "registry.rate_limited", id="token 429"),
    pytest.param([BEARER_401, answer(500)], CREDENTIAL, "registry.server_error", id="token 500"),
    pytest.param([BEARER_401, answer(404)], CREDENTIAL, "registry.not_a_registry", id="token 404"),
    pytest.param([BEARER_401, answer(302)], CREDENTIAL, "registry.realm_elsewhere", id="token redirect"),
    pytest.param([BEARER_401, answer(200)], CREDENTIAL, "registry.server_error", id="token without a token"),
    pytest.param(
        [BEARER_401, ExchangeResponse(status=200, body=b'{"token": "a\\nb"}')],
        CREDENTIAL, "registry.server_error", id="token with a newline",
    ),
    pytest.param(
        [BEARER_401, ExchangeResponse(status=200, body=b"[" * 60_000)],
        CREDENTIAL, "registry.server_error", id="token nested without end",
    ),
    pytest.param(
        [BEARER_401, ExchangeResponse(status=200, body=b"[]")],
        CREDENTIAL, "registry.server_error", id="token that is a list",
    ),
    pytest.param([BASIC_401, answer(401)], CREDENTIAL, "image.unauthorized", id="Basic rejected"),
    pytest.param([BASIC_401, answer(403)], CREDENTIAL, "image.denied", id="Basic without the right"),
    pytest.param([*AT_MANIFEST, answer(401, "DENIED")], CREDENTIAL, "image.denied", id="manifest 401"),
    pytest.param([*AT_MANIFEST, answer(403)], CREDENTIAL, "image.denied", id="manifest 403"),
    pytest.param([*AT_MANIFEST, answer(401)], Anonymous(), "image.credential_missing", id="anonymous 401"),
    pytest.param([*AT_MANIFEST, answer(404), answer(0)], CREDENTIAL, "image.not_found", id="manifest 404"),
    pytest.param([*AT_MANIFEST, answer(404), answer(404)], Anonymous(), "image.not_found", id="anonymous 404"),
    pytest.param([*AT_MANIFEST, answer(404, "NAME_UNKNOWN")], CREDENTIAL, "image.not_found", id="no such repository"),
    pytest.param(
        [*AT_MANIFEST, answer(401, www_authenticate='Bearer realm="https://ghcr.io/token",error="invalid_token"')],
        CREDENTIAL, "registry.token_refused", id="a token that the registry does not take",
    ),
    pytest.param([*AT_MANIFEST, answer(429)], CREDENTIAL, "registry.rate_limited", id="manifest 429"),
    pytest.param([*AT_MANIFEST, answer(500)], CREDENTIAL, "registry.server_error", id="manifest 500"),
    pytest.param([*AT_MANIFEST, HTML], CREDENTIAL, "registry.not_a_registry", id="manifest HTML"),
    pytest.param([*AT_MANIFEST, answer(200)], CREDENTIAL, "image.unsupported", id="no known media type"),
    pytest.param([OPEN, answer(401)], CREDENTIAL, "registry.not_a_registry", id="manifest 401 without a challenge"),
]  # fmt: skip


@pytest.mark.parametrize("answers,credential,code", FAILURES)
def test_it_fails_as(answers: list[ExchangeResponse], credential: RegistryCredential | Anonymous, code: str) -> None:
    assert play(*answers, credential=credential).code == code


@pytest.mark.parametrize(
    "body,code",
    [
        (b'{"errors": [{"code": "DENIED"}]}', "DENIED"),
        (b'{"errors": [{"code": "<script>"}]}', ""),
        (b'{"errors": [{"code": 1}]}', ""),
        (b'{"errors": ["x"]}', ""),
        (b'{"errors": []}', ""),
        (b'{"errors": "x"}', ""),
        (b"\xff", ""),
    ],
)
def test_the_registry_s_own_code_is_kept_if_it_is_one(body: bytes, code: str) -> None:
    result = play(BEARER_401, ExchangeResponse(status=401, body=body)).result
    assert isinstance(result, ExchangeFailure)
    assert result.error_code == code


@pytest.mark.parametrize(
    "headers,limit",
    [
        ({"retry_after": "17"}, RateLimit(retry_after_s=17)),
        ({"retry_after": "Mon, 30 Nov 2026 15:00:00 GMT"}, RateLimit(retry_at="Mon, 30 Nov 2026 15:00:00 GMT")),
        (
            {"ratelimit_limit": "100;w=21600", "ratelimit_remaining": "0;w=21600"},
            RateLimit(limit=100, window_s=21600, remaining=0),
        ),
        ({"ratelimit_limit": "5"}, RateLimit(limit=5)),
        ({"retry_after": "soon", "ratelimit_limit": "<script>"}, None),
        ({}, None),
    ],
)
def test_what_is_said_of_a_limit_is_kept(headers: dict[str, str], limit: RateLimit | None) -> None:
    result = play(answer(429, **headers)).result
    assert isinstance(result, ExchangeFailure)
    assert result.limit == limit


def test_where_a_tag_is_missing_the_tags_are_asked_for_with_the_same_login() -> None:
    tags = ExchangeResponse(status=200, body=b'{"tags": ["1.0", "2", "<b>"]}')
    story = play(*AT_MANIFEST, answer(404, "MANIFEST_UNKNOWN"), tags)
    assert isinstance(story.result, ExchangeFailure)
    assert story.result.tags == ("1.0",)
    last = story.asked[-1]
    assert (last.url, last.optional) == ("https://ghcr.io/v2/acme/app/tags/list?n=1000", True)
    assert story.lines[-2:] == ["manifest Bearer t0k", "tags Bearer t0k"]


def test_where_a_digest_is_missing_no_tags_are_asked_for() -> None:
    story = play(*AT_MANIFEST, answer(404), image=IMAGE.pinned(DIGEST))
    assert story.code == "image.not_found"


def jwt(*access: object) -> ExchangeResponse:
    claims = base64.urlsafe_b64encode(json.dumps({"access": access}).encode()).decode().rstrip("=")
    return ExchangeResponse(status=200, body=json.dumps({"token": f"h.{claims}.s"}).encode())


@pytest.mark.parametrize(
    "token,granted",
    [
        (jwt({"type": "repository", "name": "acme/app", "actions": ["pull"]}), True),
        (jwt({"type": "repository", "name": "acme/app", "actions": ["push"]}), False),
        (jwt({"type": "repository", "name": "acme/other", "actions": ["pull"]}), False),
        (jwt("x"), False),
        (jwt(), False),
        (TOKEN, None),
    ],
)
def test_what_the_token_says_of_itself_is_kept(token: ExchangeResponse, granted: bool | None) -> None:
    result = play(BEARER_401, token, answer(401)).result
    assert isinstance(result, ExchangeFailure)
    assert result.granted is granted


@pytest.mark.parametrize(
    "challenge,provider",
    [
        ('Bearer realm="https://r.test/service/token",service="harbor-registry"', Provider.HARBOR),
        ('Bearer realm="https://r.test/token",service="r.test"', Provider.PLAIN),
    ],
)
def test_a_provider_is_known_by_its_challenge(challenge: str, provider: Provider) -> None:
    credential = replace(CREDENTIAL, host="r.test")
    image = parse_image_reference("r.test/acme/app")
    result = play(answer(401, www_authenticate=challenge), answer(401), credential=credential, image=image).result
    assert isinstance(result, ExchangeFailure)
    assert result.provider is provider


def test_what_the_registry_says_is_kept_and_never_shown() -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "Not For You"}]}).encode()
    result = play(BEARER_401, ExchangeResponse(status=403, body=body)).result
    assert isinstance(result, ExchangeFailure)
    assert result.said == "not for you"
    assert "not for you" not in repr(result).lower()


REALM_ELSEWHERE = answer(401, www_authenticate='Bearer realm="https://evil.example/token",service="x"')


def test_c7_a_realm_elsewhere_gets_no_password() -> None:
    story = play(REALM_ELSEWHERE)
    assert story.code == "registry.realm_elsewhere"
    assert story.lines == ["ping -"]
    assert isinstance(story.result, ExchangeFailure)
    assert story.result.other_host == "evil.example"


def test_c7_a_realm_elsewhere_may_be_asked_without_a_password() -> None:
    story = play(REALM_ELSEWHERE, TOKEN, *FOUND, credential=Anonymous())
    assert story.result == replace(WITH_TOKEN, login_proof=None)
    assert story.lines[1] == "token -"


@pytest.mark.parametrize("realm", ["http://ghcr.io/token", "ftp://x", "", "https://u@ghcr.io/token"])
@pytest.mark.parametrize("credential", [CREDENTIAL, Anonymous()], ids=["with credential", "anonymous"])
def test_a_bad_realm_is_not_asked(realm: str, credential: RegistryCredential | Anonymous) -> None:
    challenge = answer(401, www_authenticate=f'Bearer realm="{realm}"')
    assert play(challenge, credential=credential).code == "registry.realm_elsewhere"


def test_c4_a_credential_for_another_host_is_never_sent() -> None:
    exchange = pull_exchange(parse_image_reference("quay.io/a/b"), CREDENTIAL, POLICY, "amd64")
    with pytest.raises(StopIteration) as end:
        next(exchange)
    assert end.value.value.code == "credential.other_host"


@pytest.mark.parametrize(
    "location,next_url",
    [
        ("https://other.example/v2/x", "https://other.example/v2/x"),
        ("/v2/renamed/manifests/1", "https://ghcr.io/v2/renamed/manifests/1"),
    ],
)
def test_c7_a_redirect_carries_no_credential(location: str, next_url: str) -> None:
    story = play(*AT_MANIFEST, answer(307, location=location), *FOUND)
    assert story.result == WITH_TOKEN
    assert story.asked[-2].url == next_url
    assert story.lines[-3:] == ["manifest Bearer t0k", "manifest -", "config Bearer t0k"]


@pytest.mark.parametrize("location", ["", "http://ghcr.io/x", "//evil.example/x", "ftp://x", "https://u@x/"])
def test_a_bad_redirect_is_not_followed(location: str) -> None:
    assert play(*AT_MANIFEST, answer(302, location=location)).code == "registry.not_a_registry"


def test_redirects_are_counted() -> None:
    again = answer(302, location="/again")
    story = play(*AT_MANIFEST, again, again, again, again)
    assert story.code == "registry.not_a_registry"
    assert len(story.asked) == 6


def test_c7_where_a_redirect_leads_no_login_is_tried() -> None:
    there = answer(302, location="https://evil.example/v2/a")
    story = play(OPEN, there, BASIC_401)
    assert story.code == "image.denied"
    assert all(line.endswith(" -") for line in story.lines)


def test_a_redirected_ping_is_left_to_the_manifest() -> None:
    story = play(answer(302, location="https://elsewhere.example/"), *FOUND)
    assert story.result == RESOLVED


ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
TOO_OLD = ExchangeResponse(status=403, body=b'{"errors":[{"message":"Your authorization token has expired."}]}')


@pytest.mark.parametrize(
    "host, response, code",
    [
        (ECR, TOO_OLD, "image.token_expired"),
        (ECR, answer(403), "image.denied"),
        ("public.ecr.aws", answer(400), "image.token_expired"),
        ("ghcr.io", TOO_OLD, "image.denied"),
    ],
    ids=["too old", "no right", "too old for the public one", "another registry's words"],
)
def test_b3_a_token_of_ecr_that_is_too_old_is_no_missing_right(
    host: str, response: ExchangeResponse, code: str
) -> None:
    image = parse_image_reference(f"{host}/acme/app:1")
    assert play(BASIC_401, response, credential=replace(CREDENTIAL, host=host), image=image).code == code
    anonymous = play(answer(200), response, credential=Anonymous(), image=image)
    assert anonymous.code in {"image.credential_missing", "registry.not_a_registry"}


def test_one_login_at_most() -> None:
    story = play(BEARER_401, TOKEN, BEARER_401)
    assert story.code == "image.denied"
    assert [r.phase for r in story.asked].count("token") == 1


def test_no_value_of_the_exchange_shows_the_password() -> None:
    story = play(BEARER_401, TOKEN, *FOUND)
    assert "p:w" not in repr(story)
    assert BASIC.removeprefix("Basic ") not in repr(story)
    assert "t0k" not in repr(story)

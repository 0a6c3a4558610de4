"""The exchange, step by step and without a socket: what is asked, with which authorization, and what it ends in."""

import base64
import json
from collections.abc import Generator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest

from berth.domain.credential_exchange import (
    ExchangeFailure,
    ExchangePolicy,
    LoggedIn,
    Resolved,
    login_exchange,
    pull_exchange,
)
from berth.domain.exchange_message import MANIFEST_TYPES, ExchangeRequest, ExchangeResponse
from berth.domain.image_reference import Digest, DigestAlgorithm, ImageReference, parse_image_reference
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

OCI = MANIFEST_TYPES[1]
BODY = json.dumps({"schemaVersion": 2, "mediaType": OCI}).encode()
DIGEST = Digest.of(BODY)
IMAGE = parse_image_reference("ghcr.io/acme/app:1")
CREDENTIAL = RegistryCredential(
    host="ghcr.io", user="ana", password=SecretText("p:w"), level=SecretLevel.USER, prefix="ACME"
)
BASIC = "Basic " + base64.b64encode(b"ana:p:w").decode()
POLICY = ExchangePolicy()
BEARER_401 = ExchangeResponse(
    status=401, headers={"www-authenticate": 'Bearer realm="https://ghcr.io/token",service="ghcr.io"'}
)
BASIC_401 = ExchangeResponse(status=401, headers={"www-authenticate": 'Basic realm="x"'})
TOKEN = ExchangeResponse(status=200, body=b'{"token": "t0k"}')
FOUND = ExchangeResponse(
    status=200,
    headers={"docker-content-digest": str(DIGEST), "content-type": OCI, "content-length": str(len(BODY))},
)
GOT = ExchangeResponse(status=200, headers={"content-type": OCI}, body=BODY)
OPEN = ExchangeResponse(status=200, headers={"content-type": "application/json"}, body=b"{}")
HTML = ExchangeResponse(status=200, headers={"content-type": "text/html; charset=utf-8"}, body=b"<html>")
RESOLVED = Resolved(digest=DIGEST, media_type=OCI, size_bytes=len(BODY))


def answer(status: int, code: str = "", **headers: str) -> ExchangeResponse:
    body = json.dumps({"errors": [{"code": code}]}).encode() if code else b""
    return ExchangeResponse(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=body)


@dataclass(frozen=True)
class Story:
    """What was asked, and what it ended in."""

    asked: list[ExchangeRequest]
    result: Resolved | LoggedIn | ExchangeFailure

    @property
    def code(self) -> str:
        return self.result.code if isinstance(self.result, ExchangeFailure) else ""

    @property
    def lines(self) -> list[str]:
        return [f"{r.phase} {r.method} {(r.authorization.reveal() if r.authorization else '-')}" for r in self.asked]


def play(
    *answers: ExchangeResponse,
    credential: RegistryCredential | Anonymous = CREDENTIAL,
    image: ImageReference | None = IMAGE,
    policy: ExchangePolicy = POLICY,
) -> Story:
    """Play the answers in order; all must be used."""
    exchange: Generator[ExchangeRequest, ExchangeResponse, Resolved | LoggedIn | ExchangeFailure]
    if image is not None:
        exchange = pull_exchange(image, credential, policy)
    else:
        assert isinstance(credential, RegistryCredential)
        exchange = login_exchange(credential, policy)
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
    story = play(BEARER_401, TOKEN, FOUND)
    assert story.result == RESOLVED
    assert story.lines == ["ping GET -", f"token GET {BASIC}", "manifest HEAD Bearer t0k"]
    ping, token, manifest = story.asked
    assert ping.url == "https://ghcr.io/v2/"
    assert urlsplit(token.url)._replace(query="").geturl() == "https://ghcr.io/token"
    assert parse_qs(urlsplit(token.url).query) == {"service": ["ghcr.io"], "scope": ["repository:acme/app:pull"]}
    assert manifest.url == "https://ghcr.io/v2/acme/app/manifests/1"
    assert set(MANIFEST_TYPES) == set(manifest.accept.split(", "))


def test_a_basic_exchange_in_full() -> None:
    story = play(BASIC_401, FOUND)
    assert story.result == RESOLVED
    assert story.lines == ["ping GET -", f"manifest HEAD {BASIC}"]


def test_an_anonymous_exchange_in_full() -> None:
    story = play(BEARER_401, TOKEN, FOUND, credential=Anonymous())
    assert story.result == RESOLVED
    assert story.lines == ["ping GET -", "token GET -", "manifest HEAD Bearer t0k"]


def test_an_open_registry_is_asked_without_the_credential() -> None:
    assert play(OPEN, FOUND).lines == ["ping GET -", "manifest HEAD -"]


def test_docker_hub_is_asked_at_its_api_and_its_token_service() -> None:
    hub = RegistryCredential(
        host="docker.io", user="ana", password=SecretText("p:w"), level=SecretLevel.USER, prefix="HUB"
    )
    challenge = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
    story = play(
        answer(401, www_authenticate=challenge), TOKEN, FOUND, credential=hub, image=parse_image_reference("acme/app")
    )
    assert story.result == RESOLVED
    assert [urlsplit(r.url).netloc for r in story.asked] == [
        "registry-1.docker.io", "auth.docker.io", "registry-1.docker.io",
    ]  # fmt: skip


def test_an_insecure_registry_is_asked_over_plain_http() -> None:
    story = play(OPEN, FOUND, policy=ExchangePolicy(insecure_hosts={"ghcr.io"}))
    assert story.asked[0].url == "http://ghcr.io/v2/"


def test_a_registry_with_an_open_ping_may_ask_for_the_login_later() -> None:
    story = play(OPEN, BEARER_401, TOKEN, FOUND)
    assert story.result == RESOLVED
    assert story.lines == ["ping GET -", "manifest HEAD -", f"token GET {BASIC}", "manifest HEAD Bearer t0k"]


def test_bearer_is_preferred_to_basic() -> None:
    both = 'Basic realm="x", Bearer realm="https://ghcr.io/token"'
    assert play(answer(401, www_authenticate=both), TOKEN, FOUND).lines[1] == f"token GET {BASIC}"


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_d1_either_name_of_the_token_is_taken(name: str) -> None:
    token = ExchangeResponse(status=200, body=json.dumps({name: "t0k"}).encode())
    assert play(BEARER_401, token, FOUND).lines[-1] == "manifest HEAD Bearer t0k"


def test_the_scope_is_ours_whatever_the_registry_names() -> None:
    challenge = 'Bearer realm="https://ghcr.io/token?a=b",scope="repository:other/app:push"'
    token = play(answer(401, www_authenticate=challenge), TOKEN, FOUND).asked[1]
    assert token.url == "https://ghcr.io/token?a=b&scope=repository%3Aacme%2Fapp%3Apull"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(answer(200, content_type=OCI, content_length="5"), id="no digest"),
        pytest.param(
            answer(200, docker_content_digest="sha256:x", content_type=OCI, content_length="5"), id="a bad digest"
        ),
        pytest.param(answer(200, docker_content_digest=str(DIGEST), content_length="5"), id="no media type"),
        pytest.param(answer(200, docker_content_digest=str(DIGEST), content_type=OCI), id="no length"),
        pytest.param(answer(405), id="HEAD is not allowed"),
        pytest.param(answer(404), id="HEAD is not understood"),
    ],
)
def test_get_where_head_does_not_say_it_all(head: ExchangeResponse) -> None:
    story = play(OPEN, head, GOT)
    assert story.result == RESOLVED
    assert story.asked[-1].method == "GET"


def test_the_media_type_may_stand_in_the_manifest() -> None:
    got = ExchangeResponse(status=200, headers={"content-type": "application/json"}, body=BODY)
    assert play(OPEN, answer(405), got).result == RESOLVED


def test_a_digest_in_the_reference_is_binding() -> None:
    pinned = IMAGE.pinned(DIGEST)
    other = IMAGE.pinned(Digest.of(b"other"))
    strong = IMAGE.pinned(Digest.of(BODY, DigestAlgorithm.SHA512))
    assert play(OPEN, FOUND, image=pinned).result == RESOLVED
    assert play(OPEN, FOUND, image=other).code == "image.digest_mismatch"
    assert play(OPEN, answer(200), GOT, image=pinned).result == RESOLVED
    assert play(OPEN, answer(200), GOT, image=other).code == "image.digest_mismatch"
    assert isinstance(play(OPEN, FOUND, GOT, image=strong).result, Resolved)


def test_a_digest_header_that_lies_about_the_body_is_found_out() -> None:
    lie = ExchangeResponse(
        status=200, headers={"docker-content-digest": str(Digest.of(b"x")), "content-type": OCI}, body=BODY
    )
    assert play(OPEN, answer(405), lie).code == "image.digest_mismatch"


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
    pytest.param([BASIC_401, answer(401), answer(401)], CREDENTIAL, "image.unauthorized", id="Basic rejected"),
    pytest.param([BASIC_401, answer(403), answer(403)], CREDENTIAL, "image.denied", id="Basic without the right"),
    pytest.param([*AT_MANIFEST, answer(401), answer(401, "DENIED")], CREDENTIAL, "image.denied", id="manifest 401"),
    pytest.param([*AT_MANIFEST, answer(403), answer(403)], CREDENTIAL, "image.denied", id="manifest 403"),
    pytest.param([*AT_MANIFEST, answer(401), answer(401)], Anonymous(), "image.credential_missing", id="anonymous 401"),
    pytest.param([*AT_MANIFEST, answer(404), answer(404)], CREDENTIAL, "image.not_found", id="manifest 404"),
    pytest.param([*AT_MANIFEST, answer(404), answer(404)], Anonymous(), "image.not_found", id="anonymous 404"),
    pytest.param([*AT_MANIFEST, answer(429)], CREDENTIAL, "registry.rate_limited", id="manifest 429"),
    pytest.param([*AT_MANIFEST, answer(500)], CREDENTIAL, "registry.server_error", id="manifest 500"),
    pytest.param([*AT_MANIFEST, HTML, HTML], CREDENTIAL, "registry.not_a_registry", id="manifest HTML"),
    pytest.param([*AT_MANIFEST, answer(200), answer(200)], CREDENTIAL, "image.unsupported", id="no known media type"),
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


def test_retry_after_is_kept() -> None:
    result = play(answer(429, retry_after="17")).result
    assert isinstance(result, ExchangeFailure)
    assert result.retry_after_s == 17


REALM_ELSEWHERE = answer(401, www_authenticate='Bearer realm="https://evil.example/token",service="x"')


def test_c7_a_realm_elsewhere_gets_no_password() -> None:
    story = play(REALM_ELSEWHERE)
    assert story.code == "registry.realm_elsewhere"
    assert story.lines == ["ping GET -"]
    assert isinstance(story.result, ExchangeFailure)
    assert story.result.other_host == "evil.example"


def test_c7_a_realm_elsewhere_may_be_asked_without_a_password() -> None:
    story = play(REALM_ELSEWHERE, TOKEN, FOUND, credential=Anonymous())
    assert story.result == RESOLVED
    assert story.lines[1] == "token GET -"


@pytest.mark.parametrize("realm", ["http://ghcr.io/token", "ftp://x", "", "https://u@ghcr.io/token"])
@pytest.mark.parametrize("credential", [CREDENTIAL, Anonymous()], ids=["with credential", "anonymous"])
def test_a_bad_realm_is_not_asked(realm: str, credential: RegistryCredential | Anonymous) -> None:
    challenge = answer(401, www_authenticate=f'Bearer realm="{realm}"')
    assert play(challenge, credential=credential).code == "registry.realm_elsewhere"


def test_c4_a_credential_for_another_host_is_never_sent() -> None:
    exchange = pull_exchange(parse_image_reference("quay.io/a/b"), CREDENTIAL, POLICY)
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
    story = play(*AT_MANIFEST, answer(307, location=location), FOUND)
    assert story.result == RESOLVED
    assert story.asked[-1].url == next_url
    assert story.lines[-2:] == ["manifest HEAD Bearer t0k", "manifest HEAD -"]


@pytest.mark.parametrize("location", ["", "http://ghcr.io/x", "//evil.example/x", "ftp://x", "https://u@x/"])
def test_a_bad_redirect_is_not_followed(location: str) -> None:
    assert play(*AT_MANIFEST, answer(302, location=location)).code == "registry.not_a_registry"


def test_a_bad_redirect_of_get_is_not_followed() -> None:
    assert play(*AT_MANIFEST, answer(405), answer(302)).code == "registry.not_a_registry"


def test_redirects_are_counted() -> None:
    again = answer(302, location="/again")
    story = play(*AT_MANIFEST, again, again, again, again)
    assert story.code == "registry.not_a_registry"
    assert len(story.asked) == 6


def test_c7_where_a_redirect_leads_no_login_is_tried() -> None:
    there = answer(302, location="https://evil.example/v2/a")
    story = play(OPEN, there, BASIC_401, there, BASIC_401)
    assert story.code == "image.denied"
    assert all(line.endswith(" -") for line in story.lines)


def test_a_redirected_ping_is_left_to_the_manifest() -> None:
    story = play(answer(302, location="https://elsewhere.example/"), FOUND)
    assert story.result == RESOLVED


def test_one_login_at_most() -> None:
    story = play(BEARER_401, TOKEN, BEARER_401, BEARER_401)
    assert story.code == "image.denied"
    assert [r.phase for r in story.asked].count("token") == 1


@pytest.mark.parametrize(
    "answers,code",
    [
        pytest.param([BEARER_401, TOKEN, OPEN], "", id="Bearer accepted"),
        pytest.param([BASIC_401, OPEN], "", id="Basic accepted"),
        pytest.param([OPEN], "", id="nothing asked for"),
        pytest.param([BASIC_401, BASIC_401], "image.unauthorized", id="Basic rejected"),
        pytest.param([BEARER_401, answer(401)], "image.unauthorized", id="token refused"),
        pytest.param([BEARER_401, TOKEN, answer(401)], "image.unauthorized", id="token not accepted"),
        pytest.param([answer(302)], "registry.not_a_registry", id="a redirect to a login page"),
        pytest.param([answer(404)], "registry.not_a_registry", id="no registry"),
        pytest.param([REALM_ELSEWHERE], "registry.realm_elsewhere", id="C7 a realm elsewhere"),
    ],
)
def test_a_login_is_checked(answers: list[ExchangeResponse], code: str) -> None:
    story = play(*answers, image=None)
    assert story.code == code
    assert isinstance(story.result, LoggedIn) is (not code)


def test_no_value_of_the_exchange_shows_the_password() -> None:
    story = play(BEARER_401, TOKEN, FOUND)
    assert "p:w" not in repr(story)
    assert BASIC.removeprefix("Basic ") not in repr(story)
    assert "t0k" not in repr(story)

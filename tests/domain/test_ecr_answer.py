"""B2, B3: what AWS answers, and what the person is told. Each refusal stands beside the same answer as it should be."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.ecr_answer import EcrFailure, is_token_too_old, read_ecr_answer
from berth.domain.ecr_finding import TEXTS, explain_expired, explain_failure
from berth.domain.ecr_host import EcrRegistry, find_ecr_registry
from berth.domain.ecr_key import AwsKeys, EcrToken
from berth.domain.exchange_message import ExchangeResponse
from berth.domain.finding import Fixer
from berth.domain.registry_credential import CredentialKind, CredentialSource, RegistryCredential, UnswappedKeys
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ARN = "arn:aws:iam::123456789012:user/ci"
HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def registry_of(host: str) -> EcrRegistry:
    found = find_ecr_registry(host)
    assert found is not None
    return found


PRIVATE, PUBLIC = registry_of(HOST), registry_of("public.ecr.aws")
KEYS = UnswappedKeys(
    host=HOST,
    keys=AwsKeys(key_id="AKIAIOSFODNN7EXAMPLE", secret=SecretText("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")),
    registry=PRIVATE,
    source=CredentialSource(SecretLevel.ORGANIZATION, "CORP"),
)


def date(at: datetime) -> str:
    return f"{at:%a, %d %b %Y %H:%M:%S} GMT"


def answer(status: int, body: object, at: datetime = NOW, headers: Mapping[str, str] | None = None) -> ExchangeResponse:
    return ExchangeResponse(
        status=status, headers={"date": date(at), **(headers or {})}, body=json.dumps(body).encode()
    )


def token(password: str = "eyJwYXlsb2FkIjoi:x1", expires_at: Any = None) -> dict[str, Any]:
    when = (NOW + timedelta(hours=12)).timestamp() if expires_at is None else expires_at
    return {"authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(), "expiresAt": when}


GOOD = EcrToken(password=SecretText("eyJwYXlsb2FkIjoi:x1"), expires_at=NOW + timedelta(hours=12))


def test_b2_a_token_of_either_service() -> None:
    listed = {"authorizationData": [{**token(), "proxyEndpoint": "https://evil.example"}]}
    assert read_ecr_answer(PRIVATE, answer(200, listed), NOW) == GOOD
    assert read_ecr_answer(PUBLIC, answer(200, {"authorizationData": token()}), NOW) == GOOD


@pytest.mark.parametrize(
    "expires_at, hours", [(NOW.timestamp() + 3600, 1), (4e15, 12), (float("inf"), 12), (NOW.timestamp() + 3600.5, 1)]
)
def test_a_token_lives_as_long_as_aws_says_and_at_most_12_hours(expires_at: float, hours: int) -> None:
    found = read_ecr_answer(PRIVATE, answer(200, {"authorizationData": [token(expires_at=expires_at)]}), NOW)
    assert isinstance(found, EcrToken)
    assert found.expires_at is not None
    assert timedelta() <= found.expires_at - NOW - timedelta(hours=hours) < timedelta(seconds=1)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"authorizationData": None},
        {"authorizationData": []},
        {"authorizationData": ["x"]},
        {"authorizationData": token()},
        {"authorizationData": [{"expiresAt": 9e9}]},
        {"authorizationData": [{**token(), "authorizationToken": 7}]},
        {"authorizationData": [{**token(), "authorizationToken": "no base64"}]},
        {"authorizationData": [token(password="")]},
        {"authorizationData": [token(password="with white space in it")]},
        {"authorizationData": [token(expires_at="soon")]},
        {"authorizationData": [token(expires_at=-1)]},
        {"authorizationData": [token(expires_at=float("nan"))]},
        {"authorizationData": [token(expires_at=1420070400)]},
    ],
)
def test_a_success_without_a_good_token_is_none(body: object) -> None:
    assert read_ecr_answer(PRIVATE, answer(200, {"authorizationData": [token()]}), NOW) == GOOD
    found = read_ecr_answer(PRIVATE, answer(200, body), NOW)
    assert isinstance(found, EcrFailure)
    assert (found.code, found.status) == ("ecr.bad_answer", 200)


def test_a_token_that_has_expired_for_a_clock_that_is_off() -> None:
    late = answer(200, {"authorizationData": [token(expires_at=NOW.timestamp() - 60)]}, NOW - timedelta(hours=13))
    found = read_ecr_answer(PRIVATE, late, NOW)
    assert isinstance(found, EcrFailure)
    assert (found.code, found.skew_s) == ("ecr.clock_skew", 13 * 3600)


DOES_NOT_MATCH = "The request signature we calculated does not match the signature you provided."
EXPIRED = "Signature expired: 20260101T110000Z is now earlier than 20260101T115500Z (20260101T120000Z - 5 min.)"
EARLY = "Signature not yet current: 20260101T130000Z is still later than 20260101T120500Z"
DENIED = (
    f"User: {ARN} is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no policy allows it"
)
BEARER = f"User: {ARN} is not authorized to perform: sts:GetServiceBearerToken on resource: x"
LEVEL = Fixer.ORGANIZATION_OWNER

ROWS = [
    (400, "UnrecognizedClientException", "The security token included in the request is invalid.", "key_unknown", LEVEL),
    (403, "InvalidClientTokenId", "x", "key_unknown", LEVEL),
    (403, "InvalidAccessKeyId", "x", "key_unknown", LEVEL),
    (400, "InvalidSignatureException", DOES_NOT_MATCH, "secret_wrong", LEVEL),
    (403, "SignatureDoesNotMatch", DOES_NOT_MATCH, "secret_wrong", LEVEL),
    (400, "InvalidSignatureException", EXPIRED, "clock_skew", Fixer.SITE_ADMIN),
    (400, "InvalidSignatureException", EARLY, "clock_skew", Fixer.SITE_ADMIN),
    (400, "RequestExpired", "x", "clock_skew", Fixer.SITE_ADMIN),
    (403, "RequestTimeTooSkewed", "x", "clock_skew", Fixer.SITE_ADMIN),
    (400, "AccessDeniedException", DENIED, "access_denied", LEVEL),
    (400, "ExpiredTokenException", "The security token included in the request is expired", "keys_expired", LEVEL),
    (400, "ExpiredToken", "x", "keys_expired", LEVEL),
    (400, "IncompleteSignatureException", "x", "key_malformed", LEVEL),
    (400, "IncompleteSignature", "x", "key_malformed", LEVEL),
    (403, "MissingAuthenticationTokenException", "x", "key_malformed", LEVEL),
    (403, "OptInRequired", "x", "not_opted_in", LEVEL),
    (400, "SubscriptionRequiredException", "x", "not_opted_in", LEVEL),
    (400, "ThrottlingException", "Rate exceeded", "throttled", Fixer.DEVELOPER),
    (400, "TooManyRequestsException", "x", "throttled", Fixer.DEVELOPER),
    (429, "", "", "throttled", Fixer.DEVELOPER),
    (500, "ServerException", "x", "server_error", Fixer.REGISTRY),
    (503, "ServiceUnavailableException", "x", "server_error", Fixer.REGISTRY),
    (502, "", "", "server_error", Fixer.REGISTRY),
    (400, "InvalidParameterException", "x", "refused", LEVEL),
    (400, "UnsupportedCommandException", "x", "refused", LEVEL),
    (403, "", "", "bad_answer", Fixer.SITE_ADMIN),
    (301, "", "", "bad_answer", Fixer.SITE_ADMIN),
]  # fmt: skip


@pytest.mark.parametrize(
    "status, error, message, code, fixer",
    ROWS,
    ids=[f"{row[0]} {row[1]} → {row[3]} {number}" for number, row in enumerate(ROWS)],
)
def test_b3_each_refusal_has_its_cause(status: int, error: str, message: str, code: str, fixer: Fixer) -> None:
    found = read_ecr_answer(PRIVATE, answer(status, {"__type": error, "message": message}), NOW)
    assert isinstance(found, EcrFailure)
    assert (found.code, found.status, found.error_code) == (f"ecr.{code}", status, error)
    finding = explain_failure(found, KEYS)
    assert (finding.code, finding.fixer) == (found.code, fixer)
    assert finding.evidence["host"] == HOST
    assert finding.evidence["phase"] == "swap"
    assert finding.evidence["status"] == str(status)
    shown = repr(finding)
    assert "{" not in finding.sentence + finding.next_step
    assert KEYS.keys.key_id not in shown
    assert KEYS.keys.secret.reveal() not in shown


def test_b3_the_clock_is_told_apart_from_the_secret_by_the_answers_date() -> None:
    body = {"__type": "InvalidSignatureException", "message": "in another language"}
    for minutes, code in (
        (0, "secret_wrong"),
        (4, "secret_wrong"),
        (-4, "secret_wrong"),
        (9, "clock_skew"),
        (-9, "clock_skew"),
    ):
        found = read_ecr_answer(PRIVATE, answer(400, body, NOW - timedelta(minutes=minutes)), NOW)
        assert isinstance(found, EcrFailure)
        assert found.code == f"ecr.{code}"
        if code == "clock_skew":
            words = f"by about 9 min ({'ahead' if minutes > 0 else 'behind'})"
            assert words in explain_failure(found, KEYS).sentence


@pytest.mark.parametrize(
    "value", ["", "yesterday", "Thu, 01 Jan 1970 00:00:00 CET", "Thu, 01 Jan 2026 12:00:00 GMT GMT"]
)
def test_a_date_that_is_none_says_nothing_of_the_clock(value: str) -> None:
    body = {"__type": "InvalidSignatureException", "message": DOES_NOT_MATCH}
    response = ExchangeResponse(status=400, headers={"date": value}, body=json.dumps(body).encode())
    assert getattr(read_ecr_answer(PRIVATE, response, NOW), "code", "") == "ecr.secret_wrong"


def test_b3_a_denial_names_principal_and_action() -> None:
    for message, action in ((DENIED, "ecr:GetAuthorizationToken"), (BEARER, "sts:GetServiceBearerToken")):
        found = read_ecr_answer(PRIVATE, answer(400, {"__type": "AccessDeniedException", "Message": message}), NOW)
        assert isinstance(found, EcrFailure)
        finding = explain_failure(found, KEYS)
        assert (finding.evidence["principal"], finding.evidence["action"]) == (ARN, action)
        assert f"Allow {action}" in finding.next_step
        assert ARN in finding.sentence
    bare = EcrFailure(code="ecr.access_denied", status=400)
    assert "does not let the owner of the key do ecr:GetAuthorizationToken" in explain_failure(bare, KEYS).sentence


@pytest.mark.parametrize(
    "told, headers",
    [
        ("com.amazonaws.ecr#ThrottlingException", {}),
        ("ThrottlingException:http://internal.amazon.com/coral/", {}),
        (None, {"x-amzn-errortype": "ThrottlingException:http://x/"}),
    ],
)
def test_the_code_is_found_where_aws_writes_it(told: str | None, headers: dict[str, str]) -> None:
    found = read_ecr_answer(PRIVATE, answer(400, {"__type": told} if told else {}, headers=headers), NOW)
    assert getattr(found, "error_code", "") == "ThrottlingException"


def test_no_text_of_the_answer_is_passed_on() -> None:
    body = {"__type": "x y <b>", "message": f"{DENIED} https://evil.example"}
    found = read_ecr_answer(PRIVATE, answer(400, body), NOW)
    assert found == EcrFailure(code="ecr.bad_answer", status=400, reason="It is no answer of ECR's API.")


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_only_what_passes_is_tried_again(code: str) -> None:
    assert EcrFailure(code=code).is_passing == (code in {"ecr.throttled", "ecr.server_error"})
    finding = explain_failure(EcrFailure(code=code, reason="No.", error_code="X"), KEYS)
    assert "{" not in finding.sentence + finding.next_step


@pytest.mark.parametrize(
    "error_code, passing", [("unreachable", True), ("bad_answer", True), ("timeout", False), ("tls", False)]
)
def test_a_connection_that_broke_is_tried_again_and_one_that_hangs_is_not(error_code: str, passing: bool) -> None:
    assert EcrFailure(code="ecr.unreachable", error_code=f"registry.{error_code}").is_passing == passing


TOO_OLD = (
    b'{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}'
)


@pytest.mark.parametrize(
    "host, status, body, too_old",
    [
        (HOST, 403, TOO_OLD, True),
        (
            HOST,
            403,
            b'{"errors":[{"code":"DENIED","message":"User: x is not authorized to perform: ecr:BatchGetImage"}]}',
            False,
        ),
        (HOST, 403, b"Your Authorization Token has expired. Please run aws ecr get-login", True),
        (HOST, 403, b'{"errors":[{"code":"DENIED","message":"Your Authorization Token is invalid."}]}', True),
        (HOST, 401, TOO_OLD, False),
        (HOST, 400, b"", False),
        ("public.ecr.aws", 400, b"", True),
        ("public.ecr.aws", 400, b'{"errors":[{"code":"NAME_INVALID"}]}', False),
        ("public.ecr.aws", 403, b"", False),
        ("registry.example.com", 403, TOO_OLD, False),
        ("registry.example.com", 400, b"", False),
    ],
)
def test_b3_the_registry_says_that_a_token_is_too_old(host: str, status: int, body: bytes, too_old: bool) -> None:
    assert is_token_too_old(host, ExchangeResponse(status=status, body=body)) == too_old


def test_what_else_an_unknown_key_may_mean() -> None:
    unknown = EcrFailure(code="ecr.key_unknown", status=400)
    assert explain_failure(unknown, KEYS).sentence.endswith("CORP_CONTAINER_REGISTRY_… (organization).")
    china = registry_of("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn")
    elsewhere = UnswappedKeys(host="h", keys=KEYS.keys, registry=china, source=KEYS.source)
    assert "made in that partition" in explain_failure(unknown, elsewhere).sentence
    temporary = AwsKeys(key_id="ASIA", secret=SecretText("s"), session_token=SecretText("t"))
    passing = UnswappedKeys(host="h", keys=temporary, registry=PRIVATE, source=KEYS.source)
    assert "session token" in explain_failure(unknown, passing).sentence


def test_an_expired_ready_token() -> None:
    ready = RegistryCredential(
        host=HOST,
        user="AWS",
        password=SecretText("p"),
        source=KEYS.source,
        kind=CredentialKind.ECR_READY,
        expires_at=NOW,
    )
    finding = explain_expired(ready)
    assert (finding.code, finding.fixer, finding.evidence["expired_at"]) == (
        "ecr.token_expired",
        LEVEL,
        "2026-01-01 12:00 UTC",
    )


@given(
    st.integers(200, 599),
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from(["date", "x-amzn-errortype"]), st.text()),
)
def test_whatever_comes_is_an_answer(status: int, body: bytes, headers: dict[str, str]) -> None:
    found = read_ecr_answer(PRIVATE, ExchangeResponse(status=status, headers=headers, body=body), NOW)
    if isinstance(found, EcrFailure):
        assert found.code in TEXTS

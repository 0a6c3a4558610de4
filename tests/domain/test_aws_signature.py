"""Our signatures are botocore's, to the byte, with and without a session token."""

from collections.abc import Iterator
from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from berth.domain.aws_signature import AwsCall, sign
from berth.domain.ecr_key import AwsKeys
from berth.domain.secret_text import SecretText

NOW = datetime(2026, 8, 30, 12, 36, 5, tzinfo=UTC)
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CALL = AwsCall(
    service="ecr",
    region="eu-west-1",
    host="api.ecr.eu-west-1.amazonaws.com",
    headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "A.B"},
    body=b"{}",
)


@pytest.fixture(scope="module", autouse=True)
def _the_same_moment() -> Iterator[None]:
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        yield


def theirs(call: AwsCall, secret: str, session_token: str | None) -> str:
    request = AWSRequest("POST", f"https://{call.host}/", data=call.body, headers=dict(call.headers))
    SigV4Auth(Credentials(KEY_ID, secret, session_token), call.service, call.region).add_auth(request)
    return str(request.headers["Authorization"])


def ours(call: AwsCall, secret: str, session_token: str | None) -> str:
    token = SecretText(session_token) if session_token else None
    headers = sign(call, AwsKeys(key_id=KEY_ID, secret=SecretText(secret), session_token=token), NOW)
    assert headers["X-Amz-Date"] == "20260830T123605Z"
    assert headers.get("X-Amz-Security-Token") == token
    assert SECRET not in repr(headers)
    signature = headers["Authorization"]
    assert isinstance(signature, SecretText)
    return signature.reveal()


@pytest.mark.parametrize("session_token", [None, "IQoJb3JpZ2luX2VjEXAMPLE//wEaCXVz+LXdlc3QtMiJ=="])
def test_a_signature_is_botocores(session_token: str | None) -> None:
    assert ours(CALL, SECRET, session_token) == theirs(CALL, SECRET, session_token)


@pytest.mark.parametrize("change", ["secret", "host", "region", "service", "body", "target"])
def test_everything_that_counts_is_signed(change: str) -> None:
    values = {"host": CALL.host, "region": CALL.region, "service": CALL.service, "body": CALL.body}
    headers = dict(CALL.headers)
    if change == "target":
        headers["X-Amz-Target"] = "A.C"
    elif change == "body":
        values["body"] = b"{ }"
    elif change != "secret":
        values[change] = "other"
    other = AwsCall(**values, headers=headers)  # type: ignore[arg-type]  # the values are of their fields' types
    secret = SECRET[::-1] if change == "secret" else SECRET
    assert ours(other, secret, None).rpartition("=")[2] != ours(CALL, SECRET, None).rpartition("=")[2]
    assert ours(other, secret, None) == theirs(other, secret, None)


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), st.binary(max_size=99))
def test_any_secret_and_any_body(secret: str, body: bytes) -> None:
    call = AwsCall(service="ecr-public", region="us-east-1", host="h:8443", headers=CALL.headers, body=body)
    assert ours(call, secret, None) == theirs(call, secret, None)

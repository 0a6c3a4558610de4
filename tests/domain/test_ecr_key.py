"""C5: what the secrets of a triple for AWS are. No refusal and no note repeats a value."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.domain.ecr_key import AwsKeys, EcrToken, Parts, read_ecr_secrets, read_expiry
from berth.domain.secret_text import SecretText

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
TEMPORARY = "ASIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVz+LXdlc3QtMiJ=="
EXPIRY = datetime(2026, 1, 1, 12, tzinfo=UTC)


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PASSWORD = encode(json.dumps({"payload": "p:q", "datakey": "d", "version": "2", "expiration": int(EXPIRY.timestamp())}))
KEYS = AwsKeys(key_id=KEY_ID, secret=SecretText(SECRET))
TEMPORARY_KEYS = AwsKeys(key_id=TEMPORARY, secret=SecretText(SECRET), session_token=SecretText(SESSION))
TOKEN = EcrToken(password=SecretText(PASSWORD), expires_at=EXPIRY)


@pytest.mark.parametrize(
    "parts, found, notes",
    [
        pytest.param(Parts(KEY_ID, SECRET), KEYS, [], id="long-lived keys"),
        pytest.param(Parts(TEMPORARY, SECRET, SESSION), TEMPORARY_KEYS, [], id="temporary keys"),
        pytest.param(Parts(f" {KEY_ID}\n", f"{SECRET}\r\n"), KEYS, ["USER", "PASSWORD"], id="white space around"),
        pytest.param(Parts(KEY_ID, f"{SECRET[:20]}\n{SECRET[20:]}"), KEYS, ["PASSWORD"], id="white space inside"),
        pytest.param(
            Parts(TEMPORARY, SECRET, f"{SESSION[:9]}\n {SESSION[9:]}"), TEMPORARY_KEYS, ["SESSION_TOKEN"],
            id="a session token over two lines",
        ),
        pytest.param(Parts(KEY_ID, SECRET, SESSION), KEYS, ["SESSION_TOKEN is not used"], id="a session token too many"),
        pytest.param(
            Parts(KEY_ID, SECRET[:39]), AwsKeys(key_id=KEY_ID, secret=SecretText(SECRET[:39])), ["39 characters"],
            id="a secret cut short is tried, and told",
        ),
        pytest.param(Parts("AWS", PASSWORD), TOKEN, [], id="get-login-password"),
        pytest.param(Parts("AWS", encode(f"AWS:{PASSWORD}")), TOKEN, [], id="get-authorization-token"),
        pytest.param(
            Parts("AWS\n", f"{encode(f'AWS:{PASSWORD}')[:50]}\n{encode(f'AWS:{PASSWORD}')[50:]}\n"), TOKEN,
            ["USER", "PASSWORD"], id="a token over two lines",
        ),
        pytest.param(
            Parts("AWS", encode("AWS:a:colon:in-it-is-fine")),
            EcrToken(password=SecretText("a:colon:in-it-is-fine"), expires_at=None), [], id="split once",
        ),
        pytest.param(Parts("AWS", PASSWORD, SESSION), TOKEN, ["SESSION_TOKEN is not used"], id="a token needs no other"),
        pytest.param(
            Parts("AWS", SECRET), EcrToken(password=SecretText(SECRET), expires_at=None),
            ["looks like a secret access key"], id="a secret as a token",
        ),
    ],
)  # fmt: skip
def test_c5_what_the_values_are(parts: Parts, found: AwsKeys | EcrToken, notes: list[str]) -> None:
    secrets = read_ecr_secrets(parts)
    assert (secrets.found, secrets.refusal) == (found, "")
    assert len(secrets.notes) == len(notes)
    for note, words in zip(secrets.notes, notes, strict=True):
        assert words in note
    held_back(secrets.notes, parts)


@pytest.mark.parametrize(
    "parts, words",
    [
        pytest.param(Parts(SECRET, KEY_ID), "wrong way round", id="the wrong way round"),
        pytest.param(Parts("AIDAIOSFODNN7EXAMPLE", SECRET), "begins with AIDA", id="a user's id"),
        pytest.param(Parts("AROAIOSFODNN7EXAMPLE", SECRET), "begins with AROA", id="a role's id"),
        pytest.param(Parts("arn:aws:iam::123456789012:user/ana", SECRET), "USER is no access key id", id="an ARN"),
        pytest.param(Parts("ana@example.com", SECRET), "USER is no access key id", id="an e-mail address"),
        pytest.param(Parts(KEY_ID.lower(), SECRET), "USER is no access key id", id="lower-case"),
        pytest.param(Parts("aws", PASSWORD), "USER is no access key id", id="aws in lower-case"),
        pytest.param(Parts(f'"{KEY_ID}"', SECRET), "USER is no access key id", id="quotes"),
        pytest.param(Parts(KEY_ID, f"'{SECRET}'"), "PASSWORD is no secret", id="quotes around the secret"),
        pytest.param(Parts(KEY_ID, "short"), "PASSWORD is no secret", id="too short"),
        pytest.param(Parts(KEY_ID, "x" * 129), "PASSWORD is no secret", id="too long"),
        pytest.param(Parts(TEMPORARY, SECRET), "SESSION_TOKEN is not set", id="temporary without a session token"),
        pytest.param(Parts(TEMPORARY, SECRET, "é" * 30), "no session token", id="no session token"),
        pytest.param(Parts("AWS", "kurz"), "no token of ECR", id="no token"),
        pytest.param(Parts("AWS", "é" * 30), "no token of ECR", id="no token: not ASCII"),
        pytest.param(Parts("AWS", encode("AWS:")), "no token of ECR", id="a token of nothing"),
    ],
)
def test_c5_what_is_no_key_is_refused_before_aws_is_asked(parts: Parts, words: str) -> None:
    secrets = read_ecr_secrets(parts)
    assert secrets.found is None
    assert words in secrets.refusal
    held_back((*secrets.notes, secrets.refusal), parts)


def held_back(texts: tuple[str, ...], parts: Parts) -> None:
    for value in (parts.user, parts.password, parts.session_token):
        assert value in {"", "AWS", "AWS\n"} or not any(value.strip() in text for text in texts)


def test_the_secrets_are_named_as_people_know_them() -> None:
    refusal = read_ecr_secrets(Parts(KEY_ID, "short", name="CORP_CONTAINER_REGISTRY_")).refusal
    assert refusal.startswith("CORP_CONTAINER_REGISTRY_PASSWORD is no secret access key")


@pytest.mark.parametrize(
    "expiration", ["soon", None, -1, 0, 10**20, 1.5, [], {}], ids=lambda value: f"expiration {value!r}"
)
def test_an_expiry_that_is_none_is_not_believed(expiration: object) -> None:
    assert read_expiry(encode(json.dumps({"expiration": expiration}))) is None
    assert read_expiry(encode(json.dumps({"expiration": int(EXPIRY.timestamp())})).rstrip("=")) == EXPIRY


@given(st.text(), st.text(), st.text())
def test_whatever_is_stored_there_is_an_answer(user: str, password: str, session_token: str) -> None:
    secrets = read_ecr_secrets(Parts(user, password, session_token))
    assert (secrets.found is None) == bool(secrets.refusal)


def test_no_secret_is_printed() -> None:
    assert SECRET not in repr(KEYS)
    assert SESSION not in repr(TEMPORARY_KEYS)
    assert PASSWORD not in repr(read_ecr_secrets(Parts("AWS", PASSWORD)))

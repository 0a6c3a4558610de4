import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest

from berth.domain.access_token import AccessToken, TokenKind, find_token_kind, hash_token, make_token
from berth.domain.secret_text import SecretText

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def token(expires_at: datetime | None) -> AccessToken:
    return AccessToken(
        id=1,
        kind=TokenKind.PERSONAL,
        account_id=1,
        note="",
        scopes=frozenset(),
        hint="abcd",
        codespace_id=None,
        created_at=NOW,
        expires_at=expires_at,
        last_used_at=None,
    )


@pytest.mark.parametrize("kind", TokenKind)
def test_a_token_is_recognised_without_the_database(kind: TokenKind) -> None:
    value = make_token(kind, bytes(range(32))).reveal()
    assert re.fullmatch(rf"{kind}_[0-9A-Za-z]{{36}}", value)
    assert find_token_kind(value) is kind


def test_a_changed_token_fails_its_checksum() -> None:
    value = make_token(TokenKind.PERSONAL, bytes(32)).reveal()
    for changed in (value[:-1] + ("0" if value[-1] != "0" else "1"), value.replace("ghp", "ghu"), value + "0"):
        assert find_token_kind(changed) is None


@pytest.mark.parametrize("value", ["", "ghp_", "x" * 40, "ghx_" + "0" * 36, "ghp_" + "." * 36])
def test_rubbish_is_no_token(value: str) -> None:
    assert find_token_kind(value) is None


def test_too_little_randomness_is_a_bug() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        make_token(TokenKind.PERSONAL, bytes(31))


def test_the_hash_is_sha256() -> None:
    assert hash_token(SecretText("x")) == hashlib.sha256(b"x").digest()


@pytest.mark.parametrize(
    ("expires_at", "valid"),
    [(None, True), (NOW + timedelta(seconds=1), True), (NOW, False), (NOW - timedelta(seconds=1), False)],
    ids=["never expires", "still valid", "expires this moment", "expired"],
)
def test_a_token_is_valid_before_it_expires(expires_at: datetime | None, valid: bool) -> None:
    assert token(expires_at).is_valid(NOW) is valid

"""What counts as a token in an Authorization header."""

import base64

import pytest

from berth.edge.credential import password_of, token_of


def basic(pair: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(pair).decode()}"


@pytest.mark.parametrize(
    "header",
    [
        "token T", "TOKEN  T ", "Bearer T", "bearer T", basic(b"octo:T"), basic(b":T"), basic(b"T:"), basic(b"T:x-oauth-basic"),
        basic(b"x:T", "BASIC "),
    ],
)  # fmt: skip
def test_a_token(header: str) -> None:
    assert token_of(header).reveal() == "T"


@pytest.mark.parametrize(
    "header",
    ["", "T", "token", "Digest T", "Basic", "Basic T", "Basic \u00e9", basic(b"T"), basic(b"\xff:T"), basic(b":")],
)
def test_none(header: str) -> None:
    assert token_of(header).reveal() == ""


def test_a_password_is_of_basic_only() -> None:
    assert (password_of("Bearer T").reveal(), password_of(basic(b"a:b:c")).reveal()) == ("", "b:c")

"""What a token says of itself; nothing is believed, and nothing breaks on what is none."""

import base64
import json

import pytest

from berth.domain.secret_text import SecretText
from berth.domain.token_grant import grants_pull

SCOPE = "repository:acme/app:pull"


def jwt(claims: object) -> str:
    return f"h.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.s"


@pytest.mark.parametrize(
    "token,granted",
    [
        (jwt({"access": [{"type": "repository", "name": "acme/app", "actions": ["pull"]}]}), True),
        (jwt({"access": [{"type": "repository", "name": "acme/app", "actions": ["*"]}]}), True),
        (jwt({"access": [{"type": "registry", "name": "acme/app", "actions": ["pull"]}]}), False),
        (jwt({"access": [{"type": "repository", "name": "acme/app"}]}), False),
        (jwt({"access": []}), False),
        (jwt({"access": "all"}), None),
        (jwt([]), None),
        ("opaque", None),
        ("a.b.c", None),
        ("a.é.c", None),
    ],
)
def test_what_a_token_says(token: str, granted: bool | None) -> None:
    assert grants_pull(SecretText(token), SCOPE) is granted

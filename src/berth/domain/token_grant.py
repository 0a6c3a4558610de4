"""What a token of another registry says that it is for. Nothing is verified and nothing trusted: it is a hint for people."""

import base64
import binascii

from berth.domain.exchange_message import json_object
from berth.domain.secret_text import SecretText

_MAX_TOKEN_LENGTH = 64 * 1024


def grants_pull(token: SecretText, scope: str) -> bool | None:
    """Whether a JWT says that it is for the scope `repository:NAME:pull`; None if it does not say anything.

    Source: distribution "Token Authentication Implementation", the claim `access`.
    """
    parts = token.reveal()[:_MAX_TOKEN_LENGTH].split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json_object(base64.urlsafe_b64decode(f"{parts[1]}{'=' * (-len(parts[1]) % 4)}"))
    except (binascii.Error, ValueError):
        return None
    access = claims.get("access")
    if not isinstance(access, list):
        return None
    name = scope.removeprefix("repository:").removesuffix(":pull")
    return any(_allows(entry, name) for entry in access)


def _allows(entry: object, name: str) -> bool:
    if not isinstance(entry, dict) or (entry.get("type"), entry.get("name")) != ("repository", name):
        return False
    actions = entry.get("actions")
    return isinstance(actions, list) and ("pull" in actions or "*" in actions)

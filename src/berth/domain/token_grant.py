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
    access = _claims(token).get("access")
    if not isinstance(access, list):
        return None
    name = scope.removeprefix("repository:").removesuffix(":pull")
    return any(_allows(entry, name) for entry in access)


def token_subject(token: SecretText) -> str | None:
    """Whose token a JWT says that it is; empty: nobody's, None: it does not say. The claim `sub`; never to be shown."""
    subject = _claims(token).get("sub")
    return subject if isinstance(subject, str) else None


def _claims(token: SecretText) -> dict[str, object]:
    """What a JWT says; nothing where it is none."""
    parts = token.reveal()[:_MAX_TOKEN_LENGTH].split(".")
    if len(parts) != 3:
        return {}
    try:
        return json_object(base64.urlsafe_b64decode(f"{parts[1]}{'=' * (-len(parts[1]) % 4)}"))
    except (binascii.Error, ValueError):
        return {}


def _allows(entry: object, name: str) -> bool:
    if not isinstance(entry, dict) or (entry.get("type"), entry.get("name")) != ("repository", name):
        return False
    actions = entry.get("actions")
    return isinstance(actions, list) and ("pull" in actions or "*" in actions)

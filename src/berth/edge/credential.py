"""What the Authorization header shows, for REST, git and the token service. Source: RFC 9110, section 11; RFC 7617."""

import base64

from berth.domain.secret_text import SecretText


def token_of(header: str) -> SecretText:
    """Of `token` or `Bearer` (any case), or the password of Basic; empty, which is no token, for all else."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() in {"token", "bearer"}:
        return SecretText(value.strip())
    return password_of(header)


def password_of(header: str) -> SecretText:
    """Of Basic, or its user name where the password is empty or `x-oauth-basic`; empty for what cannot be read."""
    scheme, _, encoded = header.partition(" ")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:  # no base64, not even ASCII, or no UTF-8 inside
        pair = ""
    user, colon, password = pair.partition(":")
    return SecretText("" if not colon else user if password in {"", "x-oauth-basic"} else password)

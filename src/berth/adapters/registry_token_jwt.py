"""The RegistryTokenSigner port: Ed25519 JWTs under keys that are derived from the master keys.

Servers that share the keyring file take each other's tokens, and a rotated master key stays good for tokens that were
signed before. The algorithm is fixed, and a token's own word about keys (`jwk`, `jku`, `x5c`, `crit`) is never followed:
`kid` picks one of ours, or the token is refused (CVE-2025-24976, CVE-2026-48526).

Source: RFC 7519; RFC 8037 (EdDSA); RFC 8725 section 3.1 (algorithm verification).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from berth.adapters.keyring import MasterKey, Signature, look_at, read_keyring
from berth.domain.problem import Unauthenticated

ISSUER = "berth"
AUDIENCE = "berth-registry"
_ALGORITHM = "EdDSA"
_REQUIRED = ["iss", "aud", "sub", "iat", "exp", "jti", "access"]
_MAX_TOKEN_CHARACTERS = 32 * 1024


class RegistryTokenJWT:
    """Signs with the newest master key's signing key. Safe to share between tasks."""

    def __init__(self, keyring: Path) -> None:
        self._path = keyring
        self._signature: Signature | None = None
        self._keys: dict[str, Ed25519PrivateKey] = {}  # newest first
        self._current()

    def _current(self) -> Mapping[str, Ed25519PrivateKey]:
        """The keys as the file has them now."""
        if look_at(self._path) != self._signature:
            masters, signature = read_keyring(self._path)
            self._keys = {master.id: _signing_key(master) for master in masters}
            self._signature = signature
        return self._keys

    def sign(self, payload: dict[str, Any]) -> str:
        key_id, key = next(iter(self._current().items()))
        claims = {**payload, "iss": ISSUER, "aud": AUDIENCE, "jti": uuid4().hex}
        return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": key_id})

    def verify(self, token: str) -> dict[str, Any]:
        try:
            if len(token) > _MAX_TOKEN_CHARACTERS:
                raise _refusal()
            key = self._current().get(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise _refusal()
            return jwt.decode(
                token,
                key.public_key(),
                algorithms=[_ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                # When it was made is for people to read: a replica whose clock is a second behind must not refuse it.
                options={"require": _REQUIRED, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise _refusal() from error


def _signing_key(master: MasterKey) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(master.derive("registry token signing"))


def _refusal() -> Unauthenticated:
    return Unauthenticated("This is no valid registry token of this server.", code="registry_token.invalid")

"""Access tokens that clients show to us: personal access tokens, codespace tokens and workflow tokens.

A token is `<prefix>_<30 random characters><6 characters of checksum>`, letters and digits only: no dot (octokit would
take it for a JWT), and a fixed prefix and checksum so that a leaked one can be recognised without asking us. The server
stores only its SHA-256: 178 random bits need no slow hash.
"""

import hashlib
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from berth.domain.scope import Scope
from berth.domain.secret_text import SecretText
from berth.domain.workflow_permissions import NO_PERMISSIONS, WorkflowPermissions

RANDOM_LENGTH = 30
_CHECKSUM_LENGTH = 6
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class TokenKind(StrEnum):
    """What a token stands for. The value is its prefix; `ghp` is what `gh` recognises as a personal token."""

    PERSONAL = "ghp"
    CODESPACE = "ghu"
    WORKFLOW = "ghs"  # what a job of one repository holds


_TOKEN = re.compile(rf"({'|'.join(TokenKind)})_([0-9A-Za-z]{{{RANDOM_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A stored token: everything but its value."""

    id: int
    kind: TokenKind
    account_id: int
    note: str
    scopes: frozenset[Scope]
    hint: str  # its last four characters, to tell tokens apart in a list
    codespace_id: int | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    repository_id: int | None = None  # of a workflow token: whose workflow it is
    permissions: WorkflowPermissions = NO_PERMISSIONS

    def is_valid(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(kind: TokenKind, body: str) -> str:
    return _base62(zlib.crc32(f"{kind}_{body}".encode()), _CHECKSUM_LENGTH)


def make_token(kind: TokenKind, random: bytes) -> SecretText:
    """A token's value from at least 32 random bytes."""
    if len(random) < 32:
        raise ValueError("a token needs 32 random bytes")
    body = _base62(int.from_bytes(random), RANDOM_LENGTH)
    return SecretText(f"{kind}_{body}{_checksum(kind, body)}")


def find_token_kind(value: str) -> TokenKind | None:
    """The kind of a well-formed token; None for anything that cannot be ours (checked before the database is asked)."""
    match = _TOKEN.fullmatch(value)
    if not match:
        return None
    kind = TokenKind(match[1])
    return kind if _checksum(kind, match[2]) == match[3] else None


def hash_token(value: SecretText) -> bytes:
    """What the store keeps and looks tokens up by."""
    return hashlib.sha256(value.reveal().encode()).digest()

"""What a triple for ECR holds: a ready token, or AWS keys to be swapped for one (C5). No value is ever repeated.

1. USER `AWS`: PASSWORD is a ready token, as `aws ecr get-login-password` prints it, or base64 of `AWS:` and that, as
   `aws ecr get-authorization-token` prints it. Its expiry is read where it is written in the token.
2. Any other USER is an access key id, PASSWORD its secret; temporary keys (`ASIA…`) need the session token, too.
3. White space means nothing in any of them, so it is removed and reported. What is no key by its form is refused: AWS
   would answer that it does not know the key, which sends people looking in the wrong place.

Source: AWS IAM user guide, "IAM identifiers", unique id prefixes; API reference of STS, `Credentials`. A token of ECR
is base64 of a JSON object with `payload`, `datakey`, `version`, `type`, `expiration` (seconds since 1970).
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from berth.domain.exchange_message import json_object
from berth.domain.secret_text import SecretText

TOKEN_USER = "AWS"  # noqa: S105 the user of every token, not a token
SECRET_LENGTH = 40

_KEY_ID = re.compile(r"[A-Z0-9]{16,128}")
_NO_KEY = re.compile(r"(AIDA|AROA|AGPA|AIPA|ANPA|ANVA|APKA|ASCA)[A-Z0-9]{12,}")
_SECRET = re.compile(r"[A-Za-z0-9/+=]{16,128}")
_SESSION_TOKEN = re.compile(r"[A-Za-z0-9/+=_-]{16,8192}")
_TOKEN = re.compile(r"[!-~]{16,16384}")
_WHITE_SPACE = re.compile(r"\s+")
_LATEST = datetime(2200, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKeys:
    """Exactly one user's keys. Nothing else ever signs a swap."""

    key_id: str
    secret: SecretText
    session_token: SecretText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrToken:
    """What logs in to a registry of ECR, as the user `AWS`. `expires_at` is None if nobody said."""

    password: SecretText
    expires_at: datetime | None


class Parts(NamedTuple):
    """The three values and what they are called where people look."""

    user: str
    password: str
    session_token: str = ""
    name: str = "…_CONTAINER_REGISTRY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrSecrets:
    """What the values are; None if they are nothing, and `refusal` says why. `notes` are repairs and warnings."""

    found: AwsKeys | EcrToken | None
    notes: tuple[str, ...] = ()
    refusal: str = ""


@dataclass(slots=True)
class _Reading:
    parts: Parts
    notes: list[str] = field(default_factory=list)

    def value(self, part: str) -> str:
        """Without white space (policy 3)."""
        value: str = getattr(self.parts, part.lower())
        clean = _WHITE_SPACE.sub("", value)
        if clean != value:
            self.notes.append(f"White space in {self.name(part)} was removed: AWS's keys and tokens hold none.")
        return clean

    def name(self, part: str) -> str:
        return f"{self.parts.name}{part}"

    def end(self, found: AwsKeys | EcrToken) -> EcrSecrets:
        return EcrSecrets(found=found, notes=tuple(self.notes))

    def refuse(self, sentence: str) -> EcrSecrets:
        return EcrSecrets(found=None, notes=tuple(self.notes), refusal=sentence)


def read_ecr_secrets(parts: Parts) -> EcrSecrets:
    """What USER, PASSWORD and SESSION_TOKEN of a triple for ECR are (policy 1 to 3)."""
    reading = _Reading(parts)
    user, password, session_token = (reading.value(part) for part in ("USER", "PASSWORD", "SESSION_TOKEN"))
    if user == TOKEN_USER:
        if session_token:
            reading.notes.append(f"{reading.name('SESSION_TOKEN')} is not used: a token for the user AWS needs none.")
        return _read_token(reading, password)
    if _KEY_ID.fullmatch(password) and _SECRET.fullmatch(user) and not _KEY_ID.fullmatch(user):
        names = f"{reading.name('USER')} and {reading.name('PASSWORD')}"
        return reading.refuse(f"{names} seem to be the wrong way round: the key id belongs into USER.")
    no_key = _NO_KEY.fullmatch(user)
    if no_key or not _KEY_ID.fullmatch(user):
        shown = f"An id that begins with {no_key[1]} names no key. " if no_key else ""
        text = f"{reading.name('USER')} is no access key id. {shown}It is AKIA… or ASIA…, or AWS for a ready token."
        return reading.refuse(text)
    if not _SECRET.fullmatch(password):
        text = f"{reading.name('PASSWORD')} is no secret access key: one holds only letters, digits, '/', '+' and '='."
        return reading.refuse(text)
    if len(password) != SECRET_LENGTH:
        text = f"{reading.name('PASSWORD')} has {len(password)} characters; a secret access key has {SECRET_LENGTH}."
        reading.notes.append(text)
    return _read_session_token(reading, user, SecretText(password), session_token)


def _read_session_token(reading: _Reading, key_id: str, secret: SecretText, session_token: str) -> EcrSecrets:
    """Temporary keys and their session token belong together; others have none."""
    name = reading.name("SESSION_TOKEN")
    if not key_id.startswith("ASIA"):
        if session_token:
            reading.notes.append(f"{name} is not used: only temporary keys (ASIA…) have a session token.")
        return reading.end(AwsKeys(key_id=key_id, secret=secret))
    if not session_token:
        text = f"{reading.name('USER')} is a temporary key (ASIA…), and {name} is not set at the same level."
        return reading.refuse(f"{text} Set it, or use keys of an IAM user (AKIA…).")
    if not _SESSION_TOKEN.fullmatch(session_token):
        return reading.refuse(f"{name} is no session token: it holds characters that none has.")
    return reading.end(AwsKeys(key_id=key_id, secret=secret, session_token=SecretText(session_token)))


def _read_token(reading: _Reading, text: str) -> EcrSecrets:
    password = split_token(text)
    if not is_token(password):
        return reading.refuse(f"{reading.name('PASSWORD')} is no token of ECR; aws ecr get-login-password prints one.")
    if _SECRET.fullmatch(password) and len(password) == SECRET_LENGTH:
        text = f"{reading.name('PASSWORD')} looks like a secret access key; its key id then belongs into USER, not AWS."
        reading.notes.append(text)
    return reading.end(EcrToken(password=SecretText(password), expires_at=read_expiry(password)))


def is_token(password: str) -> bool:
    """Whether it can be one: printable, and of a size that a header takes."""
    return bool(_TOKEN.fullmatch(password))


def split_token(text: str) -> str:
    """The password in a token: both of its forms are pasted. It may hold a colon itself."""
    pair = _decode(text)
    prefix = f"{TOKEN_USER}:".encode()
    return pair.removeprefix(prefix).decode("latin-1") if pair.startswith(prefix) else text


def read_expiry(password: str) -> datetime | None:
    """When the token expires, if it says so. Nothing depends on it but what people are told."""
    seconds = json_object(_decode(password)).get("expiration")
    if not isinstance(seconds, int) or not 0 < seconds < _LATEST:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _decode(text: str) -> bytes:
    """The bytes behind base64, with or without its padding; none if it is not base64."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""

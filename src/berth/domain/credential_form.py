"""The form of a registry's user and password: what can be seen to be wrong before anybody is asked.

1. What cannot work is refused before it is stored. What may be meant is stored, with a warning.
2. Nothing of a password is ever repeated, and of a user name nothing but words of this module.
3. A beginning that tokens of one maker have (`ghp_`, `glpat-`, …) is a hint, no proof: it only ever warns.

Source: REGISTRY_CREDENTIALS A4 and C1 of the references.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from berth.domain.problem import Invalid
from berth.domain.registry_provider import PROVIDERS, Provider, provider_of_host
from berth.domain.secret_text import SecretText

JSON_KEY, JSON_KEY_BASE64, ACCESS_TOKEN_USER = "_json_key", "_json_key_base64", "oauth2accesstoken"
ACR_REFRESH_USER = "00000000-0000-0000-0000-000000000000"

# Beginning → (what it is, whose registry it is for).
TOKEN_BEGINNINGS: Mapping[str, tuple[str, Provider]] = {
    "ghp_": ("a classic token of GitHub", Provider.GHCR),
    "github_pat_": ("a fine-grained token of GitHub", Provider.GHCR),
    "dckr_pat_": ("a personal access token of Docker Hub", Provider.DOCKER_HUB),
    "dckr_oat_": ("an organization access token of Docker Hub", Provider.DOCKER_HUB),
    "glpat-": ("a personal access token of GitLab", Provider.GITLAB),
    "gldt-": ("a deploy token of GitLab", Provider.GITLAB),
    "ya29.": ("an access token of Google", Provider.GOOGLE),
    "dop_v1_": ("an API token of DigitalOcean", Provider.DIGITALOCEAN),
}

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_EATEN_ROBOT = re.compile(r"robot(?:[A-Za-z0-9+_-]*)")
_QUOTES = frozenset({"'", '"', "`"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FormNote:
    """Something about a form. `refused`: it cannot work. `guess`: a login that the registry takes shows it to be wrong."""

    code: str
    text: str
    refused: bool = False
    guess: bool = False


def check_credential_form(host: str, user: str, password: SecretText) -> tuple[FormNote, ...]:
    """What can be seen of it, for this normal host (policy 1 to 3)."""
    provider, value = provider_of_host(host), password.reveal()
    return (*_user(provider, user), *_password(provider, value), *_pair(provider, user, value))


def refuse_bad_form(host: str, user: str, password: SecretText) -> tuple[FormNote, ...]:
    """The warnings. Raises Invalid for the first thing that cannot work (policy 1)."""
    notes = check_credential_form(host, user, password)
    for note in notes:
        if note.refused:
            raise Invalid(note.text, code=note.code)
    return notes


def describe_password(password: SecretText) -> str:
    """What kind it seems to be, in words; empty if nothing is known. Nothing of it but its kind (policy 2)."""
    value = password.reveal()
    for beginning, (words, _) in TOKEN_BEGINNINGS.items():
        if value.startswith(beginning):
            return words
    return "a JSON key of Google" if _is_json_key(value) else ""


def lacks_dollar(user: str) -> bool:
    """Whether the name looks like a robot's of Harbor, `robot$name`, from which a shell took `$name` or the `$`."""
    return _EATEN_ROBOT.fullmatch(user) is not None


def is_email(user: str) -> bool:
    return _EMAIL.fullmatch(user) is not None


def _user(provider: Provider, user: str) -> Iterator[FormNote]:
    if ":" in user:
        text = "The user name holds a colon, which no login can send (RFC 7617 §2)."
        yield FormNote(code="credential_form.user_colon", text=text, refused=True)
    if user != user.strip():
        text = "The user name begins or ends with white space. Is it meant?"
        yield FormNote(code="credential_form.white_space", text=text)
    if provider is Provider.DOCKER_HUB and is_email(user):
        text = "The user name is an e-mail address; Docker Hub wants the Docker ID."
        yield FormNote(code="credential_form.email_user", text=text)
    if provider is Provider.PLAIN and lacks_dollar(user):
        text = (
            "If this is a robot of Harbor, its name is robot$NAME: a shell takes the $ away unless it stands in quotes."
        )
        yield FormNote(code="credential_form.robot_user", text=text, guess=True)


def _password(provider: Provider, value: str) -> Iterator[FormNote]:
    if value != value.strip():
        text = "The password begins or ends with white space, which is kept. Is it meant?"
        yield FormNote(code="credential_form.white_space", text=text)
    if len(value) > 1 and value[0] == value[-1] and value[0] in _QUOTES:
        text = "The password stands in quotes, which are kept. Are they meant?"
        yield FormNote(code="credential_form.quotes", text=text)
    if value.lower().startswith(("bearer ", "basic ")):
        text = "The password begins with the name of a scheme, as a header does; only what follows it belongs here."
        yield FormNote(code="credential_form.header", text=text)
    if provider is Provider.GHCR and value.startswith("github_pat_"):
        text = "This is a fine-grained token; GitHub's container registry takes classic tokens only."
        yield FormNote(code="credential_form.fine_grained", text=text)
    for beginning, (words, owner) in TOKEN_BEGINNINGS.items():
        if value.startswith(beginning) and provider not in {owner, Provider.PLAIN}:
            text = f"The password looks like {words}, and the server is {PROVIDERS[provider].title}."
            yield FormNote(code="credential_form.other_provider", text=text)


def _pair(provider: Provider, user: str, value: str) -> Iterator[FormNote]:
    """What is said by both together."""
    if user == JSON_KEY and not _is_json_key(value):
        hint = f" It is one in base64: set USER to {JSON_KEY_BASE64}." if _is_json_key(_decoded(value)) else ""
        text = f"With the user {JSON_KEY} the password is a service account's JSON key, all of it; this is none.{hint}"
        yield FormNote(code="credential_form.json_key", text=text, refused=True)
    if user == JSON_KEY_BASE64 and not _is_json_key(_decoded(value)):
        hint = f" It is the key itself: set USER to {JSON_KEY}." if _is_json_key(value) else ""
        text = f"With the user {JSON_KEY_BASE64} the password is a service account's JSON key in base64; this is none.{hint}"
        yield FormNote(code="credential_form.json_key_base64", text=text, refused=True)
    if user not in {JSON_KEY, JSON_KEY_BASE64} and provider is Provider.GOOGLE and _is_json_key(value):
        text = f"The password is a service account's JSON key: then the user is {JSON_KEY}."
        yield FormNote(code="credential_form.json_key_user", text=text, refused=True)
    if user == ACCESS_TOKEN_USER and provider is Provider.GOOGLE:
        text = "An access token of Google lives for 60 minutes; a service account's key goes on."
        yield FormNote(code="credential_form.short_lived", text=text)
    if user == ACR_REFRESH_USER and provider is Provider.ACR:
        text = (
            "A refresh token of Azure lives for about 3 hours; a service principal or a token of the registry goes on."
        )
        yield FormNote(code="credential_form.short_lived", text=text)


def _is_json_key(text: str) -> bool:
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(key, dict) and isinstance(key.get("private_key"), str) and "client_email" in key


def _decoded(text: str) -> str:
    """Base64 undone; empty if it is none."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""

"""The messages of a registry exchange. Answers are read strictly: what has not the expected form is not believed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from berth.domain.image_reference import Digest, parse_digest
from berth.domain.media_type import parse_content_type
from berth.domain.problem import Invalid
from berth.domain.secret_text import SecretText

MAX_TOKEN_BYTES = 64 * 1024

_ERROR_CODE = re.compile(r"[A-Z][A-Z_]{0,63}")


Phase = Literal["ping", "token", "manifest", "platform", "config", "layer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """One request to make. `authorization` is the header's value; redirects are not to be followed."""

    phase: Phase
    url: str
    accept: str = ""
    authorization: SecretText | None = None
    max_body_bytes: int = MAX_TOKEN_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeResponse:
    """What came back. The headers' names are lower-case, repeated headers are joined by commas."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def json_object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def error_code(body: bytes) -> str:
    """The first of the registry's own codes. Source: OCI distribution-spec v1.1, "Error Codes"."""
    errors = json_object(body).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    code = first.get("code") if isinstance(first, dict) else None
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""


def digest_header(response: ExchangeResponse) -> Digest | None:
    try:
        return parse_digest(response.headers.get("docker-content-digest", ""))
    except Invalid:
        return None


def media_type_of(response: ExchangeResponse) -> str:
    return parse_content_type(response.headers.get("content-type", ""))


def is_html(response: ExchangeResponse) -> bool:
    return media_type_of(response) == "text/html"

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
_MAX_MESSAGE_LENGTH = 500
_LIMIT = re.compile(r"([0-9]{1,9})(?:;w=([0-9]{1,9}))?(?:,.*)?")
_DECIMAL = re.compile(r"[0-9]{1,15}")
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")


Phase = Literal["ping", "token", "manifest", "platform", "config", "layer", "tags"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """One request to make. `authorization` is the header's value; redirects are not to be followed.

    `optional`: where there is no answer the exchange goes on with status 0.
    """

    phase: Phase
    url: str
    accept: str = ""
    authorization: SecretText | None = None
    max_body_bytes: int = MAX_TOKEN_BYTES
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeResponse:
    """What came back. The headers' names are lower-case, repeated headers are joined by commas."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How often one may ask, and when again; as far as the registry says it."""

    limit: int | None = None
    window_s: int | None = None
    remaining: int | None = None
    retry_after_s: int | None = None
    retry_at: str = ""  # the same as a date


def json_object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def error_code(body: bytes) -> str:
    """The first of the registry's own codes. Source: OCI distribution-spec v1.1, "Error Codes"."""
    code = _first_error(body).get("code")
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""


def error_message(body: bytes) -> str:
    """What the registry says in words, for telling causes apart. It is never shown: nobody knows what stands in it.

    Besides the specification's place the two that token services use: `details` and `message`.
    """
    content = json_object(body)
    for value in (_first_error(body).get("message"), content.get("details"), content.get("message")):
        if isinstance(value, str) and value:
            return value[:_MAX_MESSAGE_LENGTH].lower()
    return ""


def rate_limit(response: ExchangeResponse) -> RateLimit | None:
    """What the registry says of its limit. Source: Docker docs, "Pull usage and limits"; RFC 9110 §10.2.3."""
    limit = _LIMIT.fullmatch(response.headers.get("ratelimit-limit", ""))
    left = _LIMIT.fullmatch(response.headers.get("ratelimit-remaining", ""))
    retry_after = response.headers.get("retry-after", "")
    after_s = int(retry_after) if _DECIMAL.fullmatch(retry_after) else None
    at = retry_after if _HTTP_DATE.fullmatch(retry_after) else ""
    if limit is None and left is None and after_s is None and not at:
        return None
    return RateLimit(
        limit=int(limit[1]) if limit else None,
        window_s=int(limit[2]) if limit and limit[2] else None,
        remaining=int(left[1]) if left else None,
        retry_after_s=after_s,
        retry_at=at,
    )


def _first_error(body: bytes) -> dict[str, object]:
    errors = json_object(body).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else {}


def digest_header(response: ExchangeResponse) -> Digest | None:
    try:
        return parse_digest(response.headers.get("docker-content-digest", ""))
    except Invalid:
        return None


def media_type_of(response: ExchangeResponse) -> str:
    return parse_content_type(response.headers.get("content-type", ""))


def is_html(response: ExchangeResponse) -> bool:
    return media_type_of(response) == "text/html"

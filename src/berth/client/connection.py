"""The connection to one server, with one token: requests, pages, and answers of the server as types or Problems."""

import re
import ssl
from collections.abc import Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from berth.domain.problem import (
    Conflict,
    Denied,
    Invalid,
    LimitReached,
    NotFound,
    Problem,
    Unauthenticated,
    UpstreamFailed,
)
from berth.domain.secret_text import SecretText

_PER_PAGE = 100
_MAX_PAGES = 1000
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_BY_NAME = re.compile(r"/repos/[^/]+/[^/]+")
_BY_ID = re.compile(r"/api/v3(/repositories/[0-9]{1,19})(?:[/?].*)?", re.DOTALL)
_PROBLEMS: Mapping[int, type[Problem]] = {
    400: Invalid, 401: Unauthenticated, 403: Denied, 404: NotFound, 409: Conflict,
    413: LimitReached, 422: Invalid, 429: LimitReached,
}  # fmt: skip


class _Error(msgspec.Struct):
    message: str = ""
    code: str = ""


Shape = TypeVar("Shape")
Body = Mapping[str, Any] | None


class Connection:
    """One server, one token. Close it, or use it in a `with`. `origin` is `https://host[:port]`.

    Certificates are trusted as git and curl do it: those of the system, or of the file that SSL_CERT_FILE names.
    """

    def __init__(self, origin: str, token: SecretText | None = None, *, timeout_s: float = 30) -> None:
        self.origin = origin.rstrip("/")
        headers = {"Accept": "application/vnd.github+json", "User-Agent": "berth"}
        if token is not None:
            value = token.reveal()
            if not (value.isascii() and value.isprintable()):  # a header error of the library would show it
                raise Unauthenticated("The token has characters that no token has.", code="client.token")
            headers["Authorization"] = f"token {value}"
        self.is_near = (
            urlsplit(self.origin).hostname in _LOOPBACK
        )  # a proxy must not get what is meant for this machine
        base = f"{self.origin}/api/v3"
        trusted = ssl.create_default_context()
        self.http = httpx.Client(
            base_url=base, headers=headers, timeout=timeout_s, trust_env=not self.is_near, verify=trusted
        )

    @property
    def authorization(self) -> dict[str, str]:
        """The header that proves who asks; none without a token."""
        value = self.http.headers.get("Authorization")
        return {} if value is None else {"Authorization": value}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def send(self, method: str, path: str, shape: type[Shape], body: Body = None, *, query: Body = None) -> Shape:
        return decode(self.request(method, path, body, query=query).content, shape)

    def list_all(self, path: str, shape: type[Shape], key: str = "", *, query: Body = None) -> list[Shape]:
        """All pages of `{total_count, <key>: [...]}`, or of a bare array."""
        found: list[Shape] = []
        for page in range(1, _MAX_PAGES + 1):
            pages = {**(query or {}), "per_page": str(_PER_PAGE), "page": str(page)}
            response = self.request("GET", path, query=pages)
            raw = response.content
            if key:
                raw = bytes(decode(raw, dict[str, msgspec.Raw]).get(key, msgspec.Raw(b"null")))
            found += decode(raw, list[shape])  # type: ignore[valid-type]
            if "next" not in response.links:
                break
        return found

    def request(
        self, method: str, path: str, body: Body = None, *, query: Body = None, timeout_s: float | None = 30
    ) -> httpx.Response:
        """The answer, if it is a success. A repository that has another name now is asked for by its id."""
        response = self._request(method, path, body, query, timeout_s)
        moved = _path_by_id(path, response)
        if moved is not None:
            response = self._request(method, moved, body, query, timeout_s)
        if response.status_code // 100 != 2:
            raise problem_of(response)
        return response

    def _request(self, method: str, path: str, body: Body, query: Body, timeout_s: float | None) -> httpx.Response:
        timeout = httpx.Timeout(30, read=timeout_s)
        try:
            return self.http.request(method, path, json=body, params=query, timeout=timeout)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            text = f"{self.origin} cannot be reached: {str(error) or type(error).__name__}."
            raise UpstreamFailed(text, code="client.unreachable", retryable=True) from error


def _path_by_id(path: str, response: httpx.Response) -> str | None:
    """Where the server says that a repository is now, if it says so. Nothing of its link is used but the id."""
    named = _BY_NAME.match(path)
    if named is None or response.status_code not in {301, 307}:
        return None
    try:
        found = _BY_ID.fullmatch(urlsplit(response.headers.get("location", "")).path)
    except ValueError:  # no address at all
        return None
    return None if found is None else f"{found[1]}{path[named.end() :]}"


def decode(raw: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        text = f"The server's answer is not what this version of berth understands: {error}."
        raise UpstreamFailed(text, code="client.answer") from error


def problem_of(response: httpx.Response) -> Problem:
    status = response.status_code
    try:
        error = msgspec.json.decode(response.content, type=_Error)
    except (msgspec.DecodeError, RecursionError):
        error = _Error()
    text = error.message or f"The server answered {status} {response.reason_phrase}."
    return _PROBLEMS.get(status, UpstreamFailed)(text, code=error.code or None)


def part(text: str) -> str:
    if text in {"", ".", ".."}:
        raise Invalid("A name is missing.", code="client.name")
    return quote(text, safe="")


def repository_path(full_name: str) -> str:
    owner, separator, name = full_name.partition("/")
    if not separator or "/" in name:
        raise Invalid(f"'{full_name[:80]}' is not OWNER/NAME.", field="repository", code="client.repository")
    return f"/repos/{part(owner)}/{part(name)}"

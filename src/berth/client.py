"""Typed client of our own REST API. What a terminal looks like and where a login is kept is `cli`'s business.

Decided: synchronous. The command line does one thing at a time, Ctrl-C arrives where the program is, and no loop has to
be started; a program that wants many requests at once has httpx and octokit.

The token goes to the one origin that the client was made for: redirects are not followed, and lists are paged by number,
not by the server's links. Every failure is a Problem with the server's own text.
"""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from nacl.public import PublicKey as SealingKey
from nacl.public import SealedBox

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
_MAX_EVENT_BYTES = 1024 * 1024
_STREAM_SILENCE_S = 60.0
_RECONNECT_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PROBLEMS: Mapping[int, type[Problem]] = {
    400: Invalid, 401: Unauthenticated, 403: Denied, 404: NotFound, 409: Conflict,
    413: LimitReached, 422: Invalid, 429: LimitReached,
}  # fmt: skip


class User(msgspec.Struct, kw_only=True):
    login: str
    id: int
    type: str = "User"
    email: str | None = None
    site_admin: bool = False


class Repository(msgspec.Struct, kw_only=True):  # inside a codespace it is short: what was not sent stays out of JSON
    id: int
    full_name: str
    private: bool | msgspec.UnsetType = msgspec.UNSET
    visibility: str | msgspec.UnsetType = msgspec.UNSET
    clone_url: str | msgspec.UnsetType = msgspec.UNSET


class Secret(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Never a value. `visibility` is None for a repository's secret."""

    name: str
    created_at: str
    updated_at: str
    visibility: str | None = None


class Finding(msgspec.Struct, kw_only=True):
    """Why a launch failed, and what to do."""

    code: str
    sentence: str
    fixer: str = ""
    next_step: str = ""
    evidence: dict[str, str] = {}


class GitStatus(msgspec.Struct, kw_only=True):
    ref: str | None = None


class Codespace(msgspec.Struct, kw_only=True):
    name: str
    state: str
    display_name: str | None = None
    repository: Repository | None = None
    git_status: GitStatus = msgspec.field(default_factory=GitStatus)
    devcontainer_path: str | None = None
    created_at: str = ""
    last_used_at: str = ""
    web_url: str = ""
    pending_operation: bool | None = None
    finding: Finding | None = None


class LogEntry(msgspec.Struct, kw_only=True):
    """A line of the creation log; `kind` is phase, output, progress, finding or end."""

    id: int = 0
    at: str = ""
    kind: str = "output"
    text: str = ""


class PullProgress(msgspec.Struct, kw_only=True):
    layers_total: int = 0
    layers_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0


class RegistryLogin(msgspec.Struct, kw_only=True):
    """A registry that a codespace would be logged in to, or why not."""

    server: str | None = None
    level: str | None = None  # None: the codespace's own token, which is for the built-in registry
    prefix: str | None = None
    kind: str | None = None  # None: not logged in with this one
    shadowed: bool = False
    incomplete: bool = False
    warnings: list[str] = []


class RegistryLogins(msgspec.Struct, kw_only=True):
    registries: list[RegistryLogin]
    withheld_reason: str | None = None  # why the caller's codespaces get no secrets


class AccessToken(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`token` is there only in the answer that made it."""

    id: int = 0
    note: str = ""
    scopes: list[str] = []
    created_at: str | None = None
    expires_at: str | None = None
    token: str | None = None


class ExecResult(msgspec.Struct, kw_only=True):
    exit_code: int
    output: str = ""
    encoding: str = ""

    @property
    def data(self) -> bytes:
        return base64.b64decode(self.output) if self.encoding == "base64" else self.output.encode()


class _Error(msgspec.Struct):
    message: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class SecretOwner:
    """Whose secrets: `path` is where they are in the API."""

    path: str
    words: str

    @classmethod
    def user(cls) -> Self:
        return cls("/user/codespaces/secrets", "your account")

    @classmethod
    def repository(cls, full_name: str) -> Self:
        return cls(f"{_repository_path(full_name)}/codespaces/secrets", full_name)

    @classmethod
    def organization(cls, login: str) -> Self:
        return cls(f"/orgs/{_part(login)}/codespaces/secrets", login)


Shape = TypeVar("Shape")
_Body = Mapping[str, Any] | None


class Client:
    """One server, one token. Close it, or use it in a `with`. `origin` is `https://host[:port]`."""

    def __init__(self, origin: str, token: SecretText | None = None, *, timeout_s: float = 30) -> None:
        self.origin = origin.rstrip("/")
        headers = {"Accept": "application/vnd.github+json", "User-Agent": "berth"}
        if token is not None:
            value = token.reveal()
            if not (value.isascii() and value.isprintable()):  # a header error of the library would show it
                raise Unauthenticated("The token has characters that no token has.", code="client.token")
            headers["Authorization"] = f"token {value}"
        is_near = urlsplit(self.origin).hostname in _LOOPBACK  # a proxy must not get what is meant for this machine
        base = f"{self.origin}/api/v3"
        self._http = httpx.Client(base_url=base, headers=headers, timeout=timeout_s, trust_env=not is_near)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get_user(self) -> User:
        return self._send("GET", "/user", User)

    def get_repository(self, full_name: str) -> Repository:
        return self._send("GET", _repository_path(full_name), Repository)

    def create_repository(self, full_name: str, *, private: bool) -> Repository:
        owner = _repository_path(full_name).split("/")[2]
        path = "/user/repos" if owner.lower() == self.get_user().login.lower() else f"/orgs/{owner}/repos"
        return self._send("POST", path, Repository, {"name": full_name.partition("/")[2], "private": private})

    def list_secrets(self, owner: SecretOwner) -> list[Secret]:
        return self._list(owner.path, Secret, "secrets")

    def set_secret(self, owner: SecretOwner, name: str, value: SecretText, **fields: Any) -> bool:
        """Seal and store; True if it is new. `fields`: visibility, selected_repository_ids."""
        key = self._send("GET", f"{owner.path}/public-key", dict[str, Any])
        try:
            key_id = str(key["key_id"])
            sealed = SealedBox(SealingKey(base64.b64decode(key["key"]))).encrypt(value.reveal().encode())
        except (KeyError, TypeError, ValueError):
            raise UpstreamFailed("The server's public key cannot be used.", code="client.answer") from None
        body = {"encrypted_value": base64.b64encode(sealed).decode(), "key_id": key_id, **fields}
        return self._request("PUT", f"{owner.path}/{_part(name)}", body).status_code == 201

    def delete_secret(self, owner: SecretOwner, name: str) -> None:
        self._request("DELETE", f"{owner.path}/{_part(name)}")

    def list_registries(self, full_name: str) -> RegistryLogins:
        return self._send("GET", f"{_repository_path(full_name)}/codespaces/registries", RegistryLogins)

    def create_codespace(self, full_name: str, **fields: str) -> Codespace:
        return self._send("POST", f"{_repository_path(full_name)}/codespaces", Codespace, fields)

    def list_codespaces(self) -> list[Codespace]:
        return self._list("/user/codespaces", Codespace, "codespaces")

    def get_codespace(self, name: str) -> Codespace:
        return self._send("GET", _codespace_path(name), Codespace)

    def start_codespace(self, name: str) -> Codespace:
        return self._send("POST", f"{_codespace_path(name)}/start", Codespace)

    def stop_codespace(self, name: str) -> Codespace:
        return self._send("POST", f"{_codespace_path(name)}/stop", Codespace)

    def delete_codespace(self, name: str) -> None:
        self._request("DELETE", _codespace_path(name))

    def execute(self, name: str, command: Sequence[str], stdin: bytes | None = None) -> ExecResult:
        """Run a command to its end, however long that takes."""
        encoded = None if stdin is None else base64.b64encode(stdin).decode()
        body = {"command": list(command), "stdin": encoded}  # stdin is base64, the output says its encoding
        answer = self._request("POST", f"{_codespace_path(name)}/exec", body, timeout_s=None)
        return _decode(answer.content, ExecResult)

    def read_log(self, name: str) -> list[LogEntry]:
        return self._send("GET", f"{_codespace_path(name)}/logs", list[LogEntry])

    def follow_log(self, name: str) -> Iterator[LogEntry]:
        """The log from its beginning until `end`; a broken connection is taken up again after the last line seen."""
        last, failures = 0, 0
        while True:
            try:
                for entry in self._stream(name, last):
                    last, failures = max(last, entry.id), 0
                    yield entry
                    if entry.kind == "end":
                        return
                failures += 1
            except httpx.ReadTimeout:
                continue  # nothing happened for a while; ask on a fresh connection
            except httpx.TransportError:
                failures += 1
            if failures > len(_RECONNECT_PAUSES_S):
                text = "The connection to the server broke and could not be taken up again."
                remedy = f"Go on with: berth codespace logs {name} --follow"
                raise UpstreamFailed(text, code="client.stream", retryable=True, remedy=remedy)
            time.sleep(_RECONNECT_PAUSES_S[failures - 1])

    def _stream(self, name: str, last: int) -> Iterator[LogEntry]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(last)} if last else {})
        timeout = httpx.Timeout(30, read=_STREAM_SILENCE_S)
        path = f"{_codespace_path(name)}/logs"
        with self._http.stream("GET", path, params={"follow": "1"}, headers=headers, timeout=timeout) as response:
            if response.status_code != 200:
                response.read()
                raise _problem(response)
            yield from parse_events(response.iter_bytes())

    def list_tokens(self) -> list[AccessToken]:
        return self._list("/user/tokens", AccessToken)

    def create_token(self, note: str, scopes: Sequence[str]) -> AccessToken:
        return self._send("POST", "/user/tokens", AccessToken, {"note": note, "scopes": list(scopes)})

    def revoke_token(self, token_id: int) -> None:
        self._request("DELETE", f"/user/tokens/{token_id}")

    def create_user(self, login: str, email: str) -> User:
        return self._send("POST", "/admin/users", User, {"login": login, "email": email})

    def create_user_token(self, login: str, scopes: Sequence[str]) -> AccessToken:
        path = f"/admin/users/{_part(login)}/authorizations"
        return self._send("POST", path, AccessToken, {"scopes": list(scopes)})

    def create_organization(self, login: str, admin: str) -> User:
        return self._send("POST", "/admin/organizations", User, {"login": login, "admin": admin})

    def _send(self, method: str, path: str, shape: type[Shape], body: _Body = None) -> Shape:
        return _decode(self._request(method, path, body).content, shape)

    def _list(self, path: str, shape: type[Shape], key: str = "") -> list[Shape]:
        """All pages of `{total_count, <key>: [...]}`, or of a bare array."""
        found: list[Shape] = []
        for page in range(1, _MAX_PAGES + 1):
            raw = self._request("GET", path, query={"per_page": str(_PER_PAGE), "page": str(page)}).content
            answer = _decode(raw, dict[str, Any])[key] if key else _decode(raw, list[Any])
            found += msgspec.convert(answer, list[shape])  # type: ignore[valid-type]
            if len(answer) < _PER_PAGE:
                break
        return found

    def _request(
        self, method: str, path: str, body: _Body = None, *, query: _Body = None, timeout_s: float | None = 30
    ) -> httpx.Response:
        timeout = httpx.Timeout(30, read=timeout_s)
        try:
            response = self._http.request(method, path, json=body, params=query, timeout=timeout)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            text = f"{self.origin} cannot be reached: {str(error) or type(error).__name__}."
            raise UpstreamFailed(text, code="client.unreachable", retryable=True) from error
        if response.status_code // 100 != 2:
            raise _problem(response)
        return response


def parse_events(chunks: Iterator[bytes]) -> Iterator[LogEntry]:
    """Server-sent events to log entries. Source: HTML Living Standard, "Server-sent events"; only LF and CRLF end a line."""
    fields: dict[str, str] = {}
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MAX_EVENT_BYTES:
            raise UpstreamFailed("The server sent an event that is too large.", code="client.answer")
        for line in lines:
            text = line.decode(errors="replace").removesuffix("\r")
            name, _, value = text.partition(":")
            if not text and "data" in fields:
                yield _entry(fields)
            if not text:
                fields = {}
            elif name:
                value = value.removeprefix(" ")
                fields[name] = f"{fields[name]}\n{value}" if name == "data" and "data" in fields else value


def _entry(fields: Mapping[str, str]) -> LogEntry:
    entry = _decode(fields["data"].encode(), LogEntry)
    number = fields.get("id", "")
    entry.id = int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else 0
    entry.kind = fields.get("event", "output")
    return entry


def _decode(raw: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        text = f"The server's answer is not what this version of berth understands: {error}."
        raise UpstreamFailed(text, code="client.answer") from error


def _problem(response: httpx.Response) -> Problem:
    status = response.status_code
    try:
        error = msgspec.json.decode(response.content, type=_Error)
    except (msgspec.DecodeError, RecursionError):
        error = _Error()
    text = error.message or f"The server answered {status} {response.reason_phrase}."
    return _PROBLEMS.get(status, UpstreamFailed)(text, code=error.code or None)


def _part(text: str) -> str:
    if text in {"", ".", ".."}:
        raise Invalid("A name is missing.", code="client.name")
    return quote(text, safe="")


def _repository_path(full_name: str) -> str:
    owner, separator, name = full_name.partition("/")
    if not separator or "/" in name:
        raise Invalid(f"'{full_name[:80]}' is not OWNER/NAME.", field="repository", code="client.repository")
    return f"/repos/{_part(owner)}/{_part(name)}"


def _codespace_path(name: str) -> str:
    return f"/user/codespaces/{_part(name)}"

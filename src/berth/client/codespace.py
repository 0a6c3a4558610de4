"""Codespaces: their life, their log as it is written, and commands in them."""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence

import httpx
import msgspec

from berth.client.connection import Connection, decode, part, problem_of, repository_path
from berth.client.repository import Repository
from berth.domain.problem import UpstreamFailed
from berth.domain.whole_number import parse_whole_number

_MAX_EVENT_BYTES = 1024 * 1024
_STREAM_SILENCE_S = 60.0
_RECONNECT_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)


class Finding(msgspec.Struct, kw_only=True):
    """Why a launch failed, and what to do."""

    code: str
    sentence: str
    fixer: str = ""
    next_step: str = ""
    evidence: dict[str, str] = {}


class FailedHook(msgspec.Struct, kw_only=True):
    """A lifecycle command that failed when it ran last."""

    hook: str
    exit_code: int
    at: str = ""


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
    idle_timeout_minutes: int | None = None
    last_known_stop_notice: str | None = None
    retention_expires_at: str | None = None
    retention_notice: str | None = None
    finding: Finding | None = None
    failed_hook: FailedHook | None = None


class CodespaceExport(msgspec.Struct, kw_only=True):
    """A push of a codespace's changes to a branch; `state` is in_progress, succeeded or failed."""

    id: str
    state: str
    branch: str | None = None
    sha: str | None = None
    completed_at: str | None = None
    export_url: str = ""
    html_url: str | None = None
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


class ExecResult(msgspec.Struct, kw_only=True):
    exit_code: int
    output: str = ""
    encoding: str = ""

    @property
    def data(self) -> bytes:
        return base64.b64decode(self.output) if self.encoding == "base64" else self.output.encode()


class CodespaceCalls(Connection):
    """What the client calls about codespaces."""

    def create_codespace(self, full_name: str, **fields: str | int) -> Codespace:
        return self.send("POST", f"{repository_path(full_name)}/codespaces", Codespace, fields)

    def list_codespaces(self) -> list[Codespace]:
        return self.list_all("/user/codespaces", Codespace, "codespaces")

    def get_codespace(self, name: str) -> Codespace:
        return self.send("GET", _codespace_path(name), Codespace)

    def start_codespace(self, name: str) -> Codespace:
        return self.send("POST", f"{_codespace_path(name)}/start", Codespace)

    def rebuild_codespace(self, name: str, *, full: bool) -> Codespace:
        return self.send("POST", f"{_codespace_path(name)}/rebuild", Codespace, {"full": full})

    def stop_codespace(self, name: str) -> Codespace:
        return self.send("POST", f"{_codespace_path(name)}/stop", Codespace)

    def delete_codespace(self, name: str) -> None:
        self.request("DELETE", _codespace_path(name))

    def export_codespace(self, name: str, branch: str | None = None) -> CodespaceExport:
        """Begin one; without a branch it gets one of its own."""
        body = {} if branch is None else {"branch": branch}
        return self.send("POST", f"{_codespace_path(name)}/exports", CodespaceExport, body)

    def get_export(self, name: str, export_id: str = "latest") -> CodespaceExport:
        return self.send("GET", f"{_codespace_path(name)}/exports/{part(export_id)}", CodespaceExport)

    def execute(self, name: str, command: Sequence[str], stdin: bytes | None = None) -> ExecResult:
        """Run a command to its end, however long that takes."""
        encoded = None if stdin is None else base64.b64encode(stdin).decode()
        body = {"command": list(command), "stdin": encoded}  # stdin is base64, the output says its encoding
        answer = self.request("POST", f"{_codespace_path(name)}/exec", body, timeout_s=None)
        return decode(answer.content, ExecResult)

    def read_log(self, name: str) -> list[LogEntry]:
        return self.send("GET", f"{_codespace_path(name)}/logs", list[LogEntry])

    def follow_log(self, name: str, *, after: int = 0) -> Iterator[LogEntry]:
        """The log behind the line `after` until `end`; a broken connection is taken up again after the last line seen."""
        last, failures = after, 0
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
        with self.http.stream("GET", path, params={"follow": "1"}, headers=headers, timeout=timeout) as response:
            if response.status_code != 200:
                response.read()
                raise problem_of(response)
            yield from parse_events(response.iter_bytes())


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
    entry = decode(fields["data"].encode(), LogEntry)
    entry.id = parse_whole_number(fields.get("id", "")) or 0
    entry.kind = fields.get("event", "output")
    return entry


def _codespace_path(name: str) -> str:
    return f"/user/codespaces/{part(name)}"

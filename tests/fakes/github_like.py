"""A small real HTTP server on loopback that speaks the shapes of our REST API: enough for the command line."""

import base64
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nacl.public import PrivateKey, SealedBox

TOKEN = "berth_pat_canary_4f9c1e"
Answer = tuple[int, Any]
CODESPACE = "ada-shop-g4wpq6h95q"


def _entry(number: int, kind: str, text: str) -> tuple[int, str, str]:
    return number, kind, text


@dataclass
class GitHubLike:
    """The server's state; tests set it and look at it."""

    url: str = ""
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)  # by path
    tokens: list[dict[str, Any]] = field(default_factory=list)
    creations: list[dict[str, Any]] = field(default_factory=list)  # the bodies, of codespaces
    more: dict[str, Any] = field(default_factory=dict)  # what the codespace has beside the usual
    rebuilds: list[dict[str, Any]] = field(default_factory=list)  # the bodies
    state: str = "Available"
    finding: dict[str, Any] | None = None
    log: list[tuple[int, str, str]] = field(
        default_factory=lambda: [
            _entry(1, "phase", "Pulling the image"),
            _entry(2, "progress", '{"layers_total":2,"layers_done":1,"bytes_total":2000000,"bytes_done":1000000}'),
            _entry(3, "phase", "Running postCreateCommand"),
            _entry(4, "output", "installed"),
            _entry(5, "end", ""),
        ]
    )
    break_after: int | None = None  # the stream breaks once after this line
    streams: list[str] = field(default_factory=list)  # the Last-Event-ID of each
    executed: list[dict[str, Any]] = field(default_factory=list)
    exec_answer: dict[str, Any] = field(default_factory=lambda: {"exit_code": 0, "output": "hello\n"})
    answers: dict[str, Answer] = field(default_factory=dict)  # `METHOD path` → what to answer instead
    requests: list[str] = field(default_factory=list)
    registries: list[dict[str, Any]] = field(default_factory=list)
    unshared: list[dict[str, Any]] = field(default_factory=list)
    withheld: str | None = None
    login: dict[str, Any] = field(default_factory=lambda: {"outcome": "accepted", "sentence": "It takes the login."})
    checks: list[tuple[str, dict[str, Any]]] = field(
        default_factory=list
    )  # path and opened body, of logins that were tried
    exports: list[dict[str, Any]] = field(
        default_factory=list
    )  # what each look at the export answers; the last one stays
    changes: list[tuple[str, Any]] = field(default_factory=list)  # of packages: request and body, in order
    teams_hidden: bool = False
    queries: list[str] = field(default_factory=list)
    moved_to: str = ""  # where acme/old is, if not at acme/shop's id

    def codespace(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": 1,
            "name": CODESPACE,
            "display_name": "calm quay",
            "state": self.state,
            "repository": {"id": 11, "full_name": "acme/shop"},
            "git_status": {"ref": "main"},
            "created_at": "2026-11-23T08:15:50Z",
            "last_used_at": "2026-11-23T08:15:50Z",
            "web_url": f"{self.url}/codespaces/{CODESPACE}",
        }
        return body | self.more | ({"finding": self.finding} if self.finding else {})

    def stored_log(self) -> list[tuple[int, str, str]]:
        """All but `end`, which only a stream has."""
        return [entry for entry in self.log if entry[1] != "end"]

    def values(self) -> dict[str, str]:
        """The opened secrets, by path."""
        box = SealedBox(self.key)
        return {
            path: box.decrypt(base64.b64decode(body["encrypted_value"])).decode() for path, body in self.secrets.items()
        }

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        self.requests.append(f"{method} {path}")
        if f"{method} {path}" in self.answers:
            return self.answers[f"{method} {path}"]
        for pattern, action in self._routes():
            match = re.fullmatch(pattern, f"{method} {path}")
            if match:
                return action(body, *match.groups())
        return 404, {"message": "Not Found"}

    def _routes(self) -> list[tuple[str, Callable[..., Answer]]]:
        one = f"/user/codespaces/{CODESPACE}"
        return [
            (r"GET /user", lambda _: (200, {"login": "ada", "id": 1, "type": "User"})),
            (r"GET /repos/acme/(shop|site)", lambda _, name: (200, _repository(name))),
            (r"POST /orgs/acme/repos", lambda body: (201, _repository(body["name"]))),
            (r"PATCH /repos/acme/(?:shop|site)", lambda body: (200, _repository(body["name"]))),
            (r"(GET|POST|PUT|DELETE) /repos/acme/old(/.+)?", self._send_on),
            (r"(GET|POST|PUT|DELETE) /repositories/11(/.+)?", self._get_by_id),
            (r"GET (/.+/codespaces/secrets|/user/codespaces/secrets)/public-key", self._public_key),
            (r"GET (/.*codespaces/secrets)", self._list_secrets),
            (r"PUT (/.*codespaces/secrets/\w+)", self._put_secret),
            (r"DELETE (/.*codespaces/secrets/\w+)", self._delete_secret),
            (r"GET /repos/acme/shop/codespaces/registries", self._list_registries),
            (r"POST (/.*codespaces/registries/check)", self._check_login),
            (r"POST /repos/acme/shop/codespaces", self._create),
            (r"GET /user/codespaces", lambda _: (200, {"total_count": 1, "codespaces": [self.codespace()]})),
            (f"GET {one}", lambda _: (200, self.codespace())),
            (f"DELETE {one}", lambda _: (202, {})),
            (f"POST {one}/(start|stop)", lambda _, verb: (200, self.codespace() | {"state": f"{verb}ing"})),
            (f"POST {one}/rebuild", self._rebuild),
            (f"POST {one}/exec", self._exec),
            (f"POST {one}/exports", lambda body: (202, _export(branch=body.get("branch", f"codespace-{CODESPACE}")))),
            (f"GET {one}/exports/7", lambda _: (200, _export(**self._next_export()))),
            (f"GET {one}/logs", lambda _: (200, [_log_body(*entry) for entry in self.stored_log()])),
            (r"GET /user/tokens", lambda _: (200, self.tokens)),
            (r"POST /user/tokens", lambda body: (201, {"id": 7, "token": "berth_new_token", **body})),
            (r"DELETE /user/tokens/7", lambda _: (204, None)),
            (r"POST /admin/users", lambda body: (201, {"id": 9, "login": body["login"]})),
            (r"POST /admin/users/bob/authorizations", lambda body: (201, {"token": "berth_bob_token", **body})),
            (r"(PUT|DELETE) /users/bob/suspended", lambda _, method: (204, None)),
            (r"POST /admin/users/bob/invitation", lambda _: (201, _invitation())),
            (r"GET (?:/user|/users/acme)/packages", lambda _: (200, [_package()])),
            (r"GET /users/acme/packages/container/tools%2Fdev", lambda _: (200, _package())),
            (r"GET /users/acme/packages/container/tools%2Fdev/(.+)", self._get_of_package),
            (r"(P\w+|DELETE) /users/acme/packages/container/tools%2Fdev(.*)", self._change_package),
            (r"POST /admin/organizations", lambda body: (201, {"id": 8, "login": body["login"]})),
        ]

    def _send_on(self, _: Any, method: str, below: str | None) -> Answer:
        url = self.moved_to or f"{self.url}/api/v3/repositories/11{below or ''}"
        return (301 if method == "GET" else 307), {"message": "Moved Permanently", "url": url}

    def _get_by_id(self, body: dict[str, Any], method: str, below: str | None) -> Answer:
        return self.answer(method, f"/repos/acme/shop{below or ''}", body)

    def _create(self, body: dict[str, Any]) -> Answer:
        self.creations.append(body)
        return 201, self.codespace() | {"state": "Queued"}

    def _rebuild(self, body: dict[str, Any]) -> Answer:
        self.rebuilds.append(body)
        return 202, self.codespace() | {"state": "Rebuilding"}

    def _public_key(self, _: Any, path: str) -> Answer:
        return 200, {"key_id": "42", "key": base64.b64encode(bytes(self.key.public_key)).decode()}

    def _list_secrets(self, _: Any, path: str) -> Answer:
        at = "2026-11-23T08:15:50Z"
        names = [key.rpartition("/")[2] for key in self.secrets if key.startswith(f"{path}/")]
        rows = [{"name": name, "created_at": at, "updated_at": at, "visibility": "private"} for name in names]
        return 200, {"total_count": len(rows), "secrets": rows}

    def _put_secret(self, body: dict[str, Any], path: str) -> Answer:
        is_new = path not in self.secrets
        self.secrets[path] = body
        return (201, {}) if is_new else (204, None)

    def _delete_secret(self, _: Any, path: str) -> Answer:
        return (404, {"message": "Not Found"}) if self.secrets.pop(path, None) is None else (204, None)

    def _check_login(self, body: dict[str, Any], path: str) -> Answer:
        box, sealed = SealedBox(self.key), {name for name in body if name.startswith("encrypted_")}
        opened = {name: box.decrypt(base64.b64decode(body[name])).decode() for name in sealed}
        self.checks.append((path, body | opened))
        return 200, {"server": body["server"], "finding": None, "warnings": [], **self.login}

    def _list_registries(self, _: Any) -> Answer:
        return 200, {
            "total_count": len(self.registries),
            "registries": self.registries,
            "unshared": self.unshared,
            "withheld_reason": self.withheld,
        }

    def _get_of_package(self, _: Any, what: str) -> Answer:
        if what == "teams" and self.teams_hidden:
            return 403, {"message": "This needs a token with the scope read:org."}
        digest = f"sha256:{'0' * 64}"
        repository = {**_repository("site"), "role": "write"}
        return 200, {
            "versions": [
                {"id": 4, "name": digest, "metadata": {"package_type": "container", "container": {"tags": ["1"]}}}
            ],
            "settings": _SETTINGS,
            "collaborators": [{"login": "ada", "id": 1, "role": "admin"}],
            "teams": [{"slug": "core", "id": 2, "role": "read"}],
            "codespaces/repositories": {"total_count": 1, "repositories": [_repository("shop")]},
            "actions/repositories": {"total_count": 1, "repositories": [repository]},
            "access": {
                "package": "acme/tools/dev",
                "action": "push",
                "asked_of": "ada",
                "allowed": False,
                "trail": [{"rule": "package.grant", "effect": "abstain", "text": "She was granted a role: read."}],
            },
        }[what]

    def _change_package(self, body: Any, method: str, path: str) -> Answer:
        self.changes.append((f"{method} {path}", body))
        return (200, _SETTINGS) if method == "PATCH" else (204, None)

    def _next_export(self) -> dict[str, Any]:
        return self.exports.pop(0) if len(self.exports) > 1 else self.exports[0]

    def _exec(self, body: dict[str, Any]) -> Answer:
        self.executed.append(body)
        return 200, self.exec_answer


_SETTINGS = {
    "name": "tools/dev",
    "owner": "acme",
    "visibility": "internal",
    "inherit_access": True,
    "linked": True,
    "repository": "acme/shop",
    "untagged_retention_days": 30,
}


def _invitation() -> Any:
    link = "https://berth.example.com/login/invitation/berth_bob_link"
    return {"login": "bob", "url": link, "expires_at": "2026-01-04T00:00:00Z"}


def _package() -> dict[str, Any]:
    return {
        "id": 7,
        "name": "tools/dev",
        "package_type": "container",
        "visibility": "private",
        "internal": True,
        "owner": {"login": "acme", "id": 2},
        "repository": _repository("shop"),
        "version_count": 1,
        "updated_at": "2026-11-23T08:15:50Z",
    }


def _export(**changes: Any) -> dict[str, Any]:
    return {"id": "7", "state": "in_progress", "branch": f"codespace-{CODESPACE}", "sha": None, **changes}


def _repository(name: str) -> dict[str, Any]:
    number = {"shop": 11, "site": 12}.get(name, 13)
    return {"id": number, "full_name": f"acme/{name}", "private": True, "visibility": "private"}


def _log_body(number: int, kind: str, text: str) -> dict[str, Any]:
    return {"id": number, "at": "2026-11-23T08:15:50Z", "kind": kind, "text": text}


class _Handler(BaseHTTPRequestHandler):
    world: GitHubLike

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 the base class names it
        """Tests are quiet."""

    def _handle(self) -> None:
        path, _, query = self.path.removeprefix("/api/v3").partition("?")
        self.world.queries.append(query)
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("authorization") != f"token {TOKEN}":
            self._answer(401, {"message": "Bad credentials"})
        elif path.endswith("/logs") and "follow=1" in query and f"GET {path}" not in self.world.answers:
            self._stream()
        else:
            self._answer(*self.world.answer(self.command, path, json.loads(raw or b"{}")))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 the base class looks these names up

    def _answer(self, status: int, body: Any) -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(raw)))
        if status in {301, 307} and "url" in body:
            self.send_header("Location", body["url"])
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self) -> None:
        last = self.headers.get("last-event-id", "")
        self.world.streams.append(last)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b": log\n\n")
        for number, kind, text in self.world.log:
            if number <= int(last or 0) and kind != "end":
                continue
            data = json.dumps({"at": "2026-11-23T08:15:50Z", "text": text})
            self.wfile.write(f"id: {number}\nevent: {kind}\ndata: {data}\n\n".encode())
            if number == self.world.break_after:
                self.world.break_after = None
                break


@contextmanager
def run_github_like(tls: ssl.SSLContext | None = None) -> Iterator[GitHubLike]:
    """With `tls` it is called by the name `localhost`."""
    world = GitHubLike()
    handler = type("Handler", (_Handler,), {"world": world})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    world.url = f"http://127.0.0.1:{server.server_port}"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        world.url = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

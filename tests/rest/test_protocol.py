"""GitHub's protocol, byte for byte, through the socket. Quoted sections are those of GITHUB_API of the references."""

import asyncio
import base64
import json
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from nacl.public import PublicKey, SealedBox
from starlette.types import ASGIApp
from tests.oci.wire import Reply, Wire, listening
from tests.rest.berth_api import Berth, make_berth

from berth.adapters.store.database import Store
from berth.front import make_front
from berth.listen_address import UnixAddress
from berth.rest.app import make_rest_app
from berth.rest.routes import ROUTES

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json; charset=utf-8"}
API = "/api/v3"
LOCATIONS = {"EastUs", "SouthEastAsia", "WestEurope", "WestUs2"}


@dataclass(frozen=True)
class Spoken:
    """OCTO has the private repositories octo/app, octo/r1 and octo/r2, and the public octo/open; EVE has nothing."""

    berth: Berth
    port: int
    octo: str
    eve: str
    few: str  # of octo, without scopes
    app_id: int

    def front(self, external_url: str | None) -> ASGIApp:
        return make_front(
            rest=make_rest_app(self.berth.services, ROUTES, external_url),
            sockets=_nothing,
            git=_nothing,
            oci=_nothing,
            checks={},
        )

    async def ask(
        self, target: str, method: str = "GET", *, token: str | None = "", body: bytes = b"", **headers: str | None
    ) -> Reply:
        """One request on a connection of its own, by octo if no token is given, anonymous if it is None."""
        async with Wire.to(self.port) as wire:
            return await _ask(wire, target, method, token=self.octo if token == "" else token, body=body, **headers)


async def _ask(
    wire: Wire, target: str, method: str = "GET", *, token: str | None, body: bytes = b"", **headers: str | None
) -> Reply:
    """Names of headers are written with `_`; None leaves one out that would be sent."""
    given = {name.replace("_", "-").title(): value for name, value in headers.items()}
    sent: dict[str, str | None] = {"Host": "berth.test", **({"Authorization": f"token {token}"} if token else {})}
    if body or method not in {"GET", "HEAD"}:
        sent["Content-Length"] = str(len(body))
    sent |= given
    lines = [f"{name}: {value}" for name, value in sent.items() if value is not None]
    await wire.send("\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode() + body)
    return await wire.reply(head=method == "HEAD")


async def _nothing(*_: Any) -> None:
    raise AssertionError("this is REST")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spoken(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Spoken]:
    folder = tmp_path_factory.mktemp("protocol")
    shutil.copy(sqlite_template, folder / "berth.db")
    store = Store(f"sqlite:///{folder}/berth.db")
    async with make_berth(folder, store) as berth:
        octo = await berth.user("octo")
        await berth.user("eve")
        made = await octo.post("/user/repos", json={"name": "app", "private": True})
        for name, private in (("r1", True), ("r2", True), ("open", False)):
            await octo.post("/user/repos", json={"name": name, "private": private})
        tokens = {"octo": str(octo.headers["authorization"]).partition(" ")[2], "few": await berth.token("octo")}
        tokens["eve"] = await berth.token("eve", "repo", "codespace")
        front = make_front(rest=berth.rest, sockets=_nothing, git=_nothing, oci=_nothing, checks={})
        async with listening(front) as port:
            yield Spoken(berth, port, app_id=made.json()["id"], **tokens)
    await store.close()


def body_of(reply: Reply) -> Any:
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    return json.loads(reply.body)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("scheme", ["token", "Token", "TOKEN", "Bearer", "bearer", "BEARER"])
async def test_2_1_schemes(spoken: Spoken, scheme: str) -> None:
    reply = await spoken.ask(f"{API}/user", authorization=f"{scheme} {spoken.octo}")
    assert (reply.status, body_of(reply)["login"]) == (200, "octo")


@pytest.mark.parametrize("user, in_password", [("octo", True), ("x-access-token", True), ("", True), (None, False)])
async def test_2_1_basic(spoken: Spoken, user: str | None, in_password: bool) -> None:
    pair = (user or "", spoken.octo) if in_password else (spoken.octo, "x-oauth-basic")
    assert (await spoken.ask(f"{API}/user", authorization=basic(*pair))).status == 200


@pytest.mark.parametrize(
    "target, sent, status, message",
    [
        (f"{API}/user", None, 401, "Requires authentication"),
        (f"{API}/user", "token nothing", 401, "Bad credentials"),
        (f"{API}/", "token nothing", 401, "Bad credentials"),
        (f"{API}/repos/octo/open", "Bearer nothing", 401, "Bad credentials"),
        (f"{API}/user", "Digest x", 401, "Bad credentials"),
        (f"{API}/user", "token", 401, "Bad credentials"),
        (f"{API}/user", "Basic %%%", 401, "Bad credentials"),
        (f"{API}/user", basic("octo", "nothing"), 401, "Bad credentials"),
        (f"{API}/repos/octo/app", None, 404, "Not Found"),
        (f"{API}/repos/octo/app", "eve", 404, "Not Found"),
        (f"{API}/repos/octo/open/teams", "eve", 403, "Must have admin rights to Repository."),
        (f"{API}/user/codespaces", "few", 403, "Must have admin rights to Repository."),
        (f"{API}/nothing", "octo", 404, "Not Found"),
    ],
)
async def test_2_1_who_may_not_and_2_4_how_it_is_said(
    spoken: Spoken, target: str, sent: str | None, status: int, message: str
) -> None:
    header = f"token {getattr(spoken, sent)}" if sent in {"eve", "few", "octo"} else sent
    reply = await spoken.ask(target, token=None, authorization=header)
    body = body_of(reply)
    assert (reply.status, body["status"]) == (status, str(status))
    assert body["message"].startswith(message)
    page, _, code = body["documentation_url"].removeprefix("http://berth.test").partition("#")
    assert code == body["code"]
    assert f'<tr id="{code}">'.encode() in (await spoken.ask(page, token=None)).body


async def test_2_1_scopes_are_shown_to_their_owner_only(spoken: Spoken) -> None:
    shown = (await spoken.ask(f"{API}/user/codespaces")).headers
    assert {"repo", "codespace", "codespace:secrets", "read:org"} <= set(shown["x-oauth-scopes"].split(", "))
    assert shown["x-accepted-oauth-scopes"] == "codespace"
    refused = (await spoken.ask(f"{API}/user/codespaces", token=spoken.few)).headers
    assert (refused["x-oauth-scopes"], refused["x-accepted-oauth-scopes"]) == ("", "codespace")
    assert "x-oauth-scopes" not in (await spoken.ask(f"{API}/", token=None)).headers
    assert "x-oauth-scopes" not in (await spoken.ask(f"{API}/user", token="nothing")).headers


async def test_9_root_has_the_scopes_that_gh_auth_looks_for(spoken: Spoken) -> None:
    for target, host in ((API, "berth.test"), (f"{API}/", "berth.test"), ("/", "api.berth.test")):
        reply = await spoken.ask(target, host=host)
        assert reply.status == 200
        assert {"repo", "read:org"} <= set(reply.headers["x-oauth-scopes"].split(", "))


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "text/html",
        "application/vnd.github.v3+json",
        "application/vnd.github+json",
        "application/vnd.github.mercy-preview+json, application/vnd.github.nebula-preview+json",
        "application/xml;q=1, nonsense",
    ],
)
async def test_2_2_any_accept(spoken: Spoken, accept: str | None) -> None:
    reply = await spoken.ask(f"{API}/user", accept=accept)
    assert reply.status == 200
    body_of(reply)


@pytest.mark.parametrize(
    "method, target, status",
    [
        ("GET", f"{API}/user", 200),
        ("DELETE", f"{API}/repos/octo/app/collaborators/eve", 204),
        ("PUT", f"{API}/repos/octo/open/collaborators/eve", 204),
        ("POST", f"{API}/user/codespaces/nothing/start", 404),
        ("POST", f"{API}/user/codespaces/nothing/stop", 404),
    ],
)
async def test_2_2_empty_bodies_of_the_type_json(spoken: Spoken, method: str, target: str, status: int) -> None:
    reply = await spoken.ask(target, method, content_length="0", content_type=JSON["Content-Type"])
    assert (reply.status, reply.headers.get("content-length", "0") == "0") == (status, status == 204)


async def test_2_2_chunked_bodies(spoken: Spoken) -> None:
    async with Wire.to(spoken.port) as wire:
        head = f"PATCH {API}/repos/octo/app HTTP/1.1\r\nHost: berth.test\r\nAuthorization: token {spoken.octo}\r\n"
        await wire.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for piece in (b'{"descri', b'ption": "in pieces"}', b""):
            await wire.chunk(piece)
        assert body_of(await wire.reply())["description"] == "in pieces"


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain", "application/json"])
async def test_2_2_json_under_any_type(spoken: Spoken, kind: str | None) -> None:
    body = json.dumps({"description": "d", "unknown": {"deep": [1]}}).encode()
    assert (await spoken.ask(f"{API}/repos/octo/app", "PATCH", body=body, content_type=kind)).status == 200


@pytest.mark.parametrize(
    "body, status, message",
    [
        (b"{", 400, "Problems parsing JSON"),
        (b"\xff\xfe", 400, "Problems parsing JSON"),
        (b"[" * 100_000, 400, "Problems parsing JSON"),
        (b"[1]", 400, "Body should be a JSON object"),
        (b'"text"', 400, "Body should be a JSON object"),
        (b"null", 400, "Body should be a JSON object"),
        (b'{"name": 1}', 422, "Invalid request."),
        (b'{"name": "a\\u0000"}', 422, "Invalid request.\n\nNo text may hold"),  # PostgreSQL cannot store it
        (b'{"name": "n", "more": [{"\\u0000": 1}]}', 422, "Invalid request.\n\nNo text may hold"),
        (b'{"name": "\\\\u0000"}', 422, "A repository"),
    ],
)
async def test_2_2_bad_bodies(spoken: Spoken, body: bytes, status: int, message: str) -> None:
    reply = await spoken.ask(f"{API}/user/repos", "POST", body=body)
    assert (reply.status, body_of(reply).get("message", "").startswith(message)) == (status, True)


@pytest.mark.parametrize("body", [b"{}", b""])
async def test_2_4_a_missing_parameter_is_named(spoken: Spoken, body: bytes) -> None:
    reply = await spoken.ask(f"{API}/user/codespaces", "POST", body=body)
    (error,) = body_of(reply)["errors"]
    assert (reply.status, error["resource"], error["field"]) == (422, "Request", "repository_id")
    assert error["code"] == "missing_field"


@pytest.mark.parametrize(
    "sent",
    [
        {"location": "", "display_name": "", "multi_repo_permissions_opt_out": False, "ref": "", "vscs_target": "x"},
        {"pull_request": None},
        {},
    ],
    ids=["gh", "go-github", "the least"],
)
async def test_2_2_and_9_what_clients_send_to_create_a_codespace(spoken: Spoken, sent: Mapping[str, Any]) -> None:
    await spoken.ask(f"{API}/repos/octo/app/contents/a", "PUT", body=b'{"message": "m", "content": "YQ=="}')
    body = json.dumps({"repository_id": spoken.app_id, **sent}).encode()
    made = await spoken.ask(f"{API}/user/codespaces", "POST", body=body)
    assert (made.status, body_of(made)["location"] in LOCATIONS) == (201, True)
    name = body_of(made)["name"]
    gone = await spoken.ask(f"{API}/user/codespaces/{name}", "DELETE")
    assert (gone.status, body_of(gone)) == (202, {})


@pytest.mark.parametrize(
    "target, status",
    [
        (f"{API}/user", 200),
        (f"{API}/nothing", 404),
        (f"{API}/user/nothing", 404),
        (f"{API}/repos/octo/nothing", 404),
        (f"{API}/repos/octo/nothing/collaborators/x", 404),
    ],
)
async def test_2_3_headers_of_every_answer(spoken: Spoken, target: str, status: int) -> None:
    replies = [await spoken.ask(target) for _ in range(2)]
    for reply in replies:
        assert reply.status == status
        assert reply.headers["x-github-media-type"] == "github.v3; format=json"
        assert reply.headers["x-github-api-version-selected"] == "2022-11-28"
        assert reply.headers["vary"] == "Accept, Authorization"
        assert reply.headers["cache-control"] == "private, no-cache"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "date" in reply.headers
        assert not [name for name in reply.headers if name.startswith(("x-ratelimit", "retry-after"))]
        body_of(reply)
    assert len({reply.headers["x-github-request-id"] for reply in replies}) == 2


async def test_2_3_asked_about_a_limit_there_is_none_that_a_client_would_wait_for(spoken: Spoken) -> None:
    rate = body_of(await spoken.ask(f"{API}/rate_limit"))["rate"]
    assert rate["remaining"] == rate["limit"] > 0 == rate["used"]


def relations(reply: Reply) -> dict[str, str]:
    links = reply.headers.get("link", "")
    return {name: url for url, name in re.findall(r'<([^>]*)>; rel="(\w+)"', links)}


@pytest.mark.parametrize(
    "page, expected",
    [
        (1, {"next": 2, "last": 4}),
        (2, {"next": 3, "last": 4, "first": 1, "prev": 1}),
        (4, {"first": 1, "prev": 3}),
        (9, {"first": 1, "prev": 4}),
    ],
)
async def test_2_5_relations(spoken: Spoken, page: int, expected: Mapping[str, int]) -> None:
    reply = await spoken.ask(f"{API}/user/repos?sort=a%2Cb&per_page=1&page={page}")
    base = f"http://berth.test{API}/user/repos?sort=a%2Cb&per_page=1&page="
    assert relations(reply) == {name: f"{base}{number}" for name, number in expected.items()}
    assert len(body_of(reply)) == (1 if page < 5 else 0)


@pytest.mark.parametrize(
    "query, size",
    [
        ("", 4),
        ("?per_page=3", 3),
        ("?per_page=0", 1),
        ("?per_page=-1", 1),
        ("?per_page=-9223372036854775809", 1),
        ("?per_page=003", 3),
        ("?per_page=1000", 4),
        ("?per_page=9223372036854775808", 4),
        (f"?per_page={'9' * 4000}", 4),
        ("?per_page=x&page=-1", 4),
        ("?per_page=&page=", 4),
        ("?per_page=1e0", 4),
        ("?per_page=1.0", 4),
        ("?per_page=%2B1", 4),
        ("?per_page=--1", 4),
        ("?per_page=%D9%A1", 4),
        ("?per_page=%FF", 4),
        ("?page=0", 4),
        ("?page=-9223372036854775809", 4),
    ],
)
async def test_2_5_pages_are_clamped_not_refused(spoken: Spoken, query: str, size: int) -> None:
    reply = await spoken.ask(f"{API}/user/repos{query}")
    assert (reply.status, len(body_of(reply)), "link" in reply.headers) == (200, size, size < 4)


@pytest.mark.parametrize("page", ["1000000", "4294967296", "9223372036854775807", "9223372036854775808", "9" * 4000])
async def test_2_5_behind_the_last_page_nothing_is(spoken: Spoken, page: str) -> None:
    reply = await spoken.ask(f"{API}/user/repos?per_page=3&page={page}")
    base = f"http://berth.test{API}/user/repos?per_page=3&page="
    assert (reply.status, body_of(reply)) == (200, [])
    assert relations(reply) == {"first": f"{base}1", "prev": f"{base}2"}


async def test_2_5_and_9_an_object_has_the_total_and_one_list(spoken: Spoken) -> None:
    for path, key in (("/user/codespaces", "codespaces"), ("/user/codespaces/secrets", "secrets")):
        assert set(body_of(await spoken.ask(f"{API}{path}"))) == {"total_count", key}


@pytest.mark.parametrize(
    "target, host, base",
    [
        (f"{API}/user/repos", "berth.test:8443", f"http://berth.test:8443{API}/"),
        (f"{API}/user/repos", "127.0.0.1:1", f"http://127.0.0.1:1{API}/"),
        (f"{API}/user/repos", "[::1]:1", f"http://[::1]:1{API}/"),
        ("/user/repos", "api.berth.test", "http://api.berth.test/"),
        ("http://api.github.localhost/user/repos", "ignored.test", "http://api.github.localhost/"),
        (f"http://u@berth.test:81{API}/user/repos", None, f"http://berth.test:81{API}/"),
        (f"{API}/user/repos", 'evil"><b', f"http://localhost{API}/"),
        (f"{API}/user/repos", None, f"http://localhost{API}/"),
    ],
    ids=["port", "IPv4", "IPv6", "api.", "absolute form", "absolute form, no Host", "no host name", "no Host"],
)
async def test_2_5_and_9_links_begin_as_the_client_began(
    spoken: Spoken, target: str, host: str | None, base: str
) -> None:
    reply = await spoken.ask(f"{target}?per_page=1", host=host)
    assert reply.status == 200
    assert relations(reply)["next"] == f"{base}user/repos?per_page=1&page=2"
    assert body_of(reply)[0]["url"].startswith(f"{base}repos/octo/")


async def test_2_5_with_external_url_links_begin_with_it(spoken: Spoken) -> None:
    async with listening(spoken.front("https://berth.example.com")) as port, Wire.to(port) as wire:
        for host, target, base in (
            ("evil.test", f"{API}/user/repos", f"https://berth.example.com{API}"),
            ("api.evil.test", "/user/repos", f"https://berth.example.com{API}"),
            ("api.berth.example.com", "/user/repos", "https://api.berth.example.com"),
        ):
            reply = await _ask(wire, f"{target}?per_page=1", token=spoken.octo, host=host)
            assert relations(reply)["next"] == f"{base}/user/repos?per_page=1&page=2"
        lost = await _ask(wire, f"{API}/nothing", token=spoken.octo, host="evil.test")
        assert body_of(lost)["documentation_url"].startswith("https://berth.example.com/docs/errors#")


async def test_2_5_through_a_unix_socket_links_are_https(spoken: Spoken, tmp_path: Path) -> None:
    """gh believes that it speaks https to whatever host, and follows links through the same socket."""
    path = tmp_path / "berth.sock"
    async with listening(spoken.front(None), address=UnixAddress(path)):
        assert path.stat().st_mode & 0o777 == 0o660
        wire = Wire(*await asyncio.open_unix_connection(path))
        reply = await _ask(wire, "/user/repos?per_page=1", token=spoken.octo, host="api.github.com")
        assert relations(reply)["next"] == "https://api.github.com/user/repos?per_page=1&page=2"
        assert body_of(reply)[0]["html_url"].startswith("https://github.com/octo/")
        wire.close()


@pytest.mark.parametrize("form", ["{0}", '"x", {0}', '{0} , W/"y"', "*", "strong"])
async def test_2_6_what_the_client_has_is_not_sent_again(spoken: Spoken, form: str) -> None:
    first = await spoken.ask(f"{API}/user")
    etag = first.headers["etag"]
    known = etag.removeprefix("W/") if form == "strong" else form.format(etag)
    for method in ("GET", "HEAD"):
        again = await spoken.ask(f"{API}/user", method, if_none_match=known)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
        assert again.headers["cache-control"] == "private, no-cache"
        assert again.headers["vary"] == "Accept, Authorization"
        assert {"x-oauth-scopes", "x-github-request-id"} <= set(again.headers)
        assert "content-type" not in again.headers


async def test_2_6_another_viewer_or_another_state_is_another_tag(spoken: Spoken) -> None:
    target = f"{API}/repos/octo/open"
    own = (await spoken.ask(target)).headers["etag"]
    assert (await spoken.ask(target)).headers["etag"] == own
    assert (await spoken.ask(target, token=spoken.eve, if_none_match=own)).status == 200
    await spoken.ask(target, "PATCH", body=b'{"description": "new"}')
    assert (await spoken.ask(target, if_none_match=own)).status == 200


async def test_2_6_only_reads_that_worked_have_a_tag(spoken: Spoken) -> None:
    missing = await spoken.ask(f"{API}/repos/octo/nothing", if_none_match="*")
    changed = await spoken.ask(f"{API}/repos/octo/open", "PATCH", body=b"{}", if_none_match="*")
    assert [(reply.status, "etag" in reply.headers) for reply in (missing, changed)] == [(404, False), (200, False)]


async def test_head_is_get_without_the_body(spoken: Spoken) -> None:
    got, head = await spoken.ask(f"{API}/user"), await spoken.ask(f"{API}/user", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(got.body))
    assert head.headers["etag"] == got.headers["etag"]


@pytest.mark.parametrize(
    "version, status, selected",
    [
        (None, 200, "2022-11-28"),
        ("2022-11-28", 200, "2022-11-28"),
        ("2026-03-10", 200, "2026-03-10"),
        ("2021-01-01", 400, "2022-11-28"),
        ("", 400, "2022-11-28"),
        ("x" * 5000, 400, "2022-11-28"),
    ],
)
async def test_2_7_versions(spoken: Spoken, version: str | None, status: int, selected: str) -> None:
    reply = await spoken.ask(f"{API}/user", x_github_api_version=version)
    assert (reply.status, reply.headers["x-github-api-version-selected"]) == (status, selected)
    assert (status == 200) or "2022-11-28, 2026-03-10" in body_of(reply)["message"]
    assert body_of(await spoken.ask(f"{API}/versions")) == ["2022-11-28", "2026-03-10"]


async def test_2_8_and_9_times_ids_and_key_ids(spoken: Spoken) -> None:
    repository = body_of(await spoken.ask(f"{API}/repos/octo/app"))
    assert type(repository["id"]) is int
    times = [repository[name] for name in ("created_at", "updated_at", "pushed_at")]
    assert [time for time in times if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)] == []
    key = body_of(await spoken.ask(f"{API}/user/codespaces/secrets/public-key"))
    assert (type(key["key_id"]), len(key["key"])) == (str, 44)


@pytest.mark.parametrize(
    "target, status",
    [
        (f"{API}/user/", 404),
        (f"{API}/user?page=%00", 404),
        (f"{API}/repos/octo/app%00", 404),
        (f"{API}//user", 404),
        (f"{API}/repos/octo/app/", 404),
        (f"{API}/repos/OCTO/App", 200),
        (f"{API}/users/Octo", 200),
        (f"{API}/repositories/ID", 200),
        (f"{API}/repositories/ID/", 404),
        (f"{API}/repositories/0", 404),
        (f"{API}/repositories/ID/collaborators", 200),
        (f"{API}/repositories/ID/codespaces/secrets/public-key", 200),
        (f"{API}/repositories/{'9' * 40}/collaborators", 404),
        ("/user", 404),
    ],
)
async def test_1_2_paths(spoken: Spoken, target: str, status: int) -> None:
    assert (await spoken.ask(target.replace("ID", str(spoken.app_id)))).status == status


async def test_1_where_graphql_is(spoken: Spoken) -> None:
    body = b'{"query": "query UserCurrent{viewer{login}}", "variables": null}'
    for target, host in (("/api/graphql", "berth.test"), ("/graphql", "api.berth.test")):
        reply = await spoken.ask(target, "POST", host=host, body=body)
        assert body_of(reply) == {"data": {"viewer": {"login": "octo"}}}
    assert (await spoken.ask("/api/graphql", "POST", token=None, body=body)).status == 401


async def test_9_a_new_secret_is_an_empty_object_and_a_changed_one_nothing(spoken: Spoken) -> None:
    """gh reads the 201 as JSON; terraform makes a secret anew whose updated_at moves without a change of it."""
    target = f"{API}/user/codespaces/secrets/tok"
    key = body_of(await spoken.ask(f"{API}/user/codespaces/secrets/public-key"))
    sealed = SealedBox(PublicKey(base64.b64decode(key["key"]))).encrypt(b"value")
    body = {"key_id": key["key_id"], "encrypted_value": base64.b64encode(sealed).decode()}
    chosen = {**body, "selected_repository_ids": [str(spoken.app_id)]}
    made = await spoken.ask(target, "PUT", body=json.dumps(chosen).encode())
    assert (made.status, made.body) == (201, b"{}")
    changed = await spoken.ask(target, "PUT", body=json.dumps(body).encode())
    assert (changed.status, changed.body) == (204, b"")
    assert body_of(await spoken.ask(f"{target}/repositories"))["total_count"] == 1
    before = body_of(await spoken.ask(target))["updated_at"]
    assert (await spoken.ask(f"{target}/repositories", "PUT", body=b'{"selected_repository_ids": []}')).status == 204
    assert body_of(await spoken.ask(target))["updated_at"] == before

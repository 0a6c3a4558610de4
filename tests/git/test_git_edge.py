"""The git edge without a git client: who is let in (A13), bodies, limits, and clients that go away."""

import asyncio
import base64
import gzip
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.git.test_git import Git, git
from tests.oci.wire import Wire
from tests.rest.berth_api import Berth

from berth.adapters.git_http_backend import GitHTTPBackend
from berth.domain.problem import LimitReached, Problem, UpstreamFailed
from berth.git.app import is_git_path, make_git_app

__all__ = ["git"]

LS_REFS = b"0014command=ls-refs\n0000"
FETCH = {"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"}


def basic(token: str, user: str = "any") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()}


@pytest.fixture
async def edge(berth: Berth) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=berth.git), base_url="http://berth.test")


SERVICES = (
    ("GET", "info/refs?service=git-upload-pack"),
    ("GET", "info/refs?service=git-receive-pack"),
    ("POST", "git-upload-pack"),
    ("POST", "git-receive-pack"),
)


async def test_a13_a_hidden_repository_answers_like_a_missing_one(berth: Berth, edge: httpx.AsyncClient) -> None:
    octo = await berth.user("octo")
    await berth.user("stranger")
    await octo.post("/user/repos", json={"name": "hidden", "private": True})
    callers = {
        "anonymous": ({}, 401),
        "stranger": (basic(await berth.token("stranger", "repo")), 404),
        "owner without the scope": (basic(await berth.token("octo", "public_repo")), 404),
        "bad token": (basic("ghp_wrong"), 401),
        "no base64": ({"Authorization": "Basic ?"}, 401),
        "no known scheme": ({"Authorization": "Digest x"}, 401),
    }
    for method, service in SERVICES:
        for name, (headers, status) in callers.items():
            answers = [
                await edge.request(method, f"/octo/{repository}.git/{service}", headers=headers)
                for repository in ("hidden", "absent")
            ]
            assert [answer.status_code for answer in answers] == [status, status], (name, service)
            assert answers[0].content == answers[1].content
            assert answers[0].headers == answers[1].headers
            assert ("www-authenticate" in answers[0].headers) is (status == 401)
    good = basic(await berth.token("octo", "repo"))
    assert (await edge.get(f"/octo/hidden.git/{SERVICES[0][1]}", headers=good)).status_code == 200


async def test_a_reader_is_refused_to_push_with_403(berth: Berth, edge: httpx.AsyncClient) -> None:
    octo = await berth.user("octo")
    await berth.user("reader")
    await octo.post("/user/repos", json={"name": "r", "private": True})
    await octo.put("/repos/octo/r/collaborators/reader", json={"permission": "triage"})
    reader = await berth.token("reader", "repo")
    for headers in (
        basic(reader),
        basic("x-oauth-basic", reader),
        basic("", reader),
        {"Authorization": f"Bearer {reader}"},
    ):
        got = [(await edge.request(*each, headers=headers)).status_code for each in _urls("octo/r")]
        assert got == [200, 403, 415, 403]  # 415: let in, and then git misses the content type


def _urls(repository: str) -> list[tuple[str, str]]:
    return [(method, f"/{repository}.git/{service}") for method, service in SERVICES]


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("POST", "/octo/r.git/info/refs?service=git-upload-pack", 404),
        ("GET", "/octo/r.git/git-upload-pack", 404),
        ("GET", "/octo/r.git/info/refs", 403),
        ("GET", "/octo/r.git/info/refs?service=git-upload-pack&x", 403),
        ("GET", "/octo/r.git/HEAD", 404),
        ("GET", "/octo/r.git/objects/info/packs", 404),
        ("GET", "/octo/r/info/refs?service=git-upload-pack", 200),
    ],
)
async def test_only_the_smart_protocol_is_spoken(
    berth: Berth, edge: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r"})
    assert (await edge.request(method, path)).status_code == status


@pytest.mark.parametrize("value", [b"no base64!", b"\xe9", b"/w=="], ids=["no base64", "no ASCII", "no UTF-8"])
async def test_a_password_that_cannot_be_read_is_bad(berth: Berth, edge: httpx.AsyncClient, value: bytes) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r"})
    answer = await edge.get(f"/octo/r.git/{SERVICES[0][1]}", headers={b"Authorization": b"Basic " + value})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (LimitReached("The disk is full.", code="git.disk_full", remedy="Make room."), 507),
        (UpstreamFailed("The database does not answer.", code="store.unavailable"), 503),
        (UpstreamFailed("git failed.", code="git.failed"), 502),
    ],
    ids=["no room", "no database", "git"],
)
async def test_what_the_server_cannot_do_has_a_status_of_its_own(
    berth: Berth, edge: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, problem: Problem, status: int
) -> None:
    async def fail(*_: object) -> None:
        raise problem

    monkeypatch.setattr(berth.services.repositories, "open_git", fail)
    answer = await edge.get(f"/octo/r.git/{SERVICES[0][1]}")
    assert (answer.status_code, answer.text) == (status, f"{problem.text}\n")


def test_the_front_knows_its_paths() -> None:
    assert is_git_path("/octo/r.git/git-upload-pack")
    assert not is_git_path("/octo/r.git")


async def test_a_gzip_body_is_inflated_and_a_broken_one_refused(berth: Berth, edge: httpx.AsyncClient) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r"})
    await octo.put("/repos/octo/r/contents/a", json={"message": "m", "content": "YQ=="})
    url = "/octo/r.git/git-upload-pack"
    plain = await edge.post(url, content=LS_REFS, headers=FETCH)
    assert b"refs/heads/main" in plain.content
    packed = await edge.post(url, content=gzip.compress(LS_REFS), headers={**FETCH, "Content-Encoding": "gzip"})
    assert packed.content == plain.content
    for body in (LS_REFS, gzip.compress(LS_REFS)[:-12]):
        broken = await edge.post(url, content=body, headers={**FETCH, "Content-Encoding": "gzip"})
        assert b"refs/heads/main" not in broken.content


async def test_a_push_is_bounded_and_leaves_nothing(berth: Berth, git: Git) -> None:
    octo = await berth.user("octo")
    made = (await octo.post("/user/repos", json={"name": "r"})).json()
    bounded = make_git_app(berth.services, GitHTTPBackend(max_push_bytes=100_000))
    whole = berth.git
    berth.git = bounded
    url = git.url("octo/r", await berth.token("octo", "repo"))
    work = await git.commit("work", size=300_000)
    code, output = await git.run("push", url, "main", cwd=work)
    assert code, output
    assert "maximum allowed size" in output
    assert await berth.repositories.find_commit(made["id"], "main") is None
    assert _received(berth.repositories.path(made["id"])) == []
    berth.git = whole
    await git.ok("push", "-q", url, "main", cwd=work)


def _received(repository: Path) -> list[str]:
    """What a broken push may leave: quarantined objects, packs."""
    return [path.name for path in (repository / "objects").rglob("*") if path.is_file() or "incoming" in path.name]


def _git_processes(repository: Path) -> list[str]:
    """Processes that work in this repository."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == repository.resolve() or str(repository) in (
                process / "cmdline"
            ).read_bytes().decode(errors="replace"):
                found.append(process.name)
        except OSError:
            continue
    return found


async def _until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


def asked(service: str, *headers: str) -> bytes:
    lines = (
        f"POST /octo/r.git/{service} HTTP/1.1",
        "Host: x",
        f"Content-Type: application/x-{service}-request",
        *headers,
    )
    return "\r\n".join([*lines, "Content-Length: 100", "", ""]).encode()


@pytest.mark.parametrize("service", ["git-upload-pack", "git-receive-pack"])
async def test_attack_who_asks_git_and_says_nothing_holds_no_programs(
    berth: Berth, git: Git, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    """Three of them each, for ever; for a public repository nobody had to sign in."""
    octo = await berth.user("octo")
    made = (await octo.post("/user/repos", json={"name": "r", "auto_init": True})).json()
    path, port = berth.repositories.path(made["id"]), int(git.address.partition(":")[2])
    show = f"Authorization: {basic(await berth.token('octo', 'repo'))['Authorization']}"
    monkeypatch.setattr("berth.git.app.FETCH_S", 0.5)
    monkeypatch.setattr("berth.git.app.PUSH_IDLE_S", 0.5)
    async with Wire.to(port) as wire:
        await wire.send(asked(service, *([show] if service == "git-receive-pack" else [])))
        await _until(lambda: bool(_git_processes(path)))
        await wire.until_closed()
    await _until(lambda: not _git_processes(path))


async def test_attack_what_git_cannot_read_fills_no_log(
    berth: Berth, git: Git, caplog: pytest.LogCaptureFixture
) -> None:
    """git has begun its answer then. A traceback each time would be for whoever knows a public repository."""
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r", "auto_init": True})
    async with Wire.to(int(git.address.partition(":")[2])) as wire:
        await wire.send(asked("git-upload-pack") + b"x" * 100)
        await wire.until_closed()
    assert [record.exc_info for record in caplog.records if record.exc_info] == []
    assert "git.broken_off" in [record.message for record in caplog.records]


async def test_attack_many_ask_git_at_once(berth: Berth, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who shows no token closes the door to others who show none, and to nobody else."""
    octo = await berth.user("octo")
    made = (await octo.post("/user/repos", json={"name": "r", "auto_init": True})).json()
    path, port = berth.repositories.path(made["id"]), int(git.address.partition(":")[2])
    show = basic(await berth.token("octo", "repo"))
    monkeypatch.setattr("berth.git.app.AT_ONCE", 1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/octo/r.git", trust_env=False) as client:
        refs = "/info/refs?service=git-upload-pack"
        for headers, others in (({}, show), (show, {})):
            async with Wire.to(port) as wire:
                await wire.send(asked("git-upload-pack", *(f"{name}: {value}" for name, value in headers.items())))
                await _until(lambda: bool(_git_processes(path)))
                refused = await client.get(refs, headers=headers)
                assert refused.status_code == 429
                assert "under way" in refused.text
                assert (await client.get(refs, headers=others)).status_code == 200
            async with asyncio.timeout(20):  # the control: he has gone
                while (await client.get(refs, headers=headers)).status_code != 200:
                    await asyncio.sleep(0.05)


async def test_a_client_that_goes_away_in_a_push_ends_git_and_leaves_nothing(berth: Berth, git: Git) -> None:
    octo = await berth.user("octo")
    made = (await octo.post("/user/repos", json={"name": "r"})).json()
    path = berth.repositories.path(made["id"])
    work = await git.commit("work", size=500_000)
    head = (await git.ok("rev-parse", "HEAD", cwd=work)).strip()
    process = await asyncio.create_subprocess_exec(
        "git", "pack-objects", "--all", "--stdout", "-q", cwd=work,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    pack, _ = await process.communicate()
    command = f"{'0' * 40} {head} refs/heads/main\0report-status".encode()
    body = f"{len(command) + 4:04x}".encode() + command + b"0000" + pack
    authorization = basic(await berth.token("octo", "repo"))["Authorization"]
    host, _, port = git.address.partition(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /octo/r.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/x-git-receive-pack-request\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    writer.write(body[: len(body) // 2])
    await writer.drain()
    await _until(lambda: _git_processes(path) and _received(path))
    writer.close()
    await _until(lambda: not _git_processes(path))
    assert _received(path) == []
    assert await berth.repositories.find_commit(made["id"], "main") is None


async def test_a_client_that_goes_away_in_a_clone_ends_git(berth: Berth, git: Git) -> None:
    octo = await berth.user("octo")
    made = (await octo.post("/user/repos", json={"name": "r"})).json()
    work = await git.commit("work", size=10_000_000)
    await git.ok("push", "-q", git.url("octo/r", await berth.token("octo", "repo")), "main", cwd=work)
    head = (await git.ok("rev-parse", "HEAD", cwd=work)).strip()
    want = f"want {head} side-band-64k\n".encode()
    body = f"{len(want) + 4:04x}".encode() + want + b"00000009done\n"
    host, _, port = git.address.partition(":")
    client = socket.create_connection((host, int(port)))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader, writer = await asyncio.open_connection(sock=client, limit=1024)
    writer.write(
        f"POST /octo/r.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-git-upload-pack-request\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    assert b"200 OK" in await reader.readline()
    path = berth.repositories.path(made["id"])
    await _until(lambda: bool(_git_processes(path)))
    writer.transport.abort()
    await _until(lambda: not _git_processes(path))

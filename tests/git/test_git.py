"""The real git client against the git edge, over HTTP."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from tests.rest.berth_api import Berth
from tests.rest.test_access_token import codespace_token

from berth.adapters.git_process import run_git
from berth.domain.problem import UpstreamFailed


class Git:
    """A git client with a home of its own."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address
        self.encodings: list[bytes] = []  # of the request bodies that came

    async def run(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b", "GIT_ASKPASS": "/bin/false",
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            cwd=cwd or self.folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def ok(self, *arguments: str, cwd: Path | None = None) -> str:
        code, output = await self.run(*arguments, cwd=cwd)
        assert code == 0, output
        return output

    def url(self, repository: str, token: str | None = None) -> str:
        return f"http://{f'any:{token}@' if token else ''}{self.address}/{repository}.git"

    async def commit(self, name: str, branch: str = "main", size: int = 10) -> Path:
        """A clone-less repository with one commit."""
        work = self.folder / name
        await self.ok("init", "-q", f"--initial-branch={branch}", str(work))
        (work / "file").write_bytes(os.urandom(size))
        await self.ok("add", ".", cwd=work)
        await self.ok("commit", "-q", "-m", "one", cwd=work)
        return work


@pytest.fixture
async def git(berth: Berth, tmp_path: Path) -> AsyncIterator[Git]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    home = tmp_path / "home"
    home.mkdir()
    client = Git(home, f"127.0.0.1:{listener.getsockname()[1]}")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        client.encodings += [value for name, value in scope["headers"] if name == b"content-encoding"]
        await berth.git(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield client
    server.should_exit = True
    await task
    listener.close()


async def test_push_then_clone_and_the_default_branch_follows_the_first_push(berth: Berth, git: Git) -> None:
    octo, token = await berth.user("octo"), ""
    token = await berth.token("octo", "repo")
    made = (await octo.post("/user/repos", json={"name": "r", "private": True})).json()
    work = await git.commit("work", "trunk", size=3_000_000)
    await git.ok("push", "-q", git.url("octo/r", token), "trunk", cwd=work)
    await git.ok("clone", "-q", git.url("octo/r", token), "copy")
    assert (git.folder / "copy/file").read_bytes() == (work / "file").read_bytes()
    seen = (await octo.get("/repos/octo/r")).json()
    assert seen["default_branch"] == "trunk"
    assert seen["pushed_at"] >= made["pushed_at"]
    assert await berth.repositories.find_commit(made["id"], "trunk") is not None


async def test_s6_nobody_pushes_where_the_commits_of_pull_requests_are(berth: Berth, git: Git) -> None:
    """Whose they are decides what a codespace gets; everybody may fetch them."""
    octo, token = await berth.user("octo"), await berth.token("octo", "repo")
    made = (await octo.post("/user/repos", json={"name": "r"})).json()
    work = await git.commit("work")
    await git.ok("push", "-q", git.url("octo/r", token), "main", cwd=work)
    for target in ("refs/pull/1/head", "refs/pull/2/head"):
        await berth.repositories.fetch(made["id"], {"refs/heads/main": "refs/pull/1/head"}, source_id=made["id"])
        for pushed in (f"+main:{target}", f":{target}"):
            _code, output = await git.run("push", git.url("octo/r", token), pushed, cwd=work)
            assert "hidden ref" in output or "remote ref does not exist" in output, output
    await git.ok("push", "-q", git.url("octo/r", token), "main:refs/heads/pull/2/head", cwd=work)
    await git.ok("fetch", "-q", git.url("octo/r"), "refs/pull/1/head", cwd=work)


async def test_a_compressed_request_body_and_protocol_2_work(berth: Berth, git: Git) -> None:
    await berth.user("octo")
    token = await berth.token("octo", "repo")
    await berth.client(token).post("/user/repos", json={"name": "r"})
    work = await git.commit("work")
    for number in range(60):  # many refs and wants make git compress its request
        await git.ok("commit", "-q", "--allow-empty", "-m", str(number), cwd=work)
        await git.ok("branch", f"b{number}", cwd=work)
    await git.ok("push", "-q", "--all", git.url("octo/r", token), cwd=work)
    for version in ("0", "2"):
        git.encodings.clear()
        await git.ok("-c", f"protocol.version={version}", "clone", "-q", git.url("octo/r"), f"copy{version}")
        assert b"gzip" in git.encodings


async def test_a13_private_is_401_for_anonymous_and_404_for_a_stranger_as_if_missing(berth: Berth, git: Git) -> None:
    octo = await berth.user("octo")
    await berth.user("stranger")
    await octo.post("/user/repos", json={"name": "r", "private": True})
    stranger = await berth.token("stranger", "repo")
    for name in ("octo/r", "octo/absent"):
        _code, output = await git.run("clone", git.url(name), "x")
        assert "could not read" in output or "Authentication failed" in output or "terminal prompts" in output, output
        _code, output = await git.run("clone", git.url(name, stranger), "x")
        assert "not found" in output
    _code, output = await git.run("clone", git.url("octo/r", "ghp_wrong"), "x")
    assert "Authentication failed" in output
    await git.ok("clone", "-q", git.url("octo/r", await berth.token("octo", "repo")), "y")


async def test_a_public_repository_is_read_by_anyone_and_pushed_to_by_its_own(berth: Berth, git: Git) -> None:
    octo = await berth.user("octo")
    await berth.user("stranger")
    await octo.post("/user/repos", json={"name": "r"})
    work = await git.commit("work")
    stranger = await berth.token("stranger", "repo")
    code, output = await git.run("push", git.url("octo/r", stranger), "main", cwd=work)
    assert code, output
    assert "403" in output
    code, output = await git.run("push", git.url("octo/r"), "main", cwd=work)
    assert code, output
    await git.ok("push", "-q", git.url("octo/r", await berth.token("octo", "public_repo")), "main", cwd=work)
    await git.ok("clone", "-q", git.url("octo/r"), "copy")


async def test_l9_a_codespace_token_pushes_to_its_own_repository_only(berth: Berth, git: Git) -> None:
    octo = await berth.user("octo")
    own = (await octo.post("/user/repos", json={"name": "own", "private": True})).json()
    await octo.post("/user/repos", json={"name": "other", "private": True})
    _id, token = await codespace_token(berth, own["id"], own["owner"]["id"])
    work = await git.commit("work")
    await git.ok("push", "-q", git.url("octo/own", token), "main", cwd=work)
    _code, output = await git.run("push", git.url("octo/other", token), "main", cwd=work)
    assert "not found" in output


async def test_a8_a_workflow_token_clones_and_pushes_as_its_permissions_say(berth: Berth, git: Git) -> None:
    octo = await berth.user("octo")
    for name in ("own", "other"):
        await octo.post("/user/repos", json={"name": name, "private": True})
        await octo.put(f"/repos/octo/{name}/contents/a", json={"message": "m", "content": "YQ=="})

    async def token(contents: str) -> str:
        body = {"permissions": {"contents": contents}}
        return str((await octo.post("/repos/octo/own/workflow-tokens", json=body)).json()["token"])

    writing, reading, bare = await token("write"), await token("read"), await token("none")
    for number, good in enumerate((writing, reading)):
        await git.ok("clone", "-q", git.url("octo/own", good), f"copy{number}")
    copy = git.folder / "copy0"
    await git.ok("commit", "-q", "--allow-empty", "-m", "two", cwd=copy)
    code, output = await git.run("push", git.url("octo/own", reading), "main", cwd=copy)
    assert code, output
    assert "403" in output
    for name, refused in (("own", bare), ("other", writing)):
        for arguments in (("clone", git.url(f"octo/{name}", refused), "x"), ("push", git.url(f"octo/{name}", refused))):
            code, output = await git.run(*arguments, cwd=copy)
            assert code, output
            assert "not found" in output
    await git.ok("push", "-q", git.url("octo/own", writing), "main", cwd=copy)
    head = (await git.ok("rev-parse", "HEAD", cwd=copy)).strip()
    number = (await octo.get("/repos/octo/own")).json()["id"]
    assert await berth.repositories.find_commit(number, "main") == head


async def test_a_pushed_hook_or_configuration_does_not_run_and_check_out_works(
    berth: Berth, git: Git, tmp_path: Path
) -> None:
    octo = await berth.user("octo")
    own = (await octo.post("/user/repos", json={"name": "own"})).json()
    await octo.put("/repos/octo/own/contents/a", json={"message": "m", "content": "YQ=="})
    hook = berth.repositories.path(own["id"]) / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    token = await berth.token("octo", "repo")
    await git.ok("clone", "-q", git.url("octo/own", token), "copy")
    await git.ok("commit", "-q", "--allow-empty", "-m", "two", cwd=git.folder / "copy")
    await git.ok("push", "-q", cwd=git.folder / "copy")
    assert not (tmp_path / "ran").exists()
    commit = await berth.repositories.find_commit(own["id"], "main")
    assert commit is not None
    target = tmp_path / "workspaces" / "own"
    for _ in range(2):
        await berth.repositories.check_out(own["id"], commit, branch="main", target=target, origin="http://x/own.git")
    assert (target / "a").read_text() == "a"
    assert await git.ok("-C", str(target), "remote", "get-url", "origin") == "http://x/own.git\n"
    assert await git.ok("-C", str(target), "rev-parse", "--abbrev-ref", "@{u}") == "origin/main\n"


async def test_what_is_too_large_for_the_memory_is_not_read(berth: Berth, git: Git) -> None:
    """A commit's message and a directory are as large as whoever pushes likes; anybody may ask for them."""
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "own"})
    work = await git.commit("work")
    (work / "few").mkdir()
    (work / "few" / "a").touch()
    (work / "many").mkdir()
    for number in range(5000):
        (work / "many" / f"{number:0240d}").touch()
    await git.ok("add", ".", cwd=work)
    (git.folder / "message").write_text(f"long\n\n{'word ' * 700_000}")
    await git.ok("commit", "-q", "-m", "short", cwd=work)
    await git.ok("checkout", "-q", "-b", "long", cwd=work)
    await git.ok("commit", "-q", "--allow-empty", "-F", str(git.folder / "message"), cwd=work)
    await git.ok("push", "-q", git.url("octo/own", await berth.token("octo", "repo")), "main", "long", cwd=work)
    for path, status in (("branches/main", 200), ("branches/long", 422), ("contents/few", 200), ("contents/many", 422)):
        answer = await berth.anonymous.get(f"/repos/octo/own/{path}")
        assert (answer.status_code, answer.json().get("code") if status == 422 else None) == (
            status,
            "contents.too_large" if status == 422 else None,
        ), path


async def test_git_ends_where_it_would_take_more_memory(tmp_path: Path) -> None:
    await run_git(["init", "--quiet", "--bare", str(tmp_path)])
    size = 64 * 1024**2
    at = f"--git-dir={tmp_path}"
    blob = (await run_git([at, "hash-object", "-w", "--stdin"], stdin=bytes(size))).decode().strip()
    whole = [at, "-c", "core.bigFileThreshold=1g", "cat-file", "--filters", "--path=a", blob]
    assert len(await run_git(whole, memory_bytes=1024**3)) == size
    with pytest.raises(UpstreamFailed):
        await run_git(whole, memory_bytes=size)


@pytest.fixture
async def renamed(berth: Berth, git: Git) -> Path:
    """A clone of octo/old, which is octo/new now, and private; its remote has no credential in it."""
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "old", "private": True})
    await octo.put("/repos/octo/old/contents/a", json={"message": "m", "content": "YQ=="})
    await git.ok("clone", "-q", git.url("octo/old", await berth.token("octo", "repo")), "clone")
    clone = git.folder / "clone"
    await git.ok("remote", "set-url", "origin", git.url("octo/old"), cwd=clone)
    assert (await octo.patch("/repos/octo/old", json={"name": "new"})).status_code == 200
    return clone


def with_helper(git: Git, token: str) -> tuple[str, ...]:
    """As in a codespace: a credential for the server's address, whatever the path."""
    helper = f"!f() {{ echo username=any; echo password={token}; }}; f"
    return ("-c", f"credential.http://{git.address}.helper={helper}")


@pytest.mark.parametrize("way", ["helper", "address"])
@pytest.mark.parametrize("version", ["0", "2"])
async def test_git_follows_a_rename_with_its_credential(
    berth: Berth, git: Git, renamed: Path, way: str, version: str
) -> None:
    token = await berth.token("octo", "repo")
    options = ("-c", f"protocol.version={version}", *(with_helper(git, token) if way == "helper" else ()))
    if way == "address":
        await git.ok("remote", "set-url", "origin", git.url("octo/old", token), cwd=renamed)
    await git.ok("commit", "-q", "--allow-empty", "-m", "two", cwd=renamed)
    await git.ok(*options, "push", "-q", "origin", "main", cwd=renamed)
    await git.ok(*options, "fetch", "-q", "origin", cwd=renamed)
    await git.ok(*options, "pull", "-q", cwd=renamed)
    await git.ok(*options, "ls-remote", "origin", cwd=renamed)
    url = git.url("octo/OLD", token if way == "address" else None)
    await git.ok(*options, "clone", "-q", url, "copy")
    head = (await git.ok("rev-parse", "HEAD", cwd=renamed)).strip()
    assert (await git.ok("rev-parse", "HEAD", cwd=git.folder / "copy")).strip() == head


async def test_git_follows_with_the_tokens_of_codespaces_and_jobs(berth: Berth, git: Git, renamed: Path) -> None:
    octo = berth.client(await berth.token("octo", "repo"))
    repository = (await octo.get("/repos/octo/new")).json()
    _id, inside = await codespace_token(berth, repository["id"], repository["owner"]["id"])
    made = await octo.post("/repos/octo/new/workflow-tokens", json={"permissions": {"contents": "write"}})
    for token in (inside, str(made.json()["token"])):
        await git.ok("commit", "-q", "--allow-empty", "-m", "more", cwd=renamed)
        await git.ok(*with_helper(git, token), "push", "-q", "origin", "main", cwd=renamed)
        await git.ok(*with_helper(git, token), "fetch", "-q", cwd=renamed)


async def test_a13_a_former_name_is_as_missing_for_git(berth: Berth, git: Git, renamed: Path) -> None:
    await berth.user("stranger")
    stranger = await berth.token("stranger", "repo")
    for token in (None, stranger, await berth.token("octo", "public_repo")):
        said = {}
        for name in ("old", "xyz"):
            _code, output = await git.run("clone", git.url(f"octo/{name}", token), "x")
            said[name] = output.replace(f"/{name}.git", "/NAME.git")
        assert said["old"] == said["xyz"]
    octo = berth.client(await berth.token("octo", "repo"))
    await octo.patch("/repos/octo/new", json={"private": False})
    await git.ok("clone", "-q", git.url("octo/old"), "anonymous")
    await git.ok("clone", "-q", git.url("octo/old", stranger), "copy")
    code, output = await git.run("push", git.url("octo/old", stranger), "main", cwd=git.folder / "copy")
    assert code
    assert "403" in output

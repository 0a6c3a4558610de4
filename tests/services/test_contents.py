"""Contents of a repository by who asks, on both databases (A6, A13, L9)."""

import asyncio
from dataclasses import replace

from sqlalchemy import select
from tests.account_world import AccountWorld, outcome, outcomes

from berth.adapters.git_process import run_git
from berth.adapters.store.tables import audit_log
from berth.services.contents import FileChange, FileView

MISSING = "NotFound repository.not_found"
DENIED = "Denied repository.denied"
ONE = FileChange(message="one", data=b"1")


async def prepare(accounts: AccountWorld) -> int:
    number = accounts.people.repositories["acme/web"]
    await accounts.berth.repositories.create(number, default_branch="main")
    return number


async def test_who_writes_and_reads(accounts: AccountWorld) -> None:
    service = accounts.services.contents
    await prepare(accounts)
    writes = {
        "wim": "ok",
        "adam": "ok",
        "wim@acme/web": "ok",
        "mia": DENIED,
        "rita": DENIED,
        "otto": MISSING,
        "wim:": MISSING,
    }
    got = await outcomes(
        {name: service.put(accounts.who(name), "acme", "web", f"d/{number}", ONE) for number, name in enumerate(writes)}
    )
    assert got == writes
    reads = {"mia": "ok", "rita": "ok", "rita@acme/web": "ok", "anonymous": MISSING, "otto": MISSING, "mia:": MISSING}
    for path in ("d/0", "d", ""):
        calls = {name: service.get(accounts.anyone(name), "acme", "web", path, "") for name in reads}
        assert await outcomes(calls) == reads
    branch = {name: service.get_branch(accounts.anyone(name), "acme", "web", "main") for name in reads}
    assert await outcomes(branch) == reads


async def test_what_is_not_there(accounts: AccountWorld) -> None:
    service, wim = accounts.services.contents, accounts.who("wim")
    await prepare(accounts)
    assert await outcome(service.get(wim, "acme", "web", "", "")) == "NotFound contents.no_ref"
    assert await outcome(service.get(wim, "acme", "web", "", "v1")) == "NotFound contents.no_ref"
    assert await outcome(service.get_branch(wim, "acme", "web", "main")) == "NotFound contents.no_branch"
    assert await outcome(service.put(wim, "acme", "web", "a", replace(ONE, message=" "))) == "Invalid contents.message"
    assert await outcome(service.put(wim, "acme", "web", "../a", ONE)) == "Invalid contents.path"
    assert await outcome(service.put(wim, "acme", "web", "a", replace(ONE, branch="-x"))) == "Invalid repository.branch"
    assert await outcome(service.put(wim, "acme", "web", "a", ONE)) == "ok"
    assert await outcome(service.get(wim, "acme", "web", "b", "main")) == "NotFound contents.not_found"
    assert await outcome(service.put(wim, "acme", "web", "a", ONE)) == "Conflict contents.sha_mismatch"


async def test_the_author_is_the_caller_or_whom_he_names(accounts: AccountWorld) -> None:
    service, wim = accounts.services.contents, accounts.who("wim")
    await prepare(accounts)
    _repository, written = await service.put(wim, "acme", "web", "a", ONE)
    assert written.commit.author.name == "wim"
    assert written.commit.author.email == f"{wim.account_id}+wim@users.noreply.localhost"
    named = replace(ONE, author_name="W", author_email="w@example.com", branch="refs/heads/main")
    _repository, written = await service.put(wim, "acme", "web", "b", named)
    assert (written.commit.author.name, written.commit.author.email) == ("W", "w@example.com")
    async with accounts.store.read() as connection:
        last = (await connection.execute(select(audit_log).order_by(audit_log.c.id.desc()).limit(1))).one()
    assert (last.actor_login, last.action, last.detail) == ("wim", "contents.write", f"main {written.commit.sha}")


async def test_a_symbolic_link_shows_where_it_points_and_is_not_followed(accounts: AccountWorld) -> None:
    service, wim = accounts.services.contents, accounts.who("wim")
    git = f"--git-dir={accounts.berth.repositories.path(await prepare(accounts))}"
    blob = (await run_git([git, "hash-object", "-w", "--stdin"], stdin=b"../../etc/passwd")).decode().strip()
    submodule = "1" * 40
    tree = (
        await run_git(
            [git, "mktree", "--missing"], stdin=f"120000 blob {blob}\tlink\n160000 commit {submodule}\tsub\n".encode()
        )
    ).decode()
    identity = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = (await run_git([git, "commit-tree", tree.strip()], stdin=b"m", extra=identity)).decode().strip()
    await run_git([git, "update-ref", "refs/heads/main", commit])
    _repository, found = await service.get(wim, "acme", "web", "link", "")
    assert isinstance(found, FileView)
    assert (found.entry.kind, found.data) == ("symlink", b"../../etc/passwd")
    _repository, found = await service.get(wim, "acme", "web", "sub", "")
    assert isinstance(found, FileView)
    assert (found.entry.kind, found.data) == ("submodule", b"")
    assert await accounts.berth.repositories.read_link(accounts.people.repositories["acme/web"], commit, "sub") is None
    assert await accounts.berth.repositories.read_file(accounts.people.repositories["acme/web"], commit, "link") is None
    _repository, found = await service.get(wim, "acme", "web", "", "")
    assert isinstance(found, tuple)
    assert [entry.kind for entry in found] == ["symlink", "submodule"]


async def test_of_two_writers_at_once_one_is_told_to_look_again(accounts: AccountWorld) -> None:
    service, wim = accounts.services.contents, accounts.who("wim")
    await prepare(accounts)
    await service.put(wim, "acme", "web", "a", ONE)
    got = await asyncio.gather(
        *(outcome(service.put(wim, "acme", "web", "b", replace(ONE, data=bytes([number])))) for number in range(3))
    )
    assert got.count("ok") == 1
    assert {one for one in got if one != "ok"} <= {"Conflict contents.moved", "Conflict contents.sha_mismatch"}
    repository, _found = await service.get(wim, "acme", "web", "b", "")
    assert repository.full_name == "acme/web"


async def test_the_first_push_of_another_branch_makes_it_the_default(accounts: AccountWorld) -> None:
    service, wim = accounts.services.contents, accounts.who("wim")
    number = await prepare(accounts)
    await service.put(wim, "acme", "web", "a", replace(ONE, branch="zeta"))
    view = await accounts.services.repositories.view(wim, "acme", "web")
    assert view.repository.default_branch == "zeta"
    assert (accounts.berth.repositories.path(number) / "HEAD").read_text() == "ref: refs/heads/zeta\n"

"""Forks and pull requests on both databases, with real git; and the codespaces that show them (S6)."""

import asyncio
import base64
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from tests.rest.berth_api import Berth

from berth.adapters import git_comparison
from berth.adapters.git_process import run_git
from berth.adapters.store.tables import codespaces, repositories
from berth.domain.problem import UpstreamFailed

APP = "/repos/octo/app"
PULLS = f"{APP}/pulls"


@dataclass
class World:
    """octo's app is public; hubot forked it and changed a branch of his."""

    berth: Berth
    octo: httpx.AsyncClient
    hubot: httpx.AsyncClient

    async def write(self, client: httpx.AsyncClient, path: str, text: str, branch: str = "main") -> str:
        body = {"message": "m", "content": base64.b64encode(text.encode()).decode(), "branch": branch}
        answer = await client.put(path, json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["commit"]["sha"])

    async def branch(self, full_name: str, name: str) -> None:
        async with self.berth.store.read() as connection:
            owned = select(repositories.c.id).where(repositories.c.name_key == full_name.partition("/")[2])
            ids = list((await connection.execute(owned.order_by(repositories.c.id))).scalars())
        repository = ids[0] if full_name.startswith("octo/") else ids[-1]
        await self.berth.repositories.fetch(repository, {"refs/heads/main": f"refs/heads/{name}"}, source_id=repository)

    async def ask(self, client: httpx.AsyncClient, head: str = "hubot:fix", base: str = "main") -> httpx.Response:
        return await client.post(PULLS, json={"title": "Mend it", "head": head, "base": base, "body": "because"})

    async def row(self, name: str) -> Any:
        async with self.berth.store.read() as connection:
            return (await connection.execute(select(codespaces).where(codespaces.c.name == name))).one()


@pytest.fixture
async def world(berth: Berth) -> World:
    octo, hubot = await berth.user("octo"), await berth.user("hubot")
    made = World(berth, octo, hubot)
    assert (await octo.post("/user/repos", json={"name": "app"})).status_code == 201
    await made.write(octo, f"{APP}/contents/a", "one\n")
    forked = await hubot.post(f"{APP}/forks", json={})
    assert forked.status_code == 202, forked.text
    await made.branch("hubot/app", "fix")
    await made.write(hubot, "/repos/hubot/app/contents/b", "two\nthree\n", "fix")
    return made


async def test_a_fork_has_what_its_parent_has(world: World) -> None:
    fork = (await world.hubot.get("/repos/hubot/app")).json()
    assert (fork["fork"], fork["visibility"], fork["default_branch"]) == (True, "public", "main")
    assert (await world.hubot.get("/repos/hubot/app/contents/a")).json()["content"] == base64.b64encode(
        b"one\n"
    ).decode() + "\n"
    again = await world.hubot.post(f"{APP}/forks", json={"name": "other"})
    assert (again.status_code, again.json()["id"]) == (202, fork["id"]), "asked again it is the same"
    listed = await world.berth.anonymous.get(f"{APP}/forks")
    assert [each["full_name"] for each in listed.json()] == ["hubot/app"]
    assert (await world.octo.get(APP)).json()["fork"] is False


async def test_who_forks_what(world: World) -> None:
    await world.octo.post("/user/repos", json={"name": "secret", "private": True})
    assert (await world.hubot.post("/repos/octo/secret/forks", json={})).status_code == 404, "A13"
    own = await world.octo.post("/repos/octo/secret/forks", json={})
    assert (own.status_code, own.json()["code"]) == (403, "fork.not_public"), "what is private stays where it is"
    self = await world.octo.post(f"{APP}/forks", json={})
    assert (self.status_code, self.json()["code"]) == (422, "fork.own_repository")
    await world.berth.organization("acme", "octo")
    assert (await world.hubot.post(f"{APP}/forks", json={"organization": "acme"})).status_code == 403
    team = await world.octo.post(f"{APP}/forks", json={"organization": "acme", "name": "ours"})
    assert (team.status_code, team.json()["full_name"]) == (202, "acme/ours")
    private = await world.hubot.patch("/repos/hubot/app", json={"visibility": "private"})
    assert (private.status_code, private.json()["code"]) == (422, "fork.visibility")


async def test_an_interrupted_fork_is_finished_when_it_is_asked_for_again(world: World) -> None:
    ada = await world.berth.user("ada")
    git = world.berth.services.forks._git
    real = git.fetch

    async def fetch(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    git.fetch = fetch  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await ada.post(f"{APP}/forks", json={})
    git.fetch = real  # type: ignore[method-assign]
    assert (await ada.get("/repos/ada/app/contents/a")).status_code == 404
    assert (await ada.post(f"{APP}/forks", json={"default_branch_only": True})).status_code == 202
    assert (await ada.get("/repos/ada/app/contents/a")).status_code == 200


async def test_the_life_of_a_pull_request(world: World) -> None:
    made = await world.ask(world.hubot)
    assert made.status_code == 201, made.text
    body = made.json()
    assert (body["number"], body["state"], body["head"]["label"], body["base"]["label"]) == (
        1,
        "open",
        "hubot:fix",
        "octo:main",
    )
    assert (body["commits"], body["additions"], body["deletions"], body["changed_files"]) == (1, 2, 0, 1)
    newer = await world.write(world.hubot, "/repos/hubot/app/contents/c", "four", "fix")
    seen = (await world.berth.anonymous.get(f"{PULLS}/1")).json()
    assert (seen["head"]["sha"], seen["commits"]) == (newer, 2), "with the commits of now"
    twice = await world.ask(world.hubot)
    assert (twice.status_code, twice.json()["code"]) == (422, "pull_request.exists")
    closed = (await world.hubot.patch(f"{PULLS}/1", json={"state": "closed", "title": "Never mind"})).json()
    assert (closed["state"], closed["title"]) == ("closed", "Never mind")
    assert closed["closed_at"]
    assert (await world.octo.get(PULLS)).json() == []
    assert [each["number"] for each in (await world.octo.get(PULLS, params={"state": "all"})).json()] == [1]
    assert (await world.octo.patch(f"{PULLS}/1", json={"state": "open"})).json()["closed_at"] is None


async def test_one_that_was_closed_is_not_opened_beside_a_new_one_for_the_same_branches(world: World) -> None:
    await world.ask(world.hubot)
    await world.hubot.patch(f"{PULLS}/1", json={"state": "closed"})
    assert (await world.ask(world.hubot)).json()["number"] == 2
    again = await world.octo.patch(f"{PULLS}/1", json={"state": "open"})
    assert (again.status_code, again.json()["code"]) == (422, "pull_request.exists")
    assert (await world.octo.patch(f"{PULLS}/2", json={"state": "open"})).status_code == 200, "it is open"
    await world.octo.patch(f"{PULLS}/2", json={"state": "closed"})
    assert (await world.octo.patch(f"{PULLS}/1", json={"state": "open"})).json()["state"] == "open"
    ada = await world.berth.user("ada")
    assert (await ada.patch(f"{PULLS}/1", json={"state": "closed"})).status_code == 403
    assert (await world.octo.get(PULLS, params={"state": "merged"})).status_code == 422


async def test_many_look_at_it_at_once(world: World) -> None:
    await world.ask(world.hubot)
    for text in ("one", "two", "three"):
        newer = await world.write(world.hubot, f"/repos/hubot/app/contents/{text}", text, "fix")
        seen = await asyncio.gather(*(world.berth.anonymous.get(f"{PULLS}/1") for _ in range(8)))
        assert [(each.status_code, each.json()["head"]["sha"]) for each in seen] == [(200, newer)] * 8


async def test_more_files_than_can_be_counted_are_not_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree of trees: two million files in a push of a few kilobytes, and anybody may look at the pull request."""
    fork = (await world.hubot.get("/repos/hubot/app")).json()["id"]
    at = [f"--git-dir={world.berth.repositories.path(fork)}"]
    blob = (await run_git([*at, "hash-object", "-w", "--stdin"], stdin=b"x")).decode().strip()
    lines = "".join(f"100644 blob {blob}\tf{number:06d}\n" for number in range(100_000))
    tree = (await run_git([*at, "mktree"], stdin=lines.encode())).decode().strip()
    lines = "".join(f"040000 tree {tree}\td{number:02d}\n" for number in range(20))
    top = (await run_git([*at, "mktree"], stdin=lines.encode())).decode().strip()
    who = {f"GIT_{one}_{what}": "a" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = await run_git([*at, "commit-tree", top, "-p", "refs/heads/fix", "-m", "m"], extra=who)
    assert (await world.ask(world.hubot)).json()["changed_files"] == 1
    await run_git([*at, "update-ref", "refs/heads/fix", commit.decode().strip()])
    monkeypatch.setattr(git_comparison, "MEMORY_BYTES", 200 * 1024**2)
    seen = await world.berth.anonymous.get(f"{PULLS}/1")
    assert (seen.status_code, seen.json()["head"]["sha"]) == (200, commit.decode().strip())
    assert (seen.json()["commits"], seen.json()["changed_files"]) == (0, 0)


async def test_commits_that_cannot_be_brought_are_a_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.ask(world.hubot)
    await world.write(world.hubot, "/repos/hubot/app/contents/c", "four", "fix")

    async def fetch(*_arguments: object, **_options: object) -> None:
        raise UpstreamFailed("git fetch failed.", code="git.failed")

    with monkeypatch.context() as patched:
        patched.setattr(world.berth.services.pull_requests._git, "fetch", fetch)
        assert (await world.berth.anonymous.get(f"{PULLS}/1")).status_code == 502
    assert (await world.berth.anonymous.get(f"{PULLS}/1")).status_code == 200


async def test_a_repository_that_gets_the_name_meanwhile_gets_no_branch_of_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private one's commits would be brought into the public one that is called so now."""
    await world.branch("octo/app", "topic")
    await world.write(world.octo, f"{APP}/contents/d", "x", "topic")
    await world.octo.patch(APP, json={"private": True})
    git = world.berth.services.pull_requests._git
    real = git.find_commit

    async def find_commit(repository_id: int, ref: str) -> str | None:
        found = await real(repository_id, ref)
        if ref == "refs/heads/main":
            monkeypatch.setattr(git, "find_commit", real)
            await world.octo.patch(APP, json={"name": "hidden"})
            await world.octo.post("/user/repos", json={"name": "app"})
        return found

    monkeypatch.setattr(git, "find_commit", find_commit)
    made = await world.ask(world.octo, "topic")
    assert (made.status_code, made.json()["base"]["repo"]["full_name"]) == (201, "octo/hidden")
    assert (await world.octo.get(PULLS)).json() == []


@pytest.mark.parametrize(
    ("head", "base", "code"),
    [
        ("hubot:none", "main", "pull_request.head"),
        ("ada:fix", "main", "pull_request.head"),
        ("hubot:fix", "none", "pull_request.base"),
        ("hubot:main", "main", "pull_request.nothing"),
        ("hubot:fix", "--upload-pack=x", "repository.branch"),
        ("a b", "main", "repository.branch"),
    ],
)
async def test_what_is_no_pull_request(world: World, head: str, base: str, code: str) -> None:
    answer = await world.ask(world.hubot, head, base)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await world.octo.get(PULLS)).json() == []


async def test_only_who_may_push_to_the_head_asks_for_it(world: World) -> None:
    ada = await world.berth.user("ada")
    assert (await world.ask(ada)).status_code == 403
    await world.branch("octo/app", "topic")
    await world.write(world.octo, f"{APP}/contents/d", "x", "topic")
    assert (await world.ask(world.hubot, "topic")).status_code == 403
    assert (await world.ask(world.octo, "topic")).status_code == 201


async def test_s6_a_codespace_of_a_forks_pull_request_says_so_and_others_do_not(world: World) -> None:
    await world.ask(world.hubot)
    await world.branch("octo/app", "topic")
    await world.write(world.octo, f"{APP}/contents/d", "x", "topic")
    await world.ask(world.octo, "topic")
    strange = await world.octo.post(f"{PULLS}/1/codespaces", json={})
    own = await world.octo.post(f"{PULLS}/2/codespaces", json={})
    app = (await world.octo.get(APP)).json()["id"]
    chosen = {"pull_request": {"pull_request_number": 1, "repository_id": app}}
    other = await world.octo.post("/user/codespaces", json=chosen)
    for answer, ref, from_fork in (
        (strange, "refs/pull/1/head", True),
        (own, "topic", False),
        (other, "refs/pull/1/head", True),
    ):
        assert answer.status_code == 201, answer.text
        row = await world.row(answer.json()["name"])
        assert (row.ref, row.from_fork) == (ref, from_fork)
    assert strange.json()["pulls_url"].endswith("/repos/octo/app/pulls/1")
    assert (await world.octo.post(f"{APP}/codespaces", json=chosen)).json()["code"] == "codespace.pull_request"
    assert (await world.octo.post(f"{PULLS}/9/codespaces", json={})).status_code == 404


async def test_s6_a_forks_commit_is_not_opened_as_one_of_the_repository(world: World) -> None:
    """The objects are there; with the repository's secrets they must not be run."""
    pull = (await world.ask(world.hubot)).json()
    own = (await world.octo.get(f"{APP}/branches/main")).json()["commit"]["sha"]
    for ref, status in (
        (pull["head"]["sha"], 422),
        (pull["head"]["sha"][:10], 422),
        ("refs/pull/1/head", 422),
        ("pull/1/head", 422),
        ("refs/refs/pull/1/head", 422),
        ("heads/refs/pull/1/head", 422),
        ("refs/heads/refs/pull/1/head", 422),
        (own, 201),
        (own[:10], 201),
    ):
        answer = await world.octo.post(f"{APP}/codespaces", json={"ref": ref})
        assert answer.status_code == status, ref


async def test_a_pull_request_goes_with_its_fork_and_its_number_is_not_used_again(world: World) -> None:
    await world.ask(world.hubot)
    assert (await world.hubot.delete("/repos/hubot/app")).status_code == 204
    assert (await world.octo.get(f"{PULLS}/1")).status_code == 404
    assert (await world.octo.get(PULLS, params={"state": "all"})).json() == []
    await world.branch("octo/app", "topic")
    await world.write(world.octo, f"{APP}/contents/d", "x", "topic")
    assert (await world.ask(world.octo, "topic")).json()["number"] == 2

"""A request by a former name is sent on; tests quote the policies of edge/former_name.py."""

from dataclasses import dataclass

import httpx
import pytest
from tests.rest.berth_api import Berth
from tests.rest.test_access_token import codespace_token
from tests.rest.test_hidden import ALL, OF_REPOSITORIES, answer, fill
from tests.rest.test_operations import ROWS, Row, as_login, row_key

from berth.rest.app import Route
from berth.rest.routes import ROUTES

BY_NAME = [route for route in OF_REPOSITORIES if route.path.startswith("/repos/")]


@dataclass
class Moved:
    """octo/old is octo/new now."""

    berth: Berth
    octo: httpx.AsyncClient
    id: int

    async def rename(self, before: str, after: str) -> None:
        got = await self.octo.patch(f"/repos/octo/{before}", json={"name": after})
        assert got.status_code == 200, got.text


@pytest.fixture
async def moved(berth: Berth) -> Moved:
    octo = await berth.user("octo", *ALL)
    made = (await octo.post("/user/repos", json={"name": "old", "private": True})).json()
    assert (await octo.put("/repos/octo/old/contents/a", json={"message": "m", "content": "YQ=="})).status_code == 201
    world = Moved(berth, octo, made["id"])
    await world.rename("old", "new")
    return world


async def test_every_route_by_name_is_sent_on_to_its_alias_by_id(moved: Moved) -> None:
    """Policies 1 and 3."""
    assert len(BY_NAME) > 25
    for route in BY_NAME:
        row = ROWS.get(row_key(route), Row())
        sealed = {"key_id": "1", "encrypted_value": "YQ=="}
        body = sealed if row.sealed else {**(row.body or {}), **as_login(sealed)} if row.login else row.body
        got = await moved.octo.request(route.method, fill(route, owner="OCTO", repo="Old"), json=body)
        where, below = (
            f"{route.method} {route.path}",
            fill(route, owner="octo", repo="old").removeprefix("/repos/octo/old"),
        )
        assert got.status_code == (301 if route.method == "GET" else 307), where
        url = f"http://api.berth.test/repositories/{moved.id}{below}"
        assert got.headers["location"] == url, where
        page = "http://berth.test/docs/errors#repository.moved"
        assert got.json() == {
            "message": "Moved Permanently",
            "url": url,
            "documentation_url": page,
            "status": str(got.status_code),
            "code": "repository.moved",
        }


async def test_who_follows_does_what_he_meant(moved: Moved) -> None:
    octo = moved.octo
    octo.follow_redirects = True
    got = await octo.get("/repos/octo/old")
    assert (got.status_code, got.json()["full_name"]) == (200, "octo/new")
    put = await octo.put("/repos/octo/old/contents/b", json={"message": "m", "content": "Yg=="})
    assert put.status_code == 201
    assert (await octo.get("/repos/octo/new/contents/b")).json()["content"].strip() == "Yg=="
    made = await octo.post("/repos/octo/old/codespaces", json={})
    assert (made.status_code, made.json()["repository"]["full_name"]) == (201, "octo/new")
    assert (await octo.delete("/repos/octo/old")).status_code == 204
    assert (await octo.get("/repos/octo/new")).status_code == 404


async def test_policy_1_head_is_301(moved: Moved) -> None:
    got = await moved.octo.head("/repos/octo/old/contents/a")
    assert (got.status_code, got.headers["location"]) == (
        301,
        f"http://api.berth.test/repositories/{moved.id}/contents/a",
    )


@pytest.mark.parametrize(
    "sent, below",
    [
        ("/repos/octo/old?a=1&b=%2F%20c", "?a=1&b=%2F%20c"),
        ("/repos/octo/old/contents/a%20b%3Fc%23d%25", "/contents/a%20b%3Fc%23d%25"),
        ("/repos/octo/old/contents/%09?a=%0d%0aX-Evil:%201", "/contents/%09?a=%0d%0aX-Evil:%201"),
        ("/repos/octo/old/contents/ü?ref=%C3%BC", "/contents/%C3%BC?ref=%C3%BC"),
        ("/repos/octo/old/contents//evil.test/x", "/contents//evil.test/x"),
        ("/repos%2Focto%2Fold/contents/a", "/contents/a"),
        ("/repos/octo/old/contents/repos/octo/old", "/contents/repos/octo/old"),
    ],
)
async def test_policy_3_what_is_below_is_kept(moved: Moved, sent: str, below: str) -> None:
    got = await moved.octo.get(sent)
    assert (got.status_code, got.headers["location"]) == (
        301,
        f"http://api.berth.test/repositories/{moved.id}{below}",
    )


@pytest.mark.parametrize("below", ["%2e%2e/%2e%2e/user", "a%2F..%2F..%2F..%2Fuser", "a/%2E/b"])
async def test_policy_3_a_path_that_resolves_elsewhere_is_not_sent_on(moved: Moved, below: str) -> None:
    got = await moved.octo.get(f"/repos/octo/old/contents/{below}")
    assert got.status_code in {404, 422}
    assert "location" not in got.headers


@pytest.mark.parametrize("host, root", [("evil.test", "http://evil.test/api/v3"), ("a b", "http://localhost/api/v3")])
async def test_policy_3_the_root_is_the_one_that_was_asked(moved: Moved, host: str, root: str) -> None:
    got = await moved.octo.get("/repos/octo/old", headers={"Host": host})
    assert got.headers["location"] == f"{root}/repositories/{moved.id}"


async def test_what_is_missing_in_a_repository_is_missing(moved: Moved) -> None:
    for path in ("contents/nothing", "branches/nothing", "collaborators/nobody/permission"):
        assert (await moved.octo.get(f"/repos/octo/new/{path}")).status_code == 404
    for path in ("/repos/octo/older", "/repos/nobody/old", "/repos/octo/old/nothing", f"/repositories/{moved.id}9"):
        assert (await moved.octo.get(path)).status_code == 404


async def test_a_chain_and_a_way_back(moved: Moved) -> None:
    """old → new → newest → old: each name leads to where it is, and none in a circle."""
    await moved.rename("new", "newest")
    for name in ("old", "new"):
        assert (await moved.octo.get(f"/repos/octo/{name}")).status_code == 301
    await moved.rename("newest", "OLD")
    assert (await moved.octo.get("/repos/octo/old")).json()["full_name"] == "octo/OLD"
    for name in ("new", "newest"):
        assert (await moved.octo.get(f"/repos/octo/{name}")).status_code == 301


async def test_a_change_of_case_is_a_name_and_leads_nowhere_else(moved: Moved) -> None:
    for name in ("NEW", "NEW", "New"):
        await moved.rename("new", name)
        assert (await moved.octo.get("/repos/octo/new")).json()["full_name"] == f"octo/{name}"
    assert (await moved.octo.get("/repos/octo/old")).status_code == 301


async def test_a_new_repository_takes_the_name_over(moved: Moved) -> None:
    made = (await moved.octo.post("/user/repos", json={"name": "Old"})).json()
    assert (await moved.octo.get("/repos/octo/old")).json()["id"] == made["id"]
    assert (await moved.octo.get("/repos/octo/old/contents/a")).status_code == 404  # nothing of the other one
    assert (await moved.octo.delete("/repos/octo/old")).status_code == 204
    assert (await moved.octo.get("/repos/octo/old")).status_code == 404  # for good


async def test_another_that_is_renamed_or_transferred_takes_it_over_too(moved: Moved) -> None:
    await moved.berth.organization("acme", "octo")
    await moved.octo.post("/user/repos", json={"name": "b"})
    await moved.rename("b", "old")
    assert (await moved.octo.get("/repos/octo/old")).json()["full_name"] == "octo/old"
    assert (await moved.octo.get("/repos/octo/b")).status_code == 301
    await moved.octo.post("/orgs/acme/repos", json={"name": "c"})
    body = {"new_owner": "octo", "new_name": "B"}
    assert (await moved.octo.post("/repos/acme/c/transfer", json=body)).status_code == 202
    assert (await moved.octo.get("/repos/octo/b")).json()["full_name"] == "octo/B"


async def test_a_transfer_leaves_the_way(moved: Moved) -> None:
    await moved.berth.organization("acme", "octo")
    assert (await moved.octo.post("/repos/octo/new/transfer", json={"new_owner": "acme"})).status_code == 202
    for name in ("octo/old", "octo/new"):
        got = await moved.octo.get(f"/repos/{name}/branches/main")
        assert got.headers["location"] == f"http://api.berth.test/repositories/{moved.id}/branches/main"
    assert (await moved.octo.get("/repos/acme/new")).json()["id"] == moved.id


async def test_a_deleted_repository_leaves_none(moved: Moved) -> None:
    assert (await moved.octo.delete("/repos/octo/new")).status_code == 204
    assert (await moved.octo.get("/repos/octo/old")).status_code == 404


async def test_policy_2_a13_a_former_name_is_as_missing_on_every_route(moved: Moved) -> None:
    """For who may not read it: a stranger, a token that opens less, a codespace's and a job's of another repository."""
    berth, octo = moved.berth, moved.octo
    stranger = await berth.user("stranger", *ALL)
    own = (await octo.post("/user/repos", json={"name": "own"})).json()
    _id, inside = await codespace_token(berth, own["id"], own["owner"]["id"])
    permissions = {"permissions": {"contents": "write", "packages": "write"}}
    job = (await octo.post("/repos/octo/own/workflow-tokens", json=permissions)).json()
    others = {
        "anonymous": berth.anonymous,
        "stranger": stranger,
        "without scopes": berth.client(await berth.token("octo")),
        "public_repo": berth.client(await berth.token("octo", "public_repo")),
        "codespace": berth.client(inside),
        "workflow": berth.client(job["token"]),
    }
    for route in BY_NAME:
        former, absent = fill(route, owner="octo", repo="old"), fill(route, owner="octo", repo="absent")
        for name, client in others.items():
            seen = await answer(client, route, former)
            assert seen == await answer(client, route, absent), f"{name}: {route.method} {former}"
            assert seen[0] in {401, 403, 404, 422}, f"{name}: {route.method} {former}"
    await octo.patch("/repos/octo/new", json={"private": False})
    for name, client in others.items():
        assert (await client.get("/repos/octo/old")).status_code == 301, name  # the control: it is public now


async def test_a_job_and_a_codespace_of_the_repository_find_it(moved: Moved) -> None:
    """Their tokens hold its id."""
    repository = (await moved.octo.get("/repos/octo/new")).json()
    _id, inside = await codespace_token(moved.berth, moved.id, repository["owner"]["id"])
    made = await moved.octo.post("/repos/octo/new/workflow-tokens", json={"permissions": {"contents": "read"}})
    tokens = (inside, made.json()["token"])
    await moved.rename("new", "newest")
    for token in tokens:
        client = moved.berth.client(token)
        client.follow_redirects = True
        for name in ("old", "new", "newest"):
            assert (await client.get(f"/repos/octo/{name}")).json()["full_name"] == "octo/newest"


async def test_what_hangs_on_the_id_stays(moved: Moved) -> None:
    """Its codespaces show the new name; grants, teams and what selects it stay."""
    octo = moved.octo
    await moved.berth.user("wim")
    assert (await octo.put("/repos/octo/new/collaborators/wim", json={"permission": "push"})).status_code == 204
    name = (await octo.post("/repos/octo/new/codespaces", json={})).json()["name"]
    await moved.rename("new", "newest")
    assert (await octo.get(f"/user/codespaces/{name}")).json()["repository"]["full_name"] == "octo/newest"
    (listed,) = (await octo.get("/repos/octo/newest/codespaces")).json()["codespaces"]
    assert listed["name"] == name
    wim = moved.berth.client(await moved.berth.token("wim", "repo"))
    assert (await wim.get("/repos/octo/old")).status_code == 301
    assert (await wim.patch("/repos/octo/newest", json={"name": "his"})).status_code == 403


@pytest.mark.parametrize("name, status", [("", 422), ("a/b", 422), ("x.git", 422), ("x" * 101, 422), ("Taken", 422)])
async def test_a_bad_or_taken_name_is_refused_and_leaves_no_former_name(moved: Moved, name: str, status: int) -> None:
    await moved.octo.post("/user/repos", json={"name": "taken"})
    assert (await moved.octo.patch("/repos/octo/new", json={"name": name})).status_code == status
    assert (await moved.octo.get("/repos/octo/new")).status_code == 200
    assert (await moved.octo.get("/repos/octo/taken")).status_code == 200


async def test_graphql_follows_unless_told_not_to(moved: Moved) -> None:
    query = """query ($name: String!) {
        a: repository(owner: "octo", name: $name) {name}
        b: repository(owner: "octo", name: $name, followRenames: true) {name}
        c: repository(owner: "octo", name: $name, followRenames: false) {name}}"""
    body = {"query": query, "variables": {"name": "old"}}
    found = (await moved.octo.post("/graphql", json=body)).json()
    assert found["data"] == {"a": {"name": "new"}, "b": {"name": "new"}, "c": None}
    assert [error["path"] for error in found["errors"]] == [["c"]]
    stranger = await moved.berth.user("stranger")
    hidden = (await stranger.post("/graphql", json=body)).json()
    assert hidden["data"] == dict.fromkeys("abc")
    missing = (await stranger.post("/graphql", json={**body, "variables": {"name": "absent"}})).json()
    assert str(hidden).replace("octo/old", "octo/absent") == str(missing)


async def test_the_audit_log_names_both(moved: Moved) -> None:
    await moved.octo.patch("/repos/octo/new", json={"name": "new", "description": "d"})
    await moved.octo.patch("/repos/octo/new", json={"name": "NEW", "private": False})
    events = (await moved.octo.get("/user/audit-log")).json()
    told = [(each["action"], each["target"], each["detail"]) for each in events if each["action"] != "token.create"]
    assert [each for each in told if each[0] in {"repository.rename", "repository.update"}] == [
        ("repository.update", "octo/NEW", "visibility"),
        ("repository.rename", "octo/new", "octo/NEW"),
        ("repository.update", "octo/new", "description name"),
        ("repository.rename", "octo/old", "octo/new"),
    ]


def test_every_route_below_a_name_is_sent_on() -> None:
    """One place does it: what is there by name is there by id, and follows."""

    def names(routes: list[Route]) -> set[str]:
        return {route.handler.__qualname__ for route in routes}

    assert names(BY_NAME) == {"follow.<locals>.respond"}
    assert "follow.<locals>.respond" not in names([route for route in ROUTES if route not in BY_NAME])

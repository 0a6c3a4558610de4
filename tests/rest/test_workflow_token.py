"""`POST /repos/{owner}/{repo}/workflow-tokens`, and what its token may do on every route (A8, A13, A14)."""

import re
from typing import Any

import httpx
import pytest
from tests.rest.berth_api import Berth
from tests.rest.test_hidden import fill

from berth.rest.routes import ROUTES

ALL = {"contents": "write", "packages": "write"}
# Beside what anybody may call: reads that need no scope, about repositories and organizations that the token may see.
OPEN_TO_ANY_TOKEN = {
    "GET /orgs/{org}/members",
    "GET /repos/{owner}/{repo}/collaborators",
    "GET /repos/{owner}/{repo}/collaborators/{username}",
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission",
    "GET /user/repos",
    "POST /graphql",  # test_graphql.py: the repository, and nothing of the person
}


async def make(client: httpx.AsyncClient, repository: str, **permissions: str) -> dict[str, Any]:
    answer = await client.post(f"/repos/{repository}/workflow-tokens", json={"permissions": permissions})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a8_a_token_is_made_and_opens_its_repository_and_nothing_else(berth: Berth) -> None:
    octo = await berth.user("octo")
    for name in ("own", "other"):
        await octo.post("/user/repos", json={"name": name, "private": True})
    made = await make(octo, "octo/own", contents="write")
    assert set(made) == {"token", "expires_at"}
    assert re.fullmatch(r"ghs_[0-9A-Za-z]{36}", made["token"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["expires_at"])
    inside = berth.client(made["token"])
    seen = await inside.get("/repos/octo/own")
    assert (seen.status_code, seen.headers["X-OAuth-Scopes"]) == (200, "")
    assert seen.json()["permissions"] == {
        "pull": True, "triage": True, "push": True, "maintain": False, "admin": False
    }  # fmt: skip
    assert (await inside.get("/repos/octo/other")).status_code == 404
    assert [item["name"] for item in (await inside.get("/user/repos")).json()] == ["own"]
    reading = berth.client((await make(octo, "octo/own", contents="read"))["token"])
    assert (await reading.get("/repos/octo/own")).json()["permissions"]["push"] is False
    bare = berth.client((await make(octo, "octo/own", packages="write"))["token"])
    assert (await bare.get("/repos/octo/own")).status_code == 404


async def test_a14_every_other_route_refuses_the_token(berth: Berth) -> None:
    """A route that is added must refuse workflow tokens, be open to anonymous callers or say so, or be listed above."""
    octo = await berth.user("octo")
    await berth.organization("acme", "octo")
    await octo.post("/orgs/acme/repos", json={"name": "own", "private": True})
    inside = berth.client((await make(octo, "acme/own", **ALL))["token"])
    let_in = set()
    for route in ROUTES:
        if route.anonymous or "repository_number" in route.path:
            continue
        path = fill(route, owner="acme", repo="own", org="acme")
        answer = await inside.request(route.method, path, json=None if route.method == "GET" else {})
        if answer.status_code != 403:
            let_in.add(f"{route.method} {route.path}")
    assert let_in == OPEN_TO_ANY_TOKEN | {f"{route.method} {route.path}" for route in ROUTES if route.workflows}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"permissions": None}, 422),
        ({"permissions": "write-all"}, 422),
        ({"permissions": ["contents"]}, 422),
        ({"permissions": {"contents": None}}, 422),
        ({"permissions": {"contents": True}}, 422),
        ({"permissions": {"contents": "admin"}}, 422),
        ({"permissions": {"contents": "read", "issues": "read"}}, 422),
        ({"permissions": {"contents": {"packages": "write"}}}, 422),
        ([], 400),
        ({"permissions": {}, "expires_in": 10**9}, 201),  # a key that we do not know beside the permissions
    ],
)
async def test_bad_permissions_are_refused(berth: Berth, body: object, status: int) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "own"})
    answer = await octo.post("/repos/octo/own/workflow-tokens", json=body)
    assert answer.status_code == status, answer.text


async def test_a13_a_hidden_repository_is_404_as_a_missing_one_and_a_visible_one_403(berth: Berth) -> None:
    octo, stranger = await berth.user("octo"), await berth.user("stranger")
    for name, private in (("hidden", True), ("open", False)):
        await octo.post("/user/repos", json={"name": name, "private": private})
    hidden, missing, visible = [
        await stranger.post(f"/repos/octo/{name}/workflow-tokens", json={"permissions": ALL})
        for name in ("hidden", "absent", "open")
    ]
    assert (hidden.status_code, visible.status_code) == (404, 403)
    assert hidden.content == missing.content
    assert (await berth.anonymous.post("/repos/octo/open/workflow-tokens", json={"permissions": {}})).status_code == 401


async def test_a_deleted_repository_or_a_lost_role_ends_it(berth: Berth) -> None:
    octo, other = await berth.user("octo"), await berth.user("other")
    await octo.post("/user/repos", json={"name": "own", "private": True})
    await octo.put("/repos/octo/own/collaborators/other", json={"permission": "push"})
    inside = berth.client((await make(other, "octo/own", contents="read"))["token"])
    assert (await inside.get("/repos/octo/own")).status_code == 200
    await octo.delete("/repos/octo/own/collaborators/other")
    assert (await inside.get("/repos/octo/own")).status_code == 404
    mine = berth.client((await make(octo, "octo/own", contents="read"))["token"])
    assert (await mine.get("/repos/octo/own")).status_code == 200
    await octo.delete("/repos/octo/own")
    assert (await mine.get("/repos/octo/own")).status_code == 401

"""What the scope headers say, and that a missing scope is 403 before anything is looked up. Source: GITHUB_API section 2.1."""

import re

from tests.rest.berth_api import Berth

from berth.rest.app import Route
from berth.rest.routes import ROUTES

# Operations that need no scope: about the server, public accounts, the caller's own account.
WITHOUT = {
    "/",
    "/openapi.json",
    "/meta",
    "/versions",
    "/rate_limit",
    "/user",
    "/users",
    "/users/{username}",
    "/orgs/{org}",
}


def fill(route: Route) -> str:
    return re.sub(r"\{[^}]*\}", "x", route.path)


async def test_every_route_names_its_scopes_and_refuses_a_token_without_them(berth: Berth) -> None:
    await berth.user("octo")
    bare = berth.client(await berth.token("octo"))
    for route in ROUTES:
        if route.path.startswith("/repositories/"):
            continue
        assert bool(route.scopes or route.accepted) is (route.path not in WITHOUT), route.path
        assert not (route.anonymous and route.scopes), f"{route.path}: a public read must work with any token"
        if route.scopes:
            answer = await bare.request(route.method, fill(route), json={})
            assert answer.status_code == 403, route.path
            assert answer.headers["X-Accepted-OAuth-Scopes"] == ", ".join(sorted(route.accepted or route.scopes))
            assert answer.headers["X-OAuth-Scopes"] == ""


async def test_public_reads_work_with_any_token_and_without_one(berth: Berth) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "open"})
    await octo.put("/repos/octo/open/contents/a", json={"message": "m", "content": "YQ=="})
    bare = berth.client(await berth.token("octo"))
    for path in (
        "/repos/octo/open",
        "/repos/octo/open/contents/a",
        "/repos/octo/open/branches/main",
        "/users/octo/repos",
        "/search/repositories?q=open",
    ):
        for client in (bare, berth.anonymous):
            assert (await client.get(path)).status_code == 200
        assert (await bare.get(path)).headers["X-Accepted-OAuth-Scopes"] == "repo"
        assert "X-Accepted-OAuth-Scopes" not in (await berth.anonymous.get(path)).headers

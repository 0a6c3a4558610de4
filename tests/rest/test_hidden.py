"""A13 over the whole table of routes: what is hidden answers like what is missing, to the last header."""

import re

import httpx
import pytest
from tests.package_world import insert_package, insert_version
from tests.rest.berth_api import Berth
from tests.rest.test_access_token import codespace_token

from berth.rest.app import Route
from berth.rest.package_place import BASES
from berth.rest.routes import ROUTES

ALL = ("repo", "delete_repo", "user", "admin:org", "codespace", "write:packages", "delete:packages", "workflow")
GRANT = {"role": "read"}
VOLATILE = {"x-github-request-id", "date", "etag"}
# Organizations themselves are public, like users; so are these lists, which show a stranger nothing hidden.
PUBLIC_OF_ORGANIZATIONS = {
    "/orgs/{org}",
    "/orgs/{org}/members",
    "/orgs/{org}/repos",
    "/orgs/{org}/packages",
    "/orgs/{org}/docker/conflicts",
}
OF_REPOSITORIES = [route for route in ROUTES if re.match(r"/repos/\{owner\}|/repositories/\{", route.path)]
OF_PACKAGES = [route for route in ROUTES if "{package_name}" in route.path and not route.path.startswith("/user/")]
OF_OWN_PACKAGES = [route for route in ROUTES if "{package_name}" in route.path and route.path.startswith("/user/")]
OF_ORGANIZATIONS = [
    route for route in ROUTES if route.path.startswith("/orgs/{org}") and route.path not in PUBLIC_OF_ORGANIZATIONS
]


def fill(route: Route, **values: str) -> str:
    """The path with these values; every other parameter names what is there."""
    known = {"username": "octo", "team_slug": "core", "path": "a", "branch": "main", "secret_name": "ONE"}
    known |= {"collaborator": "octo", "package_name": "hidden"}
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: values.get(match[1], known.get(match[1], "1")), route.path)


async def answer(client: httpx.AsyncClient, route: Route, path: str, body: object = None) -> tuple[object, ...]:
    got = await client.request(route.method, path, json=None if route.method in {"GET", "DELETE"} else body or {})
    headers = {name: value for name, value in got.headers.items() if name not in VOLATILE}
    return got.status_code, headers, got.content


@pytest.fixture
async def strangers(berth: Berth) -> dict[str, httpx.AsyncClient]:
    """Everything that is hidden is in place; these clients must not tell it from nothing."""
    octo, stranger = await berth.user("octo", *ALL), await berth.user("stranger", *ALL)
    await berth.organization("acme", "octo")
    for url, body in (
        ("/orgs/acme/repos", {"name": "hidden", "visibility": "internal"}),
        ("/user/repos", {"name": "hidden", "private": True}),
        ("/orgs/acme/teams", {"name": "core"}),
    ):
        assert (await octo.post(url, json=body)).status_code == 201
    for owner in ("acme", "octo"):
        put = await octo.put(f"/repos/{owner}/hidden/contents/a", json={"message": "m", "content": "YQ=="})
        assert put.status_code == 201
    own = (await stranger.post("/user/repos", json={"name": "own"})).json()
    _id, inside = await codespace_token(berth, own["id"], own["owner"]["id"])
    permissions = {"permissions": {"contents": "write", "packages": "write"}}
    job = (await stranger.post("/repos/stranger/own/workflow-tokens", json=permissions)).json()
    return {
        "anonymous": berth.anonymous,
        "stranger": stranger,
        "without scopes": berth.client(await berth.token("stranger")),
        "codespace": berth.client(inside),
        "workflow": berth.client(job["token"]),
        "owner, public_repo": berth.client(await berth.token("octo", "public_repo")),
    }


@pytest.mark.parametrize("owner", ["acme", "octo"])
async def test_a_hidden_repository_is_as_missing_on_every_route(
    berth: Berth, strangers: dict[str, httpx.AsyncClient], owner: str
) -> None:
    octo = berth.client(await berth.token("octo", *ALL))
    number = str((await octo.get(f"/repos/{owner}/hidden")).json()["id"])
    assert len(OF_REPOSITORIES) > 40
    for route in OF_REPOSITORIES:
        hidden = fill(route, owner=owner, repo="hidden", repository_number=number)
        absent = fill(route, owner=owner, repo="absent", repository_number="999999")
        for name, client in strangers.items():
            seen, missing = await answer(client, route, hidden), await answer(client, route, absent)
            assert seen == missing, f"{name}: {route.method} {hidden}"
            assert seen[0] in {401, 403, 404, 422}, f"{name}: {route.method} {hidden}"


@pytest.fixture
async def hidden_packages(berth: Berth, strangers: dict[str, httpx.AsyncClient]) -> dict[str, dict[str, str]]:
    """A private package `hidden` of each owner and a deleted one, `gone`; what the paths of its versions are filled with."""
    octo = berth.client(await berth.token("octo", *ALL))
    values = {}
    for owner in ("acme", "octo"):
        account_id = int((await octo.get(f"/users/{owner}")).json()["id"])
        await insert_package(berth.store, account_id, "gone")
        package_id = await insert_package(berth.store, account_id, "hidden")
        version = await insert_version(berth.store, package_id, "1")
        repository = (await octo.get(f"/repos/{owner}/hidden")).json()["id"]
        values[owner] = {"package_version_id": str(version), "repository_id": str(repository)}
        assert (await octo.delete(f"/users/{owner}/packages/container/gone")).status_code == 204
    return values


def fill_package(route: Route, owner: str, values: dict[str, str], name: str) -> str:
    """A request that is good but for the package."""
    path = fill(route, org=owner, username=owner, **values, package_name=name)
    return f"{path}?user=octo" if route.path.endswith("/access") else path


async def test_a_hidden_package_is_as_missing_on_every_route(
    berth: Berth, strangers: dict[str, httpx.AsyncClient], hidden_packages: dict[str, dict[str, str]]
) -> None:
    assert len(OF_PACKAGES) > 40
    for route in OF_PACKAGES:
        for owner, values in hidden_packages.items():
            absent = fill_package(route, owner, values, "absent")
            for name, client in strangers.items():
                missing = await answer(client, route, absent, GRANT)
                assert missing[0] in {401, 403, 404}, f"{name}: {route.method} {absent}"
                for package in ("hidden", "gone"):
                    path = fill_package(route, owner, values, package)
                    assert await answer(client, route, path, GRANT) == missing, f"{name}: {route.method} {path}"


async def test_every_route_of_packages_is_asked() -> None:
    """One with another place for the name would be missed by the tables above."""
    known = {(route.method, route.path) for route in (*OF_PACKAGES, *OF_OWN_PACKAGES)}
    lists = {f"{base}{path}" for base in BASES for path in ("/packages", "/docker/conflicts")}
    for route in ROUTES:
        if "packages" in route.path or "docker" in route.path:
            assert (route.method, route.path) in known or route.path in {*lists, "/orgs/{org}/packages/policy"}


async def test_a_token_that_opens_no_packages_does_not_tell_its_owners_own(
    berth: Berth, strangers: dict[str, httpx.AsyncClient], hidden_packages: dict[str, dict[str, str]]
) -> None:
    """`/user/packages/…` with what octo himself holds: a token without the scope, his codespace's, his job's."""
    octo = berth.client(await berth.token("octo", *ALL))
    repository = (await octo.get("/repos/octo/hidden")).json()
    job = (await octo.post("/repos/octo/hidden/workflow-tokens", json={"permissions": {"packages": "write"}})).json()
    _id, inside = await codespace_token(berth, repository["id"], repository["owner"]["id"])
    his = {
        "without scopes": berth.client(await berth.token("octo", "repo")),
        "codespace": berth.client(inside),
        "workflow": berth.client(job["token"]),
        "a stranger": strangers["stranger"],  # whose own it is not
    }
    assert len(OF_OWN_PACKAGES) > 20
    for route in OF_OWN_PACKAGES:
        absent = fill_package(route, "octo", hidden_packages["octo"], "absent")
        for name, client in his.items():
            missing = await answer(client, route, absent, GRANT)
            for package in ("hidden", "gone"):
                path = fill_package(route, "octo", hidden_packages["octo"], package)
                assert await answer(client, route, path, GRANT) == missing, f"{name}: {route.method} {path}"
            assert missing[0] in {401, 403, 404}, f"{name}: {route.method} {absent}"
        if route.method == "GET":
            path = fill_package(route, "octo", hidden_packages["octo"], "hidden")
            assert (await answer(octo, route, path))[0] == 200, "with all scopes it is his own"


async def test_the_same_routes_tell_a_packages_admin_the_difference(
    berth: Berth, strangers: dict[str, httpx.AsyncClient], hidden_packages: dict[str, dict[str, str]]
) -> None:
    octo = berth.client(await berth.token("octo", *ALL))
    values = hidden_packages["acme"]
    for route in OF_PACKAGES:
        missing = await answer(octo, route, fill_package(route, "acme", values, "absent"), GRANT)
        assert missing[0] == 404, route.path
        if route.method in {"GET", "PUT", "PATCH"}:
            seen = await answer(octo, route, fill_package(route, "acme", values, "hidden"), GRANT)
            assert seen[0] == (204 if route.method == "PUT" else 200), route.path


@pytest.mark.parametrize("account", ["orgs/acme", "users/octo", "users/acme"])
async def test_a_list_of_packages_hides_what_is_hidden(
    berth: Berth,
    strangers: dict[str, httpx.AsyncClient],
    hidden_packages: dict[str, dict[str, str]],
    account: str,
) -> None:
    for name, client in strangers.items():
        got = await client.get(f"/{account}/packages", params={"package_type": "container"})
        assert got.status_code in {401, 403} or (got.json(), got.headers.get("link")) == ([], None), name


async def test_the_same_routes_tell_the_owner_the_difference(
    berth: Berth, strangers: dict[str, httpx.AsyncClient]
) -> None:
    octo = berth.client(await berth.token("octo", *ALL))
    for route in OF_REPOSITORIES:
        if route.method != "GET" or "repository_number" in route.path:
            continue
        seen = await answer(octo, route, fill(route, owner="octo", repo="hidden"))
        missing = await answer(octo, route, fill(route, owner="octo", repo="absent"))
        assert missing[0] == 404
        assert seen[0] == 200 or seen != missing or "{secret_name}" in route.path, route.path


async def test_an_organization_is_closed_to_strangers_as_if_it_were_none(
    berth: Berth, strangers: dict[str, httpx.AsyncClient]
) -> None:
    assert len(OF_ORGANIZATIONS) > 15
    del strangers["owner, public_repo"]
    for route in OF_ORGANIZATIONS:
        if route.method == "POST" and route.path == "/orgs/{org}/repos":
            continue  # a stranger is told that he is no member: the organization is public
        for name, client in strangers.items():
            seen = await answer(client, route, fill(route, org="acme", owner="acme", repo="hidden"))
            missing = await answer(client, route, fill(route, org="nowhere", owner="acme", repo="hidden"))
            assert seen == missing, f"{name}: {route.method} {route.path}"


@pytest.mark.parametrize("org", ["acme", "octo"])
async def test_an_organizations_public_lists_hide_what_is_hidden(
    berth: Berth, strangers: dict[str, httpx.AsyncClient], org: str
) -> None:
    for client in strangers.values():
        assert (await client.get(f"/users/{org}/repos")).json() == []
        assert (await client.get("/search/repositories", params={"q": "hidden"})).json()["total_count"] == 0

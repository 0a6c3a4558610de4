"""The 27 operations of GitHub's packages API, as clients see them."""

import asyncio
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import insert, select
from tests.rest.berth_api import Berth
from tests.rest.package_api import Packages, base_of, links, make_packages
from tests.rest.schema import check_body

from berth.adapters.store.package_tables import packages as table
from berth.domain.repository import Visibility
from berth.front import make_front

CONTAINER = {"package_type": "container"}
LAST = "You cannot delete the last tagged version of a package. You must delete the package instead."


@pytest.fixture
async def packages(berth: Berth) -> Packages:
    return await make_packages(berth)


@pytest.mark.parametrize("owner", ["acme", "octo"])
async def test_every_operation_and_the_shape_of_its_answer(packages: Packages, owner: str) -> None:
    octo = packages.octo
    repository = (await octo.post("/user/repos", json={"name": "web", "private": True})).json()
    made = await packages.make(f"{owner}/hello/web", repository_id=repository["id"])
    version = await packages.version(made, "1", "latest")
    await packages.version(made)
    bases = [base_of(owner)] if owner == "acme" else [base_of(owner), "/user/packages/container"]
    for base in bases:
        below = base.removesuffix("/container")
        account = below.removesuffix("/packages")
        listed = await octo.get(below, params=CONTAINER)
        check_body(listed.json(), "package", is_list=True)
        (body,) = listed.json()
        one = await octo.get(f"{base}/hello%2Fweb")
        check_body(one.json(), "package")
        assert one.json() == body
        assert (body["id"], body["name"], body["version_count"]) == (made, "hello/web", 2)
        assert (body["visibility"], body["internal"]) == ("private", False)
        assert (body["owner"]["login"], body["repository"]["full_name"]) == (owner, "octo/web")
        assert body["url"] == f"http://api.berth.test{base_of(owner)}/hello%2Fweb"
        assert (await octo.get(body["url"])).json() == body
        versions = await octo.get(f"{base}/hello%2Fweb/versions")
        check_body(versions.json(), "package-version", is_list=True)
        assert [each["metadata"]["container"]["tags"] for each in versions.json()] == [[], ["1", "latest"]]
        read = await octo.get(f"{base}/hello%2Fweb/versions/{version}")
        check_body(read.json(), "package-version")
        assert read.json() == versions.json()[1] == (await octo.get(read.json()["url"])).json()
        assert read.json()["name"].startswith("sha256:")
        untagged = versions.json()[0]["id"]
        url = f"{base}/hello%2Fweb/versions/{untagged}"
        assert (await octo.delete(url)).status_code == 204
        deleted = await octo.get(f"{base}/hello%2Fweb/versions", params={"state": "deleted"})
        check_body(deleted.json(), "package-version", is_list=True)
        assert [(each["id"], "deleted_at" in each) for each in deleted.json()] == [(untagged, True)]
        assert (await octo.post(f"{url}/restore")).status_code == 204
        assert (await octo.delete(f"{base}/hello%2Fweb")).status_code == 204
        assert (await octo.get(f"{base}/hello%2Fweb")).status_code == 404
        restored = await octo.post(f"{base}/hello%2Fweb/restore", params={"token": "1"})
        assert (restored.status_code, restored.content) == (204, b"")
        assert (await octo.get(f"{account}/docker/conflicts")).json() == []


async def test_an_internal_package_is_private_to_clients_that_know_two_words(packages: Packages) -> None:
    await packages.make("acme/app", Visibility.INTERNAL)
    await packages.make("acme/open", Visibility.PUBLIC)
    found = (await packages.octo.get("/orgs/acme/packages", params={**CONTAINER, "visibility": "internal"})).json()
    check_body(found, "package", is_list=True)
    assert [(each["name"], each["visibility"], each["internal"]) for each in found] == [("app", "private", True)]
    for params, names in (
        (CONTAINER, ["open", "app"]),
        ({**CONTAINER, "visibility": "public"}, ["open"]),
        ({**CONTAINER, "visibility": "private"}, []),
        ({**CONTAINER, "visibility": ""}, ["open", "app"]),
        *(({"package_type": word}, []) for word in ("npm", "maven", "rubygems", "docker", "nuget")),
    ):
        answer = await packages.octo.get("/orgs/acme/packages", params=params)
        assert [each["name"] for each in answer.json()] == names
    stranger = await packages.stranger.get("/orgs/acme/packages", params=CONTAINER)
    assert [each["name"] for each in stranger.json()] == ["open"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "package.type"),
        ("package_type=", 400, "package.type"),
        ("package_type=Container", 400, "package.type"),
        ("package_type=container&visibility=secret", 422, "package.visibility"),
        ("package_type=container&per_page=100&page=101", 400, "package.page"),
        ("package_type=container&page=10001&per_page=1", 400, "package.page"),
    ],
)
async def test_a_list_needs_a_type_and_is_not_endless(packages: Packages, query: str, status: int, code: str) -> None:
    for path in ("/orgs/acme/packages", "/users/octo/packages", "/user/packages"):
        answer = await packages.octo.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_links_of_a_long_list_lead_to_pages_that_are_answered(packages: Packages) -> None:
    """GITHUB_API section 2.5 of the references: the bound is 10 000, of which 30 is no part."""
    await packages.make("acme/app")
    await make_copies(packages, 9_999)
    first = await packages.octo.get("/orgs/acme/packages", params={"package_type": "container"})
    assert links(first)["last"].endswith("page=334")
    last = await packages.octo.get(links(first)["last"])
    assert (last.status_code, len(last.json())) == (200, 10)
    assert links(last).keys() == {"first", "prev"}
    await make_copies(packages, 21, start=9_999)
    again = await packages.octo.get("/orgs/acme/packages", params={"package_type": "container"})
    assert links(again) == links(first), "a page behind the bound is no last one"
    last = await packages.octo.get(links(again)["last"])
    assert (last.status_code, len(last.json())) == (200, 30)
    assert links(last).keys() == {"first", "prev", "next"}, "or its reader would take this for the end"
    refused = await packages.octo.get(links(last)["next"])
    assert (refused.status_code, refused.json()["code"]) == (400, "package.page")


async def make_copies(packages: Packages, count: int, *, start: int = 0) -> None:
    """Of acme/app."""
    async with packages.berth.store.begin() as connection:
        row = (await connection.execute(select(table).where(table.c.name == "app"))).one()._asdict()
        del row["id"]
        names = (f"copy-{number}" for number in range(start, start + count))
        await connection.execute(insert(table), [{**row, "name": name} for name in names])


async def test_unknown_accounts_and_types_are_404(packages: Packages) -> None:
    await packages.make("octo/app")
    for path in (
        "/orgs/nowhere/packages?package_type=container",
        "/orgs/octo/packages?package_type=container",
        "/orgs/nowhere/packages?package_type=npm",
        "/users/nobody/packages?package_type=container",
        "/orgs/nowhere/docker/conflicts",
        "/users/nobody/docker/conflicts",
        "/orgs/octo/packages/container/app",
        "/users/octo/packages/npm/app",
        "/users/octo/packages/container/app/versions/x",
        "/users/octo/packages/container/app/versions/99999999999999999999",
        "/users/octo/packages/container/app/",
    ):
        assert (await packages.octo.get(path)).status_code == 404, path
    assert (await packages.octo.get("/users/octo/packages/container/app")).status_code == 200


async def test_names_are_compared_in_lower_case(packages: Packages) -> None:
    await packages.make("acme/hello/web")
    for path in ("/orgs/ACME/packages/container/Hello%2FWEB", "/users/Acme/packages/container/hello%2fweb"):
        assert (await packages.octo.get(path)).json()["name"] == "hello/web"


@pytest.mark.parametrize(
    "name",
    [
        "hello/web",  # decoded by a proxy: could be the package hello
        "hello%252Fweb",  # encoded twice
        "hello%2F",
        "%2Fhello",
        "hello%2F%2Fweb",
        "%2e%2e",
        "%2e%2e%2Fhello",
        "hello%2Fweb%0a",
        "hello%2Fweb%20",
        "h%C3%A4llo",
        "%ff",
        "a" * 300,
    ],
)
async def test_what_no_package_is_called_is_404(packages: Packages, name: str) -> None:
    await packages.make("acme/hello/web")
    for suffix in ("", "/versions", "/settings"):
        answer = await packages.octo.get(f"/orgs/acme/packages/container/{name}{suffix}")
        assert answer.status_code == 404


async def test_a_name_may_hold_the_words_of_routes(packages: Packages) -> None:
    words = [
        "versions",
        "app/versions",
        "app/versions/1",
        "settings",
        "container",
        "policy",
        "a/codespaces/repositories",
    ]
    for name in words:
        await packages.make(f"acme/{name}")
    for name in words:
        path = f"/orgs/acme/packages/container/{quote(name, safe='')}"
        assert (await packages.octo.get(path)).json()["name"] == name
        assert (await packages.octo.get(f"{path}/versions")).json() == []
        assert (await packages.octo.get(f"{path}/settings")).json()["name"] == name


async def test_a_name_with_a_slash_goes_through_the_front_at_both_bases(packages: Packages) -> None:
    await packages.make("acme/hello/web")
    rest = packages.berth.rest
    front = make_front(rest=rest, sockets=rest, git=packages.berth.git, oci=rest, checks={})
    headers = {"Authorization": packages.octo.headers["authorization"]}
    for url in ("http://berth.test/api/v3", "http://api.berth.test"):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=front), headers=headers) as client:
            answer = await client.get(f"{url}/orgs/acme/packages/container/hello%2Fweb")
            assert answer.json()["url"] == f"{url}/orgs/acme/packages/container/hello%2Fweb"
            assert (await client.get(f"{url}/orgs/acme/packages/container/hello/web")).status_code == 404


async def test_lists_are_paged_with_links_that_keep_the_slash_encoded(packages: Packages) -> None:
    made = await packages.make("acme/hello/web")
    for number in range(3):
        await packages.version(made, f"v{number}")
        await packages.make(f"acme/p{number}", Visibility.PUBLIC)
    seen, url = [], "/orgs/acme/packages/container/hello%2Fweb/versions?per_page=1"
    while url:
        answer = await packages.octo.get(url)
        seen += [each["metadata"]["container"]["tags"] for each in answer.json()]
        url = links(answer).get("next", "")
        assert not url or "/container/hello%2Fweb/versions?" in url
    assert seen == [["v2"], ["v1"], ["v0"]]
    first = await packages.octo.get("/orgs/acme/packages", params={**CONTAINER, "per_page": "2"})
    assert [each["name"] for each in first.json()] == ["p2", "p1"]
    second = await packages.octo.get(links(first)["next"])
    assert [each["name"] for each in second.json()] == ["p0", "hello/web"]


async def test_the_last_tagged_version_is_400_with_githubs_text(packages: Packages) -> None:
    made = await packages.make("acme/app")
    version = await packages.version(made, "1")
    answer = await packages.octo.delete(f"/orgs/acme/packages/container/app/versions/{version}")
    assert (answer.status_code, answer.json()["message"], answer.json()["code"]) == (400, LAST, "package.last_tagged")
    bad = await packages.octo.get("/orgs/acme/packages/container/app/versions", params={"state": "gone"})
    assert (bad.status_code, bad.json()["code"]) == (422, "package.state")


async def test_a6_scopes_are_needed_also_for_public_packages_and_named(packages: Packages) -> None:
    made = await packages.make("octo/open", Visibility.PUBLIC)
    await packages.version(made, "1")
    path, berth = "/users/octo/packages/container/open", packages.berth
    assert (await berth.anonymous.get(path)).status_code == 401
    bare = await berth.client(await berth.token("octo", "repo")).get(path)
    assert (bare.status_code, bare.headers["X-Accepted-OAuth-Scopes"]) == (403, "read:packages")
    reading = berth.client(await berth.token("octo", "read:packages"))
    assert (await reading.get(path)).status_code == 200
    for method, suffix, accepted in (
        ("DELETE", "", "delete:packages, read:packages"),
        ("POST", "/restore", "write:packages"),
        ("PATCH", "", "write:packages"),
        ("GET", "/settings", "write:packages"),
    ):
        refused = await reading.request(method, f"{path}{suffix}", json={})
        assert (refused.status_code, refused.headers["X-Accepted-OAuth-Scopes"]) == (403, accepted)
    half = berth.client(await berth.token("octo", "delete:packages"))
    refused = await half.delete(path)
    assert (refused.status_code, refused.json()["message"][:25]) == (403, "Your token lacks the scop")
    whole = berth.client(await berth.token("octo", "delete:packages", "read:packages"))
    assert (await whole.delete(path)).status_code == 204


async def test_a8_a_workflow_sees_what_its_repository_is_linked_to_and_no_person(packages: Packages) -> None:
    repository = (await packages.octo.post("/orgs/acme/repos", json={"name": "web", "private": True})).json()
    await packages.make("acme/linked", repository_id=repository["id"])
    body = {"inherit_access": True}
    path = "/orgs/acme/packages/container/linked"
    assert (await packages.octo.patch(path, json=body)).status_code == 200
    await packages.make("acme/other")
    asked = {"permissions": {"packages": "write"}}
    made = (await packages.octo.post("/repos/acme/web/workflow-tokens", json=asked)).json()
    inside = packages.berth.client(made["token"])
    assert (await inside.get(path)).status_code == 200
    assert [each["name"] for each in (await inside.get("/orgs/acme/packages", params=CONTAINER)).json()] == ["linked"]
    assert (await inside.get("/orgs/acme/packages/container/other")).status_code == 404
    assert (await inside.delete(path)).status_code == 403
    assert (await inside.get("/user/packages", params=CONTAINER)).status_code == 403
    none = (await packages.octo.post("/repos/acme/web/workflow-tokens", json={"permissions": {}})).json()
    assert (await packages.berth.client(none["token"]).get(path)).status_code == 404


async def test_several_deletions_at_once_are_one(packages: Packages) -> None:
    await packages.make("acme/app")
    path = "/orgs/acme/packages/container/app"
    answers = await asyncio.gather(*(packages.octo.delete(path) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [204, 404, 404, 404, 404]


async def test_a12_a_name_in_use_again_is_404_and_says_how_to_go_on(packages: Packages) -> None:
    first = await packages.make("acme/app")
    path = "/orgs/acme/packages/container/app"
    assert (await packages.octo.delete(path)).status_code == 204
    await packages.make("acme/app")
    refused = await packages.octo.post(f"{path}/restore")
    assert (refused.status_code, refused.json()["code"]) == (404, "package.name_in_use")
    assert "package_id" in refused.json()["message"]
    assert (await packages.octo.delete(path)).status_code == 204
    for wrong in ("0", "x", ""):
        assert (await packages.octo.post(f"{path}/restore", params={"package_id": wrong})).status_code == 404
    assert (await packages.octo.post(f"{path}/restore", params={"package_id": str(first)})).status_code == 204
    assert (await packages.octo.get(path)).json()["id"] == first

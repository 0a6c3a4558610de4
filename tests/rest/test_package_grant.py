"""Grants and lists of repositories: bodies, statuses, paging, bad input."""

import pytest
from tests.rest.berth_api import Berth
from tests.rest.package_api import Packages, links, make_packages
from tests.rest.schema import check_body

APP = "/orgs/acme/packages/container/app"


@pytest.fixture
async def packages(berth: Berth) -> Packages:
    made = await make_packages(berth)
    await made.make("acme/app")
    assert (await made.octo.post("/orgs/acme/teams", json={"name": "core"})).status_code == 201
    return made


async def repository(packages: Packages, name: str, *, private: bool = True) -> int:
    made = await packages.octo.post("/orgs/acme/repos", json={"name": name, "private": private})
    return int(made.json()["id"])


async def test_users_and_teams_are_granted_listed_and_removed(packages: Packages) -> None:
    octo = packages.octo
    put = await octo.put(f"{APP}/collaborators/Member", json={"role": "write"})
    assert (put.status_code, put.content) == (204, b"")
    (user,) = (await octo.get(f"{APP}/collaborators")).json()
    check_body(user, "simple-user")
    assert (user["login"], user["role"]) == ("member", "write")
    assert (await packages.member.get(APP)).status_code == 200
    assert (await octo.put(f"{APP}/teams/core", json={"role": "read"})).status_code == 204
    (team,) = (await octo.get(f"{APP}/teams")).json()
    check_body(team, "team")
    assert (team["slug"], team["role"]) == ("core", "read")
    for path in (f"{APP}/collaborators/member", f"{APP}/teams/core"):
        for _ in range(2):
            assert (await octo.delete(path)).status_code == 204
    assert (await octo.get(f"{APP}/collaborators")).json() == (await octo.get(f"{APP}/teams")).json() == []
    assert (await packages.member.get(APP)).status_code == 404


async def test_repositories_are_listed_for_codespaces_and_for_workflows(packages: Packages) -> None:
    octo = packages.octo
    web, site = await repository(packages, "web"), await repository(packages, "site", private=False)
    assert (await octo.put(f"{APP}/codespaces/repositories/{site}")).status_code == 204
    assert (await octo.put(f"{APP}/actions/repositories/{web}", json={"role": "write"})).status_code == 204
    codespaces = (await octo.get(f"{APP}/codespaces/repositories")).json()
    check_body(codespaces["repositories"], "minimal-repository", is_list=True)
    assert (set(codespaces), codespaces["total_count"]) == ({"total_count", "repositories"}, 1)
    assert [each["full_name"] for each in codespaces["repositories"]] == ["acme/site"]
    workflows = (await octo.get(f"{APP}/actions/repositories")).json()
    check_body(workflows["repositories"], "minimal-repository", is_list=True)
    assert [(each["full_name"], each["role"]) for each in workflows["repositories"]] == [("acme/web", "write")]
    for path in (f"{APP}/codespaces/repositories/{site}", f"{APP}/actions/repositories/{web}"):
        for _ in range(2):
            assert (await octo.delete(path)).status_code == 204
    for path in (f"{APP}/codespaces/repositories", f"{APP}/actions/repositories"):
        assert (await octo.get(path)).json() == {"total_count": 0, "repositories": []}


async def test_lists_are_paged(packages: Packages) -> None:
    ids = [await repository(packages, name) for name in ("a", "b", "c")]
    for number in ids:
        await packages.octo.put(f"{APP}/codespaces/repositories/{number}")
        await packages.octo.put(f"{APP}/actions/repositories/{number}", json={"role": "read"})
    for login in ("octo", "member"):
        await packages.octo.put(f"{APP}/collaborators/{login}", json={"role": "read"})
    for path, total in (("codespaces/repositories", 3), ("actions/repositories", 3), ("collaborators", 2)):
        seen, url = [], f"{APP}/{path}?per_page=1"
        while url:
            answer = await packages.octo.get(url)
            body = answer.json()
            seen += body["repositories"] if "repositories" in path else body
            url = links(answer).get("next", "")
        assert len({each["id"] for each in seen}) == len(seen) == total


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("collaborators/member", None, 422, "request.invalid"),
        ("collaborators/member", {"role": "push"}, 422, "package.role"),
        ("collaborators/member", {"role": None}, 422, "request.invalid"),
        ("collaborators/stranger", {"role": "read"}, 422, "package.grant_outside"),
        ("collaborators/nobody", {"role": "read"}, 404, "account.not_found"),
        ("collaborators/acme", {"role": "read"}, 404, "account.not_found"),
        ("teams/core", {"role": "none"}, 422, "package.role"),
        ("teams/nobody", {"role": "read"}, 404, "team.not_found"),
        ("codespaces/repositories/x", None, 404, "repository.not_found"),
        ("codespaces/repositories/99999999999999999999", None, 404, "repository.not_found"),
        ("actions/repositories/1", {}, 422, "request.invalid"),
        ("actions/repositories/0", {"role": "read"}, 404, "repository.not_found"),
        ("actions/repositories/-1", {"role": "read"}, 404, "repository.not_found"),
    ],
)
async def test_bad_grants_are_refused(
    packages: Packages, path: str, body: dict[str, object] | None, status: int, code: str
) -> None:
    answer = await packages.octo.put(f"{APP}/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert (await packages.octo.get(f"{APP}/collaborators")).json() == []


async def test_a3_another_owners_repository_is_422(packages: Packages) -> None:
    foreign = (await packages.octo.post("/user/repos", json={"name": "own"})).json()["id"]
    for method, path, body in (
        ("PUT", f"{APP}/codespaces/repositories/{foreign}", None),
        ("PUT", f"{APP}/actions/repositories/{foreign}", {"role": "read"}),
    ):
        answer = await packages.octo.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "package.repository_outside")


async def test_a_users_own_package_has_the_same_routes_below_user(packages: Packages) -> None:
    await packages.make("octo/app")
    for base in ("/users/octo/packages/container/app", "/user/packages/container/app"):
        assert (await packages.octo.put(f"{base}/collaborators/stranger", json={"role": "read"})).status_code == 204
        assert [each["login"] for each in (await packages.octo.get(f"{base}/collaborators")).json()] == ["stranger"]
        assert (await packages.octo.get(f"{base}/teams")).json() == []
    assert (await packages.stranger.get("/users/octo/packages/container/app")).status_code == 200
    assert (await packages.stranger.get("/user/packages/container/app")).status_code == 404

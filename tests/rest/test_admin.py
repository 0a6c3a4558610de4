import pytest
from tests.rest.berth_api import Berth
from tests.rest.schema import check_body


async def test_the_first_start_makes_one_administrator(berth: Berth) -> None:
    assert (await berth.admin.get("/user")).json()["login"] == "admin"
    assert await berth.services.access_tokens.ensure_site_admin() is None


async def test_only_a_site_administrators_token_with_the_scope_administers(berth: Berth) -> None:
    octo = await berth.user("octo")
    for client in (octo, berth.client(await berth.token("admin", "repo", "user"))):
        assert (await client.post("/admin/users", json={"login": "eve"})).status_code == 403
        assert (await client.post("/admin/organizations", json={"login": "evil", "admin": "octo"})).status_code == 403
        assert (await client.post("/admin/users/admin/authorizations", json={"scopes": []})).status_code == 403
    assert (await berth.anonymous.post("/admin/users", json={"login": "eve"})).status_code == 401
    given = await berth.admin.post("/admin/users/octo/authorizations", json={"scopes": ["site_admin"]})
    assert given.status_code == 422


@pytest.mark.parametrize("login", ["api", "V2", "-a", "a-", "a--b", "a" * 40, "", "a/b", "a.b", "ä"])
async def test_a_bad_or_reserved_name_is_refused(berth: Berth, login: str) -> None:
    assert (await berth.admin.post("/admin/users", json={"login": login})).status_code == 422


async def test_a_name_is_unique_over_users_and_organizations(berth: Berth) -> None:
    await berth.user("octo")
    for url, body in (
        ("/admin/users", {"login": "OCTO"}),
        ("/admin/organizations", {"login": "Octo", "admin": "octo"}),
    ):
        answer = await berth.admin.post(url, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "already_exists")


async def test_bodies_have_every_key_that_github_requires(berth: Berth) -> None:
    check_body((await berth.admin.post("/admin/users", json={"login": "octo"})).json(), "simple-user")
    made = await berth.admin.post("/admin/organizations", json={"login": "acme", "admin": "octo"})
    check_body(made.json(), "organization-simple")

from tests.rest.berth_api import Berth
from tests.rest.schema import check_body


async def test_bodies_have_every_key_that_github_requires(berth: Berth) -> None:
    octo = await berth.user("octo")
    await berth.user("member")
    await berth.organization("acme", "octo")
    check_body((await octo.get("/orgs/acme")).json(), "organization-full")
    check_body((await octo.get("/user/orgs")).json(), "organization-simple", is_list=True)
    check_body((await octo.get("/orgs/acme/members")).json(), "simple-user", is_list=True)
    check_body((await octo.put("/orgs/acme/memberships/member", json={})).json(), "org-membership")
    check_body((await octo.get("/users/acme")).json(), "public-user")
    made = await octo.post("/orgs/acme/teams", json={"name": "Core Team"})
    assert made.status_code == 201
    check_body(made.json(), "team-full")
    check_body((await octo.get("/orgs/acme/teams")).json(), "team", is_list=True)
    check_body((await octo.put("/orgs/acme/teams/core-team/memberships/member")).json(), "team-membership")
    check_body((await octo.get("/orgs/acme/teams/core-team/members")).json(), "simple-user", is_list=True)


async def test_members_are_concealed_from_others_and_only_owners_change_them(berth: Berth) -> None:
    octo, member, stranger = await berth.user("octo"), await berth.user("member"), await berth.user("stranger")
    await berth.organization("acme", "octo")
    assert (await octo.put("/orgs/acme/memberships/member", json={})).status_code == 200
    assert (await member.get("/orgs/acme/members/octo")).status_code == 204
    assert (await stranger.get("/orgs/acme/members/octo")).status_code == 404
    assert (await stranger.get("/orgs/acme/members")).json() == []
    assert (await member.put("/orgs/acme/memberships/stranger", json={})).status_code == 403
    assert (await stranger.put("/orgs/acme/memberships/stranger", json={})).status_code == 404
    assert (await member.delete("/orgs/acme/memberships/member")).status_code == 204
    assert (await member.get("/orgs/acme/members/octo")).status_code == 404


async def test_an_organization_keeps_an_owner(berth: Berth) -> None:
    octo = await berth.user("octo")
    await berth.organization("acme", "octo")
    assert (await octo.delete("/orgs/acme/memberships/octo")).status_code == 409
    assert (await octo.put("/orgs/acme/memberships/octo", json={"role": "member"})).status_code == 409
    assert (await octo.put("/orgs/acme/memberships/admin", json={"role": "admin"})).status_code == 200
    assert (await octo.delete("/orgs/acme/memberships/octo")).status_code == 204


async def test_a_team_gives_its_role_until_its_member_leaves_the_organization(berth: Berth) -> None:
    octo, member = await berth.user("octo"), await berth.user("member")
    await berth.user("stranger")
    await berth.organization("acme", "octo")
    await octo.put("/orgs/acme/memberships/member", json={})
    await octo.post("/orgs/acme/repos", json={"name": "web", "private": True})
    await octo.post("/orgs/acme/teams", json={"name": "core"})
    assert (await octo.put("/orgs/acme/teams/core/memberships/stranger", json={})).status_code == 422
    assert (await octo.put("/orgs/acme/teams/core/memberships/member", json={})).status_code == 200
    url = "/repos/acme/web/contents/a"
    assert (await member.put(url, json={"message": "m", "content": ""})).status_code == 403
    granted = await octo.put("/orgs/acme/teams/core/repos/acme/web", json={"permission": "push"})
    assert granted.status_code == 204
    assert (await member.put(url, json={"message": "m", "content": ""})).status_code == 201
    assert [team["permission"] for team in (await octo.get("/repos/acme/web/teams")).json()] == ["push"]
    await octo.delete("/orgs/acme/memberships/member")
    assert (await member.get("/repos/acme/web")).status_code == 404
    await octo.put("/orgs/acme/memberships/member", json={})
    assert (await octo.get("/orgs/acme/teams/core/members")).json() == []

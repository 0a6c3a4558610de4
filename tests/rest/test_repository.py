import pytest
from sqlalchemy import select, text
from tests.rest.berth_api import Berth
from tests.rest.schema import check_body

from berth.adapters.store.tables import audit_log


async def test_bodies_have_every_key_that_github_requires(berth: Berth) -> None:
    octo = await berth.user("octo")
    await berth.organization("acme", "octo")
    made = await octo.post("/orgs/acme/repos", json={"name": "web", "private": True})
    assert made.status_code == 201
    check_body(made.json(), "full-repository")
    check_body((await octo.get("/repos/acme/web")).json(), "full-repository")
    check_body((await octo.get("/user/repos")).json(), "repository", is_list=True)
    check_body((await octo.get("/orgs/acme/repos")).json(), "minimal-repository", is_list=True)
    found = (await octo.get("/search/repositories", params={"q": "we"})).json()
    check_body(found["items"], "repo-search-result-item", is_list=True)
    check_body(
        (await octo.get("/repos/acme/web/collaborators/octo/permission")).json(), "repository-collaborator-permission"
    )
    check_body((await octo.get("/repos/acme/web/collaborators")).json(), "collaborator", is_list=True)


async def test_a_search_is_paged_by_links_like_every_other_list(berth: Berth) -> None:
    octo = await berth.user("octo")
    for number in range(3):
        await octo.post("/user/repos", json={"name": f"web-{number}"})
    answer = await octo.get("/search/repositories", params={"q": "web user:octo", "per_page": 2})
    assert list(answer.json()) == ["total_count", "incomplete_results", "items"], "the items stand last: octokit"
    assert answer.json()["total_count"] == 3
    url = "http://api.berth.test/search/repositories?q=web+user%3Aocto&per_page=2&page=2"
    assert answer.headers["link"] == f'<{url}>; rel="next", <{url}>; rel="last"'
    assert [item["name"] for item in (await octo.get(url)).json()["items"]] == ["web-2"]
    assert "link" not in (await octo.get("/search/repositories?q=web")).headers


async def test_a13_a_private_repository_is_not_found_for_others_and_found_for_its_owner(berth: Berth) -> None:
    octo, stranger = await berth.user("octo"), await berth.user("stranger")
    await octo.post("/user/repos", json={"name": "hidden", "private": True})
    missing = await stranger.get("/repos/octo/absent")
    for client in (stranger, berth.anonymous, berth.client(await berth.token("octo", "public_repo"))):
        answer = await client.get("/repos/octo/hidden")
        assert answer.status_code == 404
        assert answer.json()["message"] == missing.json()["message"]
        assert (await client.get("/users/octo/repos")).json() == []
    assert (await octo.get("/repos/octo/hidden")).status_code == 200


async def test_visible_without_the_role_is_403(berth: Berth) -> None:
    octo, other = await berth.user("octo"), await berth.user("other")
    await octo.post("/user/repos", json={"name": "open"})
    assert (await other.patch("/repos/octo/open", json={"description": "x"})).status_code == 403
    assert (await other.delete("/repos/octo/open")).status_code == 403
    assert (await octo.patch("/repos/octo/open", json={"description": "x"})).json()["description"] == "x"


@pytest.mark.parametrize(
    ("permission", "may_write", "word"),
    [("pull", False, "read"), ("triage", False, "triage"), ("push", True, "write"), ("admin", True, "admin")],
)
async def test_a_collaborator_has_his_role(berth: Berth, permission: str, may_write: bool, word: str) -> None:
    octo, other = await berth.user("octo"), await berth.user("other")
    await octo.post("/user/repos", json={"name": "r", "private": True})
    assert (await octo.put("/repos/octo/r/collaborators/other", json={"permission": permission})).status_code == 204
    put = await other.put("/repos/octo/r/contents/a", json={"message": "m", "content": "YQ=="})
    assert put.status_code == (201 if may_write else 403)
    assert (await octo.get("/repos/octo/r/collaborators/other/permission")).json()["role_name"] == word
    assert (await octo.delete("/repos/octo/r/collaborators/other")).status_code == 204
    assert (await other.get("/repos/octo/r")).status_code == 404


async def test_a_rename_keeps_the_id_and_the_id_alias_follows(berth: Berth) -> None:
    octo = await berth.user("octo")
    made = (await octo.post("/user/repos", json={"name": "old"})).json()
    renamed = await octo.patch("/repos/octo/OLD", json={"name": "new"})
    assert renamed.json()["id"] == made["id"]
    assert (await octo.get(f"/repositories/{made['id']}")).json()["full_name"] == "octo/new"
    assert (await octo.get("/repositories/999999")).status_code == 404


async def test_a_name_is_unique_without_case(berth: Berth) -> None:
    octo = await berth.user("octo")
    assert (await octo.post("/user/repos", json={"name": "Web"})).status_code == 201
    again = await octo.post("/user/repos", json={"name": "web"})
    assert again.status_code == 422
    assert again.json()["errors"][0]["code"] == "already_exists"


async def test_internal_is_for_organizations_and_their_members(berth: Berth) -> None:
    octo, member, stranger = await berth.user("octo"), await berth.user("member"), await berth.user("stranger")
    assert (await octo.post("/user/repos", json={"name": "i", "visibility": "internal"})).status_code == 422
    await berth.organization("acme", "octo")
    await octo.put("/orgs/acme/memberships/member", json={"role": "member"})
    assert (await octo.post("/orgs/acme/repos", json={"name": "i", "visibility": "internal"})).status_code == 201
    assert (await member.get("/repos/acme/i")).status_code == 200
    assert (await stranger.get("/repos/acme/i")).status_code == 404
    assert (await stranger.post("/orgs/acme/repos", json={"name": "x"})).status_code == 403


async def test_deleting_asks_its_codespaces_to_go_and_removes_the_git_directory(berth: Berth) -> None:
    octo = await berth.user("octo")
    made = (await octo.post("/user/repos", json={"name": "r"})).json()
    path = berth.repositories.path(made["id"])
    assert path.is_dir()
    limited = berth.client(await berth.token("octo", "repo"))
    assert (await limited.delete("/repos/octo/r")).status_code == 403
    assert (await octo.delete("/repos/octo/r")).status_code == 204
    assert not path.exists()
    assert (await octo.get("/repos/octo/r")).status_code == 404
    async with berth.store.read() as connection:
        actions = (await connection.execute(select(audit_log.c.action).order_by(audit_log.c.id))).scalars().all()
        assert (await connection.execute(text("SELECT count(*) FROM repositories"))).scalar_one() == 0
    assert actions[-2:] == ["token.create", "repository.delete"]


async def test_lists_are_paged_with_links(berth: Berth) -> None:
    octo = await berth.user("octo")
    for name in ("a", "b", "c"):
        await octo.post("/user/repos", json={"name": name})
    first = await octo.get("/user/repos", params={"per_page": 2})
    assert [item["name"] for item in first.json()] == ["a", "b"]
    second = await octo.get(first.links["next"]["url"])
    assert [item["name"] for item in second.json()] == ["c"]


async def test_a_transfer_answers_202_with_the_repository_under_its_new_owner(berth: Berth) -> None:
    octo = await berth.user("octo")
    await berth.organization("acme", "octo")
    made = (await octo.post("/user/repos", json={"name": "web", "private": True})).json()
    moved = await octo.post("/repos/octo/web/transfer", json={"new_owner": "acme", "new_name": "site", "team_ids": [1]})
    assert moved.status_code == 202
    check_body(moved.json(), "minimal-repository")
    assert (moved.json()["id"], moved.json()["full_name"]) == (made["id"], "acme/site")
    assert moved.json()["permissions"]["admin"] is True
    assert (await octo.get("/repos/octo/web")).headers["location"].endswith(f"/repositories/{made['id']}")
    back = await octo.post(f"/repositories/{made['id']}/transfer", json={"new_owner": "octo", "new_name": None})
    assert (back.status_code, back.json()["full_name"]) == (202, "octo/site")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "request.invalid"),
        ({"new_owner": None}, 422, "request.invalid"),
        ({"new_owner": ["acme"]}, 422, "request.invalid"),
        ({"new_owner": "acme", "new_name": 7}, 422, "request.invalid"),
        ([], 400, "request.malformed"),
        ({"new_owner": "nobody"}, 422, "repository.transfer.owner_unknown"),
        ({"new_owner": "a\0b"}, 422, "request.invalid"),
        ({"new_owner": "octo"}, 422, "repository.transfer.same_owner"),
        ({"new_owner": "other"}, 403, "repository.transfer.denied"),
        ({"new_owner": "acme", "new_name": "../x"}, 422, "repository.name"),
        ({"new_owner": "acme", "new_name": "Taken"}, 422, "repository.name.taken"),
    ],
)
async def test_a_bad_transfer_is_refused_and_changes_nothing(
    berth: Berth, body: object, status: int, code: str
) -> None:
    octo = await berth.user("octo")
    await berth.user("other")
    await berth.organization("acme", "octo")
    await octo.post("/user/repos", json={"name": "web"})
    await octo.post("/orgs/acme/repos", json={"name": "taken"})
    answer = await octo.post("/repos/octo/web/transfer", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await octo.get("/repos/octo/web")).status_code == 200


async def test_a13_a_hidden_repository_cannot_be_told_by_a_transfer(berth: Berth) -> None:
    octo, stranger = await berth.user("octo"), await berth.user("stranger")
    for name, private in (("hidden", True), ("open", False)):
        await octo.post("/user/repos", json={"name": name, "private": private})
    for target in ("stranger", "octo", "nobody"):
        hidden, missing, visible = [
            await stranger.post(f"/repos/octo/{name}/transfer", json={"new_owner": target})
            for name in ("hidden", "absent", "open")
        ]
        assert (hidden.status_code, visible.status_code) == (404, 403)
        assert hidden.content == missing.content
    limited = berth.client(await berth.token("octo", "public_repo"))
    assert (await limited.post("/repos/octo/open/transfer", json={"new_owner": "octo"})).status_code == 403
    assert (await berth.anonymous.post("/repos/octo/open/transfer", json={"new_owner": "octo"})).status_code == 401

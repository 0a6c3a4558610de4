"""The audit log as clients see it."""

from tests.rest.berth_api import Berth
from tests.rest.package_api import links, make_packages


async def test_an_organizations_log_is_its_owners_newest_first_and_paged(berth: Berth) -> None:
    packages = await make_packages(berth)
    await packages.make("acme/app")
    octo, path = packages.octo, "/orgs/acme/packages/container/app"
    assert (await octo.patch(path, json={"visibility": "internal"})).status_code == 200
    assert (await octo.delete(path)).status_code == 204
    answer = await octo.get("/orgs/acme/audit-log", params={"per_page": 2})
    newest, before = answer.json()
    assert (newest["action"], newest["actor"], newest["org"], newest["target"]) == (
        "package.delete",
        "octo",
        "acme",
        "acme/app",
    )
    assert "package.owner" in newest["detail"]
    assert "visibility private -> internal" in before["detail"]
    assert newest["@timestamp"] == newest["created_at"] > 1_700_000_000_000
    assert int(newest["_document_id"]) > int(before["_document_id"])
    rest = []
    while url := links(answer).get("next"):
        answer = await octo.get(url)
        rest += [each["action"] for each in answer.json()]
    assert rest == ["membership.set", "organization.create"]
    for client, status in ((packages.member, 403), (packages.stranger, 404), (berth.anonymous, 401)):
        assert (await client.get("/orgs/acme/audit-log")).status_code == status


async def test_ones_own_log_tells_of_ones_own_account(berth: Berth) -> None:
    octo, other = await berth.user("octo"), await berth.user("other")
    made = (await octo.post("/user/tokens", json={"scopes": ["repo"]})).json()
    body = (await octo.get("/user/audit-log")).json()
    assert [each["action"] for each in body] == ["token.create", "token.create", "user.create"]
    assert (body[0]["target"], body[0]["actor"], body[0]["user"]) == (str(made["id"]), "octo", "octo")
    assert made["token"] not in str(body)
    assert {each["user"] for each in (await other.get("/user/audit-log")).json()} == {"other"}
    weak = berth.client(await berth.token("octo", "repo"))
    assert (await weak.get("/user/audit-log")).status_code == 403

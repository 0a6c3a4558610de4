"""What an organization's owners see of codespaces, stop and delete; and what stays hidden from everybody else."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select, update
from tests.rest.berth_api import Berth
from tests.rest.schema import check_body

from berth.adapters.store.tables import audit_log
from berth.adapters.store.tables import codespaces as table
from berth.domain.lifecycle import Desired, Phase


@dataclass
class Org:
    """acme with the owner olga and the member mia; both have codespaces in it, mia one of her own repository, too."""

    berth: Berth
    olga: httpx.AsyncClient
    mia: httpx.AsyncClient
    shared: str  # mia's in acme/r
    private: str  # mia's in mia/own

    async def names(self, path: str, **query: Any) -> list[str]:
        answer = await self.olga.get(path, params=query)
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == {"total_count", "codespaces"}
        check_body(answer.json()["codespaces"], "codespace", is_list=True)
        return [one["name"] for one in answer.json()["codespaces"]]


async def make(client: httpx.AsyncClient, repository: str) -> str:
    answer = await client.post(f"/repos/{repository}/codespaces", json={})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["name"])


@pytest.fixture
async def org(berth: Berth) -> Org:
    olga, mia = await berth.user("olga"), await berth.user("mia")
    await berth.organization("acme", "olga")
    await olga.put("/orgs/acme/memberships/mia", json={"role": "member"})
    await olga.post("/orgs/acme/repos", json={"name": "r", "private": True})
    await mia.post("/user/repos", json={"name": "own", "private": True})
    for client, repository in ((olga, "acme/r"), (mia, "mia/own")):
        await client.put(f"/repos/{repository}/contents/a", json={"message": "m", "content": "YQ=="})
    return Org(berth, olga, mia, await make(mia, "acme/r"), await make(mia, "mia/own"))


async def test_owners_list_what_is_in_the_organizations_repositories(org: Org) -> None:
    own = await make(org.olga, "acme/r")
    assert await org.names("/orgs/acme/codespaces") == [own, org.shared]
    assert await org.names("/orgs/ACME/members/MIA/codespaces") == [org.shared], "hers elsewhere is hers alone"
    assert await org.names("/orgs/acme/members/olga/codespaces") == [own]
    assert await org.names("/orgs/acme/codespaces", per_page=1, page=2) == [org.shared]
    answer = await org.olga.get("/orgs/acme/codespaces", params={"per_page": 1})
    assert answer.json()["total_count"] == 2
    assert 'rel="next"' in answer.headers["link"]
    (first,) = answer.json()["codespaces"]
    assert (first["owner"]["login"], first["billable_owner"]["login"]) == ("olga", "acme")


async def test_who_has_left_is_still_seen_and_stopped(org: Org) -> None:
    assert (await org.olga.delete("/orgs/acme/members/mia")).status_code == 204
    assert await org.names("/orgs/acme/members/mia/codespaces") == [org.shared]
    assert (await org.olga.post(f"/orgs/acme/members/mia/codespaces/{org.shared}/stop")).status_code == 200


async def test_an_owner_stops_and_deletes(org: Org) -> None:
    url = f"/orgs/acme/members/mia/codespaces/{org.shared}"
    async with org.berth.store.begin() as connection:
        await connection.execute(
            update(table).where(table.c.name == org.shared).values(phase=Phase.AVAILABLE, seen=table.c.generation)
        )
    for _ in range(2):
        stopped = await org.olga.post(f"{url}/stop", headers={"Content-Type": "application/json"})
        assert (stopped.status_code, stopped.json()["state"]) == (200, "ShuttingDown")
        check_body(stopped.json(), "codespace")
    deleted = await org.olga.delete(url)
    assert (deleted.status_code, deleted.json()) == (202, {})
    for gone in (await org.olga.delete(url), await org.olga.post(f"{url}/stop")):
        assert gone.status_code == 404
    assert (await org.mia.get(f"/user/codespaces/{org.shared}")).status_code == 404
    async with org.berth.store.read() as connection:
        asked = (
            await connection.execute(select(table.c.desired, table.c.generation).where(table.c.name == org.shared))
        ).one()
        told = (await connection.execute(select(audit_log.c.action, audit_log.c.actor_login))).all()
    assert tuple(asked) == (Desired.DELETED, 3), "a second stop is no request"
    assert ("codespace.stop", "olga") in told
    assert ("codespace.delete", "olga") in told


@pytest.mark.parametrize(("method", "suffix"), [("DELETE", ""), ("POST", "/stop")])
async def test_the_name_the_user_and_the_organization_must_fit(org: Org, method: str, suffix: str) -> None:
    for user, name in (
        ("mia", org.private),
        ("olga", org.shared),
        ("nobody", org.shared),
        ("acme", org.shared),
        ("mia", "x"),
    ):
        answer = await org.olga.request(method, f"/orgs/acme/members/{user}/codespaces/{name}{suffix}")
        assert answer.status_code == 404, (user, name)
    assert (await org.mia.get(f"/user/codespaces/{org.private}")).json()["state"] == "Queued"


async def test_who_may_not(org: Org) -> None:
    hubot = await org.berth.user("hubot")
    no_scope = org.berth.client(await org.berth.token("olga", "repo", "codespace", "read:org"))
    paths = (
        ("GET", "/orgs/acme/codespaces"),
        ("GET", "/orgs/acme/members/mia/codespaces"),
        ("POST", f"/orgs/acme/members/mia/codespaces/{org.shared}/stop"),
        ("DELETE", f"/orgs/acme/members/mia/codespaces/{org.shared}"),
    )
    for method, path in paths:
        assert (await org.mia.request(method, path)).status_code == 403, "a member"
        assert (await hubot.request(method, path)).status_code == 404, "a stranger"
        assert (await org.berth.anonymous.request(method, path)).status_code == 401
        refused = await no_scope.request(method, path)
        assert (refused.status_code, refused.headers["x-accepted-oauth-scopes"]) == (403, "admin:org")
        elsewhere = await org.olga.request(method, path.replace("acme", "olga", 1))
        assert elsewhere.status_code == 404, "a user is no organization"
    assert (await org.olga.get("/orgs/acme/members/nobody/codespaces")).status_code == 404
    assert (await org.mia.get(f"/user/codespaces/{org.shared}")).json()["state"] == "Queued"


async def test_a_page_takes_the_same_number_of_queries_whatever_its_size(org: Org) -> None:
    asked: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT"):
            asked.append(statement)

    async def queries() -> int:
        asked.clear()
        await org.names("/orgs/acme/codespaces", per_page=100)
        return len(asked)

    event.listen(org.berth.store.engine.sync_engine, "before_cursor_execute", count)
    few = await queries()
    await org.olga.put("/repos/acme/r/contents/b", json={"message": "m", "content": "YQ=="})
    for client in (org.olga, org.mia):
        for _ in range(4):
            await make(client, "acme/r")
    assert await queries() == few
    event.remove(org.berth.store.engine.sync_engine, "before_cursor_execute", count)

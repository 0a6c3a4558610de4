"""An organization says who may have codespaces of its repositories, and it holds. On both databases."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tests.rest.berth_api import Berth
from tests.rest.schema import check_body

from berth.adapters.store.tables import codespaces as table
from berth.domain.lifecycle import Desired, Phase

ACCESS = "/orgs/acme/codespaces/access"
USERS = f"{ACCESS}/selected_users"


@dataclass
class Org:
    """acme's public repository; olga owns acme, mia is a member, otto a collaborator, hubot reads like everybody."""

    berth: Berth
    people: dict[str, httpx.AsyncClient]

    @property
    def olga(self) -> httpx.AsyncClient:
        return self.people["olga"]

    async def say(self, visibility: str, *names: str) -> None:
        body: dict[str, Any] = {"visibility": visibility, "selected_usernames": list(names)}
        answer = await self.olga.put(ACCESS, json=body)
        assert (answer.status_code, answer.content) == (204, b""), answer.text

    async def change(self, method: str, *names: str) -> httpx.Response:
        return await self.olga.request(method, USERS, json={"selected_usernames": list(names)})

    async def allowed(self) -> set[str]:
        """Who can create one; `new` must say the same."""
        found = set()
        for login, client in self.people.items():
            answer = await client.post("/repos/acme/r/codespaces", json={})
            before = await client.get("/repos/acme/r/codespaces/new")
            assert (answer.status_code, before.status_code) in {(201, 200), (403, 403)}, answer.text
            if answer.status_code == 403:
                check_body(answer.json(), "basic-error")
                assert answer.json()["code"] == before.json()["code"] == "codespace.access"
                continue
            found.add(login)
            await client.delete(f"/user/codespaces/{answer.json()['name']}")
        return found


@pytest.fixture
async def org(berth: Berth) -> Org:
    people = {login: await berth.user(login) for login in ("olga", "mia", "otto", "hubot")}
    await berth.organization("acme", "olga")
    olga = people["olga"]
    await olga.put("/orgs/acme/memberships/mia", json={"role": "member"})
    await olga.post("/orgs/acme/repos", json={"name": "r"})
    await olga.put("/repos/acme/r/collaborators/otto", json={"permission": "pull"})
    await olga.put("/repos/acme/r/contents/a", json={"message": "m", "content": "YQ=="})
    return Org(berth, people)


async def test_each_word_holds(org: Org) -> None:
    assert await org.allowed() == {"olga", "mia", "otto", "hubot"}
    for visibility, names, allowed in (
        ("disabled", (), set()),
        ("all_members", ("otto",), {"olga", "mia"}),
        ("all_members_and_outside_collaborators", (), {"olga", "mia", "otto"}),
        ("selected_members", (), set()),
        ("selected_members", ("MIA", "otto"), {"mia", "otto"}),
        ("selected_members", ("olga",), {"olga"}),
    ):
        await org.say(visibility, *names)
        assert await org.allowed() == allowed, visibility


async def test_the_list_is_changed_name_by_name(org: Org) -> None:
    await org.say("selected_members", "olga")
    for _ in range(2):
        assert (await org.change("POST", "mia", "otto")).status_code == 204
    assert await org.allowed() == {"olga", "mia", "otto"}
    for _ in range(2):
        assert (await org.change("DELETE", "otto", "olga")).status_code == 204
    assert await org.allowed() == {"mia"}


async def test_another_word_forgets_the_list(org: Org) -> None:
    await org.say("selected_members", "mia")
    await org.say("all_members")
    await org.say("selected_members")
    assert await org.allowed() == set()


async def test_who_leaves_comes_back_without_it(org: Org) -> None:
    await org.say("selected_members", "mia")
    await org.olga.delete("/orgs/acme/members/mia")
    assert await org.allowed() == set()
    await org.olga.put("/orgs/acme/memberships/mia", json={"role": "member"})
    assert await org.allowed() == set()


async def test_other_accounts_repositories_are_not_concerned(org: Org) -> None:
    await org.say("disabled")
    mia = org.people["mia"]
    await mia.post("/user/repos", json={"name": "own"})
    await mia.put("/repos/mia/own/contents/a", json={"message": "m", "content": "YQ=="})
    assert (await mia.post("/repos/mia/own/codespaces", json={})).status_code == 201


async def test_what_there_is_does_not_start_again(org: Org) -> None:
    mia = org.people["mia"]
    name = (await mia.post("/repos/acme/r/codespaces", json={})).json()["name"]
    values = {"phase": Phase.SHUTDOWN, "desired": Desired.STOPPED, "container_id": "c", "seen": table.c.generation}
    async with org.berth.store.begin() as connection:
        await connection.execute(update(table).where(table.c.name == name).values(**values))
    await org.say("disabled")
    refused = await mia.post(f"/user/codespaces/{name}/start")
    assert (refused.status_code, refused.json()["code"]) == (403, "codespace.access")
    assert (await mia.get(f"/user/codespaces/{name}")).json()["state"] == "Shutdown"
    await org.say("all_members")
    assert (await mia.post(f"/user/codespaces/{name}/start")).status_code == 200


async def test_who_is_withheld_codespaces_is_withheld_secrets(org: Org) -> None:
    url = "/repos/acme/r/codespaces/registries"
    assert (await org.olga.get(url)).json()["withheld_reason"] is None
    await org.say("disabled")
    assert "does not let this user have codespaces" in (await org.olga.get(url)).json()["withheld_reason"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "request.invalid"),
        ({"visibility": "everybody"}, 422, "codespace.access_words"),
        ({"visibility": "selected_members"}, 422, "codespace.access_words"),
        ({"visibility": "selected_members", "selected_usernames": ["mia"] * 101}, 422, "codespace.access_words"),
        ({"visibility": "selected_members", "selected_usernames": ["mia", "hubot"]}, 400, "codespace.access_users"),
        ({"visibility": "selected_members", "selected_usernames": ["acme"]}, 400, "codespace.access_users"),
        ({"visibility": "selected_members", "selected_usernames": ["a\0b"]}, 422, "request.invalid"),
        ({"visibility": "selected_members", "selected_usernames": "mia"}, 422, "request.invalid"),
        ([], 400, "request.malformed"),
    ],
)
async def test_what_is_refused_changes_nothing(org: Org, body: Any, status: int, code: str) -> None:
    await org.say("selected_members", "mia")
    answer = await org.olga.put(ACCESS, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert await org.allowed() == {"mia"}


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_the_list_needs_its_word_and_people_who_belong(org: Org, method: str) -> None:
    refused = await org.change(method, "mia")
    assert (refused.status_code, refused.json()["code"]) == (422, "codespace.access_not_selected")
    check_body(refused.json(), "validation-error")
    await org.say("selected_members", "olga")
    stranger = await org.change(method, "mia", "hubot", "nobody")
    assert (stranger.status_code, stranger.json()["code"]) == (400, "codespace.access_users")
    assert "hubot, nobody" in stranger.json()["message"]
    assert (await org.olga.request(method, USERS, json={})).status_code == 422
    assert await org.allowed() == {"olga"}, "all or none"


async def test_only_owners_set_it(org: Org) -> None:
    no_scope = org.berth.client(await org.berth.token("olga", "repo", "codespace", "read:org"))
    body = {"visibility": "disabled", "selected_usernames": ["mia"]}
    for method, path in (("PUT", ACCESS), ("POST", USERS), ("DELETE", USERS)):
        for client, status in ((org.people["mia"], 403), (org.people["hubot"], 404), (no_scope, 403)):
            assert (await client.request(method, path, json=body)).status_code == status
        assert (await org.berth.anonymous.request(method, path, json=body)).status_code == 401
        assert (await org.olga.request(method, path.replace("acme", "olga"), json=body)).status_code == 404
    assert await org.allowed() == {"olga", "mia", "otto", "hubot"}

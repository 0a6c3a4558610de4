"""Suspensions by the API: every kind of credential before, while and after, and what everybody else sees of it.

Registry tokens: tests/oci/test_registry_token.py. WebSockets: test_codespace_exec.py. Sessions: tests/ui/test_suspension.py.
"""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from tests.git.test_git_edge import basic
from tests.rest.berth_api import Berth
from tests.rest.schema import check_body
from tests.rest.test_access_token import codespace_token

from berth.adapters.store.tables import codespaces
from berth.domain.lifecycle import Desired, Phase
from berth.services.access_token import FIRST_ADMIN

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # both: tests/services/test_suspension.py


async def suspend(berth: Berth, login: str = "octo") -> None:
    assert (await berth.admin.put(f"/users/{login}/suspended")).status_code == 204


async def unsuspend(berth: Berth, login: str = "octo") -> None:
    assert (await berth.admin.delete(f"/users/{login}/suspended")).status_code == 204


async def personal(berth: Berth, octo: httpx.AsyncClient) -> str:
    return str((await octo.post("/user/tokens", json={"scopes": ["repo"]})).json()["token"])


async def made_by_an_administrator(berth: Berth, octo: httpx.AsyncClient) -> str:
    return await berth.token("octo", "repo")


async def of_a_codespace(berth: Berth, octo: httpx.AsyncClient) -> str:
    repository = (await octo.get("/repos/octo/r")).json()
    return (await codespace_token(berth, repository["id"], repository["owner"]["id"]))[1]


async def of_a_workflow(berth: Berth, octo: httpx.AsyncClient) -> str:
    permissions = {"permissions": {"contents": "read"}}
    return str((await octo.post("/repos/octo/r/workflow-tokens", json=permissions)).json()["token"])


Make = Callable[[Berth, httpx.AsyncClient], Awaitable[str]]
KINDS: tuple[Make, ...] = (personal, made_by_an_administrator, of_a_codespace, of_a_workflow)


@pytest.mark.parametrize("make", KINDS)
async def test_policy_1_no_token_of_his_is_good_until_he_is_back(berth: Berth, make: Make) -> None:
    """By the API, in each way of showing it, by GraphQL and by git."""
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r", "private": True})
    token = await make(berth, octo)
    git = httpx.AsyncClient(transport=httpx.ASGITransport(app=berth.git), base_url="http://berth.test")

    async def statuses() -> list[int]:
        client = berth.client(token)
        return [
            (await client.get("/repos/octo/r")).status_code,
            (await berth.anonymous.get("/repos/octo/r", headers=basic(token))).status_code,
            (await client.get("/users/octo")).status_code,  # what anybody gets without a token
            (await client.post("/graphql", json={"query": "{ viewer { login } }"})).status_code,
            (await git.get("/octo/r.git/info/refs?service=git-upload-pack", headers=basic(token))).status_code,
        ]

    assert await statuses() == [200] * 5
    await suspend(berth)
    assert await statuses() == [401] * 5
    await unsuspend(berth)
    assert await statuses() == [200] * 5


async def test_a_refusal_says_no_more_than_of_any_bad_token(berth: Berth) -> None:
    octo = await berth.user("octo")
    await suspend(berth)
    refused, bad = await octo.get("/user"), await berth.client("ghp_bad").get("/user")
    assert (refused.status_code, refused.json()) == (bad.status_code, bad.json())


async def test_suspended_at_is_shown_to_site_administrators_only(berth: Berth) -> None:
    await berth.user("octo")
    ada = await berth.user("ada")
    await berth.organization("acme", "ada")
    assert (await berth.admin.get("/users/octo")).json()["suspended_at"] is None
    await suspend(berth)
    shown = (await berth.admin.get("/users/octo")).json()
    assert shown["suspended_at"].startswith("20")
    check_body(shown, "public-user")
    own = (await berth.admin.get("/user")).json()
    check_body(own, "private-user")
    assert own["suspended_at"] is None
    without_the_scope = berth.client(await berth.token("admin", "repo", "user"))
    for client in (ada, berth.anonymous, without_the_scope):
        assert "suspended_at" not in (await client.get("/users/octo")).json()
    assert "suspended_at" not in (await berth.admin.get("/users/acme")).json()


async def test_nobody_suspends_himself(berth: Berth) -> None:
    refused = await berth.admin.put(f"/users/{FIRST_ADMIN}/suspended")
    assert (refused.status_code, refused.json()["code"]) == (403, "account.suspend_self")
    assert (await berth.admin.get("/user")).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 204),
        (b"{}", 204),
        (b"null", 204),
        (b'{"reason": null}', 204),
        (b'{"reason": "left"}', 204),
        (b'{"reason": 7}', 422),
        (b'{"reason": "%s"}' % (b"x" * 201), 422),
        (b"{", 400),
        (b"[]", 400),
    ],
)
async def test_a_reason_is_optional(berth: Berth, body: bytes, status: int) -> None:
    await berth.user("octo")
    for method in ("PUT", "DELETE"):
        answer = await berth.admin.request(method, "/users/octo/suspended", content=body)
        assert answer.status_code == status, method


async def test_a_user_can_be_made_suspended(berth: Berth) -> None:
    """GitHub's parameter of `enterprise-admin/create-user`: whoever asks for it must not get somebody who may."""
    made = await berth.admin.post("/admin/users", json={"login": "octo", "suspended": True})
    assert made.status_code == 201
    assert (await berth.admin.get("/users/octo")).json()["suspended_at"] is not None
    for path, body in (("invitation", None), ("authorizations", {"scopes": ["repo"]})):
        refused = await berth.admin.post(f"/admin/users/octo/{path}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "account.suspended"), path
        await unsuspend(berth)
        assert (await berth.admin.post(f"/admin/users/octo/{path}", json=body)).status_code == 201, path
        await suspend(berth)


async def test_whoever_runs_the_server_lets_the_first_administrator_in_again(berth: Berth) -> None:
    """`berth admin token --new`, after somebody took another administrator's account and suspended this one."""
    await berth.admin.post("/admin/users", json={"login": "boss"})
    async with berth.store.begin() as connection:
        await connection.exec_driver_sql("UPDATE accounts SET site_admin = true WHERE login = 'boss'")
    boss = berth.client(await berth.token("boss", "site_admin"))
    assert (await boss.put(f"/users/{FIRST_ADMIN}/suspended")).status_code == 204
    assert (await berth.admin.get("/user")).status_code == 401
    new = await berth.services.access_tokens.renew_site_admin_token()
    admin = berth.client(new.reveal())
    assert (await admin.get("/user")).status_code == 200
    actions = [row["action"] for row in (await admin.get("/user/audit-log")).json()]
    assert actions[:2] == ["user.unsuspend", "user.suspend"]


async def test_a_log_that_is_followed_ends(berth: Berth) -> None:
    """The codespace is still on its way: nothing else would end it. It goes on for who is not suspended."""
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r", "private": True})
    await octo.put("/repos/octo/r/contents/a", json={"message": "m", "content": "YQ=="})
    name = (await octo.post("/repos/octo/r/codespaces", json={})).json()["name"]
    berth.services.codespace_logs.look_every_s = 0.05
    coming = asyncio.ensure_future(octo.get(f"/user/codespaces/{name}/logs?follow=1"))
    done, _ = await asyncio.wait({coming}, timeout=0.5)
    assert not done, "the positive control"
    async with berth.store.begin() as connection:
        await connection.exec_driver_sql("UPDATE accounts SET suspended_at = CURRENT_TIMESTAMP WHERE login = 'octo'")
    async with asyncio.timeout(20):
        answer = await coming
    assert "event: end" not in answer.text


async def test_codespaces_that_others_stopped_or_that_rest_are_left_alone(berth: Berth) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r", "private": True})
    await octo.put("/repos/octo/r/contents/a", json={"message": "m", "content": "YQ=="})
    name = (await octo.post("/repos/octo/r/codespaces", json={})).json()["name"]
    async with berth.store.begin() as connection:
        await connection.execute(codespaces.update().values(desired=Desired.STOPPED, phase=Phase.SHUTDOWN))
    await suspend(berth)
    async with berth.store.read() as connection:
        row = (await connection.execute(codespaces.select().where(codespaces.c.name == name))).one()
    assert (row.generation, row.stop_notice) == (1, None)

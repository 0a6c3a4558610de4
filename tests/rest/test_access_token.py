from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from tests.rest.berth_api import Berth

from berth.adapters.store import access_token as rows


async def test_a_token_is_made_listed_without_its_value_and_revoked(berth: Berth) -> None:
    octo = await berth.user("octo")
    made = (await octo.post("/user/tokens", json={"scopes": ["repo"], "note": "laptop"})).json()
    mine = berth.client(made["token"])
    assert (await mine.get("/user")).json()["login"] == "octo"
    listed = await octo.get("/user/tokens")
    assert made["token"] not in listed.text
    assert listed.json()[0]["note"] == "laptop"
    assert (await octo.delete(f"/user/tokens/{made['id']}")).status_code == 204
    answer = await mine.get("/user")
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")
    assert (await octo.delete(f"/user/tokens/{made['id']}")).status_code == 404


async def test_no_token_makes_a_stronger_one(berth: Berth) -> None:
    await berth.user("octo")
    weak = berth.client(await berth.token("octo", "user", "read:org"))
    assert (await weak.post("/user/tokens", json={"scopes": ["read:org"]})).status_code == 201
    for scopes in (["repo"], ["admin:org"], ["site_admin"]):
        assert (await weak.post("/user/tokens", json={"scopes": scopes})).status_code == 403
    assert (await weak.post("/user/tokens", json={"scopes": ["all"]})).status_code == 422
    soon = datetime.now(UTC) + timedelta(hours=1)
    octo = berth.client(await berth.token("octo", "user"))
    short = (await octo.post("/user/tokens", json={"scopes": ["user"], "expires_at": soon.isoformat()})).json()
    limited = berth.client(short["token"])
    inherited = (await limited.post("/user/tokens", json={"scopes": ["user"]})).json()
    assert inherited["expires_at"] == short["expires_at"]
    later = (soon + timedelta(hours=1)).isoformat()
    assert (await limited.post("/user/tokens", json={"scopes": [], "expires_at": later})).status_code == 403


@pytest.mark.parametrize(
    "value", [b"b2N0bzp4", b"no base64!", b"\xe9", b"/w=="], ids=["unknown", "no base64", "no ASCII", "no UTF-8"]
)
async def test_a_password_that_cannot_be_read_is_bad(berth: Berth, value: bytes) -> None:
    answer = await berth.anonymous.get("/user", headers={b"Authorization": b"Basic " + value})
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


async def test_an_expired_token_is_bad(berth: Berth) -> None:
    octo = await berth.user("octo")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = (await octo.post("/user/tokens", json={"scopes": ["user"], "expires_at": soon})).json()
    client = berth.client(made["token"])
    assert (await client.get("/user")).status_code == 200
    async with berth.store.begin() as connection:
        await connection.execute(
            text(f"UPDATE access_tokens SET expires_at = '2001-01-01 00:00:00+00:00' WHERE id = {int(made['id'])}")
        )
    assert (await client.get("/user")).status_code == 401


async def codespace_token(berth: Berth, repository_id: int, owner: int) -> tuple[int, str]:
    """A token of a codespace that was launched from this repository."""
    async with berth.store.begin() as connection:
        values = {
            "name": f"'cs-{repository_id}-{owner}'", "display_name": "''", "environment_id": "''", "owner_id": owner,
            "repository_id": repository_id, "ref": "'main'", "machine": "''", "location": "''",
            "idle_timeout_minutes": 30, "retention_period_minutes": 0, "desired": "'running'", "generation": 1,
            "seen": 0, "phase": "'available'", "epoch": 0, "attempts": 0,
            "created_at": "CURRENT_TIMESTAMP", "updated_at": "CURRENT_TIMESTAMP", "last_used_at": "CURRENT_TIMESTAMP",
        }  # fmt: skip
        columns, cells = ", ".join(values), ", ".join(str(value) for value in values.values())
        statement = text(f"INSERT INTO codespaces ({columns}) VALUES ({cells}) RETURNING id")
        codespace_id = int((await connection.execute(statement)).scalar_one())
    token = await berth.services.access_tokens.issue_for_codespace(owner, codespace_id)
    return codespace_id, token.reveal()


async def test_l9_a_codespace_token_opens_its_repository_and_nothing_else(berth: Berth) -> None:
    octo = await berth.user("octo")
    own = (await octo.post("/user/repos", json={"name": "own", "private": True})).json()
    await octo.post("/user/repos", json={"name": "other", "private": True})
    codespace_id, token = await codespace_token(berth, own["id"], own["owner"]["id"])
    inside = berth.client(token)
    assert (await inside.get("/repos/octo/own")).status_code == 200
    assert (await inside.put("/repos/octo/own/contents/a", json={"message": "m", "content": ""})).status_code == 201
    assert [item["name"] for item in (await inside.get("/user/repos")).json()] == ["own"]
    assert (await inside.get("/repos/octo/other")).status_code == 404
    assert (await inside.patch("/repos/octo/own", json={"private": False})).status_code == 403
    assert (await inside.delete("/repos/octo/own")).status_code == 403
    assert (await inside.post("/user/repos", json={"name": "new"})).status_code == 403
    for method, url in (("GET", "/user/tokens"), ("POST", "/user/tokens"), ("POST", "/admin/users")):
        assert (await inside.request(method, url, json={})).status_code == 403
    async with berth.store.begin() as connection:
        await rows.revoke_codespace_tokens(connection, codespace_id)
    assert (await inside.get("/repos/octo/own")).status_code == 401


async def test_a_new_codespace_token_makes_the_old_one_void(berth: Berth) -> None:
    octo = await berth.user("octo")
    own = (await octo.post("/user/repos", json={"name": "own"})).json()
    codespace_id, old = await codespace_token(berth, own["id"], own["owner"]["id"])
    new = await berth.services.access_tokens.issue_for_codespace(own["owner"]["id"], codespace_id)
    assert (await berth.client(old).get("/user")).status_code == 401
    assert (await berth.client(new.reveal()).get("/user")).status_code == 200

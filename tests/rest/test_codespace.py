"""Every route of codespaces: GitHub's bodies and statuses, our own logs and exec. The engine is in memory."""

import asyncio
import base64
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, select, update
from tests.codespace_world import LONGEST
from tests.fakes.engine import FakeEngine
from tests.rest.berth_api import Berth
from tests.rest.schema import check_body

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.store import codespace as rows
from berth.adapters.store.tables import access_tokens
from berth.adapters.store.tables import codespaces as table
from berth.domain.codespace import FailedHook, failed_hook_to_json, finding_to_json
from berth.domain.finding import Finding, Fixer
from berth.domain.lifecycle import Desired, Phase
from berth.domain.machine import Machines
from berth.rest.app import make_rest_app
from berth.rest.routes import ROUTES
from berth.services.access_token import KnownToken
from berth.services.codespace import CodespaceService
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_request import CodespaceLimits
from berth.services.organization_codespace import OrganizationCodespaceService

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LIMIT = 3
GH_BODY = {  # what gh sends, whatever was asked for
    "ref": "refs/heads/main",
    "location": "",
    "display_name": "",
    "machine": "",
    "devcontainer_path": "",
    "multi_repo_permissions_opt_out": False,
    "vscs_target": "",
    "pull_request": None,
}


@dataclass
class API:
    """octo's client, his repository octo/r, and the engine behind."""

    berth: Berth
    engine: FakeEngine
    octo: httpx.AsyncClient
    repository_id: int

    async def create(self, **body: Any) -> dict[str, Any]:
        answer = await self.octo.post("/repos/octo/r/codespaces", json=body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def set_row(self, name: str, **values: Any) -> None:
        async with self.berth.store.begin() as connection:
            await connection.execute(update(table).where(table.c.name == name).values(**values))

    async def make_available(self, name: str) -> None:
        container = self.engine.make({})
        await self.set_row(
            name,
            phase=Phase.AVAILABLE,
            container_id=container.container_id,
            remote_user="dev",
            remote_folder="/w",
            seen=table.c.generation,
        )

    async def log(self, codespace_id: int, *lines: tuple[str, str]) -> None:
        async with self.berth.store.begin() as connection:
            await rows.append_log(connection, codespace_id, SystemClock().now(), list(lines))


@pytest.fixture
async def api(berth: Berth) -> API:
    engine = FakeEngine()
    service = CodespaceService(
        store=berth.store,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        git=berth.repositories,
        executor=CodespaceExec(engine),
        activity=berth.services.codespace_activity,
        limits=CodespaceLimits(per_user=LIMIT, idle_timeout_minutes=30, retention_minutes=60, longest=LONGEST),
        machines=Machines(),
        wake=lambda: None,
    )
    berth.services = replace(
        berth.services,
        codespaces=service,
        organization_codespaces=OrganizationCodespaceService(store=berth.store, codespaces=service),
    )
    berth.rest = make_rest_app(berth.services, ROUTES, None)
    berth.admin = berth.client(berth.admin_token)
    octo = await berth.user("octo")
    made = (await octo.post("/user/repos", json={"name": "r", "private": True})).json()
    await octo.put("/repos/octo/r/contents/a", json={"message": "m", "content": "YQ=="})
    return API(berth, engine, octo, made["id"])


async def test_bodies_are_as_github_describes_them(api: API) -> None:
    created = await api.create(**GH_BODY)
    check_body(created, "codespace")
    name = created["name"]
    check_body((await api.octo.get(f"/user/codespaces/{name}")).json(), "codespace")
    await api.make_available(name)
    stopped = await api.octo.post(f"/user/codespaces/{name}/stop")
    check_body(stopped.json(), "codespace")
    stopped_at = SystemClock().now() - timedelta(minutes=50)  # of an hour
    hook = FailedHook(hook="postStartCommand", exit_code=3, at=stopped_at)
    await api.set_row(
        name,
        phase=Phase.SHUTDOWN,
        seen=table.c.generation,
        stopped_at=stopped_at,
        failed_hook=failed_hook_to_json(hook),
    )
    at_rest = (await api.octo.get(f"/user/codespaces/{name}")).json()
    check_body(at_rest, "codespace")
    assert (at_rest["failed_hook"]["hook"], at_rest["failed_hook"]["exit_code"]) == ("postStartCommand", 3)
    assert at_rest["retention_expires_at"] in at_rest["retention_notice"]
    started = await api.octo.post(f"/user/codespaces/{name}/start")
    check_body(started.json(), "codespace")
    for url in ("/user/codespaces", "/repos/octo/r/codespaces"):
        body = (await api.octo.get(url)).json()
        assert body.keys() == {"total_count", "codespaces"}
        check_body(body["codespaces"], "codespace", is_list=True)


async def test_created_from_the_path_or_by_the_repositorys_id(api: API) -> None:
    first = await api.create(**GH_BODY)
    body = {**GH_BODY, "repository_id": api.repository_id}
    second = await api.octo.post("/user/codespaces", json=body)
    third = await api.octo.post(f"/repositories/{api.repository_id}/codespaces", content=b"")
    assert [second.status_code, third.status_code] == [201, 201]
    assert first["state"] == second.json()["state"] == third.json()["state"] == "Queued"
    assert first["git_status"] == {"ref": "main"}
    assert first["location"] == "WestEurope"
    assert first["pending_operation"] is True
    assert first["url"] == f"http://api.berth.test/user/codespaces/{first['name']}"
    assert first["start_url"] == f"{first['url']}/start"


async def test_a_failed_one_carries_its_finding(api: API) -> None:
    name = (await api.create())["name"]
    finding = Finding(code="image.not_found", sentence="S.", fixer=Fixer.DEVELOPER, next_step="N.", evidence={"a": "b"})
    values = {"phase": Phase.FAILED, "finding": finding_to_json(finding), "seen": table.c.generation}
    await api.set_row(name, **values)
    body = (await api.octo.get(f"/user/codespaces/{name}")).json()
    assert body["state"] == "Failed"
    assert body["finding"] == {
        "code": "image.not_found",
        "sentence": "S.",
        "fixer": "developer",
        "next_step": "N.",
        "evidence": {"a": "b"},
    }


@pytest.mark.parametrize(
    ("url", "body", "status", "code"),
    [
        ("/repos/octo/r/codespaces", {"ref": "nowhere"}, 422, "codespace.ref_unknown"),
        ("/repos/octo/r/codespaces", {"ref": "a\0b"}, 422, "request.invalid"),
        ("/repos/octo/r/codespaces", {"machine": "huge"}, 422, "codespace.machine"),
        ("/repos/octo/r/codespaces", {"display_name": "x" * 49}, 422, "codespace.display_name"),
        ("/repos/octo/r/codespaces", {"devcontainer_path": "a\nb"}, 422, "codespace.devcontainer_path"),
        ("/repos/octo/r/codespaces", {"idle_timeout_minutes": 1}, 422, "codespace.minutes"),
        ("/repos/octo/r/codespaces", {"idle_timeout_minutes": "1"}, 422, "request.invalid"),
        ("/repos/octo/r/codespaces", [], 400, "request.malformed"),
        ("/repos/octo/none/codespaces", {}, 404, None),
        ("/user/codespaces", {}, 422, "invalid"),
        ("/user/codespaces", {"repository_id": 999_999}, 404, None),
        ("/user/codespaces", {"repository_id": 10**30}, 404, None),
        ("/user/codespaces", {"repository_id": -1}, 404, None),
        (
            "/user/codespaces",
            {"pull_request": {"pull_request_number": 1, "repository_id": 1}},
            404,
            "pull_request.not_found",
        ),
        ("/repos/octo/r/codespaces", {"pull_request": {"pull_request_number": 1}}, 422, "request.invalid"),
    ],
)
async def test_what_creation_refuses(api: API, url: str, body: Any, status: int, code: str | None) -> None:
    answer = await api.octo.post(url, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    if code is not None:
        assert answer.json()["code"] == code
    assert (await api.octo.get("/user/codespaces")).json()["total_count"] == 0


async def test_a13_a_repository_that_was_closed_to_its_owner_tells_him_no_more(api: API) -> None:
    """Its codespace stays his to delete. What it is called and described as since then is not his to know."""
    await api.octo.patch("/repos/octo/r", json={"private": False})
    hubot = await api.berth.user("hubot")
    url = f"/user/codespaces/{(await hubot.post('/repos/octo/r/codespaces', json={})).json()['name']}"
    renamed = {"name": "merger", "description": "with Initech"}
    for private in (False, True):
        assert (
            await api.octo.patch(f"/repositories/{api.repository_id}", json={**renamed, "private": private})
        ).status_code == 200
        patched = await hubot.patch(url, json={"display_name": "mine"})
        listed, stopped = await hubot.get("/user/codespaces"), await hubot.post(f"{url}/stop")
        for answer in (await hubot.get(url), patched, listed, stopped):
            assert answer.status_code == 200
            for secret in ("merger", "Initech", "octo"):
                assert (secret in answer.text) is not private, (secret, answer.request.url)
        assert listed.json()["total_count"] == 1
    shown = (await hubot.get(url)).json()
    check_body(shown, "codespace")
    assert shown["repository"]["full_name"] == "-/hidden"
    assert shown["repository"]["id"] == api.repository_id
    assert (await hubot.delete(url)).status_code == 202


async def test_the_limit(api: API) -> None:
    for _ in range(LIMIT):
        await api.create()
    answer = await api.octo.post("/repos/octo/r/codespaces", json={})
    assert (answer.status_code, answer.json()["code"]) == (422, "codespace.limit")


async def test_lists_are_paged_and_filtered(api: API) -> None:
    names = [(await api.create())["name"] for _ in range(3)]
    first = await api.octo.get("/user/codespaces", params={"per_page": 2})
    assert [one["name"] for one in first.json()["codespaces"]] == [names[2], names[1]]
    assert first.json()["total_count"] == 3
    assert 'page=2>; rel="next"' in first.headers["link"]
    for wanted, total in ((api.repository_id, 3), (api.repository_id + 1, 0), ("", 3)):
        answer = await api.octo.get("/user/codespaces", params={"repository_id": wanted})
        assert answer.json()["total_count"] == total
    assert (await api.octo.get("/repos/octo/none/codespaces")).status_code == 404


async def test_start_stop_delete_with_gh_s_empty_json_bodies(api: API) -> None:
    name = (await api.create())["name"]
    headers = {"Content-Type": "application/json; charset=utf-8", "Accept": ""}
    url = f"/user/codespaces/{name}"
    assert (await api.octo.post(f"{url}/start", headers=headers)).status_code == 409
    await api.make_available(name)
    again = await api.octo.post(f"{url}/start", headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "codespace.running")
    for _ in range(2):
        stopped = await api.octo.post(f"{url}/stop", headers=headers)
        assert (stopped.status_code, stopped.json()["state"]) == (200, "ShuttingDown")
    await api.set_row(name, phase=Phase.SHUTDOWN, seen=table.c.generation)
    started = await api.octo.post(f"{url}/start", headers=headers)
    assert (started.status_code, started.json()["state"]) == (200, "Starting")
    deleted = await api.octo.delete(url, headers=headers)
    assert (deleted.status_code, deleted.json()) == (202, {})
    for method, path in (("GET", url), ("DELETE", url), ("POST", f"{url}/start"), ("POST", f"{url}/stop")):
        assert (await api.octo.request(method, path)).status_code == 404


async def test_an_update_answers_with_the_codespace(api: API) -> None:
    name = (await api.create())["name"]
    url = f"/user/codespaces/{name}"
    answer = await api.octo.patch(url, json={"display_name": "mine", "recent_folders": ["/workspaces/r"]})
    assert answer.status_code == 200
    check_body(answer.json(), "codespace")
    assert (answer.json()["display_name"], answer.json()["recent_folders"]) == ("mine", ["/workspaces/r"])
    seen = (await api.octo.get(url, params={"internal": "true", "refresh": "true"})).json()
    assert seen.pop("connection"), "gh asks for one (test_codespace_tunnel.py)"
    assert seen == answer.json(), "its two parameters change nothing else"
    assert (await api.octo.patch(url)).json() == answer.json(), "nothing given, nothing changed"
    for body, status in (
        ({"machine": "huge"}, 422),
        ({"machine": 1}, 422),
        ({"recent_folders": "x"}, 422),
        ({"recent_folders": ["a\0"]}, 422),
        ([], 400),
    ):
        refused = await api.octo.patch(url, json=body)
        assert refused.status_code == status, body
        assert refused.json()["message"]
    assert (await api.octo.get(url)).json() == answer.json()


async def test_machines_of_a_codespace_and_of_a_repository(api: API) -> None:
    name = (await api.create())["name"]
    query = "?location=EastUs&client_ip=1.2.3.4&ref=main&devcontainer_path="
    for url in (
        f"/user/codespaces/{name}/machines",
        "/repos/octo/r/codespaces/machines",
        f"/repositories/{api.repository_id}/codespaces/machines{query}",
    ):
        answer = await api.octo.get(url)
        body = answer.json()
        assert (answer.status_code, body.keys()) == (200, {"total_count", "machines"})
        check_body(body["machines"], "codespace-machine", is_list=True)
        assert [machine["name"] for machine in body["machines"]] == ["standardLinux"]
    assert (await api.octo.get("/repos/octo/none/codespaces/machines")).status_code == 404


async def test_the_organization_is_whose_a_codespace_of_its_repository_is(api: API) -> None:
    await api.berth.organization("acme", "octo")
    made = (await api.octo.post("/orgs/acme/repos", json={"name": "r"})).json()
    await api.octo.put("/repos/acme/r/contents/a", json={"message": "m", "content": "YQ=="})
    created = (await api.octo.post("/user/codespaces", json={"repository_id": made["id"], "geo": "UsEast"})).json()
    check_body(created, "codespace")
    assert (created["owner"]["login"], created["billable_owner"]["login"]) == ("octo", "acme")
    assert created["location"] == "EastUs"
    assert (await api.create())["billable_owner"]["login"] == "octo"


PATHS = (
    ("PATCH", "/user/codespaces/{name}"),
    ("GET", "/user/codespaces/{name}/machines"),
    ("GET", "/user/codespaces/{name}"),
    ("DELETE", "/user/codespaces/{name}"),
    ("POST", "/user/codespaces/{name}/start"),
    ("POST", "/user/codespaces/{name}/stop"),
    ("POST", "/user/codespaces/{name}/rebuild"),
    ("POST", "/user/codespaces/{name}/heartbeat"),
    ("GET", "/user/codespaces/{name}/logs"),
    ("GET", "/user/codespaces/{name}/logs?follow=1"),
    ("POST", "/user/codespaces/{name}/exec"),
)


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_who_may_not(api: API, method: str, path: str) -> None:
    name = (await api.create())["name"]
    body = {"command": ["true"]} if path.endswith("exec") else None
    url = path.format(name=name)
    hubot = await api.berth.user("hubot")
    no_scope = api.berth.client(await api.berth.token("octo", "repo"))
    assert (await hubot.request(method, url, json=body)).status_code == 404, "A13: for others it does not exist"
    assert (await api.octo.request(method, path.format(name="none"), json=body)).status_code == 404
    refused = await no_scope.request(method, url, json=body)
    assert refused.status_code == 403
    assert refused.headers["x-accepted-oauth-scopes"] == "codespace"
    assert (await api.berth.anonymous.request(method, url, json=body)).status_code == 401
    assert (await api.berth.client("ghp_bad").request(method, url, json=body)).json()["message"] == "Bad credentials"


async def test_a_heartbeat_of_what_runs(api: API) -> None:
    name = (await api.create())["name"]
    url = f"/user/codespaces/{name}/heartbeat"
    early = await api.octo.post(url)
    assert (early.status_code, early.json()["code"]) == (409, "codespace.not_running")
    await api.make_available(name)
    long_ago = SystemClock().now() - timedelta(hours=1)
    await api.set_row(name, last_used_at=long_ago, stop_notice="It was not used.")
    before = (await api.octo.get(f"/user/codespaces/{name}")).json()
    assert before["last_known_stop_notice"] == "It was not used."
    assert (await api.octo.post(url)).status_code == 204
    assert (await api.octo.get(f"/user/codespaces/{name}")).json()["last_used_at"] > before["last_used_at"]


async def test_a_rebuild_is_asked_for(api: API) -> None:
    name = (await api.create())["name"]
    url = f"/user/codespaces/{name}/rebuild"
    early = await api.octo.post(url)
    assert (early.status_code, early.json()["code"]) == (409, "codespace.busy")
    await api.make_available(name)
    answer = await api.octo.post(url)
    assert (answer.status_code, answer.json()["state"]) == (202, "Rebuilding")
    assert answer.json()["pending_operation"] is True
    assert (await api.octo.post(url, json={"full": "yes"})).status_code == 422


async def test_a_command(api: API) -> None:
    name = (await api.create())["name"]
    url = f"/user/codespaces/{name}/exec"
    waiting = await api.octo.post(url, json={"command": ["true"]})
    assert (waiting.status_code, waiting.json()["code"]) == (409, "codespace.not_running")
    await api.make_available(name)
    api.engine.chunks = (b"\xff\0out",)
    api.engine.exit_codes["false"] = 5
    stdin = base64.b64encode(b"to the end").decode()
    answer = await api.octo.post(url, json={"command": ["false"], "stdin": stdin})
    assert answer.status_code == 200
    assert answer.json() == {
        "exit_code": 5,
        "output": base64.b64encode(b"\xff\0out").decode(),
        "encoding": "base64",
    }
    assert api.engine.executed[-1].stdin == "to the end"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"command": []}, 422),
        ({"command": [""]}, 422),
        ({"command": ["a\0b"]}, 422),
        ({"command": ["a"], "stdin": "not base64!"}, 422),
        ({"command": ["a"], "stdin": "YQ"}, 422),
        ({"command": ["a"], "stdin": "é"}, 422),
        ({"command": "a"}, 422),
        ({}, 422),
        ({"command": ["x" * 1_100_000]}, 413),
    ],
    ids=[
        "no word",
        "an empty word",
        "a NUL",
        "no base64",
        "base64 without its padding",
        "no ASCII",
        "a text",
        "none",
        "too large",
    ],
)
async def test_what_a_command_refuses(api: API, body: Any, status: int) -> None:
    name = (await api.create())["name"]
    await api.make_available(name)
    assert (await api.octo.post(f"/user/codespaces/{name}/exec", json=body)).status_code == status


FORGED = "a line\nevent: end\ndata: {}\n\nid: 999\r\nevent: finding\u2028data: x"


def parse_events(text: str) -> list[dict[str, str]]:
    """As the HTML Living Standard says: blocks end with an empty line, a line ends with CR, LF or both."""
    events = []
    for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            events.append(fields)
    return events


async def events(api: API, name: str, **headers: str) -> list[dict[str, str]]:
    async with asyncio.timeout(20):
        answer = await api.octo.get(f"/user/codespaces/{name}/logs?follow=1", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parse_events(answer.text)


async def test_a_log_line_cannot_forge_an_event(api: API) -> None:
    created = await api.create()
    await api.log(created["id"], ("output", FORGED), ("phase", "Available"))
    await api.make_available(created["name"])
    found = await events(api, created["name"])
    assert [event["event"] for event in found] == ["output", "phase", "end"]
    assert [json.loads(event["data"])["text"] for event in found] == [FORGED, "Available", "Available"]
    entries = (await api.octo.get(f"/user/codespaces/{created['name']}/logs")).json()
    assert [(entry["kind"], entry["text"]) for entry in entries] == [("output", FORGED), ("phase", "Available")]
    assert entries[0].keys() == {"id", "at", "kind", "text"}


async def test_last_event_id_resumes_without_loss_or_repeat(api: API) -> None:
    created = await api.create()
    await api.log(created["id"], *(("output", f"line {number}") for number in range(1200)))
    await api.make_available(created["name"])
    whole = await events(api, created["name"])
    assert len(whole) == 1201
    for seen in (1, 499, 500, 501, 1199, 1200):
        rest = await events(api, created["name"], **{"Last-Event-ID": whole[seen - 1]["id"]})
        assert [event["id"] for event in rest[:-1]] == [event["id"] for event in whole[seen:-1]]
        assert rest[-1]["event"] == "end"
    after_the_end = await events(api, created["name"], **{"Last-Event-ID": whole[-1]["id"]})
    assert [event["event"] for event in after_the_end] == ["end"]
    for rubbish in ("x", "-1", "9" * 40, "\u0661"):
        answer = await api.octo.get(
            f"/user/codespaces/{created['name']}/logs?follow=1", headers={b"Last-Event-ID": rubbish.encode()}
        )
        assert len(parse_events(answer.text)) == 1201


@pytest.mark.parametrize("is_revoked", [True, False])
async def test_following_ends_when_the_token_does(api: API, is_revoked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """services/codespace_log.py. Who still may hears of the end."""
    created = await api.create()
    logs = api.berth.services.codespace_logs
    logs.look_every_s, logs.still_here_s = 0.05, 0.02
    looks, find_by_id = 0, api.berth.services.access_tokens.find_by_id

    async def look(token_id: int) -> KnownToken | None:
        nonlocal looks
        looks += 1
        return await find_by_id(token_id)

    monkeypatch.setattr(api.berth.services.access_tokens, "find_by_id", look)
    follower = api.berth.client(await api.berth.token("octo", "repo", "codespace"))
    coming = asyncio.create_task(follower.get(f"/user/codespaces/{created['name']}/logs?follow=1"))
    async with asyncio.timeout(20):
        while looks < 5:
            await asyncio.sleep(0.05)
    assert not coming.done()
    if is_revoked:
        async with api.berth.store.begin() as connection:
            newest = select(func.max(access_tokens.c.id)).scalar_subquery()
            await connection.execute(delete(access_tokens).where(access_tokens.c.id == newest))
    else:
        await api.make_available(created["name"])
    async with asyncio.timeout(20):
        answer = await coming
    assert ": still here" in answer.text
    assert ("event: end" in answer.text) == (not is_revoked)


async def test_following_a_codespace_that_is_deleted_ends(api: API) -> None:
    created = await api.create()
    following = asyncio.create_task(events(api, created["name"]))
    await asyncio.sleep(0.3)
    await api.set_row(created["name"], desired=Desired.DELETED)
    assert json.loads((await following)[-1]["data"])["text"] == "Deleted"
    async with api.berth.store.begin() as connection:
        await connection.execute(delete(table))

"""Codespaces in the console: the list, creating one, what one can do with it, its log."""

import asyncio
import json
import re
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import event
from tests.ui import codespaces
from tests.ui.browser import Browser, ConsoleWorld, forms_of
from tests.ui.codespaces import AVAILABLE, FAILED, HOSTILE, IMAGE, STOPPED, make_codespace, make_repository

from berth.adapters.clock_system import SystemClock
from berth.domain.codespace import FailedHook, LogEntry, failed_hook_to_json, finding_to_json
from berth.domain.finding import Finding, Fixer
from berth.domain.lifecycle import Phase
from berth.ui.codespace_log import phases_of
from berth.ui.routes import ROUTES
from berth.ui.templates import format_minutes


async def start(console: ConsoleWorld) -> tuple[Browser, httpx.AsyncClient, str]:
    """octo's browser, his client, his repository."""
    browser = await console.person("octo")
    api = await codespaces.client_of(console, "octo")
    return browser, api, await make_repository(api)


def is_escaped(page: str) -> bool:
    """Nothing of HOSTILE is an element, and no mark turns the text around."""
    return "<img" not in page.replace('<img src="/static', "") and "<script>" not in page and "\u202e" not in page


async def test_the_list_says_what_each_is_and_whose(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    other = await make_repository(api, "other")
    assert "No codespaces yet" in (await browser.get("/codespaces")).text
    name = await make_codespace(console, api, shop, **AVAILABLE)
    await make_codespace(console, api, other, **FAILED)
    page = (await browser.get("/codespaces")).text
    for shown in (f'href="/codespaces/{name}"', "octo/shop", "octo/other", "Available", "Failed", "main", "last used"):
        assert shown in page
    filtered = (await browser.get(f"/codespaces?repo={shop}")).text
    assert ("octo/shop" in filtered, "octo/other" in filtered) == (True, False)
    third = await make_repository(api, "third")
    assert f"No codespaces of {third}" in (await browser.get(f"/codespaces?repo={third}")).text
    unknown = await browser.get("/codespaces?repo=eve/none")
    assert (unknown.status_code, "There is no such repository" in unknown.text) == (422, True)
    eve = await console.person("eve")
    assert "No codespaces yet" in (await eve.get("/codespaces")).text
    for path in ("", "/terminal", "/log", "/log/events", "/delete"):
        assert (await eve.get(f"/codespaces/{name}{path}")).status_code == 404
        assert (await browser.get(f"/codespaces/{name}{path}")).status_code == 200


async def test_the_list_costs_the_same_whatever_it_holds(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    await make_codespace(console, api, shop)
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    engine = console.berth.store.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    counts = []
    try:
        for path in ("/codespaces", f"/codespaces?repo={shop}"):
            sent.clear()
            await browser.get(path)
            counts.append(len(sent))
        for _ in range(8):
            await make_codespace(console, api, shop)
        for path in ("/codespaces", f"/codespaces?repo={shop}"):
            sent.clear()
            await browser.get(path)
            counts.append(len(sent))
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert counts[:2] == counts[2:]


async def test_creating_one_without_javascript(console: ConsoleWorld) -> None:
    browser, _, shop = await start(console)
    first = await browser.get("/codespaces/new")
    assert 'href="/codespaces/new?repo=octo/shop"' in first.text
    assert [form.method for form in forms_of(first) if form.action == "/codespaces/new"] == ["get"]
    assert "octo/shop" in (await browser.get("/codespaces/new?repo=sho")).text
    assert "No repository found" in (await browser.get("/codespaces/new?repo=nothing")).text
    second = await browser.get(f"/codespaces/new?repo={shop}")
    for shown in ("Shop", IMAGE, "No login for registry.example.com", "berth.test", "the codespace&#39;s own token"):
        assert shown in second.text
    made = await browser.submit(second, "/codespaces", {"display_name": "My shop", "machine": "standardLinux"})
    assert made.status_code == 303
    page = await browser.get(made.headers["location"])
    assert ("My shop" in page.text, "Queued" in page.text) == (True, True)


async def test_who_gets_no_secrets_is_not_sent_to_store_one(console: ConsoleWorld) -> None:
    """S6: who may only read a repository gets none, not even his own."""
    browser, api, shop = await start(console)
    reader = await console.person("reader")
    await api.put(f"/repos/{shop}/collaborators/reader", json={"permission": "pull"})
    for who, is_sent in ((browser, True), (reader, False)):
        page = (await who.get(f"/codespaces/new?repo={shop}")).text
        assert ("/registries/new?" in page) == is_sent
        assert ("Secrets are withheld" in page) == (not is_sent)


async def test_an_empty_repository_says_what_to_do_first(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    await api.post("/user/repos", json={"name": "empty", "private": True})
    for name, is_empty in (("octo/empty", True), (shop, False)):
        page = await browser.get(f"/codespaces/new?repo={name}")
        assert ("Nothing was pushed to this repository yet." in page.text) == is_empty
        assert ("/codespaces" in [form.action for form in forms_of(page)]) == (not is_empty)


async def test_which_logins_there_are_and_which_are_missing(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    for part, value in (("SERVER", "registry.example.com"), ("USER", "robot"), ("PASSWORD", "pass-canary")):
        await codespaces.put_secret(api, shop, f"TEAM_CONTAINER_REGISTRY_{part}", value)
    await codespaces.put_secret(api, shop, "OLD_CONTAINER_REGISTRY_SERVER", "hub.example.com")
    page = (await browser.get(f"/codespaces/new?repo={shop}")).text
    assert "registry.example.com is logged in to with TEAM_CONTAINER_REGISTRY_… (repository)" in page
    assert "No login for" not in page
    assert ("incomplete" in page, "OLD_CONTAINER_REGISTRY_USER" in page) == (True, True)
    assert "pass-canary" not in page
    key = (await api.get("/user/codespaces/secrets/public-key")).json()
    sealed = {"encrypted_value": codespaces.seal(key["key"], "quay.io"), "key_id": key["key_id"]}
    unshared = {**sealed, "selected_repository_ids": []}
    assert (await api.put("/user/codespaces/secrets/AWAY_CONTAINER_REGISTRY_SERVER", json=unshared)).status_code == 201
    page = (await browser.get(f"/codespaces/new?repo={shop}")).text
    assert "name quay.io, but do not select this repository." in page
    await codespaces.put_secret(api, shop, "TEAM_CONTAINER_REGISTRY_SERVER", "elsewhere.example.com")
    await codespaces.put_secret(api, shop, "NEW_CONTAINER_REGISTRY_SERVER", "registry.example.com")
    assert "The login for registry.example.com is broken" in (await browser.get(f"/codespaces/new?repo={shop}")).text


async def test_a_mistake_shows_the_form_again(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    form = await browser.get(f"/codespaces/new?repo={shop}")
    for values, said in (
        ({"display_name": "x" * 60}, "at most 48 characters"),
        ({"idle_timeout_minutes": "soon"}, "no number of minutes"),
        ({"retention_period_minutes": "99999999"}, "a number of minutes from 0 to"),
        ({"machine": "none"}, "There is no machine"),
        ({"ref": "nowhere"}, "has no branch, tag or commit"),
    ):
        answer = await browser.submit(form, "/codespaces", values)
        assert (answer.status_code, said in answer.text) == (422, True), values
    assert 'value="soon"' in (await browser.submit(form, "/codespaces", {"idle_timeout_minutes": "soon"})).text
    for query, said in (
        (f"repo={shop}&ref=nowhere", "It has no such branch, tag, commit or pull request."),
        (f"repo={shop}&pull=7", "It has no such branch, tag, commit or pull request."),
        (f"repo={shop}&pull=x", "It has no such branch, tag, commit or pull request."),
        ("repo=eve/none", "There is no such repository, or you may not see it."),
    ):
        answer = await browser.get(f"/codespaces/new?{query}")
        assert (answer.status_code, said in answer.text) == (422, True), query
        assert (f"New codespace of {shop}" in answer.text) == (shop in query), "what was chosen stays chosen"
    assert (await browser.submit(form, "/codespaces", {"repo": "eve/none"})).status_code == 404
    for _ in range(10):
        await make_codespace(console, api, shop)
    assert "this server allows 10" in (await browser.submit(form, "/codespaces")).text


async def test_a_pull_request_can_be_chosen(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    await codespaces.make_branch(console, api, shop, "topic")
    await codespaces.commit(api, shop, "a.txt", "a", branch="topic")
    title = HOSTILE.replace("\u202e", "").replace("\x1b", "")[:256]
    made = await api.post(f"/repos/{shop}/pulls", json={"title": title, "head": "topic", "base": "main"})
    assert made.status_code == 201, made.text
    page = await browser.get(f"/codespaces/new?repo={shop}&pull=1")
    assert "Of pull request #1" in page.text
    assert is_escaped(page.text)
    created = await browser.submit(page, "/codespaces")
    shown = (await browser.get(created.headers["location"])).text
    assert ("#1, topic" in shown, created.status_code) == (True, 303)


async def test_configurations_of_another_branch(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    config = json.dumps({"name": '"><img src=x onerror=alert(1)>', "image": "other.example.com/x:1"})
    await codespaces.make_branch(console, api, shop, "topic")
    await codespaces.commit(api, shop, ".devcontainer/b/devcontainer.json", config, branch="topic")
    await codespaces.commit(api, shop, ".devcontainer/c/devcontainer.json", '{"image": "A B"}', branch="topic")
    assert "other.example.com" not in (await browser.get(f"/codespaces/new?repo={shop}")).text
    page = await browser.get(f"/codespaces/new?repo={shop}&ref=topic")
    assert "No login for other.example.com" in page.text
    assert is_escaped(page.text)
    path = ".devcontainer/b/devcontainer.json"
    made = await browser.submit(page, "/codespaces", {"configuration": path})
    shown = (await browser.get(made.headers["location"])).text
    assert path in shown


async def test_start_stop_rebuild_and_delete(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    name = await make_codespace(console, api, shop, **AVAILABLE)
    here = f"/codespaces/{name}"

    async def state() -> str:
        return str((await api.get(f"/user/codespaces/{name}")).json()["state"])

    answer = await browser.submit(here, f"{here}/stop")
    assert (answer.headers["location"], await state()) == (here, "ShuttingDown")
    assert "It stops; its files stay." in (await browser.get(here)).text
    await codespaces.set_row(console, name, **STOPPED)
    page = await browser.get(here)
    assert (await browser.submit(page, f"{here}/start")).status_code == 303
    again = await browser.submit(page, f"{here}/start")
    assert (again.status_code, "already running" in again.text) == (409, True)
    await codespaces.set_row(console, name, **AVAILABLE)
    assert (await browser.submit(here, f"{here}/rebuild", {"full": "1"})).status_code == 303
    assert await state() == "Rebuilding"
    busy = await browser.submit(here, f"{here}/rebuild")
    assert (busy.status_code, "Wait until that is over" in busy.text) == (409, True)
    asked = await browser.get(f"{here}/delete")
    assert "cannot be undone" in asked.text
    gone = await browser.submit(asked, f"{here}/delete")
    assert gone.headers["location"] == "/codespaces"
    assert (await browser.get(here)).status_code == 404


async def test_an_export_and_how_it_went(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    name = await make_codespace(console, api, shop, **STOPPED)
    here = f"/codespaces/{name}"
    refused = await browser.submit(here, f"{here}/export")
    assert refused.status_code == 422
    await codespaces.set_row(console, name, **{**AVAILABLE, "desired": "running"})
    bad = await browser.submit(here, f"{here}/export", {"branch": "a..b"})
    assert (bad.status_code, 'value="a..b"' in bad.text) == (422, True)
    assert (await browser.submit(here, f"{here}/export", {"branch": "mine"})).status_code == 303
    page = (await browser.get(here)).text
    assert ("in progress" in page, "<strong>mine</strong>" in page) == (True, True)


async def test_a_stopped_one_whose_time_is_over_is_not_deleted_in_the_past(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    stopped = SystemClock().now() - timedelta(days=2)
    name = await make_codespace(console, api, shop, **STOPPED, retention_period_minutes=60, stopped_at=stopped)
    assert "is deleted any moment now" in (await browser.get("/codespaces")).text
    assert "any moment now unless it is started" in (await browser.get(f"/codespaces/{name}")).text


async def test_what_failed_stands_at_the_top_with_what_helps(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    name = await make_codespace(console, api, shop, **FAILED)
    here = f"/codespaces/{name}"
    page = await browser.get(here)
    assert is_escaped(page.text)
    assert page.text.index("registry.example.com refused the login.") < page.text.index("Creation log")
    assert "image.unauthorized" in page.text
    assert f"{here}/start" in [form.action for form in forms_of(page)]
    for target in ("/doctor", "/registries"):
        link = re.search(rf'href="{target}\?repo=octo(/|%2F)shop', page.text)
        assert (link is not None) == (target in {route.path for route in ROUTES})
    await codespaces.set_row(console, name, phase=Phase.STARTING)
    assert (
        'class="note"><strong>What failed last:</strong> registry.example.com refused' in (await browser.get(here)).text
    )
    await codespaces.set_row(console, name, phase=Phase.FAILED)
    lost = Finding(code="container.lost", sentence="It is gone.", fixer=Fixer.DEVELOPER, next_step="Rebuild it.")
    await codespaces.set_row(console, name, finding=finding_to_json(lost))
    page = await browser.get(here)
    assert page.text.index(f'action="{here}/rebuild"') < page.text.index("Creation log")


@pytest.fixture
def with_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page that examines images is there."""
    monkeypatch.setattr("berth.ui.console.Console.has", lambda _self, _path: True)


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, IMAGE),
        ({"image": "other.example.com/x:1"}, "other.example.com/x:1"),
        ({"image": "sha256:0"}, IMAGE),  # one that was built
        ({"devcontainer_path": "none.json"}, ""),
        ({"ref": "gone"}, ""),
        ({"devcontainer_path": ".devcontainer/built/devcontainer.json"}, ""),
    ],
)
@pytest.mark.usefixtures("with_doctor")
async def test_which_image_the_doctor_is_to_examine(console: ConsoleWorld, values: dict[str, str], image: str) -> None:
    browser, api, shop = await start(console)
    await codespaces.commit(api, shop, ".devcontainer/built/devcontainer.json", '{"build": {"dockerfile": "D"}}')
    name = await make_codespace(console, api, shop, **FAILED, **values)
    page = (await browser.get(f"/codespaces/{name}")).text
    assert re.findall(r'/doctor\?repo=octo%2Fshop&amp;image=([^"]*)"', page) == (
        [quote(image, safe="")] if image else []
    )


async def test_who_may_have_none_is_told_why(console: ConsoleWorld) -> None:
    browser, api, _ = await start(console)
    await console.berth.organization("acme", "octo")
    made = await api.post("/orgs/acme/repos", json={"name": "web", "private": True})
    assert made.status_code == 201, made.text
    denied = await api.put("/orgs/acme/codespaces/access", json={"visibility": "disabled"})
    assert denied.status_code == 204, denied.text
    page = await browser.get("/codespaces/new?repo=acme/web")
    assert (page.status_code, 'role="alert"' in page.text, "Create codespace" in page.text) == (200, True, False)


async def test_warnings_of_one_that_runs(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    now = SystemClock().now()
    hook = failed_hook_to_json(FailedHook(hook="postCreateCommand", exit_code=7, at=now))
    values = {**AVAILABLE, "failed_hook": hook, "stop_notice": "It was stopped.", "idle_timeout_minutes": 90}
    name = await make_codespace(console, api, shop, **values)
    page = (await browser.get(f"/codespaces/{name}")).text
    for shown in ("postCreateCommand ended with exit code 7.", "It was stopped.", "90 minutes without use"):
        assert shown in page
    assert f"berth codespace shell {name}" in page
    stopped = {**STOPPED, "retention_period_minutes": 60, "stopped_at": now - timedelta(minutes=30)}
    await codespaces.set_row(console, name, **stopped)
    page = (await browser.get(f"/codespaces/{name}")).text
    assert "unless it is started" in page


async def test_the_log_in_a_page_as_text_and_as_events(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    name = await make_codespace(console, api, shop, phase="provisioning")
    here = f"/codespaces/{name}"
    assert "Nothing has happened yet" in (await browser.get(here)).text
    await codespaces.log(
        console,
        name,
        ("phase", "Pulling it"),
        ("output", HOSTILE),
        codespaces.pulling(48_200_000),
        codespaces.pulling(0, 0),
        ("phase", HOSTILE),
    )
    page = (await browser.get(here)).text
    assert is_escaped(page)
    assert "48.2 MB of 112 MB, 3 of 7 layers" in page
    assert "codespace_log.js" in page
    after = re.search(rf'data-events="{here}/log/events\?after=(\d+)"', page)
    assert after is not None
    whole = await browser.get(f"{here}/log")
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.text.startswith("== Pulling it\n")
    assert ("\u202e" in whole.text, "\x1b" in whole.text) == (False, False)
    await codespaces.set_row(console, name, **AVAILABLE)
    assert "codespace_log.js" not in (await browser.get(here)).text
    events = await browser.get(f"{here}/log/events")
    assert events.headers["content-type"] == "text/event-stream; charset=utf-8"
    kinds = re.findall(r"event: (\w+)\ndata: (.*)\n\n", events.text)
    assert [kind for kind, _ in kinds] == ["phase", "output", "progress", "phase", "end"]
    assert json.loads(kinds[2][1])["text"] == "48.2 MB of 112 MB, 3 of 7 layers"
    assert json.loads(kinds[-1][1])["text"] == "Available"
    assert not re.search("[\u202e\x1b]", json.loads(kinds[1][1])["text"] + json.loads(kinds[3][1])["text"])
    rest = await browser.get(f"{here}/log/events?after={after[1]}")
    assert [kind for kind, _ in re.findall(r"event: (\w+)\ndata: (.*)\n\n", rest.text)] == ["end"]
    resumed = await browser.http.get(f"{here}/log/events?after=0", headers={"Last-Event-ID": after[1]})
    assert "event: phase" not in resumed.text


async def test_events_end_when_the_session_does(console: ConsoleWorld) -> None:
    """services/codespace_log.py; of a token: tests/rest/test_codespace.py."""
    logs = console.berth.services.codespace_logs
    logs.look_every_s, logs.still_here_s = 0.1, 0.05
    browser, api, shop = await start(console)
    name = await make_codespace(console, api, shop, phase="provisioning")
    coming = asyncio.ensure_future(browser.get(f"/codespaces/{name}/log/events"))
    await asyncio.sleep(0.5)
    assert not coming.done()
    await console.set_password("octo")  # ends all sessions
    async with asyncio.timeout(10):
        answer = await coming
    assert ": still here" in answer.text
    assert "event: end" not in answer.text


async def test_attack_a_user_follows_a_bounded_number_of_logs(
    console: ConsoleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each asks the database ten times a second. By the console and by the API they are counted together."""
    monkeypatch.setattr("berth.services.codespace._MAX_FOLLOWED", 1)
    browser, api, shop = await start(console)
    name = await make_codespace(console, api, shop, phase="provisioning")
    events, follow = f"/codespaces/{name}/log/events", f"/user/codespaces/{name}/logs?follow=1"
    coming = asyncio.ensure_future(browser.get(events))
    async with asyncio.timeout(10):
        while not console.berth.services.codespaces._following:
            await asyncio.sleep(0.05)
    refused = await api.get(follow)
    assert (refused.status_code, "as many as there may be" in refused.text) == (422, True)
    assert (await browser.get(events)).status_code == 422
    await codespaces.set_row(console, name, **AVAILABLE)
    async with asyncio.timeout(10):
        assert "event: end" in (await coming).text
    for again in (await browser.get(events), await api.get(follow)):  # the positive control
        assert (again.status_code, "event: end" in again.text) == (200, True)


async def test_a_page_holds_the_last_of_a_long_log(console: ConsoleWorld) -> None:
    browser, api, shop = await start(console)
    name = await make_codespace(console, api, shop, **AVAILABLE)
    lines = [("output", f"{number} " + "<" * 900) for number in range(700)]
    await codespaces.log(console, name, ("phase", "First"), ("phase", "Second"), *lines)
    page = (await browser.get(f"/codespaces/{name}")).text
    assert len(page) < 100_000
    for shown, is_there in (
        ("First", True),
        ("Second", True),
        ("699 &lt;", True),
        ("\n100 &lt;", False),
        ("… earlier", True),
    ):
        assert (shown in page) == is_there, shown


def test_what_is_no_phase_has_one() -> None:
    now = SystemClock().now()
    entries = [("output", "a"), ("phase", "b"), ("finding", "{}"), ("end", "")]
    found = phases_of(LogEntry(id=1, at=now, kind=kind, text=text) for kind, text in entries)
    assert [(phase.title, phase.lines) for phase in found] == [("Output", ["a"]), ("b", [])]


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "0 minutes"), (1, "1 minute"), (90, "90 minutes"), (60, "1 hour"), (240, "4 hours"), (43200, "30 days")],
)
def test_durations(minutes: int, words: str) -> None:
    assert format_minutes(minutes) == words

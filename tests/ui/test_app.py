"""What holds for every page: whose form it is, headers, problems, static files. Rules: ui/app.py."""

import re
from itertools import product

import pytest
from tests.ui.browser import ORIGIN, PASSWORD, ConsoleWorld

from berth.domain.scope import Scope
from berth.ui.app import Route
from berth.ui.console import NAVIGATION, SETTINGS
from berth.ui.routes import ROUTES
from berth.ui.static_files import read_static_files
from berth.ui.templates import SCOPE_MEANINGS

_CHANGES = [route for route in ROUTES if route.method != "GET"]


def fill(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "1", path)


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


async def test_what_changes_something_is_a_form_of_ours(console: ConsoleWorld) -> None:
    """CSRF, policy 1. The positive controls are all the tests that submit a form."""
    octo, eve = await console.person("octo"), await console.person("eve")
    own = (await octo.get("/settings/sessions")).text.partition('name="form_word" value="')[2][:64]
    other = (await eve.get("/settings/sessions")).text.partition('name="form_word" value="')[2][:64]
    good = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
    for route, (word, headers) in product(
        _CHANGES,
        (
            ("", good),
            (other, good),
            (own[:-1], good),
            (own, {**good, "Sec-Fetch-Site": "cross-site"}),
            (own, {**good, "Sec-Fetch-Site": "same-site"}),
            (own, {"Origin": "https://evil.example"}),
            (own, {"Origin": "null"}),
        ),
    ):
        answer = await octo.http.post(fill(route.path), data={"form_word": word}, headers=headers)
        assert answer.status_code == 403, (name_of(route), word == own, headers)
        assert "Nothing was done." in answer.text
    assert (await octo.get("/settings/sessions")).status_code == 200


async def test_every_answer_has_the_headers(console: ConsoleWorld) -> None:
    browser = console.browser()
    for route in ROUTES:
        answer = await browser.http.request(route.method, fill(route.path))
        check_headers(answer.headers)
        if not route.anonymous:
            assert answer.status_code == 303, name_of(route)
            assert answer.headers["location"].startswith("/login")


def check_headers(headers: object) -> None:
    assert isinstance(headers, dict) or headers is not None
    given = dict(headers)  # type: ignore[call-overload]
    csp = given["content-security-policy"]
    assert csp.startswith("default-src 'none'; ")
    assert "unsafe" not in csp
    assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} <= set(csp.split("; "))
    assert given["x-content-type-options"] == "nosniff"
    assert given["referrer-policy"] == "same-origin"
    assert given["cross-origin-opener-policy"] == "same-origin"
    assert given["cache-control"] == "no-store"


async def test_pages_hold_no_script_and_no_style_of_their_own(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    for path in ("/login", "/settings/sessions", "/settings/tokens/new", "/nowhere"):
        page = (await browser.get(path)).text
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=|javascript:", page)


@pytest.mark.parametrize("path", ["/nowhere", "/a/b/c", "/static/no.css", "/settings/tokens/1/revoke/x", "/a%00b"])
async def test_what_is_not_there_is_one_page(console: ConsoleWorld, path: str) -> None:
    browser = await console.person("octo")
    for who in (browser, console.browser()):
        answer = await who.get(path)
        assert answer.status_code == 404
        assert "It does not exist, or you may not see it." in answer.text
        check_headers(answer.headers)


async def test_a_form_that_is_none_is_refused(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    word = (await browser.get("/settings/sessions")).text.partition('name="form_word" value="')[2][:64]
    assert (await browser.http.post("/settings/tokens", json={"form_word": word})).status_code == 400
    big = {"form_word": word, "note": "x" * 300_000}
    assert (await browser.http.post("/settings/tokens", data=big)).status_code == 413
    nul = {"form_word": word, "note": "a\0b"}
    assert (await browser.http.post("/settings/tokens", data=nul)).status_code == 422
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for content in (b"\xff=\xff", b"a=%ff", b"&".join(b"a=1" for _ in range(3000))):
        assert (await browser.http.post("/settings/tokens", content=content, headers=headers)).status_code == 400
    assert (await browser.http.put("/settings/tokens", data={"form_word": word})).status_code == 404


async def test_a_form_after_the_session_is_over_leads_to_signing_in(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    page = await browser.get("/settings/sessions/end")
    await console.set_password("octo")
    answer = await browser.submit(page, "/settings/sessions/end")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_one_line_of_the_navigation_is_where_one_is(console: ConsoleWorld) -> None:
    octo = await console.person("octo")
    await console.berth.organization("acme", "octo")
    for path, name in (
        ("/codespaces/new", "Codespaces"),
        ("/registries/new", "Registries &amp; secrets"),
        ("/settings/secrets", "Registries &amp; secrets"),
        ("/settings/secrets/new", "Registries &amp; secrets"),
        ("/settings/sessions", "Settings"),
        ("/orgs/acme", None),
        ("/settingsx", None),
    ):
        main = (await octo.get(path)).text.partition('<nav class="tabs" aria-label="Main">')[2].partition("</nav>")[0]
        assert re.findall(r'aria-current="page">([^<]+)<', main) == ([] if name is None else [name]), path


async def test_the_first_page(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    assert (await console.browser().get("/")).headers["location"] == "/login"
    first = (await browser.get("/")).headers["location"]
    assert (await browser.get(first)).status_code == 200
    assert (await browser.get("/login")).headers["location"] == "/"
    assert (await browser.get("/settings")).headers["location"] == "/settings/account"


async def test_a_remark_is_shown_only_to_whom_it_was_left(console: ConsoleWorld) -> None:
    octo, eve = await console.person("octo"), await console.person("eve")
    await octo.submit("/settings/tokens/new", "/settings/tokens", {"note": "x", "scopes": "repo"})
    page = await octo.get("/settings/tokens")
    revoke = re.findall(r'href="(/settings/tokens/\d+/revoke)"', page.text)[0]
    await octo.submit(revoke, revoke)
    cookie = octo.http.cookies.get("__Host-berth-remark")
    assert cookie is not None
    for browser, value, shown in ((eve, cookie, False), (octo, f"A{cookie}", False), (octo, cookie, True)):
        browser.http.cookies.set("__Host-berth-remark", value, domain="berth.test", path="/")
        assert ("The token was revoked." in (await browser.get("/settings/tokens")).text) == shown


async def test_static_files_are_kept_for_good_under_their_own_hash(console: ConsoleWorld) -> None:
    browser = console.browser()
    page = (await browser.get("/login")).text
    found = re.search(r'href="(/static/style\.css\?v=[0-9a-f]{16})"', page)
    assert found
    answer = await browser.get(found[1])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    stale = await browser.get("/static/style.css?v=0")
    assert stale.headers["cache-control"] == "no-cache"
    same = await browser.http.get("/static/style.css", headers={"If-None-Match": stale.headers["etag"]})
    assert same.status_code == 304
    assert (await browser.get("/favicon.ico")).headers["content-type"] == "image/svg+xml"
    octo = await console.person("octo")  # outside of /static is what may be a repository
    for path in ("/static/../templates/base.html", "/static/%2e%2e/app.py", "/static/"):
        assert (await octo.get(path)).status_code == 404


def test_static_files_are_small() -> None:
    files = read_static_files()
    assert sum(len(file.content) for file in files._files.values()) < 100_000


def test_what_stands_in_tables_is_whole() -> None:
    assert set(SCOPE_MEANINGS) == set(Scope)
    paths = {route.path for route in ROUTES}
    assert any(entry.path in paths for entry in SETTINGS)
    assert len({entry.path for entry in (*NAVIGATION, *SETTINGS)}) == len(NAVIGATION) + len(SETTINGS)
    assert PASSWORD

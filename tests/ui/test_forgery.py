"""Requests that another site makes a browser send: whatever shape they have, nothing happens. Rules: ui/app.py.

That each route wants the word of our form, and of this very browser, is in test_app.py; WebSockets: test_codespace_terminal.py.
"""

import httpx
import pytest
from tests.ui.browser import ORIGIN, PASSWORD, Browser, ConsoleWorld

from berth.ui.routes import ROUTES

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
_OURS = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
_TOKEN = "/settings/tokens"
_NOTE = "made-by-forgery"


async def word_of(browser: Browser, path: str = "/settings/sessions") -> str:
    return (await browser.get(path)).text.partition('name="form_word" value="')[2][:64]


async def is_made(browser: Browser) -> bool:
    return _NOTE in (await browser.get(_TOKEN)).text


def body(word: str) -> str:
    return f"form_word={word}&note={_NOTE}&scopes=repo&expires=30"


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("text/plain", id="what a form of another site can send without a preflight"),
        pytest.param("multipart/form-data; boundary=form_word", id="the other kind"),
        pytest.param("application/json", id="JSON"),
        pytest.param("application/x-www-form-urlencoded+json", id="nearly"),
        pytest.param("", id="none"),
    ],
)
async def test_a_body_of_another_kind_is_no_form(console: ConsoleWorld, content_type: str) -> None:
    octo = await console.person("octo")
    content = body(await word_of(octo)).encode()
    answer = await octo.http.post(_TOKEN, content=content, headers={**_OURS, "Content-Type": content_type})
    assert answer.status_code == 400
    assert not await is_made(octo)
    good = {**_OURS, "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert (await octo.http.post(_TOKEN, content=content, headers=good)).is_success
    assert await is_made(octo), "the control"


async def test_the_word_stands_in_the_body(console: ConsoleWorld) -> None:
    """Not in an address, which is written down in many places, nor in a header or a cookie."""
    octo = await console.person("octo")
    word = await word_of(octo)
    fields = {"note": _NOTE, "scopes": "repo"}
    octo.http.cookies.set("form_word", word, domain="berth.test", path="/")
    headers = {**_OURS, "X-CSRF-Token": word, "Form-Word": word}
    answer = await octo.http.post(_TOKEN, params={"form_word": word}, data=fields, headers=headers)
    assert answer.status_code == 403
    assert not await is_made(octo)


@pytest.mark.parametrize(("method", "name"), [("GET", "POST"), ("POST", "GET"), ("HEAD", "POST"), ("POST", "DELETE")])
async def test_nothing_overrides_the_method(console: ConsoleWorld, method: str, name: str) -> None:
    octo = await console.person("octo")
    headers = {"X-HTTP-Method-Override": name, "X-HTTP-Method": name, "X-Method-Override": name}
    query = {"_method": name, "note": _NOTE, "scopes": "repo", "form_word": await word_of(octo)}
    sent = query if method == "POST" else None
    answer = await octo.http.request(
        method, _TOKEN, params=query, data={**sent, "form_word": ""} if sent else None, headers=headers
    )
    assert answer.status_code == (403 if method == "POST" else 200)
    assert not await is_made(octo)


async def test_a_link_changes_nothing(console: ConsoleWorld) -> None:
    """What is a POST is not a GET as well, whatever stands in the address; nor is any other method more than that."""
    octo = await console.person("octo")
    word = await word_of(octo)
    shown = {route.path for route in ROUTES if route.method == "GET"}
    for route in ROUTES:
        if route.method == "POST":
            path = route.path.replace("{", "").replace("}", "").replace(":path", "")
            methods = ["PUT", "PATCH", "DELETE", *(["GET"] if route.path not in shown else [])]
            for method in methods:
                answer = await octo.http.request(method, path, params={"form_word": word}, headers=_OURS)
                assert answer.status_code in {404, 405}, f"{method} {path}"
    assert (await octo.get("/settings/sessions")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=["a sandboxed frame", "another site", "a sister domain"],
)
async def test_nobody_else_signs_one_out_or_in(console: ConsoleWorld, headers: dict[str, str]) -> None:
    octo, eve = await console.person("octo"), await console.person("eve")
    for word in ("", await word_of(eve), await word_of(octo)):
        assert (await octo.http.post("/logout", data={"form_word": word}, headers=headers)).status_code == 403
    assert (await octo.get("/settings/sessions")).status_code == 200
    visitor = console.browser()
    mine = await word_of(visitor, "/login")
    login = {"login": "eve", "password": PASSWORD}
    for word in ("", await word_of(console.browser(), "/login"), mine):
        answer = await visitor.http.post("/login", data={**login, "form_word": word}, headers=headers)
        assert answer.status_code == 403
        assert visitor.session is None
    other = await word_of(console.browser(), "/login")
    assert (await visitor.http.post("/login", data={**login, "form_word": other}, headers=_OURS)).status_code == 403
    assert (await visitor.http.post("/login", data={**login, "form_word": mine}, headers=_OURS)).status_code == 303
    await octo.submit("/settings/sessions", "/logout")
    assert octo.session is None, "the control"


async def test_the_cookie_opens_the_console_and_nothing_else(console: ConsoleWorld) -> None:
    """The API has no words of forms: a cookie that it took could be used by any site."""
    octo = await console.person("octo")
    asked: list[httpx.Response] = [
        await octo.http.get("/api/v3/user"),
        await octo.http.post("/api/v3/user/repos", json={"name": "x"}, headers=_OURS),
        await octo.http.post("/api/v3/user/repos", content=b'{"name": "x"}', headers={"Content-Type": "text/plain"}),
        await octo.http.post("/api/graphql", json={"query": "{viewer {login}}"}),
    ]
    assert [answer.status_code for answer in asked] == [401] * len(asked)
    assert (await octo.get("/settings/sessions")).status_code == 200, "the control"


async def test_other_origins_are_told_nothing(console: ConsoleWorld) -> None:
    """No CORS, and no frames, for who is signed in as well."""
    octo = await console.person("octo")
    evil = {"Origin": "https://evil.example"}
    for route in ROUTES:
        path = route.path.replace("{", "").replace("}", "").replace(":path", "")
        if path.endswith("/events"):
            continue
        preflight = {**evil, "Access-Control-Request-Method": route.method}
        for answer in (
            await octo.http.request(route.method, path, headers=evil),
            await octo.http.options(path, headers=preflight),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control-")], path
            assert answer.headers["x-frame-options"] == "DENY", path
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], path

"""Settings → Tokens."""

import re

from tests.ui.browser import ConsoleWorld

from berth.domain.secret_text import SecretText
from berth.domain.session import Visitor

_PATH = "/settings/tokens"


async def test_a_token_is_made_shown_once_used_and_revoked(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    values = {"note": "laptop", "scopes": ["repo", "user"], "expires": "90"}
    made = await browser.submit(f"{_PATH}/new", _PATH, values)
    assert made.status_code == 200
    token = re.findall(r"ghp_[0-9A-Za-z]{36}", made.text)
    assert len(token) == 1
    client = console.berth.client(token[0])
    assert (await client.get("/user")).json()["login"] == "octo"
    listed = await browser.get(_PATH)
    assert token[0] not in listed.text
    assert "laptop" in listed.text
    assert "expires <time" in listed.text
    revoke = re.findall(rf'href="({_PATH}/\d+/revoke)"', listed.text)[0]
    gone = await browser.submit(revoke, revoke)
    assert gone.headers["location"] == _PATH
    assert "The token was revoked." in (await browser.get(_PATH)).text
    assert (await client.get("/user")).status_code == 401
    page = await browser.get("/settings/sessions")
    assert (await browser.submit(await browser.get(revoke), revoke)).status_code == 404
    assert page.status_code == 200


async def test_a_mistake_shows_the_form_again_with_what_was_typed(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    values = {"note": "<b>x</b>" * 40, "scopes": ["repo"], "expires": "7"}
    answer = await browser.submit(f"{_PATH}/new", _PATH, values)
    assert answer.status_code == 422
    assert "at most 200 characters" in answer.text
    assert 'aria-invalid="true" aria-describedby="problem"' in answer.text
    assert "&lt;b&gt;x&lt;/b&gt;" in answer.text
    assert "<b>x" not in answer.text
    assert 'value="repo" checked' in answer.text
    assert '<option value="7" selected>' in answer.text
    for days in ("never ever", "8", "", "-1"):
        answer = await browser.submit(f"{_PATH}/new", _PATH, {"note": "x", "expires": days})
        assert answer.status_code == 422


async def test_only_a_site_administrator_gives_that_scope(console: ConsoleWorld) -> None:
    browser, admin = await console.person("octo"), await console.set_password("admin")
    values = {"note": "x", "scopes": ["site_admin"], "expires": "never"}
    assert "site_admin" not in (await browser.get(f"{_PATH}/new")).text
    assert (await browser.submit(f"{_PATH}/new", _PATH, values)).status_code == 403
    assert (await admin.submit(f"{_PATH}/new", _PATH, values)).status_code == 200


async def test_a_list_of_more_than_a_page(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    visitor = Visitor(address="192.0.2.7", user_agent="")
    known = await console.berth.services.sessions.find(SecretText(browser.session or ""), visitor)
    assert known is not None
    for number in range(31):
        await console.berth.services.access_tokens.create_own(known.subject, f"note {number}", ["repo"], None)
    first, second = await browser.get(_PATH), await browser.get(f"{_PATH}?page=2")
    assert first.text.count('<li>\n<div class="row-main">') == 30
    assert "Page 1 of 2" in first.text
    assert f'rel="next" href="{_PATH}?page=2"' in first.text
    assert f'rel="prev" href="{_PATH}?page=1"' in second.text
    assert len(first.content) < 100_000

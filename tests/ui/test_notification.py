"""Settings → Notifications. Rules: domain/notification.py."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update
from tests.ui.browser import Browser, ConsoleWorld

from berth.adapters.store import tables
from berth.domain.access_token import TokenKind
from berth.domain.lifecycle import Desired
from berth.domain.notification import FAILED, SOON, WITHHELD

_PATH = "/settings/notifications"


async def count(browser: Browser) -> int:
    """What the navigation says."""
    found = re.search(r'Settings <span class="count">(\d+)', (await browser.get("/settings/sessions")).text)
    return int(found[1]) if found else 0


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (SOON - timedelta(hours=1), "expires soon"),
        (timedelta(hours=1), "expires soon"),
        (-timedelta(hours=1), "expired"),
        (-SOON + timedelta(hours=1), "expired"),
        (-SOON - timedelta(hours=1), ""),
        (SOON + timedelta(hours=1), ""),
        (None, ""),
    ],
)
async def test_a_token_is_told_of_around_its_end(console: ConsoleWorld, left: timedelta | None, said: str) -> None:
    """Rule 1."""
    octo, eve = await console.person("octo"), await console.person("eve")
    assert await count(octo) == 0
    assert "Nothing to tell" in (await octo.get(_PATH)).text
    async with console.berth.store.begin() as connection:
        where = tables.accounts.c.login == "octo"
        octo_id = (await connection.execute(select(tables.accounts.c.id).where(where))).scalar_one()
        await connection.execute(
            update(tables.access_tokens)
            .where(tables.access_tokens.c.account_id == octo_id)
            .values(note="<b>laptop", expires_at=None if left is None else datetime.now(UTC) + left)
        )
    page = (await octo.get(_PATH)).text
    assert ("&lt;b&gt;laptop" in page) == bool(said)
    assert said in page
    assert (await count(octo), await count(eve)) == (int(bool(said)), 0)


@pytest.mark.parametrize(
    ("told", "desired", "said"),
    [
        (FAILED, Desired.RUNNING, "could not be renewed: the old ones last"),
        ("AWS refuses <the> keys.\nA second line.", Desired.RUNNING, "AWS refuses &lt;the&gt; keys."),
        (FAILED, Desired.STOPPED, ""),
        (None, Desired.RUNNING, ""),
        (f"{WITHHELD}: they go only to others.", Desired.RUNNING, ""),
    ],
)
async def test_a_codespace_is_told_of_while_its_credentials_are_not_fresh(
    console: ConsoleWorld, told: str | None, desired: Desired, said: str
) -> None:
    """Rule 2."""
    octo, eve = await console.person("octo"), await console.person("eve")
    client = console.berth.client(await console.berth.token("octo", "repo", "codespace"))
    await client.post("/user/repos", json={"name": "web"})
    await client.put("/repos/octo/web/contents/a", json={"message": "m", "content": "YQ=="})
    made = await client.post("/repos/octo/web/codespaces", json={})
    assert made.status_code == 201, made.text
    async with console.berth.store.begin() as connection:
        name = made.json()["name"]
        where = tables.codespaces.c.name == name
        codespace = (await connection.execute(select(tables.codespaces.c.id).where(where))).scalar_one()
        await connection.execute(update(tables.codespaces).where(where).values(desired=desired))
        row = {"generation": 1, "seen": 1, "epoch": 0, "attempts": 0, "codespace_id": codespace}
        await connection.execute(insert(tables.credential_refreshes).values(**row, said=told))
    page = (await octo.get(_PATH)).text
    assert (f"/codespaces/{name}" in page) == bool(said)
    assert said in page
    assert (await count(octo), await count(eve)) == (int(bool(said)), 0)


async def test_other_tokens_are_nobodys_business(console: ConsoleWorld) -> None:
    """Those of codespaces and workflows are renewed by the server."""
    octo = await console.person("octo")
    async with console.berth.store.begin() as connection:
        await connection.execute(
            update(tables.access_tokens).values(kind=TokenKind.WORKFLOW, expires_at=datetime.now(UTC))
        )
    assert await count(octo) == 0

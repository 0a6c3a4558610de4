"""An organization's audit log: what was looked for, and paging by id."""

import re

import pytest
from sqlalchemy import insert
from tests.ui.browser import Browser, ConsoleWorld

from berth.adapters.store.tables import audit_log
from berth.edge.asked import PER_PAGE

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>\u202e' + "x" * 200


async def olga_of(console: ConsoleWorld) -> Browser:
    """With forty rows of the server itself, and a hostile one."""
    await console.berth.user("olga")
    organization = await console.berth.organization("acme", "olga")
    at = console.berth.services.sessions._clock.now()
    row = {"at": at, "actor_id": None, "actor_login": "", "account_id": organization["id"], "detail": ""}
    rows = [{**row, "action": "codespace.expire", "target": f"acme/n{number:02}"} for number in range(40)]
    async with console.berth.store.begin() as connection:
        await connection.execute(insert(audit_log), rows)
        await connection.execute(insert(audit_log), [{**row, "action": "x", "target": HOSTILE, "detail": HOSTILE}])
    return await console.set_password("olga")


async def test_the_log_is_shown_escaped_and_paged_by_id(console: ConsoleWorld) -> None:
    olga = await olga_of(console)
    first = await olga.get("/orgs/acme/audit")
    assert "<script>alert" not in first.text
    assert "&lt;script&gt;alert" in first.text
    assert first.text.count("<li><div") == PER_PAGE
    assert "acme/n39" in first.text
    older = re.findall(r'href="(/orgs/acme/audit\?before=\d+)">Older', first.text)[0]
    second = await olga.get(older)
    assert "acme/n00" in second.text
    assert "acme/n39" not in second.text
    assert "organization.create" in second.text
    assert "Older" not in second.text
    assert "Newest" in second.text
    assert len(first.content) < 100_000


@pytest.mark.parametrize(
    ("query", "found", "missing"),
    [
        ("action=codespace", "acme/n39", "organization.create"),
        ("action=organization.create", "organization.create", "acme/n39"),
        ("actor=admin", "organization.create", "acme/n39"),
        ("target=N07", "acme/n07", "acme/n08"),
        ("target=%25", "Nothing found", "acme/n07"),
        ("since=2020-01-01&until=2999-12-31&target=n07", "acme/n07", "Nothing found"),
        ("until=2020-01-01", "Nothing found", "acme/n39"),
        ("since=2999-01-01", "Nothing found", "acme/n39"),
    ],
)
async def test_what_is_looked_for(console: ConsoleWorld, query: str, found: str, missing: str) -> None:
    olga = await olga_of(console)
    page = (await olga.get(f"/orgs/acme/audit?{query}")).text
    assert found in page
    assert missing not in page
    assert "Show all" in page


async def test_a_filter_goes_on_to_older_rows_and_a_bad_day_is_told(console: ConsoleWorld) -> None:
    olga = await olga_of(console)
    first = (await olga.get("/orgs/acme/audit?action=codespace")).text
    assert re.search(r"\?action=codespace&amp;before=\d+\">Older", first)
    for query in ("since=yesterday", "until=9999-12-31", "since=2026-02-30"):
        answer = await olga.get(f"/orgs/acme/audit?{query}")
        assert answer.status_code == 422
        assert "A day is written as" in answer.text
        assert 'aria-invalid="true"' in answer.text
    assert (await olga.get("/orgs/acme/audit?before=x&actor=%22%3E%3Cscript%3Ealert")).status_code == 200

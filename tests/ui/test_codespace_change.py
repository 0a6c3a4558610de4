"""Changing a codespace that is there: its display name, and which machine it has from its next start on."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from tests.ui.browser import ORIGIN, Browser, ConsoleWorld, forms_of, make_console
from tests.ui.codespaces import AVAILABLE, HOSTILE, STOPPED, client_of, make_codespace, make_repository, set_row

from berth.adapters.store.database import Store
from berth.adapters.store.tables import audit_log
from berth.domain.machine import parse_machines
from berth.ui.form import FORM_WORD

MACHINES = parse_machines(
    """[{"name": "small", "display_name": "Small \\"<b>", "cpus": 2, "memory_gb": 4},
    {"name": "large", "cpus": 8, "memory_gb": 32}]"""
)


@pytest.fixture
async def console(store: Store, tmp_path: Path) -> AsyncIterator[ConsoleWorld]:
    async with make_console(tmp_path, store, machines=MACHINES) as made:
        yield made


async def start(console: ConsoleWorld, **values: object) -> tuple[Browser, httpx.AsyncClient, str]:
    """octo's browser, his client, the path of his codespace."""
    browser = await console.person("octo")
    api = await client_of(console, "octo")
    name = await make_codespace(console, api, await make_repository(api), **{**AVAILABLE, **values})
    return browser, api, f"/codespaces/{name}"


async def shown(api: httpx.AsyncClient, here: str) -> tuple[str, str]:
    """Display name and machine, as the API has them."""
    found = (await api.get(f"/user{here}")).json()
    return found["display_name"], found["machine"]["name"]


def fields_of(page: httpx.Response, action: str) -> tuple[list[str], list[str]]:
    fields = next(form for form in forms_of(page) if form.action == action).fields
    return fields["display_name"], fields.get("machine", [])


async def test_another_name_and_another_machine(console: ConsoleWorld) -> None:
    browser, api, here = await start(console, display_name="Old")
    assert f'href="{here}/change"' in (await browser.get(here)).text
    page = await browser.get(f"{here}/change")
    assert fields_of(page, f"{here}/change") == (["Old"], ["small"])
    assert "<b>" not in page.text
    renamed = await browser.submit(page, f"{here}/change", {"display_name": "  <script>hit()</script>  "})
    assert renamed.headers["location"] == here
    assert await shown(api, here) == ("<script>hit()</script>", "small")
    page = await browser.get(here)
    assert ("<script>hit()" in page.text, "It was changed." in page.text) == (False, True)
    await browser.submit(f"{here}/change", f"{here}/change", {"machine": "large"})
    assert await shown(api, here) == ("<script>hit()</script>", "large")
    assert "it has the new machine from its next start on" in (await browser.get(here)).text
    for same in ({}, {"display_name": " ", "machine": ""}):
        await browser.submit(f"{here}/change", f"{here}/change", same)
        assert "Nothing was changed." in (await browser.get(here)).text
    assert await shown(api, here) == ("<script>hit()</script>", "large")
    async with console.berth.store.read() as connection:
        statement = select(audit_log.c.detail).where(audit_log.c.action == "codespace.update").order_by(audit_log.c.id)
        assert list((await connection.execute(statement)).scalars()) == ["display_name", "machine"]


async def test_when_another_machine_comes(console: ConsoleWorld) -> None:
    browser, _api, here = await start(console)
    assert "with the next start: stop the codespace and start it again" in (await browser.get(f"{here}/change")).text
    await set_row(console, here.rpartition("/")[2], **STOPPED)
    assert "Another one comes with the next start.</small>" in (await browser.get(f"{here}/change")).text


async def test_a_machine_that_is_not_offered_any_more_stays_unless_another_is_chosen(console: ConsoleWorld) -> None:
    browser, api, here = await start(console, machine="gone")
    page = await browser.get(f"{here}/change")
    assert fields_of(page, f"{here}/change")[1] == [""]
    assert "gone, which it had, is not offered any more." in page.text
    await browser.submit(page, f"{here}/change", {"display_name": "New"})
    assert "gone, which it had, is not offered any more." in (await browser.get(f"{here}/change")).text
    await browser.submit(f"{here}/change", f"{here}/change", {"machine": "large"})
    assert await shown(api, here) == ("New", "large")


@pytest.mark.parametrize(
    ("values", "said", "field"),
    [
        pytest.param({"display_name": "w" * 49}, "at most 48 characters", "display_name", id="a long name"),
        pytest.param(
            {"display_name": "a\u202eb"}, "no control characters", "display_name", id="a mark that turns text"
        ),
        pytest.param({"display_name": HOSTILE}, "at most 48 characters", "display_name", id="markup"),
        pytest.param({"machine": "huge"}, "There is no machine", "machine", id="an unknown machine"),
        pytest.param({"machine": '"><b>'}, "There is no machine", "machine", id="markup for a machine"),
    ],
)
async def test_a_bad_value_comes_back_marked(
    console: ConsoleWorld, values: dict[str, str], said: str, field: str
) -> None:
    browser, api, here = await start(console, display_name="Old")
    given = {"display_name": "Typed", "machine": "large", **values}
    answer = await browser.submit(f"{here}/change", f"{here}/change", given)
    assert (answer.status_code, said in answer.text) == (422, True)
    assert f'id="{field}" name="{field}"' in answer.text
    [marked] = [tag for tag in answer.text.split("<") if 'aria-invalid="true" aria-describedby="problem"' in tag]
    assert f'id="{field}"' in marked
    assert fields_of(answer, f"{here}/change")[0] == [given["display_name"]]
    assert not any(tag in answer.text for tag in ("<img src=x", "<b>", "<script>alert"))
    assert await shown(api, here) == ("Old", "small"), "nothing of it was stored"


async def test_attack_somebody_elses_is_as_one_that_is_not_there(console: ConsoleWorld) -> None:
    browser, api, here = await start(console, display_name="Old")
    eve = await console.person("eve")
    word = forms_of(await eve.get("/settings/account"))[0].fields[FORM_WORD][0]
    headers = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
    answers = []
    for path in (here, "/codespaces/eve-none"):
        looked = await eve.get(f"{path}/change")
        sent = await eve.http.post(f"{path}/change", data={FORM_WORD: word, "display_name": "x"}, headers=headers)
        answers.append([(each.status_code, each.text.replace(path, "-")) for each in (looked, sent)])
    assert answers[0] == answers[1]
    assert [status for status, _ in answers[0]] == [404, 404]
    assert await shown(api, here) == ("Old", "small")
    await browser.submit(f"{here}/change", f"{here}/change", {"display_name": "x"})
    assert await shown(api, here) == ("x", "small"), "the control"

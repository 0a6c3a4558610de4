"""Every page of the console, in a real browser and by its queries. The table: pages.py."""

import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page
from starlette.responses import Response
from tests.counting import counting
from tests.rest.grown import grow
from tests.ui.browser import Browser
from tests.ui.chromium import PHONE, Window, open_window
from tests.ui.pages import EXCUSED, PAGES
from tests.ui.pictured import Pictured, make_pictured, paths_of_pages

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.store.database import Store
from berth.ui.app import Route, make_ui_app
from berth.ui.page import Page as ConsolePage

pytestmark = pytest.mark.asyncio(loop_scope="module")
_MOST_BYTES = 100_000
_AXE = "async rules => (await axe.run(document, {resultTypes: ['violations'], ...rules})).violations"
_THEMES = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}  # the rest has no colours


@asynccontextmanager
async def pictured_in(template: Path) -> AsyncIterator[Pictured]:
    """The world on a database in memory."""
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        shutil.copy(template, f"{folder}/berth.db")
        store = Store(f"sqlite:///{folder}/berth.db")
        try:
            async with make_pictured(Path(folder), store) as pictured:
                yield pictured
        finally:
            await store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(sqlite_template: Path) -> AsyncIterator[Window]:
    async with pictured_in(sqlite_template) as pictured, open_window(pictured) as made:
        yield made


async def test_every_page_is_in_the_table() -> None:
    shown = {page.path for page in PAGES if page.status == 200}
    assert paths_of_pages() - shown - EXCUSED.keys() == set(), "add a line to tests/ui/pages.py"
    assert shown <= paths_of_pages()
    assert not EXCUSED.keys() & shown
    assert len({page.name for page in PAGES}) == len(PAGES)


def _told(violations: list[dict[str, Any]]) -> list[str]:
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:200]} {node.get('failureSummary', '')}"
        for each in violations
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"][:3]
    ]


async def _look(page: Page, name: str) -> list[str]:
    """Accessible in both themes, and nothing to scroll sideways on a phone."""
    wrong = []
    for theme, rules in _THEMES.items():
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        wrong += [f"{name}, {theme}: {text}" for text in _told(await page.evaluate(_AXE, rules))]
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    width = await page.evaluate("document.documentElement.scrollWidth")
    return wrong if width <= PHONE[0] else [*wrong, f"{name} is {width} wide on a phone"]


@pytest.mark.timeout(180)
async def test_every_page_in_a_browser(window: Window) -> None:
    wrong = []
    for shown in PAGES:
        page = await window.show(shown)
        wrong += await _look(page, shown.name)
        wrong += [f"{shown.name}: {text}" for text in window.complaints]
        if await page.locator("h1").count() != 1:
            wrong.append(f"{shown.name} has not one first heading")
    assert wrong == []


async def test_what_the_browser_has_against_a_page_is_found(window: Window) -> None:
    """The positive control of the test above."""
    page = await window.show(PAGES[0])
    await page.evaluate(
        """() => {
            document.querySelector('label').remove();
            document.querySelector('main').insertAdjacentHTML('beforeend',
                '<img src="x" onerror="alert(1)">');
            document.querySelector('.brand').textContent = 'x'.repeat(300);
        }"""
    )
    found = await _look(page, "login")
    assert any("label (critical)" in text for text in found)
    assert any("wide on a phone" in text for text in found)
    assert any("Content Security Policy" in text for text in window.complaints)


async def _get(browser: Browser, url: str, status: int) -> tuple[httpx.Response, list[str]]:
    with counting() as sent:
        answer = await browser.get(url)
    assert answer.status_code == status, f"{url}: {answer.text[:500]}"
    return answer, sent


async def _ask_all(pictured: Pictured) -> dict[str, list[str]]:
    """The queries of each page; none is large, and what strangers wrote is text in it."""
    found = {}
    for shown in PAGES:
        url = pictured.url(shown.path, shown.values, shown.query)
        browser = pictured.browsers[shown.viewer]
        answer, found[shown.name] = await _get(browser, url, shown.status)
        assert len(answer.content) < _MOST_BYTES, f"{shown.name} has {len(answer.content)} bytes"
        assert not re.search(r"<script(?![^>]*src=)|<img src=x", answer.text), shown.name
    return found


@pytest.mark.timeout(120)
async def test_a_page_asks_as_much_of_few_rows_as_of_many(sqlite_template: Path) -> None:
    async with pictured_in(sqlite_template) as pictured:
        few = await _ask_all(pictured)
        await grow(pictured.seeded)
        many = await _ask_all(pictured)
    for name, sent in many.items():
        assert len(sent) == len(few[name]), f"{name}: {len(few[name])} queries, then {len(sent)}:\n" + "\n".join(sent)


async def test_a_query_for_each_row_is_found(window: Window) -> None:
    """The positive control of the test above."""

    async def list_slowly(page: ConsolePage) -> Response:
        found, _total = await page.services.accounts.list_users(page.user, limit=int(page.query("limit")), offset=0)
        views = [await page.services.accounts.get(page.user, user.login) for user in found]
        return await page.render("problem.html", status=200, title="x", message=str(len(views)), remedy="")

    services = window.pictured.console.berth.services
    routes = (Route("GET", "/slow", list_slowly),)
    app = make_ui_app(services, routes, clock=SystemClock(), entropy=SystemEntropy(), external_url=None)
    browser = Browser(app)
    browser.http.cookies = window.pictured.browsers["octo"].http.cookies
    few, many = [len((await _get(browser, f"/slow?limit={limit}", 200))[1]) for limit in (2, 8)]
    assert many - few >= 6

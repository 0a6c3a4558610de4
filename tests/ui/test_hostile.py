"""What strangers write is text on every page: in a real browser that is not protected by our content security policy.

The walk begins at every page without parameters, and follows the links that it finds; each kind of page is also asked with
hostile values in its query, and its forms are sent with hostile values in all fields.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, Page, expect
from sqlalchemy import String, insert, select
from starlette.routing import compile_path
from tests.rest.seeded import Seeded
from tests.ui.browser import Browser, forms_of
from tests.ui.chromium import serve, start_chromium
from tests.ui.hostile import ALSO, HOSTILE, OURS, WRITTEN, make_hostile

from berth.adapters.store import tables
from berth.adapters.store.database import Store
from berth.ui.routes import ROUTES

pytestmark = pytest.mark.timeout(180)
_in_module = pytest.mark.asyncio(loop_scope="module")

_TAGS = (Path(__file__).parents[2] / "src/berth/ui/templates").glob("*.html")
_KNOWN = sorted({tag for path in _TAGS for tag in re.findall(r"<([a-z][a-z0-9]*)", path.read_text())} | {"time"})
# The document; what is in it that our templates do not make, as sentences.
_CHECK = """([root, known, origin]) => {
    const wrong = [];
    const plain = root.contentType === 'text/plain';  // which the browser shows in a document of its own
    for (const element of root.querySelectorAll('*')) {
        if (element.closest('.xterm')) continue;
        const name = element.localName;
        if (!known.includes(name)) wrong.push(`<${name}>: ${element.outerHTML.slice(0, 120)}`);
        if (name === 'script' && !element.getAttribute('src')) wrong.push('a script in the page');
        for (const attribute of element.attributes) {
            if (!/^[a-z][a-z0-9-]*$/.test(attribute.name) || /^on|^style$/.test(attribute.name) && !plain)
                wrong.push(`${attribute.name} of <${name}>`);
            if (['href', 'src', 'action', 'formaction'].includes(attribute.name)
                && new URL(attribute.value, origin).origin !== origin) wrong.push(`${attribute.name}=${attribute.value}`);
        }
    }
    if (globalThis.hits) wrong.push('a script ran');
    return wrong;
}"""
_IN_PAGE = f"([known, origin]) => ({_CHECK})([document, known, origin])"
_IN_TEXT = f"([text, known, origin]) => ({_CHECK})([new DOMParser().parseFromString(text, 'text/html'), known, origin])"
_HIT = "globalThis.hits = 0; globalThis.hit = () => { globalThis.hits += 1; };"
_ENDS = re.compile(r"logout|delete|remove|revoke|/end$|stop$|visibility|restore$")
_KINDS = {route.path: compile_path(route.path)[0] for route in ROUTES if route.method == "GET"}
# Kinds of pages that no link leads to, as far as there is something to see.
_UNLINKED = {"/login/invitation/{value}", "/codespaces/{name}/log/events", "/login"}
# Some of those that show what strangers wrote.
_MEANT = {
    *(
        "/codespaces",
        "/codespaces/{name}",
        "/codespaces/{name}/change",
        "/codespaces/{name}/log",
        "/orgs/{org}/audit",
        "/orgs/{org}/teams/{team_slug}",
    ),
    *("/packages/{owner}/{name:path}/-/versions/{id}", "/settings/sessions", "/settings/tokens", "/orgs/{org}/people"),
    *(
        "/{owner}/{repo}",
        "/orgs/{org}/settings/codespace-policies/{policy_name}",
        "/settings/notifications",
    ),
}


@dataclass
class Walk:
    """One browser's way through the console."""

    page: Page
    origin: str
    octo: Browser
    seeded: Seeded
    chromium: Chromium
    seen: dict[str, list[str]] = field(default_factory=dict)  # kind of page: addresses
    wrong: list[str] = field(default_factory=list)
    status: int = 0

    async def look(self, path: str) -> list[str]:
        """Its links within the console."""
        answer = await self.page.goto(f"{self.origin}{path}", wait_until="load")
        assert answer is not None
        self.status = answer.status
        assert self.status < 500, f"{path}: {self.status}"
        self.wrong += [f"{path}: {text}" for text in await self.page.evaluate(_IN_PAGE, [_KNOWN, self.origin])]
        found = await self.page.evaluate("[...document.links].map(link => link.getAttribute('href'))")
        return [link for link in found if link.startswith("/")]

    async def everywhere(self) -> None:
        """A page of each kind, and those that are named here."""
        running = self.seeded.values["name"]
        named = [
            *(route.path for route in ROUTES if route.method == "GET" and "{" not in route.path),
            *(f"/codespaces/{name}" for name in ("failed", f"{running}/terminal", "busy", running)),
            *("/acme/web", "/users/octo/packages", "/packages/octo/app", "/packages/acme/tagged"),
            *("/packages/acme/retired/-/restore", "/packages/acme/tools/dev/-/settings/inherit"),
        ]
        left = [*named]
        while left:
            path = left.pop(0)
            kind = kind_of(path)
            if kind is None or kind.endswith("/events") or (kind in self.seen and path not in named):
                continue
            if path in self.seen.setdefault(kind, []):
                continue
            self.seen[kind].append(path)
            left += await self.look(path)
            assert self.status == 200 or path == "/login/provider/answer", f"{path}: {self.status}"

    async def ask(self, path: str) -> None:
        """A page that is not loaded as one: its text is looked at."""
        answer = await self.octo.get(path)
        assert answer.status_code < 500, path
        if answer.headers.get("content-type", "").startswith("text/plain"):
            assert answer.headers["x-content-type-options"] == "nosniff", path
        else:
            await self.judge(answer.text, path)

    async def judge(self, text: str, what: str) -> None:
        found = await self.page.evaluate(_IN_TEXT, [text, _KNOWN, self.origin])
        self.wrong += [f"{what}: {each}" for each in found]


def kind_of(path: str) -> str | None:
    """The route of a page."""
    plain = urlsplit(path).path
    return next((kind for kind, pattern in _KINDS.items() if pattern.match(plain)), None)


async def _window(chromium: Chromium, octo: Browser, origin: str, *, protected: bool) -> BrowserContext:
    context = await chromium.new_context(bypass_csp=not protected)
    await context.add_init_script(_HIT)
    await context.add_cookies([{"name": "berth-session", "value": str(octo.session), "url": origin}])
    return context


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def walk(sqlite_template: Path) -> AsyncIterator[Walk]:
    with tempfile.TemporaryDirectory(dir=sqlite_template.parent) as folder:
        shutil.copy(sqlite_template, f"{folder}/berth.db")
        store = Store(f"sqlite:///{folder}/berth.db")
        async with (
            make_hostile(Path(folder), store) as (octo, seeded),
            start_chromium() as chromium,
            serve(octo.app) as origin,
            await _window(chromium, octo, origin, protected=False) as context,
        ):
            yield Walk(await context.new_page(), origin, octo, seeded, chromium)
        await store.close()


def test_every_text_of_the_database_is_a_strangers_or_is_ours() -> None:
    for table in tables.accounts.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, String) and column not in WRITTEN and column not in ALSO:
                known = OURS & {column.name, f"{table.name}.{column.name}"}
                assert known, f"{column}: a line in WRITTEN of tests/ui/hostile.py, or a word in OURS"


@_in_module
async def test_the_browser_finds_what_is_not_text(walk: Walk) -> None:
    """The positive control, and what the content security policy does where escaping fails."""
    await walk.look("/hole")
    found, walk.wrong = walk.wrong, []
    assert any("a script ran" in text for text in found)
    assert any("<svg>" in text for text in found)
    await walk.judge(f"<p>{HOSTILE}", "hole")
    found, walk.wrong = walk.wrong, []
    assert any("onerror of <img>" in text for text in found)
    await walk.page.goto(f"{walk.origin}/login")  # the next test's page counts its own
    async with await _window(walk.chromium, walk.octo, walk.origin, protected=True) as context:
        page = await context.new_page()
        await page.goto(f"{walk.origin}/hole")
        assert await page.locator("svg").count() == 1
        assert await page.evaluate("globalThis.hits") == 0


@_in_module
async def test_what_strangers_wrote_is_text_on_every_page(walk: Walk) -> None:
    await walk.everywhere()
    hostile = dict.fromkeys(_queries(), HOSTILE)
    for kind, (path, *_rest) in list(walk.seen.items()):
        await walk.ask(f"{path}?{urlencode(hostile)}")
        if "{" not in kind:
            await walk.ask(f"{path}?{urlencode({**hostile, 'repo': 'acme/web', 'pull': ''})}")
    assert walk.wrong == []
    assert _KINDS.keys() - walk.seen.keys() <= _UNLINKED
    shown = {kind for kind, paths in walk.seen.items() if "hit()" in (await walk.octo.get(paths[0])).text}
    assert _MEANT - shown == set(), "the control: strangers' words are there"
    assert len(shown) > 25


def _queries() -> list[str]:
    """All words that any page looks for in its query."""
    sources = (Path(__file__).parents[2] / "src/berth/ui").glob("*.py")
    return sorted({word for path in sources for word in re.findall(r'page\.query\("(\w+)"', path.read_text())})


@_in_module
async def test_what_a_form_sends_comes_back_as_text(walk: Walk) -> None:
    if not walk.seen:
        await walk.everywhere()
    walk.wrong.clear()
    sent = 0
    for path in [path for paths in walk.seen.values() for path in paths[:1]]:
        for form in forms_of(await walk.octo.get(path)):
            if form.method != "post" or _ENDS.search(form.action):
                continue
            fields = {name: values if name == "form_word" else [HOSTILE] for name, values in form.fields.items()}
            answer = await walk.octo.http.post(form.action, data=fields)
            assert answer.status_code < 500, form.action
            if "html" in answer.headers.get("content-type", ""):
                await walk.judge(answer.text, f"{form.action} of {path}")
                sent += "hit()" in answer.text
    assert walk.wrong == []
    assert sent > 5, "the control: what was typed stands there again"


@_in_module
async def test_a_log_that_grows_is_text(walk: Walk) -> None:
    """What scripts of ours write into the page."""
    await walk.look("/codespaces/busy")
    async with walk.seeded.berth.store.begin() as connection:
        codespaces = tables.codespaces
        busy = (await connection.execute(select(codespaces.c.id).where(codespaces.c.name == "busy"))).scalar_one()
        at = (await connection.execute(select(tables.codespace_log.c.at))).scalars().first()
        rows = [
            {"codespace_id": busy, "at": at, "kind": kind, "text": f"{HOSTILE} {kind} late"}
            for kind in ("phase", "output")
        ]
        await connection.execute(insert(tables.codespace_log), rows)
    await expect(walk.page.locator("#log-phases")).to_contain_text("output late", timeout=30_000)
    await expect(walk.page.locator("#log-phases")).to_contain_text("phase late")
    assert await walk.page.evaluate(_IN_PAGE, [_KNOWN, walk.origin]) == []


@_in_module
async def test_the_doctors_checks_are_text(walk: Walk) -> None:
    await walk.look("/doctor")
    await walk.page.fill("#image", "registry.example.com/acme/app:1")
    await walk.page.fill("#repository", "acme/web")
    await walk.page.get_by_role("button", name="Examine").click()
    await expect(walk.page.locator("#doctor-result #finding")).to_be_visible(timeout=30_000)
    assert await walk.page.evaluate(_IN_PAGE, [_KNOWN, walk.origin]) == []


@_in_module
async def test_no_page_stands_in_a_frame(walk: Walk) -> None:
    """Clickjacking: of another origin, and of our own."""
    for origin in (walk.origin.replace("127.0.0.1", "localhost"), walk.origin):
        async with await _window(walk.chromium, walk.octo, walk.origin, protected=False) as context:
            page = await context.new_page()
            await page.goto(f"{origin}/static/style.css")
            await page.set_content(f"<iframe src='{walk.origin}/settings/tokens'></iframe>", wait_until="load")
            assert await _url_of_frame(page) == "chrome-error://chromewebdata/", origin
            control = await context.new_page()  # the frame of before would still be in the old one for a moment
            await control.set_content("<iframe src='data:text/html,x'></iframe>", wait_until="load")
            assert (await _url_of_frame(control)).startswith("data:"), "the control: a frame shows what may be shown"


async def _url_of_frame(page: Page) -> str:
    """What it came to show."""
    async with asyncio.timeout(30):
        while page.frames[1].url in {"", "about:blank"}:
            await asyncio.sleep(0.02)
    return page.frames[1].url

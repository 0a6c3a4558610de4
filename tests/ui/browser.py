"""A browser without a screen: the console in this process, with cookies, and forms as they stand in its pages."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import cast

import httpx
from starlette.types import ASGIApp
from tests.rest.berth_api import Berth, make_berth

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.store.database import Store
from berth.domain.client_address import parse_trusted_proxies
from berth.domain.identity import UnknownIdentity
from berth.domain.machine import Machines
from berth.front import make_front
from berth.services.ports import IdentityProvider
from berth.ui.app import make_ui_app
from berth.ui.routes import ROUTES, SOCKETS

ORIGIN = "https://berth.test"
PASSWORD = "a long enough sentence"  # the one that all people here have


@dataclass
class FormOnPage:
    """A form as it stands in a page."""

    action: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[FormOnPage] = []
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "form":
            self.forms.append(FormOnPage(given.get("action") or "", given.get("method") or "get"))
        elif tag == "input" and name and self.forms:
            if given.get("type") not in {"checkbox", "radio"} or "checked" in given:
                self.forms[-1].fields.setdefault(name, []).append(given.get("value") or "")
        elif tag == "textarea" and name:
            self.forms[-1].fields.setdefault(name, [""])
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in given:
            self.forms[-1].fields[self._select] = [given.get("value") or ""]


def forms_of(page: httpx.Response) -> list[FormOnPage]:
    reader = _Reader()
    reader.feed(page.text)
    return reader.forms


class Browser:
    """One person's browser. It keeps cookies, follows nothing by itself, and says of itself what browsers say."""

    def __init__(self, app: ASGIApp, *, address: str = "192.0.2.7") -> None:
        self.app = app
        transport = httpx.ASGITransport(app=app, client=(address, 4711))
        agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        self.http = httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"User-Agent": agent})

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path)

    async def submit(
        self, page: str | httpx.Response, action: str, values: Mapping[str, str | Sequence[str]] | None = None
    ) -> httpx.Response:
        """Fill in and send the form with this action on a page."""
        shown = await self.get(page) if isinstance(page, str) else page
        found = [form for form in forms_of(shown) if form.action == action and form.method == "post"]
        assert found, f"no form for {action} on {shown.url}: {[form.action for form in forms_of(shown)]}"
        fields: dict[str, str | Sequence[str]] = {**found[0].fields, **(values or {})}
        return await self.http.post(action, data=fields, headers={"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"})

    async def sign_in(self, login: str, password: str = PASSWORD, return_to: str = "") -> httpx.Response:
        page = await self.http.get("/login", params={"return_to": return_to} if return_to else {})
        return await self.submit(page, "/login", {"login": login, "password": password})

    @property
    def session(self) -> str | None:
        return self.http.cookies.get("__Host-berth-session")


@dataclass
class ConsoleWorld:
    """The console and the API of one server, and its people."""

    berth: Berth
    app: ASGIApp

    def browser(self, *, address: str = "192.0.2.7") -> Browser:
        return Browser(self.app, address=address)

    async def invite(self, login: str) -> str:
        """The path of an invitation's link."""
        answer = await self.berth.admin.post(f"/admin/users/{login}/invitation")
        assert answer.status_code == 201, answer.text
        return re.sub(r"https?://[^/]+", "", cast("str", answer.json()["url"]))

    async def set_password(self, login: str, password: str = PASSWORD) -> Browser:
        """By an invitation: the browser is signed in afterwards."""
        browser, path = self.browser(), await self.invite(login)
        answer = await browser.submit(path, path, {"password": password, "again": password})
        assert answer.status_code == 303, answer.text
        return browser

    async def person(self, login: str) -> Browser:
        """A new user's browser, signed in."""
        await self.berth.user(login)
        return await self.set_password(login)


@asynccontextmanager
async def make_console(
    folder: Path,
    store: Store,
    *,
    origin: str | None = ORIGIN,
    provider: IdentityProvider | None = None,
    unknown: frozenset[UnknownIdentity] = frozenset(),
    machines: Machines | None = None,
    proxies: Sequence[str] = (),
) -> AsyncIterator[ConsoleWorld]:
    async with make_berth(folder, store, provider=provider, unknown=unknown, machines=machines) as berth:
        ui = make_ui_app(
            berth.services,
            ROUTES,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            external_url=origin,
            sockets=SOCKETS,
            node_modules=Path(__file__).parents[2] / "node_modules",
        )
        app = make_front(
            rest=berth.rest,
            sockets=berth.rest,
            git=berth.git,
            oci=berth.rest,
            checks={},
            ui=ui,
            proxies=parse_trusted_proxies(proxies),
        )
        yield ConsoleWorld(berth, app)

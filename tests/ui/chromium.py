"""Debian's Chromium in front of the console, which a real HTTP server serves from this process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright
from starlette.types import ASGIApp
from tests.ui.pages import Shown
from tests.ui.pictured import Pictured

PROGRAM = "/usr/bin/chromium"
DESKTOP, PHONE = (1200, 800), (390, 844)
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncIterator[str]:
    """Its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_level="warning", ws="websockets-sansio", access_log=False)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            server.force_exit = True
            await task


@asynccontextmanager
async def start_chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-lcd-text", "--disable-dev-shm-usage"]
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Window:
    """A browser of each person, at one server. `complaints`: what the browser had against the page that is shown."""

    pictured: Pictured
    origin: str
    browser: Browser
    pages: dict[str, Page] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    async def show(self, shown: Shown) -> Page:
        """The page, loaded, in the size of a desk."""
        page = self.pages.get(shown.viewer) or await self._sign_in(shown.viewer)
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
        self.complaints.clear()
        url = f"{self.origin}{self.pictured.url(shown.path, shown.values, shown.query)}"
        answer = await page.goto(url)
        assert answer is not None
        assert answer.status == shown.status, f"{shown.name}: {answer.status} of {url}"
        if shown.status != 200:
            self.complaints.clear()  # that the page is none
        with suppress(TimeoutError):
            await page.wait_for_load_state("load")
        if shown.press:
            await page.get_by_role("main").get_by_role("button", name=shown.press).click()
            await page.wait_for_selector(shown.until)
        return page

    async def _sign_in(self, login: str) -> Page:
        context: BrowserContext = await self.browser.new_context(
            locale="en-GB", timezone_id="UTC", reduced_motion="reduce"
        )
        session = self.pictured.browsers[login].session
        if session is not None:
            await context.add_cookies([{"name": "berth-session", "value": session, "url": self.origin}])
        await context.add_init_script(path=AXE)
        page = self.pages[login] = await context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        return page

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")


@asynccontextmanager
async def open_window(pictured: Pictured) -> AsyncIterator[Window]:
    async with serve(pictured.console.app) as origin, start_chromium() as browser:
        yield Window(pictured, origin, browser)

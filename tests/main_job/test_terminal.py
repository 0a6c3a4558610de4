"""The terminal in the browser for real: Chromium, a server, a container, a shell that somebody types into."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect
from tests.world import World, command_lines

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="session")]
PASSWORD = "a long enough sentence"
WAIT_MS = 30_000
# What our content security policy forbade, as the page itself notices it.
WATCH = """
window.forbidden = [];
document.addEventListener("securitypolicyviolation", (event) => window.forbidden.push(event.violatedDirective));
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def codespace(world: World) -> AsyncIterator[str]:
    async with world.server.api() as api:
        name = str((await api.post(f"/repos/{world.repository}/codespaces", json={})).json()["name"])
        body = await world.server.until_at_rest(api, name)
        assert body["state"] == "Available", body
        yield name
        await api.delete(f"/user/codespaces/{name}")


async def sign_in(world: World, context: BrowserContext) -> Page:
    """As whom the world's codespaces belong to, by an invitation."""
    async with world.server.api() as api:
        login = (await api.get("/user")).json()["login"]
        invited = (await api.post(f"/admin/users/{login}/invitation")).json()["url"]
    page = await context.new_page()
    page.set_default_timeout(WAIT_MS)
    await page.goto(invited)
    await page.fill("#password", PASSWORD)
    await page.fill("#again", PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(lambda url: "invitation" not in url)
    return page


async def types(page: Page, line: str) -> None:
    await page.keyboard.type(line)
    await page.keyboard.press("Enter")


async def sleeps() -> bool:
    return any(line.startswith("sleep 748001") for line in command_lines())


async def sees(page: Page, text: str) -> None:
    """In the rows of the terminal, which are as long as it is wide."""
    await expect(page.locator(".xterm-rows")).to_contain_text(text, timeout=WAIT_MS)


async def size_of(page: Page, mark: str) -> tuple[int, int]:
    """What the shell thinks that the terminal measures."""
    await types(page, f"echo {mark}=`busybox stty size`=")
    pattern = re.compile(rf"{mark}=(\d+) (\d+)=")
    await expect(page.locator(".xterm-rows")).to_contain_text(pattern, timeout=WAIT_MS)
    found = pattern.search(await page.locator(".xterm-rows").inner_text())
    assert found is not None
    return int(found[1]), int(found[2])


async def test_a_shell_in_the_browser(world: World, chromium: Browser, codespace: str) -> None:
    async with await chromium.new_context(viewport={"width": 1000, "height": 700}) as context:
        await context.add_init_script(WATCH)
        page = await sign_in(world, context)
        await page.goto(f"{world.server.url}/codespaces/{codespace}")
        await page.click("text=Open a terminal")
        await expect(page.locator("#state")).to_have_text("Connected.", timeout=WAIT_MS)

        await types(page, "echo answer=$((40 + 2)); echo $CODESPACE_NAME")
        await sees(page, "answer=42")
        await sees(page, codespace)

        await types(page, r"printf '\033[38;2;1;90;3mgreen''ish\033[0m\n'")
        colour = page.locator(".xterm-rows span", has_text=re.compile("^greenish$"))
        await expect(colour).to_have_css("color", "rgb(1, 90, 3)", timeout=WAIT_MS)

        before = await size_of(page, "before")
        await page.set_viewport_size({"width": 1200, "height": 900})
        await asyncio.sleep(0.5)
        after = await size_of(page, "after")
        assert after > before
        assert after[1] > before[1]

        await types(page, "sleep 748001")
        await world.until(sleeps)  # sooner, the shell would take what is pressed for a line's edit
        await page.keyboard.press("Control+c")
        await types(page, "echo again=$?")
        await sees(page, "again=130")

        await types(page, "exit 5")
        await expect(page.locator("#state")).to_have_text("The shell ended with exit code 5.", timeout=WAIT_MS)
        assert await page.evaluate("window.forbidden") == []

        await page.click("text=New shell")
        await expect(page.locator("#state")).to_have_text("Connected.", timeout=WAIT_MS)
        await types(page, "echo once=$((40 + 3))")
        await sees(page, "once=43")
        await signed_out_elsewhere(context, world)
        await expect(page.locator("#state")).to_have_text("You were signed out.", timeout=WAIT_MS)


async def signed_out_elsewhere(context: BrowserContext, world: World) -> None:
    """And that WATCH sees what is forbidden."""
    page = await context.new_page()
    await page.goto(f"{world.server.url}/settings/sessions")
    await page.evaluate("document.head.append(Object.assign(document.createElement('style'), {textContent: 'p {}'}))")
    await page.wait_for_function("window.forbidden.length > 0")
    await page.locator("summary", has_text="admin").or_(page.locator(".menu summary").last).last.click()
    await page.click("text=Sign out")
    await page.wait_for_url("**/login*")

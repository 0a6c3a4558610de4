"""The console behind a proxy (the setting TRUSTED_PROXIES): guesses are counted, and sessions shown, by the visitor's address."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.ui.browser import Browser, ConsoleWorld, make_console

from berth.adapters.store.database import Store
from berth.domain.sign_in import MOST_PER_ADDRESS

PROXY, VISITOR, OTHER = "127.0.0.1", "203.0.113.7", "198.51.100.9"


def behind(console: ConsoleWorld, said: str, *, proxy: str = PROXY) -> Browser:
    """A browser, of which the proxy says this."""
    browser = console.browser(address=proxy)
    browser.http.headers["X-Forwarded-For"] = said
    return browser


@pytest.fixture
async def console(store: Store, tmp_path: Path) -> AsyncIterator[ConsoleWorld]:
    async with make_console(tmp_path, store, proxies=[PROXY]) as made:
        yield made


async def exhaust(console: ConsoleWorld, browser: Browser) -> None:
    await browser.sign_in("mallory", "wrong password")
    async with console.berth.store.begin() as connection:
        await connection.execute(text(f"UPDATE sign_in_attempts SET tries = {MOST_PER_ADDRESS}"))


async def test_one_visitors_guesses_do_not_lock_out_the_others(console: ConsoleWorld) -> None:
    await console.person("octo")
    await exhaust(console, behind(console, VISITOR))
    assert (await behind(console, VISITOR).sign_in("octo")).status_code == 429
    assert (await behind(console, OTHER).sign_in("octo")).status_code == 303
    assert (await console.browser(address=VISITOR).sign_in("octo")).status_code == 429  # the same one without a proxy


async def test_without_the_setting_they_count_together(store: Store, tmp_path: Path) -> None:
    async with make_console(tmp_path, store) as console:
        await console.person("octo")
        await exhaust(console, behind(console, VISITOR))
        assert (await behind(console, OTHER).sign_in("octo")).status_code == 429


@pytest.mark.parametrize("said", [OTHER, PROXY, "rubbish", f"{OTHER}, {PROXY}"])
async def test_attack_a_guesser_says_that_he_is_another(console: ConsoleWorld, said: str) -> None:
    """By what he writes into the header himself, which the proxy adds to; and without the proxy."""
    await exhaust(console, behind(console, VISITOR))
    spoofed = behind(console, f"{said}, {VISITOR}")
    direct = behind(console, said, proxy=VISITOR)
    for browser in (spoofed, direct):
        assert (await browser.sign_in("eve", "wrong password")).status_code == 429
    assert (await behind(console, OTHER).sign_in("eve", "wrong password")).status_code == 401


async def test_sessions_show_the_visitors_address(console: ConsoleWorld) -> None:
    await console.person("octo")
    for said, shown in (
        (f"{OTHER}, {VISITOR}", VISITOR),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("unknown", "no address"),
    ):
        browser = behind(console, said)
        await browser.sign_in("octo")
        page = (await browser.get("/settings/sessions")).text
        assert f"<span>{shown}</span>" in page
        assert OTHER not in page
        assert f"<span>{PROXY}</span>" not in page


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ("172.17.0.2", False),
        (VISITOR, False),
        (f"{PROXY}, 172.17.0.2", False),
        ("unknown", False),
        (PROXY, True),
        ("::1", True),
    ],
)
async def test_attack_a_proxy_on_this_machine_does_not_bring_visitors_onto_it(
    console: ConsoleWorld, said: str, holds: bool
) -> None:
    """A session that began here holds here only (domain/session.py, 5), also for who has its cookie and a proxy here."""
    await console.person("octo")
    victim = console.browser(address="127.0.0.1")
    await victim.sign_in("octo")
    thief = behind(console, said)
    thief.http.cookies.set("__Host-berth-session", victim.session or "", domain="berth.test", path="/")
    assert ((await thief.get("/settings/sessions")).status_code == 200) == holds
    assert (await victim.get("/settings/sessions")).status_code == 200


async def test_a_session_that_began_behind_the_proxy_holds_anywhere(console: ConsoleWorld) -> None:
    await console.person("octo")
    browser = behind(console, VISITOR)
    await browser.sign_in("octo")
    browser.http.headers["X-Forwarded-For"] = OTHER  # a phone that left the house
    assert (await browser.get("/settings/sessions")).status_code == 200


@pytest.mark.parametrize("origin", [None, "https://berth.test"])
async def test_attack_a_visitor_says_how_berth_is_reached(store: Store, tmp_path: Path, origin: str | None) -> None:
    """A proxy hands on what a visitor wrote into headers that it does not know. EXTERNAL_URL says it, or the request itself."""
    said = {
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example;proto=http",
    }
    async with make_console(tmp_path, store, origin=origin, proxies=[PROXY]) as console:
        await console.person("octo")
        browser = behind(console, VISITOR)
        browser.http.headers.update(said)
        cookies = (await browser.sign_in("octo")).headers.get_list("set-cookie")
        assert any(each.startswith("__Host-berth-session=") and "; Secure" in each for each in cookies)
        page = await browser.get("/settings/account")
        assert page.status_code == 200
        assert "evil.example" not in page.text

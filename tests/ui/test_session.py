"""Signing in, and everything that somebody could do about it who may not. Rules: domain/session.py, domain/sign_in.py."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update
from tests.ui.browser import PASSWORD, Browser, ConsoleWorld

from berth.adapters.store.session_tables import sessions
from berth.domain.session import IDLE, LIFE
from berth.domain.sign_in import MOST_PER_ACCOUNT, MOST_PER_ADDRESS
from berth.ui.session import safe_return_to

_WRONG = "The user name or the password is wrong."


async def is_signed_in(browser: Browser) -> bool:
    return (await browser.get("/settings/sessions")).status_code == 200


async def test_signing_in_and_out(console: ConsoleWorld) -> None:
    await console.person("octo")
    browser = console.browser()
    first = await browser.get("/settings/sessions?page=1")
    assert (first.status_code, first.headers["location"]) == (303, "/login?return_to=%2Fsettings%2Fsessions%3Fpage%3D1")
    answer = await browser.sign_in("Octo", return_to="/settings/sessions?page=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings/sessions?page=1")
    page = await browser.get("/settings/sessions")
    assert "Firefox on Linux" in page.text
    assert "this browser" in page.text
    assert (await browser.submit(page, "/logout")).headers["location"] == "/login?signed_out"
    assert not await is_signed_in(browser)
    assert browser.session is None


async def test_the_cookie_is_this_hosts_only_and_no_scripts(console: ConsoleWorld) -> None:
    await console.person("octo")
    answer = await console.browser().sign_in("octo")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if "session" in one)
    name, _, rest = cookie.partition("=")
    assert name == "__Host-berth-session"
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(rest.split("; "))
    assert "domain" not in cookie.lower()


async def test_the_database_holds_no_value_of_a_session_or_invitation(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    invitation = (await console.invite("octo")).rpartition("/")[2]
    async with console.berth.store.read() as connection:
        rows = [
            str(tuple(row))
            for table in ("sessions", "password_invitations", "account_passwords", "audit_log")
            for row in await connection.execute(text(f"SELECT * FROM {table}"))
        ]
    assert browser.session is not None
    assert len(rows) > 4
    assert not [row for row in rows if browser.session in row or invitation in row or PASSWORD in row]


async def test_a_planted_session_is_worth_nothing_after_signing_in(console: ConsoleWorld) -> None:
    """Fixation (domain/session.py, services/session.py policy 1)."""
    attacker = await console.person("eve")
    await console.person("octo")
    victim = console.browser()
    planted = attacker.session
    assert planted is not None
    victim.http.cookies.set("__Host-berth-session", planted, domain="berth.test", path="/")
    page = await victim.get("/settings/sessions")  # as eve: the plant works
    forms = {
        "login": "octo",
        "password": PASSWORD,
        "form_word": page.text.partition('name="form_word" value="')[2][:64],
    }
    answer = await victim.http.post("/login", data=forms)
    assert answer.status_code == 303
    assert victim.session not in {planted, None}
    assert ">octo<" in (await victim.get("/settings/sessions")).text
    assert not await is_signed_in(attacker)


@pytest.mark.parametrize(("began_at", "holds"), [("127.0.0.1", False), ("192.0.2.7", True)])
async def test_what_a_port_of_localhost_is_sent_is_worth_nothing_in_a_codespace(
    console: ConsoleWorld, began_at: str, holds: bool
) -> None:
    """Cookies know no ports: who forwards one of a codespace to localhost shows it his session (domain/session.py, 5)."""
    await console.person("octo")
    victim, codespace, here = (console.browser(address=one) for one in (began_at, "172.17.0.2", "::1"))
    await victim.sign_in("octo")
    for thief in (codespace, here):
        thief.http.cookies.set("__Host-berth-session", victim.session or "", domain="berth.test", path="/")
    assert await is_signed_in(codespace) == holds
    assert await is_signed_in(here)
    assert await is_signed_in(victim)


async def test_an_invented_session_is_none(console: ConsoleWorld) -> None:
    browser = console.browser()
    for value in ("A" * 43, "x", ""):
        browser.http.cookies.clear()
        browser.http.cookies.set("__Host-berth-session", value, domain="berth.test", path="/")
        assert not await is_signed_in(browser)


@pytest.mark.parametrize(("column", "age"), [("created_at", LIFE), ("last_seen_at", IDLE)])
async def test_a_session_ends_by_itself(console: ConsoleWorld, column: str, age: timedelta) -> None:
    browser = await console.person("octo")
    other = console.browser()
    await other.sign_in("octo")
    for since, signed_in in ((age - timedelta(hours=1), True), (age, False)):
        at = console.berth.services.sessions._clock.now() - since
        async with console.berth.store.begin() as connection:
            await connection.execute(update(sessions).values({column: at}))
            if column == "created_at":
                await connection.execute(update(sessions).values(last_seen_at=at + age - timedelta(minutes=5)))
        assert await is_signed_in(browser) == signed_in


async def test_signing_out_elsewhere_and_everywhere(console: ConsoleWorld) -> None:
    here = await console.person("octo")
    stranger = await console.person("eve")
    there, third = console.browser(), console.browser()
    await there.sign_in("octo")
    await third.sign_in("octo")
    page = await here.get("/settings/sessions")
    ends = [
        part.partition('"')[0] for part in page.text.split('action="')[1:] if part.startswith("/settings/sessions/")
    ]
    assert len(ends) == 2
    refused = await stranger.submit(await stranger.get("/settings/sessions/end"), "/settings/sessions/end")
    assert refused.status_code == 303  # his own
    assert await is_signed_in(there)
    answer = await here.submit(page, ends[0])
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings/sessions")
    assert "The session was ended." in (await here.get("/settings/sessions")).text
    assert "The session was ended." not in (await here.get("/settings/sessions")).text
    assert [await is_signed_in(one) for one in (here, there, third)].count(True) == 2
    await here.submit("/settings/sessions/end", "/settings/sessions/end")
    assert not any([await is_signed_in(one) for one in (here, there, third)])


async def test_nobody_ends_another_ones_session(console: ConsoleWorld) -> None:
    octo, eve = await console.person("octo"), await console.person("eve")
    page = await octo.get("/settings/sessions")
    async with console.berth.store.read() as connection:
        ids = [row.id for row in await connection.execute(text("SELECT id FROM sessions"))]
    mine = await eve.get("/settings/sessions")
    word = mine.text.partition('name="form_word" value="')[2][:64]
    statuses = [
        (await eve.http.post(f"/settings/sessions/{one}/end", data={"form_word": word})).status_code for one in ids[:1]
    ]
    assert statuses == [404]
    assert page.status_code == 200
    assert await is_signed_in(octo)


# Who guesses (domain/sign_in.py)


async def test_an_unknown_account_answers_like_a_known_one(console: ConsoleWorld) -> None:
    await console.person("octo")
    await console.berth.user("mute")  # has no password
    await console.berth.organization("acme", "octo")
    pages = set()
    for login in ("octo", "nobody", "mute", "acme", "no such name!", "x" * 90, "\u00e4"):
        answer = await console.browser().sign_in(login, "wrong password, surely")
        assert answer.status_code == 401
        assert _WRONG in answer.text
        word = answer.text.partition('name="form_word" value="')[2][:64]
        pages.add(answer.text.replace(word, "").replace(f'value="{login}"', ""))
        assert "wrong password, surely" not in answer.text
    assert len(pages) == 1


async def test_an_accounts_attempts_are_counted_whoever_makes_them(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    for login in ("octo", "nobody"):
        statuses = [
            (await console.browser(address=f"192.0.2.{number}").sign_in(login, "wrong password")).status_code
            for number in range(MOST_PER_ACCOUNT + 1)
        ]
        assert statuses == [401] * MOST_PER_ACCOUNT + [429]
    refused = await console.browser(address="198.51.100.1").sign_in("octo")  # the right password
    assert refused.status_code == 429
    assert "Try again in" in refused.text
    assert await is_signed_in(browser)  # policy 4
    async with console.berth.store.begin() as connection:
        await connection.execute(text("UPDATE sign_in_attempts SET began_at = '2026-01-01 00:00:00+00:00'"))
    assert (await console.browser().sign_in("octo")).status_code == 303


async def test_signing_in_forgets_the_accounts_attempts(console: ConsoleWorld) -> None:
    await console.person("octo")
    for _ in range(2):
        for _ in range(MOST_PER_ACCOUNT - 1):
            assert (await console.browser().sign_in("octo", "wrong password")).status_code == 401
        assert (await console.browser().sign_in("octo")).status_code == 303


@pytest.mark.parametrize(
    ("address", "neighbour", "stranger"),
    [("192.0.2.9", "::ffff:192.0.2.9", "192.0.2.10"), ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1")],
)
async def test_an_addresses_attempts_are_counted_whatever_the_account(
    console: ConsoleWorld, address: str, neighbour: str, stranger: str
) -> None:
    await console.person("octo")
    assert (await console.browser(address=address).sign_in("octo")).status_code == 303
    async with console.berth.store.begin() as connection:
        await connection.execute(text(f"UPDATE sign_in_attempts SET tries = {MOST_PER_ADDRESS - 1}"))
    assert (await console.browser(address=address).sign_in("octo")).status_code == 303  # taken back
    assert (await console.browser(address=address).sign_in("eve", "wrong password")).status_code == 401
    assert (await console.browser(address=neighbour).sign_in("mallory", "wrong password")).status_code == 429
    assert (await console.browser(address=stranger).sign_in("mallory", "wrong password")).status_code == 401


@pytest.mark.parametrize(("tries_before", "status"), [(MOST_PER_ADDRESS, 303), (1, 429)])
async def test_one_address_does_not_close_the_door_of_everybody(
    console: ConsoleWorld, tries_before: int, status: int
) -> None:
    """What it tries beyond its own bound counts for no account (policy 5); with what it may try, it closes one."""
    await console.person("octo")
    attacker = console.browser(address="192.0.2.66")
    await attacker.sign_in("mallory", "wrong password")
    async with console.berth.store.begin() as connection:
        await connection.execute(text(f"UPDATE sign_in_attempts SET tries = {tries_before}"))
    tried = [await attacker.sign_in("octo", "wrong password") for _ in range(MOST_PER_ACCOUNT + 1)]
    assert tried[-1].status_code == 429
    answer = await console.browser(address="192.0.2.7").sign_in("octo")
    assert answer.status_code == status


# Where one goes on to


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "///evil.example",
        "javascript:alert(1)", "evil.example", "", "/%0a" * 400, "/a\r\nSet-Cookie: x=1", "http:/evil.example", "/login",
        " //evil.example", "/ok\\..\\..//x",
    ],
)  # fmt: skip
async def test_one_is_sent_nowhere_else(console: ConsoleWorld, text: str) -> None:
    assert safe_return_to(text) == "/"


@pytest.mark.parametrize(
    "text", ["/", "/codespaces", "/orgs/acme?page=2&q=a%20b", "/a//b", "/x?next=https://evil.example"]
)
def test_one_is_sent_back(text: str) -> None:
    assert safe_return_to(text) == text


async def test_the_form_itself_leads_nowhere_else(console: ConsoleWorld) -> None:
    await console.person("octo")
    browser = console.browser()
    page = await browser.get("/login")
    values = {"login": "octo", "password": PASSWORD, "return_to": "https://evil.example/"}
    assert (await browser.submit(page, "/login", values)).headers["location"] == "/"

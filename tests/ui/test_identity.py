"""Signing in by a real OpenID Connect provider, and what somebody could do about it. Rules: domain/identity.py."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from sqlalchemy import text, update
from tests.ui.browser import PASSWORD, Browser, ConsoleWorld, make_console
from tests.ui.provider import REDIRECT_URI, Provider, asked, begin, start_provider

from berth.adapters.log_lines import LineFormatter
from berth.adapters.store import identity as identity_rows
from berth.adapters.store.database import Store
from berth.adapters.store.tables import accounts
from berth.domain.identity import UnknownIdentity
from berth.domain.sign_in import MOST_PER_ADDRESS

_ACCOUNT, _LINK = "/settings/account", "/settings/account/identities"
_ANSWER = "/login/provider/answer"
Open = Callable[..., AbstractAsyncContextManager[ConsoleWorld]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[Provider]:
    async with start_provider() as started:
        yield started


@pytest.fixture
def open_console(provider: Provider, store: Store, tmp_path: Path) -> Open:
    @asynccontextmanager
    async def made(*unknown: UnknownIdentity) -> AsyncIterator[ConsoleWorld]:
        async with make_console(tmp_path, store, provider=provider.client, unknown=frozenset(unknown)) as console:
            yield console

    return made


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def who_is(browser: Browser) -> str | None:
    """Whose session it is."""
    page = await browser.get(_ACCOUNT)
    found = re.search(r"<dt>User name</dt><dd>([^<]*)</dd>", page.text)
    return found[1] if found else None


async def link(browser: Browser, provider: Provider, who: str) -> str:
    """What the page says after the person's own account was linked."""
    page = await browser.submit(_ACCOUNT, _LINK)
    address = re.findall(r'<a class="button primary wide" href="([^"]+)"', page.text)[0].replace("&amp;", "&")
    answer = await browser.get(await provider.sign_in(address, who))
    return (await browser.get(answer.headers["location"])).text if answer.status_code == 303 else answer.text


async def sign_in(browser: Browser, provider: Provider, who: str, return_to: str = "") -> tuple[int, str]:
    """Status, and where it leads or what it says."""
    answer = await browser.get(await provider.sign_in(await begin(browser, return_to), who))
    return answer.status_code, answer.headers.get("location") or answer.text


async def test_one_links_an_identity_and_signs_in_by_it(open_console: Open, provider: Provider) -> None:
    """Policies 1 and 2."""
    async with open_console() as console:
        octo = await console.person("octo")
        assert "You can sign in as ada@example.com now." in await link(octo, provider, "sub-ada")
        browser = console.browser()
        assert "Sign in with 127.0.0.1:" in (await browser.get("/login")).text
        assert await sign_in(browser, provider, "sub-ada", "/settings/tokens?page=1") == (
            303,
            "/settings/tokens?page=1",
        )
        assert await who_is(browser) == "octo"
        page = await octo.get(_ACCOUNT)
        remove = re.findall(r'action="([^"]+/remove)"', page.text)[0]
        eve = await console.person("eve")
        word = (await eve.get(_ACCOUNT)).text.partition('name="form_word" value="')[2][:64]
        assert (await eve.http.post(remove, data={"form_word": word})).status_code == 404
        assert (await octo.submit(page, remove)).status_code == 303
        assert (await sign_in(console.browser(), provider, "sub-ada"))[0] == 403


async def test_who_is_suspended_is_told_so_once_the_provider_has_said_who_it_is(
    open_console: Open, provider: Provider
) -> None:
    """domain/suspension.py, policy 5: by an identity that is linked, and by an address that would be."""
    async with open_console(UnknownIdentity.LINK_BY_EMAIL, UnknownIdentity.CREATE_USER) as console:
        await console.person("octo")
        admin = console.berth.admin
        for linked in (0, 1):
            assert (await admin.put("/users/octo/suspended")).status_code == 204
            browser = console.browser()
            status, page = await sign_in(browser, provider, "sub-octo")
            assert (status, "Your account is suspended." in page) == (403, True)
            assert await who_is(browser) is None
            async with console.berth.store.read() as connection:
                found = await connection.execute(text("SELECT count(*) FROM account_identities"))
                assert found.scalar_one() == linked, "nothing was linked to it"
            users = [each["login"] for each in (await admin.get("/users")).json()]
            assert users == ["admin", "octo"], "and nobody made anew"
            assert (await admin.delete("/users/octo/suspended")).status_code == 204
            assert (await sign_in(browser, provider, "sub-octo"))[0] == 303
            assert await who_is(browser) == "octo"


async def test_what_is_asked_of_the_provider(open_console: Open, provider: Provider) -> None:
    async with open_console() as console:
        browser = console.browser()
        first, second = asked(await begin(browser)), asked(await begin(browser))
        assert first["response_type"] == "code"
        assert first["code_challenge_method"] == "S256"
        assert first["redirect_uri"] == REDIRECT_URI
        assert {"prompt", "code_verifier"} & first.keys() == set()
        for name in ("state", "nonce", "code_challenge"):
            assert len(first[name]) >= 43
            assert first[name] != second[name]
        octo = await console.person("octo")
        page = await octo.submit(_ACCOUNT, _LINK)
        assert "prompt=login" in page.text
        assert '<meta http-equiv="refresh" content="0; url=http://127.0.0.1:' in page.text


async def test_an_account_is_never_taken_by_its_address(
    open_console: Open, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    """Policy 2: without the administrator's word a verified e-mail and a name are worth nothing."""
    async with open_console() as console:
        await console.person("octo")
        for who in ("sub-octo", "sub-eve", "sub-new"):
            browser = console.browser()
            status, page = await sign_in(browser, provider, who)
            assert status == 403
            assert "ask the site administrator" in page
            assert "<script>alert" not in page
            assert await who_is(browser) is None
        assert [each.message for each in caplog.records] == ["session.refused"] * 3


async def test_a_verified_address_links_where_the_administrator_says_so(open_console: Open, provider: Provider) -> None:
    """Policy 2."""
    async with open_console(UnknownIdentity.LINK_BY_EMAIL) as console:
        await console.person("octo")
        await console.berth.user("ada")
        async with console.berth.store.begin() as connection:
            await connection.execute(
                update(accounts).where(accounts.c.login == "admin").values(email="admin@example.com")
            )
        browser = console.browser()
        for who, status in (
            ("sub-eve", 403),
            ("sub-admin", 403),
            ("sub-new", 403),
            ("sub-octo", 303),
            ("sub-octo-2", 403),
        ):
            browser = console.browser()
            assert (await sign_in(browser, provider, who))[0] == status, who
            assert (await who_is(browser) == "octo") == (status == 303)
        async with console.berth.store.begin() as connection:
            await connection.execute(update(accounts).where(accounts.c.login == "ada").values(email="OCTO@example.com"))
            await connection.execute(text("DELETE FROM account_identities"))
        assert (await sign_in(console.browser(), provider, "sub-octo"))[0] == 403  # whose would it be?


async def test_attack_an_address_that_only_looks_like_anothers_in_small_letters(
    open_console: Open, provider: Provider
) -> None:
    """Policy 2: U+212A, the sign of kelvin, has the small letter k. Case counts in what is not ASCII only."""
    async with open_console() as console:
        await console.berth.user("kim")
        async with console.berth.store.begin() as connection:
            for stored, asked_for, found in (
                ("kim@example.com", "\u212aim@example.com", []),
                ("kim@example.com", "KIM@example.com", ["kim"]),
                ("\u212aim@example.com", "\u212aim@example.com", ["kim"]),
            ):
                await connection.execute(update(accounts).where(accounts.c.login == "kim").values(email=stored))
                users = await identity_rows.find_users_by_email(connection, asked_for)
                assert [each.login for each in users] == found, asked_for


async def test_a_new_account_where_the_administrator_says_so(open_console: Open, provider: Provider) -> None:
    """Policy 3. A name that is taken is another's account."""
    async with open_console(UnknownIdentity.CREATE_USER, UnknownIdentity.LINK_BY_EMAIL) as console:
        await console.person("octo-cat")
        named = {}
        for who in ("sub-ada", "sub-eve", "sub-new", "sub-admin", "sub-ada"):
            browser = console.browser()
            assert (await sign_in(browser, provider, who))[0] == 303
            named[who] = await who_is(browser)
        assert named == {"sub-ada": "ada", "sub-eve": "octo", "sub-new": "script-alert-1-script", "sub-admin": "person"}
        browser = console.browser()
        await sign_in(browser, provider, "sub-new")
        page = await browser.get(_ACCOUNT)
        remove = re.findall(r'action="([^"]+/remove)"', page.text)[0]
        assert "You have none." in page.text
        refused = await browser.submit(page, remove)
        assert (refused.status_code, "no password" in refused.text) == (409, True)


async def test_an_identity_has_one_account(open_console: Open, provider: Provider) -> None:
    async with open_console() as console:
        octo, eve = await console.person("octo"), await console.person("eve")
        await link(octo, provider, "sub-ada")
        assert "An account is linked to ada@example.com already." in await link(eve, provider, "sub-ada")
        browser = console.browser()
        await sign_in(browser, provider, "sub-ada")
        assert await who_is(browser) == "octo"
        async with console.berth.store.begin() as connection:
            await connection.execute(
                text(
                    "INSERT INTO account_identities (account_id, issuer, subject, shown, created_at) SELECT account_id, 'i', "
                    "'s' || accounts.id, 'x', account_identities.created_at FROM account_identities CROSS JOIN accounts"
                )
            )
            for number in range(20):
                await connection.execute(
                    text(
                        f"INSERT INTO account_identities (account_id, issuer, subject, shown, created_at) SELECT account_id, "
                        f"'i', 't{number}', 'x', created_at FROM account_identities WHERE subject = 'sub-ada'"
                    )
                )
        assert "at most 20" in await link(octo, provider, "sub-octo")


# Attacks


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "0" * 64}, "did not ask for it"),
        ({"state": ""}, "did not ask for it"),
        ({"iss": "https://evil.example"}, "another provider"),
        ({"iss": ""}, "another provider"),
        ({"code": "0" * 43}, "code is used"),
        ({"code": ""}, "no code"),
        ({"error": "<b>x</b>"}, "no code"),
        ({}, ""),
    ],
    ids=str,
)
async def test_an_answer_that_was_changed_is_refused(
    open_console: Open, provider: Provider, change: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Policies 4 and 5; the last is the positive control."""
    async with open_console(UnknownIdentity.CREATE_USER) as console:
        browser = console.browser()
        brought = asked(await provider.sign_in(await begin(browser), "sub-ada"))
        assert brought["iss"] == provider.issuer
        answer = await browser.get(f"{_ANSWER}?{urlencode({**brought, **change})}")
        assert answer.status_code == (401 if change else 303)
        assert said in answer.text
        assert "<b>" not in answer.text
        assert (await who_is(browser) == "ada") == (not change)
        logged = [LineFormatter().format(each).partition(" ")[2] for each in caplog.records]
        refused = "warning session.refused address=192.0.2.7 login='unknown account' way=provider"
        assert logged == [refused] * bool(change)


@pytest.mark.parametrize(("name", "value"), [("nonce", "other"), ("code_challenge", "A" * 43)])
async def test_a_token_that_another_request_asked_for_is_refused(
    open_console: Open, provider: Provider, name: str, value: str
) -> None:
    """Policy 4: an answer of the provider's own to what somebody else's browser began."""
    async with open_console(UnknownIdentity.CREATE_USER) as console:
        browser = console.browser()
        address = await begin(browser)
        address = f"{address.partition('?')[0]}?{urlencode({**asked(address), name: value})}"
        answer = await browser.get(await provider.sign_in(address, "sub-ada"))
        assert answer.status_code == 401
        assert ("wrong nonce" if name == "nonce" else "code is used") in answer.text
        assert browser.session is None


async def test_an_answer_counts_once(open_console: Open, provider: Provider) -> None:
    """Policy 4: the cookie is gone; with it back, the provider knows its code."""
    async with open_console(UnknownIdentity.CREATE_USER) as console:
        browser = console.browser()
        address = await begin(browser)
        cookies = dict(browser.http.cookies)
        brought = await provider.sign_in(address, "sub-ada")
        assert (await browser.get(brought)).status_code == 303
        other = console.browser()
        for again in (browser, other):
            assert (await again.get(brought)).status_code == 401
        for name, value in cookies.items():
            other.http.cookies.set(name, value, domain="berth.test", path="/")
        refused = await other.get(brought)
        assert (refused.status_code, "code is used" in refused.text) == (401, True)
        assert other.session is None


async def test_nobody_is_signed_in_as_somebody_else_by_a_link(open_console: Open, provider: Provider) -> None:
    """CSRF of signing in: the attacker's answer in the victim's browser, which has begun one of its own, too."""
    async with open_console(UnknownIdentity.CREATE_USER) as console:
        attacker, victim = console.browser(), console.browser()
        brought = await provider.sign_in(await begin(attacker), "sub-eve")
        await begin(victim)
        assert (await victim.get(brought)).status_code == 401
        assert victim.session is None


async def test_nobody_links_his_identity_to_anothers_account(open_console: Open, provider: Provider) -> None:
    """Policies 2 and 4: by an answer, by a flow of his own session, by a flow that was begun to sign in."""
    async with open_console() as console:
        octo, eve = await console.person("octo"), await console.person("eve")
        page = await eve.submit(_ACCOUNT, _LINK)
        address = re.findall(r'<a class="button primary wide" href="([^"]+)"', page.text)[0].replace("&amp;", "&")
        brought = await provider.sign_in(address, "sub-eve")
        flow = eve.http.cookies["__Host-berth-flow"]
        assert (await octo.get(brought)).status_code == 401
        octo.http.cookies.set("__Host-berth-flow", flow, domain="berth.test", path="/")
        assert (await octo.get(brought)).status_code == 401
        assert "linked <time" not in (await octo.get(_ACCOUNT)).text
        begun = await octo.get("/login/provider")
        assert (begun.status_code, begun.headers["location"]) == (303, "/")
        assert (await eve.get(brought)).status_code == 303  # the positive control: his own


async def test_a_flow_ends_with_its_session(open_console: Open, provider: Provider) -> None:
    """Begun to link as octo, signed out meanwhile: nobody is signed in by it, nothing is linked."""
    async with open_console(UnknownIdentity.CREATE_USER) as console:
        octo = await console.person("octo")
        page = await octo.submit(_ACCOUNT, _LINK)
        address = re.findall(r'<a class="button primary wide" href="([^"]+)"', page.text)[0].replace("&amp;", "&")
        await octo.submit("/settings/sessions", "/logout")
        refused = await octo.get(await provider.sign_in(address, "sub-ada"))
        assert (refused.status_code, octo.session) == (401, None)


@pytest.mark.parametrize("return_to", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_one_is_sent_nowhere_else(open_console: Open, provider: Provider, return_to: str) -> None:
    async with open_console(UnknownIdentity.CREATE_USER) as console:
        assert await sign_in(console.browser(), provider, "sub-ada", return_to) == (303, "/")


async def test_who_says_no_at_the_provider_is_not_signed_in(open_console: Open, provider: Provider) -> None:
    async with open_console() as console:
        status, page = await sign_in(console.browser(), provider, "")
        assert (status, "the provider says: access_denied" in page) == (401, True)


async def test_answers_of_one_address_are_counted(open_console: Open, provider: Provider) -> None:
    async with open_console(UnknownIdentity.CREATE_USER) as console:
        browser = console.browser()
        assert (await sign_in(browser, provider, "sub-ada"))[0] == 303
        async with console.berth.store.begin() as connection:
            await connection.execute(text(f"UPDATE sign_in_attempts SET tries = {MOST_PER_ADDRESS}"))
        status, page = await sign_in(console.browser(), provider, "sub-ada")
        assert (status, "too many attempts" in page) == (429, True)


async def test_without_a_provider_there_is_no_way_in(store: Store, tmp_path: Path) -> None:
    async with make_console(tmp_path, store) as console:
        octo = await console.person("octo")
        assert "/login/provider" not in (await console.browser().get("/login")).text
        assert (await console.browser().get("/login/provider")).status_code == 404
        assert "Single sign-on" not in (await octo.get(_ACCOUNT)).text
        assert PASSWORD

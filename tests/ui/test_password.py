"""Invitations and the passwords that are set by them. Rules: domain/password.py."""

import asyncio

import pytest
from sqlalchemy import text
from tests.ui.browser import PASSWORD, ConsoleWorld

from berth.domain.sign_in import MOST_PER_ACCOUNT


async def test_an_invitation_sets_a_password_once_and_signs_in(console: ConsoleWorld) -> None:
    await console.berth.user("octo")
    browser, path = console.browser(), await console.invite("octo")
    page = await browser.get(path)
    assert page.headers["referrer-policy"] == "same-origin"
    assert "<strong>octo</strong>" in page.text
    done = await browser.submit(page, path, {"password": PASSWORD, "again": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert (await browser.get("/settings/sessions")).status_code == 200
    assert (await browser.get(path)).status_code == 404
    assert (await console.browser().sign_in("octo")).status_code == 303


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", "short", "12 to 256 characters"),
        ("x" * 257, "x" * 257, "12 to 256 characters"),
        ("OCTO-the-cat", "OCTO-the-cat", "guessed at once"),
        (" " * 12, " " * 12, "guessed at once"),
        ("correct horse battery", "correct horse batterie", "differ"),
    ],
)
async def test_a_bad_password_is_refused_and_not_shown_again(
    console: ConsoleWorld, password: str, again: str, said: str
) -> None:
    await console.berth.user("octo-the-cat")
    browser, path = console.browser(), await console.invite("octo-the-cat")
    answer = await browser.submit(path, path, {"password": password, "again": again})
    assert answer.status_code == 422
    assert said in answer.text
    assert f'value="{password}"' not in answer.text
    assert (await browser.submit(path, path, {"password": PASSWORD, "again": PASSWORD})).status_code == 303


async def test_a_newer_invitation_or_three_days_end_one(console: ConsoleWorld) -> None:
    await console.berth.user("octo")
    old, new = await console.invite("octo"), await console.invite("octo")
    browser = console.browser()
    assert [(await browser.get(path)).status_code for path in (old, new)] == [404, 200]
    async with console.berth.store.begin() as connection:
        await connection.execute(text("UPDATE password_invitations SET expires_at = '2026-01-01 00:00:00+00:00'"))
    refused = await browser.get(new)
    assert refused.status_code == 404
    assert "does not hold any more" in refused.text
    assert (await browser.get("/login/invitation/x")).status_code == 404


async def test_of_two_who_use_one_at_once_one_wins(console: ConsoleWorld) -> None:
    await console.berth.user("octo")
    path = await console.invite("octo")
    first, second = console.browser(), console.browser()
    pages = [await first.get(path), await second.get(path)]
    answers = await asyncio.gather(
        first.submit(pages[0], path, {"password": PASSWORD, "again": PASSWORD}),
        second.submit(pages[1], path, {"password": "another long sentence", "again": "another long sentence"}),
    )
    assert sorted(answer.status_code for answer in answers) == [303, 404]


async def test_a_new_password_ends_the_old_ones_sessions(console: ConsoleWorld) -> None:
    before = await console.person("octo")
    after = await console.set_password("octo", "quite another sentence")
    assert (await before.get("/settings/sessions")).status_code == 303
    assert (await after.get("/settings/sessions")).status_code == 200
    assert (await console.browser().sign_in("octo", PASSWORD)).status_code == 401


async def test_only_site_administrators_invite_and_only_users(console: ConsoleWorld) -> None:
    octo = await console.berth.user("octo")
    await console.berth.organization("acme", "octo")
    assert (await octo.post("/admin/users/octo/invitation")).status_code == 403
    assert (await console.berth.admin.post("/admin/users/acme/invitation")).status_code == 404
    assert (await console.berth.admin.post("/admin/users/nobody/invitation")).status_code == 404


_ACCOUNT, _CHANGE = "/settings/account", "/settings/account/password"
_NEW = "quite another sentence"


async def test_one_changes_ones_own_password_and_other_sessions_end(console: ConsoleWorld) -> None:
    """Policy 4."""
    here = await console.person("octo")
    there, invitation = console.browser(), await console.invite("octo")
    await there.sign_in("octo")
    before = here.session
    done = await here.submit(_ACCOUNT, _CHANGE, {"old": PASSWORD, "password": _NEW, "again": _NEW})
    assert (done.status_code, done.headers["location"]) == (303, _ACCOUNT)
    assert "The password was changed." in (await here.get(_ACCOUNT)).text
    assert here.session not in {before, None}
    assert (await there.get(_ACCOUNT)).status_code == 303
    assert (await there.get(invitation)).status_code == 404
    assert (await console.browser().sign_in("octo", PASSWORD)).status_code == 401
    assert (await console.browser().sign_in("octo", _NEW)).status_code == 303


@pytest.mark.parametrize(
    ("old", "password", "again", "said"),
    [
        ("a wrong password", _NEW, _NEW, "not the password that you have now"),
        ("", _NEW, _NEW, "not the password that you have now"),
        (PASSWORD, "short", "short", "12 to 256 characters"),
        (PASSWORD, _NEW, "another", "differ"),
    ],
)
async def test_a_password_is_not_changed_without_the_old_one(
    console: ConsoleWorld, old: str, password: str, again: str, said: str
) -> None:
    browser = await console.person("octo")
    answer = await browser.submit(_ACCOUNT, _CHANGE, {"old": old, "password": password, "again": again})
    assert (answer.status_code, said in answer.text) == (422, True)
    assert _NEW not in answer.text
    assert (await console.browser().sign_in("octo", PASSWORD)).status_code == 303


async def test_the_old_password_is_guessed_no_oftener_than_at_signing_in(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    for number in range(MOST_PER_ACCOUNT):
        guess = {"old": f"guess {number}", "password": _NEW, "again": _NEW}
        assert (await browser.submit(_ACCOUNT, _CHANGE, guess)).status_code == 422
    right = {"old": PASSWORD, "password": _NEW, "again": _NEW}
    refused = await browser.submit(_ACCOUNT, _CHANGE, right)
    assert (refused.status_code, "Try again in" in refused.text) == (429, True)
    assert (await console.browser().sign_in("octo", PASSWORD)).status_code == 429
    assert (await browser.get(_ACCOUNT)).status_code == 200  # signed in still


async def test_who_has_no_password_is_told_so(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    async with console.berth.store.begin() as connection:
        await connection.execute(text("DELETE FROM account_passwords"))
    page = await browser.get(_ACCOUNT)
    assert "You have none." in page.text
    assert _CHANGE not in page.text

"""Suspensions in the console: how one is asked for, whom it puts out, who is told. Policy: domain/suspension.py."""

import re

import pytest
from sqlalchemy import func, select
from tests.ui.browser import PASSWORD, Browser, ConsoleWorld

from berth.adapters.store.session_tables import account_passwords, sessions
from berth.adapters.store.tables import accounts

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite"], indirect=True
)  # both: tests/services/test_suspension.py
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>\u202etxt.exe'
_USERS = "/site/users"
_SUSPEND, _UNSUSPEND = f"{_USERS}/octo/suspend", f"{_USERS}/octo/unsuspend"
TOLD, WRONG = "Your account is suspended.", "The user name or the password is wrong."


async def suspend(admin: Browser, reason: str = "") -> None:
    done = await admin.submit(_SUSPEND, _SUSPEND, {"reason": reason})
    assert (done.status_code, done.headers["location"]) == (303, _USERS)


async def test_a_user_is_suspended_and_back(console: ConsoleWorld) -> None:
    octo, admin = await console.person("octo"), await console.set_password("admin")
    page = await admin.get(_USERS)
    assert _SUSPEND in page.text
    assert f"{_USERS}/admin/suspend" not in page.text, "nobody suspends himself"
    assert "Running codespaces are stopped" in (await admin.get(_SUSPEND)).text
    assert (await octo.get("/settings/tokens")).status_code == 200
    await suspend(admin, HOSTILE)
    page = await admin.get(_USERS)
    assert "octo is suspended." in page.text
    assert 'class="badge bad">suspended<' in page.text
    assert "<script>alert" not in page.text
    assert "\u202e" not in page.text
    assert "onerror=alert(1)&gt;" in page.text, "the reason"
    assert f"{_USERS}/octo/invite" not in page.text
    assert (await octo.get("/settings/tokens")).status_code == 303, "it has to sign in"
    assert (await admin.submit(_UNSUSPEND, _UNSUSPEND)).status_code == 303
    page = await admin.get(_USERS)
    assert "octo is not suspended any more." in page.text
    assert 'class="badge bad">suspended<' not in page.text
    assert (await octo.get("/settings/tokens")).status_code == 303, "sessions ended for good"
    assert (await octo.sign_in("octo")).status_code == 303
    assert (await octo.get("/settings/tokens")).status_code == 200


async def test_a_mistake_comes_back_with_what_was_typed(console: ConsoleWorld) -> None:
    admin = await console.set_password("admin")
    await console.berth.user("octo")
    answer = await admin.submit(_SUSPEND, _SUSPEND, {"reason": "x" * 201})
    assert (answer.status_code, "x" * 201 in answer.text) == (422, True)
    own = f"{_USERS}/admin/suspend"
    refused = await admin.submit(own, own)
    assert (refused.status_code, "Nobody suspends himself." in refused.text) == (403, True)
    for path in (f"{_USERS}/nobody/suspend", f"{_USERS}/nobody/unsuspend"):
        assert (await admin.get(path)).status_code == 404


async def test_an_invitation_for_who_was_suspended_meanwhile(console: ConsoleWorld) -> None:
    admin = await console.set_password("admin")
    await console.berth.user("octo")
    page = await admin.get(_USERS)
    await suspend(admin)
    refused = await admin.submit(page, f"{_USERS}/octo/invite")
    assert (refused.status_code, "octo is suspended." in refused.text) == (409, True)
    assert "/login/invitation/" not in refused.text


async def test_policy_5_only_the_right_password_hears_of_it(
    console: ConsoleWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await console.person("octo")
    admin = await console.set_password("admin")
    await suspend(admin)
    browser = console.browser()
    right = await browser.sign_in("octo")
    assert (right.status_code, TOLD in right.text, "Ask a site administrator" in right.text) == (403, True, True)
    assert browser.session is None
    assert [record.__dict__["login"] for record in caplog.records if record.message == "session.refused"] == ["octo"]
    wrong, nobody = await browser.sign_in("octo", "wrong"), await browser.sign_in("nobody")
    for answer in (wrong, nobody):
        assert (answer.status_code, WRONG in answer.text, TOLD in answer.text) == (401, True, False)
    async with console.berth.store.read() as connection:
        octo = select(accounts.c.id).where(accounts.c.login == "octo").scalar_subquery()
        held = select(func.count()).select_from(sessions).where(sessions.c.account_id == octo)
        assert (await connection.execute(held)).scalar_one() == 0
    await admin.submit(_UNSUSPEND, _UNSUSPEND)
    assert (await browser.sign_in("octo")).status_code == 303


async def test_an_invitation_ends_and_another_one_has_to_wait(console: ConsoleWorld) -> None:
    await console.berth.user("octo")
    admin, link = await console.set_password("admin"), await console.invite("octo")
    assert (await console.browser().get(link)).status_code == 200
    await suspend(admin)
    assert (await console.browser().get(link)).status_code == 404
    await admin.submit(_UNSUSPEND, _UNSUSPEND)
    assert (await console.browser().get(link)).status_code == 404, "it ended for good"
    await console.set_password("octo")


async def test_attack_an_invitation_that_was_made_in_between_lets_nobody_in(console: ConsoleWorld) -> None:
    """However he proves who he is, a session begins in one place: there he is refused, and no password is set."""
    await console.berth.user("octo")
    link = await console.invite("octo")
    page = await console.browser().get(link)
    async with console.berth.store.begin() as connection:
        await connection.execute(
            accounts.update().where(accounts.c.login == "octo").values(suspended_at=func.current_timestamp())
        )
    browser = console.browser()
    shown = await browser.get(link)
    answer = await browser.submit(shown, link, {"password": PASSWORD, "again": PASSWORD})
    assert (answer.status_code, TOLD in answer.text) == (403, True)
    assert browser.session is None
    async with console.berth.store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(account_passwords))).scalar_one() == 0
    assert page.status_code == 200


async def test_attack_a_session_that_was_left_behind_proves_nobody(console: ConsoleWorld) -> None:
    """The row is there still; the same query would find it for anybody else."""
    octo = await console.person("octo")
    for at, status in ((func.current_timestamp(), 303), (None, 200)):
        async with console.berth.store.begin() as connection:
            await connection.execute(accounts.update().where(accounts.c.login == "octo").values(suspended_at=at))
        assert (await octo.get("/settings/account")).status_code == status


@pytest.mark.parametrize("verb", ["suspend", "unsuspend"])
async def test_nobody_else_suspends(console: ConsoleWorld, verb: str) -> None:
    octo, path = await console.person("octo"), f"{_USERS}/eve/{verb}"
    await console.berth.user("eve")
    if verb == "unsuspend":
        await console.berth.admin.put("/users/eve/suspended")
    word = re.findall(r'name="form_word" value="(\w+)"', (await octo.get("/settings/sessions")).text)[0]
    assert (await octo.http.post(path, data={"form_word": word})).status_code == 404
    shown = (await console.berth.admin.get("/users/eve")).json()["suspended_at"]
    assert (shown is not None) == (verb == "unsuspend")

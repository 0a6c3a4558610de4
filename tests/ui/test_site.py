"""Site: for site administrators only; for everybody else there is no such page."""

import re

from tests.ui.browser import PASSWORD, ConsoleWorld

from berth.ui.site import ROUTES

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>'


async def test_nobody_else_sees_anything(console: ConsoleWorld) -> None:
    octo, admin = await console.person("octo"), await console.set_password("admin")
    nowhere = (await octo.get("/nowhere")).text
    for path in sorted({route.path.format(username="octo") for route in ROUTES if route.method == "GET"}):
        answer = await octo.get(path)
        assert answer.status_code == 404
        assert answer.text == nowhere
        assert (await admin.get(path)).status_code == 200
    word = nowhere.partition('name="form_word" value="')[2][:64]
    for path in ("/site/users", "/site/users/octo/invite", "/site/organizations"):
        data = {"form_word": word, "login": "mallory", "admin": "octo"}
        answer = await octo.http.post(path, data=data)
        assert answer.status_code == 404
        assert "invitation" not in answer.text
    assert "mallory" not in (await admin.get("/site/users")).text
    assert 'href="/site"' not in nowhere
    assert 'href="/site"' in (await admin.get("/settings/sessions")).text


async def test_how_the_server_is(console: ConsoleWorld) -> None:
    admin = await console.set_password("admin")
    page = (await admin.get("/site")).text
    assert "reachable" in page
    assert "linux/amd64" in page
    assert "free of" in page
    assert "Nothing is under way" in page
    assert "<strong>1</strong> user<" in page


async def test_a_user_is_made_and_invited(console: ConsoleWorld) -> None:
    admin = await console.set_password("admin")
    users = "/site/users"
    made = await admin.submit(users, users, {"login": "octo", "email": "octo@example.com"})
    assert made.status_code == 200
    assert "The user octo was created." in made.text
    link = re.findall(r"https://berth\.test(/login/invitation/[\w-]+)", made.text)[0]
    browser = console.browser()
    assert (await browser.submit(link, link, {"password": PASSWORD, "again": PASSWORD})).status_code == 303
    listed = await admin.get(users)
    assert "octo@example.com" in listed.text
    assert "/login/invitation/" not in listed.text
    again = await admin.submit(listed, f"{users}/octo/invite")
    assert "An invitation for octo." in again.text
    assert "/login/invitation/" in again.text
    for login, email in (("octo", ""), (HOSTILE, ""), ("eve", HOSTILE)):
        refused = await admin.submit(users, users, {"login": login, "email": email})
        assert refused.status_code == 422
        assert "/login/invitation/" not in refused.text
        assert "<script>alert" not in refused.text


async def test_an_organization_is_made(console: ConsoleWorld) -> None:
    admin = await console.set_password("admin")
    await console.berth.user("octo")
    path = "/site/organizations"
    assert (await admin.submit(path, path, {"login": "acme", "admin": "octo"})).status_code == 303
    assert 'href="/orgs/acme"' in (await admin.get(path)).text
    for login, owner in (("acme", "octo"), ("umbrella", HOSTILE), (HOSTILE, "octo")):
        refused = await admin.submit(path, path, {"login": login, "admin": owner})
        assert refused.status_code == 422
        assert "<script>alert" not in refused.text

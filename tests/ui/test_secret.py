"""Secrets at the three levels, in the browser. A value goes in, and never comes out."""

import re

import pytest
from tests.ui.browser import Browser, ConsoleWorld

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>\u202e'
VALUE = "c4nary-value"
MINE = "/settings/secrets"


async def world(console: ConsoleWorld) -> tuple[Browser, dict[str, int]]:
    """olga owns acme, with acme/web (private) and acme/site (public); she has olga/own. wim may write to acme/web."""
    olga = await console.person("olga")
    await console.berth.user("wim")
    client = console.berth.client(await console.berth.token("olga", "repo", "admin:org", "codespace"))
    await console.berth.organization("acme", "olga")
    ids = {}
    for path, name, private in (
        ("/orgs/acme/repos", "web", True),
        ("/orgs/acme/repos", "site", False),
        ("/user/repos", "own", True),
    ):
        made = await client.post(path, json={"name": name, "private": private})
        assert made.status_code == 201, made.text
        ids[name] = int(made.json()["id"])
    added = await client.put("/repos/acme/web/collaborators/wim", json={"permission": "push"})
    assert added.status_code in {201, 204}, added.text
    return olga, ids


async def opened(console: ConsoleWorld, login: str, repository_id: int) -> dict[str, str]:
    """What a codespace gets."""
    account = (await console.berth.admin.get(f"/users/{login}")).json()["id"]
    found = await console.berth.services.secrets.open_for_codespace(account, repository_id)
    return {f"{each.level}/{each.name}": each.value.reveal() for each in found.secrets}


async def test_a_secret_of_ones_own(console: ConsoleWorld) -> None:
    olga, ids = await world(console)
    assert "No secrets" in (await olga.get(MINE)).text
    values = {"secret_name": "key", "value": f"{VALUE}\r\nsecond\r\n", "repository": [str(ids["own"])]}
    made = await olga.submit(f"{MINE}/new", MINE, values)
    assert (made.status_code, made.headers["location"]) == (303, MINE)
    listed = (await olga.get(MINE)).text
    assert "The secret KEY was stored." in listed
    assert "1 repository" in listed
    assert await opened(console, "olga", ids["own"]) == {"user/KEY": f"{VALUE}\nsecond\n"}
    assert await opened(console, "olga", ids["web"]) == {}
    again = await olga.submit(f"{MINE}/new", MINE, values)
    assert again.status_code == 409
    assert "olga has a secret KEY already." in again.text
    changed = await olga.submit(f"{MINE}/KEY", f"{MINE}/KEY", {"value": "another"})
    assert changed.headers["location"] == MINE
    assert await opened(console, "olga", ids["own"]) == {"user/KEY": "another"}
    missing = await olga.submit(f"{MINE}/KEY", f"{MINE}/KEY", {"value": ""})
    assert "Type the value." in missing.text
    gone = await olga.submit(f"{MINE}/KEY/delete", f"{MINE}/KEY/delete")
    assert gone.headers["location"] == MINE
    assert await opened(console, "olga", ids["own"]) == {}
    for path in (f"{MINE}/KEY", f"{MINE}/KEY/delete", f"{MINE}/KEY/repositories"):
        assert (await olga.get(path)).status_code == 404
    for text in (listed, again.text):
        assert VALUE not in text


async def test_repositories_are_chosen_one_by_one(console: ConsoleWorld) -> None:
    olga, ids = await world(console)
    made = await olga.submit(f"{MINE}/new", MINE, {"secret_name": "KEY", "value": VALUE})
    path = f"{MINE}/KEY/repositories"
    assert made.headers["location"] == path
    shown = await olga.get(f"{path}?q=ACME/")
    assert "No repository is selected" in shown.text
    assert "acme/site" in shown.text
    assert "olga/own" not in shown.text
    await olga.submit(shown, f"{path}/add", {"repository": str(ids["web"])})
    await olga.submit(shown, f"{path}/add", {"repository": str(ids["web"])})
    assert await opened(console, "olga", ids["web"]) == {"user/KEY": VALUE}
    shown = await olga.get(path)
    assert shown.text.count("acme/web</a>") == 1
    await olga.submit(shown, f"{path}/remove", {"repository": str(ids["web"])})
    assert await opened(console, "olga", ids["web"]) == {}
    for wrong in ("", "x", "-1", "9" * 30):
        assert (await olga.submit(shown, f"{path}/add", {"repository": wrong})).status_code == 422


async def test_a_secret_of_an_organization(console: ConsoleWorld) -> None:
    olga, ids = await world(console)
    base = "/orgs/acme/settings/secrets"
    form = {"secret_name": "KEY", "value": VALUE, "visibility": "private"}
    assert (await olga.submit(f"{base}/new", base, {**form, "visibility": "everybody"})).status_code == 422
    assert (await olga.submit(f"{base}/new", base, form)).headers["location"] == base
    assert "private and internal repositories" in (await olga.get(base)).text
    assert await opened(console, "olga", ids["web"]) == {"organization/KEY": VALUE}
    assert await opened(console, "olga", ids["site"]) == {}
    path = f"{base}/KEY/repositories"
    assert (await olga.submit(path, path, {"visibility": "selected"})).headers["location"] == path
    assert await opened(console, "olga", ids["web"]) == {}
    shown = await olga.get(path)
    assert "olga/own" not in shown.text
    await olga.submit(shown, f"{path}/add", {"repository": str(ids["site"])})
    assert await opened(console, "olga", ids["site"]) == {"organization/KEY": VALUE}
    assert (await olga.submit(shown, f"{path}/add", {"repository": str(ids["own"])})).status_code == 422
    await olga.submit(f"{base}/KEY", f"{base}/KEY", {"value": "new"})
    assert await opened(console, "olga", ids["site"]) == {"organization/KEY": "new"}, "who gets it stays"
    await olga.submit(path, path, {"visibility": "all"})
    assert "all repositories" in (await olga.get(base)).text


async def test_a_secret_of_a_repository(console: ConsoleWorld) -> None:
    olga, ids = await world(console)
    wim = await console.set_password("wim")
    base = "/acme/web/settings/secrets"
    page = await olga.get(f"{base}/new")
    assert (await olga.submit(page, base, {"secret_name": "KEY", "value": VALUE})).headers["location"] == base
    assert await opened(console, "wim", ids["web"]) == {"repository/KEY": VALUE}
    shown = await wim.get(base)
    assert "KEY" in shown.text
    assert "New secret" not in shown.text
    assert f"{base}/KEY/delete" not in shown.text
    for path in ("new", "KEY", "KEY/delete"):
        assert (await wim.get(f"{base}/{path}")).status_code == 403
    word = {"form_word": re.findall(r'name="form_word" value="([0-9a-f]+)"', shown.text)[0]}
    for path, values in (
        (base, {"secret_name": "X", "value": "x"}),
        (f"{base}/KEY", {"value": "x"}),
        (f"{base}/KEY/delete", {}),
    ):
        assert (await wim.http.post(path, data={**word, **values})).status_code == 403
    assert await opened(console, "wim", ids["web"]) == {"repository/KEY": VALUE}
    assert (await olga.get(f"{base}/KEY/repositories")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/acme/web",
        *(f"/{at}/settings/{what}" for at in ("acme/web", "orgs/acme") for what in ("secrets", "registries")),
        *(f"/{at}/settings/{what}/new" for at in ("acme/web", "orgs/acme") for what in ("secrets", "registries")),
    ],
)
async def test_a13_hidden_is_as_missing(console: ConsoleWorld, path: str) -> None:
    olga, _ids = await world(console)
    eve = await console.person("eve")
    missing = path.replace("acme", "nobody")
    hidden = await eve.get(path)
    assert (await olga.get(path)).status_code == 200
    assert hidden.status_code == 404
    assert hidden.text == (await eve.get(missing)).text


async def test_a_mistake_shows_the_form_again_without_the_value(console: ConsoleWorld) -> None:
    olga = await console.person("olga")
    for values, words in (
        ({"secret_name": HOSTILE, "value": VALUE}, "Secret names can only contain"),
        ({"secret_name": "GITHUB_X", "value": VALUE}, "must not start with GITHUB_"),
        ({"secret_name": "X", "value": ""}, "Type the value."),
        ({"secret_name": "X", "value": VALUE * 5000}, "at most 48 KB"),
        ({"secret_name": "X", "value": VALUE, "repository": "999999"}, "does not exist for you"),
        ({"secret_name": "X", "value": VALUE, "repository": HOSTILE}, "Choose a repository."),
    ):
        answer = await olga.submit(f"{MINE}/new", MINE, values)
        assert answer.status_code == 422
        assert words in answer.text
        assert VALUE not in answer.text
        assert "<script>" not in answer.text
        assert "<img src=x" not in answer.text
    assert "No secrets" in (await olga.get(MINE)).text

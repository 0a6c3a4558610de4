"""A package's settings, who may use it, and why. Rules: DESIGN section 2, A3, A4, A7, A8, A10, A13."""

import pytest
from tests.rest.package_api import Packages, make_packages
from tests.ui.browser import Browser, ConsoleWorld

BASE = "/packages/acme/app"
SETTINGS = f"{BASE}/-/settings"


@pytest.fixture
async def packages(console: ConsoleWorld) -> Packages:
    made = await make_packages(console.berth)
    await made.version(await made.make("acme/app"), "1")
    return made


@pytest.fixture
async def octo(console: ConsoleWorld, packages: Packages) -> Browser:
    return await console.set_password("octo")


async def repository(packages: Packages, name: str, **body: object) -> int:
    answer = await packages.octo.post("/orgs/acme/repos", json={"name": name, "private": True, **body})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def setting(packages: Packages, key: str) -> object:
    return (await packages.octo.get("/orgs/acme/packages/container/app/settings")).json()[key]


async def test_visibility_is_changed_by_typing_the_name_and_public_is_for_ever(
    packages: Packages, octo: Browser
) -> None:
    """A10."""
    assert "Make internal…" in (await octo.get(SETTINGS)).text
    path = f"{SETTINGS}/visibility/public"
    asked = await octo.get(path)
    assert "A public package never becomes private or internal again" in asked.text
    assert (await octo.submit(asked, path, {"typed": "app"})).status_code == 422
    assert await setting(packages, "visibility") == "private"
    assert (await octo.submit(asked, path, {"typed": "acme/app"})).headers["location"] == SETTINGS
    assert await setting(packages, "visibility") == "public"
    page = (await octo.get(SETTINGS)).text
    assert "This package is public, and stays so" in page
    assert "/visibility/" not in page
    back = f"{SETTINGS}/visibility/private"
    refused = await octo.submit(back, back, {"typed": "acme/app"})
    assert refused.status_code == 409
    assert "A public package cannot become private or internal again." in refused.text
    assert (await octo.get(f"{SETTINGS}/visibility/none")).status_code == 422


async def test_a_users_package_is_not_internal(packages: Packages, octo: Browser) -> None:
    await packages.version(await packages.make("octo/own"), "1")
    page = (await octo.get("/packages/octo/own/-/settings")).text
    assert "Make public…" in page
    assert "Make internal…" not in page


async def test_link_inherit_and_unlink(packages: Packages, octo: Browser) -> None:
    """A4: inheriting overwrites what was granted, and says so before."""
    await repository(packages, "web")
    for text in ("acme/none", "acme", "<script>/x"):
        answer = await octo.submit(SETTINGS, f"{SETTINGS}/link", {"repository": text})
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert "<script>/x" not in answer.text
    assert (await octo.submit(SETTINGS, f"{SETTINGS}/link", {"repository": "acme/web"})).status_code == 303
    await octo.submit(f"{BASE}/-/access", f"{BASE}/-/access/users", {"username": "member", "role": "write"})
    asked = await octo.get(f"{SETTINGS}/inherit")
    assert "1 person and 0 teams" in asked.text
    assert (await octo.submit(asked, f"{SETTINGS}/inherit")).headers["location"] == SETTINGS
    assert (await setting(packages, "repository"), await setting(packages, "inherit_access")) == ("acme/web", True)
    assert "Nobody was granted a role" in (await octo.get(f"{BASE}/-/access")).text
    await octo.submit(SETTINGS, f"{SETTINGS}/inherit/end")
    assert await setting(packages, "inherit_access") is False
    await octo.submit(SETTINGS, f"{SETTINGS}/unlink")
    assert await setting(packages, "linked") is False
    refused = await octo.submit(f"{SETTINGS}/inherit", f"{SETTINGS}/inherit")
    assert refused.status_code == 422
    assert "it is linked to none" in refused.text


async def test_untagged_versions_stay_or_go_after_days(packages: Packages, octo: Browser) -> None:
    form = f"{SETTINGS}/retention"
    for text, days in (("14", 14), ("", None)):
        assert (await octo.submit(SETTINGS, form, {"untagged_retention_days": text})).status_code == 303
        assert await setting(packages, "untagged_retention_days") == days
    for text in ("0", "3651", "-1", "a few", "9" * 40):
        assert (await octo.submit(SETTINGS, form, {"untagged_retention_days": text})).status_code == 422


async def test_people_and_teams_get_roles(packages: Packages, octo: Browser) -> None:
    """A3: a private package of an organization is for its members only."""
    await packages.octo.post("/orgs/acme/teams", json={"name": "Core"})
    page, users, teams = f"{BASE}/-/access", f"{BASE}/-/access/users", f"{BASE}/-/access/teams"
    assert (await octo.submit(page, users, {"username": "member", "role": "write"})).headers["location"] == page
    assert (await octo.submit(page, teams, {"team": "core", "role": "admin"})).headers["location"] == page
    shown = (await octo.get(page)).text
    assert '<option value="write" selected>' in shown
    assert f'action="{users}/member/remove"' in shown
    assert f'action="{teams}/core/remove"' in shown
    for values in (
        {"username": "stranger", "role": "read"},
        {"username": "nobody", "role": "read"},
        {"username": "<b>x</b>", "role": "read"},
        {"username": "member", "role": "owner"},
    ):
        refused = await octo.submit(page, users, values)
        assert refused.status_code == 422
        assert 'role="alert"' in refused.text
        assert "<b>x" not in refused.text
    assert (await octo.submit(page, teams, {"team": "none", "role": "read"})).status_code == 422
    await octo.submit(page, f"{users}/member/remove")
    await octo.submit(page, f"{teams}/core/remove")
    shown = (await octo.get(page)).text
    assert "Nobody was granted a role" in shown
    assert "No team was granted a role" in shown


async def test_a_users_package_has_no_teams(packages: Packages, octo: Browser) -> None:
    await packages.version(await packages.make("octo/own"), "1")
    assert "Teams" not in (await octo.get("/packages/octo/own/-/access")).text


@pytest.mark.parametrize("word", ["codespaces", "workflows"])
async def test_repositories_are_searched_added_and_removed(packages: Packages, octo: Browser, word: str) -> None:
    """A7 c, A8."""
    web = await repository(packages, "web")
    await packages.stranger.post("/user/repos", json={"name": "web-of-lies", "private": True})
    page = f"{BASE}/-/{word}"
    await packages.octo.post("/user/repos", json={"name": "web-of-truth", "private": True})
    nothing = (await octo.get(f"{page}?q=of-")).text
    assert "No other repository fits. Only those of acme can be added, as the package is private." in nothing
    found = await octo.get(f"{page}?q=web")
    assert "acme/web" in found.text
    assert (await octo.submit(found, page, {"role": "write"})).headers["location"] == page
    listed = (await octo.get(f"{page}?q=web")).text
    assert f'action="{page}/{web}/remove"' in listed
    assert "No other repository fits." in listed, "it is not offered twice"
    if word == "workflows":
        assert '<option value="write" selected>' in listed
        assert (await octo.submit(found, page, {"role": "owner"})).status_code == 422
    for text in ("stranger/web-of-lies", "acme/none", "x"):
        refused = await octo.submit(found, page, {"repository": text})
        assert refused.status_code == 422
        assert 'role="alert"' in refused.text
    await octo.submit(page, f"{page}/{web}/remove")
    assert "No repositories" in (await octo.get(page)).text


async def test_who_can_pull_and_why(packages: Packages, octo: Browser) -> None:
    page = f"{BASE}/-/explain"
    await repository(packages, "web")
    said = {
        "who=octo": ("Yes: octo can pull acme/app", "package.owner"),
        "who=stranger": ("No: stranger cannot pull acme/app", "package.role.none"),
        "who=octo&action=administer": ("Yes: octo can administer acme/app", "package.action.administer"),
        "who=acme/web": ("No: a codespace of acme/web cannot pull acme/app", "package.codespace.not_linked"),
        "who=acme/web&action=push": ("No: a workflow of acme/web cannot push acme/app", "package.workflow.not_linked"),
    }
    for query, (verdict, rule) in said.items():
        text = (await octo.get(f"{page}?{query}")).text
        assert verdict in text, query
        assert f'href="/docs/access-rules#{rule}"' in text, query
    assert "To them the package does not exist." in (await octo.get(f"{page}?who=stranger")).text
    assert 'role="alert"' not in (await octo.get(page)).text
    for query in ("who=nobody", "who=acme/none", "who=octo&action=eat", "who=<script>", "who=a/b/c"):
        answer = await octo.get(f"{page}?{query}")
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert "<script>" not in answer.text


async def test_settings_are_for_who_administers(console: ConsoleWorld, packages: Packages, octo: Browser) -> None:
    """Denied to who reads, missing to who does not (A13); nothing happens, whatever form was filled in."""
    await packages.octo.patch("/orgs/acme/packages/container/app", json={"visibility": "internal"})
    member, stranger = await console.set_password("member"), await console.set_password("stranger")
    for browser, status in ((member, 403), (stranger, 404)):
        own = await browser.get("/settings/sessions")
        word = own.text.partition('name="form_word" value="')[2][:64]
        for path, values in (
            (f"{SETTINGS}/visibility/public", {"typed": "acme/app"}),
            (f"{SETTINGS}/link", {"repository": "acme/web"}),
            (f"{SETTINGS}/unlink", {}),
            (f"{SETTINGS}/inherit", {}),
            (f"{SETTINGS}/inherit/end", {}),
            (f"{SETTINGS}/retention", {"untagged_retention_days": "0"}),
            (f"{BASE}/-/access/users", {"username": "member", "role": "admin"}),
            (f"{BASE}/-/access/users/octo/remove", {}),
            (f"{BASE}/-/access/teams", {"team": "core", "role": "admin"}),
            (f"{BASE}/-/access/teams/core/remove", {}),
            (f"{BASE}/-/codespaces", {"repository": "acme/web"}),
            (f"{BASE}/-/codespaces/1/remove", {}),
            (f"{BASE}/-/workflows", {"repository": "acme/web", "role": "admin"}),
            (f"{BASE}/-/workflows/1/remove", {}),
            (f"{BASE}/-/delete", {"typed": "acme/app"}),
        ):
            answer = await browser.http.post(path, data={"form_word": word, **values})
            assert answer.status_code == status, path
    assert await setting(packages, "visibility") == "internal"
    assert (await octo.get(BASE)).status_code == 200

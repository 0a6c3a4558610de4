"""Every form and every page of the console, asked for by who may not: nothing is done, nothing fails, nothing is told (A13).

Paths and fields name what is there for its owner olga. What a page is for, its own tests say.
"""

import re
from collections.abc import Mapping

import pytest
from tests.ui.browser import ORIGIN, Browser, ConsoleWorld, forms_of
from tests.ui.codespaces import AVAILABLE, client_of, make_codespace, make_repository
from tests.ui.test_secret import world

from berth.ui.app import Route
from berth.ui.form import FORM_WORD
from berth.ui.routes import ROUTES

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
NOBODYS = ("/login", "/logout", "/settings", "/favicon")  # of everybody himself, or of nobody
REAL = {
    "org": "acme", "owner": "acme", "repo": "web", "team_slug": "crew", "slug": "crew", "username": "olga", "login": "olga",
    "policy_name": "strict", "prefix": "CORP", "id": "1", "visibility": "private",
}  # fmt: skip
MISSING = {
    "org": "nope", "owner": "nope", "repo": "nil", "team_slug": "none", "slug": "none", "username": "noone", "login": "noone",
    "policy_name": "absent", "prefix": "NADA", "id": "999999", "visibility": "private", "name": "noone-shop-0000000000",
}  # fmt: skip
FIELDS = {
    "role": "admin", "secret_name": "A", "value": "v", "server": "r.test", "user": "u", "password": "p", "visibility": "all",
    "email": "e@example.com", "branch": "b", "full": "1", "display_name": "x",
}  # fmt: skip


def fields_of(names: Mapping[str, str]) -> dict[str, str]:
    full_name = f"{names['owner']}/{names['repo']}"
    who = dict.fromkeys(("login", "username", "usernames", "admin"), names["login"])
    return {
        **FIELDS, **who, "name": "more", "team": names["slug"], "repository": full_name, "repo": full_name, "typed": full_name,
        "image": f"berth.test/{full_name}",
    }  # fmt: skip


class Caller:
    """Sends any form, with the form word that the person's own pages have."""

    def __init__(self, browser: Browser, word: str) -> None:
        self.browser = browser
        self.word = word

    @classmethod
    async def of(cls, browser: Browser) -> "Caller":
        return cls(browser, forms_of(await browser.get("/settings/account"))[0].fields[FORM_WORD][0])

    async def ask(self, route: Route, names: Mapping[str, str]) -> tuple[int, str]:
        """Status, and what is said or where it leads, without the names that were asked for."""
        path = route.path.replace(":path", "").format(**names)
        if route.method == "GET":
            answer = await self.browser.get(path)
        else:
            headers = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
            fields = {FORM_WORD: self.word, **fields_of(names)}
            answer = await self.browser.http.post(path, data=fields, headers=headers)
        said = answer.headers.get("location") or answer.text
        for name, value in sorted(names.items(), key=lambda each: -len(each[1])):
            if name not in {"id", "visibility"}:
                said = said.replace(value, "-").replace(value.lower(), "-")
        return answer.status_code, said


async def make(console: ConsoleWorld) -> tuple[Caller, dict[str, str]]:
    """olga's browser, and the names of all that she has."""
    olga, _ids = await world(console)
    api = await client_of(console, "olga")
    await api.post("/orgs/acme/teams", json={"name": "crew"})
    name = await make_codespace(console, api, await make_repository(api), **AVAILABLE)
    await olga.submit(
        "/orgs/acme/settings/codespace-policies", "/orgs/acme/settings/codespace-policies", {"name": "strict"}
    )
    return await Caller.of(olga), {**REAL, "name": name}


async def test_attack_a_stranger_is_told_as_of_what_is_missing(console: ConsoleWorld) -> None:
    olga, names = await make(console)
    eve = await Caller.of(await console.person("eve"))
    seen = 0
    for route in ROUTES:
        if "{" not in route.path or route.path.startswith(NOBODYS):
            continue
        told, missing = await eve.ask(route, names), await eve.ask(route, MISSING)
        if route.method == "GET" and told[0] == 200:
            assert route.path in OF_EVERYBODY, route
            continue
        assert told == missing, route
        assert told[0] == 404 or (route.path in OF_EVERYBODY and told[0] < 500), route
        seen += (await olga.ask(route, names))[0] == 200 if route.method == "GET" else 0
    assert seen > 15  # the positive control: pages that are there for their owner


OF_EVERYBODY = {
    "/orgs/{org}", "/orgs/{org}/packages", "/users/{login}/packages", "/packages/{owner}/{name:path}/-/restore",
}  # fmt: skip


async def test_attack_a_members_forms_change_nothing(console: ConsoleWorld) -> None:
    olga, names = await make(console)
    mia = await Caller.of(await console.person("mia"))
    await (await client_of(console, "olga")).put("/orgs/acme/memberships/mia", json={"role": "member"})
    pages = (
        "/orgs/acme/people",
        "/orgs/acme/teams/crew",
        "/orgs/acme/settings/policies",
        "/orgs/acme/settings/secrets",
    )
    before = [_stable((await olga.browser.get(path)).text) for path in pages]
    for route in ROUTES:
        if route.method == "POST" and "{" in route.path and not route.path.startswith(NOBODYS):
            status, said = await mia.ask(route, names)
            assert 400 <= status < 500, (route, status, said)
    assert [_stable((await olga.browser.get(path)).text) for path in pages] == before
    added = next(route for route in ROUTES if (route.method, route.path) == ("POST", "/orgs/{org}/people"))
    assert (await olga.ask(added, {**names, "login": "mia"}))[0] == 303
    assert _stable((await olga.browser.get(pages[0])).text) != before[0]  # the positive control


def _stable(page: str) -> str:
    return re.sub(r"<time.*?</time>", "", page)

"""Registries in the browser: tried before they are stored, one card each, and never a password in a page."""

from urllib.parse import urlencode

import pytest
from tests.counting import counting
from tests.ui.browser import Browser, ConsoleWorld
from tests.ui.test_secret import opened, world

from berth.domain.access import Subject
from berth.domain.login_exchange import LoginProof
from berth.domain.secret import SecretLevel
from berth.domain.secret_text import SecretText
from berth.domain.session import Visitor
from berth.services.registry_login import GivenLogin
from berth.services.registry_triple import Access
from berth.services.secret_access import SecretPlace

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
PASSWORD = "c4nary-password"
MINE = "/registries"
NAMES = ("SERVER", "USER", "PASSWORD")


def login(**values: str | list[str]) -> dict[str, str | list[str]]:
    return {"server": "r.test", "user": "ana", "password": PASSWORD, "prefix": "CORP", **values}


def triple(level: str, prefix: str = "CORP", password: str = PASSWORD) -> dict[str, str]:
    values = ("r.test", "ana", password)
    return {f"{level}/{prefix}_CONTAINER_REGISTRY_{part}": value for part, value in zip(NAMES, values, strict=True)}


@pytest.fixture
async def olga(console: ConsoleWorld) -> tuple[Browser, dict[str, int]]:
    console.berth.registry.passwords["r.test"] = PASSWORD
    return await world(console)


Olga = tuple[Browser, dict[str, int]]


async def test_a_login_is_tried_stored_shown_replaced_and_removed(console: ConsoleWorld, olga: Olga) -> None:
    browser, ids = olga
    assert "No registries" in (await browser.get(MINE)).text
    made = await browser.submit(f"{MINE}/new", MINE, login(repository=[str(ids["web"])]))
    assert made.headers["location"] == MINE
    assert await opened(console, "olga", ids["web"]) == triple("user")
    card = (await browser.get(MINE)).text
    for words in ("r.test takes the login. It was stored.", "CORP_CONTAINER_REGISTRY_PASSWORD", "1 repository"):
        assert words in card
    assert PASSWORD not in card
    assert '<dt>Last check</dt><dd><span class="badge good">accepted</span> <time' in card
    assert "r.test takes the login." in (await browser.submit(MINE, f"{MINE}/CORP/check")).text
    again = await browser.submit(f"{MINE}/new", MINE, login())
    assert again.status_code == 409
    assert "There already: CORP_CONTAINER_REGISTRY_PASSWORD" in again.text
    console.berth.registry.passwords["r.test"] = "new-one"
    assert "image.unauthorized" in (await browser.submit(MINE, f"{MINE}/CORP/check")).text
    for page in (MINE, f"{MINE}?repo=acme/web"):
        card = (await browser.get(page)).text
        assert '<span class="badge bad">refused</span>' in card
        assert '<a href="/docs/errors#image.unauthorized">' in card
    path = f"{MINE}/CORP/replace"
    refused = await browser.submit(path, path, {"server": "r.test", "user": "ana", "password": PASSWORD})
    assert refused.status_code == 422
    assert "Nothing was stored or changed." in refused.text
    assert await opened(console, "olga", ids["web"]) == triple("user")
    missing = await browser.submit(path, path, {"user": "ana"})
    assert missing.status_code == 422
    assert "Type the password." in missing.text
    done = await browser.submit(path, path, {"server": "r.test", "user": "ana", "password": "new-one"})
    assert done.headers["location"] == MINE
    assert await opened(console, "olga", ids["web"]) == triple("user", password="new-one"), "its repositories stay"
    gone = await browser.submit(f"{MINE}/CORP/delete", f"{MINE}/CORP/delete")
    assert gone.headers["location"] == MINE
    assert await opened(console, "olga", ids["web"]) == {}
    for page in ("CORP/replace", "CORP/delete", "CORP/repositories"):
        assert (await browser.get(f"{MINE}/{page}")).status_code == 404


async def test_what_a_new_form_has_chosen_already(console: ConsoleWorld, olga: Olga) -> None:
    browser, ids = olga
    assert f'value="{ids["web"]}" checked' in (await browser.get(f"{MINE}/new?server=r.test&repo=acme/web")).text
    organization = (await browser.get("/orgs/acme/settings/registries/new")).text
    assert 'id="visibility-private" name="visibility" value="private" checked' in organization


@pytest.mark.parametrize(
    ("back", "leads"),
    [("/codespaces/x?a=b", "/codespaces/x?a=b"), ("", MINE), ("https://evil.test/", "/"), ("//evil.test", "/")],
)
async def test_who_came_from_a_finding_returns_to_it(console: ConsoleWorld, olga: Olga, back: str, leads: str) -> None:
    browser, ids = olga
    page = await browser.get(f"{MINE}/new?{urlencode({'return_to': back})}")
    assert f'class="button" href="{leads}">Cancel' in page.text
    refused = await browser.submit(page, MINE, login(password="wr0ng", repository=[str(ids["web"])]))
    assert refused.status_code == 422
    made = await browser.submit(refused, MINE, login(repository=[str(ids["web"])]))
    assert made.headers["location"] == leads
    path = f"{MINE}/CORP/replace"
    form = await browser.get(f"{path}?{urlencode({'return_to': back})}")
    done = await browser.submit(form, path, {"server": "r.test", "user": "ana", "password": PASSWORD})
    assert done.headers["location"] == leads


async def test_what_is_refused_is_told_and_not_stored(console: ConsoleWorld, olga: Olga) -> None:
    browser, ids = olga
    answer = await browser.submit(f"{MINE}/new", MINE, login(password="wr0ng-canary", repository=[str(ids["web"])]))
    assert answer.status_code == 422
    assert "image.unauthorized" in answer.text
    assert "Store it without a try" not in answer.text
    assert 'value="ana"' in answer.text
    assert f'value="{ids["web"]}" checked' in answer.text
    assert "wr0ng-canary" not in answer.text
    assert await opened(console, "olga", ids["web"]) == {}


async def test_what_cannot_be_told_is_stored_only_when_asked_for(console: ConsoleWorld, olga: Olga) -> None:
    browser, ids = olga
    console.berth.registry.passwords["r.test"] = None
    console.berth.registry.proof = LoginProof.NOT_ASKED
    given = login(repository=[str(ids["web"])])
    answer = await browser.submit(f"{MINE}/new", MINE, given)
    assert answer.status_code == 422
    assert "It is not known whether the login is right." in answer.text
    assert PASSWORD not in answer.text
    assert await opened(console, "olga", ids["web"]) == {}
    made = await browser.submit(answer, MINE, {**given, "unchecked": "1"})
    assert made.headers["location"] == MINE
    card = (await browser.get(MINE)).text
    assert "The login was stored without a try." in card
    assert "none since it was stored" in card
    await browser.submit(MINE, f"{MINE}/CORP/check")
    assert '<span class="badge warn">not known</span>' in (await browser.get(MINE)).text
    assert await opened(console, "olga", ids["web"]) == triple("user")


@pytest.mark.parametrize(
    ("base", "level", "more"),
    [
        ("/orgs/acme/settings/registries", "organization", {"visibility": "private"}),
        ("/acme/web/settings/registries", "repository", {}),
    ],
)
async def test_logins_of_organizations_and_repositories(
    console: ConsoleWorld, olga: Olga, base: str, level: str, more: dict[str, str]
) -> None:
    browser, ids = olga
    made = await browser.submit(f"{base}/new", base, login(**more))
    assert made.headers["location"] == base
    assert await opened(console, "olga", ids["web"]) == triple(level)
    assert await opened(console, "olga", ids["site"]) == {}
    wim = await console.set_password("wim")
    seen = await wim.get(base)
    assert (seen.status_code == 200) is (level == "repository")
    assert "Add a registry" not in seen.text
    assert (await wim.get(f"{base}/new")).status_code in {403, 404}
    assert (await wim.get(f"{base}/CORP/replace")).status_code in {403, 404}
    await browser.submit(f"{base}/CORP/delete", f"{base}/CORP/delete")
    assert await opened(console, "olga", ids["web"]) == {}


async def test_a_repositorys_card_tells_whose_own_login_comes_first(console: ConsoleWorld, olga: Olga) -> None:
    browser, ids = olga
    of_repository = "/acme/web/settings/registries"
    await browser.submit(f"{of_repository}/new", of_repository, login())
    assert "Shadowed" not in (await browser.get(of_repository)).text
    await browser.submit(f"{MINE}/new", MINE, login(prefix="OWN", repository=[str(ids["web"])]))
    card = (await browser.get(of_repository)).text
    assert "Shadowed for your own codespaces.</strong> " in card
    assert "OWN_CONTAINER_REGISTRY_" in card
    assert "Shadowed" not in (await browser.get(MINE)).text
    wim = await console.set_password("wim")
    assert "Shadowed" not in (await wim.get(of_repository)).text, "his codespaces use it"


async def test_repositories_get_the_three_together(console: ConsoleWorld, olga: Olga) -> None:
    browser, ids = olga
    await browser.submit(f"{MINE}/new", MINE, login())
    assert "no repository yet" in (await browser.get(MINE)).text
    path = f"{MINE}/CORP/repositories"
    shown = await browser.get(f"{path}?q=web")
    await browser.submit(shown, f"{path}/add", {"repository": str(ids["web"])})
    assert await opened(console, "olga", ids["web"]) == triple("user")
    secret = "/settings/secrets/CORP_CONTAINER_REGISTRY_USER/repositories"
    await browser.submit(secret, f"{secret}/remove", {"repository": str(ids["web"])})
    assert "1 repository gets only a part of its secrets" in (await browser.get(MINE)).text
    shown = await browser.get(path)
    assert "only a part of the secrets" in shown.text
    await browser.submit(shown, f"{path}/add", {"repository": str(ids["web"])})
    assert await opened(console, "olga", ids["web"]) == triple("user")
    shown = await browser.get(path)
    assert "only a part" not in shown.text
    await browser.submit(shown, f"{path}/remove", {"repository": str(ids["web"])})
    assert await opened(console, "olga", ids["web"]) == {}


async def test_cards_say_what_is_wrong(console: ConsoleWorld, olga: Olga) -> None:
    browser, _ids = olga
    base = "/settings/secrets"
    values = {
        "A_CONTAINER_REGISTRY_SERVER": "ghcr.io",
        "B_CONTAINER_REGISTRY_SERVER": "https://ghcr.io/",
        "B_CONTAINER_REGISTRY_USER": "x:y",
        "B_CONTAINER_REGISTRY_PASSWORD": PASSWORD,
        "C_CONTAINER_REGISTRY_SERVER": f"https://u:{PASSWORD}@r.test",
    }
    for name, value in values.items():
        await browser.submit(f"{base}/new", base, {"secret_name": name, "value": value})
    page = (await browser.get(MINE)).text
    assert "A_CONTAINER_REGISTRY_USER and A_CONTAINER_REGISTRY_PASSWORD have no value" in page
    assert "holds a colon" in page
    assert "B is for the same server" in page
    assert "GitHub Container Registry" in page
    assert "<code>read:packages</code>" in page
    assert "C_CONTAINER_REGISTRY_SERVER cannot be used" in page
    assert PASSWORD not in page


async def test_what_a_repository_uses_and_why(console: ConsoleWorld, olga: Olga) -> None:
    browser, ids = olga
    for base, more in (
        (MINE, {"repository": [str(ids["web"])]}),
        ("/acme/web/settings/registries", {}),
        ("/orgs/acme/settings/registries", {"visibility": "selected"}),
        ("/orgs/acme/settings/registries", {"visibility": "all", "prefix": "TEAM"}),
    ):
        await browser.submit(f"{base}/new", base, login(**more))
    page = (await browser.get(f"{MINE}?repo=acme/web")).text
    assert "r.test is served by CORP_CONTAINER_REGISTRY_… (user)." in page
    assert "no: another one is used" in page
    assert "no: not given to it" in page
    assert 'href="/orgs/acme/settings/registries/CORP/repositories"' in page
    assert "the codespace&#39;s own token" in page
    assert PASSWORD not in page
    wim = await console.set_password("wim")
    page = (await wim.get(f"{MINE}?repo=acme/web")).text
    assert 'href="/acme/web/settings/registries"' in page
    assert "TEAM" in page
    assert "/orgs/acme/settings" not in page, "he may not open it"
    eve = await console.person("eve")
    hidden, missing = await eve.get(f"{MINE}?repo=acme/web"), await eve.get(f"{MINE}?repo=acme/nil")
    assert hidden.status_code == missing.status_code == 404
    assert hidden.text.replace("web", "nil") == missing.text
    assert (await eve.get(f"{MINE}?repo=nothing")).status_code == 404
    await console.berth.client(await console.berth.token("olga", "repo")).patch("/repos/acme/web", json={"name": "new"})
    assert (await browser.get(f"{MINE}?repo=acme/web")).headers["location"] == "/registries?repo=acme%2Fnew"


async def test_lists_cost_the_same_however_long_they_are(console: ConsoleWorld, olga: Olga) -> None:
    """Queries a page, and its size: with one login and with as many as there can be."""
    browser, ids = olga
    pages = (MINE, "/settings/secrets", f"{MINE}?repo=acme/web", f"{MINE}/P0/repositories")
    subject = await subject_of(console, browser)
    costs: list[list[int]] = []
    for numbers in (range(1), range(1, 33)):
        for number in numbers:
            given = GivenLogin(
                level=SecretLevel.USER,
                server=f"r{number}.test",
                user=SecretText("ana"),
                password=SecretText(PASSWORD),
                prefix=f"P{number}",
            )
            access = Access(repository_ids=(ids["web"], ids["own"]))
            await console.berth.services.registry_triples.add(
                subject, SecretPlace(level=SecretLevel.USER), given, access, unchecked=True
            )
        cost = []
        for path in pages:
            with counting() as sent:
                answer = await browser.get(path)
            assert answer.status_code == 200
            assert len(answer.content) < 100_000
            cost.append(len(sent))
        costs.append(cost)
    assert costs[0] == costs[1]
    assert max(costs[0]) <= 26
    assert (await browser.get(MINE)).text.count('<li class="card">') == 30
    assert (await browser.get(f"{MINE}?page=2")).text.count('<li class="card">') == 3


async def subject_of(console: ConsoleWorld, browser: Browser) -> Subject:
    visitor = Visitor(address="192.0.2.7", user_agent="")
    known = await console.berth.services.sessions.find(SecretText(browser.session or ""), visitor)
    assert known is not None
    return known.subject


async def test_hints_stand_beside_the_form(olga: Olga) -> None:
    browser, _ids = olga
    page = (await browser.get(f"{MINE}/new")).text
    assert "Azure Container Registry" in page
    page = (await browser.get(f"{MINE}/new?provider=acr")).text
    assert "<code>AcrPull</code>" in page
    page = (await browser.get(f"{MINE}/new?server=ghcr.io&provider=acr")).text
    assert "a classic personal access token" in page
    page = (await browser.get(f"{MINE}/new?server=123456789012.dkr.ecr.eu-west-1.amazonaws.com")).text
    assert 'name="session_token"' in page
    page = (await browser.get(f"{MINE}/new?server=r.test&provider=nothing")).text
    assert "is not recognised by its name" in page


async def test_a_mistake_shows_the_form_again_without_the_password(console: ConsoleWorld, olga: Olga) -> None:
    browser, ids = olga
    for values, words in (
        (login(server=""), "Type the server."),
        (login(user=""), "Type the user."),
        (login(password=""), "Type the password."),
        (login(server=HOSTILE), ""),
        (login(server=f"https://u:{PASSWORD}@r.test"), ""),
        (login(prefix=HOSTILE), "Secret names can only contain"),
        (login(user="a:b"), ""),
        (login(repository=[HOSTILE]), "Choose a repository."),
        (login(image="elsewhere.test/x"), "is not at r.test"),
        (login(image=HOSTILE), ""),
        (login(user=PASSWORD, password=PASSWORD, image="x"), ""),
        (login(user=f"ghp_{PASSWORD}", image="x"), ""),
        (login(image=f"u:{PASSWORD}@r.test/x"), ""),
    ):
        answer = await browser.submit(f"{MINE}/new", MINE, values)
        assert answer.status_code == 422, values
        assert words in answer.text
        shown = (
            answer.text.replace(f"https://u:{PASSWORD}@r.test", "") if "u:" in str(values["server"]) else answer.text
        )
        assert PASSWORD not in shown
        assert "<script>" not in answer.text
        assert "<img src=x" not in answer.text
    assert console.berth.registry.asked == []
    assert await opened(console, "olga", ids["web"]) == {}

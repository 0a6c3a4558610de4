"""The console's stories in a real browser, against a real server, registry and engine: what somebody clicks and reads, in order.

People and repositories are made by the API, which is no part of a story; everything else is done on pages.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from playwright.async_api import Browser, Page, expect
from tests.own_registry import make_repository, make_user, own_host, run_inside
from tests.server import fresh_name
from tests.world import REGISTRY_PASSWORD, REGISTRY_USER, World, import_image, push, put_triple

pytestmark = [
    pytest.mark.engine,
    pytest.mark.registry,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="session"),
]
PASSWORD = "a long enough sentence"
WRONG = "a-password-of-last-year"
WAIT_MS = 20_000
LAUNCH_MS = 90_000


@dataclass
class Person:
    """Somebody in front of a browser. `api` is his own, for what is not done on pages."""

    world: World
    page: Page
    api: httpx.AsyncClient
    login: str
    token: str

    async def goes(self, path: str) -> None:
        answer = await self.page.goto(f"{self.world.server.url}{path}")
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"

    async def clicks(self, name: str, *, within: str = "main") -> None:
        """The link or button that is called so."""
        place = self.page.locator(within)
        await (
            place.get_by_role("link", name=name, exact=True)
            .or_(place.get_by_role("button", name=name, exact=True))
            .click()
        )

    async def fills(self, **values: str) -> None:
        for field, value in values.items():
            await self.page.fill(f"#{field}", value)

    async def reads(self, text: str | re.Pattern[str], *, within: str = "main", wait_ms: int = WAIT_MS) -> None:
        await expect(self.page.locator(within)).to_contain_text(text, timeout=wait_ms)

    async def creates_codespace(self, repository: str) -> str:
        """From the list of codespaces; its name."""
        await self.goes("/codespaces")
        await self.page.locator("main .head").get_by_role("link", name="New codespace").click()
        await self.fills(repo=repository)
        await self.clicks("Go on")
        await self.clicks("Create codespace")
        await self.page.wait_for_url(re.compile(r"/codespaces/(?!new)[^/?]+$"))
        return self.page.url.rpartition("/")[2]

    async def sees_state(self, state: str) -> None:
        """The page follows the log, and loads itself anew at its end."""
        await expect(self.page.locator("main .badge.state")).to_have_text(state, timeout=LAUNCH_MS)


Meet = Callable[[], AbstractAsyncContextManager[Person]]


@pytest.fixture
def meet(world: World, chromium: Browser) -> Meet:
    """Somebody new, who follows an invitation and has set a password."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Person]:
        async with world.server.api() as admin:
            scopes = ("repo", "codespace", "codespace:secrets", "admin:org", "user", "write:packages")
            login, token = await make_user(world, admin, *scopes)
            invited = (await admin.post(f"/admin/users/{login}/invitation")).json()["url"]
        async with await chromium.new_context() as context, world.server.api(token) as api:
            page = await context.new_page()
            page.set_default_timeout(WAIT_MS)
            await page.goto(invited)
            person = Person(world, page, api, login, token)
            await person.fills(password=PASSWORD, again=PASSWORD)
            await person.clicks("Set the password and sign in")
            await page.wait_for_url(lambda url: "invitation" not in url)
            yield person

    return make


async def test_from_a_wrong_password_to_a_shell(world: World, meet: Meet) -> None:
    """Signing in, a private image, what the doctor finds, and its mending."""
    async with meet() as ada:
        repository = f"{ada.login}/shop"
        await make_repository(world, ada.api, repository, world.image)
        await signs_in_again(ada)

        await ada.goes("/registries")
        await ada.clicks("Add a registry")
        await ada.fills(server=world.registry_host, user=REGISTRY_USER, password=WRONG, prefix="TEAM")
        await ada.page.get_by_label(repository).check()
        await ada.clicks("Try and store the login")
        await ada.reads(f"{world.registry_host} rejected the credential", within=".finding h2")
        await ada.reads("Nothing was stored.")
        assert WRONG not in await ada.page.content()
        await ada.goes("/registries")
        await ada.reads("No registries")

        # What the try refuses can still be stored: as the three secrets that it is, which GitHub does not try either.
        for part, value in (("SERVER", world.registry_host), ("USER", REGISTRY_USER), ("PASSWORD", WRONG)):
            await stores_secret(ada, "/settings/secrets", f"TEAM_CONTAINER_REGISTRY_{part}", value, repository)

        name = await ada.creates_codespace(repository)
        await ada.sees_state("Failed")
        first = ada.page.locator("main section").first
        await expect(first).to_have_class(re.compile("finding"))
        await ada.reads("TEAM_CONTAINER_REGISTRY_", within=".finding")
        await ada.clicks("Examine with the doctor")
        await expect(ada.page.locator("#image")).to_have_value(world.image)
        await ada.clicks("Examine")
        await ada.reads("TEAM_CONTAINER_REGISTRY_", within="#doctor-result .finding")
        await ada.clicks("Registries of this repository's codespaces")
        await ada.clicks("Where it is stored")
        await ada.clicks(f"Replace {world.registry_host}")
        await ada.fills(user=REGISTRY_USER, password=REGISTRY_PASSWORD)
        await ada.clicks("Try and store the login")
        await ada.reads("It was stored.")

        await ada.goes(f"/codespaces/{name}")
        await ada.clicks("Try again")
        await ada.sees_state("Available")
        await expect(ada.page.locator(".finding")).to_have_count(0)
        await ada.clicks("Open a terminal")
        await expect(ada.page.locator("#state")).to_have_text("Connected.")
        await ada.page.keyboard.type("echo $GITHUB_USER has $((40 + 2))")
        await ada.page.keyboard.press("Enter")
        await ada.reads(f"{ada.login} has 42", within=".xterm-rows")


async def signs_in_again(person: Person) -> None:
    await person.page.locator("header summary", has_text=person.login).click()
    await person.clicks("Sign out", within="header")
    await person.reads("You are signed out.")
    await person.fills(login=person.login, password=PASSWORD)
    await person.clicks("Sign in")
    await person.page.wait_for_url(lambda url: "login" not in url)


async def stores_secret(person: Person, path: str, name: str, value: str, repository: str = "") -> None:
    """At one level; `repository` is ticked where repositories are chosen."""
    await person.goes(f"{path}/new")
    await person.fills(secret_name=name, value=value)
    if repository:
        await person.page.get_by_label(repository).check()
    await person.clicks("Store the secret")
    await person.page.wait_for_url(f"**{path}")
    await person.reads(f"The secret {name} was stored.")


async def test_a_package_is_given_to_a_repository(world: World, meet: Meet) -> None:
    """A7: private and linked to nothing, then on its list for Codespaces access."""
    async with meet() as ada:
        package, repository = f"{ada.login}/dev", f"{ada.login}/shop"
        image = f"{own_host(world)}/{package}"
        await make_repository(world, ada.api, repository, f"{image}:1")
        await import_image(world.docker_host, image, "1")
        await push(world.docker_host, f"{image}:1", ada.login, ada.token)

        await ada.goes("/packages")
        await ada.page.locator("main").get_by_role("link", name=re.compile("dev$")).first.click()
        await ada.clicks("Settings")
        await ada.clicks("Who can pull this")
        await ada.fills(who=repository)
        await ada.clicks("Explain")
        await ada.reads("No: ", within=".verdict h2")
        await ada.reads("neither linked to the package", within=".verdict .trail")
        await ada.reads("package.codespace.not_linked", within=".verdict .trail")
        await ada.clicks("Give codespaces access…")
        await ada.clicks(f"Add {repository}")
        await ada.reads(repository)
        await ada.clicks("Who can pull this")
        await ada.fills(who=repository)
        await ada.clicks("Explain")
        await ada.reads("Yes: ", within=".verdict h2")
        await ada.reads("package.codespace.listed", within=".verdict .trail")

        await ada.creates_codespace(repository)
        await ada.sees_state("Available")
        await ada.reads(image)


async def test_s4_secrets_of_three_levels(world: World, meet: Meet) -> None:
    """The most specific one wins, and none is shown again."""
    async with meet() as ada:
        organization = fresh_name("o")
        repository = f"{organization}/shop"
        async with world.server.api() as admin:
            made = await admin.post("/admin/organizations", json={"login": organization, "admin": ada.login})
            assert made.status_code == 201, made.text
        await make_repository(world, ada.api, repository, world.image)
        triple = (world.registry_host, REGISTRY_USER, REGISTRY_PASSWORD)
        await put_triple(ada.api, f"/orgs/{organization}/codespaces/secrets", "CORP", triple, visibility="all")

        levels = {
            "organization": (f"/orgs/{organization}/settings/secrets", ("AT_ONE", "AT_TWO", "AT_THREE")),
            "repository": (f"/{repository}/settings/secrets", ("AT_TWO", "AT_THREE")),
            "user": ("/settings/secrets", ("AT_THREE",)),
        }
        for level, (path, names) in levels.items():
            for name in names:
                ticked = repository if level == "user" else ""
                await stores_secret(ada, path, name, f"value-of-{level}-{name}", ticked)

        name = await ada.creates_codespace(repository)
        await ada.sees_state("Available")
        code, text = await run_inside(ada.api, name, "env | grep ^AT_ | sort")
        assert (code, text.splitlines()) == (
            0,
            [
                "AT_ONE=value-of-organization-AT_ONE",
                "AT_THREE=value-of-user-AT_THREE",
                "AT_TWO=value-of-repository-AT_TWO",
            ],
        )
        await no_page_shows_a_value(ada, organization, repository, name, [path for path, _ in levels.values()])


async def no_page_shows_a_value(
    person: Person, organization: str, repository: str, codespace: str, lists: list[str]
) -> None:
    paths = [
        *(f"{path}{rest}" for path in lists for rest in ("", "/new", "/AT_THREE", "/AT_THREE/delete")),
        "/settings/secrets/AT_THREE/repositories",
        f"/orgs/{organization}/settings/secrets/AT_ONE/repositories",
        f"/registries?repo={repository}",
        f"/codespaces/{codespace}",
        f"/codespaces/{codespace}/log",
        f"/codespaces/{codespace}/terminal",
        f"/orgs/{organization}/audit",
        f"/{repository}",
    ]
    names = 0
    for path in paths:
        await person.goes(path)
        shown = await person.page.content()
        assert "value-of-" not in shown, path
        assert REGISTRY_PASSWORD not in shown, path
        names += "AT_THREE" in shown
    assert names >= len(lists), "the control: these pages are about them"

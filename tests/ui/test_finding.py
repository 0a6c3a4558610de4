"""The buttons beside a finding: each leads to where it is mended, and only who may mend it there has it."""

import re
from html import unescape

from tests.rest.package_api import make_packages
from tests.ui import codespaces
from tests.ui.browser import ConsoleWorld
from tests.ui.codespaces import FAILED, make_codespace
from tests.ui.test_secret import world

from berth.domain.codespace import finding_to_json
from berth.domain.finding import FIXERS, Finding, Fixer

SEEN = "/registries?repo=acme%2Fweb"
ADD = "/registries/new?server=r.test&repo=acme%2Fweb"
REFUSED = "image.unauthorized"


def found(code: str, level: str = "", prefix: str | None = "CORP") -> str:
    evidence = {"host": "r.test", "level": level} | ({"secrets_withheld": "by rule"} if level == "none by rule" else {})
    if prefix is not None:
        evidence["prefix"] = prefix
    return finding_to_json(
        Finding(code=code, sentence="It failed.", fixer=Fixer.DEVELOPER, next_step="Mend it.", evidence=evidence)
    )


async def test_who_may_mend_it_is_led_there(console: ConsoleWorld) -> None:
    """The first button, of an owner of the organization and of who may write to the repository."""
    olga, _ids = await world(console)
    wim = await console.set_password("wim")
    pages = {}
    for login, browser in (("olga", olga), ("wim", wim)):
        api = await codespaces.client_of(console, login)
        if login == "olga":
            await codespaces.commit(api, "acme/web", ".devcontainer/devcontainer.json", '{"image": "r.test/dev:1"}')
        pages[login] = (browser, await make_codespace(console, api, "acme/web", **FAILED))
    for finding, of_olga, of_wim in (
        (found(REFUSED, "user"), "/registries/CORP/replace", "/registries/CORP/replace"),
        (found(REFUSED, "user", ""), "/registries/-/replace", "/registries/-/replace"),
        (found("credential.not_shared", "user"), "/registries/CORP/repositories", "/registries/CORP/repositories"),
        (found(REFUSED, "repository"), "/acme/web/settings/registries/CORP/replace", SEEN),
        (found(REFUSED, "organization"), "/orgs/acme/settings/registries/CORP/replace", SEEN),
        (found("ecr.secret_wrong", "organization"), "/orgs/acme/settings/registries/CORP/replace", SEEN),
        (found("image.credential_missing"), ADD, ADD),
        (found("image.credential_missing", "none by rule"), SEEN, SEEN),
        (found("image.not_found", "user"), SEEN, SEEN),
        (found(REFUSED, "nowhere"), SEEN, SEEN),
        (found(REFUSED, "user", None), SEEN, SEEN),
        (found("codespace.policy_image"), "/orgs/acme/settings/policies", ""),
        (found("package.codespace_denied"), "", ""),
        (found("container.exited"), "", ""),
    ):
        for login, expected in (("olga", of_olga), ("wim", of_wim)):
            browser, name = pages[login]
            await codespaces.set_row(console, name, finding=finding)
            text = (await browser.get(f"/codespaces/{name}")).text
            links = re.findall(
                r'<a class="button (?:primary)?" href="((?!/doctor)[^"]+)">', text.partition('<h2 id="log')[0]
            )
            first = unescape(links[0] if links else "").replace("?return_to", "&return_to")
            assert first.partition("&return_to=")[0] == expected, (login, finding)
            assert ("return_to" in first) == (first != expected) == (expected == ADD or expected.endswith("/replace"))
            assert text.partition('<h2 id="log')[0].count("button primary") <= 1, "one of them is the next step"
            assert "Who can fix it: you" in text
    assert (await olga.get(ADD)).text.count("checked") == 1, "the repository is ticked already"


async def test_a_package_is_opened_by_who_administers_it(console: ConsoleWorld) -> None:
    packages = await make_packages(console.berth)
    await packages.version(await packages.make("acme/dev"), "1")
    for login, image, count in (("octo", "acme/dev", 1), ("member", "acme/dev", 0), ("octo", "acme/none", 0)):
        browser, api = await console.set_password(login), await codespaces.client_of(console, login)
        file = {".devcontainer/devcontainer.json": f'{{"image": "berth.test/{image}:1"}}'}
        shop = await codespaces.make_repository(api, f"shop-{count}-{image[5:]}", **file)
        name = await make_codespace(console, api, shop, **{**FAILED, "finding": found("package.codespace_denied")})
        page = (await browser.get(f"/codespaces/{name}")).text
        assert page.count(f'href="/packages/acme/dev/-/codespaces?q={shop.replace("/", "%2F")}"') == count, login


def test_everybody_who_can_fix_something_is_named() -> None:
    assert set(FIXERS) == set(Fixer)

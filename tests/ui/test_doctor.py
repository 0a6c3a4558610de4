"""The doctor's page: whole without a script, as lines with one, and what strangers can write into it."""

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from tests.fakes.registry_client import FakeRegistryClient
from tests.ui.browser import ORIGIN, Browser, ConsoleWorld

from berth.domain.doctor import CheckID, CheckState
from berth.domain.problem import UpstreamFailed
from berth.domain.registry_credential import Anonymous, RegistryCredential
from berth.services.image_probe import ImageProbe
from berth.ui.doctor import LABELS, TONES

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>'
IMAGE = "ghcr.io/acme/app:1"


async def octo_of(console: ConsoleWorld) -> Browser:
    api = await console.berth.user("octo")
    await api.post("/user/repos", json={"name": "web", "private": True})
    return await console.set_password("octo")


def registry_of(console: ConsoleWorld) -> FakeRegistryClient:
    probe = console.berth.services.doctor._probe
    assert isinstance(probe, ImageProbe)
    assert isinstance(probe._registry, FakeRegistryClient)
    return probe._registry


async def ask(browser: Browser, values: dict[str, str], *, lines: bool = False) -> httpx.Response:
    page = await browser.get("/doctor")
    word = page.text.partition('name="form_word" value="')[2][:64]
    headers = {"Origin": ORIGIN, **({"Accept": "application/x-ndjson"} if lines else {})}
    return await browser.http.post("/doctor", data={"form_word": word, **values}, headers=headers)


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def states_of(html: str) -> list[str]:
    return re.findall(r'<li class="(\w+)">', html)


async def test_a_form_is_filled_in_and_answered_whole(console: ConsoleWorld) -> None:
    octo = await octo_of(console)
    form = (await octo.get("/doctor?repo=octo/web&image=ghcr.io/acme/app:1")).text
    assert 'value="octo/web"' in form
    assert f'value="{IMAGE}"' in form
    assert '<option value="octo/web">' in form
    answer = await ask(octo, {"image": IMAGE, "repository": "octo/web"})
    assert answer.status_code == 200
    assert "image.credential_missing" in answer.text
    assert "Who can fix it: you" in answer.text
    assert "3 more checks were not made, because this one failed: Access" in answer.text
    assert "there is none to try" in answer.text
    assert len(states_of(answer.text)) == len(CheckID)
    assert answer.text.count("Not looked at: the check access failed.") == 3
    registry_of(console).passwords["ghcr.io/acme/app"] = None
    healthy = await ask(octo, {"image": IMAGE, "repository": "octo/web"})
    assert "Codespaces get this image." in healthy.text
    assert set(states_of(healthy.text)) == {"passed"}


async def test_the_checks_come_as_they_finish(console: ConsoleWorld) -> None:
    """While the registry is silent, what is known already is there; the last line is what the page would have shown."""
    octo = await octo_of(console)
    registry, go, counts = registry_of(console), asyncio.Event(), []

    async def wait(_credential: RegistryCredential | Anonymous) -> None:
        await go.wait()

    registry.on_ask = wait
    values = {"image": IMAGE, "repository": "octo/web"}
    asked = asyncio.create_task(ask(octo, values, lines=True))
    while not registry.asked:
        await asyncio.sleep(0.01)
    assert not asked.done()
    busy = await ask(octo, values, lines=True)
    assert busy.status_code == 429
    assert "Another diagnosis of yours is still running." in busy.text
    go.set()
    answer = await asked
    lines = lines_of(answer)
    for line in lines:
        counts.append(len(states_of(line["html"])))
    assert counts == [1, 4, len(CheckID)]
    assert "The registry is asked." in lines[1]["html"]
    assert lines[0]["html"].count("<script") == 0
    registry.on_ask = None
    page = (await ask(octo, values)).text
    assert lines[2]["html"] in page
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize(
    ("values", "status", "field"),
    [
        ({"image": HOSTILE, "repository": "octo/web"}, 422, "image"),
        ({"image": IMAGE, "repository": HOSTILE}, 422, "repository"),
        ({"image": IMAGE, "repository": "octo/none"}, 422, "repository"),
        ({"image": IMAGE, "repository": "octo/web", "login": "eve"}, 422, ""),
    ],
    ids=["no image", "no repository", "a missing repository", "another person"],
)
async def test_what_cannot_begin_is_a_page(
    console: ConsoleWorld, values: dict[str, str], status: int, field: str, *, lines: bool
) -> None:
    octo = await octo_of(console)
    await console.berth.user("eve")
    answer = await ask(octo, values, lines=lines)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    if field:
        assert re.search(rf'id="{field}"[^>]* aria-invalid="true"', answer.text)
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text
    assert registry_of(console).asked == []


async def test_a13_another_ones_private_repository_is_no_repository(console: ConsoleWorld) -> None:
    await octo_of(console)
    eve = await console.person("eve")
    hidden = await ask(eve, {"image": IMAGE, "repository": "octo/web"})
    missing = await ask(eve, {"image": IMAGE, "repository": "octo/nil"})
    assert hidden.status_code == missing.status_code == 422
    same = [
        re.sub(r'name="form_word" value="\w+"', "", page.text.replace("octo/nil", "octo/web"))
        for page in (hidden, missing)
    ]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (RuntimeError("a bug"), "Server Error. The request id is"),
        (UpstreamFailed("The database does not answer.", code="store.unavailable"), "The database does not answer."),
    ],
    ids=["a bug", "a problem"],
)
async def test_a_failure_after_the_first_line_is_told(console: ConsoleWorld, failure: Exception, said: str) -> None:
    octo = await octo_of(console)

    async def break_down(_credential: RegistryCredential | Anonymous) -> None:
        raise failure

    registry_of(console).on_ask = break_down
    lines = lines_of(await ask(octo, {"image": IMAGE, "repository": "octo/web"}, lines=True))
    assert len(lines) == 3
    assert said in lines[-1]["problem"]
    assert "a bug" not in lines[-1]["problem"]


async def test_the_next_step_leads_on(console: ConsoleWorld) -> None:
    """An owner is led to the policy that stands against the image; nobody else is."""
    olga_api, _mia = await console.berth.user("olga"), await console.berth.user("mia")
    await console.berth.organization("acme", "olga")
    await olga_api.put("/orgs/acme/memberships/mia", json={"role": "member"})
    await olga_api.post("/orgs/acme/repos", json={"name": "web", "visibility": "internal"})
    await olga_api.put("/orgs/acme/codespaces/policies/none", json={"allowed_images": []})
    for login, count in (("olga", 1), ("mia", 0)):
        browser = await console.set_password(login)
        answer = await ask(browser, {"image": IMAGE, "repository": "acme/web"})
        assert "codespace.policy_image" in answer.text
        assert answer.text.count('href="/orgs/acme/settings/policies"') == count
        assert states_of(answer.text)[0] == "failed"


async def test_a_site_administrator_looks_as_another_user(console: ConsoleWorld) -> None:
    octo, admin = await octo_of(console), await console.set_password("admin")
    assert 'name="login"' not in (await octo.get("/doctor")).text
    assert 'name="login"' in (await admin.get("/doctor")).text
    answer = await ask(admin, {"image": IMAGE, "repository": "octo/web", "login": "octo"})
    assert (answer.status_code, len(states_of(answer.text))) == (200, len(CheckID))


def test_every_check_and_state_has_its_words() -> None:
    assert set(LABELS) == set(CheckID)
    assert set(TONES) == set(CheckState)

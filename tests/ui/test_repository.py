"""A repository's page."""

from tests.ui.browser import ConsoleWorld
from tests.ui.test_secret import HOSTILE, world


async def test_a_repository_as_its_people_see_it(console: ConsoleWorld) -> None:
    olga, _ids = await world(console)
    client = console.berth.client(await console.berth.token("olga", "repo"))
    await client.patch("/repos/acme/web", json={"description": HOSTILE})
    page = (await olga.get("/acme/web")).text
    assert "https://berth.test/acme/web.git" in page
    assert 'href="/acme/web/settings/secrets"' in page
    assert "berth prebuild create" in page
    assert 'value="acme/web"' in (await olga.get("/doctor?repo=acme/web")).text
    assert 'href="/doctor?repo=acme/web"' in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    made = await client.post("/repos/acme/web/codespaces/prebuilds", json={"branch": "main"})
    assert made.status_code == 201, made.text
    assert "by a push" in (await olga.get("/ACME/Web")).text
    eve = await console.person("eve")
    page = (await eve.get("/acme/site")).text
    assert "/acme/site/settings/secrets" not in page
    assert "Prebuilds" not in page
    assert (await console.browser().get("/acme/site")).headers["location"] == "/login?return_to=%2Facme%2Fsite"


async def test_a_former_name_leads_on(console: ConsoleWorld) -> None:
    olga, _ids = await world(console)
    client = console.berth.client(await console.berth.token("olga", "repo"))
    await client.patch("/repos/acme/web", json={"name": "new"})
    eve = await console.person("eve")
    for below in ("", "/settings/secrets", "/settings/registries/new?server=ghcr.io"):
        answer = await olga.get(f"/acme/web{below}")
        assert (answer.status_code, answer.headers["location"]) == (301, f"/acme/new{below}")
        hidden = await eve.get(f"/acme/web{below}")
        assert hidden.status_code == 404
    assert (await olga.get("/acme/web/settings/secrets/%2e%2e/delete")).status_code == 404
    page = await olga.get("/acme/new/settings/secrets/new")
    word = page.text.partition('name="form_word" value="')[2][:64]
    sent = await olga.http.post(
        "/acme/web/settings/secrets", data={"form_word": word, "secret_name": "X", "value": "x"}
    )
    assert (sent.status_code, sent.headers["location"]) == (307, "/acme/new/settings/secrets")

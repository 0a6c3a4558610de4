"""The doctor's route: its answer for a good image and a bad one, and for a name that is none."""

import pytest
from tests.rest.berth_api import Berth

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
URL = "/repos/octo/web/codespaces/doctor"


async def test_an_image_is_examined(berth: Berth) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "web"})
    answer = await octo.post(URL, json={"image": "ghcr.io/acme/app"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["image"], body["provider"], body["healthy"]) == ("ghcr.io/acme/app:latest", "ghcr", False)
    assert body["finding"]["code"] == "image.credential_missing"
    assert (body["with_credential"], body["without_credential"]) == (None, "image.credential_missing")
    assert {"id": "policy", "state": "passed"}.items() <= body["checks"][0].items()
    assert body["checks"][-1]["because"] == "access"
    own = (await octo.post(URL, json={"image": "berth.test/octo/app"})).json()
    assert own["credential"] == {"level": None, "prefix": None}
    assert own["finding"]["code"] == "package.not_found"


@pytest.mark.parametrize(
    "body,status,code",
    [
        ({"image": "UP/er"}, 422, "image_reference.upper_case"),
        ({}, 422, "request.invalid"),
        ({"image": 1}, 422, "request.invalid"),
    ],
)
async def test_a_body_that_names_no_image(berth: Berth, body: dict[str, object], status: int, code: str) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "web"})
    answer = await octo.post(URL, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_site_administrator_asks_for_another_user(berth: Berth) -> None:
    octo = await berth.user("octo")
    await berth.user("ann")
    await octo.post("/user/repos", json={"name": "web"})
    admin = berth.client(await berth.token("admin", "site_admin", "codespace"))
    body = {"image": "ghcr.io/acme/app", "user": "octo"}
    seen = await admin.post(URL, json=body)
    assert (seen.status_code, seen.json()["finding"]["code"]) == (200, "image.credential_missing")
    missing = await admin.post(URL, json={**body, "user": "nobody"})
    assert (missing.status_code, missing.json()["code"]) == (404, "account.not_found")
    for login in ("ann", "nobody"):
        refused = await octo.post(URL, json={**body, "user": login})
        assert (refused.status_code, refused.json()["code"]) == (404, "account.not_found")
    assert (await octo.post(URL, json=body)).status_code == 200, "himself"
    assert (await octo.post(URL, json={**body, "user": 1})).status_code == 422

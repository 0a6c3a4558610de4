"""Exports over REST: GitHub's bodies and statuses. What the loop brings about is set by the test."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tests.rest.berth_api import Berth
from tests.rest.schema import check_body
from tests.rest.seeded import Seeded, make_seeded

from berth.adapters.store.tables import codespace_exports as table
from berth.domain.codespace import finding_to_json
from berth.domain.codespace_export import ExportState
from berth.domain.finding import Finding, Fixer
from berth.domain.lifecycle import Phase

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SHA = "fd95a81ca01e48ede9f39c799ecbcef817b8a3b2"


@dataclass
class API:
    """octo's available codespace of acme/web, `url` is where its exports are."""

    seeded: Seeded

    @property
    def octo(self) -> httpx.AsyncClient:
        return self.seeded.octo

    @property
    def name(self) -> str:
        return self.seeded.values["name"]

    @property
    def url(self) -> str:
        return f"/user/codespaces/{self.name}/exports"

    async def end(self, export_id: str, **values: Any) -> None:
        async with self.seeded.berth.store.begin() as connection:
            await connection.execute(update(table).where(table.c.id == int(export_id)).values(**values))


@pytest.fixture
async def api(berth: Berth) -> API:
    return API(await make_seeded(berth))


async def test_from_the_request_to_its_end(api: API) -> None:
    answer = await api.octo.post(api.url)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    check_body(body, "codespace-export-details")
    assert (body["state"], body["sha"], body["completed_at"], body["html_url"]) == ("in_progress", None, None, None)
    assert body["branch"] == f"codespace-{api.name}"
    assert body["export_url"] == f"http://api.berth.test{api.url}/{body['id']}"
    shown = (await api.octo.get(f"/user/codespaces/{api.name}")).json()
    check_body(shown, "codespace")
    assert (shown["state"], shown["pending_operation"]) == ("Exporting", True)
    for export_id in ("latest", body["id"]):
        assert (await api.octo.get(f"{api.url}/{export_id}")).json() == body
    at = api.seeded.berth.services.codespace_exports._clock.now()
    await api.end(body["id"], state=ExportState.SUCCEEDED, sha=SHA, completed_at=at)
    done = (await api.octo.get(f"{api.url}/latest")).json()
    check_body(done, "codespace-export-details")
    assert (done["state"], done["sha"]) == ("succeeded", SHA)
    assert done["completed_at"].endswith("Z")
    assert done["html_url"] == f"http://berth.test/acme/web/tree/codespace-{api.name}"
    assert (await api.octo.get(f"/user/codespaces/{api.name}")).json()["state"] == "Available"


async def test_a_failed_one_says_why(api: API) -> None:
    made = (await api.octo.post(api.url)).json()
    finding = Finding(code="export.no_git", sentence="S.", fixer=Fixer.DEVELOPER, next_step="N.")
    await api.end(made["id"], state=ExportState.FAILED, finding=finding_to_json(finding))
    body = (await api.octo.get(made["export_url"])).json()
    check_body(body, "codespace-export-details")
    assert (body["state"], body["finding"]["code"], body["html_url"]) == ("failed", "export.no_git", None)


async def test_what_a_request_refuses(api: API) -> None:
    for body, status, code in (
        ({"branch": "main"}, 422, "export.branch_exists"),
        ({"branch": "a..b"}, 422, "repository.branch"),
        ({"branch": 1}, 422, "request.invalid"),
        ([], 400, "request.malformed"),
    ):
        answer = await api.octo.post(api.url, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body
    wanted = await api.octo.post(api.url, json={"branch": "refs/heads/my/work"})
    assert (wanted.status_code, wanted.json()["branch"]) == (202, "my/work")
    again = await api.octo.post(api.url)
    assert (again.status_code, again.json()["code"]) == (422, "export.in_progress")


async def test_a_codespace_that_does_not_run_is_422(api: API) -> None:
    await api.seeded.set_phase(Phase.SHUTDOWN)
    answer = await api.octo.post(api.url)
    assert (answer.status_code, answer.json()["code"]) == (422, "export.not_running")
    assert "Start it" in answer.json()["message"]


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("GET", "/latest"), ("GET", "/{id}")])
async def test_who_may_not(api: API, method: str, path: str) -> None:
    url = f"{api.url}{path}".format(id=api.seeded.values["export_id"])
    berth = api.seeded.berth
    hubot = await berth.user("hubot")
    no_scope = berth.client(await berth.token("octo", "repo"))
    assert (await hubot.request(method, url)).status_code == 404, "A13: for others it does not exist"
    assert (await api.octo.request(method, url.replace(api.name, "none"))).status_code == 404
    refused = await no_scope.request(method, url)
    assert (refused.status_code, refused.headers["x-accepted-oauth-scopes"]) == (403, "codespace")
    assert (await berth.anonymous.request(method, url)).status_code == 401
    if method == "GET":
        for absent in ("999999", "none", "-1", "latest ", "٣"):
            assert (await api.octo.get(f"{api.url}/{absent}")).status_code == 404


async def test_a_repository_that_is_only_read_is_403(api: API) -> None:
    octo, berth = api.octo, api.seeded.berth
    assert (await octo.patch("/repos/acme/web", json={"visibility": "public"})).status_code == 200
    weak = berth.client(await berth.token("octo", "codespace"))
    answer = await weak.post(api.url)
    assert (answer.status_code, answer.json()["code"]) == (403, "export.read_only")
    assert "acme/web" in answer.json()["message"]

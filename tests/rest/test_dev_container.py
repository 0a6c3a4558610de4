"""What clients ask before a creation: configurations, defaults, permissions. Real git; and who may ask."""

import base64
from typing import Any

import httpx
import pytest
from tests.rest.berth_api import Berth
from tests.rest.schema import check_body

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
URL = "/repos/octo/r/codespaces"
ROUTES = (
    f"{URL}/devcontainers",
    f"{URL}/new",
    f"{URL}/permissions_check?ref=main&devcontainer_path=.devcontainer.json",
)


async def commit(client: httpx.AsyncClient, path: str, text: str, repository: str = "octo/r") -> None:
    body = {"message": "m", "content": base64.b64encode(text.encode()).decode()}
    assert (await client.put(f"/repos/{repository}/contents/{path}", json=body)).status_code == 201


@pytest.fixture
async def octo(berth: Berth) -> httpx.AsyncClient:
    client = await berth.user("octo")
    await client.post("/user/repos", json={"name": "r", "private": True})
    return client


async def configurations(client: httpx.AsyncClient, **query: Any) -> list[dict[str, str]]:
    answer = await client.get(f"{URL}/devcontainers", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"total_count", "devcontainers"}
    found: list[dict[str, str]] = answer.json()["devcontainers"]
    return found


async def test_a_repository_without_commits_or_without_configurations(octo: httpx.AsyncClient) -> None:
    assert await configurations(octo) == []
    assert (await octo.get(f"{URL}/new")).json()["defaults"]["devcontainer_path"] is None
    await commit(octo, "README.md", "x")
    assert await configurations(octo) == []
    assert (await octo.get(f"{URL}/new")).json()["defaults"]["devcontainer_path"] is None


async def test_configurations_lie_in_three_places_and_have_names(octo: httpx.AsyncClient) -> None:
    await commit(octo, ".devcontainer/docs/devcontainer.json", "{ broken")
    await commit(octo, ".devcontainer/api/devcontainer.json", '{"name": "API", // with a comment\n}')
    await commit(octo, ".devcontainer/large/devcontainer.json", '{"name": "no"}' + " " * 70_000)
    await commit(octo, ".devcontainer/api/deep/devcontainer.json", "{}")
    await commit(octo, ".devcontainer/file", "x")
    await commit(octo, ".devcontainer.json", "{}")
    await commit(octo, ".devcontainer/devcontainer.json", '{"name": "Web"}')
    everything = [
        {"path": ".devcontainer/devcontainer.json", "name": "Web", "display_name": "Web"},
        {"path": ".devcontainer.json"},
        {"path": ".devcontainer/api/devcontainer.json", "name": "API", "display_name": "API"},
        {"path": ".devcontainer/docs/devcontainer.json", "display_name": "docs"},
        {"path": ".devcontainer/large/devcontainer.json", "display_name": "large"},
    ]
    assert await configurations(octo) == everything
    answer = await octo.get(f"{URL}/devcontainers", params={"per_page": 2, "page": 2, "ref": "refs/heads/main"})
    assert answer.json() == {"total_count": 5, "devcontainers": everything[2:4]}
    assert 'page=3&ref=refs%2Fheads%2Fmain>; rel="next"' in answer.headers["link"]
    number = (await octo.get("/repos/octo/r")).json()["id"]
    by_number = await octo.get(f"/repositories/{number}/codespaces/devcontainers?per_page=100&ref=main")
    assert by_number.json()["devcontainers"] == everything, "what gh asks"


async def test_the_configuration_is_the_refs(octo: httpx.AsyncClient) -> None:
    await commit(octo, ".devcontainer.json", "{}")
    first = (await octo.get("/repos/octo/r/branches/main")).json()["commit"]["sha"]
    await commit(octo, ".devcontainer/x/devcontainer.json", "{}")
    assert len(await configurations(octo, ref=first)) == 1
    assert len(await configurations(octo)) == 2


@pytest.mark.parametrize("ref", ["nowhere", "--upload-pack=x", "x" * 5000])
@pytest.mark.parametrize("route", ["devcontainers", "new", "permissions_check"])
async def test_a_ref_that_is_not_there(octo: httpx.AsyncClient, route: str, ref: str) -> None:
    await commit(octo, ".devcontainer.json", "{}")
    answer = await octo.get(f"{URL}/{route}", params={"ref": ref, "devcontainer_path": ".devcontainer.json"})
    assert (answer.status_code, answer.json()["code"]) == (404, "codespace.ref_unknown")


async def test_the_defaults_say_what_a_creation_gets(octo: httpx.AsyncClient, berth: Berth) -> None:
    await commit(octo, ".devcontainer.json", "{}")
    body = (await octo.get(f"{URL}/new?client_ip=1.2.3.4")).json()
    check_body(body["billable_owner"], "simple-user")
    assert body["billable_owner"]["login"] == "octo"
    assert body["defaults"] == {"location": "WestEurope", "devcontainer_path": ".devcontainer.json"}
    await commit(octo, ".devcontainer/devcontainer.json", "{}")
    defaults = (await octo.get(f"{URL}/new", params={"ref": "main"})).json()["defaults"]
    assert defaults["devcontainer_path"] == ".devcontainer/devcontainer.json"
    await berth.organization("acme", "octo")
    await octo.post("/orgs/acme/repos", json={"name": "r"})
    body = (await octo.get("/repos/acme/r/codespaces/new")).json()
    check_body(body["billable_owner"], "simple-user")
    assert (body["billable_owner"]["login"], body["billable_owner"]["type"]) == ("acme", "Organization")


async def test_permissions_are_accepted_where_there_is_a_configuration(octo: httpx.AsyncClient) -> None:
    await commit(octo, ".devcontainer.json", "{}")
    answer = await octo.get(ROUTES[2])
    check_body(answer.json(), "codespaces-permissions-check-for-devcontainer")
    assert (answer.status_code, answer.json()) == (200, {"accepted": True})
    for query in ({}, {"ref": "main"}, {"devcontainer_path": ".devcontainer.json"}):
        missing = await octo.get(f"{URL}/permissions_check", params=query)
        assert missing.status_code == 422
        check_body(missing.json(), "validation-error")
    for path in ("none.json", "../x", "a/../.devcontainer.json", "./.devcontainer.json", ".", "/", "x" * 5000):
        none = await octo.get(f"{URL}/permissions_check", params={"ref": "main", "devcontainer_path": path})
        assert (none.status_code, none.json()["code"]) == (404, "devcontainer.missing"), path


@pytest.mark.parametrize("route", ROUTES)
async def test_who_may_ask(octo: httpx.AsyncClient, berth: Berth, route: str) -> None:
    await commit(octo, ".devcontainer.json", "{}")
    assert (await octo.get(route)).status_code == 200
    hubot = await berth.user("hubot")
    assert (await hubot.get(route)).status_code == 404, "A13"
    assert (await berth.client(await berth.token("octo", "repo")).get(route)).status_code == 403
    assert (await berth.anonymous.get(route)).status_code == 401
    await octo.patch("/repos/octo/r", json={"private": False})
    assert (await hubot.get(route)).status_code == 200

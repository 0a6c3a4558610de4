"""What keeps gh from waiting five minutes for a tunnel. Source: GITHUB_API section 7 of the references."""

from typing import Any

from tests.rest.berth_api import Berth
from tests.rest.schema import check_body


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    return [] if isinstance(value, list) else [value]


async def test_only_who_asks_for_a_connection_gets_a_complete_one_that_leads_nowhere(berth: Berth) -> None:
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r"})
    await octo.put("/repos/octo/r/contents/a", json={"message": "m", "content": "YQ=="})
    name = (await octo.post("/repos/octo/r/codespaces", json={})).json()["name"]
    assert "connection" not in (await octo.get(f"/user/codespaces/{name}")).json()
    body = (await octo.get(f"/user/codespaces/{name}?internal=true&refresh=true")).json()
    check_body(body, "codespace")
    connection = body["connection"]
    needed = {"sessionId", "sessionToken", "relayEndpoint", "relaySas", "hostPublicKeys", "tunnelProperties"}
    assert set(connection) == needed
    later = {"connectAccessToken", "managePortsAccessToken", "serviceUri", "tunnelId", "clusterId", "domain"}
    assert set(connection["tunnelProperties"]) == later
    assert all(texts(connection))  # gh asks on while one is empty
    addresses = [text for text in texts(connection) if "/" in text]
    assert addresses == ["sb://unsupported.berth.invalid/", "https://unsupported.berth.invalid/"]

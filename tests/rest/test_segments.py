"""What a long path costs: anybody may send one."""

import urllib.parse

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Router

from berth.rest import segments


async def name_of(request: Request) -> Response:
    return PlainTextResponse(request.path_params["package_name"])


async def test_attack_a_path_is_taken_apart_once_for_all_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of fifty routes did it anew: one request of 60 KB stopped the server for seconds."""
    taken: list[str] = []

    def unquote(text: str) -> str:
        taken.append(text)
        return urllib.parse.unquote(text)

    monkeypatch.setattr("berth.rest.segments.unquote", unquote)
    routes = [segments.make_route(f"/packages/{{package_name}}/{number}", name_of, ["GET"]) for number in range(50)]
    transport = httpx.ASGITransport(app=Router(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://berth.test") as client:
        assert (await client.get("/packages/a%2Fb/49")).text == "a/b"
        assert taken == ["a%2Fb"]
        assert (await client.get("/packages/a%252Fb/49")).text == "a%2Fb"  # each request is its own
        assert (await client.get("/packages/a/b/49")).status_code == 404
        assert (await client.get(f"/packages/{'%5B' * 20_000}")).status_code == 404
        assert len(taken) == 3

"""One origin: which edge answers which request."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from berth.domain.problem import UpstreamFailed
from berth.front import make_front


def edge(name: str) -> ASGIApp:
    """Says its name and the path that it got."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(f"{name} {scope['path']}")(scope, receive, send)

    return app


async def well() -> None:
    return None


async def ill() -> None:
    raise UpstreamFailed("It does not answer.", code="engine.unreachable")


async def ask(path: str, host: str = "berth.test", check: Callable[[], Awaitable[object]] = well) -> httpx.Response:
    front = make_front(
        rest=edge("rest"),
        sockets=edge("sockets"),
        git=edge("git"),
        oci=edge("oci"),
        ui=edge("ui"),
        checks={"engine": check},
    )
    transport = httpx.ASGITransport(app=front)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        return await client.get(path)


@pytest.mark.parametrize(
    ("path", "host", "answer"),
    [
        ("/api/v3/user", "berth.test", "rest /user"),
        ("/api/v3", "berth.test", "rest /"),
        ("/user", "api.berth.test", "rest /user"),
        ("/user", "API.berth.test:8080", "rest /user"),
        ("/api/graphql", "berth.test", "rest /graphql"),
        ("/graphql", "api.berth.test", "rest /graphql"),
        ("/v2/", "berth.test", "oci /v2/"),
        ("/v2", "berth.test", "oci /v2"),
        ("/v2/acme/app/tags/list", "api.berth.test", "oci /v2/acme/app/tags/list"),
        ("/token", "berth.test", "oci /token"),
        ("/acme/web.git/info/refs", "berth.test", "git /acme/web.git/info/refs"),
        ("/healthz", "berth.test", "ok\n"),
    ],
)
async def test_which_edge_answers(path: str, host: str, answer: str) -> None:
    assert (await ask(path, host)).text == answer


@pytest.mark.parametrize("path", ["/v2x", "/tokens", "/", "/favicon.ico", "/api/v4/user", "/graphql", "/docs", "/user"])
async def test_what_is_no_path_of_another_edge_is_the_consoles(path: str) -> None:
    assert (await ask(path)).text == f"ui {path}"


@pytest.mark.parametrize("path", ["/a/b%00.git/info/refs", "/a%00/b.git/info/refs"])
async def test_a_nul_reaches_no_git(path: str) -> None:
    assert (await ask(path)).text.startswith("ui ")


async def test_the_page_about_errors_runs_and_loads_nothing() -> None:
    page = await ask("/docs/errors")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert '<tr id="secret.name">' in page.text


async def test_ready_only_if_everything_answers() -> None:
    good, bad = await ask("/readyz"), await ask("/readyz", check=ill)
    assert (good.status_code, good.json()) == (200, {"engine": "ok"})
    assert (bad.status_code, bad.json()) == (503, {"engine": "engine.unreachable"})


async def test_attack_many_ask_at_once_whether_all_is_well() -> None:
    """Each of them would ask the engine and the blobs' store; nobody has to sign in for that."""
    looked: list[int] = []
    go = asyncio.Event()

    async def slow() -> None:
        looked.append(1)
        await go.wait()

    front = make_front(
        rest=edge("rest"), sockets=edge("sockets"), git=edge("git"), oci=edge("oci"), checks={"engine": slow}
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=front), base_url="http://berth.test") as client:
        first, *others = [asyncio.create_task(client.get("/readyz")) for _ in range(20)]
        while not looked:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        first.cancel()  # who goes away ends it for nobody else
        go.set()
        assert [answer.status_code for answer in await asyncio.gather(*others)] == [200] * 19
        assert looked == [1]
        assert (await client.get("/readyz")).status_code == 200
        assert looked == [1, 1], "what was seen is not kept"

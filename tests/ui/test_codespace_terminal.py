"""The terminal's page and its WebSocket: who gets in by the session's cookie, from which pages, and what ends it.

The engine is in memory; in a real browser: tests/main_job/test_terminal.py. Rules: ui/sockets.py, services/codespace_session.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from starlette.types import Message
from tests.codespace_world import LONGEST
from tests.fakes.engine import FakeEngine
from tests.oci.wire import listening
from tests.rest.berth_api import Berth, make_berth
from tests.ui.browser import ORIGIN, Browser, ConsoleWorld
from tests.ui.codespaces import AVAILABLE, STOPPED, client_of, make_codespace, make_repository, set_row
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.store.database import Store
from berth.domain.exec_frame import (
    SUBPROTOCOL,
    Broken,
    Channel,
    Data,
    Exited,
    ServerFrame,
    Start,
    TerminalSize,
    frame_bytes,
    parse_server_frame,
)
from berth.domain.exec_process import login_shell
from berth.domain.machine import Machines
from berth.front import make_front
from berth.rest.codespace_exec import socket_routes
from berth.rest.sockets import make_socket_app
from berth.services.caller import CallerService
from berth.services.codespace import CodespaceService
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_request import CodespaceLimits
from berth.services.codespace_session import CodespaceSessionService
from berth.services.services import Services
from berth.ui.app import make_ui_app
from berth.ui.routes import ROUTES, SOCKETS

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SHELL = Start(command=login_shell(), size=TerminalSize(24, 80), term="xterm-256color")


@dataclass
class World:
    """octo is signed in and has a codespace that runs."""

    console: ConsoleWorld
    engine: FakeEngine
    octo: Browser
    name: str
    port: int

    def connect(
        self,
        browser: Browser | None = None,
        *,
        origin: str | None = ORIGIN,
        cookie: str | None = None,
        path: str = "",
        headers: dict[str, str] | None = None,
    ) -> AbstractAsyncContextManager[ClientConnection]:
        """As a page of this origin in somebody's browser, octo's if nobody is named, would ask."""
        cookie = f"__Host-berth-session={(browser or self.octo).session}" if cookie is None else cookie
        sent = {"Cookie": cookie, **({} if origin is None else {"Origin": origin}), **(headers or {})}
        url = f"ws://127.0.0.1:{self.port}{path or f'/codespaces/{self.name}/terminal/socket'}"
        asked: dict[str, Any] = {"subprotocols": [SUBPROTOCOL], "compression": None, "proxy": None}
        return connect(url, additional_headers=sent, **asked)

    async def until_killed(self) -> None:
        """What was started has no end of its own: it is ended when nobody talks to it."""
        async with asyncio.timeout(5):
            while self.engine.killed != ["77"]:
                await asyncio.sleep(0.01)

    async def refused(self, browser: Browser | None = None, **options: Any) -> tuple[int, str]:
        """Status and body; nothing was started."""
        with pytest.raises(InvalidStatus) as caught:
            async with self.connect(browser, **options):
                pass
        assert self.engine.executed == []
        return caught.value.response.status_code, caught.value.response.body.decode()


def with_engine(berth: Berth, engine: FakeEngine) -> Services:
    """The same use cases, with something that runs commands."""
    executor = CodespaceExec(engine)
    codespaces = CodespaceService(
        store=berth.store,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        git=berth.repositories,
        executor=executor,
        activity=berth.services.codespace_activity,
        limits=CodespaceLimits(per_user=9, idle_timeout_minutes=30, retention_minutes=60, longest=LONGEST),
        machines=Machines(),
        wake=lambda: None,
    )
    sessions = CodespaceSessionService(
        codespaces=codespaces,
        callers=CallerService(
            clock=SystemClock(), tokens=berth.services.access_tokens, sessions=berth.services.sessions
        ),
        executor=executor,
        activity=berth.services.codespace_activity,
        look_every_s=0.05,
    )
    return replace(berth.services, codespaces=codespaces, codespace_sessions=sessions)


@asynccontextmanager
async def make_world(store: Store, folder: Any, external_url: str | None) -> AsyncIterator[World]:
    async with make_berth(folder, store) as berth:
        engine = FakeEngine()
        ui = make_ui_app(
            with_engine(berth, engine),
            ROUTES,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            external_url=external_url,
            sockets=SOCKETS,
        )
        sockets = make_socket_app(berth.services, socket_routes(), external_url)
        front = make_front(rest=berth.rest, sockets=sockets, git=berth.git, oci=berth.rest, checks={}, ui=ui)
        console = ConsoleWorld(berth, front)
        octo = await console.person("octo")
        api = await client_of(console, "octo")
        container = {**AVAILABLE, "container_id": engine.make({}).container_id}
        name = await make_codespace(console, api, await make_repository(api), **container)
        async with listening(front) as port:
            yield World(console, engine, octo, name, port)


@pytest.fixture
async def world(store: Store, tmp_path: Any) -> AsyncIterator[World]:
    async with make_world(store, tmp_path, ORIGIN) as made:
        yield made


async def hear(wire: ClientConnection) -> ServerFrame:
    async with asyncio.timeout(5):
        message = await wire.recv()
    assert isinstance(message, bytes)
    return parse_server_frame(message)


async def begin(world: World, wire: ClientConnection) -> None:
    await wire.send(frame_bytes(SHELL))
    async with asyncio.timeout(5):
        while not world.engine.streams:
            await asyncio.sleep(0.01)


async def test_a_shell_its_input_its_output_its_end(world: World) -> None:
    async with world.connect() as wire:
        await begin(world, wire)
        await wire.send(frame_bytes(Data(Channel.STDIN, b"ls\r")))
        world.engine.streams[-1].say(b"a  b\r\n")
        assert await hear(wire) == Data(Channel.STDOUT, b"a  b\r\n")
        world.engine.streams[-1].end(3)
        assert await hear(wire) == Exited(3)
    assert world.engine.executed[-1].user == "dev"


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "https://evil.example",
        "http://berth.test",
        f"{ORIGIN}.evil.example",
        f"{ORIGIN}:444",
        "file://",
    ],
)
async def test_attack_a_page_of_another_origin_with_the_cookie(world: World, origin: str | None) -> None:
    """Cross-site WebSocket hijacking: a browser sends the cookie along whichever page asks."""
    assert (await world.refused(origin=origin))[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_attack_a_browser_that_says_so_itself(world: World, site: str) -> None:
    assert (await world.refused(headers={"Sec-Fetch-Site": site}))[0] == 403
    async with world.connect(headers={"Sec-Fetch-Site": "same-origin"}):
        pass


async def test_attack_no_session_is_no_way_in(world: World) -> None:
    token = await world.console.berth.token("octo", "repo", "codespace")
    for cookie in (
        "",
        "__Host-berth-session=",
        f"__Host-berth-session={'A' * 43}",
        f"berth-session={world.octo.session}",
    ):
        for headers in ({}, {"Authorization": f"token {token}"}):
            assert (await world.refused(cookie=cookie, headers=headers))[0] == 401
    async with world.connect():  # what those attacks are without
        pass


@pytest.mark.parametrize(
    ("began_at", "address", "answer"),
    [
        ("127.0.0.1", "172.17.0.2", "websocket.http.response.start"),
        ("127.0.0.1", "127.0.0.1", "websocket.accept"),
        ("192.0.2.7", "172.17.0.2", "websocket.accept"),
    ],
)
async def test_attack_a_session_that_a_forwarded_port_was_sent(
    world: World, began_at: str, address: str, answer: str
) -> None:
    """A program in a codespace says any Origin; what began on the server's own machine holds there only."""
    browser = world.console.browser(address=began_at)
    await browser.sign_in("octo")
    came = iter([{"type": "websocket.connect"}])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(came, {"type": "websocket.disconnect", "code": 1006})

    async def send(message: Message) -> None:
        sent.append(message)

    headers = {"host": "berth.test", "origin": ORIGIN, "cookie": f"__Host-berth-session={browser.session}"}
    path = f"/codespaces/{world.name}/terminal/socket"
    scope = {
        "type": "websocket",
        "scheme": "wss",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": (address, 4711),
        "subprotocols": [SUBPROTOCOL],
        "extensions": {"websocket.http.response": {}},
    }
    await world.console.app(scope, receive, send)
    assert sent[0]["type"] == answer


async def test_attack_another_s_codespace_is_as_missing(world: World) -> None:
    eve = await world.console.person("eve")
    missing = await world.refused(eve, path="/codespaces/octo-none/terminal/socket")
    assert await world.refused(eve) == missing
    assert missing[0] == 404


async def test_signing_out_ends_it(world: World) -> None:
    async with world.connect() as wire:
        await begin(world, wire)
        await asyncio.sleep(0.2)  # looked at several times, and good
        page = await world.octo.get("/settings/sessions")
        await world.octo.submit(page, "/logout")
        last = await hear(wire)
        assert isinstance(last, Broken)
        assert (last.code, last.message) == ("exec.session_ended", "You were signed out.")
    await world.until_killed()


async def test_a_user_who_is_suspended_ends_it(world: World) -> None:
    """domain/suspension.py, policy 1."""
    async with world.connect() as wire:
        await begin(world, wire)
        assert (await world.console.berth.admin.put("/users/octo/suspended")).status_code == 204
        last = await hear(wire)
        assert isinstance(last, Broken)
        assert last.code == "exec.session_ended"
    await world.until_killed()
    with pytest.raises(InvalidStatus) as caught:
        async with world.connect():
            pass
    assert caught.value.response.status_code == 401


async def test_only_what_runs_can_be_entered(world: World) -> None:
    await set_row(world.console, world.name, **STOPPED)
    status, said = await world.refused()
    assert (status, "not Available" in said) == (409, True)


@pytest.mark.parametrize(
    "path", ["/", "/codespaces", "/codespaces/a%00b/terminal/socket", "/settings/sessions", "/v2/"]
)
async def test_nothing_else_is_a_websocket(world: World, path: str) -> None:
    assert (await world.refused(path=path))[0] == 404


async def test_a_bug_is_a_500_with_an_id(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    for service in [world.console.berth.services.sessions]:
        service.find = fail  # type: ignore[assignment,method-assign]
    status, said = await world.refused()
    assert (status, "The request id is" in said) == (500, True)
    assert [record.message for record in caplog.records] == ["socket.failed"]


async def test_without_an_external_url_the_origin_is_what_the_request_came_by(store: Store, tmp_path: Any) -> None:
    async with make_world(store, tmp_path, None) as world:
        cookie = f"berth-session={world.octo.session}"
        async with world.connect(cookie=cookie, origin=f"http://127.0.0.1:{world.port}") as wire:
            await begin(world, wire)
        await world.until_killed()
        world.engine.executed.clear()
        for origin in (ORIGIN, f"https://127.0.0.1:{world.port}", "http://127.0.0.1", None):
            assert (await world.refused(cookie=cookie, origin=origin))[0] == 403


async def test_the_page_says_what_its_script_needs(console: ConsoleWorld) -> None:
    browser = await console.person("octo")
    api = await client_of(console, "octo")
    name = await make_codespace(console, api, await make_repository(api), **AVAILABLE)
    page = (await browser.get(f"/codespaces/{name}/terminal")).text
    assert f'data-socket="/codespaces/{name}/terminal/socket"' in page
    for script in ("terminal.js", "xterm_styles.js", "xterm/xterm.mjs", "xterm/addon-fit.mjs", "xterm/xterm.css"):
        url = page.partition(f"/static/{script}?v=")
        answer = await browser.get(f"/static/{script}?v={url[2][:16]}")
        assert "immutable" in answer.headers["cache-control"], script
        assert answer.headers["content-type"].partition(";")[0] in {"text/javascript", "text/css"}
    await set_row(console, name, **STOPPED)
    stopped = (await browser.get(f"/codespaces/{name}/terminal")).text
    assert ("The codespace does not run" in stopped, "xterm" in stopped) == (True, False)


async def test_a_server_without_xterm_says_so(world: World) -> None:
    page = (await world.octo.get(f"/codespaces/{world.name}/terminal")).text
    assert "The terminal is not installed" in page
    assert json.dumps(login_shell())[:20] not in page

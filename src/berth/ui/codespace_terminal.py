"""A terminal in the browser: the page, and the WebSocket that its script speaks `domain/exec_frame.py` on."""

import json

from starlette.responses import Response

from berth.domain.exec_frame import SUBPROTOCOL, WINDOW_BYTES
from berth.domain.exec_process import login_shell
from berth.edge.exec_conversation import converse
from berth.edge.sockets import SocketCall, SocketRoute
from berth.ui.app import Route
from berth.ui.page import Page

_PATH = "/codespaces/{name}/terminal"


async def show(page: Page) -> Response:
    view = await page.services.codespaces.get(page.user, page.path("name"))
    return await page.render(
        "terminal.html",
        codespace=view.codespace,
        repository=view.shown_repository,
        is_there="xterm/xterm.mjs" in page.console.static,
        command=json.dumps(login_shell()),
        subprotocol=SUBPROTOCOL,
        window_bytes=WINDOW_BYTES,
    )


async def talk(call: SocketCall) -> None:
    await converse(call.socket, call.services.codespace_sessions, call.user, call.path("name"))


ROUTES: tuple[Route, ...] = (Route("GET", _PATH, show),)
SOCKETS: tuple[SocketRoute, ...] = (SocketRoute(_PATH + "/socket", talk),)

"""A seeded server on a loopback port, in a thread of its own; it can be set up anew while it listens."""

import asyncio
import tempfile
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.databases import NewDatabase
from tests.rest.berth_api import make_berth
from tests.rest.seeded import EVERYTHING, Seeded, make_seeded

from berth.adapters.store.database import Store
from berth.front import make_front


class FuzzServer:
    """`start` returns when it listens; `seed` replaces everything that it holds by a fresh world.

    `database` makes an empty, migrated one, whose URL it gives, and takes it away again.
    """

    def __init__(self, database: NewDatabase) -> None:
        self._database = database
        self._app: ASGIApp | None = None
        self._worlds = AsyncExitStack()
        self._loop = asyncio.new_event_loop()
        self._server = uvicorn.Server(
            uvicorn.Config(self._respond, interface="asgi3", port=0, lifespan="off", access_log=False, log_config=None)
        )
        self._listener = self._server.config.bind_socket()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seeded: Seeded
        self.token = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/api/v3"

    def start(self) -> None:
        self._thread.start()
        self.seed()

    def seed(self) -> None:
        asyncio.run_coroutine_threadsafe(self._seed(), self._loop).result(30)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._worlds.aclose(), self._loop).result(30)
        self._server.should_exit = True
        self._thread.join(30)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve(sockets=[self._listener]))

    async def _seed(self) -> None:
        await self._worlds.aclose()
        folder = self._worlds.enter_context(tempfile.TemporaryDirectory())
        store = Store(self._worlds.enter_context(self._database()))
        self._worlds.push_async_callback(store.close)
        berth = await self._worlds.enter_async_context(make_berth(Path(folder), store))
        self.seeded = await make_seeded(berth)
        self.token = await berth.token("octo", *EVERYTHING)
        self._app = make_front(
            rest=berth.rest, sockets=berth.git, git=berth.git, oci=berth.git, checks={}
        )  # of these only REST is asked

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        await self._app(scope, receive, send)

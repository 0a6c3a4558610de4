"""The filter on the engine's socket: the only engine that the dev container CLI sees in its sandbox (L4).

One socket for each launch, in the launch's own directory, served by the server's own loop, gone when the launch ends. What may
pass is decided in `domain/engine_request.py`; here requests are read, containers are looked up, and answers are passed on.
Each request gets a connection of its own to the engine, so that nothing can be hidden behind a request that was let through.
A connection becomes a stream only when the engine has said so, in answer to a request that was let through.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import h11

from berth.adapters.engine_connection import BadRequest, Client, Engine, connected, headers_for_client, join
from berth.domain.engine_request import (
    Answer,
    Known,
    LaunchScope,
    Passed,
    Refused,
    Rule,
    decide_engine_request,
    own_containers,
)

_LOG = logging.getLogger(__name__)
_MAX_CONNECTIONS = 256  # an object of commands runs them all at once, two connections each
_MAX_REQUESTS = 10_000  # of one launch, which needs some hundred; what more come do not cost the server its time
_MAX_BODIES = 8  # read at the same time
_MAX_LISTED_BYTES = 1024 * 1024
_MAX_ANSWER_BYTES = 64 * 1024
_LOOK_TIMEOUT_S = 30.0
_LOGGED_REFUSALS = 10  # of one launch
_BUFFER_BYTES = 16 * 1024


@asynccontextmanager
async def filtered_engine(docker_host: str, scope: LaunchScope, path: Path) -> AsyncIterator["EngineFilter"]:
    """Serve the socket `path` for this launch; at the end of the block it is closed, and so is every connection.

    The file is left to whoever owns its directory.
    """
    filtered = EngineFilter(docker_host, scope)
    server = await asyncio.start_unix_server(filtered.serve, sock=_listen(path), limit=_BUFFER_BYTES)
    try:
        yield filtered
    finally:
        server.close()
        await filtered.close()


def _listen(path: Path) -> socket.socket:
    """Through the directory's descriptor: the path of a socket has 107 bytes at most, and a data folder may lie deep."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        path.chmod(0o600)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory)
    return listener


class EngineFilter:
    """What a launch has instead of the engine."""

    def __init__(self, docker_host: str, scope: LaunchScope) -> None:
        self._docker_host = docker_host
        self._scope = scope
        self._known = Known()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(_MAX_BODIES)
        self._requests = 0
        self._refusals = 0
        self._closed = False
        self.engine_failed = False  # a request got no answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, until either side ends it."""
        task = asyncio.create_task(self._converse(Client(reader, writer)))
        if self._closed or len(self._tasks) >= _MAX_CONNECTIONS:
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait([task])
        writer.transport.abort()

    async def close(self) -> None:
        """End every connection."""
        self._closed = True
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    async def _converse(self, client: Client) -> None:
        try:
            while not self._closed and await self._answer_next(client):
                pass
            await client.close()
        except OSError:
            return  # the client has gone

    async def _answer_next(self, client: Client) -> bool:
        """Whether the connection can be used again. Raises OSError."""
        try:
            request = await client.next_request(self._turn)
            if request is None:
                return False
            self._requests += 1
            if self._requests >= _MAX_REQUESTS:
                self._closed = True
            decision = decide_engine_request(request, self._scope, self._known)
            if isinstance(decision, Refused) and decision.rule == Rule.CONTAINER:
                await self._look()
                decision = decide_engine_request(request, self._scope, self._known)
        except BadRequest as error:
            await client.send_error(400, f"Berth: {error}")
            return False
        except _EngineFailed:
            self.engine_failed = True
            await client.send_error(502, "The container engine does not answer.")
            return False
        if isinstance(decision, Refused):
            self._log(decision)
            await client.send_error(403, f"Berth refuses this: {decision.sentence} ({decision.rule})")
            return False
        if (decision.answer == Answer.UPGRADE) != client.wants_stream:
            await client.send_error(400, "Berth: This request and a stream do not go together.")
            return False
        return await self._forward(client, decision)

    def _log(self, refused: Refused) -> None:
        self._refusals += 1
        if self._refusals <= _LOGGED_REFUSALS:
            container = self._scope.container_name
            _LOG.warning("engine.refused", extra={"container": container, "rule": str(refused.rule)})

    async def _look(self) -> None:
        """Learn which containers are this codespace's. Raises _EngineFailed."""
        query = urlencode({"all": "1", "filters": json.dumps(own_containers(self._scope))})
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_S), connected(self._docker_host) as engine:
                await engine.ask("GET", f"/v1.40/containers/json?{query}")
                listed = json.loads(await engine.whole_body(_MAX_LISTED_BYTES))
                containers = frozenset(str(container["Id"]) for container in listed)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _EngineFailed from error
        self._known = Known(containers, self._known.processes)

    async def _forward(self, client: Client, passed: Passed) -> bool:
        if passed.answer == Answer.UPGRADE:
            return await self._relay(client, passed)
        relay = asyncio.create_task(self._relay(client, passed))
        gone = asyncio.create_task(client.gone())
        try:
            await asyncio.wait({relay, gone}, return_when=asyncio.FIRST_COMPLETED)
            return relay.done() and relay.result() and client.start_next()
        finally:
            for task in (relay, gone):
                task.cancel()
            await asyncio.gather(relay, gone, return_exceptions=True)

    async def _relay(self, client: Client, passed: Passed) -> bool:
        """Ask the engine, and pass on what it says. False if the connection ends with it. Raises OSError."""
        upgrade, answered = passed.answer == Answer.UPGRADE, False
        try:
            async with connected(self._docker_host) as engine:
                response = await engine.ask(passed.method, passed.target, passed.body, upgrade=upgrade)
                answered = True
                if response.status_code == 101:
                    await self._stream(client, engine, response)
                    return False
                await self._pass_on(client, engine, response, is_process=passed.answer == Answer.NEW_PROCESS)
        except OSError:
            self.engine_failed |= not answered
            await client.send_error(502, "The container engine does not answer.")
            return False
        return not upgrade

    async def _stream(self, client: Client, engine: Engine, response: h11.InformationalResponse | h11.Response) -> None:
        headers = [*headers_for_client(response), (b"Connection", b"Upgrade"), (b"Upgrade", b"tcp")]
        await client.send(h11.InformationalResponse(status_code=101, headers=headers, reason=b"UPGRADED"))
        await join(client, engine)

    async def _pass_on(
        self,
        client: Client,
        engine: Engine,
        response: h11.InformationalResponse | h11.Response,
        *,
        is_process: bool,
    ) -> None:
        head = h11.Response(status_code=response.status_code, headers=headers_for_client(response))
        if is_process:
            body = await engine.whole_body(_MAX_ANSWER_BYTES)
            if response.status_code == 201:
                self._remember_process(body)
            await client.send(head)
            await client.send(h11.Data(data=body))
        else:
            await client.send(head)
            async for piece in engine.body():
                await client.send(h11.Data(data=piece))
        await client.send(h11.EndOfMessage())

    def _remember_process(self, body: bytes) -> None:
        """Before the client knows the id, so that it cannot come too early. Raises OSError if the answer holds none."""
        try:
            process = str(json.loads(body)["Id"])
        except (ValueError, TypeError, KeyError) as error:
            raise ConnectionResetError from error
        self._known = Known(self._known.containers, self._known.processes | {process})


class _EngineFailed(Exception):
    pass

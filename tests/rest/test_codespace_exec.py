"""The WebSocket `…/exec` on a real socket: who gets in, what is refused, what ends it. The engine is in memory."""

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import update
from tests.codespace_world import LONGEST
from tests.fakes.engine import Executed, FakeEngine
from tests.fakes.exec_stream import FakeExecStream
from tests.oci.wire import listening
from tests.rest.berth_api import Berth
from tests.rest.test_access_token import codespace_token
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from berth.adapters.clock_system import SystemClock
from berth.adapters.entropy_system import SystemEntropy
from berth.adapters.store.tables import codespaces as table
from berth.domain.exec_frame import (
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    WINDOW_BYTES,
    Broken,
    CallerFrame,
    Channel,
    Data,
    EndOfStdin,
    Exited,
    ServerFrame,
    Start,
    TerminalSize,
    Window,
    frame_bytes,
    parse_server_frame,
)
from berth.domain.lifecycle import Desired, Phase
from berth.domain.machine import Machines
from berth.front import make_front
from berth.rest.codespace_exec import socket_routes
from berth.rest.sockets import make_socket_app
from berth.services.caller import CallerService
from berth.services.codespace import CodespaceService
from berth.services.codespace_exec import CodespaceExec
from berth.services.codespace_request import CodespaceLimits
from berth.services.codespace_session import MAX_PER_CODESPACE, CodespaceSessionService
from berth.services.ports import ExecResult

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
EXTERNAL = "https://berth.example.com"
SH = Start(command=("sh",))
TERMINAL = Start(command=("sh",), size=TerminalSize(24, 80), term="vt100")


@dataclass
class World:
    """octo has a codespace that is available; what runs in it is the test's."""

    berth: Berth
    engine: FakeEngine
    sessions: CodespaceSessionService
    port: int
    octo: str  # a token
    name: str
    container_id: str

    def connect(
        self, token: str | None = "", *, name: str = "", **options: Any
    ) -> AbstractAsyncContextManager[ClientConnection]:
        """By octo if no token is given, anonymous if it is None."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"token {token or self.octo}"
        path = options.pop("path", f"/api/v3/user/codespaces/{name or self.name}/exec")
        asked: dict[str, Any] = {"subprotocols": [SUBPROTOCOL], "compression": None, "proxy": None, "max_size": None}
        url = f"ws://127.0.0.1:{self.port}{path}"
        return connect(url, additional_headers=headers, **(asked | options))

    async def set_row(self, **values: Any) -> None:
        async with self.berth.store.begin() as connection:
            await connection.execute(update(table).where(table.c.name == self.name).values(**values))

    @property
    def stream(self) -> FakeExecStream:
        return self.engine.streams[-1]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.01)

    async def until_killed(self) -> None:
        await self.until(lambda: self.engine.killed == ["77"] and self.stream.closed)


@pytest.fixture
async def world(berth: Berth) -> AsyncIterator[World]:
    engine = FakeEngine()
    executor = CodespaceExec(engine)
    service = CodespaceService(
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
        codespaces=service,
        callers=CallerService(
            clock=SystemClock(), tokens=berth.services.access_tokens, sessions=berth.services.sessions
        ),
        executor=executor,
        activity=berth.services.codespace_activity,
        look_every_s=0.05,
    )
    services = replace(berth.services, codespaces=service, codespace_sessions=sessions)
    octo = await berth.user("octo")
    await octo.post("/user/repos", json={"name": "r", "private": True})
    await octo.put("/repos/octo/r/contents/a", json={"message": "m", "content": "YQ=="})
    name = (await octo.post("/repos/octo/r/codespaces", json={})).json()["name"]
    token = octo.headers["authorization"].partition(" ")[2]
    container_id = engine.make({}).container_id
    sockets = make_socket_app(services, socket_routes(start_s=2), EXTERNAL)
    front = make_front(rest=berth.rest, sockets=sockets, git=berth.git, oci=berth.rest, checks={})
    async with listening(front) as port:
        made = World(berth, engine, sessions, port, token, name, container_id)
        await made.set_row(
            phase=Phase.AVAILABLE,
            container_id=container_id,
            remote_user="dev",
            remote_folder="/w",
            seen=table.c.generation,
        )
        yield made


async def say(wire: ClientConnection, *frames: CallerFrame) -> None:
    for frame in frames:
        await wire.send(frame_bytes(frame))


async def hear(wire: ClientConnection) -> ServerFrame:
    async with asyncio.timeout(5):
        message = await wire.recv()
    assert isinstance(message, bytes)
    return parse_server_frame(message)


async def hear_end(wire: ClientConnection) -> tuple[Exited | Broken, int]:
    """The last frame, and the close code."""
    last = await hear(wire)
    while not isinstance(last, Exited | Broken):
        last = await hear(wire)
    return last, await hear_close(wire)


async def hear_close(wire: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        await hear(wire)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code


async def test_a_client_that_goes_away_ends_the_command_of_its_request(world: World) -> None:
    """POST …/exec; the control is that it goes on as long as somebody waits for its answer."""
    started = asyncio.Event()

    async def never(_executed: Executed) -> ExecResult:
        started.set()
        await asyncio.sleep(600)
        raise AssertionError

    world.engine.on_execute = never
    world.berth.services.codespaces._executor = world.sessions.executor
    body = b'{"command": ["sleep", "600"]}'
    head = (
        f"POST /api/v3/user/codespaces/{world.name}/exec HTTP/1.1\r\nHost: b\r\nAuthorization: token {world.octo}\r\n"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await asyncio.wait_for(started.wait(), 5)
    await asyncio.sleep(0.1)
    assert world.engine.killed == []
    writer.transport.abort()
    await world.until(lambda: world.engine.killed == ["77"])


async def test_a_command_its_input_its_output_its_end(world: World) -> None:
    async with world.connect() as wire:
        assert wire.subprotocol == SUBPROTOCOL
        await say(wire, Start(command=("cat", "-")), Data(Channel.STDIN, b"in"))
        await world.until(lambda: bool(world.engine.streams) and world.stream.stdin == b"in")
        world.stream.say(b"out\0\xff")
        world.stream.say(b"err", is_stderr=True)
        assert await hear(wire) == Data(Channel.STDOUT, b"out\0\xff")
        assert await hear(wire) == Data(Channel.STDERR, b"err")
        await say(wire, EndOfStdin())
        await world.until(lambda: world.stream.stdin_ended)
        world.stream.end(7)
        assert await hear_end(wire) == (Exited(7), 1000)
    ran = world.engine.executed[-1]
    assert (ran.container_id, ran.user, ran.command[-2:]) == (world.container_id, "dev", ("cat", "-"))
    await world.until(lambda: world.stream.closed)
    assert world.engine.killed == []  # it ended by itself


async def test_errors_that_come_before_the_process_id_are_kept(world: World) -> None:
    def make() -> FakeExecStream:
        stream = FakeExecStream(process_id=b"")
        stream.say(b"early", is_stderr=True)
        stream.say(b"7")
        stream.say(b"7\nfirst")
        stream.end()
        return stream

    world.engine.make_stream = make
    async with world.connect() as wire:
        await say(wire, SH)
        assert await hear(wire) == Data(Channel.STDERR, b"early")
        assert await hear(wire) == Data(Channel.STDOUT, b"first")
        assert await hear_end(wire) == (Exited(0), 1000)


async def test_a_thousand_resizes_are_a_few(world: World) -> None:
    async with world.connect() as wire:
        await say(wire, TERMINAL, *(TerminalSize(rows, 80) for rows in range(1, 1000)), TerminalSize(50, 100))
        await world.until(lambda: bool(world.engine.streams) and world.stream.sizes[-1:] == [TerminalSize(50, 100)])
        assert len(world.stream.sizes) < 200
        world.stream.end()
        assert await hear_end(wire) == (Exited(0), 1000)


async def refused(world: World, token: str | None = "", **options: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of an upgrade that is refused. Nothing has been started for it."""
    with pytest.raises(InvalidStatus) as caught:
        async with world.connect(token, **options):
            pass
    answer = caught.value.response
    assert world.engine.executed == []
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body: dict[str, Any] = json.loads(answer.body)
    return answer.status_code, body


async def test_attack_no_token_is_no_way_in(world: World) -> None:
    assert (await refused(world, None))[0] == 401
    assert (await refused(world, "nothing"))[0] == 401
    assert (await refused(world, None, headers={"Cookie": f"token={world.octo}; Authorization={world.octo}"}))[0] == 401
    path = f"/api/v3/user/codespaces/{world.name}/exec?access_token={world.octo}&token={world.octo}"
    assert (await refused(world, None, path=path))[0] == 401
    async with world.connect():  # what those attacks are without
        pass


async def test_attack_a_token_that_may_not(world: World) -> None:
    octo_id = (await world.berth.client(world.octo).get("/user")).json()["id"]
    repository_id = (await world.berth.client(world.octo).get("/repos/octo/r")).json()["id"]
    _, inside = await codespace_token(world.berth, repository_id, octo_id)
    permissions = {"permissions": {"contents": "write", "packages": "write"}}
    job = (await world.berth.client(world.octo).post("/repos/octo/r/workflow-tokens", json=permissions)).json()["token"]
    for token in (inside, job, await world.berth.token("octo", "repo", "codespace:secrets", "write:packages")):
        status, body = await refused(world, token)
        assert (status, "scope codespace" in body["message"]) == (403, True)
    # It could not read the repository, which what runs inside can write to.
    assert (await refused(world, await world.berth.token("octo", "codespace")))[0] == 404
    async with world.connect(await world.berth.token("octo", "codespace", "repo")):
        pass


async def test_attack_another_s_codespace_is_as_missing(world: World) -> None:
    await world.berth.user("eve")
    eve = await world.berth.token("eve", "repo", "codespace", "admin:org", "user")
    hidden, missing = await refused(world, eve), await refused(world, eve, name="octo-r-none")
    assert hidden == missing
    assert hidden[0] == 404
    assert (await refused(world, world.berth.admin_token))[0] == 404  # a site administrator neither


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        "null",
        "http://berth.example.com",
        f"{EXTERNAL}.evil.com",
        f"{EXTERNAL}:444",
        "file://",
        "",
    ],
)
async def test_attack_a_page_of_another_origin(world: World, origin: str) -> None:
    status, body = await refused(world, headers={"Origin": origin})
    assert (status, body["code"]) == (403, "request.origin")


async def test_a_page_of_our_own_origin_may_ask(world: World) -> None:
    async with world.connect(headers={"Origin": EXTERNAL}):
        pass


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v3/user", 404),
        ("/v2/", 404),
        ("/", 404),
        ("/api/v3/user/codespaces/a%00b/exec", 404),
        ("/user/codespaces/a/exec", 404),
    ],
)
async def test_nothing_else_is_a_websocket(world: World, path: str, status: int) -> None:
    assert (await refused(world, path=path))[0] == status


async def test_only_what_runs_can_be_entered(world: World) -> None:
    await world.set_row(phase=Phase.SHUTDOWN, desired=Desired.STOPPED)
    status, body = await refused(world)
    assert (status, body["code"]) == (409, "codespace.not_running")


async def test_the_subprotocol_has_to_be_asked_for(world: World) -> None:
    for offered in (None, ["other.v1"]):
        status, body = await refused(world, subprotocols=offered)
        assert (status, body["code"]) == (400, "exec.subprotocol")


async def test_as_many_as_there_may_be(world: World) -> None:
    world.sessions.look_every_s = 60
    async with AsyncExitStack() as stack:
        held = []
        for _ in range(MAX_PER_CODESPACE):
            held.append(await stack.enter_async_context(world.connect()))
            await say(held[-1], SH)
        with pytest.raises(InvalidStatus) as caught:
            await stack.enter_async_context(world.connect())
        answer = caught.value.response
        assert (answer.status_code, json.loads(answer.body)["code"]) == (429, "exec.too_many")
        await held[0].close()
        await world.until(lambda: len(world.engine.killed) == 1)
        await asyncio.sleep(0.1)
        await stack.enter_async_context(world.connect())


@pytest.mark.parametrize(
    "messages",
    [
        [frame_bytes(Data(Channel.STDIN, b"x"))],
        [frame_bytes(SH), frame_bytes(SH)],
        [frame_bytes(SH), frame_bytes(EndOfStdin()), frame_bytes(Data(Channel.STDIN, b"x"))],
        [frame_bytes(SH), frame_bytes(TerminalSize(1, 1))],
        [frame_bytes(SH), b"\x01forged output"],
        [frame_bytes(SH), b""],
        [frame_bytes(SH), "text"],
        [frame_bytes(SH), frame_bytes(Window(2**32 - 1))],
        [b'\x05{"command": ["a\\u0000b"]}'],
        [frame_bytes(SH), *[frame_bytes(Data(Channel.STDIN, b"x" * 65536))] * 5],
    ],
    ids=[
        "no start",
        "two starts",
        "stdin after its end",
        "no terminal",
        "output",
        "empty",
        "text",
        "a window too much",
        "NUL",
        "flood",
    ],
)
async def test_attack_what_breaks_a_rule_ends_it(world: World, messages: list[bytes | str]) -> None:
    def make() -> FakeExecStream:
        stream = FakeExecStream()
        stream.reads.clear()  # a command that reads nothing
        return stream

    world.engine.make_stream = make
    async with world.connect() as wire:
        for message in messages:
            await wire.send(message)
        last, code = await hear_end(wire)
    assert code == 1008
    assert isinstance(last, Broken)
    assert last.code in {"exec.frame", "exec.command"}
    if world.engine.streams:
        await world.until_killed()
        assert len(world.stream.stdin) <= WINDOW_BYTES


async def test_attack_a_message_that_is_too_large_is_not_even_read(world: World) -> None:
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        await wire.send(b"\0" + bytes(MAX_MESSAGE_BYTES))
        assert await hear_close(wire) == 1009
    await world.until_killed()


async def test_who_says_nothing_is_told_to_go(world: World) -> None:
    async with world.connect() as wire:
        last, _ = await hear_end(wire)
    assert isinstance(last, Broken)
    assert last.code == "exec.no_start"
    assert world.engine.executed == []


async def test_output_waits_for_a_caller_who_does_not_read(world: World) -> None:
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        piece = os.urandom(32768)
        for _ in range(400):
            world.stream.say(piece)
        world.stream.end()
        await asyncio.sleep(0.3)
        assert world.stream.taken <= WINDOW_BYTES + 2 * len(piece)
        received = 0
        while not isinstance(frame := await hear(wire), Exited):  # as soon as he does, it goes on to its end
            assert isinstance(frame, Data)
            received += len(frame.content)
            await say(wire, Window(len(frame.content)))
        assert received == 400 * len(piece)


async def test_input_waits_for_a_command_that_does_not_read(world: World) -> None:
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        world.stream.reads.clear()
        for _ in range(WINDOW_BYTES // 32768):
            await say(wire, Data(Channel.STDIN, bytes(32768)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await wire.recv()
        world.stream.reads.set()
        assert await hear(wire) == Window(65536)


async def leave(wire: ClientConnection) -> None:
    await wire.close()


async def vanish(wire: ClientConnection) -> None:
    wire.transport.abort()


async def half_close(wire: ClientConnection) -> None:
    wire.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("go", [leave, vanish, half_close])
@pytest.mark.parametrize("reading", [True, False], ids=["it reads", "it reads nothing"])
async def test_who_is_gone_leaves_nothing_running(
    world: World, go: Callable[[ClientConnection], Any], reading: bool
) -> None:
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        if not reading:
            world.stream.reads.clear()
            await say(wire, *[Data(Channel.STDIN, bytes(32768))] * 8)
        await go(wire)
        await world.until_killed()


async def test_a_token_that_is_revoked_ends_it(world: World) -> None:
    octo = world.berth.client(world.octo)
    made = (await octo.post("/user/tokens", json={"note": "x", "scopes": ["codespace", "repo"]})).json()
    async with world.connect(made["token"]) as wire, world.connect() as other:
        await say(wire, SH)
        await say(other, SH)
        await world.until(lambda: len(world.engine.streams) == 2)
        await octo.delete(f"/user/tokens/{made['id']}")
        last, code = await hear_end(wire)
        assert (last.code if isinstance(last, Broken) else last, code) == ("exec.token_ended", 1000)
        await world.until(lambda: len(world.engine.killed) == 1)
        await asyncio.sleep(0.2)
        assert not world.stream.closed or not world.engine.streams[0].closed  # the other goes on


async def test_a_user_who_is_suspended_ends_it(world: World) -> None:
    """domain/suspension.py, policy 1: what is open ends, nothing more gets in; and is let in again when he is back."""
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        assert (await world.berth.admin.put("/users/octo/suspended")).status_code == 204
        last, code = await hear_end(wire)
        assert isinstance(last, Broken)
        assert last.code in {"exec.token_ended", "exec.stopped"}, "which of the two is seen first"
        assert code == 1000
    await world.until_killed()
    with pytest.raises(InvalidStatus) as caught:
        async with world.connect():
            pass
    assert caught.value.response.status_code == 401
    assert (await world.berth.admin.delete("/users/octo/suspended")).status_code == 204
    await world.set_row(phase=Phase.AVAILABLE, desired=Desired.RUNNING)
    async with world.connect():
        pass


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"desired": Desired.STOPPED, "generation": 99}, "exec.stopped"),
        ({"container_id": "another"}, "exec.stopped"),
        ({"desired": Desired.DELETED, "generation": 99}, "exec.no_codespace"),
    ],
)
async def test_a_codespace_that_stops_ends_it_and_says_so(world: World, values: dict[str, Any], code: str) -> None:
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        await world.set_row(**values)
        last, _ = await hear_end(wire)
    assert isinstance(last, Broken)
    assert last.code == code
    await world.until_killed()


@pytest.mark.parametrize("lost", [True, False])
async def test_a_command_that_dies_with_its_container_says_why(world: World, lost: bool) -> None:
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        world.stream.lost = lost
        await world.set_row(desired=Desired.STOPPED, generation=99)
        world.stream.end(137)
        last, _ = await hear_end(wire)
    assert isinstance(last, Broken)
    assert last.code == "exec.stopped"


async def test_a_command_that_dies_of_itself_has_its_code(world: World) -> None:
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        world.stream.end(137)
        assert await hear_end(wire) == (Exited(137), 1000)


async def test_an_engine_that_loses_it_is_told(world: World) -> None:
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        world.stream.lost = True
        world.stream.end()
        last, _ = await hear_end(wire)
    assert isinstance(last, Broken)
    assert last.code == "engine.exec_lost"


@pytest.mark.parametrize("said", [b"sh: not found\n", b"1\n", b""])
async def test_an_image_without_a_shell_is_told(world: World, said: bytes) -> None:
    def make() -> FakeExecStream:
        stream = FakeExecStream(process_id=said)
        stream.end(127)
        return stream

    world.engine.make_stream = make
    async with world.connect() as wire:
        await say(wire, SH)
        last, _ = await hear_end(wire)
    assert isinstance(last, Broken)
    assert last.code == "exec.not_started"
    assert world.engine.killed == []


async def test_a_bug_is_a_request_id_and_nothing_else(world: World) -> None:
    world.engine.faults["open_exec"] = ZeroDivisionError("a secret")
    async with world.connect() as wire:
        await say(wire, SH)
        with pytest.raises(ConnectionClosed) as caught:
            await wire.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1011
    assert caught.value.rcvd.reason.startswith("Server Error. The request id is ")


async def test_an_open_command_is_use_of_the_codespace(world: World) -> None:
    octo = world.berth.client(world.octo)
    await world.set_row(last_used_at=SystemClock().now().replace(year=2020))
    async with world.connect() as wire:
        await say(wire, SH)
        await world.until(lambda: bool(world.engine.streams))
        await asyncio.sleep(0.1)
        assert (await octo.get(f"/user/codespaces/{world.name}")).json()["last_used_at"] > "2021"


async def test_basic_counts_as_elsewhere(world: World) -> None:
    pair = base64.b64encode(f"octo:{world.octo}".encode()).decode()
    async with world.connect(None, headers={"Authorization": f"Basic {pair}"}):
        pass

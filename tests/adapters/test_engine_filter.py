"""The filter on the engine's socket, asked as a dev container CLI would that a stranger has taken over: no other wall stands here.

Beside each attack stands the same request at the engine's own socket, where it succeeds.
"""

import asyncio
import contextlib
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import httpx
import pytest
from tests.world import engine_api

from berth.adapters import engine_connection, engine_filter
from berth.adapters.engine_connection import Client
from berth.adapters.engine_filter import EngineFilter, filtered_engine
from berth.domain.engine_request import LaunchScope
from berth.domain.machine import Machine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

V = "/v1.41"
MACHINE = Machine(name="m", display_name="m", cpus=1, memory_bytes=2**28)
DOCKER = "/usr/bin/docker"


class Wall:
    """A launch's socket, and two containers: this codespace's and a stranger's."""

    def __init__(self, folder: Path, docker_host: str, image: str) -> None:
        self.socket = folder / "engine"
        self.docker_host = docker_host
        self.name = f"t-{os.urandom(4).hex()}"
        self.scope = LaunchScope(
            container_name=f"berth-{self.name}",
            image=image,
            labels={"test.codespace": self.name},
            source=str(folder),
            target="/workspaces/r",
            tmpfs={"/run/codespaces": "mode=0755,size=1m"},
            machine=MACHINE,
        )
        self.own = self.stranger = ""

    def serving(self) -> contextlib.AbstractAsyncContextManager[EngineFilter]:
        return filtered_engine(self.docker_host, self.scope, self.socket)

    def api(self) -> httpx.AsyncClient:
        return engine_api(f"unix://{self.socket}")

    def engine(self) -> httpx.AsyncClient:
        return engine_api(self.docker_host)

    def body(self, **host: object) -> dict[str, object]:
        return {"Image": self.scope.image, "Cmd": ["sleep", "600"], "HostConfig": {"Init": True, **host}}

    async def create(self, api: httpx.AsyncClient, **host: object) -> httpx.Response:
        return await api.post(f"{V}/containers/create?name={self.scope.container_name}", json=self.body(**host))

    async def raw(self, data: bytes, *, timeout_s: float = 10) -> bytes:
        """All that the filter answers to these bytes."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        try:
            writer.write(data)
            async with asyncio.timeout(timeout_s):
                return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def wall(docker_host: str, busybox_image: str) -> AsyncIterator[Wall]:
    with tempfile.TemporaryDirectory(prefix="wall-", dir="/tmp") as folder:
        one = Wall(Path(folder), docker_host, busybox_image)
        async with one.serving():
            yield one


@pytest.fixture
async def maker(wall: Wall) -> AsyncIterator[Wall]:
    """May make the codespace's container."""
    yield wall
    async with wall.engine() as engine:
        await engine.delete(f"{V}/containers/{wall.scope.container_name}?force=1")


@pytest.fixture
async def running(maker: Wall) -> AsyncIterator[Wall]:
    """The codespace's own container, made and started through the filter, and a stranger's."""
    labels = {"test.codespace": "stranger"}
    async with maker.engine() as engine, maker.api() as api:
        try:
            name = f"stranger-{maker.name}"
            made = await engine.post(f"{V}/containers/create?name={name}", json={**maker.body(), "Labels": labels})
            maker.stranger = made.raise_for_status().json()["Id"]
            (await engine.post(f"{V}/containers/{maker.stranger}/start")).raise_for_status()
            answer = await maker.create(api)
            assert answer.status_code == 201, answer.text
            maker.own = answer.json()["Id"]
            assert (await api.post(f"{V}/containers/{maker.own}/start")).status_code == 204
            yield maker
        finally:
            await engine.delete(f"{V}/containers/{name}?force=1")


def assert_refused(answer: httpx.Response, rule: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/json"), answer.text
    message = answer.json()["message"]
    assert message.startswith("Berth refuses this: ")
    assert message.endswith(f"({rule})")


# -- a container


async def test_a_container_is_what_berth_decided(running: Wall) -> None:
    async with running.api() as api:
        made = (await api.get(f"{V}/containers/{running.own}/json")).json()
    host = made["HostConfig"]
    assert made["Config"]["Labels"].items() >= running.scope.labels.items()
    assert [mount["Source"] for mount in made["Mounts"]] == [running.scope.source]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (2**28, 2**28, 10**9)
    assert host["Tmpfs"] == running.scope.tmpfs
    assert (host["Privileged"], host["CapAdd"], host["Binds"], host["NetworkMode"]) == (False, None, None, "default")


HOSTS: dict[str, Any] = {
    "Privileged": True,
    "CapAdd": ["SYS_ADMIN"],
    "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}],
    "Binds": ["/etc:/hostetc"],
    "Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/hostetc"}],
    "NetworkMode": "host",
    "PidMode": "host",
    "IpcMode": "host",
    "UTSMode": "host",
    "CgroupnsMode": "host",
    "CgroupParent": "/elsewhere",
    "SecurityOpt": ["seccomp=unconfined"],
    "Runtime": "runc",
    "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
    "Memory": 2**30,
    "MaskedPaths": ["/nothing"],
    "OomKillDisable": True,
}


@pytest.mark.parametrize("key", HOSTS)
async def test_l4_no_container_reaches_the_host(maker: Wall, key: str) -> None:
    async with maker.engine() as engine, maker.api() as api:
        assert_refused(await maker.create(api, **{key: HOSTS[key]}), "engine.create")
        listed = await engine.get(
            f"{V}/containers/json", params={"all": "1", "filters": json.dumps({"name": [maker.name]})}
        )
        assert listed.json() == [], "nothing was made"
        made = await maker.create(engine, **{key: HOSTS[key]})
        assert made.status_code == 201, f"the positive control: {made.text}"
        host = (await engine.get(f"{V}/containers/{made.json()['Id']}/json")).json()["HostConfig"]
        assert host[key] == HOSTS[key]


async def test_l2_no_other_image_runs(maker: Wall) -> None:
    """Whatever the engine holds already, be it by name or by id."""
    async with maker.engine() as engine, maker.api() as api:
        image_id = (await engine.get(f"{V}/images/{maker.scope.image}/json")).json()["Id"]
        for image in (image_id, image_id.removeprefix("sha256:")[:12], f"{maker.scope.image}@{image_id}"):
            body = {**maker.body(), "Image": image}
            answer = await api.post(f"{V}/containers/create?name={maker.scope.container_name}", json=body)
            assert_refused(answer, "engine.image")
            assert_refused(await api.get(f"{V}/images/{image}/json"), "engine.image")
        body = {**maker.body(), "Image": image_id}
        control = await engine.post(f"{V}/containers/create?name={maker.scope.container_name}", json=body)
        assert control.status_code == 201, "the positive control"
        assert (await api.get(f"{V}/images/{maker.scope.image}/json")).json()["Id"] == image_id


# -- containers, lists and processes of others


async def test_another_s_container_does_not_exist(running: Wall) -> None:
    async with running.engine() as engine, running.api() as api:
        for container, control in ((running.stranger, False), (running.own, True)):
            for method, path in (("GET", "json"), ("POST", "start"), ("POST", "exec")):
                body = {"Cmd": ["true"], "AttachStdout": True} if path == "exec" else None
                answer = await api.request(method, f"{V}/containers/{container}/{path}", json=body)
                if control:
                    assert answer.status_code in {200, 201, 204, 304}
                else:
                    assert_refused(answer, "engine.container")
                    direct = await engine.request(method, f"{V}/containers/{container}/{path}", json=body)
                    assert direct.is_success or direct.status_code == 304, "the positive control"


async def test_another_s_process_does_not_exist(running: Wall) -> None:
    async with running.engine() as engine, running.api() as api:
        made = await engine.post(
            f"{V}/containers/{running.stranger}/exec", json={"Cmd": ["true"], "AttachStdout": True}
        )
        process = made.json()["Id"]
        assert (await engine.get(f"{V}/exec/{process}/json")).status_code == 200, "the positive control"
        assert_refused(await api.get(f"{V}/exec/{process}/json"), "engine.process")
        assert_refused(await api.post(f"{V}/exec/{process}/start", json={}), "engine.process")
        own = await api.post(f"{V}/containers/{running.own}/exec", json={"Cmd": ["true"], "AttachStdout": True})
        assert (await api.get(f"{V}/exec/{own.json()['Id']}/json")).status_code == 200


async def test_a_container_that_has_the_name_of_an_own_short_id_is_not_meant(running: Wall) -> None:
    async with running.engine() as engine, running.api() as api:
        short = running.own[:12]
        renamed = await engine.post(f"{V}/containers/{running.stranger}/rename", params={"name": short})
        assert renamed.status_code == 204
        assert (await engine.get(f"{V}/containers/{short}/json")).json()["Id"] == running.stranger, (
            "what the engine does"
        )
        assert (await api.get(f"{V}/containers/{short}/json")).json()["Id"] == running.own


async def test_lists_hold_this_codespace_s_containers(running: Wall) -> None:
    async with running.engine() as engine, running.api() as api:
        all_ids = [one["Id"] for one in (await engine.get(f"{V}/containers/json?all=1")).json()]
        assert {running.own, running.stranger} <= set(all_ids), "the positive control"
        assert [one["Id"] for one in (await api.get(f"{V}/containers/json?all=1")).json()] == [running.own]


async def test_labels_alone_make_no_container_this_codespace_s(running: Wall) -> None:
    """An image may have them, too, and with it the container in which a step of a build runs."""
    async with running.engine() as engine, running.api() as api:
        name = f"twin-{running.name}"
        twin = {**running.body(), "Labels": running.scope.labels}
        made = (await engine.post(f"{V}/containers/create?name={name}", json=twin)).raise_for_status().json()["Id"]
        try:
            assert [one["Id"] for one in (await api.get(f"{V}/containers/json?all=1")).json()] == [running.own]
            assert_refused(await api.post(f"{V}/containers/{made}/start"), "engine.container")
            assert_refused(await api.get(f"{V}/containers/{made}/json"), "engine.container")
            assert (await api.get(f"{V}/containers/{running.own}/json")).status_code == 200, "the positive control"
        finally:
            await engine.delete(f"{V}/containers/{name}?force=1")


async def test_events_are_of_this_codespace(running: Wall) -> None:
    filters = json.dumps({"event": {"start": True}})
    async with running.engine() as engine, running.api() as api, api.stream(
        "GET", f"{V}/events", params={"filters": filters}
    ) as events:  # fmt: skip
        for container in (running.stranger, running.own):
            (await engine.post(f"{V}/containers/{container}/restart?t=0")).raise_for_status()
        event = json.loads(await anext(aiter(events.aiter_lines())))
        assert (event["id"], event["status"]) == (running.own, "start")


OTHERS = (
    ("POST", f"{V}/build"),
    ("POST", f"{V}/session"),
    ("POST", f"{V}/images/create?fromImage=localhost/none"),
    ("POST", f"{V}/images/load"),
    ("GET", f"{V}/images/json"),
    ("GET", f"{V}/info"),
    ("POST", f"{V}/volumes/create"),
    ("GET", f"{V}/volumes"),
    ("POST", f"{V}/networks/create"),
    ("GET", f"{V}/networks"),
    ("GET", f"{V}/plugins"),
    ("POST", f"{V}/swarm/init"),
    ("POST", f"{V}/containers/OWN/update"),
    ("GET", f"{V}/containers/OWN/archive?path=/etc"),
    ("DELETE", f"{V}/containers/OWN"),
)


async def test_nothing_else_is_asked_of_the_engine(running: Wall) -> None:
    async with running.api() as api:
        for method, path in OTHERS:
            assert_refused(await api.request(method, path.replace("OWN", running.own)), "engine.route")


# -- streams


async def docker(wall: Wall, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        DOCKER, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"DOCKER_HOST": f"unix://{wall.socket}", "PATH": "/usr/bin:/bin", "HOME": "/nowhere"},
    )  # fmt: skip
    output, errors = await process.communicate(stdin)
    return process.returncode or 0, output, errors


async def test_a_process_has_input_output_and_exit_code(running: Wall) -> None:
    data = os.urandom(3 * 2**20)
    code, output, errors = await docker(
        running, "exec", "-i", running.own, "sh", "-c", "cat; echo why >&2; exit 3", stdin=data
    )
    assert (code, output == data, errors) == (3, True, b"why\n")


async def test_what_a_client_ends_the_process_may_still_answer(running: Wall) -> None:
    _, output, _ = await docker(running, "exec", "-i", running.own, "sh", "-c", "wc -c; echo end", stdin=b"12345")
    assert output.split() == [b"5", b"end"]


async def test_a_stream_that_the_engine_does_not_open_is_none(running: Wall) -> None:
    """What follows the request is neither input of a process nor another request."""
    async with running.api() as api:
        body = {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True}
        process = (await api.post(f"{V}/containers/{running.own}/exec", json=body)).json()["Id"]
    start = request(
        f"POST {V}/exec/{process}/start HTTP/1.1",
        "Connection: Upgrade",
        "Upgrade: tcp",
        "Content-Length: 2",
        body=b"{}",
    )
    streams = []
    for status in (b"101", b"404"):
        reader, writer = await asyncio.open_unix_connection(str(running.socket))
        streams.append((reader, writer))
        writer.write(start)
        assert (await reader.readuntil(b"\r\n")).split()[1] == status
        async with running.engine() as engine:  # so that the second one has nothing to begin with
            await engine.delete(f"{V}/containers/{running.own}?force=1")
    with contextlib.suppress(OSError):
        streams[1][1].write(PING)
    assert b"HTTP/1.1" not in await streams[1][0].read()
    for _, writer in streams:
        writer.close()


async def test_a_client_that_does_not_read_does_not_fill_the_memory(running: Wall) -> None:
    async with running.api() as api:
        body = {"Cmd": ["cat", "/dev/zero"], "AttachStdout": True}
        process = (await api.post(f"{V}/containers/{running.own}/exec", json=body)).json()["Id"]
    before = resident_bytes()
    reader, writer = await asyncio.open_unix_connection(str(running.socket), limit=1024)
    writer.write(
        request(
            f"POST {V}/exec/{process}/start HTTP/1.1",
            "Connection: Upgrade",
            "Upgrade: tcp",
            "Content-Length: 2",
            body=b"{}",
        )
    )
    await asyncio.sleep(2)
    assert resident_bytes() - before < 8 * 2**20
    assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 101 UPGRADED\r\n", "the positive control: it runs"
    seen = 0
    while seen < 32 * 2**20:
        seen += len(await reader.read(2**16))
    writer.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_privileged_process_is_refused(running: Wall) -> None:
    code, output, _ = await docker(running, "exec", running.own, "echo", "ok")
    assert (code, output) == (0, b"ok\n"), "the positive control"
    code, _, errors = await docker(running, "exec", "--privileged", running.own, "echo", "ok")
    assert code != 0
    assert b"Berth refuses this: Privileged" in errors


async def test_a_client_that_goes_takes_its_request_along(running: Wall) -> None:
    """Otherwise every client that is killed would leave a connection to the engine behind."""
    filters = json.dumps({"event": {"start": True}})
    before = connections(running.docker_host)
    async with running.api() as api:
        async with api.stream("GET", f"{V}/events", params={"filters": filters}):
            assert connections(running.docker_host) == before + 1, "the positive control"
        await until(lambda: connections(running.docker_host) == before)


def connections(docker_host: str) -> int:
    """How many sockets this process has open towards the engine."""
    return [peer_of(link) for link in Path("/proc/self/fd").iterdir()].count(docker_host.removeprefix("unix://"))


def peer_of(descriptor: Path) -> str | None:
    """Where a socket leads to; None for what is none, or leads nowhere (any more)."""
    try:
        if not str(descriptor.readlink()).startswith("socket:"):
            return None
        with socket.socket(fileno=os.dup(int(descriptor.name))) as opened:
            return str(opened.getpeername())
    except OSError:
        return None


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


# -- the form of a request


def request(first: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([first, "Host: docker", *headers, "", ""]).encode() + body


PING = request("GET /_ping HTTP/1.1", "Content-Length: 0")
POST = "POST /v1.41/containers/create?name=x"
LENGTH = "Content-Length: 2"
CHUNKED = "Transfer-Encoding: chunked"
FORMS = {
    "two lengths": request(f"{POST} HTTP/1.1", LENGTH, "Content-Length: 40", body=b"{}"),
    "a length and chunks": request(f"{POST} HTTP/1.1", LENGTH, CHUNKED, body=b"0\r\n\r\n"),
    "chunks": request(f"{POST} HTTP/1.1", CHUNKED, body=b"0\r\n\r\n"),
    "chunks, written otherwise": request(f"{POST} HTTP/1.1", "Transfer-Encoding: xchunked"),
    "a negative length": request(f"{POST} HTTP/1.1", "Content-Length: -1"),
    "a length with a sign": request(f"{POST} HTTP/1.1", "Content-Length: +2", body=b"{}"),
    "a list of lengths": request(f"{POST} HTTP/1.1", "Content-Length: 2, 40", body=b"{}"),
    "a space before the colon": request("GET /_ping HTTP/1.1", "Content-Length : 2"),
    "HTTP/1.0": b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /_ping\r\n\r\n",
    "no host": b"GET /_ping HTTP/1.1\r\n\r\n",
    "two hosts": request("GET /_ping HTTP/1.1", "Host: other"),
    "a wait for a word": request(f"{POST} HTTP/1.1", LENGTH, "Expect: 100-continue", body=b"{}"),
    "two requests at once": PING + PING,
    "a request behind a stream": request(
        "{POST} HTTP/1.1", "Connection: Upgrade", "Upgrade: tcp", body=PING
    ),
    "another protocol": request("GET /_ping HTTP/1.1", "Connection: Upgrade", "Upgrade: h2c"),
    "a stream where there is none": request("GET /_ping HTTP/1.1", "Connection: Upgrade", "Upgrade: tcp"),
    "a NUL in the path": request("GET /_ping\0 HTTP/1.1"),
    "bytes above ASCII": b"GET /_ping\xff HTTP/1.1\r\nHost: docker\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "a huge header": request("GET /_ping HTTP/1.1", f"X: {'x' * 40_000}"),
    "a huge path": request(f"GET /{'x' * 40_000} HTTP/1.1"),
    "many headers": request("GET /_ping HTTP/1.1", *(f"X{number}: 1" for number in range(10_000))),
    "a huge body": request(f"{POST} HTTP/1.1", f"Content-Length: {600 * 1024}", body=b" " * 600 * 1024),
}  # fmt: skip


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS.keys())
async def test_a_request_that_others_could_read_otherwise_ends_the_connection(wall: Wall, data: bytes) -> None:
    answer = await wall.raw(data)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1, "and nothing that came with it was read as a request"
    assert (await wall.raw(PING[:-2] + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 "), (
        "the positive control"
    )


TARGETS = (
    "http://docker/_ping", "//_ping", "/./_ping", "/v1.41/../_ping", "/%5fping", "/_ping/", "/_ping%2f", "docker:2375", "*",
    "/_ping?x=1",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
async def test_a_path_that_is_written_otherwise_is_refused(wall: Wall, target: str) -> None:
    answer = await wall.raw(request(f"GET {target} HTTP/1.1"))
    assert answer.startswith(b"HTTP/1.1 403 ")


async def test_a_connection_is_used_again_and_a_request_may_come_in_pieces(wall: Wall) -> None:
    reader, writer = await asyncio.open_unix_connection(str(wall.socket))
    for _ in range(3):
        for piece in (PING[:7], PING[7:]):
            writer.write(piece)
            await asyncio.sleep(0.05)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(2) == b"OK"
    writer.close()


async def test_a_request_that_comes_while_another_is_answered_waits(wall: Wall) -> None:
    filters = '{"event":{"start":true}}'.replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
    reader, writer = await asyncio.open_unix_connection(str(wall.socket))
    writer.write(request(f"GET {V}/events?filters={filters} HTTP/1.1"))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.write(PING)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await reader.read(1)
    writer.close()


async def test_a_slow_request_ends(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_connection, "_REQUEST_TIMEOUT_S", 0.3)
    body = request("POST /v1.41/containers/create?name=x HTTP/1.1", "Content-Length: 10", body=b"{")
    for data in (b"GET /_ping HT", body):
        assert b"too slowly" in await wall.raw(data)


async def test_slow_clients_do_not_keep_the_others_waiting(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_connection, "_REQUEST_TIMEOUT_S", 0.5)
    slow = [asyncio.create_task(wall.raw(b"GET /_ping HT")) for _ in range(20)]
    await asyncio.sleep(0.6)
    assert (await wall.raw(PING[:-2] + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    await asyncio.gather(*slow)


async def test_only_so_many_bodies_are_held_at_a_time(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_connection, "_REQUEST_TIMEOUT_S", 3)
    data = request(f"{POST} HTTP/1.1", "Content-Length: 1000", body=b"{")
    slow = [asyncio.create_task(wall.raw(data)) for _ in range(engine_filter._MAX_BODIES)]
    await asyncio.sleep(2)
    ping = asyncio.create_task(wall.raw(PING[:-2] + b"Connection: close\r\n\r\n"))
    await asyncio.sleep(0.5)
    assert not ping.done()
    assert all(b"too slowly" in answer for answer in await asyncio.gather(*slow))
    assert (await ping).startswith(b"HTTP/1.1 200 "), "when one of them is done with"


async def test_a_request_that_is_cut_off_is_none(wall: Wall) -> None:
    reader, writer = await asyncio.open_unix_connection(str(wall.socket))
    writer.write(b"GET /_ping HT")
    writer.write_eof()
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_there_are_only_so_many_connections(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_filter, "_MAX_CONNECTIONS", 3)
    streams = [await asyncio.open_unix_connection(str(wall.socket)) for _ in range(4)]
    assert await streams[3][0].read() == b"", "the fourth is closed at once"
    streams[0][1].write(PING)
    assert await streams[0][0].readuntil(b"\r\n") == b"HTTP/1.1 200 \r\n", "the first still works"
    for _, writer in streams:
        writer.close()


async def test_a_launch_has_only_so_many_requests(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_filter, "_MAX_REQUESTS", 3)
    async with wall.api() as api:
        assert [(await api.get("/_ping")).status_code for _ in range(3)] == [200, 200, 200]
        with pytest.raises(httpx.TransportError):
            await api.get("/_ping")
    with pytest.raises(httpx.TransportError):
        async with wall.api() as api:
            await api.get("/_ping")


# -- the filter ends with its launch


async def test_it_ends_with_the_launch_and_so_does_every_connection(wall: Wall) -> None:
    path = wall.socket.with_name("second")
    filters = json.dumps({"event": {"start": True}})
    before = connections(wall.docker_host)
    async with contextlib.AsyncExitStack() as stack:
        async with filtered_engine(wall.docker_host, wall.scope, path):
            assert path.stat().st_mode & 0o777 == 0o600
            api = await stack.enter_async_context(engine_api(f"unix://{path}"))
            idle = await asyncio.open_unix_connection(str(path))
            events = await stack.enter_async_context(api.stream("GET", f"{V}/events", params={"filters": filters}))
        assert await idle[0].read() == b""
        idle[1].close()
        with pytest.raises(httpx.RemoteProtocolError):
            await events.aread()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_unix_connection(str(path))
    assert connections(wall.docker_host) == before


async def test_its_directory_may_lie_deep(wall: Wall, tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    async with filtered_engine(wall.docker_host, wall.scope, folder / "engine"):
        descriptor = os.open(folder, os.O_RDONLY)
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, f"/proc/self/fd/{descriptor}/engine")
        client.close()
        os.close(descriptor)


# -- engines that fail


@asynccontextmanager
async def broken_engine(folder: Path, reply: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_unix_server(serve, folder / "broken")
    yield f"unix://{folder}/broken"
    server.close()


@asynccontextmanager
async def behind(wall: Wall, answer: bytes) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a filter whose engine says this and nothing else."""
    path = wall.socket.with_name("second")
    async with (
        broken_engine(wall.socket.parent, answer) as host,
        filtered_engine(host, wall.scope, path),
        engine_api(f"unix://{path}") as api,
    ):
        yield api


def reply(status: str, body: bytes, *headers: str) -> bytes:
    return request(f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, body=body)


CONTAINER = "c" * 64
BROKEN = {
    "nothing": ("/_ping", b""),
    "no HTTP": ("/_ping", b"SSH-2.0-OpenSSH_9\r\n"),
    "a head that breaks off": ("/_ping", b"HTTP/1.1 200 OK\r\nConte"),
    "a stream that nobody asked for": (
        "/_ping",
        b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
    ),
    "a list that is none": (f"{V}/containers/{CONTAINER}/json", reply("200 OK", b'{"message": "x"}')),
    "a list of nothing": (f"{V}/containers/{CONTAINER}/json", reply("200 OK", b"[{}]")),
    "an endless list": (f"{V}/containers/{CONTAINER}/json", reply("200 OK", b" " * 2**21)),
}


@pytest.mark.parametrize(("path", "answer"), BROKEN.values(), ids=BROKEN.keys())
async def test_an_engine_that_says_nonsense(wall: Wall, path: str, answer: bytes) -> None:
    async with behind(wall, answer) as api:
        refused = await api.get(path)
    assert (refused.status_code, refused.json()) == (502, {"message": "The container engine does not answer."})


async def test_an_engine_that_is_not_there(wall: Wall) -> None:
    path = wall.socket.with_name("second")
    for host in ("unix:///nowhere", "tcp://127.0.0.1:1"):
        async with filtered_engine(host, wall.scope, path), engine_api(f"unix://{path}") as api:
            assert (await api.get("/_ping")).status_code == 502
        path.unlink()


async def test_an_error_for_head_has_no_body() -> None:
    reader, writer = asyncio.StreamReader(), AsyncMock(write=Mock())
    reader.feed_data(request("HEAD /v1.40/_ping HTTP/1.1"))
    client = Client(reader, writer)
    await client.next_request(asyncio.Semaphore(1))
    await client.send_error(502, "The container engine does not answer.")
    written = b"".join(call.args[0] for call in writer.write.call_args_list)
    assert written.startswith(b"HTTP/1.1 502 ")
    assert written.endswith(b"\r\n\r\n")


async def test_an_answer_that_breaks_off_breaks_off(wall: Wall) -> None:
    async with behind(wall, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") as api:
        with pytest.raises(httpx.RemoteProtocolError):
            await api.get(f"{V}/version")


async def test_a_process_without_an_id_is_none(wall: Wall) -> None:
    """The same answer for two questions: a list of containers, and then a process that was made."""
    async with behind(wall, reply("201 Created", b'[{"Id": "%b"}]' % CONTAINER.encode())) as api:
        answer = await api.post(f"{V}/containers/{CONTAINER}/exec", json={"Cmd": ["true"]})
    assert answer.status_code == 502


async def test_refusals_are_logged_without_what_was_asked(wall: Wall, caplog: pytest.LogCaptureFixture) -> None:
    async with wall.api() as api:
        for _ in range(15):
            await api.get(f"{V}/info?canary")
    assert [record.message for record in caplog.records] == ["engine.refused"] * 10, "no more than that of one launch"
    fields = vars(caplog.records[0])
    assert (fields["container"], fields["rule"]) == (wall.scope.container_name, "engine.route")
    assert "canary" not in str(fields)

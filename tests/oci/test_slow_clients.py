"""Clients that send a byte now and then: each is waited for, none keeps others waiting, and what is silent is sent away."""

import asyncio
import os
from contextlib import AsyncExitStack, suppress

import pytest
from tests.oci.images import fresh, image
from tests.oci.registry_api import OCIClient, Registry
from tests.oci.wire import Reply, Wire, listening

from berth.domain.image_reference import Digest
from berth.oci.app import make_oci_app

pytestmark = pytest.mark.asyncio(loop_scope="module")
IDLE_S = 1.5
BYTES = 12  # each a while after the other: in all longer than a silent client is waited for
CONTENT = fresh(BYTES)
KINDS = ["length", "chunked", "put", "post"]


async def begin(wire: Wire, kind: str, location: str, name: str, token: str) -> None:
    """The head of a request whose body comes slowly."""
    digest = Digest.of(CONTENT)
    how: dict[str, str | int] = {"Authorization": f"Bearer {token}"}
    how |= {"Transfer_Encoding": "chunked"} if kind == "chunked" else {"Content_Length": BYTES}
    target = {"put": f"{location}?digest={digest}", "post": f"/v2/{name}/blobs/uploads/?digest={digest}"}
    method = {"put": "PUT", "post": "POST"}.get(kind, "PATCH")
    await wire.head(method, target.get(kind, location), **how)


async def drip(wire: Wire, kind: str, content: bytes) -> None:
    for number in range(len(content)):
        piece = content[number : number + 1]
        await (wire.chunk(piece) if kind == "chunked" else wire.send(piece))
        await asyncio.sleep(0.14)


async def finished(wire: Wire, kind: str) -> Reply:
    await drip(wire, kind, CONTENT)
    if kind == "chunked":
        await wire.chunk(b"")
    return await wire.reply()


def open_uploads(registry: Registry) -> list[str]:
    """Files of uploads that this process holds open: each is locked."""
    opened = []
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 names only
        with suppress(FileNotFoundError):  # that of the listing itself
            opened.append(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 no path: a socket has one, too
    return [path for path in opened if path.startswith(str(registry.folder / "blobs" / "uploads"))]


async def test_many_slow_clients_beside_a_quick_one(registry: Registry, octo: OCIClient, name: str) -> None:
    """Sixteen pushes of a byte at a time, half of which fall silent, while another pushes and pulls."""
    one = image()
    await octo.push_blob(name, b"the package is there")
    locations = [await octo.begin(name) for _ in range(16)]
    app = make_oci_app(registry.services, None, idle_s=IDLE_S)
    async with listening(app, registry.services) as port, AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(Wire.to(port)) for _ in locations]
        kinds = [KINDS[number % len(KINDS)] for number in range(16)]
        for wire, kind, location in zip(wires, kinds, locations, strict=True):
            await begin(wire, kind, location, name, str(octo.token))
        going_on = [asyncio.create_task(finished(*each)) for each in zip(wires[:8], kinds[:8], strict=True)]
        silent = [asyncio.create_task(drip(*each, CONTENT[:3])) for each in zip(wires[8:], kinds[8:], strict=True)]
        pushed, held = 0, 0
        while not all(task.done() for task in going_on):
            await octo.push(name, one, f"quick-{pushed}")
            assert (await octo.get(f"/v2/{name}/manifests/quick-{pushed}")).content == one.content
            pushed, held = pushed + 1, max(held, len(open_uploads(registry)))
        assert held >= 8
        assert pushed > 1, "many of them while one slow client sends its bytes"
        await asyncio.gather(*silent)
        replies = [task.result() for task in going_on]
        assert [reply.status for reply in replies] == [202, 202, 201, 201] * 2
        assert [(await wire.reply()).status for wire in wires[8:]] == [408] * 8
    ranges = [(await octo.get(location)).headers.get("Range") for location in locations]
    done, part = f"0-{BYTES - 1}", "0-2"
    assert ranges == [done, done, None, "0-0"] * 2 + [part, part, part, "0-0"] * 2, "what came is kept"
    assert (await octo.get(f"/v2/{name}/blobs/{Digest.of(CONTENT)}")).content == CONTENT
    left = list((registry.folder / "blobs" / "uploads").iterdir())
    assert len(left) == len([each for each in ranges if each not in {None, "0-0"}]), "nothing of who cannot go on"
    assert open_uploads(registry) == []

"""Clients that send half of a body: they hold nothing for long, and fill no log. Rules: `read_body` of edge/asked.py."""

import logging
from collections.abc import AsyncIterator

import pytest
from tests.oci.wire import Wire, listening
from tests.ui.browser import ConsoleWorld

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
_FORM = b"POST /login HTTP/1.1\r\nHost: berth.test\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture
async def port(console: ConsoleWorld) -> AsyncIterator[int]:
    async with listening(console.app) as number:
        yield number


async def request_of(console: ConsoleWorld, edge: str) -> bytes:
    if edge == "console":  # which asks for a form's word after it has read it
        return _FORM
    await console.berth.user("octo")
    token = await console.berth.token("octo", "repo")
    return f"POST /api/v3/user/repos HTTP/1.1\r\nHost: berth.test\r\nAuthorization: token {token}\r\n".encode()


@pytest.mark.parametrize("framing", [b"Content-Length: 9\r\n\r\na", b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"])
@pytest.mark.parametrize("edge", ["console", "api"])
async def test_attack_a_body_that_does_not_come(
    console: ConsoleWorld, port: int, monkeypatch: pytest.MonkeyPatch, edge: str, framing: bytes
) -> None:
    request = await request_of(console, edge)
    monkeypatch.setattr("berth.edge.asked.BODY_S", 0.2)
    async with Wire.to(port) as wire:
        await wire.send(request + framing)
        assert (await wire.reply()).status == 408
        assert await wire.until_closed() == b""
    monkeypatch.undo()
    async with Wire.to(port) as wire:  # the control
        await wire.send(request + b"Content-Length: 2\r\n\r\n{}")
        assert (await wire.reply()).status in {403, 422}


@pytest.mark.parametrize("edge", ["console", "api"])
async def test_attack_a_body_that_breaks_off_is_no_bug(
    console: ConsoleWorld, port: int, caplog: pytest.LogCaptureFixture, edge: str
) -> None:
    """Each would have put a traceback into the log; nobody had to sign in for that."""
    request = await request_of(console, edge)
    for end in ("close", "reset"):
        async with Wire.to(port) as wire:
            await wire.send(request + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n")
            assert (await wire.reply()).status == 100  # it reads
            await wire.send(b"a")
            getattr(wire, end)()
    async with Wire.to(port) as wire:
        await wire.send(b"GET /login HTTP/1.1\r\nHost: berth.test\r\n\r\n")
        assert (await wire.reply()).status == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

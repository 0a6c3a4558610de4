"""The creation log of a codespace: as a part of its page, as events while it grows, as a whole in plain text.

Its lines are what strangers' programs printed: nothing of them steers a page, and a page holds the last of them only.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from markupsafe import escape
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from berth.domain.codespace import LogEntry
from berth.domain.plain_text import clean, clean_line
from berth.domain.whole_number import parse_whole_number
from berth.edge.timestamp import timestamp
from berth.ui.app import Route
from berth.ui.page import Page
from berth.ui.templates import format_size

_MAX_SHOWN = 40_000  # characters of HTML
_PATH = "/codespaces/{name}/log"


@dataclass(frozen=True, slots=True)
class Pulled:
    """How far a pull is."""

    done: int
    total: int
    words: str


@dataclass(slots=True)
class LogPhase:
    """A part of the work, with the last of what was printed meanwhile."""

    title: str
    at: datetime
    lines: list[str] = field(default_factory=list)
    pulled: Pulled | None = None
    seconds: int = 0
    is_cut: bool = False


def phases_of(entries: Iterable[LogEntry]) -> list[LogPhase]:
    """The log as a page shows it: as many of the last lines as fit."""
    phases: list[LogPhase] = []
    for entry in entries:
        if entry.kind == "phase":
            if phases:
                phases[-1].seconds = round((entry.at - phases[-1].at).total_seconds())
            phases.append(LogPhase(clean_line(entry.text), entry.at))
        elif entry.kind in {"output", "progress"}:
            if not phases:
                phases.append(LogPhase("Output", entry.at))
            if entry.kind == "progress":
                phases[-1].pulled = _pulled(entry.text) or phases[-1].pulled
            else:
                phases[-1].lines.append(clean(entry.text))
    _cut(phases)
    return phases


def _cut(phases: list[LogPhase]) -> None:
    left = _MAX_SHOWN
    for phase in reversed(phases):
        kept = 0
        for line in reversed(phase.lines):
            left -= len(escape(line)) + 1
            if left < 0:
                break
            kept += 1
        phase.is_cut = kept < len(phase.lines)
        phase.lines = phase.lines[len(phase.lines) - kept :]


def _pulled(text: str) -> Pulled | None:
    """None for an image that was there already, of which nothing is pulled."""
    said = json.loads(text)
    if not said["layers_total"] or not said["bytes_total"]:
        return None
    words = (
        f"{format_size(said['bytes_done'])} of {format_size(said['bytes_total'])}, "
        f"{said['layers_done']} of {said['layers_total']} layers"
    )
    return Pulled(said["bytes_done"], said["bytes_total"], words)


async def text(page: Page) -> Response:
    """All of it."""
    entries = await page.services.codespaces.read_log(page.user, page.path("name"))
    marks = {"phase": "== ", "output": ""}
    lines = [f"{marks[entry.kind]}{clean(entry.text)}\n" for entry in entries if entry.kind in marks]
    return PlainTextResponse("".join(lines))


async def events(page: Page) -> Response:
    """Server-sent events, from the line `?after=` on, until the codespace rests. Source: HTML Living Standard, section 9.2."""
    after = parse_whole_number(page.request.headers.get("last-event-id", page.query("after"))) or 0
    entries = await page.services.codespace_logs.follow(page.user, page.path("name"), after=after)
    return StreamingResponse(_stream(entries), media_type="text/event-stream")


async def _stream(entries: AsyncGenerator[LogEntry | None, None]) -> AsyncIterator[bytes]:
    yield b": log\n\n"
    async with aclosing(entries):
        async for entry in entries:
            if entry is None:
                yield b": still here\n\n"
            elif event := _event(entry):
                yield event


def _event(entry: LogEntry) -> bytes:
    """Empty for what a page does not show."""
    said: dict[str, object] = {"at": timestamp(entry.at)}
    if entry.kind == "progress":
        pulled = _pulled(entry.text)
        if pulled is None:
            return b""
        said |= {"done": pulled.done, "total": pulled.total, "text": pulled.words}
    elif entry.kind in {"phase", "output", "end"}:
        said["text"] = clean(entry.text) if entry.kind == "output" else clean_line(entry.text)
    else:
        return b""
    return f"id: {entry.id}\nevent: {entry.kind}\ndata: {json.dumps(said)}\n\n".encode()


ROUTES: tuple[Route, ...] = (
    Route("GET", _PATH, text),
    Route("GET", _PATH + "/events", events),
)

"""The creation log of a codespace: what a launch does, for the person who waits for it. Secrets are masked out of it."""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import asdict, replace
from datetime import datetime
from time import monotonic

from sqlalchemy.ext.asyncio import AsyncConnection

from berth.adapters.store import codespace as rows
from berth.adapters.store.database import Store
from berth.domain.codespace import finding_to_json
from berth.domain.finding import Finding
from berth.domain.secret_text import SecretText
from berth.services.ports import Clock, PullProgress

AppendLines = Callable[[AsyncConnection, int, datetime, list[tuple[str, str]]], Awaitable[None]]
_MIN_MASKED_LENGTH = 4  # shorter values would garble the log's own words
_MAX_LINE = 4000
_MAX_OUTPUT_LINES = 5000
_MAX_UNFINISHED = 16 * 1024  # bytes of a line; a longer one is not searched for secrets, so it is not shown
_TOO_LONG = f"(a line of more than {_MAX_UNFINISHED // 1024} KiB is not shown)"
_PROGRESS_EVERY_S = 0.5
_FLUSH_AT_LINES = 50
_FLUSH_EVERY_S = 0.3


class CreationLog:
    """Collects lines and writes them in batches: a chatty hook must not mean a transaction per line."""

    def __init__(self, store: Store, clock: Clock, subject_id: int, *, append: AppendLines = rows.append_log) -> None:
        """`append` stores lines of the subject: a codespace, unless it says otherwise."""
        self._store = store
        self._clock = clock
        self._subject_id = subject_id
        self._append_lines = append
        self._masked: set[str] = set()
        self._lines: list[tuple[str, str]] = []
        self._output_lines = 0
        self._flushed_at = monotonic()
        self._progress_at = 0.0

    def mask(self, secrets: Iterable[SecretText]) -> None:
        """From now on these values are written as asterisks."""
        for secret in secrets:
            value = secret.reveal()
            for part in {value, *value.splitlines()}:
                if len(part.strip()) >= _MIN_MASKED_LENGTH:
                    self._masked.add(part.strip())

    def clean(self, text: str) -> str:
        """The text with every known secret masked, also where two of them overlap."""
        spans = sorted(span for value in self._masked for span in _find_all(text, value))
        shown, end = [], 0
        for start, stop in spans:
            if start >= end:
                shown += [text[end:start], SecretText.MASK]
            end = max(end, stop)
        return "".join([*shown, text[end:]])

    async def phase(self, text: str) -> None:
        """A new part of the work begins."""
        await self._append("phase", self.clean(text))
        await self.flush()

    async def output(self, text: str) -> None:
        """What a program printed."""
        for whole in text.splitlines():
            line = whole if len(whole) <= _MAX_UNFINISHED else _TOO_LONG
            self._output_lines += 1
            if self._output_lines == _MAX_OUTPUT_LINES:
                await self._append("output", f"(more than {_MAX_OUTPUT_LINES} lines; the rest is not kept)")
            if self._output_lines < _MAX_OUTPUT_LINES:
                await self._append("output", self.clean(line)[:_MAX_LINE])

    async def progress(self, progress: PullProgress) -> None:
        """How far a pull is; at most two lines a second."""
        now = monotonic()
        done = progress.layers_done == progress.layers_total and progress.layers_total > 0
        if not done and now - self._progress_at < _PROGRESS_EVERY_S:
            return
        self._progress_at = now
        await self._append("progress", json.dumps(asdict(progress)))
        await self.flush()

    async def finding(self, finding: Finding) -> Finding:
        """Why it failed; answers the finding as it may be shown and stored."""
        clean = replace(
            finding,
            sentence=self.clean(finding.sentence),
            next_step=self.clean(finding.next_step),
            evidence={name: self.clean(value) for name, value in finding.evidence.items()},
        )
        await self._append("finding", finding_to_json(clean))
        await self.flush()
        return clean

    async def _append(self, kind: str, text: str) -> None:
        self._lines.append((kind, text))
        if len(self._lines) >= _FLUSH_AT_LINES or monotonic() - self._flushed_at > _FLUSH_EVERY_S:
            await self.flush()

    async def flush(self) -> None:
        """Write what is collected."""
        lines, self._lines = self._lines, []
        self._flushed_at = monotonic()
        if lines:
            async with self._store.begin() as connection:
                await self._append_lines(connection, self._subject_id, self._clock.now(), lines)


def _find_all(text: str, value: str) -> Iterator[tuple[int, int]]:
    """Where the value stands in the text; its occurrences may overlap."""
    at = text.find(value)
    while at >= 0:
        yield at, at + len(value)
        at = text.find(value, at + 1)


class OutputLines:
    """Makes whole lines of what a program prints, so that a secret cut in two by a read is still masked.

    A line that is too long to be kept whole is not shown at all: wherever it were cut, a secret could be cut as well.
    """

    def __init__(self, log: CreationLog) -> None:
        self._log = log
        self._rest = bytearray()
        self._too_long = False

    async def feed(self, chunk: bytes) -> None:
        """Take what was read; whole lines go to the log."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._take(line)
            await self._show()
        self._take(rest)

    async def end(self) -> None:
        """The program has ended: what is left is its last line."""
        if self._rest or self._too_long:
            await self._show()

    def _take(self, part: bytes) -> None:
        self._rest += part
        if len(self._rest) > _MAX_UNFINISHED:
            self._rest.clear()
            self._too_long = True

    async def _show(self) -> None:
        await self._log.output(_TOO_LONG if self._too_long else self._rest.decode(errors="replace"))
        self._rest.clear()
        self._too_long = False

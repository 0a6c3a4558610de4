"""A launch as it happens, on stderr: live on a terminal, line by line elsewhere; and the finding of one that failed."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from berth.cli.terminal import clean, clean_line, say
from berth.client import Finding, LogEntry, PullProgress
from berth.domain.finding import FIXERS

_PLAIN_PROGRESS_EVERY_S = 5.0
_FIXERS = {str(fixer): words for fixer, words in FIXERS.items()}


Kind = TypeVar("Kind")


class LaunchProgress:
    """Shows log entries; `finding` is what the log said of a failure."""

    def __init__(self, live: Progress | None) -> None:
        self.finding: Finding | None = None
        self._live = live
        self._task: TaskID | None = None
        self._started = time.monotonic()
        self._progress_at = 0.0

    def follow(self, entries: Iterable[LogEntry]) -> None:
        for entry in entries:
            self._show(entry)
        self._end_phase()

    def _show(self, entry: LogEntry) -> None:
        match entry.kind:
            case "phase":
                self._begin_phase(clean_line(entry.text))
            case "progress":
                self._pull(_convert(entry.text, PullProgress))
            case "finding":
                self.finding = _convert(entry.text, Finding)
            case "output":
                self._print(f"    {clean(entry.text)}")
            case _:
                pass  # `end` has nothing to show; a kind that is new does no harm

    def _begin_phase(self, name: str) -> None:
        self._end_phase()
        self._print(f"[{time.monotonic() - self._started:6.1f} s] {name}")
        if self._live is not None:
            self._task = self._live.add_task(escape(name), total=None)

    def _end_phase(self) -> None:
        if self._live is not None and self._task is not None:
            self._live.remove_task(self._task)
            self._task = None

    def _pull(self, pull: PullProgress | None) -> None:
        if pull is None or not (pull.layers_total and pull.bytes_total):  # the image is there already
            return
        if self._live is not None and self._task is not None:
            self._live.update(self._task, total=pull.bytes_total or None, completed=pull.bytes_done)
        elif self._live is None and time.monotonic() - self._progress_at >= _PLAIN_PROGRESS_EVERY_S:
            self._progress_at = time.monotonic()
            layers = f"{pull.layers_done} of {pull.layers_total} layers"
            say(f"    pulled {_size(pull.bytes_done)} of {_size(pull.bytes_total)}, {layers}")

    def _print(self, text: str) -> None:
        if self._live is None:
            say(text)
        else:
            self._live.console.print(text, markup=False, highlight=False)


class _PulledColumn(DownloadColumn):
    """Nothing for a phase that pulls nothing."""

    def render(self, task: Task) -> Text:
        return Text("") if task.total is None else super().render(task)


def _err_console() -> Console:
    """Made anew each time: tests and pipes replace the stream."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def show_launch() -> Iterator[LaunchProgress]:
    """While the block runs the terminal's last line is ours."""
    console = _err_console()
    if not console.is_terminal:
        yield LaunchProgress(None)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), _PulledColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as live:
        yield LaunchProgress(live)


@contextmanager
def show_waiting(what: str) -> Iterator[None]:
    """What is waited for, and how long already, while the block runs. On a terminal only."""
    console = _err_console()
    if not console.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as live:
        live.add_task(escape(what), total=None)
        yield


def show_finding(finding: Finding) -> None:
    """What went wrong, who can mend it, and how."""
    say(f"{clean_line(finding.sentence)} ({clean_line(finding.code)})")
    if finding.fixer:
        say(f"  Who can fix it: {_FIXERS.get(finding.fixer, clean_line(finding.fixer))}")
    if finding.next_step:
        say(f"  Next step: {clean(finding.next_step)}")
    for name, value in sorted(finding.evidence.items()):
        say(f"  {clean_line(name)}: {clean_line(value)}")


def plain_text(entry: LogEntry) -> str:
    """An entry as a line of `berth codespace logs`; empty for what only a progress bar shows."""
    if entry.kind in {"progress", "end"}:
        return ""
    if entry.kind == "finding":
        finding = _convert(entry.text, Finding)
        return f"! {clean_line(finding.sentence)} ({clean_line(finding.code)})" if finding else ""
    return f"== {clean_line(entry.text)}" if entry.kind == "phase" else clean(entry.text)


def read_finding(entry: LogEntry) -> Finding | None:
    """What an entry says of a failure, if it does."""
    return _convert(entry.text, Finding) if entry.kind == "finding" else None


def _convert(text: str, kind: type[Kind]) -> Kind | None:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB"

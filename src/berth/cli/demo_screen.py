"""What `berth demo` shows: one step per line with its seconds, details below it, a table at the end."""

import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from berth.cli.terminal import clean

_WIDTH = 80
_TIME_WIDTH = 9  # "  12.34 s"
_INDENT = "     "


class Unexpected(Exception):
    """The demo did not see what it promised to show; the text says what it saw."""


def expect(condition: object, sentence: str) -> None:
    """Raises Unexpected unless it holds."""
    if not condition:
        raise Unexpected(sentence)


@dataclass
class Step:
    """A part of the demo. `done` is the sentence that its line ends with; `in_table` the short form."""

    title: str
    done: str
    in_table: str = ""


class Screen:
    """The terminal of the demo. Everything also reads well in a file: no line is written over another."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
        self._rows: list[tuple[str, str, float]] = []
        self._held: list[tuple[str, str]] | None = None  # details that wait for their step's line

    def heading(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold")

    def note(self, text: str) -> None:
        """A detail of the current step."""
        self._detail(_INDENT, _INDENT, text, "dim")

    def fact(self, name: str, text: str) -> None:
        """A detail with a name, such as who can mend a failure."""
        self._detail(f"{_INDENT}{name + ':':<11} ", " " * (len(_INDENT) + 12), text, "")

    def _detail(self, first: str, rest: str, text: str, style: str) -> None:
        for line in _wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest):
            if self._held is None:
                self._console.print(line, style=style)
            else:
                self._held.append((line, style))

    def command(self, text: str) -> None:
        """Something to type; never wrapped, so that it can be copied."""
        self._console.print(f"  {text}", style="cyan")

    def verbatim(self, text: str) -> None:
        """Lines of another program, as they are."""
        self._console.print(clean(text), style="dim")

    def say(self, text: str) -> None:
        for line in _wrap(text, _WIDTH):
            self._console.print(line)

    @contextmanager
    def step(self, title: str, done: str = "", *, live: bool = False) -> Iterator[Step]:
        """Times its block; then comes the step's line, then its details. `live`: the details come out as they happen."""
        step = Step(title, done or title)
        started = time.perf_counter()
        if live:
            self._console.print(f"{self._number} {title} ...")
        else:
            self._held = []
        try:
            yield step
        except BaseException:
            self._console.print(f"{self._number} {title}: failed")
            self._release()
            raise
        seconds = time.perf_counter() - started
        self._line(_INDENT if live else f"{self._number} ", step.done, seconds)
        self._rows.append((step.title, step.in_table or "done", seconds))
        self._release()

    @property
    def _number(self) -> str:
        return f"{len(self._rows) + 1:>3}."

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for line, style in held:
            self._console.print(line, style=style)

    def _line(self, first: str, text: str, seconds: float) -> None:
        room = _WIDTH - _TIME_WIDTH
        lines = _wrap(text, room, initial_indent=first, subsequent_indent=_INDENT)
        for line in lines[:-1]:
            self._console.print(line)
        self._console.print(f"{lines[-1]:<{room}}{seconds:>{_TIME_WIDTH - 2}.2f} s")

    def table(self) -> None:
        """Every step with its outcome and its seconds, and the sum."""
        table = Table(title="What was done", title_justify="left", width=_WIDTH, show_footer=True)
        table.add_column("#", justify="right", footer="")
        table.add_column("step", footer="together")
        table.add_column("outcome")
        table.add_column("seconds", justify="right", footer=f"{sum(row[2] for row in self._rows):.2f}")
        for number, (title, outcome, seconds) in enumerate(self._rows, 1):
            table.add_row(str(number), title, outcome, f"{seconds:.2f}")
        self._console.print()
        self._console.print(table)


def _wrap(text: str, width: int, *, initial_indent: str = "", subsequent_indent: str = "") -> list[str]:
    """Lines for people; what may be copied (names, addresses) is never broken."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=initial_indent,
        subsequent_indent=subsequent_indent,
        break_on_hyphens=False,
        break_long_words=False,
    )

"""What goes to the terminal: results on stdout, progress and remarks on stderr, nothing that a server could steer it with."""

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import msgspec

from berth.domain.plain_text import clean, clean_line

__all__ = ["clean", "clean_line", "out", "out_json", "out_table", "say"]


def say(text: str) -> None:
    """A remark for the person, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def say_progress(text: str) -> None:
    """The same where somebody may have to wait, and only if he sits there: logs of jobs need no "..."."""
    if sys.stderr.isatty():
        say(text)


def out(text: str) -> None:
    """A result, on stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def out_json(value: Any) -> None:
    """A result for programs. Everything but ASCII is escaped, so that it can be looked at in a terminal too."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    out(re.sub("[\x7f-\U0010ffff]", _escape, text))


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))


def out_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: str = "") -> None:
    """Columns for a person; tab separated and without a heading where stdout is no terminal, or where there is none.

    `whole` is the column of short names that no line should break, because somebody looks for them; on a terminal of 80
    columns or more it is not broken.
    """
    cells = [[clean_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():  # only then what draws it is worth its import
        import_module("berth.cli.table").print_table(columns, cells, whole=whole)
    else:
        for row in cells:
            out("\t".join(row))

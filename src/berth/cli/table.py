"""A table on a terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 80  # columns: less is not a terminal that somebody chose


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: str) -> None:
    """See `terminal.out_table`. The cells are clean."""
    console = Console(highlight=False, markup=False)
    is_wide = console.width >= _WIDE
    table = Table(box=SIMPLE, show_edge=False, show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=is_wide and bool(whole) and column == whole)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)

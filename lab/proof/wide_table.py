"""A table that is wider than many terminals: there it is transposed. No number is cut short."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from lab.proof.report.markdown import unmarked

TITLE_WIDTH = 24  # a row's title may be folded to this
NARROW = 13  # the same on its side
ENDLESS = 10_000


def show(headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """One row per row if that fits, else one column per row, as many beside each other as fit. Cells as in Markdown."""
    rows = [list(map(unmarked, row)) for row in rows]
    if _width(_upright(headings, rows, TITLE_WIDTH), console) <= console.width:
        console.print(_upright(headings, rows, None))
        return
    left = list(rows)
    while left:
        fit = [n for n in range(1, len(left) + 1) if _width(_sideways(headings, left[:n]), console) <= console.width]
        count = max(fit, default=1)
        console.print(_sideways(headings, left[:count]))
        left = left[count:]


def _width(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update(width=ENDLESS)).maximum


def _upright(headings: Sequence[str], rows: Sequence[Sequence[str]], title_width: int | None) -> Table:
    table = Table()
    table.add_column(headings[0], min_width=TITLE_WIDTH, max_width=title_width, overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _sideways(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(headings[0])
    for row in rows:
        table.add_column(row[0], justify="right", max_width=NARROW, overflow="fold")
    for place, heading in enumerate(headings[1:], start=1):
        table.add_row(heading, *(row[place] for row in rows))
    return table

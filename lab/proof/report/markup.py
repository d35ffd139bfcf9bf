"""HTML in small pieces. Must never let a text through that was not escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Cell:
    """`look`: "bad" for what must be 0 and is not, "good" for a verdict that holds, "ours" for our column's head;
    "text" for what is not a number: it starts at the left and has room."""

    text: str
    look: str = ""


def count(number: int) -> Cell:
    """A number of things."""
    return Cell(f"{number:,}")


def fault(number: int) -> Cell:
    """A number of things that had better be none."""
    return Cell(f"{number:,}", "bad" if number else "")


def table(caption: str, head: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> str:
    """A table whose first column names the rows. It scrolls on its own where the page is narrower."""
    heads = "".join(_cell(cell, "th", ' scope="col"') for cell in head)
    body = "\n".join(f"<tr>{_row(row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table>\n'
        f"<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def section(title: str, *parts: str) -> str:
    """A section of the page; nothing at all if every part is empty."""
    inside = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{inside}\n</section>" if inside else ""


def paragraph(text: str) -> str:
    """One paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def tiles(cells: Sequence[tuple[str, Cell]]) -> str:
    """A few numbers, large, each over the word for it."""
    inside = "".join(f"<div><dt>{escape(what)}</dt>{_cell(cell, 'dd')}</div>\n" for what, cell in cells)
    return f'<dl class="tiles">\n{inside}</dl>' if inside else ""


def _row(cells: Sequence[Cell]) -> str:
    return _cell(cells[0], "th", ' scope="row"') + "".join(_cell(cell, "td") for cell in cells[1:])


def _cell(cell: Cell, tag: str, attributes: str = "") -> str:
    look = f' class="{escape(cell.look)}"' if cell.look else ""
    return f"<{tag}{attributes}{look}>{escape(cell.text)}</{tag}>"

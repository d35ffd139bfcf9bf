"""Markdown in small pieces, as GitHub shows it: headings, tables, pictures. Any text may be handed in."""

from __future__ import annotations

import re
from collections.abc import Sequence


def count(number: int) -> str:
    return f"{number:,}"


def fault(number: int) -> str:
    """A number of things that should be zero: bold if it is not."""
    return f"**{number:,}**" if number else "0"


def plain(text: str) -> str:
    """Text that Markdown would read as something else: on one line, without control characters, escaped."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\`*<>|\[\]_$&])", r"\\\1", line)


def unmarked(cell: str) -> str:
    """A table's cell as a terminal shows it: neither bold nor escaped."""
    return re.sub(r"\\(.)|\*\*", r"\1", cell)


def unbroken(text: str) -> str:
    """Plain text that is never wrapped: the name of a column."""
    return plain(text).replace(" ", "\N{NO-BREAK SPACE}").replace("-", "\N{NON-BREAKING HYPHEN}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column names the rows; numbers are aligned to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def section(title: str, *parts: str) -> str:
    """A section of the page; nothing at all if every part is empty."""
    inside = "\n\n".join(part for part in parts if part)
    return f"## {title}\n\n{inside}" if inside else ""

"""Reads the pages in docs/: their tables, code blocks and prose."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def page(name: str) -> str:
    """The text of a page in docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def tables(text: str) -> list[list[dict[str, str]]]:
    """Every table of a page, a row as a mapping from heading to cell."""
    return [table(block) for block in re.findall(r"(?:^ *\|.*\|\n)+", text, re.MULTILINE)]


def table(block: str) -> list[dict[str, str]]:
    """One table's rows. Raises ValueError for a row that has not as many cells as the heading."""
    heading, _, *rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
    return [dict(zip(heading, row, strict=True)) for row in rows]


def rows_with(text: str, *headings: str) -> list[dict[str, str]]:
    """The rows of every table that has all these headings."""
    return [row for table in tables(text) for row in table if set(headings) <= row.keys()]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    """The page without tables, code blocks and names in code."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^ *\|.*\|$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`]*`", "", text)

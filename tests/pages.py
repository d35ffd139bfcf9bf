"""Reads the pages in docs/: their tables, code blocks and prose; and what docs/proof holds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tests import ROOT


def page(name: str) -> str:
    """The text of a page in docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def proof(name: str) -> Any:
    """The numbers that a run of the lab wrote into a folder of docs/proof."""
    return json.loads((ROOT / "docs/proof" / name / "summary.json").read_text(encoding="utf-8"))


def row(*cells: object, bold: bool = False) -> str:
    """A row of a table as it is written, all of it in bold or nothing."""
    return "| " + " | ".join(f"**{cell}**" if bold else str(cell) for cell in cells) + " |"


def with_rows(text: str, heading: str, rows: Sequence[str], nth: int = 0) -> str:
    """The text with these rows in the nth table whose heading begins so. Raises ValueError if there is none."""
    lines = text.splitlines(keepends=True)
    starts = [at for at, line in enumerate(lines) if line.startswith(heading)]
    if len(starts) <= nth:
        raise ValueError(f"no table {nth} begins with {heading}")
    first = end = starts[nth] + 2
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return "".join([*lines[:first], *(f"{row}\n" for row in rows), *lines[end:]])


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

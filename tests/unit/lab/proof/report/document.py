"""A page taken apart the way a browser does, for the tests to look at."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Document(HTMLParser):
    """`tags`: each with its attributes, in order. `text`: everything to read. `tables`: rows of cells, by caption."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self.open: list[str] = []
        self._rows: list[list[str]] = []
        self.feed(page.read_text(encoding="utf-8"))
        self.close()

    def row(self, caption: str, name: str) -> list[str]:
        """The cells of a table's row but the first, which is its name."""
        return next(row[1:] for row in self.tables[caption] if row[0] == name)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "caption":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "caption":
            self.tables[data] = self._rows
        if self.open and self.open[-1] in ("td", "th"):
            self._rows[-1][-1] += data
        if "style" not in self.open:
            self.text += data

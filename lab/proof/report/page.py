"""The report as files: a page of Markdown, the numbers as JSON, and the pictures beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.proof.outcome import Outcome
from lab.proof.report import tables
from lab.proof.report.markdown import plain, section
from lab.proof.report.summary import summary

if TYPE_CHECKING:
    from lab.proof.report.charts import Chart

PAGE, NUMBERS = "README.md", "summary.json"
WIDTH = 500  # columns of the JSON
NOTE = (
    "This is not Azure: the lab's host is lighter than the real Functions worker, "
    "so the figures are about the sessions, not about Functions."
)


def write_report(
    folder: Path,
    title: str,
    runs: Sequence[Outcome],
    faults: Mapping[str, Any] | None = None,
    command: str = "",
) -> Path:
    """Write the page, the numbers, and one SVG per chart into `folder`, which is made if need be; returns the page.

    `runs` may be empty if there are `faults`: the JSON of `python -m lab faults`. `command` repeats what is shown.
    The same arguments write the same bytes. Raises ValueError if there is nothing to report, OSError from writing.
    """
    found: Sequence[Mapping[str, Any]] = (faults or {}).get("faults", ())
    if not runs and not found:
        raise ValueError("a report needs at least one run or one fault")
    from lab.proof.report import charts  # matplotlib takes a second to import, and most commands draw nothing

    drawn = charts.draw(runs, found)
    folder.mkdir(parents=True, exist_ok=True)
    for name in charts.NAMES:
        (folder / f"{name}.svg").unlink(missing_ok=True)
    for chart in drawn:
        (folder / f"{chart.name}.svg").write_text(chart.svg, encoding="utf-8")
    numbers = {"runs": [run.summary() for run in runs]} if runs else dict(faults or {})
    return write_page(folder, title, [summary(runs, found), NOTE, *_sections(runs, found, drawn)], numbers, command)


def write_page(folder: Path, title: str, parts: Sequence[str], numbers: Mapping[str, Any], command: str = "") -> Path:
    """Write `parts` under a title, and the numbers beside them; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NUMBERS).write_text(as_json(numbers) + "\n", encoding="utf-8")
    again = section("Run it again", f"    {command}" if command else "")
    page = folder / PAGE
    page.write_text("\n\n".join([f"# {plain(title)}", *filter(None, [*parts, again])]) + "\n", encoding="utf-8")
    return page


def as_json(value: Any, indent: str = "") -> str:
    """JSON in which whatever fits into a line is on one line."""
    line = json.dumps(value)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, (dict, list, tuple)):
        return line
    deeper = indent + " "
    if isinstance(value, dict):
        items, ends = [f"{json.dumps(key)}: {as_json(inside, deeper)}" for key, inside in value.items()], "{}"
    else:
        items, ends = [as_json(inside, deeper) for inside in value], "[]"
    return f"{ends[0]}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{ends[1]}"


def _sections(runs: Sequence[Outcome], faults: Sequence[Mapping[str, Any]], drawn: Sequence[Chart]) -> list[str]:
    if not runs:
        return [section("Faults", *map(_chart, drawn), tables.faults(faults))]
    return [
        section("What happened", *map(_chart, drawn)),
        section("Numbers", tables.numbers(runs), tables.more_confirmed(runs), tables.failures(runs), tables.cpu(runs)),
        section("Faults", tables.faults(faults)) if faults else "",
        section("How it was run", tables.parameters(runs), tables.machines(runs)),
    ]


def _chart(chart: Chart) -> str:
    return f"### {chart.title}\n\n![{plain(chart.in_words)}]({chart.name}.svg)\n\n{chart.how_to_read}"

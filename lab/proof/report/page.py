"""The report as files: a page of Markdown, the numbers as JSON, and the pictures beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.proof.outcome import Outcome
from lab.proof.report import tables
from lab.proof.report.markdown import plain, section
from lab.proof.report.summary import summary, summary_of_faults

if TYPE_CHECKING:
    from lab.proof.report.charts import Chart

PAGE, NUMBERS = "README.md", "summary.json"
WIDTH = 500  # columns of the JSON
NOTE = (
    "This is not Azure: the lab's host is lighter than the real Functions worker, "
    "so the figures are about the sessions, not about Functions."
)


def write_report(folder: Path, title: str, runs: Sequence[Outcome], command: str = "") -> Path:
    """Write the page, the numbers, and one SVG per chart into `folder`, which is made if need be; returns the page.

    `runs`: one at least. `command` repeats what is shown. The same arguments write the same bytes. Raises OSError.
    """
    from lab.proof.report import charts  # matplotlib takes a second to import, and most commands draw nothing

    parts = [
        summary(runs),
        NOTE,
        section("What happened", *_written(folder, charts.draw(runs), charts.NAMES)),
        section("Numbers", tables.numbers(runs), tables.more_confirmed(runs), tables.failures(runs), tables.cpu(runs)),
        section("How it was run", tables.parameters(runs), tables.machines(runs)),
    ]
    return write_page(folder, title, parts, {"runs": [run.summary() for run in runs]}, command)


def write_faults(folder: Path, document: Mapping[str, Any], command: str = "") -> Path:
    """The same for the JSON of `python -m lab faults`."""
    from lab.proof.report import charts

    faults = document["faults"]
    shown = section("Faults", *_written(folder, charts.draw_faults(faults), charts.NAMES), tables.faults(faults))
    return write_page(folder, "Faults", [summary_of_faults(faults), NOTE, shown], document, command)


def _written(folder: Path, drawn: Sequence[Chart], names: Sequence[str]) -> list[str]:
    """Write the pictures in place of earlier ones of these names; each as the page shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.svg").unlink(missing_ok=True)
    for chart in drawn:
        (folder / f"{chart.name}.svg").write_text(chart.svg, encoding="utf-8")
    return [_chart(chart) for chart in drawn]


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


def _chart(chart: Chart) -> str:
    return f"### {chart.title}\n\n![{plain(chart.in_words)}]({chart.name}.svg)\n\n{chart.how_to_read}"

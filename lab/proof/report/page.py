"""The report as files: one page that is complete on its own, and each chart beside it. Must never need the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from lab.proof.report import tables
from lab.proof.report.markup import section, tiles
from lab.proof.report.summary import highlights, summary
from lab.proof.spike.outcome import Outcome

if TYPE_CHECKING:
    from lab.proof.report.charts import Chart

NOTE = (
    "This is not Azure: the lab's host is lighter than the real Functions worker, "
    "so the figures are about the sessions, not about Functions."
)
_HERE = Path(__file__).parent


def write_report(
    folder: Path,
    title: str,
    runs: Sequence[Outcome],
    faults: Mapping[str, Any] | None = None,
    command: str = "",
) -> Path:
    """Write `folder`/index.html and one SVG per chart; returns the path of the page. The folder is made if need be.

    `runs` may be empty if there are `faults`: the JSON of `python -m lab faults`. `command` repeats what is shown.
    The same arguments write the same bytes. Raises ValueError if there is nothing to report, OSError from writing.
    """
    found: Sequence[Mapping[str, Any]] = (faults or {}).get("faults", ())
    if not runs and not found:
        raise ValueError("a report needs at least one run or one fault")
    from lab.proof.report import charts  # matplotlib takes a second to import, and most commands draw nothing

    drawn = charts.draw(runs)
    folder.mkdir(parents=True, exist_ok=True)
    for name in charts.NAMES:
        (folder / f"{name}.svg").unlink(missing_ok=True)
    for chart in drawn:
        (folder / f"{chart.name}.svg").write_text(chart.svg, encoding="utf-8")
    page = folder / "index.html"
    page.write_text(_page(title, runs, found, command, drawn), encoding="utf-8")
    return page


def _page(
    title: str, runs: Sequence[Outcome], faults: Sequence[Mapping[str, Any]], command: str, drawn: Sequence[Chart]
) -> str:
    return Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        summary=escape(summary(runs, faults)),
        highlights=tiles(highlights(runs)),
        note=escape(NOTE),
        sections="\n".join(_sections(runs, faults, drawn)),
        command=section("Run it again", f"<pre><code>{escape(command)}</code></pre>" if command else ""),
    )


def _sections(runs: Sequence[Outcome], faults: Sequence[Mapping[str, Any]], drawn: Sequence[Chart]) -> list[str]:
    parts = [section("Faults", tables.faults(faults) if faults else "")]
    if runs:
        parts = [
            section("What happened", _charts(drawn)),
            section("Numbers", _beside(tables.numbers(runs), _stacked(tables.failures(runs), tables.cpu(runs)))),
            *parts,
            section("How it was run", _beside(tables.parameters(runs), tables.machines(runs))),
        ]
    return [part for part in parts if part]


def _charts(drawn: Sequence[Chart]) -> str:
    return f'<div class="charts">\n{"".join(map(_chart, drawn))}</div>'


def _chart(chart: Chart) -> str:
    caption = f"<figcaption><b>How to read this.</b> {escape(chart.how_to_read)}</figcaption>"
    return f"<figure>\n<h3>{escape(chart.title)}</h3>\n{chart.svg}\n{caption}\n</figure>\n"


def _stacked(*parts: str) -> str:
    return f"<div>\n{''.join(parts)}\n</div>"


def _beside(*parts: str) -> str:
    inside = "\n".join(part for part in parts if part)
    return f'<div class="side-by-side">\n{inside}\n</div>' if inside else ""

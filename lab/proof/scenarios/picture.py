"""One picture of all scenarios: failed calls, p99 and clients, a row per scenario and a mark per side.

Imports matplotlib: import this only for a report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from lab.proof.report.palette import INK, looks
from lab.proof.report.svg import as_svg, drawing, entitled, figure
from lab.proof.scenarios.result import Result
from lab.proof.scenarios.scenario import SCENARIOS
from lab.proof.strategies import OURS, SIDES

MARK, NAME, KEY = 6, 24, 140  # px: of a side in a row, of a row's name, of the legend with the title
PANELS: tuple[tuple[str, tuple[int, ...], Callable[[Result], float]], ...] = (  # title, ticks, value
    ("failed, % of the calls", (0, 1, 10, 100), lambda one: one.failed_share * 100),
    ("p99, ms", (1, 10, 100, 1000), lambda one: one.median["p99_ms"]),
    ("clients, at most", (1, 10, 100, 1000), lambda one: one.median["peak"]),
)


def draw(found: Sequence[Result]) -> str:
    """In a row each side is on a line of its own, in the order of the legend: equal values do not hide one another."""
    names = [name for name in SCENARIOS if any(one.scenario == name for one in found)]
    sides = sorted((side for side in SIDES if any(one.side == side for one in found)), key=lambda side: side != OURS)
    with drawing():
        drawn = figure((MARK * len(sides) + NAME) * len(names) + KEY)
        entitled(drawn, "Every strategy in every scenario, on logarithmic scales")
        rows = drawn.subplots(len(names), len(PANELS), sharex="col", sharey=True, squeeze=False)
        for name, row in zip(names, rows, strict=True):
            for axes, (_, _, value) in zip(row, PANELS, strict=True):
                _panel(axes, {one.side: value(one) for one in found if one.scenario == name}, sides)
            label = row[0].set_title(SCENARIOS[name].title, color=INK, fontsize=10.5)
            label.set_in_layout(False)  # it runs on over the panels to its right
        for axes, (title, ticks, _) in zip(rows[-1], PANELS, strict=True):
            axes.set_xscale("symlog")
            axes.set_xlim(-0.3, ticks[-1] * 4)
            axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlabel(title)
        rows[0, 0].set_ylim(len(sides), -1)
        rows[0, 0].set_yticks([])
        drawn.legend(*rows[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=2, fontsize=10)
        return as_svg(drawn, "scenarios", alt="Failed calls, p99 and clients of every side in every scenario.")


def _panel(axes: Axes, values: Mapping[str, float], sides: Sequence[str]) -> None:
    for line, (side, look) in enumerate(zip(sides, looks(sides), strict=True)):
        size = 6.5 if look.ours else 4.5
        points = ([values[side]], [line]) if side in values else ([], [])
        axes.plot(*points, linestyle="none", marker=look.marker, markersize=size, color=look.colour, label=look.label)

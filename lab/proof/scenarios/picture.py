"""One picture of all scenarios: failed calls, p99 and clients, a row per scenario and a mark per side.

Imports matplotlib: import this only for a report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from lab.proof.report.palette import INK, QUIET, looks
from lab.proof.report.svg import as_svg, drawing, entitled, figure
from lab.proof.scenarios.result import Result
from lab.proof.scenarios.scenario import SCENARIOS
from lab.proof.strategies import OURS, SIDES

ROW = 46  # px
KEY = 90
PANELS: tuple[tuple[str, tuple[int, ...], Callable[[Result], float]], ...] = (  # title, ticks, value
    ("failed, % of the calls", (0, 1, 10, 100), lambda one: one.failed_share * 100),
    ("p99, ms", (1, 10, 100, 1000), lambda one: one.median["p99_ms"]),
    ("clients, at most", (1, 10, 100, 1000), lambda one: one.median["peak"]),
)


def draw(found: Sequence[Result]) -> str:
    names = [name for name in SCENARIOS if any(one.scenario == name for one in found)]
    sides = [side for side in SIDES if any(one.side == side for one in found)]
    with drawing():
        drawn = figure(ROW * len(names) + KEY + 50)
        entitled(drawn, "Each side in each scenario, on logarithmic scales")
        panels = drawn.subplots(1, len(PANELS), sharey=True, squeeze=False)[0]
        for axes, (title, ticks, value) in zip(panels, PANELS, strict=True):
            _panel(axes, found, names, sides, value)
            axes.set_xscale("symlog")
            axes.set_xlim(-0.3, ticks[-1] * 4)
            axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_title(title, color=QUIET, fontsize=11)
        panels[0].set_ylim(len(names) - 0.5, -0.7)
        panels[0].set_yticks([])
        for place, name in enumerate(names):
            where = panels[0].get_yaxis_transform()
            label = panels[0].text(0, place - 0.28, SCENARIOS[name].title, transform=where, color=INK, fontsize=10)
            label.set_in_layout(False)  # it runs on over the panels to its right
        drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=2, fontsize=10)
        return as_svg(drawn, "scenarios", alt="Failed calls, p99 and clients of every side in every scenario.")


def _panel(
    axes: Axes, found: Sequence[Result], names: Sequence[str], sides: Sequence[str], value: Callable[[Result], float]
) -> None:
    for side, look in zip(sides, looks(sides), strict=True):
        points = [(value(one), names.index(one.scenario) + 0.08) for one in found if one.side == side]
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            linestyle="none",
            marker=look.marker,
            markersize=8 if side == OURS else 5,
            color=look.colour,
            label=look.label,
            zorder=3 if side == OURS else 2,
        )

"""The errors that customers saw over time, a row per fault, against the time for which the fault lasted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from lab.proof.report import tables
from lab.proof.report.palette import GRID, INK, QUIET, VERMILION
from lab.proof.report.svg import entitled, figure

ROW, FOOT, HEAD = 74, 40, 54  # px


def with_errors(faults: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those under which customers saw an error whose time is known."""
    return [one for one in faults if one.get("errors_per_s")]


def errors(faults: Sequence[Mapping[str, Any]]) -> Figure:
    """Errors per second since the fault began; its duration is shaded. Raises ValueError if there is none to draw."""
    shown = with_errors(faults)
    drawn = figure(ROW * len(shown) + FOOT + HEAD)
    entitled(drawn, "Errors that customers saw, per second")
    rows = drawn.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, one in zip(rows, shown, strict=True):
        _row(axes, one)
    last = max(max(one["lasted_s"], *(int(second) + 1 for second in one["errors_per_s"])) for one in shown)
    rows[0].set_xlim(-0.5, last + 3)
    rows[0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    rows[-1].set_xlabel("seconds since the fault began")
    marks = [Patch(color=VERMILION, label="errors"), Patch(color=GRID, label="the fault lasts")]
    drawn.legend(handles=marks, loc="outside lower left", ncols=2)
    return drawn


def _row(axes: Axes, one: Mapping[str, Any]) -> None:
    axes.axvspan(0, one["lasted_s"], color=GRID, linewidth=0)
    seconds = {int(second): count for second, count in one["errors_per_s"].items()}
    axes.bar([second + 0.5 for second in seconds], list(seconds.values()), 1, color=VERMILION)
    axes.set_title(str(one["title"]), color=INK)
    axes.set_title(tables.errors(one), loc="right", color=QUIET, fontsize=10.5)
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.set_ylim(0, max(seconds.values()) * 1.15)

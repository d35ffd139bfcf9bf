"""The drawings over time: one row per run, all rows to one scale."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lab.proof.outcome import Moment, Outcome
from lab.proof.report.palette import GREEN, INK, QUIET, VERMILION, Look, looks
from lab.proof.report.series import clients, edges, rates, thinned
from lab.proof.report.svg import entitled, figure

Panels: TypeAlias = Any  # a numpy array of Axes, and numpy cannot say so
ROW = 124  # px
LEGEND = 34
RATES = 80  # per line: a rate over a shorter time is mostly noise
FOOT = 44
TITLE = 30


def connected_clients(runs: Sequence[Outcome]) -> Figure:
    drawn, rows = _rows(runs, "Clients connected to Redis", row=ROW + 14)
    for run, look, axes in zip(runs, looks([run.strategy for run in runs]), rows[:, 0], strict=True):
        moments = thinned(run.timeline)
        _line(axes, moments, clients(moments), look)
        if run.client_limit:
            axes.axhline(run.client_limit, color=VERMILION, linestyle="--", linewidth=1.3)
            axes.set_title(f"limit {run.client_limit:,}", loc="right", color=VERMILION, fontsize=11)
    highest = max([1, *(max(run.client_limit, run.peak_clients) for run in runs)])
    return _finished(drawn, rows, runs, (highest * 1.2,))


def requests(runs: Sequence[Outcome]) -> Figure:
    """Scheduled, accepted and failed per second; on the right the queue."""
    drawn, rows = _rows(runs, "Requests per second, and messages on the queue", columns=2, legend=True)
    fastest, longest = 1.0, 1
    for run, (left, right) in zip(runs, rows, strict=True):
        moments = thinned(run.timeline, most=RATES)
        fastest = max(fastest, *(_stairs(left, moments, *kind) for kind in _REQUESTS))
        right.plot([m.t for m in moments], [m.queue for m in moments], color=INK, linewidth=1.3)
        longest = max([longest, *(moment.queue for moment in moments)])
    _legend(drawn, rows)
    rows[0, 1].set_title("on the queue", color=QUIET)
    return _finished(drawn, rows, runs, (fastest * 1.08, longest * 1.08))


_REQUESTS = (("scheduled", QUIET, (0, (3, 2)), 1.3), ("accepted", GREEN, "-", 2.0), ("failed", VERMILION, "-", 1.6))


def _stairs(axes: Axes, moments: Sequence[Moment], name: str, colour: str, dashes: object, width: float) -> float:
    """Draws a rate; returns its peak."""
    borders, values = rates(moments, attrgetter(name))
    if values:
        axes.stairs(values, borders, baseline=None, color=colour, linestyle=dashes, linewidth=width, label=name)
    return max([0.0, *values])


def _line(axes: Axes, moments: Sequence[Moment], values: Sequence[float], look: Look) -> None:
    """Each value over the stretch before its moment."""
    if moments:
        axes.stairs(values, edges(moments), fill=True, color=look.colour, alpha=0.14, linewidth=0)
        axes.stairs(values, edges(moments), baseline=None, color=look.colour, linewidth=look.width)


def _rows(
    runs: Sequence[Outcome], title: str, row: int = ROW, columns: int = 1, legend: bool = False
) -> tuple[Figure, Panels]:
    """A figure with a row of panels per run, named after it."""
    drawn = figure(row * len(runs) + FOOT + TITLE + LEGEND * legend)
    entitled(drawn, title)
    ratios = [2.2, 1][:columns]
    rows = drawn.subplots(len(runs), columns, sharex=True, sharey="col", squeeze=False, width_ratios=ratios)
    for run, look, axes in zip(runs, looks([run.strategy for run in runs]), rows[:, 0], strict=True):
        axes.set_title(look.label, color=look.colour if look.ours else INK, fontweight=look.weight)
        if not run.timeline:
            axes.text(0.5, 0.5, "no samples", transform=axes.transAxes, ha="center", va="center", color=QUIET)
    return drawn, rows


def _legend(drawn: Figure, rows: Panels) -> None:
    """Of every row, since a run without samples has drawn nothing."""
    marks = {label: mark for axes in rows[:, 0] for mark, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    drawn.legend(marks.values(), marks.keys(), loc="outside lower left", ncols=max(1, len(marks)))


def _finished(drawn: Figure, rows: Panels, runs: Sequence[Outcome], tops: Sequence[float]) -> Figure:
    for axes in rows.flat:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 1.5, 2, 3, 6, 10]))
    for axes, top in zip(rows[0], tops, strict=True):
        axes.set_ylim(0, top)
    rows[0, 0].set_xlim(0, max([1, *(moment.t for run in runs for moment in run.timeline)]) * 1.03)
    for axes in rows[-1]:
        axes.set_xlabel("seconds")
    return drawn

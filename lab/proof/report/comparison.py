"""The drawings in which the runs share one panel: latency, and the strategies side by side."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from lab.proof.outcome import Outcome
from lab.proof.report.palette import GREEN, GRID, INK, QUIET, VERMILION, Look, looks
from lab.proof.report.svg import entitled, figure

LEAST_MS = 0.1  # a logarithmic scale has no zero
PANEL = 200  # px
KEY = 20
BAR = 0.24  # of a strategy's row
STRATEGY = 70
TICKS_MS = (1, 10, 100, 1000)


def latency(runs: Sequence[Outcome]) -> Figure:
    drawn = figure(2 * PANEL + 70 + KEY * len(runs))
    entitled(drawn, "How long it took, on a logarithmic scale")
    answers, decided = drawn.subplots(2, 1, sharex=True, sharey=True)
    shares = sorted({share for run in runs for share, _ in (*run.latency_ms, *run.decision_ms)})
    for run, look in zip(runs, looks([run.strategy for run in runs]), strict=True):
        _percentiles(answers, run.latency_ms, shares, look)
        _percentiles(decided, run.decision_ms, shares, look)
    answers.set_title("from the scheduled time to the answer", color=INK)
    decided.set_title("from the record to the decision", color=INK)
    for axes, measured in ((answers, [run.latency_ms for run in runs]), (decided, [run.decision_ms for run in runs])):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _duration(value)))
        axes.yaxis.set_minor_locator(NullLocator())
        if not any(measured):
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color=QUIET)
    decided.set_xticks(range(len(shares)), [f"{share:g}" for share in shares])
    decided.set_xlabel("percentile")
    drawn.legend(*answers.get_legend_handles_labels(), loc="outside lower left")
    return drawn


def _percentiles(axes: Axes, points: Sequence[tuple[float, float]], shares: Sequence[float], look: Look) -> None:
    axes.plot(
        [shares.index(share) for share, _ in points],
        [max(LEAST_MS, ms) for _, ms in points],
        color=look.colour,
        linewidth=look.width,
        marker=look.marker,
        markersize=5,
        label=look.label,
        zorder=3 if look.ours else 2,
    )


def strategies(runs: Sequence[Outcome]) -> Figure:
    """Answers, clients, refused connections and latency, a strategy per row."""
    drawn = figure(STRATEGY * len(runs) + 100)
    entitled(drawn, "Strategies side by side")
    answers, peaks, refused, times = drawn.subplots(1, 4, sharey=True)
    seen = looks([run.strategy for run in runs])
    _answers(answers, runs)
    _peaks(peaks, runs, seen)
    _bars(refused, [run.refused_connections for run in runs], seen)
    _notes(refused, [f"{run.refused_connections:,}" for run in runs])
    _times(times, runs, seen)
    for place, look in enumerate(seen):
        colour = look.colour if look.ours else INK
        name = answers.text(0, place - 0.23, look.label, color=colour, fontweight=look.weight, va="bottom")
        name.set_in_layout(False)  # it runs on over the panels to its right
    titles = ("orders", "peak clients", "refused connects", "p50 to p99, ms")
    for axes, title in zip((answers, peaks, refused, times), titles, strict=True):
        axes.set_title(title, color=QUIET, fontsize=11)
        axes.set_axis_off()
    times.set_axis_on()
    answers.set_ylim(len(runs) - 0.4, -0.6)
    limit = Line2D([], [], color=VERMILION, linestyle="none", marker="|", markersize=11, markeredgewidth=1.6)
    marks = {"accepted (ok)": Patch(color=GREEN), "failed": Patch(color=VERMILION), "the limit of clients": limit}
    drawn.legend(marks.values(), marks.keys(), loc="outside lower left", ncols=3)
    return drawn


def _bars(axes: Axes, values: Sequence[float], seen: Sequence[Look]) -> None:
    axes.barh(range(len(values)), values, BAR, color=[look.colour for look in seen])
    axes.set_xlim(0, max(1, *values) * 1.15)


def _notes(axes: Axes, texts: Sequence[str]) -> None:
    for place, text in enumerate(texts):
        axes.text(0, place + 0.17, text, transform=axes.get_yaxis_transform(), va="top", color=QUIET, fontsize=10.5)


def _answers(axes: Axes, runs: Sequence[Outcome]) -> None:
    places = range(len(runs))
    accepted = [run.accepted for run in runs]
    axes.barh(places, accepted, BAR, color=GREEN)
    axes.barh(places, [run.failed for run in runs], BAR, left=accepted, color=VERMILION)
    axes.set_xlim(0, max(1, *(run.accepted + run.failed for run in runs)) * 1.15)
    _notes(axes, [f"{run.accepted:,} ok, {run.failed:,} failed" for run in runs])


def _peaks(axes: Axes, runs: Sequence[Outcome], seen: Sequence[Look]) -> None:
    _bars(axes, [run.peak_clients for run in runs], seen)
    axes.set_xlim(0, max(1, *(max(run.peak_clients, run.client_limit) for run in runs)) * 1.15)
    for place, run in enumerate(runs):
        if run.client_limit:
            axes.plot([run.client_limit] * 2, [place - BAR * 0.75, place + BAR * 0.75], color=VERMILION, linewidth=1.6)
    _notes(axes, [f"{run.peak_clients:,} of {run.client_limit:,}" for run in runs])


def _times(axes: Axes, runs: Sequence[Outcome], seen: Sequence[Look]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1, 5000)
    axes.set_xticks(TICKS_MS, [f"{tick:,}" for tick in TICKS_MS], fontsize=10)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(left=False, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    for place, (run, look) in enumerate(zip(runs, seen, strict=True)):
        span = [max(LEAST_MS, run.p50_ms), max(LEAST_MS, run.p99_ms)]
        axes.vlines(TICKS_MS, place - BAR / 2, place + BAR / 2, color=GRID, linewidth=1)
        axes.plot(span, [place, place], color=look.colour, linewidth=look.width, marker=look.marker, markersize=5)
    _notes(axes, [f"{_duration(run.p50_ms)} to {_duration(run.p99_ms)}" for run in runs])


def _duration(ms: float) -> str:
    return f"{ms:.3g} ms" if ms < 1000 else f"{ms / 1000:.3g} s"

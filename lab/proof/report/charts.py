"""Which charts a report has, what each shows in words, and how it is read.

Imports matplotlib: import this only when a report is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from lab.proof.outcome import Outcome
from lab.proof.report import comparison, over_time
from lab.proof.report.palette import labels
from lab.proof.report.svg import as_svg, drawing


@dataclass(frozen=True)
class Chart:
    """`name`: of its file, without a suffix. `in_words`: what it shows. `svg`: one <svg> element."""

    name: str
    title: str
    how_to_read: str
    in_words: str
    svg: str


@dataclass(frozen=True)
class _Plan:
    name: str
    title: str
    how_to_read: str
    draw: Callable[[Sequence[Outcome]], Figure]
    in_words: Callable[[Outcome], str]
    fewest_runs: int = 1


_PLANS = (
    _Plan(
        "strategies",
        "Strategies side by side",
        "Green: accepted orders, vermilion: failed requests. The upright mark is Redis' client limit. On the right, "
        "from half of the answers to 99 of 100, on a logarithmic scale: further left is faster.",
        comparison.strategies,
        lambda run: (
            f"{run.accepted:,} accepted, {run.failed:,} failed, {run.refused_connections:,} connections refused"
        ),
        fewest_runs=2,
    ),
    _Plan(
        "clients",
        "Connections to Redis",
        "The most clients Redis had between two samples. At the dashed line it turns everybody else away. "
        "A gap means that Redis did not answer, not that it had no clients.",
        over_time.connected_clients,
        lambda run: f"a peak of {run.peak_clients:,} of {run.client_limit:,} clients",
    ),
    _Plan(
        "requests",
        "Requests per second",
        "Green on the dashed line: everything that came in was accepted. Vermilion is what failed. An order answered "
        "with sold out is neither. On the right, messages waiting to be decided.",
        over_time.requests,
        lambda run: f"{run.orders:,} scheduled, {run.accepted:,} accepted, {run.failed:,} failed",
    ),
    _Plan(
        "latency",
        "How long it took",
        "Read upwards from a percentile: at 99, 99 of 100 took at most that long. Each step up is ten times slower. "
        "An answer's time counts from when the request was due, so a queue in front of the app counts too.",
        comparison.latency,
        lambda run: f"half of the answers within {run.p50_ms:,.4g} ms, 99 of 100 within {run.p99_ms:,.4g} ms",
    ),
    _Plan(
        "decisions",
        "Orders accepted and decided",
        "The height of the shaded band is what was accepted and not decided yet. The two lines end together "
        "when every accepted order was decided.",
        over_time.decisions,
        lambda run: f"{run.accepted:,} accepted, {run.undecided:,} of them undecided at the end",
    ),
    _Plan(
        "instances",
        "Instances of the app",
        "How many processes could serve. A dip is an instance that was stopped or is not ready.",
        over_time.instances,
        lambda run: f"{run.instances:,} instances asked for",
    ),
)
NAMES = tuple(plan.name for plan in _PLANS)


def draw(runs: Sequence[Outcome]) -> list[Chart]:
    """Every chart that these runs fill, in reading order; none without runs."""
    with drawing():
        return [_chart(plan, runs) for plan in _PLANS if runs and len(runs) >= plan.fewest_runs]


def _chart(plan: _Plan, runs: Sequence[Outcome]) -> Chart:
    words = "; ".join(f"{label}: {plan.in_words(run)}" for label, run in zip(labels(runs), runs, strict=True))
    svg = as_svg(plan.draw(runs), plan.name, alt=f"{plan.title}. {words}.")
    return Chart(plan.name, plan.title, plan.how_to_read, words, svg)

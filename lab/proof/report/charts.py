"""Which charts a report has, what each shows in words, and how it is read.

Imports matplotlib: import this only when a report is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from lab.proof.outcome import Outcome
from lab.proof.report import comparison, over_faults, over_time
from lab.proof.report.svg import as_svg, drawing
from lab.proof.strategies import TITLES


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
        "On the right, from half of the answers to 99 of 100: further left is faster, and the scale is logarithmic.",
        comparison.strategies,
        lambda run: (
            f"{run.accepted:,} accepted, {run.failed:,} failed, {run.refused_connections:,} connections refused"
        ),
        fewest_runs=2,
    ),
    _Plan(
        "clients",
        "Connections to Redis",
        "The most clients Redis had between two samples. At the dashed line it refuses all others. "
        "A gap means that Redis did not answer, not that it had no clients.",
        over_time.connected_clients,
        lambda run: f"a peak of {run.peak_clients:,} of {run.client_limit:,} clients",
    ),
    _Plan(
        "requests",
        "Requests per second",
        "Green on the dashed line: everything that came in was accepted. Orange is what failed. An order answered "
        "with sold out is neither. On the right, messages waiting to be decided.",
        over_time.requests,
        lambda run: f"{run.orders:,} scheduled, {run.accepted:,} accepted, {run.failed:,} failed",
    ),
    _Plan(
        "latency",
        "How long it took",
        "Read upwards from a percentile: at 99, 99 of 100 took at most that long. Each step up is ten "
        "times slower. A time counts from when the request was due, so it includes a queue in front of the app.",
        comparison.latency,
        lambda run: f"half of the answers within {run.p50_ms:,.4g} ms, 99 of 100 within {run.p99_ms:,.4g} ms",
    ),
)
FAULTS = "faults"
NAMES = (*(plan.name for plan in _PLANS), FAULTS)


def draw(runs: Sequence[Outcome]) -> list[Chart]:
    with drawing():
        return [_chart(plan, runs) for plan in _PLANS if len(runs) >= plan.fewest_runs]


def draw_faults(faults: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """The chart of the errors, if there were any."""
    shown = over_faults.with_errors(faults)
    if not shown:
        return []
    words = "; ".join(f"{one['title']}: {sum(one['client_errors'].values()):,} errors" for one in shown)
    read = "Errors are counted in the second in which customers got them. Under the other faults they saw none."
    with drawing():
        svg = as_svg(over_faults.errors(faults), FAULTS, alt=f"Errors that customers saw over time. {words}.")
    return [Chart(FAULTS, "Errors over time", read, words, svg)]


def _chart(plan: _Plan, runs: Sequence[Outcome]) -> Chart:
    words = "; ".join(f"{TITLES[run.strategy]}: {plan.in_words(run)}" for run in runs)
    svg = as_svg(plan.draw(runs), plan.name, alt=f"{plan.title}. {words}.")
    return Chart(plan.name, plan.title, plan.how_to_read, words, svg)

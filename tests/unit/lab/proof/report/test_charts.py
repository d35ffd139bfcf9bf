"""What is on the drawings, asked of matplotlib before it is an SVG."""

from __future__ import annotations

import re
from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch

from lab.proof.outcome import PERCENTILES, Outcome
from lab.proof.report import charts, comparison, over_faults, over_time
from lab.proof.report.palette import DARK
from lab.proof.strategies import OURS, STRATEGIES, TITLES
from tests.unit.lab.proof.report.outcomes import FAULTS, LIMIT, leaky, moment, nothing, ours


def heights(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_ydata())]


def stairs(axes: Axes) -> dict[str, list[float]]:
    """The outlines by their label; the areas below have none."""
    found = [patch for patch in axes.patches if isinstance(patch, StepPatch) and not patch.get_fill()]
    return {str(patch.get_label()): [float(value) for value in patch.get_data()[0]] for patch in found}


def panels(drawn: Figure) -> list[Axes]:
    return list(drawn.axes)


def test_no_answer_of_redis_is_a_gap_in_the_line_and_no_zero() -> None:
    run = replace(ours(), timeline=[moment(1.0, 40), moment(2.0, None), moment(3.0, 50), moment(4.0, 60)])
    (values,) = stairs(panels(over_time.connected_clients([run]))[0]).values()
    assert values[:1] + values[2:] == [40, 50, 60]
    assert isnan(values[1])


def test_the_limit_is_a_dashed_line_with_its_name() -> None:
    axes = panels(over_time.connected_clients([ours()]))[0]
    (limit,) = axes.lines
    assert (heights(limit), limit.get_linestyle()) == ([LIMIT, LIMIT], "--")
    assert axes.get_title(loc="right") == "limit 250"


def test_every_run_is_drawn_to_the_same_scale() -> None:
    small = replace(ours(), client_limit=10, peak_clients=9)
    first, second = panels(over_time.connected_clients([small, leaky()]))
    assert first.get_ylim() == second.get_ylim()


def test_requests_are_rates_and_beside_them_is_the_queue() -> None:
    timeline = [
        moment(1.0, scheduled=10, accepted=7, failed=3, queue=5),
        moment(3.0, scheduled=30, accepted=9, failed=21, queue=2),
    ]
    left, right = panels(over_time.requests([replace(ours(), timeline=timeline)]))
    assert stairs(left) == {"scheduled": [10.0, 10.0], "accepted": [7.0, 1.0], "failed": [3.0, 9.0]}
    assert heights(right.lines[0]) == [5, 2]


def test_percentiles_are_on_a_logarithmic_scale_which_has_no_zero() -> None:
    run = replace(ours(), decision_ms=[(share, 0.0) for share in PERCENTILES])
    answers, decided = panels(comparison.latency([run]))
    assert answers.get_yscale() == "log"
    assert heights(answers.lines[0]) == [float(share) for share in PERCENTILES]
    assert heights(decided.lines[0]) == [comparison.LEAST_MS] * len(PERCENTILES)


def test_our_line_is_the_thickest() -> None:
    answers, _ = panels(comparison.latency([leaky(), ours()]))
    theirs, our = answers.lines
    assert our.get_linewidth() > theirs.get_linewidth()


def test_every_row_has_its_runs_name_and_ours_is_bold() -> None:
    drawn = next(chart.svg for chart in charts.draw([leaky(), ours()]) if chart.name == "clients")
    (theirs,) = re.findall(f"<text style=([^>]+)>{re.escape(TITLES['never-closed'])}<", drawn)
    (our,) = re.findall(f"<text style=([^>]+)>{TITLES[OURS]}<", drawn)
    assert ("font-weight: 700" in theirs, "font-weight: 700" in our) == (False, True)


def test_side_by_side_every_strategy_has_its_name_and_its_numbers() -> None:
    drawn = comparison.strategies([leaky(), ours()])
    texts = {text.get_text() for axes in panels(drawn) for text in axes.texts}
    assert {TITLES["never-closed"], TITLES[OURS]} <= texts
    assert {"4,000 ok, 8,000 failed", "12,000 ok, 0 failed", "249 of 250", "204 of 250", "31,200", "0"} <= texts
    assert {"492 ms to 3.02 s", "12.3 ms to 75.6 ms"} <= texts
    assert [tick.get_text() for tick in panels(drawn)[-1].get_xticklabels()] == ["1", "10", "100", "1,000"]


def test_errors_under_a_fault_are_drawn_against_the_time_for_which_it_lasted() -> None:
    (axes,) = panels(over_faults.errors(FAULTS["faults"]))
    fault, *errors = axes.patches
    assert isinstance(fault, Rectangle)
    assert (fault.get_x(), fault.get_width()) == (0, 3.0)
    assert [(bar.get_x(), bar.get_height()) for bar in errors if isinstance(bar, Rectangle)] == [(2, 80), (3, 32)]


@pytest.mark.parametrize("runs", [[nothing()], [nothing(), nothing()], [nothing(), leaky()]])
def test_runs_without_samples_can_be_drawn(runs: list[Outcome]) -> None:
    assert all(chart.svg.startswith("<svg") for chart in charts.draw(runs))


def test_charts_of_every_strategy_and_a_long_run_stay_small_and_have_each_colour_for_the_dark_too() -> None:
    runs = [leaky(strategy, samples=5000) for strategy in STRATEGIES if strategy != OURS]
    drawn = [chart.svg for chart in charts.draw([*runs, ours(samples=5000)])]
    assert max(map(len, drawn)) < 200_000
    colours = re.findall(r"#[0-9a-f]{6}(?=[;\"])", "".join(svg.partition("</style>")[2] for svg in drawn))
    assert set(colours) <= set(DARK)

"""What is drawn of a timeline."""

from __future__ import annotations

from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.proof.outcome import Moment
from lab.proof.report.series import edges, rates, thinned
from tests.unit.lab.proof.report.outcomes import moment


def by(timeline: list[Moment]) -> tuple[list[float], list[float]]:
    return rates(timeline, attrgetter("accepted"))


def test_a_rate_is_what_a_total_grew_by_per_second() -> None:
    timeline = [moment(0.5, accepted=5), moment(1.0, accepted=5), moment(3.0, accepted=25)]
    assert by(timeline) == ([0.0, 0.5, 1.0, 3.0], [10.0, 0.0, 10.0])


def test_a_sample_at_the_start_is_not_a_rate() -> None:
    assert by([moment(0.0, accepted=0), moment(2.0, accepted=6)]) == ([0.0, 2.0], [3.0])


def test_two_samples_at_one_time_are_one() -> None:
    assert by([moment(1.0, accepted=1), moment(1.0, accepted=4)]) == ([0.0, 1.0], [4.0])


def test_an_empty_timeline_has_no_rates() -> None:
    assert by([]) == ([0.0], [])


@pytest.mark.parametrize(
    ("times", "borders"), [([], [0.0]), ([1.0, 3.0], [0.0, 1.0, 3.0]), ([-0.5, 1.0], [-0.5, -0.5, 1.0])]
)
def test_the_first_stretch_begins_with_the_run_or_with_an_earlier_sample(
    times: list[float], borders: list[float]
) -> None:
    assert edges([moment(t) for t in times]) == borders


def test_a_short_timeline_is_drawn_as_it_is() -> None:
    timeline = [moment(float(step), None if step == 3 else step) for step in range(10)]
    assert thinned(timeline, most=10) == timeline


@pytest.mark.parametrize(
    ("samples", "kept"),
    [([7, None, 5], [(2.0, None), (3.0, 7)]), ([7, 5, None], [(2.0, 7), (3.0, None)]), ([9, 0, 0], [(3.0, 9)])],
)
def test_a_stretch_keeps_its_peak_and_its_gap_in_their_order(
    samples: list[int | None], kept: list[tuple[float, int | None]]
) -> None:
    timeline = [moment(step + 1.0, peak) for step, peak in enumerate(samples)]
    assert [(one.t, one.clients) for one in thinned(timeline, most=1)] == kept


@given(st.lists(st.tuples(st.none() | st.integers(0, 300), st.integers(0, 50)), min_size=1, max_size=90))
def test_thinning_loses_no_peak_no_gap_and_no_order(samples: list[tuple[int | None, int]]) -> None:
    total, timeline = 0, []
    for step, (peak, accepted) in enumerate(samples):
        total += accepted
        timeline.append(moment(step + 1.0, peak, accepted=total, queue=accepted, instances=accepted))
    kept = thinned(timeline, most=7)
    borders, values = by(kept)
    assert len(kept) <= 14
    assert max(one.clients or 0 for one in kept) == max(peak or 0 for peak, _ in samples)
    assert (None in [one.clients for one in kept]) == (None in [peak for peak, _ in samples])
    assert max(one.queue for one in kept) == max(accepted for _, accepted in samples)
    assert min(one.instances for one in kept) == min(accepted for _, accepted in samples)
    drawn = sum(rate * (borders[step + 1] - borders[step]) for step, rate in enumerate(values))
    assert drawn == pytest.approx(total)

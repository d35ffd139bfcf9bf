"""When the orders of a spike are due: how many, how they are spread, and that they are the same every time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.proof.spike.schedule import Schedule

shares = st.floats(0, 0.5, allow_subnormal=False)
schedules = st.builds(
    Schedule,
    orders=st.integers(1, 300),
    seconds=st.floats(0.1, 1000),
    seed=st.integers(0, 1000),
    ramp=shares,
    tail=shares,
)


def due_by(schedule: Schedule, t: float) -> float:
    """The integral of the rate, by the trapezoid rule, which is exact between the corners of the curve."""
    corners = [0.0, schedule.ramp * schedule.seconds, (1 - schedule.tail) * schedule.seconds, schedule.seconds]
    points = sorted({*(corner for corner in corners if corner < t), t})
    return sum((late - early) * schedule.rate((early + late) / 2) for early, late in pairwise(points))


@given(schedules)
def test_every_order_is_due_once_in_order_and_inside_the_time(schedule: Schedule) -> None:
    times = schedule.times()
    assert len(times) == schedule.orders
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= schedule.seconds * (1 + 1e-9)


@given(schedules)
def test_the_rate_adds_up_to_the_orders(schedule: Schedule) -> None:
    assert due_by(schedule, schedule.seconds) == pytest.approx(schedule.orders)


@given(schedules, st.floats(0, 1))
def test_at_any_moment_as_many_orders_were_due_as_the_rate_says_give_or_take_one(
    schedule: Schedule, share: float
) -> None:
    t = share * schedule.seconds
    assert sum(time <= t for time in schedule.times()) == pytest.approx(due_by(schedule, t), abs=1 + 1e-6)


def test_an_eighth_comes_in_the_ramp_and_an_eighth_in_the_tail() -> None:
    times = Schedule(orders=800, seconds=100).times()
    ramp, tail = sum(time < 20 for time in times), sum(time > 80 for time in times)
    assert (ramp, len(times) - ramp - tail, tail) == (100, 600, 100)


def test_on_the_plateau_the_rate_is_the_peak() -> None:
    schedule = Schedule(orders=800, seconds=100)
    assert [schedule.rate(t) for t in (20, 50, 80)] == pytest.approx([10, 10, 10])
    assert schedule.peak == pytest.approx(10)


@pytest.mark.parametrize(("t", "rate"), [(-1, 0), (0, 0), (10, 5), (90, 5), (100, 0), (101, 0)])
def test_the_rate_rises_and_falls_in_straight_lines_and_is_nothing_outside(t: float, rate: float) -> None:
    assert Schedule(orders=800, seconds=100).rate(t) == pytest.approx(rate)


@given(schedules)
def test_the_same_seed_gives_the_same_times(schedule: Schedule) -> None:
    assert schedule.times() == schedule.times()


def test_another_seed_gives_other_times() -> None:
    assert Schedule(100, 10, seed=1).times() != Schedule(100, 10, seed=2).times()

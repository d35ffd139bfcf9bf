"""How many instances the platform would want, as the load rises and falls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.proof.fleet.instance import Group
from lab.proof.spike.run import FIRST_SHARE, sizes
from lab.proof.spike.schedule import Schedule
from lab.proof.spike.stage import Plan

PLAN = Plan(http=100, fulfilment=50, client_limit=256)
SCHEDULE = Schedule(orders=1000, seconds=100)


@pytest.mark.parametrize("t", [20, 50, 80])
def test_on_the_plateau_the_fleet_is_at_full_scale_out(t: float) -> None:
    assert sizes(PLAN, SCHEDULE, t) == {Group.HTTP: 100, Group.FULFILMENT: 50}


@pytest.mark.parametrize("t", [-1, 0, 100, 1000])
def test_without_load_a_tenth_of_the_fleet_is_left(t: float) -> None:
    assert sizes(PLAN, SCHEDULE, t) == {Group.HTTP: 100 * FIRST_SHARE, Group.FULFILMENT: 50 * FIRST_SHARE}


@pytest.mark.parametrize("t", [10, 90])
def test_with_half_of_the_load_half_of_the_fleet_is_wanted(t: float) -> None:
    assert sizes(PLAN, SCHEDULE, t) == {Group.HTTP: 50, Group.FULFILMENT: 25}


@given(st.integers(1, 300), st.integers(1, 300), st.floats(-10, 200))
def test_each_group_has_one_instance_at_least_and_never_more_than_planned(http: int, bus: int, t: float) -> None:
    wanted = sizes(Plan(http, bus, 1000), SCHEDULE, t)
    assert 1 <= wanted[Group.HTTP] <= http
    assert 1 <= wanted[Group.FULFILMENT] <= bus

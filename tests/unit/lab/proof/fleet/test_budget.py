"""The budget of a fleet: it is refused, with the numbers, before anything starts."""

from __future__ import annotations

import re

import pytest

from lab.proof.fleet.budget import FleetBudget, check
from lab.proof.spike.stage import Plan
from lab.proof.strategies import STRATEGIES
from lab.proof.strategies.install import install
from services.errors import OverBudget


@pytest.mark.parametrize(("instances", "limit"), [(8, 12), (200, 256), (204, 256), (1, 5)])
def test_a_fleet_that_leaves_a_fifth_of_the_clients_free_fits(instances: int, limit: int) -> None:
    check(instances, limit)


@pytest.mark.parametrize(("instances", "limit"), [(8, 9), (205, 256), (1, 1), (2, 2)])
def test_a_fleet_that_does_not_is_refused(instances: int, limit: int) -> None:
    with pytest.raises(OverBudget):
        check(instances, limit)


def test_the_refusal_has_the_numbers() -> None:
    with pytest.raises(OverBudget) as refusal:
        check(instances=220, client_limit=256)
    text = str(refusal.value)
    assert "the lab's Redis allows 256 clients, 204 with 20 % headroom" in text
    assert "= 220 clients" in text
    assert "Set the scale-out limit to 204 or less" in text
    assert "--client-limit 275 or more" in text


def test_the_limit_that_the_refusal_names_is_enough() -> None:
    for instances in range(1, 300):
        with pytest.raises(OverBudget) as refusal:
            check(instances, client_limit=1)
        named = re.search(r"--client-limit (\d+) or more", str(refusal.value))
        assert named
        check(instances, client_limit=int(named[1]))


def test_the_labs_own_connections_are_counted_where_a_fifth_is_less() -> None:
    with pytest.raises(OverBudget, match="set the client limit to 12 or more"):
        check(instances=8, client_limit=11)


def test_the_limit_is_the_labs_and_no_tiers() -> None:
    assert FleetBudget("the lab's Redis", 8, scale_groups=1, client_limit=100).usable == 80


def test_a_plan_counts_both_groups() -> None:
    with pytest.raises(OverBudget, match="= 9 clients"):
        Plan(http=5, fulfilment=4, client_limit=10).check()


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "ours"])
def test_the_other_strategies_may_be_seen_failing(strategy: str) -> None:
    Plan(http=5, fulfilment=4, client_limit=2, strategy=strategy).check()


def test_an_unknown_strategy_is_not_installed() -> None:
    with pytest.raises(KeyError, match="no-such"):
        install("no-such")

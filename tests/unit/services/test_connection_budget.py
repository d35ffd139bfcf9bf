"""The arithmetic of the connection budget, and the table it reads."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from services.connection_budget import TABLE, ConnectionBudget, tier_limits
from services.errors import OverBudget
from tests.properties import given, st

BUDGETS = st.builds(
    ConnectionBudget,
    tier=st.sampled_from(sorted(tier_limits())),
    scale_out_limit=st.integers(1, 1000),
    scale_groups=st.integers(1, 2),
    always_ready=st.integers(0, 50),
    worker_processes=st.integers(1, 10),
    connections_per_worker=st.integers(1, 20),
    headroom_percent=st.integers(0, 90),
    primaries=st.integers(1, 24),
)


def fits(budget: ConnectionBudget) -> bool:
    try:
        budget.check()
    except OverBudget:
        return False
    return True


def test_the_fleet_of_2023_fits_the_smallest_tier_with_one_connection_each() -> None:
    budget = ConnectionBudget("Basic_C0", 100)
    budget.check()
    assert (budget.instances, budget.clients, budget.usable) == (200, 200, 204)


def test_the_same_fleet_with_two_connections_each_is_refused_with_the_numbers_and_the_largest_safe_limit() -> None:
    with pytest.raises(OverBudget) as refused:
        ConnectionBudget("Basic_C0", 100, connections_per_worker=2).check()
    text = str(refused.value)
    assert re.findall(r"\b(?:256|204|200|400|51)\b", text) == ["256", "204", "200", "400", "51"]


@pytest.mark.parametrize(
    ("budget", "largest"),
    [
        (ConnectionBudget("Basic_C0", 1), 102),
        (ConnectionBudget("Basic_C0", 1, connections_per_worker=2), 51),
        (ConnectionBudget("Basic_C0", 1, always_ready=4), 100),
        (ConnectionBudget("Balanced_B0", 1, connections_per_worker=7), 857),
        (ConnectionBudget("Standard_C1", 1, scale_groups=1, worker_processes=5, connections_per_worker=2), 80),
        (ConnectionBudget("Basic_C0", 1, connections_per_worker=300), 0),
        (ConnectionBudget("Balanced_B20", 1, primaries=6), 5000),
        (ConnectionBudget("Balanced_B20", 1, primaries=6, connections_per_worker=2), 4285),
    ],
)
def test_the_largest_safe_limit_of_known_cases(budget: ConnectionBudget, largest: int) -> None:
    assert budget.largest_safe_limit == largest


@given(BUDGETS)
def test_the_largest_safe_limit_fits_and_one_more_does_not(budget: ConnectionBudget) -> None:
    largest = budget.largest_safe_limit
    if largest:
        assert fits(replace(budget, scale_out_limit=largest))
    assert not fits(replace(budget, scale_out_limit=largest + 1))


@given(BUDGETS)
def test_a_budget_that_passes_never_exceeds_what_the_tier_allows(budget: ConnectionBudget) -> None:
    if fits(budget):
        clients = (
            (budget.scale_groups * budget.scale_out_limit + budget.always_ready)
            * budget.worker_processes
            * budget.connections_per_worker
        )
        assert clients * 100 <= tier_limits()[budget.tier] * (100 - budget.headroom_percent)


def test_every_row_of_the_table_names_its_source_and_the_day_it_was_looked_up() -> None:
    table = json.loads(TABLE.read_text())
    for source in table["sources"].values():
        assert source["page"].startswith("learn.microsoft.com/")
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", source["checked"])
    assert {row["source"] for row in table["tiers"].values()} == set(table["sources"]) - {"primaries"}
    managed = {name for name, row in table["tiers"].items() if row["source"] == "managed"}
    assert {name for name, row in table["tiers"].items() if "primaries" in row} == managed  # of the source `primaries`


def test_the_limits_are_those_of_the_documentation() -> None:
    classic = {"C0": 256, "C1": 1000, "C2": 2000, "C3": 5000, "C4": 10000, "C5": 15000, "C6": 20000}
    limits = tier_limits()
    assert {name: limits[f"{sku}_{name}"] for sku in ("Basic", "Standard") for name in classic} == classic
    assert [limits[f"Premium_P{n}"] for n in range(1, 6)] == [7500, 15000, 30000, 40000, 40000]
    assert [limits[f"Balanced_B{n}"] for n in (0, 1, 3, 5, 10, 20, 50, 100)] == [15000] * 4 + [
        30000,
        75000,
        150000,
        200000,
    ]
    assert [limits[f"MemoryOptimized_M{n}"] for n in (10, 20)] == [15000, 30000]
    assert [limits[f"ComputeOptimized_X{n}"] for n in (3, 5, 10)] == [30000, 30000, 75000]

"""Every number on docs/sizing.md is what services/connection_budget.py computes, or a fact that is named here."""

from __future__ import annotations

import math
import re

import pytest

from services.connection_budget import FLEX_SCALE_GROUPS, ConnectionBudget, kept_ready, tier_limits
from services.errors import OverBudget
from tests.pages import page, prose, rows_with

SIZING = page("sizing.md")
EXAMPLES = rows_with(SIZING, "largest limit")
HEADROOMS = rows_with(SIZING, "headroom %")

# Numbers in the prose that no table of the page holds, and where they come from.
FACTS = {
    "300": "bytes of an order, and MB of a million, about",
    "283": "bytes of an order, measured on Valkey 9 with ids of 36 and 15 characters",
    "304": "bytes of an order with longer ids, measured",
    "200,000": "orders whose expiry took 0.14 s, measured",
    "1000": "the end of Flex, and of trivial invocations a second per process; azure-functions/flex-consumption-plan",
    "2000": "trivial invocations a second per process, measured on the real host; orders a second of an example",
    "5000": "calls at once of the example",
    "512,000": "MB per subscription and region on Flex",
    "250": "512,000 MB in instances of 2 GB",
    "512": "addresses of 10.40.0.0/23, the app's subnet",
    "11790": "an issue of azure-functions-host",
    "2026": "a year",
    "2028": "a year",
}


def test_the_example_is_computed_from_what_an_order_costs_and_how_long_a_call_may_wait() -> None:
    text = " ".join(SIZING.split())
    assert "spends 0.44 ms of CPU" in page("the-experiment.md")
    budget = ConnectionBudget("Basic_C0", round(2000 * 2.5 / 100))
    assert (
        f"0.44 ms of CPU (in [the lab](the-experiment.md#what-an-order-costs)): {2000 * 0.44 / 1000} of a core" in text
    )
    assert f"{2000 * 2.5:.0f} calls at once, 100 on each of {budget.scale_out_limit} instances" in text
    assert f"{budget.instances} instances, {budget.clients} clients: even `Basic_C0` takes {budget.usable}" in text


def example(row: dict[str, str]) -> ConnectionBudget:
    return ConnectionBudget(
        tier=row["tier"],
        scale_out_limit=int(row["limit"]),
        scale_groups=int(row["scale groups"]),
        always_ready=int(row["always ready"]),
        worker_processes=int(row["processes"]),
        connections_per_worker=int(row["connections"]),
    )


def fits(budget: ConnectionBudget) -> str:
    try:
        budget.check()
    except OverBudget:
        return "no"
    return "yes"


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: f"{row['tier']}-{row['limit']}x{row['connections']}")
def test_each_worked_example_shows_what_the_budget_computes(row: dict[str, str]) -> None:
    budget = example(row)
    shown = [row[name] for name in ("instances", "clients", "usable", "fits", "largest limit")]
    computed = [budget.instances, budget.clients, budget.usable, fits(budget), budget.largest_safe_limit]
    assert shown == [str(value) for value in computed]


@pytest.mark.parametrize("row", HEADROOMS, ids=lambda row: f"{row['tier']}-{row['headroom %']}")
def test_each_headroom_shows_what_the_budget_computes(row: dict[str, str]) -> None:
    budget = ConnectionBudget(row["tier"], 1, headroom_percent=int(row["headroom %"]))
    assert (row["clients of the tier"], row["usable"]) == (str(tier_limits()[row["tier"]]), str(budget.usable))


@pytest.mark.parametrize("row", rows_with(SIZING, "instances wanted"), ids=lambda row: row["orders waiting"])
def test_the_instances_wanted_are_the_queue_divided_by_the_concurrency(row: dict[str, str]) -> None:
    wanted = math.ceil(int(row["orders waiting"]) / int(row["messageConcurrency"]))
    assert row["instances wanted"] == str(wanted)


def test_the_page_works_the_three_tiers_out_on_both_kinds_of_plan() -> None:
    assert {row["tier"] for row in EXAMPLES} >= {"Basic_C0", "Balanced_B0", "Balanced_B10"}
    assert {row["scale groups"] for row in EXAMPLES if "case" not in row} == {"1", "2"}


@pytest.mark.parametrize(
    ("case", "times", "zones"), [("zones", 1, True), ("rolling update", 2, False), ("both", 2, True)]
)
def test_what_no_limit_counts_is_two_ready_of_each_group_or_everything_twice(
    case: str, times: int, zones: bool
) -> None:
    rows = [row for row in EXAMPLES if row.get("case") == case]
    assert rows
    for row in rows:
        assert int(row["scale groups"]) == times * FLEX_SCALE_GROUPS
        assert int(row["always ready"]) == times * kept_ready(0, 0, zone_redundant=zones)


def test_a_number_in_the_prose_is_in_a_table_or_is_a_named_fact() -> None:
    computed = {cell for row in [*EXAMPLES, *HEADROOMS] for cell in row.values()}
    numbers = set(re.findall(r"\d[\d,]*\d{2}|\d{3,}", prose(SIZING)))
    assert numbers - computed - FACTS.keys() == set()

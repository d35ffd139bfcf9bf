"""The tables, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.proof.outcome import Outcome
from lab.proof.report import tables
from tests import pages
from tests.unit.lab.proof.report.outcomes import FAULTS, leaky, nothing, ours

BLANK = "\N{EN DASH}"


def row(markdown: str, name: str) -> list[str]:
    """The cells of a row but the first, which is its name."""
    (rows,) = pages.tables(markdown + "\n")
    return next(cells for first, *cells in (list(row.values()) for row in rows) if first == name)


@pytest.mark.parametrize(
    ("table", "runs", "rows"),
    [
        (tables.cpu, [ours(orders=10_000)], {"app": ["41.2 s (4.12 ms)"], "together": ["47.5 s (4.75 ms)"]}),
        (tables.cpu, [replace(leaky(), cpu_s={"proxy": 6.0}), ours()], {"proxy": ["6.0 s (0.50 ms)", BLANK]}),
        (tables.cpu, [replace(nothing(), cpu_s={"app": 2.0})], {"app": ["2.0 s"]}),  # without orders none per order
        (tables.machines, [leaky(), ours()], {"cpu": ["2 cores"]}),
        (
            tables.machines,
            [leaky(), replace(ours(), machine={"cpu": "96 cores"})],
            {"cpu": ["2 cores", "96 cores"], "python": ["3.11.7", BLANK]},
        ),
        (tables.parameters, [leaky(), ours()], {"client limit": ["250", "250"], "strategy": ["never-closed", "ours"]}),
    ],
    ids=["CPU", "a role that a run did not have", "no orders", "one machine", "two machines", "parameters"],
)
def test_what_differs_is_shown_per_run(table: Any, runs: list[Outcome], rows: dict[str, list[str]]) -> None:
    assert {name: row(table(runs), name) for name in rows} == rows


def test_without_failures_the_page_says_so() -> None:
    assert tables.failures([ours()]) == "No request failed."


def test_the_most_frequent_failure_comes_first() -> None:
    found = tables.failures([leaky()])
    assert found.index("| 503 |") < found.index("| timeout |")


@pytest.mark.parametrize("table", [tables.cpu, tables.parameters, tables.machines])
def test_what_is_unknown_makes_no_table(table: Any) -> None:
    runs: list[Outcome] = [nothing()]
    assert table(runs) == ""


def test_only_what_should_be_zero_and_is_not_stands_out() -> None:
    assert tables.numbers([ours()]).count("**") == 2
    assert tables.numbers([leaky()]).count("**") == 6


def test_a_fault_is_shown_with_its_verdict() -> None:
    found = tables.faults(FAULTS["faults"])
    good = ["ok", "2,417", "0", "0", "0", "0", "0", "0", "503 (112 times)", "5.0 s", "1.3 s (6.0 s)"]
    bad = ["**3 orders lost**", "2,391", "**3**", "0", "0", "**1**", "0", "0", "none", "7.9 s", "never (12.0 s)"]
    assert row(found, "Redis is killed and comes back") == good
    assert row(found, "Service Bus drops every link") == bad

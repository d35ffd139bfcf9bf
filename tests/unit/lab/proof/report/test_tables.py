"""The tables, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.proof.outcome import Outcome
from lab.proof.report import tables
from tests import pages
from tests.unit.lab.proof.report.outcomes import FAULTS, leaky, nothing, ours


def row(markdown: str, name: str) -> list[str]:
    """The cells of a row but the first, which is its name."""
    (rows,) = pages.tables(markdown + "\n")
    return next(cells for first, *cells in (list(row.values()) for row in rows) if first == name)


def test_cpu_is_shown_per_role_and_per_order() -> None:
    found = tables.cpu([ours(orders=10_000)])
    assert row(found, "app") == ["41.2 s (4.12 ms)"]
    assert row(found, "together") == ["47.5 s (4.75 ms)"]


def test_a_role_that_a_run_did_not_have_is_left_blank() -> None:
    found = tables.cpu([replace(leaky(), cpu_s={"proxy": 6.0}), ours()])
    assert row(found, "proxy") == ["6.0 s (0.50 ms)", "\N{EN DASH}"]


def test_without_orders_there_is_no_cpu_per_order() -> None:
    found = tables.cpu([replace(nothing(), cpu_s={"app": 2.0})])
    assert row(found, "app") == ["2.0 s"]


def test_without_failures_the_page_says_so() -> None:
    assert tables.failures([ours()]) == "No request failed."


def test_the_most_frequent_failure_comes_first() -> None:
    found = tables.failures([leaky()])
    assert found.index("| 503 |") < found.index("| timeout |")


def test_runs_on_one_machine_share_a_column() -> None:
    assert row(tables.machines([leaky(), ours()]), "cpu") == ["2 cores"]


def test_runs_on_two_machines_have_a_column_each() -> None:
    other = replace(ours(), machine={"cpu": "96 cores"})
    found = tables.machines([leaky(), other])
    assert row(found, "cpu") == ["2 cores", "96 cores"]
    assert row(found, "python") == ["3.11.7", "\N{EN DASH}"]


@pytest.mark.parametrize(("name", "cells"), [("client limit", ["250", "250"]), ("strategy", ["never-closed", "ours"])])
def test_parameters_are_shown_per_run(name: str, cells: list[str]) -> None:
    assert row(tables.parameters([leaky(), ours()]), name) == cells


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

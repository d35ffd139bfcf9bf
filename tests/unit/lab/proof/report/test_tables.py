"""The tables, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.proof.report import tables
from lab.proof.spike.outcome import Outcome
from tests.unit.lab.proof.report.document import Document
from tests.unit.lab.proof.report.outcomes import FAULTS, leaky, nothing, ours

CPU = "Where the CPU goes: seconds, and ms per order"


def read(tmp_path: Path, markup: str) -> Document:
    (tmp_path / "table.html").write_text(markup)
    return Document(tmp_path / "table.html")


def test_cpu_is_told_per_role_and_per_order(tmp_path: Path) -> None:
    found = read(tmp_path, tables.cpu([ours(orders=10_000)]))
    assert found.row(CPU, "app") == ["41.2 s (4.12 ms)"]
    assert found.row(CPU, "together") == ["47.5 s (4.75 ms)"]


def test_a_role_that_a_run_did_not_have_is_left_blank(tmp_path: Path) -> None:
    found = read(tmp_path, tables.cpu([replace(ours(), cpu_s={"proxy": 6.0}), ours()]))
    assert found.row(CPU, "proxy") == ["6.0 s (0.50 ms)", "\N{EN DASH}"]


def test_without_orders_there_is_no_cpu_per_order(tmp_path: Path) -> None:
    found = read(tmp_path, tables.cpu([replace(nothing(), cpu_s={"app": 2.0})]))
    assert found.row(CPU, "app") == ["2.0 s"]


def test_without_failures_the_page_says_so() -> None:
    assert tables.failures([ours()]) == "<p>No request failed.</p>"


def test_the_most_frequent_failure_comes_first(tmp_path: Path) -> None:
    found = read(tmp_path, tables.failures([leaky()]))
    assert [row[0] for row in found.tables["Failed requests by status or kind"][1:]] == ["503", "timeout"]


def test_runs_on_one_machine_share_a_column(tmp_path: Path) -> None:
    assert read(tmp_path, tables.machines([leaky(), ours()])).row("Machine", "cpu") == ["2 cores"]


def test_runs_on_two_machines_have_a_column_each(tmp_path: Path) -> None:
    other = replace(ours(), machine={"cpu": "96 cores"})
    found = read(tmp_path, tables.machines([leaky(), other]))
    assert found.row("Machine", "cpu") == ["2 cores", "96 cores"]
    assert found.row("Machine", "python") == ["3.11.7", "\N{EN DASH}"]


@pytest.mark.parametrize(("name", "cells"), [("client limit", ["250", "250"]), ("strategy", ["never-closed", "ours"])])
def test_parameters_are_told_per_run(tmp_path: Path, name: str, cells: list[str]) -> None:
    assert read(tmp_path, tables.parameters([leaky(), ours()])).row("Parameters", name) == cells


@pytest.mark.parametrize("table", [tables.cpu, tables.parameters, tables.machines])
def test_what_nobody_knows_is_no_table(table: Any) -> None:
    runs: list[Outcome] = [nothing()]
    assert table(runs) == ""


def test_only_what_should_be_zero_and_is_not_stands_out() -> None:
    assert tables.numbers([ours()]).count('class="bad"') == 0
    assert tables.numbers([leaky()]).count('class="bad"') == 3


def test_a_fault_is_told_with_its_verdict(tmp_path: Path) -> None:
    found = read(tmp_path, tables.faults(FAULTS["faults"]))
    good = ["ok", "2,417", "0", "0", "0", "0", "0", "112 \N{MULTIPLICATION SIGN} 503", "5.0 s", "1.3 s (6.0 s)"]
    bad = ["3 orders lost", "2,391", "3", "0", "0", "1", "0", "none", "7.9 s", "never (12.0 s)"]
    assert found.row("The app under faults", "Redis is killed and comes back") == good
    assert found.row("The app under faults", "Service Bus drops every link") == bad

"""What the records of the instances and the rounds come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.proof.scenarios.cell import Cell, add_up, starved
from lab.proof.scenarios.instance import Report
from lab.proof.scenarios.report import as_json, from_json, rows, write_report
from lab.proof.scenarios.result import Result, best_rival, better_rivals, results
from lab.proof.scenarios.scenario import SCENARIOS
from lab.proof.strategies import OURS, SIDES, TITLES
from tests.pages import tables

SOUND = Cell("stop", OURS, calls=1000, failed=10, p50_ms=2.0, p99_ms=100.0, max_ms=150.0, peak=4)


def result(side: str = OURS, **numbers: Any) -> Result:
    """The only round of a side."""
    return results([replace(SOUND, side=side, **numbers)])[0]


def test_every_kind_of_call_is_counted_and_an_undecided_or_a_wrong_one_has_failed() -> None:
    first = Report([(0.0, 0.1, "ok"), (0.1, 0.3, "failed")], cpu_s=0.2, errors=["NotSent: a"])
    second = Report([(0.0, 2.0, "undecided"), (0.5, 1.0, "wrong")], cpu_s=0.2, errors=["NotSent: a", "b"])
    cell = add_up(SCENARIOS["stop"], OURS, [first, second])
    assert (cell.calls, cell.failed, cell.undecided, cell.wrong) == (4, 3, 1, 1)
    assert (cell.max_ms, cell.cpu_us, cell.per_s) == (2000.0, 100_000.0, 0.5)
    assert cell.errors == ["NotSent: a", "b"]


def test_instances_that_made_no_call_are_not_an_error() -> None:
    assert add_up(SCENARIOS["stop"], OURS, [Report([], 0.0, [])]).calls == 0


@pytest.mark.parametrize(
    ("calls", "seconds"),
    [
        ([(0.0, 5.0, "ok")], 0.0),
        ([(0.0, 1.0, "ok"), (0.5, 2.0, "ok")], 0.0),
        ([(0.0, 5.0, "ok"), (1.0, 2.0, "ok")], 3.0),
        ([(0.0, 5.0, "failed"), (1.0, 2.0, "ok"), (3.0, 3.5, "ok")], 3.0),
        ([(0.0, 5.0, "ok"), (1.0, 2.0, "failed")], 0.0),
    ],
    ids=["alone", "in turn", "overtaken", "overtaken twice", "who failed overtook nobody"],
)
def test_a_caller_starves_while_one_who_came_later_has_been_served(
    calls: list[tuple[float, float, str]], seconds: float
) -> None:
    assert starved(calls) == max(seconds, 0.0)


def test_a_result_is_the_median_of_the_rounds_with_the_spread_of_its_p99() -> None:
    (found,) = results(replace(SOUND, p99_ms=p99, failed=failed) for p99, failed in ((30, 9), (10, 1), (20, 2)))
    assert (found.median["p99_ms"], found.median["failed"], found.p99_spread) == (20, 2, (10, 30))


@pytest.mark.parametrize(
    ("numbers", "won"),
    [
        ({}, []),
        ({"p99_ms": 82.0}, []),
        ({"p99_ms": 70.0}, ["p99"]),
        ({"failed": 6}, []),
        ({"failed": 0}, ["failed"]),
        ({"failed": 0, "p99_ms": 70.0}, ["failed", "p99"]),
        ({"failed": 0, "p99_ms": 140.0}, []),
        ({"failed": 20, "p99_ms": 70.0}, []),
        ({"failed": 0, "twice": 1}, []),
        ({"failed": 0, "wrong": 1}, []),
        ({"p99_ms": 70.0, "twice": 1}, []),
    ],
    ids=str,
)
def test_a_rival_is_better_only_if_it_is_clearly_so_and_not_clearly_worse_elsewhere(
    numbers: dict[str, Any], won: list[str]
) -> None:
    found = [result(), result("coredis", **numbers)]
    assert better_rivals(found, "stop") == ({"coredis": won} if won else {})


def test_a_p99_of_a_few_milliseconds_is_level_however_large_the_ratio() -> None:
    found = [result(p99_ms=5.0), result("coredis", p99_ms=1.0)]
    assert better_rivals(found, "stop") == {}


def test_the_best_rival_failed_least_and_was_then_the_fastest() -> None:
    found = [result(), result("coredis", failed=500, p99_ms=1.0), result("redis-py", failed=1, p99_ms=40.0)]
    found += [result("per-call", failed=0, p99_ms=50.0)]
    best = best_rival(found, "stop")
    assert best is not None
    assert best.side == "redis-py"


def every() -> list[Result]:
    """Every side in every scenario."""
    return results(replace(SOUND, scenario=scenario, side=side) for scenario in SCENARIOS for side in SIDES)


def test_there_are_ten_scenarios_and_the_table_has_a_row_for_each() -> None:
    assert [row[0] for row in rows(every())] == [scenario.title for scenario in SCENARIOS.values()]
    assert len(SCENARIOS) == 10


def test_without_ours_the_table_judges_nobody() -> None:
    ((_, *ours, rival, _, _, _, better),) = rows([result("coredis")])
    assert (ours, rival, better) == (["-", "-", "-"], "coredis", "-")


def test_the_page_has_every_side_in_every_scenario_and_a_picture(tmp_path: Path) -> None:
    page = write_report(tmp_path, every(), 3, 60.0, "python -m lab compare --scenario all")
    first, *details = tables(page.read_text())
    assert len(first) == 10
    assert [row["side"] for row in details[0]] == [TITLES[side] for side in SIDES]
    assert len(details) == 10
    drawn = ElementTree.parse(tmp_path / "scenarios.svg")  # noqa: S314 - it is ours
    texts = {"".join(element.itertext()) for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {TITLES[side] for side in SIDES} | {scenario.title for scenario in SCENARIOS.values()} <= texts
    marks = [(one.get("x"), one.get("y")) for one in drawn.iter("{http://www.w3.org/2000/svg}use")]
    assert len(set(marks)) == len(marks) > len(SIDES) * len(SCENARIOS)  # equal values do not hide one another


def test_the_json_can_be_read_again() -> None:
    assert from_json(as_json(every(), 3, 60.0)) == every()


def test_a_quick_cell_leaves_what_happens_to_redis_as_it_is() -> None:
    for scenario in SCENARIOS.values():
        quick = scenario.shortened()
        assert (quick.inflict, quick.instances, quick.places) == (scenario.inflict, scenario.instances, scenario.places)
        assert 0.5 < quick.load.seconds < scenario.load.seconds

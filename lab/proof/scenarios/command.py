"""Runs the scenarios for `python -m lab compare --scenario`: interleaved rounds, progress, table, report."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence

from lab.proof.results import console, save
from lab.proof.scenarios.cell import Cell, InstanceError, measure
from lab.proof.scenarios.report import show, write_report
from lab.proof.scenarios.result import better_rivals, results
from lab.proof.scenarios.scenario import SCENARIOS, Scenario
from lab.proof.spike.local import carried_out
from lab.proof.spike.progress import Progress
from lab.proof.strategies import OURS

CELL_S = 3.6  # about what one takes, for the time left


def run(options: argparse.Namespace, scenarios: Sequence[str], sides: Sequence[str]) -> int:
    """Run and report; returns the exit code: 1 if of ours an answer was wrong or a change ran twice."""
    wanted = [SCENARIOS[name].shortened() if options.quick else SCENARIOS[name] for name in scenarios]
    rounds, began, progress = 1 if options.quick else options.rounds, time.monotonic(), Progress()

    def report(cells: list[Cell]) -> bool:
        found, seconds = results(cells), time.monotonic() - began
        save(
            options,
            [dataclasses.asdict(cell) for cell in cells],
            lambda folder, typed: write_report(folder, found, rounds, seconds, typed),
        )
        show(found, console())
        if OURS in sides:
            level = sum(not better_rivals(found, name) for name in scenarios)
            print(f"ours is best or level in {level} of {len(scenarios)}")
        return any(cell.side == OURS and (cell.wrong or cell.twice) for cell in cells)

    return carried_out(run_all(wanted, sides, rounds, progress), progress, report)


async def run_all(scenarios: Sequence[Scenario], sides: Sequence[str], rounds: int, progress: Progress) -> list[Cell]:
    """Every side in every scenario, `rounds` times; within a round the sides follow each other."""
    cells: list[Cell] = []
    todo = [(scenario, side) for _ in range(rounds) for scenario in scenarios for side in sides]
    for number, (scenario, side) in enumerate(todo):
        left_s = (len(todo) - number) * CELL_S
        progress.say(f"{scenario.name}: {side}, {number + 1} of {len(todo)}, about {left_s / 60:.0f} min left")
        try:
            cells.append(await measure(scenario, side))
        except InstanceError as error:
            cells.append(Cell(scenario.name, side, calls=1, failed=1, errors=[str(error)]))
    return cells

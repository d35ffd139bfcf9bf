"""Faults at quick pace, and what of the app's promises they break."""

from __future__ import annotations

import asyncio

from lab.proof.faults import cluster, trial
from lab.proof.faults.faults import FAULTS
from lab.proof.faults.outcome import Outcome
from lab.proof.faults.pace import QUICK
from lab.proof.spike.progress import Progress

PRIMARIES = 3


async def outcome_of(name: str) -> Outcome:
    """Run the trial."""
    if name in FAULTS:
        return await trial.endure(FAULTS[name], QUICK, Progress())
    return await trial.endure(cluster.FAULTS[name], QUICK, Progress(), PRIMARIES)


async def broken_under(*names: str) -> dict[str, list[str]]:
    """The broken promises by fault. A trial mostly waits, so these wait together, each on a stage of its own."""
    async with asyncio.TaskGroup() as trials:
        running = [trials.create_task(outcome_of(name)) for name in names]
    outcomes = [trial.result() for trial in running]
    return {outcome.name: outcome.broken for outcome in outcomes if outcome.broken}

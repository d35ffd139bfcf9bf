"""Faults at quick pace, and what of the app's promises they break."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

from lab.proof.faults import cluster, trial
from lab.proof.faults.faults import FAULTS
from lab.proof.faults.outcome import Outcome, broken_promises
from lab.proof.faults.pace import QUICK
from lab.proof.spike.progress import Progress
from services.redis_session import Clocks

PRIMARIES = 3
# Quick, with room for a machine whose cores are busy, or that has one: what is slow there must not look like a fault.
# A few customers, who are patient: repeats to instances that starve are themselves a load that starves them.
CLOCKS = Clocks(ping_s=1.0, connect_s=2.5, stall_s=2.5, reply_s=8.0, idle_check_s=15.0)
PACE = replace(QUICK, clocks=CLOCKS, hole_s=3.5, client_limit=40, orders_per_s=8.0, repeats=60, settle_s=120.0)


async def outcome_of(name: str) -> Outcome:
    """Run the trial. That the errors end is asserted, by when and after how many attempts is not.

    `lab faults` does that, on a quiet machine: where cores are busy, instances connect again because they starve.
    """
    fault = FAULTS.get(name) or cluster.FAULTS[name]
    outcome = await trial.endure(fault, PACE, Progress(), 1 if name in FAULTS else PRIMARIES)
    notes = [note for note in outcome.notes if "connect storm" not in note]
    outcome.broken = broken_promises(replace(outcome, bound_s=math.inf, early_errors=0, notes=notes), fault.statuses)
    return outcome


async def broken_under(*names: str) -> dict[str, list[str]]:
    """The broken promises by fault. A trial mostly waits, so these wait together, each on a stage of its own."""
    async with asyncio.TaskGroup() as trials:
        running = [trials.create_task(outcome_of(name)) for name in names]
    outcomes = [trial.result() for trial in running]
    return {outcome.name: outcome.broken for outcome in outcomes if outcome.broken}

"""One fault at quick pace, and what the app promises under it."""

from __future__ import annotations

from lab.proof.faults import cluster, outage, trial
from lab.proof.faults.faults import FAULTS
from lab.proof.faults.outcome import Outcome
from lab.proof.faults.pace import QUICK
from lab.proof.spike.progress import Progress

PRIMARIES = 3


async def outcome_of(name: str) -> Outcome:
    """Run the trial."""
    if name in FAULTS:
        return await trial.endure(FAULTS[name], QUICK, Progress())
    if name in cluster.FAULTS:
        return await trial.endure(cluster.FAULTS[name], QUICK, Progress(), PRIMARIES)
    return await outage.endure(outage.OUTAGES[name], QUICK, Progress())

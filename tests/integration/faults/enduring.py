"""One fault at quick pace, and what the app promises under it."""

from lab.faults import outage, trial
from lab.faults.faults import FAULTS
from lab.faults.outcome import Outcome
from lab.faults.pace import QUICK
from lab.spike.progress import Progress


async def outcome_of(name: str) -> Outcome:
    """Run the trial."""
    if name in FAULTS:
        return await trial.endure(FAULTS[name], QUICK, Progress())
    return await outage.endure(outage.OUTAGES[name], QUICK, Progress())

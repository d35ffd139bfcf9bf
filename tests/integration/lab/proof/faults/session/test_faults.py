"""What the Redis session promises under each fault, at the quick pace; at full length with the profile `prove`."""

from __future__ import annotations

import os

import pytest

from lab.proof.faults.session.faults import FAULTS
from lab.proof.faults.session.outcome import broken_promises
from lab.proof.faults.session.pace import FULL, QUICK
from lab.proof.faults.session.trial import endure
from lab.proof.strategies import OURS

PACE = FULL if os.environ.get("HYPOTHESIS_PROFILE") == "prove" else QUICK
SLACK = 2.0  # times every bound in time: the machine is shared


@pytest.mark.parametrize("name", FAULTS)
async def test_the_session_keeps_its_promises_under(name: str) -> None:
    """None hung, leaked, done twice, lost or mixed up; every call ends by its deadline; recovery within its bound."""
    outcome = await endure(FAULTS[name], OURS, PACE)
    assert broken_promises(outcome, FAULTS[name], PACE, SLACK) == [], outcome

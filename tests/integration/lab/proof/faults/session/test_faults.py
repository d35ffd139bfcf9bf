"""What the Redis session promises under each fault, at the quick pace; at full length with the profile `prove`."""

from __future__ import annotations

import os

import pytest

from lab.proof.faults.session.command import run_all
from lab.proof.faults.session.faults import FAULTS
from lab.proof.faults.session.outcome import Outcome, broken_promises
from lab.proof.faults.session.pace import FULL, QUICK
from lab.proof.strategies import OURS

PACE = FULL if os.environ.get("HYPOTHESIS_PROFILE") == "prove" else QUICK
SLACK = 2.0  # times every bound in time: the machine is shared


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Of every fault: a trial mostly waits, so several wait together."""
    return {outcome.fault: outcome for outcome in run_all(list(FAULTS), [OURS], PACE, jobs=4)}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FAULTS)
def test_the_session_keeps_its_promises_under(name: str, outcomes: dict[str, Outcome]) -> None:
    """None hung, leaked, done twice, lost or mixed up; every call ends by its deadline; recovery within its bound."""
    assert broken_promises(outcomes[name], FAULTS[name], PACE, SLACK) == [], outcomes[name]

"""Redis is away for many minutes, all times shortened by one factor: ten deliveries of 120 s carry messages through 20.

The three mostly wait, so they wait together.
"""

from __future__ import annotations

import pytest

from lab.proof.faults.command import endure_all
from lab.proof.faults.outage import OUTAGES
from lab.proof.faults.pace import QUICK
from lab.proof.spike.progress import Progress


@pytest.mark.timeout(240)
async def test_what_patience_carries_is_decided_and_what_it_does_not_is_replayed() -> None:
    outcomes = await endure_all(list(OUTAGES), QUICK, Progress())
    assert {outcome.name: outcome.broken for outcome in outcomes} == {name: [] for name in OUTAGES}

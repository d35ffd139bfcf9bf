"""A Redis Cluster loses, moves and gains nodes under the app: nothing is lost or decided twice, only 503s are seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.proof.faults import cluster, trial
from lab.proof.faults.pace import QUICK
from lab.proof.spike.progress import Progress
from tests.integration.lab.proof.faults.enduring import PRIMARIES, outcome_of


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["failover", "slot-move", "shard-pause", "node-comes-and-goes"])
async def test_every_promise_holds_under(name: str) -> None:
    assert (await outcome_of(name)).broken == []


@pytest.mark.timeout(180)
async def test_decisions_that_a_failover_loses_are_found_and_made_again() -> None:
    outcome = await outcome_of("lossy-failover")
    assert outcome.broken == []
    assert outcome.replayed > 0
    assert "decisions lost" in outcome.remarks[0]


@pytest.mark.timeout(180)
async def test_decisions_that_a_failover_loses_are_counted_if_nobody_asks_for_them() -> None:
    fault, pace = replace(cluster.FAULTS["lossy-failover"], mend=None), replace(QUICK, settle_s=5.0)
    outcome = await trial.endure(fault, pace, Progress(), PRIMARIES)
    assert outcome.lost + outcome.decided_twice > 0

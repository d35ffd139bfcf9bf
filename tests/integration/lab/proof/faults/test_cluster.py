"""A Redis Cluster loses, moves and gains nodes under the app: nothing is lost or decided twice, only 503s are seen."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from lab.proof.faults import cluster, trial
from lab.proof.spike.progress import Progress
from tests.integration.lab.proof.faults.enduring import PACE, PRIMARIES, broken_under, outcome_of


async def test_every_promise_holds_under() -> None:
    assert await broken_under("failover", "slot-move", "shard-pause", "node-comes-and-goes") == {}


async def test_decisions_that_a_failover_loses_are_found_and_made_again() -> None:
    """And they are counted if nobody asks for them."""
    forgotten, pace = replace(cluster.FAULTS["lossy-failover"], mend=None), replace(PACE, settle_s=5.0)
    async with asyncio.TaskGroup() as trials:
        asked = trials.create_task(outcome_of("lossy-failover"))
        not_asked = trials.create_task(trial.endure(forgotten, pace, Progress(), PRIMARIES))
    mended, lost = asked.result(), not_asked.result()
    assert mended.broken == []
    assert mended.replayed > 0
    assert "decisions lost" in mended.remarks[0]
    assert lost.lost + lost.decided_twice > 0

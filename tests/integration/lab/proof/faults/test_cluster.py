"""A Redis Cluster loses, moves and gains nodes under the app: nothing is lost or decided twice, only 503s are seen."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lab.proof.faults import cluster, trial
from lab.proof.faults.pace import QUICK
from lab.proof.spike.progress import Progress
from tests.integration.lab.proof.faults.enduring import PRIMARIES, broken_under, outcome_of


@pytest.mark.timeout(180)
@pytest.mark.parametrize("names", [("slot-move", "shard-pause"), ("failover", "node-comes-and-goes")], ids=" ".join)
async def test_every_promise_holds_under(names: tuple[str, ...]) -> None:
    assert await broken_under(*names) == {}


@pytest.mark.timeout(180)
async def test_decisions_that_a_failover_loses_are_made_again_if_anybody_asks_and_else_counted() -> None:
    forgotten, pace = replace(cluster.FAULTS["lossy-failover"], mend=None), replace(QUICK, settle_s=5.0)
    async with asyncio.TaskGroup() as trials:
        asked = trials.create_task(outcome_of("lossy-failover"))
        not_asked = trials.create_task(trial.endure(forgotten, pace, Progress(), PRIMARIES))
    mended, lost = asked.result(), not_asked.result()
    assert mended.broken == []
    assert mended.replayed > 0
    assert "decisions lost" in mended.remarks[0]
    assert lost.lost + lost.decided_twice > 0

"""The strategies side by side, on four instances and a Redis that lets in little more than one client of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lab.proof.fleet.budget import LAB_CLIENTS
from lab.proof.strategies import OURS, STRATEGIES
from tests.integration.lab.proof.spike.small import FULFILMENT, HTTP, WAIT_S, Spike, small_spike

LIMIT = HTTP + FULFILMENT + LAB_CLIENTS
BURSTS = 20
Counter = Callable[[Spike], Awaitable[int]]
OTHERS = [name for name in STRATEGIES if name not in (OURS, "blocking-pool-1")]  # which keep to one connection


async def refused(spike: Spike) -> int:
    """The connections that Redis has refused."""
    return int((await spike.admin.info("stats"))["rejected_connections"])


async def failed(spike: Spike) -> int:
    """The orders whose answer was not the expected one."""
    return spike.failed


async def burst(strategy: str, *counters: Counter) -> list[int]:
    """A hundred orders nearly at once; ends with the last answer, or as soon as every counter has risen."""
    async with small_spike(strategy=strategy, client_limit=LIMIT) as spike, asyncio.timeout(WAIT_S):
        ordering = asyncio.create_task(spike.order(100, 0.2))
        while True:
            last = ordering.done()
            counted = [await counter(spike) for counter in counters]
            if last or all(counted):
                await spike.books.close(100, [], [], [])  # whoever may have taken every place meanwhile
                return counted
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("strategies", [OTHERS[::2], OTHERS[1::2]], ids=" ".join)
async def test_with_another_strategy_redis_refuses_connections(strategies: list[str]) -> None:
    async with asyncio.TaskGroup() as spikes:
        for strategy in strategies:
            spikes.create_task(refused_in_the_end(strategy))


async def refused_in_the_end(strategy: str) -> None:
    async with small_spike(strategy=strategy, client_limit=LIMIT) as spike, asyncio.timeout(WAIT_S):
        for _ in range(BURSTS):  # a pool of two keeps what it opens: with each burst more instances have both
            await spike.order(100, 0.2)
            if await refused(spike):
                return
    raise AssertionError(f"{strategy}: Redis has refused no connection")


async def test_with_ours_redis_refuses_nothing_and_no_order_fails() -> None:
    """With a strategy that keeps what it opened orders fail, redis-py's default pool among them: the control."""
    async with asyncio.TaskGroup() as spikes:
        keeping = [spikes.create_task(burst(strategy, failed)) for strategy in ("never-closed", "redis-py")]
        ours = spikes.create_task(burst(OURS, refused, failed))
    assert all(orders > 0 for spike in keeping for orders in spike.result())
    assert ours.result() == [0, 0]

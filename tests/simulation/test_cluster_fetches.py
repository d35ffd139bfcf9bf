"""How often a cluster is asked what it looks like, in virtual time."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any

from services.redis_session import NotSent
from services.redis_session.clocks import Clocks
from services.redis_session.cluster_nodes import ClusterNodes
from services.redis_session.multiplexed_redis import MultiplexedRedis
from services.redis_session.topology import Place, Topology
from tests.simulation.loop import SimLoop, World

PLACE = Place("10.0.0.1", 6379)


def test_an_outage_of_the_whole_cluster_is_asked_about_by_the_longest_waits_of_the_backoff() -> None:
    world = World("1")
    loop = SimLoop(world, "process")

    def no_client(_: Place) -> MultiplexedRedis:
        raise NotSent("nobody is there")

    async def calls_that_fail() -> int:
        session: Any = SimpleNamespace(open_client=None)
        nodes = ClusterNodes(
            PLACE, Clocks(), no_client, lambda _: session, lambda _: None, lambda _: None, random.Random(1)
        )
        nodes.apply(Topology(((0, 16383, PLACE),), (PLACE,), ()))
        await asyncio.sleep(10)
        for _ in range(2000):
            nodes.refresh_soon()
            await asyncio.sleep(0.01)
        return nodes.fetches

    fetches = loop.create_task(calls_that_fail())
    world.run(31)
    assert not world.broken
    assert 20 < fetches.result() < 50  # in 20 s, by waits of up to 1 s

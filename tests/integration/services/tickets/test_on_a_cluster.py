"""The order store's scripts on a cluster: a drop's keys lie on one shard, and drops on every one."""

from __future__ import annotations

import asyncio

from lab.azure.redis_cluster import RedisCluster
from services.tickets.models import PutDrop
from services.tickets.store import OrderStore
from tests.integration.services.redis_session.cluster.conftest import (
    Session,
    clients_of,
    cluster,
    running_cluster,
    session,
)

__all__ = ["cluster", "running_cluster", "session"]  # fixtures


async def test_drops_on_every_shard_are_put_and_read(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    store = OrderStore(redis, 900)
    spec = PutDrop.model_validate({"stock": 10, "per_customer": 2})
    await asyncio.gather(*(store.put_drop(f"drop-{n}", spec, within_s=5) for n in range(30)))
    found = await asyncio.gather(*(store.read_drop(f"drop-{n}", within_s=5) for n in range(30)))
    assert [drop.remaining for drop in found] == [10] * 30
    assert [clients_of(node) for node in cluster.nodes] == [1, 1, 1]

"""The app on a cluster: its store's scripts, its readiness and its budget, with nothing set for it."""

import asyncio
import logging

import pytest

from lab.azure.redis_cluster import RedisCluster
from services.readiness import Readiness, RecentSends
from services.tickets.models import PutDrop
from services.tickets.store import OrderStore

from .conftest import Session, clients_of


async def test_drops_on_every_shard_are_put_and_read(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    store = OrderStore(redis, 900)
    spec = PutDrop.model_validate({"stock": 10, "per_customer": 2})
    await asyncio.gather(*(store.put_drop(f"drop-{n}", spec, within_s=5) for n in range(30)))
    found = await asyncio.gather(*(store.read_drop(f"drop-{n}", within_s=5) for n in range(30)))
    assert [drop.remaining for drop in found] == [10] * 30
    assert [clients_of(node) for node in cluster.nodes] == [1, 1, 1]


async def test_an_app_that_meets_more_primaries_than_its_budget_says_so(
    cluster: RedisCluster, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    redis = session(cluster.url)
    ready = Readiness(redis, (), RecentSends(), primaries=2)
    with caplog.at_level(logging.ERROR):
        assert await ready.reason() == "Redis has more primaries than the connection budget counts"
    assert "3 primaries, the budget counts 2" in caplog.text
    assert await Readiness(redis, (), RecentSends(), primaries=3).reason() is None
    assert await Readiness(redis, (), RecentSends()).reason() is None

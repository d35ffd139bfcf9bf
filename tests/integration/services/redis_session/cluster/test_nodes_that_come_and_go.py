"""Shards that fail, move and leave: the others' callers notice nothing."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from redis.crc import key_slot

from lab.azure.redis_cluster import RedisCluster, admin
from lab.azure.redis_server import RedisServer
from services.redis_session import Clocks, RedisService, RedisUnavailable
from services.redis_session.cluster_client import ClusterRedis
from services.redis_session.cluster_nodes import RETIRE_TICK_S
from services.redis_session.topology import Place
from tests.integration.services.redis_session.cluster.conftest import QUICK, Session, clients_of
from tests.waiting import until

KEYS = {0: "{b}", 1: "{c}", 2: "{a}"}  # a key of each of three primaries


@pytest.fixture
def replicated() -> Iterator[RedisCluster]:
    with RedisCluster(3, replicas=1, node_timeout_ms=1000) as cluster:
        yield cluster


def client_of(redis: RedisService) -> ClusterRedis:
    assert isinstance(redis.open_client, ClusterRedis)
    return redis.open_client


def offset(node: RedisServer) -> int:
    """How much of the stream of writes a node has."""
    with admin(node) as client:
        return int(client.info("replication")["master_repl_offset"])


async def warm(redis: RedisService, cluster: RedisCluster) -> ClusterRedis:
    for number, key in KEYS.items():
        first, last = cluster.slots_of(number)
        assert first <= key_slot(key.strip("{}").encode()) <= last
        await redis.run(lambda client, key=key: client.incr(key), idempotent=False, within_s=5)  # type: ignore[misc]
    return client_of(redis)


async def test_a_replica_that_takes_over_is_found(replicated: RedisCluster, session: Session) -> None:
    redis = session(replicated.url)
    await warm(redis, replicated)
    await until(lambda: offset(replicated.nodes[5]) >= offset(replicated.nodes[2]))  # it has the write, too
    replicated.nodes[2].kill()
    assert await redis.run(lambda client: client.incr(KEYS[2]), idempotent=True, within_s=60, patient=True) >= 2
    assert client_of(redis).nodes.owner(15495).place.port == replicated.nodes[5].port
    assert client_of(redis) is client_of(redis)


async def test_a_dead_shard_fails_the_calls_to_it_alone(session: Session) -> None:
    with RedisCluster(3, node_timeout_ms=1000) as cluster:
        redis = session(cluster.nodes[2].url)  # even the configured address is gone then
        await warm(redis, cluster)
        cluster.nodes[2].kill()
        for _ in range(20):
            with pytest.raises(RedisUnavailable):
                await redis.run(lambda client: client.get(KEYS[2]), idempotent=True, within_s=0.1)
            for shard in (0, 1):
                assert await redis.run(lambda client, key=KEYS[shard]: client.get(key), idempotent=True, within_s=5)  # type: ignore[misc]
        with pytest.raises(RedisUnavailable):
            await redis.ping(1)
        cluster.nodes[2].start()
        await redis.run(lambda client: client.set(KEYS[2], 1), idempotent=True, within_s=30, patient=True)
        assert [clients_of(node) for node in cluster.nodes] == [1, 1, 1]


async def test_a_paused_shard_delays_its_own_callers_only(session: Session) -> None:
    with RedisCluster(3, node_timeout_ms=60_000) as cluster:
        redis = session(cluster.url)
        await warm(redis, cluster)
        cluster.nodes[2].pause()
        waiting = asyncio.create_task(
            redis.run(lambda client: client.get(KEYS[2]), idempotent=True, within_s=60, patient=True)
        )
        for _ in range(100):
            await redis.run(lambda client: client.incr(KEYS[0]), idempotent=False, within_s=10)
        assert not waiting.done()
        cluster.nodes[2].resume()
        assert await waiting == b"1"
        assert [clients_of(node) for node in cluster.nodes] == [1, 1, 1]


async def test_a_node_that_joins_is_used_and_one_that_is_emptied_and_left_is_closed(session: Session) -> None:
    with RedisCluster(3) as cluster:
        redis = session(cluster.url, Clocks(**{**vars(QUICK), "topology_s": 0.5}))
        await warm(redis, cluster)
        fourth = await asyncio.to_thread(cluster.add_node)
        await asyncio.to_thread(cluster.move_slot, 15495, cluster.nodes[2], fourth)
        assert await redis.run(lambda client: client.incr(KEYS[2]), idempotent=False, within_s=5) == 2
        assert clients_of(fourth) == 1
        place = Place("127.0.0.1", fourth.port)
        await until(lambda: redis.primaries == 4)
        await asyncio.to_thread(cluster.move_slot, 15495, fourth, cluster.nodes[2])
        assert await redis.run(lambda client: client.incr(KEYS[2]), idempotent=False, within_s=5) == 3
        await asyncio.to_thread(cluster.remove_node, fourth)
        await until(lambda: redis.primaries == 3)
        assert place not in {node.place for node in client_of(redis).nodes.primaries()}
        assert [clients_of(node) for node in cluster.nodes] == [1, 1, 1]


async def test_a_node_that_leaves_is_closed_after_its_replies(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    client = await warm(redis, cluster)
    third = client.nodes.owner(15495)
    cluster.nodes[2].pause()
    try:
        owed: asyncio.Future[Any] = asyncio.ensure_future(client.get(KEYS[2]))
        await until(lambda: client.in_flight == 1)
        await third_leaves(client, third.place)
        assert not owed.done()
    finally:
        cluster.nodes[2].resume()
    assert await owed == b"1"
    await until(lambda: clients_of(cluster.nodes[2]) == 0)


async def test_a_node_that_leaves_is_closed_after_the_side_connection_that_is_about_to_be_lent(
    cluster: RedisCluster, session: Session
) -> None:
    redis = session(cluster.url, connections=2)
    client = await warm(redis, cluster)
    third = client.nodes.owner(15495)
    pool = (await third.client()).connection_pool
    cluster.nodes[2].pause()
    try:
        transaction: Any = client.pipeline()
        moving = asyncio.ensure_future(transaction.incr(KEYS[2]).execute())
        await until(lambda: bool(pool.opening))
        await third_leaves(client, third.place)
        await asyncio.sleep(2 * RETIRE_TICK_S)
        assert not pool.closed
    finally:
        cluster.nodes[2].resume()
    assert await moving == [2]
    await until(lambda: clients_of(cluster.nodes[2]) == 0)


async def third_leaves(client: ClusterRedis, place: Place) -> None:
    from services.redis_session.topology import Topology

    nodes = [node.place for node in client.nodes.primaries() if node.place != place]
    client.nodes.apply(Topology(((0, 16383, nodes[0]),), tuple(nodes), ()))


async def test_the_topology_is_fetched_every_topology_s(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url, Clocks(**{**vars(QUICK), "topology_s": 0.05}))
    client = await warm(redis, cluster)
    await until(lambda: client.nodes.fetches >= 3)
    assert [clients_of(node) for node in cluster.nodes] == [1, 1, 1]


def test_another_event_loop_opens_connections_of_its_own(cluster: RedisCluster) -> None:
    redis = RedisService(cluster.url, clocks=QUICK)

    async def close() -> None:
        await redis.ping(5)
        await redis.aclose()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the first loop ends with its connections open
        assert asyncio.run(redis.run(lambda client: client.incr(KEYS[0]), idempotent=False, within_s=5)) == 1
        asyncio.run(close())
        gc.collect()

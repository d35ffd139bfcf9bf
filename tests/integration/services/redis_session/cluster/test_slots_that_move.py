"""Slots that move: redirects mean that a command did not run, so every INCR is counted once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from lab.azure.redis_cluster import RedisCluster, admin
from services.redis_session import NotSent, RedisService
from services.redis_session.cluster_client import ClusterRedis
from services.redis_session.topology import Place
from tests.integration.services.conftest import OneAttempt
from tests.integration.services.redis_session.cluster.conftest import Session, calls_of

TAG, SLOT = "{a}", key_slot(b"a")  # 15495, of the third node


async def _increment(key: str, client: Redis) -> int:
    return await client.incr(key)


async def clustered(redis: RedisService) -> ClusterRedis:
    await redis.run(lambda client: client.set(f"{TAG}warm", 1), idempotent=True, within_s=5)
    assert isinstance(redis.open_client, ClusterRedis)
    return redis.open_client


@contextlib.asynccontextmanager
async def migrating(cluster: RedisCluster) -> AsyncIterator[None]:
    """The slot on its way from the third node to the first; afterwards it is the third's again."""
    source, target = cluster.nodes[2], cluster.nodes[0]
    await asyncio.to_thread(cluster.open_slot, SLOT, source, target)
    try:
        yield
    finally:
        for node in (source, target):
            with admin(node) as client:
                client.execute_command("CLUSTER", "SETSLOT", SLOT, "STABLE")
        with admin(target) as client:
            client.flushall()


async def test_moved_updates_the_slot_at_once_and_the_rest_in_the_background(
    cluster: RedisCluster, session: Session
) -> None:
    client = await clustered(session(cluster.url))
    fetches = client.nodes.fetches
    await asyncio.to_thread(cluster.move_slot, SLOT, cluster.nodes[2], cluster.nodes[1])
    try:
        assert await client.incr(f"{TAG}n") == 1
        assert client.nodes.owner(SLOT).place == Place("127.0.0.1", cluster.nodes[1].port)
        assert await client.incr(f"{TAG}n") == 2
        async with asyncio.timeout(5):
            while client.nodes.fetches == fetches:  # noqa: ASYNC110 - a background task
                await asyncio.sleep(0.01)
        assert client.nodes.owner(SLOT).place == Place("127.0.0.1", cluster.nodes[1].port)
    finally:
        await asyncio.to_thread(cluster.move_slot, SLOT, cluster.nodes[1], cluster.nodes[2])


async def test_a_missing_key_of_a_slot_that_moves_is_asked_for_at_the_target(
    cluster: RedisCluster, session: Session
) -> None:
    client = await clustered(session(cluster.url))
    async with migrating(cluster):
        assert await client.incr(f"{TAG}new") == 1
        assert await client.get(f"{TAG}warm") == b"1"
        assert client.nodes.owner(SLOT).place.port == cluster.nodes[2].port, "ASK is for one command"
    assert (calls_of(cluster.nodes[0], "asking"), calls_of(cluster.nodes[0], "incrby")) == (1, 1)


async def test_a_pipeline_over_a_slot_that_moves_keeps_its_order(cluster: RedisCluster, session: Session) -> None:
    client = await clustered(session(cluster.url))
    async with migrating(cluster):
        pipeline: Any = client.pipeline(transaction=False)
        pipeline.incr(f"{TAG}new").incr(f"{TAG}warm").incr("elsewhere").incr(f"{TAG}new")
        assert await pipeline.execute() == [1, 2, 1, 2]


async def test_a_script_over_a_slot_that_moves_runs_once(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    await clustered(redis)
    script = "return redis.call('INCR', KEYS[1])"
    async with migrating(cluster):
        assert await redis.run(lambda client: client.eval(script, 1, f"{TAG}new"), idempotent=False, within_s=5) == 1


async def test_a_transaction_over_a_slot_that_has_moved_is_discarded_there_and_runs_once(
    cluster: RedisCluster, session: Session
) -> None:
    redis = session(cluster.url, connections=2)
    await clustered(redis)

    async def twice(client: Any) -> Any:
        return await client.pipeline(transaction=True).incr(f"{TAG}n").incr(f"{TAG}n").execute()

    assert await redis.run(twice, idempotent=False, within_s=5) == [1, 2]
    await asyncio.to_thread(cluster.move_slot, SLOT, cluster.nodes[2], cluster.nodes[1])
    try:
        assert await redis.run(twice, idempotent=False, within_s=5) == [3, 4]
    finally:
        await asyncio.to_thread(cluster.move_slot, SLOT, cluster.nodes[1], cluster.nodes[2])


async def test_a_transaction_waits_for_the_end_of_a_move(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url, connections=2)
    await clustered(redis)

    async def twice(client: Any) -> Any:
        return await client.pipeline(transaction=True).incr(f"{TAG}new").incr(f"{TAG}new").execute()

    await asyncio.to_thread(cluster.open_slot, SLOT, cluster.nodes[2], cluster.nodes[1])
    call = asyncio.create_task(redis.run(twice, idempotent=False, within_s=10))
    await asyncio.sleep(0.2)
    assert not call.done()
    await asyncio.to_thread(cluster.move_slot, SLOT, cluster.nodes[2], cluster.nodes[1])
    try:
        assert await call == [1, 2]
    finally:
        await asyncio.to_thread(cluster.move_slot, SLOT, cluster.nodes[1], cluster.nodes[2])


async def test_tryagain_is_waited_out(cluster: RedisCluster, session: Session) -> None:
    """One key here, one there: neither node can serve both, until the move has ended."""
    redis = session(cluster.url)
    client = await clustered(redis)
    async with migrating(cluster):
        await client.set(f"{TAG}new", 2)
        call = asyncio.create_task(
            redis.run(lambda client: client.mget(f"{TAG}warm", f"{TAG}new"), idempotent=False, within_s=10)
        )
        await asyncio.sleep(0.2)
        assert not call.done()
        await asyncio.to_thread(cluster.move_keys, SLOT, cluster.nodes[2], cluster.nodes[0])
        assert await call == [b"1", b"2"]


async def test_tryagain_past_the_deadline_is_a_proof_that_it_did_not_run(
    cluster: RedisCluster, session: Session
) -> None:
    redis = session(cluster.url, randomness=OneAttempt())
    client = await clustered(redis)
    async with migrating(cluster):
        await client.set(f"{TAG}new", 2)
        with pytest.raises(NotSent):
            await redis.run(lambda client: client.mget(f"{TAG}warm", f"{TAG}new"), idempotent=False, within_s=0.5)


async def test_redirects_that_lead_in_a_circle_are_bounded(
    cluster: RedisCluster, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = session(cluster.url)
    client = await clustered(redis)
    wrong = client.nodes.at(Place("127.0.0.1", cluster.nodes[0].port))
    monkeypatch.setattr(type(client.nodes), "owner", lambda nodes, slot: wrong)
    with pytest.raises(NotSent, match="redirected"):
        await client.incr(f"{TAG}n")
    assert sum(calls_of(node, "incrby") for node in cluster.nodes) == 0


async def test_one_task_at_a_time_asks_for_the_topology(cluster: RedisCluster, session: Session) -> None:
    """1000 callers at a stale map."""
    client = await clustered(session(cluster.url))
    keys = [f"key{n}" for n in range(1000)]
    for slot in range(16384):
        client.nodes.moved(slot, Place("127.0.0.1", cluster.nodes[0].port))
    fetches = client.nodes.fetches
    assert await asyncio.gather(*(client.incr(key) for key in keys)) == [1] * 1000
    await asyncio.sleep(0.5)
    assert client.nodes.fetches - fetches <= 3


async def test_every_increment_under_a_moving_slot_is_counted_once(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    done = 0
    moving = True

    async def load() -> None:
        nonlocal done
        n = 0
        while moving:
            n += 1
            assert await redis.run(partial(_increment, f"{TAG}{n % 50}"), idempotent=False, within_s=5) > 0
            done += 1

    loads = [asyncio.create_task(load()) for _ in range(20)]
    source, target = cluster.nodes[2], cluster.nodes[0]
    for _ in range(3):
        await asyncio.to_thread(cluster.move_slot, SLOT, source, target)
        source, target = target, source
    if source is not cluster.nodes[2]:
        await asyncio.to_thread(cluster.move_slot, SLOT, source, cluster.nodes[2])
    moving = False
    await asyncio.gather(*loads)

    async def total(client: Redis) -> int:
        return sum(int(value or 0) for value in await client.mget([f"{TAG}{n}" for n in range(50)]))

    assert await redis.run(total, idempotent=True, within_s=5) == done


async def test_asking_and_its_command_leave_next_to_each_other(cluster: RedisCluster, session: Session) -> None:
    """However much waits before them: the flag would hold for a stranger's command."""
    client = await clustered(session(cluster.url))
    target = client.nodes.at(Place("127.0.0.1", cluster.nodes[0].port))
    await client.nodes.at(target.place).session.healthy_client()
    filler = "x" * 40_000
    async with migrating(cluster):
        strangers = [client.set(f"{{b}}{n}", filler) for n in range(20)]  # slot 3300, of the first node
        wanted = [client.set(f"{TAG}new{n}", filler) for n in range(20)]
        mixed = [call for pair in zip(strangers, wanted, strict=True) for call in pair]
        assert await asyncio.gather(*mixed) == [True] * 40

"""A failover seen from the session: the old primary answers READONLY to one caller while others are in flight."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import redis
from redis.asyncio import Redis

from lab.azure.redis_server import RedisServer, free_port
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session.redis_service import RedisService


async def bump(client: Redis) -> int:
    return int(await client.incr("n"))


async def test_no_outcome_becomes_unknown_because_another_call_heard_readonly() -> None:
    """Calls follow each other on a wire with latency: when the first is refused, the others have been written."""
    with RedisServer(appendonly=False) as server, redis.Redis.from_url(server.url) as admin:
        async with TcpProxy(server.port) as proxy, aclosing(RedisService(proxy.url)) as session:
            await session.ping(5)
            proxy.to_server.delay_s = 0.1
            admin.replicaof("127.0.0.1", free_port())
            calls = []
            for _ in range(5):
                calls.append(asyncio.create_task(session.run(bump, idempotent=False, within_s=8)))
                await asyncio.sleep(0.03)
            await asyncio.sleep(0.2)
            admin.replicaof("NO", "ONE")
            assert sorted(await asyncio.gather(*calls)) == [1, 2, 3, 4, 5]
            assert proxy.open_links == 1

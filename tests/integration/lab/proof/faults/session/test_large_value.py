"""A large value on a slow link, while others ask whether the connection still lives."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from lab.azure.redis_server import RedisServer
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import RedisUnavailable
from services.redis_session.redis_service import Clocks, RedisService


async def test_a_ping_that_cannot_be_written_behind_a_large_value_costs_nobody_the_connection(
    shared_redis: RedisServer, redis_url: str
) -> None:
    async with (
        TcpProxy(shared_redis.port) as proxy,
        aclosing(RedisService(proxy.url, clocks=Clocks(ping_s=0.1, idle_check_s=0))) as session,
    ):
        await session.ping(5)
        proxy.to_server.bytes_per_s = 4_000_000
        value = bytes(4_000_000)
        large = asyncio.create_task(
            session.run(lambda client: client.set("large", value), idempotent=False, within_s=20)
        )
        while not large.done():
            with suppress(RedisUnavailable):
                await session.ping(0.3)
        assert await large is True
        assert session.counters.connections_opened == 1

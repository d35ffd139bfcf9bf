"""Servers of a test's own, to be stopped and broken, and sessions that are closed and checked for what they left."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from lab.azure.redis_server import RedisServer
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session.redis_service import Clocks, RedisService
from tests.integration.services.queue_session.bus import broker, connection, open_queue
from tests.logged import complaints_of_asyncio

__all__ = ["broker", "connection", "open_queue"]  # fixtures

QUICK = Clocks(ping_s=0.3, connect_s=1.0, stall_s=1.0, idle_check_s=15.0)
Open = Callable[..., RedisService]
BUSY = """
if pcall(function() return os end) then
  local started = os.clock()
  while os.clock() - started < 0.4 do end
else
  local function now() local time = redis.call('TIME') return time[1] * 1000000 + time[2] end
  local started = now()
  while now() - started < 400000 do end
end
return 1
"""  # a newer server lets its time stand still while a script runs, an older one has no os


class OneAttempt(random.Random):
    """After the first failure every wait would outlast the deadline: what is known of that one is told."""

    def uniform(self, a: float, b: float) -> float:
        return 1000 * (b - a)


async def recovered(session: RedisService) -> None:
    """Wait until it can be used again. An impatient call would fail at once if the outage has lasted 2 s by now."""
    await session.run(Redis.ping, idempotent=True, within_s=60, patient=True)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that may be killed, paused and reconfigured."""
    with RedisServer(appendonly=False) as server:
        yield server


@pytest.fixture
async def proxy(shared_redis: RedisServer, redis_url: str) -> AsyncIterator[TcpProxy]:
    """A well-behaved proxy in front of the shared, emptied server; the test spoils it."""
    async with TcpProxy(shared_redis.port) as running:
        yield running


@pytest.fixture
async def open_session(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Open]:
    """Makes sessions; afterwards none may have left a task, an unread exception or a loop in trouble."""
    caplog.set_level(logging.DEBUG)
    before = asyncio.all_tasks()
    made: list[RedisService] = []

    def make(url: str | None, **options: Any) -> RedisService:
        made.append(RedisService(url, **{"clocks": QUICK} | options))
        return made[-1]

    yield make
    for session in made:
        await session.aclose()
    gc.collect()  # a socket left open is reported here, by the test that left it
    left = {task for task in asyncio.all_tasks() - before if task.get_name().startswith("redis ")}
    assert not left
    assert complaints_of_asyncio(caplog) == []


async def bump(client: Redis) -> int:
    return int(await client.incr("n"))


def value(server: RedisServer) -> int:
    with redis.Redis.from_url(server.url) as admin:
        return int(admin.get("n") or 0)


def clients(server: RedisServer) -> int:
    """How many clients the server has besides the one that asks."""
    with redis.Redis.from_url(server.url) as admin:
        return len(admin.client_list()) - 1


async def slow(client: Redis) -> Any:
    """A command that keeps the server busy for 0.4 s, so that a reply is owed meanwhile."""
    return await client.eval(BUSY, 0)


def a_minute_passes(session: RedisService) -> None:
    """The connection's last reply is as old as if the session had been idle for a minute."""
    assert session._client is not None
    session._client.wire.stream.last_reply_at -= 60

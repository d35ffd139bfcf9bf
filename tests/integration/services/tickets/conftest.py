"""The shop on each server found: the bundled Valkey always, Debian's redis-server where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis

from lab.azure.redis_server import RedisServer
from services.redis_session.redis_service import RedisService
from tests.integration.services.tickets.shop import Shop

REDIS_SERVER = shutil.which("redis-server")


@pytest.fixture(scope="session")
def debian_redis() -> Iterator[RedisServer]:
    assert REDIS_SERVER is not None
    with RedisServer(binary=Path(REDIS_SERVER), appendonly=False) as server:
        yield server


@pytest.fixture(params=["valkey", "redis"] if REDIS_SERVER else ["valkey"])
def server_url(request: pytest.FixtureRequest) -> str:
    """An emptied server of each kind."""
    if request.param == "valkey":
        return str(request.getfixturevalue("redis_url"))
    server: RedisServer = request.getfixturevalue("debian_redis")
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        client.script_flush()
    return server.url


@pytest.fixture
async def shop(server_url: str) -> AsyncIterator[Shop]:
    session = RedisService(server_url)
    async with Redis.from_url(server_url) as client:
        yield Shop(session, client)
    await session.aclose()

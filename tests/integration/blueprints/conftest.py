"""The app's functions on the shared Valkey and a local Service Bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from lab.azure.service_bus import Broker
from services.redis_session.redis_service import RedisService
from tests.integration.blueprints.worker import Worker, install, queue_on


@pytest.fixture
def broker() -> Iterator[Broker]:
    """The local Service Bus with its shipped queue `orders`."""
    with Broker() as running:
        yield running


@pytest.fixture
async def worker(redis_url: str, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    """The app's functions on the shared Valkey and a Service Bus of the test's own."""
    session, queue = RedisService(redis_url), queue_on(broker)
    install(monkeypatch, session, queue, patience_s=60)  # its Redis is there: however slow, it is waited for
    async with Redis.from_url(redis_url) as client:
        yield Worker(client, broker)
    await queue.aclose()
    await session.aclose()

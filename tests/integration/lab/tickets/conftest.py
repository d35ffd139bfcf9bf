"""The books of one drop, kept by the app's own order store on the shared Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from lab.tickets.books import Books
from services.redis_session.redis_service import RedisService
from tests.integration.services.tickets.shop import DROP, Shop


@pytest.fixture
async def shop(redis_url: str) -> AsyncIterator[Shop]:
    """The app's store, and the server behind it."""
    session = RedisService(redis_url)
    async with Redis.from_url(redis_url) as client:
        yield Shop(session, client)
    await session.aclose()


@pytest.fixture
def accepted() -> list[str]:
    """The ids that customers were given."""
    return []


@pytest.fixture
async def books(redis_url: str, accepted: list[str]) -> AsyncIterator[Books]:
    async with Redis.from_url(redis_url) as client:
        yield Books(client, DROP, accepted)

"""What every strategy offers: the part of RedisService that the app calls. And what all of redis-py's share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from redis.asyncio import Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.redis_session import OutcomeUnknown

T = TypeVar("T")


class Session(Protocol):
    """As in services/redis_session/redis_service.py, where the contract is; all keep the deadline, only
    RedisService the rest."""

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        """Run one operation on a client."""

    async def ping(self, within_s: float) -> None:
        """Prove the way to Redis and back."""

    async def aclose(self) -> None:
        """Close what is known to be open."""


def default_client(url: str) -> Redis:
    """`Redis(host=..., port=...)` with all its defaults: `Redis.from_url` would leave its ten retries out."""
    options: dict[str, Any] = dict(parse_url(url))
    return Redis(ssl=options.pop("connection_class", None) is SSLConnection, **options)


@asynccontextmanager
async def bounded(within_s: float) -> AsyncIterator[None]:
    """The deadline that every side has, and redis-py's connection errors as the session's own, so that the app answers
    503: after its retries nobody knows what ran. Raises OutcomeUnknown.
    """
    try:
        async with asyncio.timeout(within_s):
            yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        raise OutcomeUnknown(f"{type(error).__name__}: {error}") from error

"""Strategy 3 of 2023, in Python: one shared client, a PING before each call, a new client when the PING fails.

Racy as published: callers that fail together recreate together, and all but one of the new clients are forgotten.
`idempotent` means nothing to it: it repeats what redis-py repeats.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from lab.proof.strategies.session import bounded, default_client

T = TypeVar("T")


class PingFirst:
    """A shared `redis.asyncio.Redis` with redis-py's defaults."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Redis | None = None

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        """On the shared client, after a PING."""
        async with bounded(within_s):
            return await operation(await self._healthy())

    async def ping(self, within_s: float) -> None:
        """PING, after a PING."""
        await self.run(Redis.ping, idempotent=True, within_s=within_s)

    async def aclose(self) -> None:
        """Close the client that is known."""
        if self._client is not None:
            await self._client.aclose()

    async def _healthy(self) -> Redis:
        if self._client is None:
            self._client = await self._created()
        try:
            await self._client.ping()
        except (RedisError, OSError):
            with contextlib.suppress(RedisError, OSError):
                await self._client.aclose()
            self._client = await self._created()
        return self._client

    async def _created(self) -> Redis:
        client = default_client(self._url)
        await client.ping()
        return client

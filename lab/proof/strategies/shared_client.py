"""One shared redis-py client at module scope: with its defaults, or with a blocking pool of few connections.

`idempotent` means nothing to it: it repeats what redis-py repeats.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis

from lab.proof.strategies.session import bounded, default_client

T = TypeVar("T")


class SharedClient:
    """`blocking_connections` 0: redis-py's default pool, a connection per command in flight, up to 100."""

    def __init__(self, url: str, *, blocking_connections: int = 0) -> None:
        if blocking_connections:
            options = default_client(url).connection_pool.connection_kwargs  # its retries, too
            pool = BlockingConnectionPool(max_connections=blocking_connections, **options)
            self._client = Redis.from_pool(pool)
        else:
            self._client = default_client(url)

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        """On the shared client."""
        async with bounded(within_s):
            return await operation(self._client)

    async def ping(self, within_s: float) -> None:
        """PING on the shared client."""
        await self.run(Redis.ping, idempotent=True, within_s=within_s)

    async def aclose(self) -> None:
        """Close it with its pool."""
        await self._client.aclose()

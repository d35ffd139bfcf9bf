"""One shared redis-py client at module scope: as it comes, or with a blocking pool of few connections.

It keeps no deadline but redis-py's own: `within_s` and `idempotent` mean nothing to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis

from lab.proof.strategies.session import default_client, told_as_unavailable

T = TypeVar("T")


class SharedClient:
    """`blocking_connections` 0: redis-py's default pool, a connection per command in flight, up to 100."""

    def __init__(self, url: str, *, blocking_connections: int = 0) -> None:
        if blocking_connections:
            self._client = Redis.from_pool(BlockingConnectionPool.from_url(url, max_connections=blocking_connections))
        else:
            self._client = default_client(url)

    async def run(self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float) -> T:
        """On the shared client."""
        with told_as_unavailable():
            return await operation(self._client)

    async def ping(self, within_s: float) -> None:
        """PING on the shared client."""
        await self.run(Redis.ping, idempotent=True, within_s=within_s)

    async def aclose(self) -> None:
        """Close it with its pool."""
        await self._client.aclose()

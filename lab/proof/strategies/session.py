"""What every strategy offers: the part of RedisService that the app calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from redis.asyncio import Redis

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

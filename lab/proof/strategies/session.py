"""What every strategy offers: the part of RedisService that the app calls; and what all but ours have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from redis.asyncio import Redis

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


class Lender:
    """A session says with `lent` which client an operation gets. `idempotent` means nothing to it."""

    def lent(self) -> AbstractAsyncContextManager[Any]:
        """For one operation; as far as the lab calls it, its API is redis-py's."""
        raise NotImplementedError

    def doubtful(self) -> tuple[type[Exception], ...]:
        """The errors after which nobody knows what ran."""
        raise NotImplementedError

    async def run(
        self, operation: Callable[[Any], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        """One operation within the deadline that every side has, repeated as often as its library repeats it.

        Raises OutcomeUnknown for the library's connection errors, so that the app answers 503.
        """
        try:
            async with asyncio.timeout(within_s), self.lent() as client:
                return await operation(client)
        except self.doubtful() as error:
            raise OutcomeUnknown(f"{type(error).__name__}: {error}") from error

    async def ping(self, within_s: float) -> None:
        """PING as any other operation."""
        await self.run(lambda client: client.ping(), idempotent=True, within_s=within_s)

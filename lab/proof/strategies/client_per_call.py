"""Strategies 1 and 2 of 2023: a client per call, either forgotten with its connection open, or closed afterwards.

`idempotent` means nothing to it: it repeats what redis-py repeats.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis

from lab.proof.strategies.session import bounded, default_client

T = TypeVar("T")


class ClientPerCall:
    """`close` False: the client stays reachable and its socket open, as a Node client's does that nobody quits."""

    def __init__(self, url: str, *, close: bool) -> None:
        self._url, self._close = url, close
        self._open: list[Redis] = []

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        """One client for this operation."""
        async with bounded(within_s):
            client = default_client(self._url)
            if not self._close:
                self._open.append(client)
                return await operation(client)
            try:
                return await operation(client)
            finally:
                await client.aclose()

    async def ping(self, within_s: float) -> None:
        """PING on a client of its own."""
        await self.run(Redis.ping, idempotent=True, within_s=within_s)

    async def aclose(self) -> None:
        """Close what `run` left open."""
        while self._open:
            await self._open.pop().aclose()

"""The connections besides the shared one: few, opened on demand, lent to one caller at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool

from .errors import NeedsOwnConnection, Overloaded


class SidePool(ConnectionPool):
    """At most `size` connections, for what can't share one. Who has waited longest is next; the wait is bounded."""

    def __init__(self, size: int, wait_s: float, **options: Any) -> None:
        super().__init__(max_connections=max(size, 1), **options)
        self.size, self.wait_s = size, wait_s
        self._free = asyncio.Semaphore(size)
        self._lent: set[AbstractConnection] = set()

    async def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> AbstractConnection:
        """A connection for the caller alone. Raises NeedsOwnConnection at size 0, Overloaded if all stay in use."""
        if not self.size:
            raise NeedsOwnConnection("this needs a connection of its own, and the client has no side connections")
        try:
            async with asyncio.timeout(self.wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise Overloaded(f"all {self.size} side connections stayed in use for {self.wait_s:g} s") from None
        try:
            connection: AbstractConnection = await super().get_connection()  # type: ignore[no-untyped-call] # redis-py's
        except BaseException:
            self._free.release()
            raise
        self._lent.add(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back, and let the next caller have it."""
        try:
            await super().release(connection)
        finally:
            if connection in self._lent:
                self._lent.discard(connection)
                self._free.release()

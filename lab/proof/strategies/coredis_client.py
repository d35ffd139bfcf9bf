"""coredis: one connection with commands in a pipeline on it, in Python. It repeats a lost command twice by default."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lab.proof.strategies.session import Lender
from lab.proof.tasks import end_all

if TYPE_CHECKING:
    import coredis


class CoredisClient(Lender):
    """Connects on first use. A task of its own holds the client open, as its task group demands."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._holder: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[coredis.Redis[bytes]] | None = None

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[coredis.Redis[bytes]]:
        yield await self._connected()

    def doubtful(self) -> tuple[type[Exception], ...]:
        import coredis.exceptions

        return coredis.exceptions.ConnectionError, OSError

    async def aclose(self) -> None:
        if self._holder is not None:
            await end_all([self._holder])

    async def _connected(self) -> coredis.Redis[bytes]:
        if self._ready is None or (self._holder is not None and self._holder.done()):
            self._ready = asyncio.get_running_loop().create_future()
            self._holder = asyncio.create_task(self._hold(self._ready), name="coredis")
        return await asyncio.shield(self._ready)

    async def _hold(self, ready: asyncio.Future[coredis.Redis[bytes]]) -> None:
        import coredis

        try:
            async with coredis.Redis.from_url(self._url, max_connections=1) as client:
                ready.set_result(client)
                await asyncio.Event().wait()
        except Exception as error:  # noqa: BLE001 - whoever waits for the client is told
            if not ready.done():
                ready.set_exception(error)
                ready.exception()  # perhaps nobody waits

"""host.json's `maxConcurrentRequests` and `maxOutstandingRequests`: which requests wait, and which are refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from lab.azure.functions_host.host_json import HttpOptions


class TooManyRequests(Exception):
    """More requests are outstanding than host.json allows: 429."""


class Gate:
    """Every request passes `turn`, which raises TooManyRequests."""

    def __init__(self, options: HttpOptions) -> None:
        self._most = options.max_outstanding
        self._turns = asyncio.Semaphore(options.max_concurrent) if options.max_concurrent else contextlib.nullcontext()
        self._outstanding = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """An async context manager around a request."""
        if self._most is not None and self._outstanding >= self._most:
            raise TooManyRequests
        self._outstanding += 1
        try:
            async with self._turns:
                yield
        finally:
            self._outstanding -= 1

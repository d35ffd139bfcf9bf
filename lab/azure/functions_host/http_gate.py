"""host.json's `maxConcurrentRequests` and `maxOutstandingRequests`: which requests wait, and which are refused."""

from __future__ import annotations

import asyncio

from lab.azure.functions_host.host_json import HttpOptions


class TooManyRequests(Exception):
    """More requests are outstanding than host.json allows: 429."""


class Gate:
    """An async context manager around each request."""

    def __init__(self, options: HttpOptions) -> None:
        self._most = options.max_outstanding
        self._turns = asyncio.Semaphore(options.max_concurrent) if options.max_concurrent else None
        self._outstanding = 0

    async def __aenter__(self) -> None:
        if self._most is not None and self._outstanding >= self._most:
            raise TooManyRequests
        self._outstanding += 1
        try:
            if self._turns is not None:
                await self._turns.acquire()
        except BaseException:
            self._outstanding -= 1
            raise

    async def __aexit__(self, *error: object) -> None:
        self._outstanding -= 1
        if self._turns is not None:
            self._turns.release()

"""The strategies that are redis-py, with its defaults. The first three fail as they fail in the wild."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from lab.proof.strategies.session import Lender


def default_client(url: str) -> Redis:
    """`Redis(host=..., port=...)` with all its defaults: `Redis.from_url` would leave its ten retries out."""
    options: dict[str, Any] = dict(parse_url(url))
    return Redis(ssl=options.pop("connection_class", None) is SSLConnection, **options)


class RedisPy(Lender):
    """It repeats what redis-py repeats."""

    def doubtful(self) -> tuple[type[Exception], ...]:
        return RedisConnectionError, RedisTimeoutError, OSError


class ClientPerCall(RedisPy):
    """Strategies 1 and 2 of 2023: a client per call, either forgotten with its connection open, or closed afterwards.

    `close` False: the client stays reachable and its socket open, as a Node client's does that nobody quits.
    """

    def __init__(self, url: str, *, close: bool) -> None:
        self._url, self._close = url, close
        self._open: list[Redis] = []

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Redis]:
        client = default_client(self._url)
        if not self._close:
            self._open.append(client)
        try:
            yield client
        finally:
            if self._close:
                await client.aclose()

    async def aclose(self) -> None:
        while self._open:
            await self._open.pop().aclose()


class PingFirst(RedisPy):
    """Strategy 3 of 2023: one shared client, a PING before each call, a new client when the PING fails.

    Racy as published: callers that fail together recreate together, and all but one of the new clients are forgotten.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Redis | None = None

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Redis]:
        if self._client is None:
            self._client = await self._created()
        try:
            await self._client.ping()
        except (RedisError, OSError):
            with contextlib.suppress(RedisError, OSError):
                await self._client.aclose()
            self._client = await self._created()
        yield self._client

    async def _created(self) -> Redis:
        client = default_client(self._url)
        await client.ping()
        return client

    async def aclose(self) -> None:
        """Close the client that is known."""
        if self._client is not None:
            await self._client.aclose()


class SharedClient(RedisPy):
    """One shared client at module scope. `blocking_connections` 0: the default pool, up to 100 connections."""

    def __init__(self, url: str, *, blocking_connections: int = 0) -> None:
        self._client = default_client(url)
        if blocking_connections:
            options = self._client.connection_pool.connection_kwargs  # its retries, too
            self._client = Redis.from_pool(BlockingConnectionPool(max_connections=blocking_connections, **options))

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Redis]:
        yield self._client

    async def aclose(self) -> None:
        await self._client.aclose()

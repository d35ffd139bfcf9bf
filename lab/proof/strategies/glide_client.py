"""valkey-glide: one multiplexed connection, its core in Rust. It reconnects by itself and repeats nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import parse_url

from lab.proof.strategies.session import Lender

if TYPE_CHECKING:
    import glide

REQUEST_MS = 2500  # its own deadline of a request and of a connect, that of the callers; its default is 250 ms


class GlideClient(Lender):
    """Connects on first use. `glide` is imported then: it starts threads, and processes are forked before."""

    def __init__(self, url: str) -> None:
        self._url = dict(parse_url(url))
        self._creating = asyncio.Lock()
        self._client: glide.GlideClient | None = None

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[_Commands]:
        yield _Commands(await self._connected())

    def doubtful(self) -> tuple[type[Exception], ...]:
        import glide

        return TimeoutError, glide.TimeoutError, glide.ConnectionError, glide.ClosingError

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _connected(self) -> glide.GlideClient:
        import glide

        async with self._creating:
            if self._client is None:
                glide.Logger.set_logger_config(glide.LogLevel.OFF)
                user, password = self._url.get("username"), self._url.get("password")
                self._client = await glide.GlideClient.create(
                    glide.GlideClientConfiguration(
                        [glide.NodeAddress(self._url["host"], self._url["port"])],
                        credentials=glide.ServerCredentials(password, user) if password else None,
                        request_timeout=REQUEST_MS,
                        lazy_connect=True,  # else the first connect blocks the event loop
                        advanced_config=glide.AdvancedGlideClientConfiguration(connection_timeout=REQUEST_MS),
                    )
                )
        return self._client


class _Commands:
    """What the lab's operations use of redis-py's API."""

    def __init__(self, client: glide.GlideClient) -> None:
        self._client = client

    async def ping(self) -> Any:
        return await self._client.ping()

    async def get(self, key: str) -> Any:
        return await self._client.get(key)

    async def set(self, key: str, value: bytes) -> Any:
        return await self._client.set(key, value)

    def register_script(self, code: str) -> Callable[..., Awaitable[Any]]:
        import glide

        async def call(keys: Sequence[str] = (), args: Sequence[object] = ()) -> Any:
            script = glide.Script(code)  # type: ignore[no-untyped-call] # glide's
            return await self._client.invoke_script(script, list(keys), [str(one) for one in args])

        return call

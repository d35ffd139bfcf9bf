"""valkey-glide: one multiplexed connection, its core in Rust. It reconnects by itself and repeats nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url

from services.redis_session import OutcomeUnknown

if TYPE_CHECKING:
    import glide

T = TypeVar("T")
REQUEST_MS = 2500  # its own deadline of a request and of a connect, that of the callers; its default is 250 ms


class GlideClient:
    """Connects on first use. `glide` is imported then: it starts threads, and processes are forked before."""

    def __init__(self, url: str) -> None:
        self._url = dict(parse_url(url))
        self._creating = asyncio.Lock()
        self._client: glide.GlideClient | None = None

    async def run(
        self, operation: Callable[[Redis], Awaitable[T]], *, idempotent: bool, within_s: float, patient: bool = False
    ) -> T:
        """On the shared client, as far as its API is redis-py's: `get`, `set` and `register_script`."""
        import glide

        try:
            async with asyncio.timeout(within_s):
                client: Any = _Commands(await self._connected())
                return await operation(client)
        except (TimeoutError, glide.TimeoutError, glide.ConnectionError, glide.ClosingError) as error:
            raise OutcomeUnknown(f"{type(error).__name__}: {error}") from error

    async def ping(self, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            await (await self._connected()).ping()

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

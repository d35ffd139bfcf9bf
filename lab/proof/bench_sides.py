"""The clients that the benchmark compares: each opens on a port and makes one kind of call, a GET of a small value.

All on one event loop, with hiredis, RESP3 and bytes, where a client lets one choose.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis

from lab.proof.strategies.ping_first import PingFirst
from services.redis_session import MultiplexedRedis

HOST, KEY, VALUE = "127.0.0.1", "bench", b"v" * 64
_GET = ("GET", KEY)

Call = Callable[[], Awaitable[Any]]
Side = Callable[[int], AbstractAsyncContextManager[Call]]
SIDES: dict[str, Side] = {}


def side(name: str) -> Callable[[Callable[[int], AsyncIterator[Call]]], Side]:
    """Register an async generator that yields the call of an opened client."""

    def register(opened: Callable[[int], AsyncIterator[Call]]) -> Side:
        SIDES[name] = asynccontextmanager(opened)
        return SIDES[name]

    return register


@side("ours")
async def ours(port: int) -> AsyncIterator[Call]:
    """One multiplexed connection."""
    async with MultiplexedRedis(host=HOST, port=port) as client:
        yield lambda: client.get(KEY)


@side("default pool")
async def default_pool(port: int) -> AsyncIterator[Call]:
    """redis-py with its defaults: a connection per call in flight, up to 100."""
    async with Redis(host=HOST, port=port) as client:
        yield lambda: client.get(KEY)


@side("strategy 3")
async def strategy_3(port: int) -> AsyncIterator[Call]:
    """The 2023 write-up's: redis-py's pool, a PING before each use."""
    session = PingFirst(f"redis://{HOST}:{port}/0")
    yield lambda: session.run(lambda client: client.get(KEY), idempotent=True, within_s=60)
    await session.aclose()


def _blocking(size: int) -> Side:
    async def opened(port: int) -> AsyncIterator[Call]:
        pool = BlockingConnectionPool(host=HOST, port=port, max_connections=size, timeout=60)
        async with Redis.from_pool(pool) as client:
            yield lambda: client.get(KEY)

    return asynccontextmanager(opened)


for _size in (1, 2, 8):
    SIDES[f"blocking pool ({_size})"] = _blocking(_size)

if importlib.util.find_spec("glide"):

    @side("valkey-glide")
    async def valkey_glide(port: int) -> AsyncIterator[Call]:
        """One multiplexed connection, Rust core."""
        import glide

        glide.Logger.set_logger_config(glide.LogLevel.OFF)
        address = glide.NodeAddress(HOST, port)
        client = await glide.GlideClient.create(glide.GlideClientConfiguration([address], request_timeout=10_000))
        yield lambda: client.get(KEY)
        await client.close()


if importlib.util.find_spec("coredis"):

    @side("coredis")
    async def coredis_one(port: int) -> AsyncIterator[Call]:
        """One multiplexed connection."""
        import coredis

        async with coredis.Redis(host=HOST, port=port, max_connections=1) as client:
            yield lambda: client.get(KEY)


class Bare(asyncio.Protocol):
    """A protocol, a reader and a FIFO, with no safety at all: the limit in Python."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(notEnoughData=...)
        self._owed: deque[asyncio.Future[Any]] = deque()
        self._out: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not ...:
            self._owed.popleft().set_result(reply)

    def close(self) -> None:
        """Close at once."""
        self._transport.close()

    @classmethod
    @asynccontextmanager
    async def connected(cls, port: int) -> AsyncIterator[Self]:
        """One connection, closed at the end."""
        _, protocol = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        yield protocol
        protocol.close()

    def call(self, command: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Its reply; all commands of one turn of the loop leave in one write."""
        future = self._loop.create_future()
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(hiredis.pack_command(command))
        self._owed.append(future)
        return future

    async def get(self) -> Any:
        """One GET."""
        return await self.call(_GET)

    async def get_many(self, key: str = "middling", count: int = 100) -> list[Any]:
        """Many GETs, next to each other."""
        return [await reply for reply in [self.call(("GET", key)) for _ in range(count)]]

    def _flush(self) -> None:
        self._transport.write(b"".join(self._out))  # type: ignore[attr-defined] # a TCP transport has it
        self._out.clear()


@side("bare")
async def bare(port: int) -> AsyncIterator[Call]:
    """asyncio and hiredis, nothing else."""
    async with Bare.connected(port) as protocol:
        yield protocol.get

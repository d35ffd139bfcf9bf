"""The clients that the benchmark compares, and what makes a side of one: a client on a port, and one kind of call.

All on one event loop, with hiredis, RESP3 and bytes, where a client lets one choose.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any, Self

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis

from lab.proof.strategies import LIBRARIES
from lab.proof.strategies.redis_py import PingFirst
from services.redis_session import MultiplexedRedis, RedisService

HOST, KEY, VALUE = "127.0.0.1", "bench", b"v" * 64
WITHIN_S = 60.0  # a benchmark does not measure deadlines
_GET = ("GET", KEY)

Call = Callable[[], Awaitable[Any]]
Ask = Callable[[Any], Awaitable[Any]]  # one call of a client
Client = Callable[[int], AbstractAsyncContextManager[Any]]  # connected to a port
Side = Callable[[int], AbstractAsyncContextManager[Call]]


def side(client: Client, ask: Ask) -> Side:
    """A client that makes one kind of call."""

    @asynccontextmanager
    async def opened(port: int) -> AsyncIterator[Call]:
        async with client(port) as connected:
            yield partial(ask, connected)

    return opened


def installed(sides: dict[str, Side]) -> dict[str, Side]:
    """Those whose package is there."""
    return {
        name: one for name, one in sides.items() if name not in LIBRARIES or importlib.util.find_spec(LIBRARIES[name])
    }


def url(port: int) -> str:
    return f"redis://{HOST}:{port}/0"


def ours(port: int) -> Redis:
    """One multiplexed connection."""
    return MultiplexedRedis(host=HOST, port=port)


def default_pool(port: int) -> Redis:
    """redis-py with its defaults: a connection per call in flight, up to 100."""
    return Redis(host=HOST, port=port)


def blocking_pool(size: int, port: int) -> Redis:
    """redis-py with so many connections, for which calls wait."""
    return Redis.from_pool(BlockingConnectionPool(host=HOST, port=port, max_connections=size, timeout=WITHIN_S))


@asynccontextmanager
async def glide(port: int, kind: str = "Glide") -> AsyncIterator[Any]:
    """One multiplexed connection, Rust core; of the kind GlideCluster, one to each node."""
    import glide

    glide.Logger.set_logger_config(glide.LogLevel.OFF)
    configuration = getattr(glide, f"{kind}ClientConfiguration")
    how = configuration([glide.NodeAddress(HOST, port)], request_timeout=10_000)
    client = await getattr(glide, f"{kind}Client").create(how)
    yield client
    await client.close()


def coredis(port: int) -> Any:
    """One multiplexed connection."""
    import coredis

    return coredis.Redis(host=HOST, port=port, max_connections=1)


def of_run(operation: Callable[[Redis], Any]) -> Side:
    """The app's own way: each call through `RedisService.run`."""
    return side(
        lambda port: aclosing(RedisService(url(port))),
        lambda service: service.run(operation, idempotent=True, within_s=WITHIN_S),
    )


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
        return await self.call(_GET)

    async def get_many(self, key: str = "middling", count: int = 100) -> list[Any]:
        """Many GETs, next to each other."""
        return [await reply for reply in [self.call(("GET", key)) for _ in range(count)]]

    def _flush(self) -> None:
        self._transport.write(b"".join(self._out))  # type: ignore[attr-defined] # a TCP transport has it
        self._out.clear()


def _get(client: Any) -> Any:
    return client.get(KEY)


SIDES = installed(
    {
        "ours": side(ours, _get),
        "default pool": side(default_pool, _get),
        "strategy 3": side(
            lambda port: aclosing(PingFirst(url(port))),
            lambda session: session.run(_get, idempotent=True, within_s=WITHIN_S),
        ),
        **{f"blocking pool ({size})": side(partial(blocking_pool, size), _get) for size in (1, 2, 8)},
        "valkey-glide": side(glide, _get),
        "coredis": side(coredis, _get),
        "bare": side(Bare.connected, Bare.get),
    }
)

"""Servers and clients of these tests: the Valkey of the lab and, where it is installed, Debian's Redis."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

from lab.azure.redis_server import RedisServer
from services.redis_session.multiplexed_redis import MultiplexedRedis


class Connect(Protocol):
    """Makes connected clients (MultiplexedRedis, as redis-py's own annotations fit none of its pipelines)."""

    async def __call__(self, url: str | None = None, **options: Any) -> Any: ...


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(script: Script) -> AsyncIterator[str]:
    """The address of a server that does on each connection what `script` says, and closes it at its end."""
    open_ones: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(asyncio.current_task())  # type: ignore[arg-type] # there is one
        with suppress(OSError):
            await script(reader, writer)
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=3"
        if open_ones:
            await asyncio.wait(open_ones)
    await asyncio.sleep(0)  # aborted transports close their sockets one turn later


async def full(client: MultiplexedRedis) -> None:
    """Return when the kernel takes no more bytes."""
    left = -1
    while left != client.backlog_bytes:
        left = client.backlog_bytes
        await asyncio.sleep(0.1)


@pytest.fixture(scope="session", params=["valkey", "redis-server"])
def any_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Each kind of server in turn; shared, so a test empties it and leaves it running."""
    binary = shutil.which(request.param) if request.param == "redis-server" else None
    if request.param == "redis-server" and binary is None:
        pytest.skip("redis-server is not installed")
    with RedisServer(binary=Path(binary) if binary else None, appendonly=False) as server:
        yield server


@pytest.fixture
async def connect(redis_url: str) -> AsyncIterator[Connect]:
    """Connected clients, to the shared server unless told otherwise; no task may be left when they are closed."""
    clients: list[MultiplexedRedis] = []

    async def connected(url: str | None = None, **options: Any) -> Any:
        client = MultiplexedRedis.from_url(url or redis_url, **options)
        clients.append(client)
        await client.connect()
        return client

    before = asyncio.all_tasks()
    yield connected
    for client in clients:
        await client.aclose()
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks left behind: {left}"

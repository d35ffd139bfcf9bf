"""A black hole of the proxy is one for connects too, and when it ends, what came first passes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from lab.azure.redis_server import HOST, RedisServer
from lab.azure.tcp_proxy import TcpProxy

PING, PONG = b"PING\r\n", b"+PONG\r\n"


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection, closed afterwards."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def received(server: Redis) -> int:
    """How many connections the server was ever asked for."""
    return int((await server.info("stats"))["total_connections_received"])


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, single_connection_client=True) as client:
        yield client


async def test_the_server_hears_of_a_connect_only_when_the_black_hole_ends(server: Redis, redis_url: str) -> None:
    before = await received(server)
    async with TcpProxy(int(redis_url.rsplit(":", 1)[1].split("/")[0])) as proxy:
        proxy.black_hole()
        async with connected(proxy.port) as (reader, writer):
            writer.write(PING)
            await writer.drain()
            while not proxy.accepted:  # noqa: ASYNC110 - the proxy's own task
                await asyncio.sleep(0.01)
            assert await received(server) == before
            proxy.heal()
            assert await reader.readline() == PONG
            assert await received(server) == before + 1


async def test_the_server_never_hears_of_a_client_that_gave_up_meanwhile(server: Redis, redis_url: str) -> None:
    before = await received(server)
    async with TcpProxy(int(redis_url.rsplit(":", 1)[1].split("/")[0])) as proxy:
        proxy.black_hole()
        async with connected(proxy.port) as (_, writer):
            writer.write(PING)
            await writer.drain()
        await writer.wait_closed()
        while not proxy.accepted:  # noqa: ASYNC110 - the proxy's own task
            await asyncio.sleep(0.01)
        proxy.heal()
        async with connected(proxy.port) as (reader, writer):
            writer.write(PING)
            assert await reader.readline() == PONG
    assert await received(server) == before + 1


async def test_a_close_that_was_held_back_passes_before_a_connect() -> None:
    with RedisServer(appendonly=False, maxclients=1) as server:
        async with TcpProxy(server.port) as proxy:
            async with connected(proxy.port) as (reader, writer):
                writer.write(PING)
                assert await reader.readline() == PONG
                proxy.black_hole()
            async with connected(proxy.port) as (reader, writer):
                writer.write(PING)
                await writer.drain()
                proxy.heal()
                assert await reader.readline() == PONG

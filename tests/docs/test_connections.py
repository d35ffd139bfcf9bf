"""docs/connections.md: how many connections each client opens for many calls at once, counted at a real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import httpx
import pytest
from aiohttp import web
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import MaxConnectionsError

from services.redis_session.redis_service import RedisService
from tests.pages import page, rows_with

ROWS = rows_with(page("connections.md"), "client, shared")
CALLS = [100, 200]


async def opened(redis_url: str, call: Callable[[], Awaitable[object]], calls: int) -> tuple[int, list[BaseException]]:
    """Connections that many calls at once made, and their errors."""
    async with Redis.from_url(redis_url) as admin:
        before = int((await admin.info("stats"))["total_connections_received"])
        done = await asyncio.gather(*(call() for _ in range(calls)), return_exceptions=True)
        after = int((await admin.info("stats"))["total_connections_received"])
    return after - before, [one for one in done if isinstance(one, BaseException)]


@pytest.mark.parametrize("calls", CALLS)
async def test_a_shared_redis_client_opens_one_for_each_call_up_to_100(redis_url: str, calls: int) -> None:
    async with Redis.from_url(redis_url) as client:
        connections, errors = await opened(redis_url, lambda: client.blpop(["nothing"], timeout=0.2), calls)
    assert connections == 100
    assert [type(error) for error in errors] == [MaxConnectionsError] * (calls - 100)


@pytest.mark.parametrize("calls", CALLS)
async def test_a_blocking_pool_of_two_opens_two(redis_url: str, calls: int) -> None:
    pool = BlockingConnectionPool.from_url(redis_url, max_connections=2)
    async with Redis.from_pool(pool) as client:
        assert await opened(redis_url, lambda: client.get("nothing"), calls) == (2, [])


@pytest.mark.parametrize("calls", CALLS)
async def test_the_session_opens_one(redis_url: str, calls: int) -> None:
    session = RedisService(redis_url)

    async def call() -> None:
        await session.run(lambda client: client.get("nothing"), idempotent=True, within_s=20)

    assert await opened(redis_url, call, calls) == (1, [])
    await session.aclose()


class SlowServer:
    """Answers HTTP once a hundred requests are there. `most`: connections that were open at a time."""

    def __init__(self) -> None:
        self.url, self.most, self.asked, self.full = "", 0, 0, asyncio.Event()
        self.server = web.Server(self.answer)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.asked, self.most = self.asked + 1, max(self.most, len(self.server.connections))
        if self.asked >= 100:
            self.full.set()
        await self.full.wait()
        return web.Response()


@asynccontextmanager
async def slow_server() -> AsyncIterator[SlowServer]:
    slow = SlowServer()
    runner = web.ServerRunner(slow.server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slow.url = "http://{}:{}/".format(*runner.addresses[0])
    yield slow
    await runner.cleanup()


@pytest.mark.parametrize("calls", CALLS)
async def test_httpx_opens_one_for_each_call_up_to_100_and_the_others_wait(calls: int) -> None:
    async with slow_server() as server, httpx.AsyncClient(timeout=30) as client:
        answers = await asyncio.gather(*(client.get(server.url) for _ in range(calls)))
    assert (server.most, {answer.status_code for answer in answers}) == (100, {200})


@pytest.mark.parametrize("calls", CALLS)
async def test_aiohttp_opens_one_for_each_call_up_to_100_and_the_others_wait(calls: int) -> None:
    async with slow_server() as server, aiohttp.ClientSession() as session:

        async def call() -> int:
            async with session.get(server.url) as answer:
                return answer.status

        statuses = await asyncio.gather(*(call() for _ in range(calls)))
    assert (server.most, set(statuses)) == (100, {200})


def test_the_page_shows_these_numbers() -> None:
    assert [re.findall(r"\d+", row["connections for 100 calls at once"])[0] for row in ROWS] == [
        "100",
        "2",
        "1",
        "1",
        "100",
        "100",
    ]

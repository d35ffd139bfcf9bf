"""The scenarios run, ours keeps its promises in each, and what others break is seen."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from lab.azure.redis_server import HOST, RedisServer
from lab.azure.tcp_proxy import TcpProxy
from lab.proof.faults.session.load import decide
from lab.proof.scenarios.cell import Cell, Clients, measure
from lab.proof.scenarios.scenario import SCENARIOS, Scenario
from lab.proof.strategies import OURS, SIDES
from lab.proof.tasks import background
from services.redis_session import NotSent, OutcomeUnknown
from tests.waiting import until


async def measured(*cells: tuple[Scenario, str]) -> list[Cell]:
    """The cells, all at the same time: they mostly wait."""
    async with asyncio.TaskGroup() as measuring:
        running = [measuring.create_task(measure(scenario, side)) for scenario, side in cells]
    return [cell.result() for cell in running]


async def test_ours_confuses_and_repeats_nothing_and_has_one_client_per_instance() -> None:
    cells = await measured(*((scenario.shortened(), OURS) for scenario in SCENARIOS.values()))
    assert [cell.scenario for cell in cells if not cell.calls] == []
    assert [cell for cell in cells if (cell.wrong, cell.twice) != (0, 0)] == []
    assert [cell for cell in cells if cell.peak > SCENARIOS[cell.scenario].instances] == []


async def test_a_stop_counts_no_connection_twice() -> None:
    """Longer than a client's patience would have been: who has to connect again takes all others for new, too."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(RedisServer(appendonly=False))
        clients = Clients(server)
        await stack.enter_async_context(background(clients.watch()))
        await until(lambda: clients._last is not None)
        for _ in range(3):
            await (await stack.enter_async_context(Redis.from_url(server.url))).ping()
        await until(lambda: clients.opened == 3)
        server.pause()
        await asyncio.sleep(1.2)
        server.resume()
        await (await stack.enter_async_context(Redis.from_url(server.url))).ping()
        await until(lambda: clients.opened > 3)
        assert clients.opened == 4


@pytest.mark.parametrize("side", [side for side in SIDES if side != OURS])
async def test_every_side_answers_its_callers(side: str) -> None:
    steady = SCENARIOS["messages"]
    cell = await measure(replace(steady, load=replace(steady.load, seconds=0.5, messages=2, callers=2)), side)
    assert cell.calls > 0
    assert (cell.failed, cell.wrong) == (0, 0), cell


@pytest.mark.parametrize("side", SIDES)
async def test_every_side_makes_the_calls_that_a_fault_makes(side: str, redis_url: str) -> None:
    session = SIDES[side](redis_url)
    await session.run(lambda client: client.set("key", b"value"), idempotent=True, within_s=20)
    assert await session.run(lambda client: client.get("key"), idempotent=True, within_s=20) == b"value"
    await session.aclose()


async def test_redis_py_repeats_what_was_cut_and_is_refused_where_there_are_too_few_places() -> None:
    """The controls of `twice` and `refused`: it sends again whatever was in flight."""
    for _ in range(5):  # a slow machine may have nothing in flight when it is cut
        cut, limit = await measured((SCENARIOS["cut"], "redis-py"), (SCENARIOS["limit"].shortened(), "redis-py"))
        if cut.twice:
            break
    assert cut.twice > 0
    assert limit.refused > 0


@pytest.mark.parametrize("side", SIDES)
async def test_no_side_keeps_a_caller_beyond_his_deadline(side: str, shared_redis: RedisServer, redis_url: str) -> None:
    """Equal deadlines: while nothing passes every side gives the same answer in time, and works again afterwards."""
    async with TcpProxy(shared_redis.port) as proxy:
        session = SIDES[side](f"redis://{HOST}:{proxy.port}/0")
        assert await session.run(lambda client: decide(client, 1), idempotent=True, within_s=20)
        proxy.black_hole()
        with pytest.raises((NotSent, OutcomeUnknown)):
            await session.run(lambda client: decide(client, 2), idempotent=True, within_s=0.2)
        proxy.heal()
        await session.aclose()

"""The scenarios run, ours keeps its promises in each, and what others break is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.azure.redis_server import HOST, RedisServer
from lab.azure.tcp_proxy import TcpProxy
from lab.proof.faults.session.load import decide
from lab.proof.scenarios.cell import measure
from lab.proof.scenarios.scenario import SCENARIOS
from lab.proof.strategies import OURS, SIDES
from services.redis_session import NotSent, OutcomeUnknown

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_ours_confuses_and_repeats_nothing_and_has_one_client_per_instance_in(name: str) -> None:
    cell = await measure(SCENARIOS[name].shortened(), OURS)
    assert cell.calls > 0
    assert (cell.wrong, cell.twice) == (0, 0), cell
    assert cell.peak <= SCENARIOS[name].instances


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


async def test_redis_py_repeats_changes_whose_replies_were_cut() -> None:
    """The control of `twice`: it sends again whatever was in flight."""
    assert (await measure(SCENARIOS["cut"], "redis-py")).twice > 0


async def test_where_there_are_more_instances_than_places_connections_are_refused() -> None:
    """The control of `refused`."""
    assert (await measure(SCENARIOS["limit"].shortened(), "redis-py")).refused > 0


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

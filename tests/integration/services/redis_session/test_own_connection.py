"""What needs a connection of its own is refused at once, or runs on one of a bounded few."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

from services.redis_session import NeedsOwnConnection, NotSent, Overloaded
from tests.integration.services.redis_session.conftest import Connect

REFUSED: list[Callable[[Any], Any]] = [
    lambda r: r.blpop("k", 1),
    lambda r: r.brpop("k", 1),
    lambda r: r.brpoplpush("a", "b", 1),
    lambda r: r.blmove("a", "b", 1),
    lambda r: r.blmpop(1, 1, "k", direction="LEFT"),
    lambda r: r.bzpopmin("k", 1),
    lambda r: r.bzpopmax("k", 1),
    lambda r: r.bzmpop(1, 1, ["k"], min=True),
    lambda r: r.xread({"x": "0"}, block=1),
    lambda r: r.xreadgroup("g", "c", {"x": ">"}, block=1),
    lambda r: r.wait(0, 1),
    lambda r: r.waitaof(0, 0, 1),
    lambda r: r.pipeline(transaction=False).blpop("k", 1).execute(),
    lambda r: r.pipeline(transaction=False).watch("k"),
    lambda r: r.transaction(lambda pipe: pipe.get("k")),
]
ALWAYS_REFUSED = [
    "MULTI", "EXEC", "WATCH k", "SELECT 1", "AUTH x", "HELLO 3", "RESET", "QUIT", "MONITOR", "SYNC", "PSYNC a 0",
    "SUBSCRIBE c", "PSUBSCRIBE c", "SSUBSCRIBE c", "UNSUBSCRIBE", "CLIENT REPLY OFF", "CLIENT TRACKING ON",
    "CLIENT NO-EVICT on", "SCRIPT DEBUG YES",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED)))
async def test_what_blocks_is_refused_before_anything_is_sent(connect: Connect, number: int) -> None:
    client = await connect()
    commands = client.counters.commands
    with pytest.raises(NeedsOwnConnection):
        await REFUSED[number](client)
    assert client.counters.commands == commands


@pytest.mark.parametrize("method", ["pipeline", "pubsub", "monitor", "client", "keyspace_notifications"])
async def test_objects_that_hold_a_connection_are_refused_when_asked_for(connect: Connect, method: str) -> None:
    client = await connect()
    with pytest.raises(NeedsOwnConnection):
        getattr(client, method)()


@pytest.mark.parametrize("side_connections", [0, 1])
@pytest.mark.parametrize("words", ALWAYS_REFUSED)
async def test_what_changes_the_connections_state_is_refused(
    connect: Connect, words: str, side_connections: int
) -> None:
    """On a side connection, too: the next borrower would find it changed."""
    client = await connect(side_connections=side_connections)
    with pytest.raises(NeedsOwnConnection):
        await client.execute_command(*words.split())
    with pytest.raises(NeedsOwnConnection):
        await client.execute_command(words.lower())
    assert await client.ping()


async def test_reading_streams_without_block_is_allowed(connect: Connect) -> None:
    client = await connect()
    await client.xadd("BLOCK", {"f": "v"}, id="1-1")
    assert await client.execute_command("XREAD", "COUNT", 1, "STREAMS", "BLOCK", "0")
    await client.xgroup_create("BLOCK", "BLOCK", id="0")
    assert await client.execute_command("XREADGROUP", "GROUP", "BLOCK", "BLOCK", "STREAMS", "BLOCK", ">")


async def test_a_side_connection_serves_blocking_commands_while_others_go_on(connect: Connect) -> None:
    client = await connect(side_connections=1)
    blocked = asyncio.ensure_future(client.blpop(["list"], timeout=4))
    for _ in range(50):
        await client.ping()
    await client.rpush("list", "item")
    assert tuple(await blocked) == (b"list", b"item")


async def test_side_connections_serve_transactions_and_pub_sub(connect: Connect) -> None:
    client = await connect(side_connections=2)
    async with client.pipeline(transaction=True) as pipe:
        assert await pipe.set("k", 1).incr("k").execute() == [True, 2]
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("channel")
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
        await client.publish("channel", "hello")
        assert (await pubsub.get_message(timeout=5))["data"] == b"hello"

    async def double(pipe: Any) -> None:
        value = int(await pipe.get("k"))
        pipe.multi()
        pipe.set("k", value * 2)

    assert await client.transaction(double, "k") == [True]
    assert await client.get("k") == b"4"


async def test_side_connections_are_never_more_than_allowed(connect: Connect, redis_url: str) -> None:
    client = await connect(side_connections=2, connect_s=0.3, client_name="mine")
    blocked = [asyncio.ensure_future(client.blpop(["list"], timeout=4)) for _ in range(5)]
    refused = asyncio.as_completed(blocked, timeout=10)
    for _, call in zip(range(3), refused, strict=False):
        with pytest.raises(Overloaded):
            await call
    done = {task for task in blocked if task.done()}
    assert len(done) == 3
    with redis.Redis.from_url(redis_url) as plain:
        assert sum(found["name"] == "mine" for found in plain.client_list()) == 3
    await client.rpush("list", 1, 2)
    assert len(await asyncio.gather(*(task for task in blocked if task not in done))) == 2


async def test_close_closes_the_side_connections(connect: Connect, redis_url: str) -> None:
    client = await connect(side_connections=1, client_name="mine")
    blocked = asyncio.ensure_future(client.blpop(["list"], timeout=0))
    await asyncio.sleep(0.1)
    blocked.cancel()
    await asyncio.gather(blocked, return_exceptions=True)
    await client.aclose()
    with redis.Redis.from_url(redis_url) as plain:
        assert not [found for found in plain.client_list() if found["name"] == "mine"]
    with pytest.raises(NotSent):
        await client.get("k")

"""The same calls on plain redis-py and on MultiplexedRedis: equal results, equal exceptions.

Each case is an async function that returns what a user would see, errors included. `make conformance` runs redis-py's
own tests of every command; here is what those do not ask.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from lab.azure.redis_server import RedisServer
from services.redis_session.multiplexed_redis import MultiplexedRedis

Case = Callable[[Any], Awaitable[list[Any]]]
CASES: list[Case] = []


def case(function: Case) -> Case:
    """Register a case; its name is the test's id."""
    CASES.append(function)
    return function


async def seen(call: Awaitable[Any]) -> Any:
    """The result of a call, or its exception's class and words."""
    try:
        return comparable(await call)
    except Exception as error:  # noqa: BLE001 - the exception is the result
        return comparable(error)


def comparable(result: Any) -> Any:
    """Exceptions within a result compare by identity: put their class and words in their place."""
    if isinstance(result, Exception):
        return type(result), str(result)
    return [comparable(item) for item in result] if isinstance(result, list) else result


async def all_seen(*calls: Awaitable[Any]) -> list[Any]:
    """As `seen`, one after the other."""
    return [await seen(call) for call in calls]


@case
async def scripts(r: Any) -> list[Any]:
    echo = r.register_script("return {KEYS[1], ARGV[1], 1, false, {ok='fine'}}")
    fails = r.register_script("return redis.error_reply('MINE no')")
    nested = r.register_script("return {1, redis.error_reply('ERR inner')}")
    first = r.register_script("return {redis.error_reply('LOADING inner'), 1}")
    return await all_seen(
        echo(keys=["k"], args=["v"]), echo(keys=["k"], args=[2]), fails(), r.eval("return 1.9", 0),
        r.evalsha("0" * 40, 0), r.script_exists(echo.sha, "0" * 40), r.script_flush(),
        echo(keys=["k"], args=["again"]), r.eval("return #KEYS", 2, "a", "b"),
        r.eval("return redis.call('lpush', KEYS[1], 1)", 1, "l"), r.eval("return redis.call('get', KEYS[1])", 1, "l"),
        nested(), first(), r.eval("return nil", 0), r.eval("return redis.sha1hex('')", 0), r.eval_ro("return 1", 0),
        r.eval("syntax error", 0),
    )  # fmt: skip


@case
async def errors(r: Any) -> list[Any]:
    class Colour(enum.IntEnum):
        RED = 1

    await r.set("k", "text")
    return await all_seen(
        r.lpush("k", 1), r.incr("k"), r.execute_command("NOSUCH", 1), r.execute_command("GET"), r.set("k", None),
        r.set("k", True), r.set("k", [1]), r.set("k", object()), r.set("k", Colour.RED), r.get("k"),
        r.set("k", "\ud800"), r.expire("k", "soon"), r.config_set("maxmemory", "lots"), r.restore("k2", 0, b"junk"),
        r.get("k"), r.set("k", "new", get=True), r.mget([]),
    )  # fmt: skip


@case
async def what_cannot_be_decoded(r: Any) -> list[Any]:
    await r.set("k", b"\xff\xfe")
    return [await seen(r.get("k")), await seen(r.dump("none")), await seen(r.exists("k")), type(await r.dump("k"))]


@case
async def argument_types(r: Any) -> list[Any]:
    values = [
        b"b",
        bytearray(b"ba"),
        memoryview(b"mv"),
        memoryview(b"abcdef")[2:4],
        1,
        -1,
        10**30,
        1.5,
        1e300,
        float("inf"),
        "",
        "é",
    ]
    results = [[await seen(r.set("k", value)), await seen(r.get("k"))] for value in values]
    many = [str(i) * 50 for i in range(2000)]
    return [
        *results,
        await r.rpush("l", *many),
        await r.lrange("l", 0, -1) == await r.lrange("l", 0, -1),
        await r.llen("l"),
    ]


@case
async def raw_commands(r: Any) -> list[Any]:
    return await all_seen(
        r.execute_command("set", "k", 1), r.execute_command(b"GET", "k"),
        r.execute_command("config get", "maxclients"), r.execute_command("CONFIG", "GET", "maxclients"),
        r.execute_command("hgetall", "none"), r.execute_command("Ping"), r.ping(), r.echo("hi"),
        r.config_get("maxclients"), r.client_getname(), r.command_count(), r.acl_whoami(), r.function_list(),
        r.lastsave(), r.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 1), r.client_setname("me"), r.client_getname(),
    )  # fmt: skip


@case
async def large_values(r: Any) -> list[Any]:
    big, text = b"\r\n$5" * 1_000_000, "ü" * 200_000
    return await all_seen(
        r.set("big", big), r.get("big"), r.set("text", text), r.strlen("text"),
        r.mset({"a": big, "b": 1, "c": bytearray(big)}), r.mget("a", "b", "c"), r.set("edge", "x" * 65_536),
        r.strlen("edge"), r.set("edge", "x" * 65_500), r.get("edge"),
    )  # fmt: skip


@case
async def pipelines(r: Any) -> list[Any]:
    script = r.register_script("return ARGV[1]")
    results: list[Any] = []
    async with r.pipeline(transaction=False) as pipe:
        results.append(await pipe.execute())
        pipe.set("k", 1).incr("k").hgetall("none").mget([]).zadd("z", {"a": 1}).zrange("z", 0, -1, withscores=True)
        results += [len(pipe), await pipe.execute(), len(pipe)]
        pipe.get("k").lpush("k", 1).get("k")
        results.append(await seen(pipe.execute()))
        pipe.get("k").lpush("k", 1).get("k")
        results.append(comparable(await pipe.execute(raise_on_error=False)))
        await script(args=["x"], client=pipe)
        results += [await pipe.execute(), await r.script_flush()]
        await script(args=["y"], client=pipe)
        results.append(await pipe.execute())
        pipe.evalsha("0" * 40, 0)
        results.append(await seen(pipe.execute()))
        pipe.set("never", 1).set("never", None)
        results += [await seen(pipe.execute()), await r.get("never"), len(pipe)]
        pipe.dump("none").set("big", b"x" * 1_000_000).strlen("big")
        results.append(await pipe.execute())
    return results


@case
async def callbacks(r: Any) -> list[Any]:
    async def shouting(reply: Any, **options: Any) -> str:
        return f"{reply!r}!"

    r.set_response_callback("get", shouting)
    r.set_response_callback("STRLEN", lambda reply, **options: 1 // 0)
    return await all_seen(r.set("k", "v"), r.get("k"), r.strlen("k"), r.get("k"), r.exists("k"))


@pytest.mark.parametrize("decode", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("protocol", [2, 3], ids=["resp2", "resp3"])
@pytest.mark.parametrize("calls", CASES, ids=lambda function: function.__name__)
async def test_a_call_gives_what_redis_py_gives(
    any_server: RedisServer, calls: Case, protocol: int, decode: bool
) -> None:
    options: dict[str, Any] = {"protocol": protocol, "decode_responses": decode}
    async with Redis.from_url(any_server.url, single_connection_client=True, **options) as plain:
        await plain.flushall()
        expected = await calls(plain)
        await plain.flushall()
    async with MultiplexedRedis.from_url(any_server.url, **options) as ours:
        got = await calls(ours)
        assert got == expected
        assert ours.connected

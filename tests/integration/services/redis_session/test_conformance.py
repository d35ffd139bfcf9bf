"""The same calls on plain redis-py and on MultiplexedRedis: equal results, equal exceptions.

Each case is an async function that returns what a user would see, errors included.
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
async def strings(r: Any) -> list[Any]:
    return await all_seen(
        r.set("k", "vä"), r.get("k"), r.set("k", b"\x00\r\n$5", nx=True), r.getset("k", "7"), r.incrby("k", 5),
        r.incrbyfloat("k", 0.5), r.append("k", "x"), r.strlen("k"), r.getrange("k", 0, 1), r.setrange("k", 1, "zz"),
        r.mset({"a": 1, "b": 2.5}), r.mget("a", "b", "none"), r.mget([]), r.msetnx({"a": 3, "z": 4}), r.getdel("a"),
        r.set("k", "new", get=True), r.getex("k", ex=100), r.set("e", ""), r.get("e"), r.get("none"),
        r.exists("k", "e"), r.set("t", "v", ex=100), r.lcs("k", "t"), r.substr("k", 0, 2),
    )  # fmt: skip


@case
async def keys(r: Any) -> list[Any]:
    await r.mset({f"key{i}": i for i in range(30)})
    return await all_seen(
        r.expire("key1", 100), r.ttl("key1"), r.persist("key1"), r.ttl("key1"), r.pexpire("key2", 100_000, nx=True),
        r.ttl("none"), r.type("key1"), r.type("none"), r.rename("key1", "other"), r.renamenx("key2", "other"),
        r.delete("key3", "key4", "none"), r.unlink("key5"), r.touch("key6"), r.copy("key7", "copy"),
        r.object("encoding", "key8"), r.dbsize(), r.exists("key10"), r.exists("other"),
        r.expireat("key9", 4_000_000_000), r.expiretime("key9"), r.rename("none", "x"), r.object("refcount", "copy"),
    )  # fmt: skip


@case
async def hashes(r: Any) -> list[Any]:
    return await all_seen(
        r.hset("h", mapping={"f": 1, "g": "two"}), r.hget("h", "f"), r.hget("h", "none"), r.hgetall("h"),
        r.hgetall("none"), r.hmget("h", "f", "none"), r.hkeys("h"), r.hvals("h"), r.hlen("h"), r.hexists("h", "g"),
        r.hincrby("h", "f", 3), r.hincrbyfloat("h", "f", 0.5), r.hdel("h", "f"), r.hsetnx("h", "g", 1),
        r.hstrlen("h", "g"), r.hscan("h"), r.hrandfield("h", 1, True), r.hincrby("h", "g", 1),
    )  # fmt: skip


@case
async def lists(r: Any) -> list[Any]:
    return await all_seen(
        r.rpush("l", 1, 2, 3, "a"), r.lpush("l", 0), r.lrange("l", 0, -1), r.lindex("l", 1),
        r.linsert("l", "before", 2, "x"), r.lpop("l"), r.rpop("l", 2), r.llen("l"), r.lrem("l", 0, 2),
        r.lset("l", 0, "y"), r.lset("l", 99, "y"), r.ltrim("l", 0, 0), r.lmove("l", "m", "LEFT", "RIGHT"),
        r.rpoplpush("m", "l"), r.lpos("l", "y"), r.lpop("none"), r.lpop("none", 2), r.sort("l", alpha=True),
        r.lmpop(1, "l", direction="LEFT"), r.rpushx("none", 1),
    )  # fmt: skip


@case
async def sets(r: Any) -> list[Any]:
    return await all_seen(
        r.sadd("s", 1, 2, 3), r.sadd("t", 3, 4), r.smembers("s"), r.sismember("s", 1), r.smismember("s", [1, 9]),
        r.scard("s"), r.sinter("s", "t"), r.sunion("s", "t"), r.sdiff("s", "t"), r.sinterstore("u", "s", "t"),
        r.smove("s", "t", 1), r.srem("s", 9), r.sintercard(2, ["s", "t"]), r.smembers("none"), r.spop("u"),
        r.srandmember("none"), r.sscan("s"),
    )  # fmt: skip


@case
async def sorted_sets(r: Any) -> list[Any]:
    return await all_seen(
        r.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}), r.zadd("z", {"a": 3}, xx=True, ch=True),
        r.zadd("z", {"a": 1}, incr=True), r.zrange("z", 0, -1, withscores=True), r.zrange("z", 0, -1),
        r.zrevrange("z", 0, 0, withscores=True), r.zscore("z", "b"), r.zscore("z", "none"),
        r.zmscore("z", ["a", "none"]), r.zrank("z", "b"), r.zrank("z", "b", withscore=True), r.zincrby("z", 2, "a"),
        r.zcount("z", "-inf", 5), r.zpopmin("z"), r.zpopmax("z", 1), r.zcard("z"),
        r.zrangebyscore("z", 0, 9, withscores=True), r.zadd("y", {"a": 1}), r.zunion(["z", "y"], withscores=True),
        r.zinterstore("x", ["z", "y"]), r.zrandmember("none"), r.zremrangebyscore("z", 0, 99), r.zscan("y"),
        r.zmpop(1, ["y"], min=True), r.zdiff(["z", "y"]), r.zlexcount("y", "-", "+"),
    )  # fmt: skip


@case
async def streams(r: Any) -> list[Any]:
    return await all_seen(
        r.xadd("x", {"f": 1}, id="1-1"), r.xadd("x", {"f": 2, "g": "x"}, id="1-2"), r.xadd("x", {"f": 2}, id="1-1"),
        r.xlen("x"), r.xrange("x"), r.xrevrange("x", count=1), r.xread({"x": "0"}), r.xread({"x": "9"}),
        r.xgroup_create("x", "block", id="0"), r.xreadgroup("block", "block", {"x": ">"}, count=1),
        r.xpending("x", "block"), r.xack("x", "block", "1-1"), r.xinfo_stream("x"), r.xinfo_groups("x"),
        r.xautoclaim("x", "block", "c2", 0), r.xtrim("x", 1), r.xdel("x", "1-2"), r.xgroup_destroy("x", "block"),
        r.xreadgroup("none", "c", {"x": ">"}),
    )  # fmt: skip


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
async def scans(r: Any) -> list[Any]:
    await r.mset({f"k{i}": i for i in range(300)})
    await r.hset("h", mapping={f"f{i}": i for i in range(300)})
    await r.sadd("s", *range(300))
    await r.zadd("z", {f"m{i}": i for i in range(300)})
    return [
        sorted([key async for key in r.scan_iter(match="k1*", count=50)]),
        sorted([pair async for pair in r.hscan_iter("h", count=20)]),
        sorted([member async for member in r.sscan_iter("s", count=20)]),
        sorted([pair async for pair in r.zscan_iter("z", count=20)]),
    ]


@case
async def bits_geo_and_hyperloglog(r: Any) -> list[Any]:
    return await all_seen(
        r.setbit("b", 7, 1), r.getbit("b", 7), r.bitcount("b"), r.bitop("NOT", "c", "b"), r.bitpos("b", 1),
        r.bitfield("b").set("u8", 0, 200).get("u8", 0).execute(),
        r.geoadd("g", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")),
        r.geodist("g", "Palermo", "Catania", "km"), r.geohash("g", "Palermo"), r.geopos("g", "Palermo", "none"),
        r.geosearch("g", longitude=15, latitude=37, radius=200, unit="km", withdist=True, withcoord=True, sort="ASC"),
        r.pfadd("p", "a", "b"), r.pfcount("p"), r.pfmerge("q", "p"), r.pfcount("p", "q"),
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
        r.get("k"),
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


@case
async def locks(r: Any) -> list[Any]:
    lock, rival = r.lock("lock", timeout=10), r.lock("lock", timeout=10, blocking=False)
    results = [await lock.acquire(), await rival.acquire(), await lock.owned(), await lock.extend(5)]
    return [*results, await seen(lock.release()), await rival.acquire(), await seen(rival.release())]


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

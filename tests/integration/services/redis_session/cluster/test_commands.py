"""One connection per primary, and every command at the right one."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisClusterException, ResponseError

from lab.azure.redis_cluster import RedisCluster, admin
from services.redis_session import NeedsOwnConnection
from services.redis_session.cluster_client import ClusterRedis
from tests.integration.services.redis_session.cluster.conftest import Session, calls_of, clients_of


async def _bare(name: str, client: Any) -> Any:
    return await client.execute_command(name)


@pytest.mark.parametrize("entrance", [0, 1, 2])
async def test_one_address_of_any_node_is_enough_and_each_primary_gets_one_connection(
    cluster: RedisCluster, session: Session, entrance: int
) -> None:
    redis = session(cluster.nodes[entrance].url)

    async def many(client: Any) -> None:
        await asyncio.gather(*(client.set(f"key{n}", n) for n in range(300)))
        assert [int(value) for value in await asyncio.gather(*(client.get(f"key{n}") for n in range(300)))] == [
            *range(300)
        ]

    await redis.run(many, idempotent=True, within_s=10)
    assert [clients_of(node) for node in cluster.nodes] == [1, 1, 1]
    assert redis.primaries == 3
    assert all(calls_of(node, "set") > 0 for node in cluster.nodes)


async def test_a_unix_socket_of_one_node_leads_to_all(tmp_path: Path, session: Session) -> None:
    with RedisCluster(3, each=lambda number: {"unixsocket": str(tmp_path / f"{number}.sock")}) as cluster:
        redis = session(f"unix://{tmp_path}/0.sock")
        await redis.run(lambda client: client.ping(), idempotent=True, within_s=5)
        assert [clients_of(node) for node in cluster.nodes] == [1, 1, 1]


async def test_a_primary_is_connected_to_when_first_used(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    await redis.run(lambda client: client.set("{a}", 1), idempotent=True, within_s=5)  # slot 15495
    assert [clients_of(node) for node in cluster.nodes] == [0, 0, 1]


async def test_a_library_that_initializes_its_client_opens_no_connection(
    cluster: RedisCluster, session: Session
) -> None:
    redis = session(cluster.url)
    await redis.run(lambda client: client.initialize(), idempotent=True, within_s=5)
    assert [clients_of(node) for node in cluster.nodes] == [0, 0, 0]


async def test_keys_of_several_slots_raise_and_nothing_is_sent(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    script = "return redis.call('SET', KEYS[1], 1)"
    with pytest.raises(RedisClusterException, match=r"MGET.*'a' in 15495, 'b' in 3300"):
        await redis.run(lambda client: client.mget("a", "b"), idempotent=True, within_s=5)
    with pytest.raises(RedisClusterException, match="EVAL"):
        await redis.run(lambda client: client.eval(script, 2, "a", "b"), idempotent=True, within_s=5)
    assert [calls_of(node, "mget") + calls_of(node, "eval") for node in cluster.nodes] == [0, 0, 0]


async def test_keys_with_one_hash_tag_go_together(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    await redis.run(lambda client: client.mset({"{t}:a": 1, "{t}:b": 2}), idempotent=True, within_s=5)
    assert await redis.run(lambda client: client.mget("{t}:a", "{t}:b"), idempotent=True, within_s=5) == [b"1", b"2"]


async def test_what_is_about_all_nodes_asks_every_primary(cluster: RedisCluster, session: Session) -> None:
    async def all_nodes(client: Any) -> None:
        keys = {f"key{n}".encode() for n in range(200)}
        await asyncio.gather(*(client.set(key, 1) for key in keys))
        assert await client.dbsize() == 200
        assert {key async for key in client.scan_iter(count=10)} == keys
        assert set(await client.keys("key*")) == keys
        assert await client.ping() is True
        sha = await client.script_load("return 1")
        assert await client.script_exists(sha, "0" * 40) == [True, False]
        assert await asyncio.gather(*(client.evalsha(sha, 1, key) for key in keys)) == [1] * 200
        assert await client.script_flush() is True
        assert await client.script_exists(sha) == [False]
        assert await client.flushall() is True
        assert await client.dbsize() == 0
        assert (await client.info("cluster"))["cluster_enabled"] == 1

    await session(cluster.url).run(all_nodes, idempotent=True, within_s=10)


async def test_scan_alone_is_refused_by_its_name(cluster: RedisCluster, session: Session) -> None:
    with pytest.raises(RedisClusterException, match="scan_iter"):
        await session(cluster.url).run(lambda client: client.scan(), idempotent=True, within_s=5)


async def test_an_error_reply_is_its_callers_alone(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    await redis.run(lambda client: client.set("text", "x"), idempotent=True, within_s=5)
    with pytest.raises(ResponseError, match="not an integer"):
        await redis.run(lambda client: client.incr("text"), idempotent=True, within_s=5)
    with pytest.raises(ResponseError, match="wrong number of arguments"):
        await redis.run(partial(_bare, "GET"), idempotent=True, within_s=5)
    assert redis.counters.recreates == 0


@pytest.mark.parametrize("protocol", ["2", "3"])
@pytest.mark.parametrize("decode", [False, True])
async def test_either_protocol_decoded_or_not(
    cluster: RedisCluster, session: Session, protocol: str, decode: bool
) -> None:
    """Found by HELLO before the first command, under RESP2 too."""
    redis = session(f"{cluster.url}?protocol={protocol}{'&decode_responses=1' if decode else ''}")
    assert isinstance(await redis.healthy_client(), ClusterRedis)
    await redis.run(
        lambda client: asyncio.gather(*(client.set(f"key{n}", n) for n in range(50))), idempotent=True, within_s=5
    )
    assert await redis.run(lambda client: client.get("key7"), idempotent=True, within_s=5) == ("7" if decode else b"7")
    assert redis.primaries == 3
    assert sum(clients_of(node) for node in cluster.nodes) <= 3


async def test_a_user_without_a_right_to_hello_reaches_every_node(cluster: RedisCluster, session: Session) -> None:
    """Under RESP2. A server may answer HELLO all the same; for one that does not see test_what_a_node_says.py."""
    for node in cluster.nodes:
        with admin(node) as client:
            client.execute_command("ACL", "SETUSER", "plain", "on", "nopass", "~*", "+@all", "-hello")
    redis = session(f"redis://plain:any@127.0.0.1:{cluster.nodes[0].port}?protocol=2")
    assert await redis.run(lambda client: client.incr("{a}"), idempotent=False, within_s=5) == 1
    assert calls_of(cluster.nodes[2], "incrby") == 1


async def test_a_response_callback_counts_on_every_node(cluster: RedisCluster, session: Session) -> None:
    client: Any = await session(cluster.url).healthy_client()
    client.set_response_callback("GET", lambda _: "by the callback")
    keys = ["{a}", "{b}", "{c}"]  # one of each primary
    for key in keys:
        await client.set(key, "text")
    assert [await client.get(key) for key in keys] == ["by the callback"] * 3


async def test_results_of_a_pipeline_keep_the_order_of_its_commands(cluster: RedisCluster, session: Session) -> None:
    async def batch(client: Any) -> Any:
        pipeline = client.pipeline(transaction=False)
        for n in range(100):
            pipeline.set(f"key{n}", n)
            pipeline.incr(f"key{n}")
        return await pipeline.execute()

    results = await session(cluster.url).run(batch, idempotent=True, within_s=5)
    assert results == [value for n in range(100) for value in (True, n + 1)]


async def test_a_pipeline_is_one_write_to_each_node(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    client: Any = await redis.healthy_client()
    await client.ping()
    before = client.counters.batches
    pipeline = client.pipeline(transaction=False)
    for n in range(90):
        pipeline.set(f"key{n}", n)
    await pipeline.execute()
    assert client.counters.batches - before == 3


async def test_what_may_block_and_does_not_is_a_command_of_a_pipeline_like_any_other(
    cluster: RedisCluster, session: Session
) -> None:
    redis = session(cluster.url)

    async def read_first(client: Any) -> Any:
        await client.xadd("{a}stream", {"f": "v"})
        return await client.pipeline(transaction=False).xread({"{a}stream": 0}).incr("{a}n").incr("{b}n").execute()

    stream, *counts = await redis.run(read_first, idempotent=False, within_s=5)
    assert (len(stream), counts) == (1, [1, 1])


async def test_an_error_inside_a_pipeline_is_at_its_place(cluster: RedisCluster, session: Session) -> None:
    client: Any = await session(cluster.url).healthy_client()
    pipeline = client.pipeline(transaction=False)
    pipeline.set("a", "x").incr("a").set("b", 1)
    first, second, third = await pipeline.execute(raise_on_error=False)
    assert (first, third) == (True, True)
    assert isinstance(second, ResponseError)


async def test_a_pipeline_refuses_what_has_no_key(cluster: RedisCluster, session: Session) -> None:
    client: Any = await session(cluster.url).healthy_client()
    with pytest.raises(RedisClusterException, match="no key"):
        await client.pipeline(transaction=False).set("a", 1).dbsize().execute()
    assert await client.get("a") is None


async def test_blocking_commands_and_transactions_use_side_connections_if_allowed(
    cluster: RedisCluster, session: Session
) -> None:
    client: Any = await session(cluster.url).healthy_client()
    with pytest.raises(NeedsOwnConnection):
        await client.blpop(["a"], timeout=1)
    with pytest.raises(NeedsOwnConnection):
        client.pipeline()
    client = await session(cluster.url, connections=2).healthy_client()
    await client.rpush("a", "x")
    assert list(await client.blpop(["a"], timeout=1)) == [b"a", b"x"]
    assert await client.pipeline().set("{t}a", 1).incr("{t}a").execute() == [True, 2]
    assert await client.pipeline().execute() == []
    with pytest.raises(RedisClusterException, match="one slot"):
        await client.pipeline().set("a", 1).set("b", 1).execute()


async def test_a_transaction_that_begins_by_hand_is_one(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url, connections=2)

    async def by_hand(client: Any) -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.multi()
        await pipeline.incr("n").execute_command("NOSUCH", "n").execute()

    with pytest.raises(ResponseError, match="unknown command"):
        await redis.run(by_hand, idempotent=False, within_s=5)
    assert await redis.run(lambda client: client.get("n"), idempotent=True, within_s=5) is None


async def test_side_connections_are_bounded_for_the_whole_session(cluster: RedisCluster, session: Session) -> None:
    client: Any = await session(cluster.url, connections=2).healthy_client()
    tags = ["{a}", "{b}", "{c}", "{d}", "{e}", "{f}"]
    for tag in tags:
        await client.rpush(tag, "x")
    await asyncio.gather(*(client.blpop([tag], timeout=1) for tag in tags))
    assert sum(clients_of(node) for node in cluster.nodes) <= 3 + 1


async def test_another_server_that_is_not_a_cluster_changes_nothing(redis_url: str, session: Session) -> None:
    redis = session(redis_url)
    await redis.run(lambda client: client.mset({"a": 1, "b": 2}), idempotent=True, within_s=5)
    assert type(redis.open_client).__name__ == "MultiplexedRedis"
    assert redis.primaries == 1


async def test_a_scripts_own_error_is_its_callers(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    with pytest.raises(ResponseError, match="my own"):
        await redis.run(
            lambda client: client.eval("return redis.error_reply('ELSEWHERE my own')", 1, "a"),
            idempotent=True,
            within_s=5,
        )


async def test_the_nodes_connections_end_with_the_session(cluster: RedisCluster, session: Session) -> None:
    redis = session(cluster.url)
    await redis.ping(5)
    await redis.aclose()
    assert [clients_of(node) for node in cluster.nodes] == [0, 0, 0]

"""Side connections are as good as the shared one: fair, bounded, without a state that a next borrower would meet."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections import Counter
from typing import Any

import pytest
import redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import TimeoutError as RedisTimeoutError

from lab.azure.redis_server import RedisServer
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import MultiplexedRedis, NeedsOwnConnection, NotSent, RedisService
from tests.integration.services.conftest import Open, clients
from tests.integration.services.redis_session.conftest import Connect
from tests.waiting import until


async def test_one_side_connection_serves_its_borrowers_in_turn(connect: Connect) -> None:
    client = await connect(side_connections=1)
    done: Counter[int] = Counter()

    async def borrow(who: int) -> None:
        while sum(done.values()) < 400:
            await client.pipeline().incr("n").execute()
            done[who] += 1

    await asyncio.gather(*map(borrow, range(20)))
    assert len(done) == 20
    assert max(done.values()) - min(done.values()) <= 2


@pytest.mark.parametrize("fault", ["reset_all", "half_close_all"])
async def test_a_side_connection_that_ended_while_nobody_had_it_is_replaced(
    connect: Connect, proxy: TcpProxy, fault: str
) -> None:
    """Its next borrower would write to it, and nobody could tell whether that has run."""
    client = await connect(proxy.url, side_connections=1)
    assert await client.pipeline().incr("n").execute() == [1]
    getattr(proxy, fault)()
    await until(lambda: not client.connected)
    assert await client.pipeline().incr("n").execute() == [2]


async def test_a_blocking_command_may_wait_longer_than_redis_py_s_default_of_5_s(connect: Connect) -> None:
    client = await connect(side_connections=1)
    async with asyncio.timeout(60):
        assert await client.blpop("nothing", 5.2) is None
    assert client.connection_pool.lent == 0


async def test_a_client_or_monitor_cancelled_as_it_leaves_or_enters_gives_its_side_connection_back(
    connect: Connect, own_redis: RedisServer
) -> None:
    client = await connect(own_redis.url, side_connections=1)

    async def leave() -> None:
        async with client.client():
            asyncio.current_task().cancel()  # type: ignore[union-attr] # there is one

    async def enter() -> None:
        async with client.monitor():
            pass

    await asyncio.gather(asyncio.create_task(leave()), return_exceptions=True)
    assert client.connection_pool.lent == 0
    await client.pipeline().incr("n").execute()  # the next borrower finds it open
    own_redis.pause()
    entering = asyncio.create_task(enter())
    await until(lambda: client.connection_pool.lent_ones)
    entering.cancel()
    await asyncio.gather(entering, return_exceptions=True)
    own_redis.resume()
    assert client.connection_pool.lent == 0
    assert await client.pipeline().incr("n").execute() == [2]


async def test_what_begins_while_the_client_closes_is_not_sent(connect: Connect) -> None:
    client = await connect(side_connections=1)
    assert await client.pipeline().incr("n").execute() == [1]  # it is kept open for the next one
    closing = asyncio.create_task(client.aclose())
    late = asyncio.create_task(client.pipeline().incr("n").execute())
    with pytest.raises(NotSent):
        await late
    await closing


async def test_a_side_connection_that_nobody_greets_is_given_up(connect: Connect, own_redis: RedisServer) -> None:
    client = await connect(own_redis.url, side_connections=1, connect_s=0.3)
    own_redis.pause()
    async with asyncio.timeout(60):
        with pytest.raises(RedisTimeoutError, match="no side connection to Redis within"):
            await client.pipeline().incr("n").execute()
    own_redis.resume()
    assert await client.pipeline().incr("n").execute() == [1]


@pytest.mark.parametrize("where", ["pipeline", "client", "immediate"])
async def test_select_is_refused_wherever_it_is_sent(connect: Connect, where: str) -> None:
    client = await connect(side_connections=1)
    pipeline, single = client.pipeline(), client.client()

    async def select() -> Any:
        if where == "client":
            return await single.execute_command("SELECT", 1)
        if where == "immediate":
            await pipeline.watch("n")
            return await pipeline.immediate_execute_command("SELECT", 1)
        pipeline.execute_command("SELECT", 1)
        return await pipeline.execute()

    with pytest.raises(NeedsOwnConnection):
        await select()
    await pipeline.reset()
    await single.aclose()
    await client.pipeline().set("where", "0").execute()
    assert await client.get("where") == b"0"


async def test_a_refused_execute_leaves_an_empty_pipeline(connect: Connect) -> None:
    client = await connect()
    pipeline = client.pipeline(transaction=False)
    pipeline.incr("n")
    pipeline.execute_command("SELECT", 1)
    with pytest.raises(NeedsOwnConnection):
        await pipeline.execute()
    assert len(pipeline) == 0


async def test_a_closed_client_opens_no_side_connection_even_for_a_holder_of_one(own_redis: RedisServer) -> None:
    client = MultiplexedRedis.from_url(own_redis.url, side_connections=2)
    await client.connect()
    listening = client.pubsub()
    await listening.subscribe("news")
    await client.aclose()
    with pytest.raises(NotSent):
        await listening.get_message(timeout=0.1)
    with pytest.raises(NotSent):
        await client.blpop(["n"], timeout=1)
    assert clients(own_redis) == 0
    with pytest.raises(NotSent):
        await listening.subscribe("more")
    await listening.aclose()  # type: ignore[no-untyped-call] # redis-py's


async def test_side_connections_tell_the_server_their_library_as_redis_py_does(connect: Connect) -> None:
    client = await connect(side_connections=1, client_name="told")
    await client.blpop(["none"], timeout=0.01)
    ours = [one for one in await client.client_list() if one["name"] == "told"]
    if "lib-name" not in ours[0]:
        pytest.skip("Redis knows its clients' libraries from 7.2 on")
    libraries = {one["lib-name"] + one["lib-ver"] for one in ours}
    assert libraries == {"", f"redis-py{redis.__version__}"}


async def test_a_connect_hook_is_refused_rather_than_ignored() -> None:
    with pytest.raises(ValueError, match="redis_connect_func"):
        MultiplexedRedis(redis_connect_func=print)


async def test_sentinel_is_refused_rather_than_ignored() -> None:
    with pytest.raises(ValueError, match="Sentinel"):  # else it would connect to redis-py's default, localhost:6379
        Sentinel([("127.0.0.1", 1)]).master_for("orders", redis_class=MultiplexedRedis)  # type: ignore[no-untyped-call] # redis-py's


async def test_a_search_pipeline_without_side_connections_says_what_it_needs(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(NeedsOwnConnection, match="no side connections"):
        await client.ft("index").pipeline().execute_command("INCR", "n").execute()


async def test_a_search_pipeline_runs_on_a_side_connection(connect: Connect) -> None:
    client = await connect(side_connections=1)
    assert await client.ft("index").pipeline().execute_command("INCR", "n").execute() == [1]


async def test_a_json_pipeline_which_redis_py_cannot_await_says_what_to_use(connect: Connect) -> None:
    client = await connect(side_connections=1)
    with pytest.raises(NeedsOwnConnection, match=r"client\.pipeline\(\)\.json\(\)"):
        client.json().pipeline()


async def test_a_shutdown_says_that_it_shut_down(own_redis: RedisServer) -> None:
    client = MultiplexedRedis.from_url(own_redis.url)
    await client.connect()
    await client.shutdown(nosave=True)
    assert not client.connected
    await client.aclose()
    own_redis.kill()


async def test_an_exception_of_the_watchdog_closes_the_connection_and_says_so(connect: Connect) -> None:
    client = await connect(stall_s=0.5)
    stream = client.wire.stream
    stream._clocks.overdue = None
    assert await client.ping()
    await until(lambda: not client.connected)
    assert "its clocks failed" in client.closed_because


async def test_a_login_lost_on_a_side_connection_leaves_the_shared_one_alone(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url, connections=2)
    client: Any = await session.healthy_client()
    await client.pipeline().incr("n").execute()
    await client.config_set("requirepass", "new")
    for connection in list(client.connection_pool._available_connections):
        await connection.disconnect()

    async def change(client: Any) -> Any:
        return await client.pipeline().incr("n").execute()

    with pytest.raises(Exception, match=r"NOAUTH|side connection"):
        await session.run(change, idempotent=False, within_s=0.5)
    assert session.counters.recreates == 0
    assert await client.get("n") == b"1"
    await client.config_set("requirepass", "")


async def test_an_event_loop_per_call_leaves_no_connection_at_the_server(own_redis: RedisServer) -> None:
    session = RedisService(own_redis.url)

    def call() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(session.ping(5))
        loops.append(loop)

    loops: list[asyncio.AbstractEventLoop] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # what belongs to a loop that ended is never closed by it
        for _ in range(10):
            await asyncio.to_thread(call)
        assert clients(own_redis) <= 1
        await asyncio.to_thread(lambda: loops[-1].run_until_complete(session.aclose()))
        for loop in loops:
            loop.close()
        del loop
        loops.clear()
        gc.collect()

"""What the Redis session makes of what the server says."""

from __future__ import annotations

import asyncio

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from lab.azure.redis_server import RedisServer
from services.redis_session import NotSent, RedisUnavailable
from services.redis_session.redis_service import Clocks
from tests.integration.services.conftest import OneAttempt, Open, bump, recovered
from tests.waiting import until


async def test_a_server_that_became_a_replica_is_left_and_used_again_once_it_is_promoted(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url)
    script = "return redis.call('INCR', KEYS[1])"

    async def in_script(client: Redis) -> object:
        return await client.eval(script, 1, "n")

    await session.ping(2)
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        stats = int(admin.info("stats")["total_connections_received"])
        outcomes = await asyncio.gather(
            *(session.run(in_script, idempotent=False, within_s=1) for _ in range(100)), return_exceptions=True
        )
        assert all(isinstance(outcome, RedisUnavailable) for outcome in outcomes)
        reconnects = int(admin.info("stats")["total_connections_received"]) - stats
        assert 1 <= reconnects <= 40  # no storm: spaced across all callers
        admin.execute_command("REPLICAOF", "NO", "ONE")
    assert await session.run(in_script, idempotent=False, within_s=60, patient=True) == 1


async def test_the_readonly_reply_of_redis_6_inside_a_script_error_recreates(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url, randomness=OneAttempt())
    refusal = "-READONLY You can't write against a read only replica."
    said = f"ERR Error running script (call to f_d7): @user_script:1: @user_script: 1: {refusal}"

    async def recorded(client: Redis) -> object:
        return await client.eval("return redis.error_reply(ARGV[1])", 0, said)

    with pytest.raises(NotSent):
        await session.run(recorded, idempotent=False, within_s=10)
    assert session.counters.recreates >= 1


@pytest.mark.parametrize(
    "said",
    [
        "LOADING Valkey is loading the dataset in memory",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN Hash slot not served",
        "TRYAGAIN Multiple keys request during rehashing of slot",
    ],
)
async def test_a_server_that_cannot_serve_for_a_moment_is_waited_for_on_the_same_client(
    redis_url: str, open_session: Open, said: str
) -> None:
    session = open_session(redis_url)
    clients_used: set[int] = set()

    async def twice_busy(client: Redis) -> object:
        clients_used.add(id(client))
        script = "if redis.call('INCR', 'tries') < 3 then return redis.error_reply(ARGV[1]) end return 'served'"
        return await client.eval(script, 0, said)

    assert await session.run(twice_busy, idempotent=False, within_s=3) == b"served"
    assert (len(clients_used), session.counters.recreates) == (1, 0)


async def test_a_server_busy_with_a_script_counts_as_there_and_is_not_reconnected(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url, clocks=Clocks(idle_check_s=0, ping_s=1), randomness=OneAttempt())
    await session.ping(2)
    with redis.Redis.from_url(own_redis.url, socket_timeout=10) as admin:
        admin.config_set("busy-reply-threshold", 10)
        runaway = asyncio.create_task(asyncio.to_thread(admin.eval, "while true do end", 0))
        with redis.Redis.from_url(own_redis.url) as watcher:
            await until(lambda: _is_busy(watcher))
            with pytest.raises(NotSent, match="BUSY"):
                await session.run(bump, idempotent=False, within_s=10)
            watcher.script_kill()
        with pytest.raises(ResponseError):
            await runaway
    assert await session.run(bump, idempotent=False, within_s=60, patient=True) == 1
    assert session.counters.recreates == 0


def _is_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except ResponseError as error:
        return "BUSY" in str(error)
    return False


async def test_a_full_memory_is_reported_at_once_and_the_write_is_not_repeated(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url)
    tries = 0

    async def write(client: Redis) -> None:
        nonlocal tries
        tries += 1
        await client.set("k", "v")

    await session.ping(2)
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.config_set("maxmemory", 1)
        with pytest.raises(RedisUnavailable, match="OOM") as caught:
            await session.run(write, idempotent=True, within_s=5)
        assert not isinstance(caught.value, NotSent)
        assert (tries, session.counters.recreates) == (1, 0)


async def test_wrong_credentials_are_tried_once_more_and_then_reported_well_before_the_deadline(
    own_redis: RedisServer, open_session: Open
) -> None:
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.config_set("requirepass", "correct-horse")
        session = open_session(f"redis://:battery-staple@127.0.0.1:{own_redis.port}/0")
        async with asyncio.timeout(10):
            with pytest.raises(RedisUnavailable, match="credentials") as caught:
                await session.ping(20)
        assert not isinstance(caught.value, NotSent)
        admin.execute_command("AUTH", "correct-horse")
        admin.config_set("requirepass", "battery-staple")
        await recovered(session)


async def test_a_connection_that_lost_its_login_is_replaced_by_one_that_logs_in(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(f"redis://:correct-horse@127.0.0.1:{own_redis.port}/0")
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.config_set("requirepass", "correct-horse")
    await session.run(bump, idempotent=False, within_s=2)

    await (await session.healthy_client()).wire.stream.send(b"RESET\r\n")  # logs out
    assert await session.run(bump, idempotent=False, within_s=2) == 2
    assert session.counters.recreates == 1


async def test_an_error_reply_of_the_operation_reaches_its_caller_as_it_is(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url)

    async def wrong(client: Redis) -> object:
        await client.set("k", "text")
        return await client.incr("k")

    with pytest.raises(ResponseError, match="not an integer"):
        await session.run(wrong, idempotent=True, within_s=2)
    assert (session.counters.failures, session.counters.recreates) == (0, 0)

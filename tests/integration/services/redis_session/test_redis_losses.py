"""What the Redis session does about a connection that is lost, and what it says of a command in flight."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import warnings

import pytest
from redis.asyncio import Redis

from lab.azure.redis_server import RedisServer
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import NotSent, OutcomeUnknown, Overloaded, RedisUnavailable
from services.redis_session.redis_service import RedisService
from tests import ROOT
from tests.integration.services.conftest import OneAttempt, Open, bump, clients, recovered, slow, value
from tests.waiting import until


async def test_after_a_kill_and_restart_calls_work_again_and_no_connection_is_left_over(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url)
    await session.ping(2)
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        await session.ping(0.3)
    await asyncio.to_thread(own_redis.restart)
    await asyncio.gather(*(recovered(session) for _ in range(200)))
    gc.collect()
    assert clients(own_redis) == 1


async def test_a_paused_server_fails_callers_in_time_and_serves_them_when_it_resumes(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url)
    await session.ping(2)
    own_redis.pause()
    async with asyncio.timeout(2):  # a contract bound: the deadline is 0.3 s
        outcomes = await asyncio.gather(*(session.ping(0.3) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(outcome, RedisUnavailable) for outcome in outcomes)
    own_redis.resume()
    await asyncio.gather(*(recovered(session) for _ in range(50)))
    await until(lambda: clients(own_redis) == 1)


async def test_callers_waiting_at_a_replaced_client_move_to_the_new_one_and_leak_no_connection(
    proxy: TcpProxy, open_session: Open
) -> None:
    session = open_session(proxy.url)
    await session.ping(2)
    calls = [asyncio.create_task(session.run(bump, idempotent=True, within_s=5)) for _ in range(100)]
    await asyncio.sleep(0)
    proxy.reset_all()
    await asyncio.gather(*calls)
    await until(lambda: proxy.open_links == 1)


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_write_whose_reply_was_lost_may_have_run_and_is_repeated_only_if_idempotent(
    shared_redis: RedisServer, proxy: TcpProxy, open_session: Open, idempotent: bool
) -> None:
    session = open_session(proxy.url)
    await session.run(bump, idempotent=False, within_s=2)
    proxy.to_client.cut_after = 0
    with pytest.raises(OutcomeUnknown):
        await session.run(bump, idempotent=idempotent, within_s=0.5)
    proxy.heal()
    await recovered(session)
    assert value(shared_redis) == 2  # a repeat needs a connection, and none came about


async def test_an_idempotent_write_whose_reply_was_lost_is_repeated_until_it_is_confirmed(
    shared_redis: RedisServer, proxy: TcpProxy, open_session: Open
) -> None:
    session = open_session(proxy.url)
    await session.ping(2)

    async def lossy(client: Redis) -> int:
        proxy.to_client.cut_after = 0 if session.counters.connections_opened == 1 else None
        return await bump(client)

    call = asyncio.create_task(session.run(lossy, idempotent=True, within_s=60, patient=True))
    await until(lambda: session.counters.recreates == 1)
    proxy.heal()
    assert await call == 2
    assert value(shared_redis) == 2


async def test_a_command_that_found_no_connection_is_known_not_to_have_run_and_is_repeated(
    proxy: TcpProxy, open_session: Open
) -> None:
    """An operation that is not idempotent, too: the connection was lost while idle, so nothing was written."""
    session = open_session(proxy.url)
    await session.run(bump, idempotent=False, within_s=2)
    proxy.black_hole()
    proxy.reset_all()
    await until(lambda: session._client is not None and not session._client.connected)
    call = asyncio.create_task(session.run(bump, idempotent=False, within_s=60, patient=True))
    await until(lambda: session.counters.recreates == 1)
    proxy.heal()
    assert await call == 2


async def test_a_client_that_has_lost_its_connection_is_replaced(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url)
    seen: list[Redis] = []

    async def first_client_is_dead(client: Redis) -> None:
        seen.append(client)
        if client is seen[0]:
            await client.aclose()
        await client.ping()

    await session.run(first_client_is_dead, idempotent=False, within_s=2)
    assert (len(seen), session.counters.recreates) == (2, 1)


async def test_overload_is_never_repeated_and_replaces_nothing(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url)
    tries = 0

    async def overloaded(client: Redis) -> None:
        nonlocal tries
        tries += 1
        raise Overloaded("backlog full")

    with pytest.raises(Overloaded):
        await session.run(overloaded, idempotent=True, within_s=2)
    assert (tries, session.counters.recreates) == (1, 0)


async def test_after_an_attempt_that_may_have_run_a_later_one_that_did_not_does_not_hide_it(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url)
    outcomes = iter([OutcomeUnknown("cut"), Overloaded("backlog full")])

    async def failing(client: Redis) -> None:
        raise next(outcomes)

    with pytest.raises(OutcomeUnknown, match="backlog full"):
        await session.run(failing, idempotent=True, within_s=2)


async def test_a_deadline_while_the_reply_is_owed_leaves_the_outcome_unknown(
    redis_url: str, open_session: Open
) -> None:
    with pytest.raises(OutcomeUnknown):
        await open_session(redis_url).run(slow, idempotent=True, within_s=0.1)


async def test_a_wait_that_would_outlast_the_deadline_is_not_begun_and_the_last_refusal_is_told(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url, randomness=OneAttempt())

    async def loading(client: Redis) -> object:
        return await client.eval("return redis.error_reply('LOADING Redis is loading the dataset in memory')", 0)

    async with asyncio.timeout(20):
        with pytest.raises(NotSent, match="LOADING"):
            await session.run(loading, idempotent=False, within_s=4)


def test_another_event_loop_gets_a_client_of_its_own(redis_url: str) -> None:
    session = RedisService(redis_url)

    async def close() -> None:
        await session.ping(2)
        await session.aclose()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the first two loops end with their connection open
        asyncio.run(session.ping(2))
        assert asyncio.run(session.run(bump, idempotent=False, within_s=2)) == 1
        asyncio.run(close())
        gc.collect()
    assert (session.counters.connections_opened, session.counters.recreates) == (3, 0)


FORK = """
import asyncio, gc, os, sys
from services.redis_session.redis_service import Clocks, RedisService

session = RedisService(sys.argv[1])

async def in_child():
    await session.open_client.aclose()
    await session.aclose()
    await session.ping(2)
    gc.collect()
    await session.aclose()

async def main():
    await session.ping(2)
    child = os.fork()
    if not child:
        asyncio._set_running_loop(None)
        try:
            asyncio.run(in_child())
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        await asyncio.sleep(0.01)
    for _ in range(3):
        await session.ping(2)
    await session.aclose()
    print(os.waitstatus_to_exitcode(ended[1]), session.counters.connections_opened, session.counters.recreates)

asyncio.run(main())
"""


async def test_a_forked_child_reconnects_and_leaves_its_parents_connection_alone(redis_url: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", FORK, redis_url], cwd=ROOT, capture_output=True, text=True, timeout=20
    )
    assert (done.stdout.strip(), done.returncode) == ("0 1 0", 0), done.stderr

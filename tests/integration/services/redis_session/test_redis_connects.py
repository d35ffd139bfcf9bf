"""How the Redis session connects and proves itself: one attempt, one PING, for everybody who waits."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback

import pytest
import redis

from lab.azure.redis_server import RedisServer
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import NotSent, Overloaded, RedisNotConfigured, RedisUnavailable
from services.redis_session.redis_service import Clocks, RedisService
from tests.integration.services.conftest import Open, a_minute_passes, bump, recovered, slow
from tests.waiting import turns_of_the_loop, until


async def test_building_the_session_connects_nothing_and_the_first_use_connects_once(
    proxy: TcpProxy, open_session: Open
) -> None:
    session = open_session(proxy.url)
    assert proxy.accepted == 0
    await session.ping(2)
    await session.ping(2)
    assert (proxy.accepted, session.counters.connections_opened) == (1, 1)


async def test_a_slow_connect_outlives_callers_with_shorter_deadlines(proxy: TcpProxy, open_session: Open) -> None:
    """They fail, the next call works, exactly one connection was opened."""
    session = open_session(proxy.url)
    proxy.to_server.delay_s = 0.4
    for _ in range(3):
        with pytest.raises(NotSent):
            await session.run(bump, idempotent=False, within_s=0.05)
    assert await session.run(bump, idempotent=False, within_s=2) == 1
    assert (proxy.accepted, session.counters.connections_opened) == (1, 1)


async def test_cancelling_every_caller_does_not_cancel_the_connect(proxy: TcpProxy, open_session: Open) -> None:
    session = open_session(proxy.url)
    proxy.to_server.delay_s = 0.2
    callers = [asyncio.create_task(session.ping(2)) for _ in range(20)]
    await until(lambda: proxy.accepted == 1)
    for caller in callers:
        caller.cancel()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    await until(lambda: session.counters.connections_opened == 1)
    await session.ping(2)
    assert proxy.accepted == 1


async def test_a_thousand_callers_at_once_make_one_connect(proxy: TcpProxy, open_session: Open) -> None:
    session = open_session(proxy.url)
    results = await asyncio.gather(*(session.run(bump, idempotent=False, within_s=10) for _ in range(1000)))
    assert sorted(results) == list(range(1, 1001))
    assert (proxy.accepted, session.counters.in_flight) == (1, 0)


async def test_a_caller_never_waits_past_its_deadline_for_a_connect_that_hangs(
    proxy: TcpProxy, open_session: Open
) -> None:
    session = open_session(proxy.url)
    proxy.black_hole()
    async with asyncio.timeout(1):  # a contract bound: the deadline is 0.2 s
        with pytest.raises(NotSent):
            await session.ping(0.2)


async def test_a_connect_that_hangs_is_given_up_and_its_socket_closed(proxy: TcpProxy, open_session: Open) -> None:
    session = open_session(proxy.url, clocks=Clocks(connect_s=0.2))
    proxy.black_hole()
    with pytest.raises(NotSent, match="cannot connect"):
        await session.ping(0.5)
    proxy.heal()
    await recovered(session)
    await until(lambda: proxy.open_links == 1)


async def test_each_of_many_callers_gets_an_error_of_its_own(open_session: Open) -> None:
    """One error raised a thousand times would collect a thousand tracebacks."""
    session = open_session("redis://127.0.0.1:1/0")

    async def fail() -> NotSent:
        with pytest.raises(NotSent) as caught:
            await session.healthy_client()
        return caught.value

    errors = await asyncio.gather(*(fail() for _ in range(1000)))
    assert len({id(error) for error in errors}) == 1000
    assert max(len(traceback.extract_tb(error.__traceback__)) for error in errors) < 10


async def test_a_refused_connect_says_where_it_went_and_why(open_session: Open) -> None:
    with pytest.raises(NotSent, match=r"127\.0\.0\.1:1"):
        await open_session("redis://127.0.0.1:1/0").ping(0.5)


async def test_attempts_at_a_closed_port_are_spaced_across_callers(proxy: TcpProxy, open_session: Open) -> None:
    """200 callers for a second: with full jitter from 50 ms to 1 s, a dozen attempts at most, not thousands."""
    session = open_session(proxy.url)
    attempts = 0
    connect = session._connect

    async def counted() -> object:
        nonlocal attempts
        attempts += 1
        return await connect()

    session._connect = counted  # type: ignore[assignment, method-assign]  # counts, and does the same
    proxy.refuse()
    results = await asyncio.gather(*(session.ping(1) for _ in range(200)), return_exceptions=True)
    assert all(isinstance(result, NotSent) for result in results)
    assert 2 <= attempts <= 40


async def test_a_full_server_sees_few_attempts_and_is_used_again_when_there_is_room(open_session: Open) -> None:
    with RedisServer(appendonly=False, maxclients=4) as server, contextlib.ExitStack() as held:
        admin, *others = [held.enter_context(redis.Redis.from_url(server.url)) for _ in range(4)]
        for client in (admin, *others):
            client.ping()
        session = open_session(server.url)
        results = await asyncio.gather(*(session.ping(1.5) for _ in range(100)), return_exceptions=True)
        assert all(isinstance(result, NotSent) for result in results)
        assert 1 <= int(admin.info("stats")["rejected_connections"]) <= 5  # one every 0.5 to 1 s
        others[0].close()
        await session.run(bump, idempotent=True, within_s=10, patient=True)


async def test_while_replies_keep_coming_no_ping_is_sent(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url)
    for _ in range(20):
        await session.run(bump, idempotent=False, within_s=2)
    assert session.counters.pings == 0


async def test_a_thousand_callers_after_an_idle_time_share_one_ping(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url)
    await session.ping(2)
    a_minute_passes(session)
    await asyncio.gather(*(session.run(bump, idempotent=False, within_s=10) for _ in range(1000)))
    assert session.counters.pings == 1


async def test_an_idle_check_of_zero_pings_before_every_use(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url, clocks=Clocks(idle_check_s=0))
    for _ in range(5):
        await session.run(bump, idempotent=False, within_s=2)
    assert session.counters.pings == 4  # the first use has just connected


async def test_an_idle_connection_that_went_silent_is_found_by_the_ping_and_replaced(
    proxy: TcpProxy, open_session: Open
) -> None:
    session = open_session(proxy.url)
    await session.ping(2)
    proxy.black_hole()
    ping = asyncio.create_task(session.healthy_client())
    a_minute_passes(session)
    await asyncio.sleep(0)
    await until(lambda: session.counters.recreates == 1)
    proxy.heal()
    await asyncio.gather(ping, return_exceptions=True)  # its own new connection may still have met the silence
    await recovered(session)
    await until(lambda: proxy.open_links == 1)


@pytest.mark.parametrize("written", [True, False])
async def test_a_loop_that_was_held_up_does_not_take_a_healthy_connection_for_a_silent_one(
    redis_url: str, open_session: Open, written: bool
) -> None:
    """Somebody's code takes longer than `ping_s` before the PING leaves, or before its reply is read."""
    session = open_session(redis_url, clocks=Clocks(ping_s=0.2, idle_check_s=0))
    await session.ping(5)
    client = session.open_client
    assert client is not None
    use = asyncio.ensure_future(session.ping(5))
    while not (client.in_flight if written else client.backlog_calls):  # noqa: ASYNC110 - the very turn
        await asyncio.sleep(0)
    time.sleep(0.4)  # noqa: ASYNC251 - somebody's code
    await use
    assert session.open_client is client


async def test_a_ping_behind_a_slow_command_does_not_cost_that_command_its_connection(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url, clocks=Clocks(ping_s=0.05, stall_s=30, idle_check_s=0))

    await session.ping(30)
    blocked = asyncio.create_task(session.run(slow, idempotent=False, within_s=30))
    await until(lambda: session._client is not None and session._client.in_flight == 1)
    assert await session.run(bump, idempotent=False, within_s=30) == 1
    assert await blocked == 1
    assert session.counters.recreates == 0


async def test_a_caller_that_repeats_without_a_pause_does_not_stop_the_event_loop(
    own_redis: RedisServer, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins between the end of a failed attempt and the callback that takes the attempt away."""
    session = open_session(own_redis.url)
    await session.ping(5)
    await session.aclose()

    async def failed() -> NotSent:
        return NotSent("refused")

    async def repeat() -> None:
        for _ in range(50):
            with pytest.raises(RedisUnavailable):
                await session.healthy_client(patient=False)

    monkeypatch.setattr(session, "_connect", failed)
    session._start("connect", session._connect)
    assert await turns_of_the_loop(asyncio.create_task(repeat())) >= 50


async def test_nor_does_one_that_repeats_what_fails_at_once(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url)
    await session.ping(5)
    not_configured = open_session(None)

    async def full(client: object) -> None:
        raise Overloaded("the backlog is full")

    async def repeat(failing: RedisService, error: type[RedisUnavailable]) -> None:
        for _ in range(50):
            with pytest.raises(error):
                await failing.run(full, idempotent=False, within_s=5)

    assert await turns_of_the_loop(asyncio.create_task(repeat(session, Overloaded))) >= 50
    assert await turns_of_the_loop(asyncio.create_task(repeat(not_configured, RedisNotConfigured))) >= 50

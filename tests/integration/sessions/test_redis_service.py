"""The Redis session against a real server: one connection attempt and one PING for all, and what each outcome says."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from lab.redis_server import RedisServer
from services.errors import BadSetting, NotSent, OutcomeUnknown, Overloaded, RedisUnavailable
from services.redis_service import Clocks, Hooks, RedisService

from .conftest import Open, clients, until
from .wire import Wire

ROOT = Path(__file__).parents[3]


async def bump(client: Redis) -> int:
    return int(await client.incr("n"))


def value(server: RedisServer) -> int:
    with redis.Redis.from_url(server.url) as admin:
        return int(admin.get("n") or 0)  # type: ignore[arg-type]  # bytes, as asked for


# -- connecting --------------------------------------------------------------------------------------------------------
async def test_building_the_session_connects_nothing_and_the_first_use_connects_once(
    wire: Wire, open_session: Open
) -> None:
    session = open_session(wire.url)
    assert wire.accepted == 0
    await session.ping(2)
    await session.ping(2)
    assert (wire.accepted, session.counters.connections_opened) == (1, 1)


async def test_a_slow_connect_outlives_callers_with_shorter_deadlines(wire: Wire, open_session: Open) -> None:
    """They fail, the next call works, exactly one connection was opened."""
    session = open_session(wire.url)
    wire.delay_s = 0.4
    for _ in range(3):
        with pytest.raises(NotSent):
            await session.run(bump, idempotent=False, within_s=0.05)
    assert await session.run(bump, idempotent=False, within_s=2) == 1
    assert (wire.accepted, session.counters.connections_opened) == (1, 1)


async def test_cancelling_every_caller_does_not_cancel_the_connect(wire: Wire, open_session: Open) -> None:
    session = open_session(wire.url)
    wire.delay_s = 0.2
    callers = [asyncio.create_task(session.ping(2)) for _ in range(20)]
    await until(lambda: wire.accepted == 1)
    for caller in callers:
        caller.cancel()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    await until(lambda: session.counters.connections_opened == 1)
    await session.ping(2)
    assert wire.accepted == 1


async def test_a_thousand_callers_at_once_make_one_connect(wire: Wire, open_session: Open) -> None:
    session = open_session(wire.url)
    results = await asyncio.gather(*(session.run(bump, idempotent=False, within_s=10) for _ in range(1000)))
    assert sorted(results) == list(range(1, 1001))
    assert (wire.accepted, session.counters.in_flight) == (1, 0)


async def test_a_caller_never_waits_past_its_deadline_for_a_connect_that_hangs(wire: Wire, open_session: Open) -> None:
    session = open_session(wire.url)
    wire.mute = True
    async with asyncio.timeout(1):  # a contract bound: the deadline is 0.2 s
        with pytest.raises(NotSent):
            await session.ping(0.2)


async def test_a_connect_that_hangs_is_given_up_and_its_socket_closed(wire: Wire, open_session: Open) -> None:
    session = open_session(wire.url, clocks=Clocks(connect_s=0.2))
    wire.mute = True
    with pytest.raises(NotSent, match="not sent"):
        await session.ping(0.5)
    wire.mute = False
    await session.ping(3)
    await until(lambda: wire.open == 1)


async def test_each_of_many_callers_gets_an_error_of_its_own(open_session: Open) -> None:
    """One error raised a thousand times would collect a thousand tracebacks."""
    session = open_session("redis://127.0.0.1:1/0")

    async def fail() -> NotSent:
        with pytest.raises(NotSent) as caught:
            await session.client()
        return caught.value

    errors = await asyncio.gather(*(fail() for _ in range(1000)))
    assert len({id(error) for error in errors}) == 1000
    assert max(len(traceback.extract_tb(error.__traceback__)) for error in errors) < 10


async def test_a_refused_connect_says_where_it_went_and_why(open_session: Open) -> None:
    with pytest.raises(NotSent, match=r"127\.0\.0\.1:1"):
        await open_session("redis://127.0.0.1:1/0").ping(0.2)


async def test_attempts_at_a_closed_port_are_spaced_across_callers(wire: Wire, open_session: Open) -> None:
    """200 callers for a second: with full jitter from 50 ms to 1 s, a dozen attempts at most, not thousands."""
    session = open_session(wire.url)
    attempts = 0
    connect = session._connect

    async def counted() -> object:
        nonlocal attempts
        attempts += 1
        return await connect()

    session._connect = counted  # type: ignore[assignment, method-assign]  # counts, and does the same
    wire.refuse()
    results = await asyncio.gather(*(session.ping(1) for _ in range(200)), return_exceptions=True)
    assert all(isinstance(result, NotSent) for result in results)
    assert 2 <= attempts <= 40


async def test_a_full_server_sees_few_attempts_and_is_used_again_when_there_is_room(open_session: Open) -> None:
    with RedisServer(appendonly=False, maxclients=4) as server, contextlib.ExitStack() as held:
        admin = held.enter_context(redis.Redis.from_url(server.url))
        rejected = lambda: int(admin.info("stats")["rejected_connections"])  # noqa: E731 - read twice
        before = rejected()
        others = [held.enter_context(redis.Redis.from_url(server.url)) for _ in range(3)]
        for other in others:
            other.ping()
        session = open_session(server.url)
        results = await asyncio.gather(*(session.ping(1.5) for _ in range(100)), return_exceptions=True)
        assert all(isinstance(result, NotSent) for result in results)
        assert 1 <= rejected() - before <= 5  # one every 0.5 to 1 s
        others[0].close()
        await session.ping(3)


# -- idle --------------------------------------------------------------------------------------------------------------
async def test_while_replies_keep_coming_no_ping_is_sent(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url)
    for _ in range(20):
        await session.run(bump, idempotent=False, within_s=2)
    assert session.counters.pings == 0


async def test_a_thousand_callers_after_an_idle_time_share_one_ping(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url)
    await session.ping(2)
    session._proved_at -= 60  # a minute passes
    await asyncio.gather(*(session.run(bump, idempotent=False, within_s=10) for _ in range(1000)))
    assert session.counters.pings == 1


async def test_an_idle_check_of_zero_pings_before_every_use(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url, clocks=Clocks(idle_check_s=0))
    for _ in range(5):
        await session.run(bump, idempotent=False, within_s=2)
    assert session.counters.pings == 4  # the first use has just connected


async def test_an_idle_connection_that_went_silent_is_found_by_the_ping_and_replaced(
    wire: Wire, open_session: Open
) -> None:
    session = open_session(wire.url)
    await session.ping(2)
    wire.mute = True
    ping = asyncio.create_task(session.client())
    session._proved_at -= 60
    await asyncio.sleep(0)
    await until(lambda: session.counters.recreates == 1)
    wire.mute = False
    await ping
    await session.ping(3)
    await until(lambda: wire.open == 1)


async def test_a_ping_behind_a_slow_command_does_not_cost_that_command_its_connection(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url, clocks=Clocks(ping_s=0.05, stall_s=2, idle_check_s=0))

    async def slow(client: Redis) -> object:
        return await client.blpop(["nothing"], 0.4)

    await session.ping(2)
    blocked = asyncio.create_task(session.run(slow, idempotent=False, within_s=3))
    await until(lambda: bool(session._owed))
    assert await session.run(bump, idempotent=False, within_s=3) == 1
    assert await blocked is None
    assert session.counters.recreates == 0


async def test_silence_longer_than_the_stall_clock_ends_a_connection_however_many_still_call(
    wire: Wire, open_session: Open
) -> None:
    session = open_session(wire.url, clocks=Clocks(ping_s=0.05, stall_s=0.4, connect_s=0.5, idle_check_s=0))
    await session.ping(2)
    wire.mute = True

    async def keep_calling() -> None:
        while True:
            with contextlib.suppress(RedisUnavailable):
                await session.ping(0.2)

    callers = [asyncio.create_task(keep_calling()) for _ in range(5)]
    await until(lambda: session.counters.recreates >= 1)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


# -- loss --------------------------------------------------------------------------------------------------------------
async def test_after_a_kill_and_restart_calls_work_again_and_no_connection_is_left_over(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url)
    await session.ping(2)
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        await session.ping(0.3)
    await asyncio.to_thread(own_redis.restart)
    await asyncio.gather(*(session.ping(3) for _ in range(200)))  # the recovery bound of the design
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
    await asyncio.gather(*(session.ping(3) for _ in range(50)))
    await until(lambda: clients(own_redis) == 1)


async def test_callers_waiting_at_a_replaced_client_move_to_the_new_one_and_leak_no_connection(
    wire: Wire, open_session: Open
) -> None:
    session = open_session(wire.url)
    await session.ping(2)
    calls = [asyncio.create_task(session.run(bump, idempotent=True, within_s=5)) for _ in range(100)]
    await asyncio.sleep(0)
    wire.cut()
    await asyncio.gather(*calls)
    await until(lambda: wire.open == 1)


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_write_whose_reply_was_lost_may_have_run_and_is_repeated_only_if_idempotent(
    shared_redis: RedisServer, wire: Wire, open_session: Open, idempotent: bool
) -> None:
    session = open_session(wire.url)
    await session.run(bump, idempotent=False, within_s=2)
    wire.lose_replies = True
    with pytest.raises(OutcomeUnknown):
        await session.run(bump, idempotent=idempotent, within_s=0.5)
    wire.lose_replies = False
    await session.ping(3)
    assert value(shared_redis) == 2  # a repeat needs a connection, and none came about


async def test_an_idempotent_write_whose_reply_was_lost_is_repeated_until_it_is_confirmed(
    shared_redis: RedisServer, wire: Wire, open_session: Open
) -> None:
    session = open_session(wire.url)
    await session.ping(2)

    async def lossy(client: Redis) -> int:
        wire.lose_replies = session.counters.connections_opened == 1
        return await bump(client)

    call = asyncio.create_task(session.run(lossy, idempotent=True, within_s=5))
    await until(lambda: session.counters.recreates == 1)
    wire.lose_replies = False
    assert await call == 2
    assert value(shared_redis) == 2


async def test_a_command_that_found_no_connection_is_known_not_to_have_run_and_is_repeated(
    wire: Wire, open_session: Open
) -> None:
    """An operation that is not idempotent, too: the connection was lost while idle, so nothing was written."""
    session = open_session(wire.url)
    await session.run(bump, idempotent=False, within_s=2)
    wire.cut()
    await until(lambda: wire.open == 0)
    assert await session.run(bump, idempotent=False, within_s=2) == 2


async def test_a_client_that_says_itself_that_it_is_of_no_use_is_replaced(redis_url: str, open_session: Open) -> None:
    """The lifecycle may not depend on redis-py's pool: a multiplexed client raises our errors."""
    session = open_session(redis_url)
    seen: list[Redis] = []

    async def first_client_is_dead(client: Redis) -> None:
        seen.append(client)
        if client is seen[0]:
            raise NotSent("this client has lost its connection")

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
    async def slow(client: Redis) -> object:
        return await client.blpop(["nothing"], 1)

    with pytest.raises(OutcomeUnknown):
        await open_session(redis_url).run(slow, idempotent=True, within_s=0.1)


async def test_a_deadline_during_the_wait_between_attempts_says_not_sent_and_why(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url)

    async def loading(client: Redis) -> object:
        return await client.eval("return redis.error_reply('LOADING not yet')", 0)

    with pytest.raises(NotSent, match="LOADING"):
        await session.run(loading, idempotent=False, within_s=0.3)


# -- what the server says ----------------------------------------------------------------------------------------------
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
    assert await session.run(in_script, idempotent=False, within_s=3) == 1


async def test_the_readonly_reply_of_redis_6_inside_a_script_error_recreates(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url)
    said = "ERR Error running script (call to f_d7): @user_script:1: @user_script: 1: -READONLY You can't write"

    async def recorded(client: Redis) -> object:
        return await client.eval("return redis.error_reply(ARGV[1])", 0, said)

    with pytest.raises(NotSent):
        await session.run(recorded, idempotent=False, within_s=0.3)
    assert session.counters.recreates >= 1


@pytest.mark.parametrize("code", ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"])
async def test_a_server_that_cannot_serve_for_a_moment_is_waited_for_on_the_same_client(
    redis_url: str, open_session: Open, code: str
) -> None:
    session = open_session(redis_url)
    clients_used: set[int] = set()

    async def twice_busy(client: Redis) -> object:
        clients_used.add(id(client))
        script = "if redis.call('INCR', 'tries') < 3 then return redis.error_reply(ARGV[1]) end return 'served'"
        return await client.eval(script, 0, f"{code} in a moment")

    assert await session.run(twice_busy, idempotent=False, within_s=3) == b"served"
    assert (len(clients_used), session.counters.recreates) == (1, 0)


async def test_a_server_busy_with_a_script_counts_as_there_and_is_not_reconnected(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url, clocks=Clocks(idle_check_s=0, ping_s=1))
    await session.ping(2)
    with redis.Redis.from_url(own_redis.url, socket_timeout=10) as admin:
        admin.config_set("busy-reply-threshold", 10)
        runaway = asyncio.create_task(asyncio.to_thread(admin.eval, "while true do end", 0))
        with redis.Redis.from_url(own_redis.url) as watcher:
            await until(lambda: _is_busy(watcher))
            with pytest.raises(NotSent, match="BUSY"):
                await session.run(bump, idempotent=False, within_s=0.5)
            watcher.script_kill()
        with pytest.raises(ResponseError):
            await runaway
    assert await session.run(bump, idempotent=False, within_s=2) == 1
    assert session.counters.recreates == 0


def _is_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except ResponseError as error:
        return "BUSY" in str(error)
    return False


async def test_a_full_memory_is_said_at_once_and_the_write_is_not_repeated(
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


async def test_wrong_credentials_are_tried_once_more_and_then_said_well_before_the_deadline(
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
        await session.ping(3)


async def test_a_connection_that_lost_its_login_is_replaced_by_one_that_logs_in(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(f"redis://:correct-horse@127.0.0.1:{own_redis.port}/0")
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.config_set("requirepass", "correct-horse")
    await session.run(bump, idempotent=False, within_s=2)

    async def log_out(client: Redis) -> object:
        return await client.execute_command("RESET")

    await session.run(log_out, idempotent=False, within_s=2)
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


# -- callers and hooks -------------------------------------------------------------------------------------------------
async def test_a_time_out_of_the_operations_own_is_not_taken_for_the_deadline(
    redis_url: str, open_session: Open
) -> None:
    async def impatient(client: Redis) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await open_session(redis_url).run(impatient, idempotent=True, within_s=2)


async def test_a_cancelled_call_is_cancelled_and_forgotten(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url)

    async def slow(client: Redis) -> object:
        return await client.blpop(["nothing"], 5)

    call = asyncio.create_task(session.run(slow, idempotent=True, within_s=10))
    await until(lambda: bool(session._owed))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (session.counters.in_flight, len(session._owed)) == (0, 0)
    await session.ping(2)


async def test_hooks_hear_of_connects_recreates_and_failures_and_may_raise(
    own_redis: RedisServer, open_session: Open
) -> None:
    heard: list[str] = []

    def say(what: str) -> None:
        heard.append(what)
        raise RuntimeError("a hook in trouble")

    hooks = Hooks(
        on_connect=lambda: say("connect"),
        on_recreate=lambda reason: say("recreate"),
        on_unavailable=lambda error: say(type(error).__name__),
    )
    session = open_session(own_redis.url, hooks=hooks)
    await session.ping(2)
    own_redis.kill()
    with pytest.raises(RedisUnavailable) as caught:
        await session.ping(0.2)
    assert heard == ["connect", "recreate", type(caught.value).__name__]


@pytest.mark.parametrize("mute", [False, True], ids=["connected", "connecting"])
async def test_closing_leaves_no_task_and_no_socket_and_a_later_call_opens_again(
    wire: Wire, open_session: Open, mute: bool
) -> None:
    session = open_session(wire.url)
    wire.mute = mute
    with contextlib.suppress(RedisUnavailable):
        await session.ping(0.1)
    await session.aclose()
    await until(lambda: wire.open == 0)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("redis ")]
    wire.mute = False
    await session.ping(2)


async def test_closing_while_a_caller_waits_for_the_connect_does_not_cancel_that_caller(
    wire: Wire, open_session: Open
) -> None:
    session = open_session(wire.url)
    wire.mute = True
    waiting = asyncio.create_task(session.client())
    await until(lambda: wire.accepted == 1)
    await session.aclose()
    with pytest.raises(NotSent, match="closed"):
        await waiting


@pytest.mark.parametrize("url", [None, "", "nonsense", "redis://:pa/ss@host:6379/0", "redis://h:port"])
async def test_an_unusable_address_is_a_bad_setting_and_never_shown(open_session: Open, url: str | None) -> None:
    session = open_session(url)
    with pytest.raises(BadSetting, match="REDIS_URL") as caught:
        await session.ping(1)
    assert "pa" not in str(caught.value)
    assert "host" not in repr(session)


async def test_no_password_in_a_text_a_log_or_a_repr_even_if_an_old_server_quotes_it(
    open_session: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def old_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        said = b"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `tops3cret`, \r\n"
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(old_server, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        session = open_session(f"redis://:tops3cret@127.0.0.1:{port}/0")
        with pytest.raises(NotSent) as caught:
            await session.ping(0.3)
    shown = "".join(traceback.format_exception(caught.value)) + repr(session) + caplog.text
    assert "tops3cret" not in shown


# -- loops and processes -----------------------------------------------------------------------------------------------
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
from services.redis_service import Clocks, RedisService

session = RedisService(sys.argv[1])

async def in_child():
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


async def test_a_forked_child_connects_anew_and_leaves_its_parents_connection_alone(redis_url: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", FORK, redis_url], cwd=ROOT, capture_output=True, text=True, timeout=20
    )
    assert (done.stdout.strip(), done.returncode) == ("0 1 0", 0), done.stderr

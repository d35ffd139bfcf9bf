"""A caller's patience touches nobody else; only the connection's own clocks close it. Times are scaled down."""

from __future__ import annotations

import asyncio
import time

import pytest

from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import NotSent, OutcomeUnknown
from services.redis_session.call_deadline import CallDeadline
from services.redis_session.multiplexed_redis import MultiplexedRedis
from tests.integration.services.redis_session.conftest import Connect, full

LONG_S = 20.0  # nothing here should ever wait that long


async def at_rest() -> None:
    """Return when the event loop has no timer left."""
    began, loop = time.monotonic(), asyncio.get_running_loop()
    while any(not timer.cancelled() for timer in loop._scheduled):  # type: ignore[attr-defined] # not public
        assert time.monotonic() - began < LONG_S
        await asyncio.sleep(0.01)


async def closed(client: MultiplexedRedis) -> None:
    """Return when the client has closed itself; TimeoutError if it does not."""
    async with asyncio.timeout(LONG_S):
        while client.connected:  # noqa: ASYNC110 - the client has no closing hook on purpose
            await asyncio.sleep(0.01)


async def test_99_callers_survive_one_callers_50_ms_deadline(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url)
    proxy.to_client.delay_s = 0.3

    async def impatient() -> None:
        async with CallDeadline(0.05):
            await client.echo("late")

    others = [asyncio.ensure_future(client.echo(str(i))) for i in range(99)]
    with pytest.raises(OutcomeUnknown):
        await impatient()
    assert await asyncio.gather(*others) == [str(i).encode() for i in range(99)]
    assert await client.echo("next") == b"next"
    assert (proxy.accepted, client.counters.dropped) == (1, 1)


async def test_a_mute_server_closes_the_connection_after_stall_s(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, stall_s=0.2)
    proxy.black_hole()
    async with asyncio.timeout(LONG_S):
        with pytest.raises(OutcomeUnknown, match=r"nothing arrived for 0\.2 s"):
            await client.ping()
    with pytest.raises(NotSent, match=r"nothing arrived for 0\.2 s"):
        await client.ping()


async def test_the_stall_clock_runs_though_nobody_waits(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, stall_s=0.2)
    proxy.black_hole()
    with pytest.raises(OutcomeUnknown):
        async with CallDeadline(0.01):
            await client.ping()
    assert client.connected
    await closed(client)


async def test_a_call_after_a_long_idle_time_does_not_stall_if_a_tick_comes_before_its_write(connect: Connect) -> None:
    """As on an event loop that is behind: in one turn the call is made, and then the tick is due."""
    client = await connect(stall_s=LONG_S)
    stream = client.wire.stream
    stream._clocks.progress_at -= 2 * LONG_S
    call = stream.send(b"PING\r\n")
    stream._watch()
    assert await call == b"PONG"


async def test_a_reply_that_came_while_the_loop_was_held_up_is_read_before_the_connection_counts_as_stalled(
    connect: Connect,
) -> None:
    """In one turn somebody's code takes longer than `stall_s`, and then the tick is due."""
    client = await connect(stall_s=0.1)
    stream = client.wire.stream
    call = stream.send(b"PING\r\n")
    stream._flush()
    time.sleep(0.2)  # noqa: ASYNC251 - somebody's code
    stream._watch()
    assert await call == b"PONG"


async def test_an_idle_connection_has_no_timer_and_does_not_stall(connect: Connect) -> None:
    client = await connect(stall_s=0.1)
    await asyncio.sleep(0.5)
    assert await client.ping()
    await at_rest()


async def test_the_stall_clock_starts_again_after_a_rest(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, stall_s=0.2)
    await at_rest()
    proxy.black_hole()
    with pytest.raises(OutcomeUnknown):
        async with CallDeadline(0.01):
            await client.ping()
    await closed(client)


async def test_traffic_into_a_black_hole_does_not_hold_the_stall_clock(connect: Connect, proxy: TcpProxy) -> None:
    """Writes that vanish into the kernel's buffers are not a sign of life."""
    client = await connect(proxy.url, stall_s=0.3)
    proxy.black_hole()
    callers: set[asyncio.Task[object]] = set()
    began = time.monotonic()
    while client.connected:
        assert time.monotonic() - began < LONG_S
        callers.add(asyncio.ensure_future(client.set("k", b"x" * 1000)))
        await asyncio.sleep(0.005)
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert {type(result) for result in results} <= {OutcomeUnknown, NotSent}


async def test_one_byte_at_a_time_closes_the_connection_after_reply_s(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, stall_s=0.3, reply_s=0.6)
    await client.set("k", "x" * 1000)
    proxy.to_client.bytes_per_s = 30
    async with asyncio.timeout(LONG_S):
        with pytest.raises(OutcomeUnknown, match=r"owed for more than 0\.6 s"):
            await client.get("k")


async def test_a_large_value_on_a_slow_link_delays_others_and_fails_nobody(connect: Connect, proxy: TcpProxy) -> None:
    """8 MB at 4 MB/s take 2 s, four times `stall_s`."""
    client = await connect(proxy.url, stall_s=0.5)
    proxy.to_server.bytes_per_s = 4e6
    large = asyncio.ensure_future(client.set("large", b"x" * 8_000_000))
    await asyncio.sleep(0)
    async with asyncio.timeout(LONG_S):
        assert await asyncio.gather(*(client.echo(str(i)) for i in range(50))) == [str(i).encode() for i in range(50)]
        assert await large
    assert proxy.accepted == 1


async def test_a_large_reply_on_a_slow_link_delays_others_and_fails_nobody(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, stall_s=0.5)
    await client.set("large", b"x" * 8_000_000)
    proxy.to_client.bytes_per_s = 4e6
    async with asyncio.timeout(LONG_S):
        large, small = await asyncio.gather(client.get("large"), client.echo("small"))
    assert (len(large), small) == (8_000_000, b"small")


async def test_a_black_hole_amid_a_large_value_closes_with_true_errors(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, stall_s=1.5)  # enough for the beginning of the large value
    proxy.black_hole()
    large = asyncio.ensure_future(client.set("large", b"x" * 16_000_000))
    behind = asyncio.ensure_future(client.set("behind", "x"))
    async with asyncio.timeout(LONG_S):
        results = await asyncio.gather(large, behind, return_exceptions=True)
    assert [type(result) for result in results] == [OutcomeUnknown, NotSent]


async def test_a_deadline_before_the_write_is_not_sent_and_frees_the_backlog(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, stall_s=LONG_S)
    proxy.black_hole()
    large = asyncio.ensure_future(client.set("large", b"x" * 16_000_000))
    await full(client)
    before = (client.backlog_calls, client.backlog_bytes)
    with pytest.raises(NotSent):
        async with CallDeadline(0.01):
            await client.set("behind", b"x" * 1_000_000)
    assert (client.backlog_calls, client.backlog_bytes) == before
    proxy.heal()
    assert await large
    assert await client.exists("behind") == 0


async def test_a_call_cancelled_in_the_turn_that_made_it_is_withdrawn(connect: Connect) -> None:
    client = await connect()
    await client.ping()
    written = client.counters.commands
    with pytest.raises(NotSent):
        async with CallDeadline(0):
            await client.set("k", "v")
    call = asyncio.ensure_future(client.set("k", "v"))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert client.counters.commands == written
    assert await client.exists("k") == 0
    assert client.backlog_calls == 0


async def test_a_deadline_after_an_answered_command_is_an_unknown_outcome(connect: Connect, proxy: TcpProxy) -> None:
    """The body as a whole has done something: repeating it is not safe."""
    client = await connect(proxy.url)

    async def body() -> None:
        async with CallDeadline(0.1):
            await client.incr("n")
            await asyncio.sleep(LONG_S)

    with pytest.raises(OutcomeUnknown):
        await body()


async def test_a_deadline_sees_the_calls_of_child_tasks(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url)
    proxy.to_client.delay_s = 1.0
    with pytest.raises(OutcomeUnknown):
        async with CallDeadline(0.1):
            await asyncio.gather(client.incr("n"), client.incr("n"))


async def test_a_deadline_of_a_half_written_batch_is_an_unknown_outcome(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, stall_s=LONG_S)
    proxy.black_hole()
    batch = client.pipeline(transaction=False)
    for i in range(20):
        batch.set(f"k{i}", b"x" * 1_000_000)
    with pytest.raises(OutcomeUnknown):
        async with CallDeadline(0.1):
            await batch.execute()
    proxy.heal()
    assert await client.echo("in order") == b"in order"
    assert client.backlog_calls == 0

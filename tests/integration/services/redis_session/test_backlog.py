"""What waits is bounded, in calls and in bytes, abandoned calls included."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import NotSent, OutcomeUnknown, Overloaded
from services.redis_session.call_deadline import CallDeadline
from tests.integration.services.redis_session.conftest import Connect, full


async def leave(calls: list[asyncio.Task[object]]) -> None:
    """Cancel the callers and wait until they have gone."""
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_one_call_too_many_fails_at_once_and_the_others_do_not(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, backlog_calls=10)
    proxy.black_hole()
    calls = [asyncio.ensure_future(client.echo(str(i))) for i in range(11)]
    await asyncio.wait(calls[10:])
    assert isinstance(calls[10].exception(), Overloaded)
    proxy.heal()
    assert await asyncio.gather(*calls[:10]) == [str(i).encode() for i in range(10)]
    assert await client.ping()


async def test_abandoned_calls_count_until_they_are_answered(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, backlog_calls=10)
    proxy.black_hole()
    for _ in range(10):
        with pytest.raises(OutcomeUnknown):
            async with CallDeadline(0.01):
                await client.ping()
    with pytest.raises(Overloaded, match="10 of 10 calls"):
        await client.ping()
    proxy.heal()
    async with asyncio.timeout(10):
        while client.in_flight:  # noqa: ASYNC110 - a client has no hook for it
            await asyncio.sleep(0.01)
    assert await client.ping()


async def test_withdrawn_calls_do_not_count(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, backlog_calls=10)
    proxy.black_hole()
    large = asyncio.ensure_future(client.set("large", b"x" * 16_000_000))
    await asyncio.sleep(0.01)
    for _ in range(5):
        calls: list[asyncio.Task[object]] = [asyncio.ensure_future(client.ping()) for _ in range(9)]
        await asyncio.sleep(0)
        assert client.backlog_calls == 10
        await leave(calls)
        assert client.backlog_calls == 1
    await leave([large])


async def test_bytes_are_bounded_and_freed_by_leaving(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, backlog_bytes=20_000_000)
    proxy.black_hole()
    calls: list[asyncio.Task[object]] = [asyncio.ensure_future(client.set("k", b"x" * 16_000_000))]
    await full(client)
    half_written = client.backlog_bytes
    calls.append(asyncio.ensure_future(client.set("k", b"x" * (19_000_000 - half_written))))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="bytes"):
        await client.set("k", b"x" * 1_000_000)
    await leave(calls)
    assert client.backlog_bytes == half_written


async def test_a_batch_is_taken_whole_or_not_at_all(connect: Connect) -> None:
    client = await connect(backlog_calls=10)
    batch = client.pipeline(transaction=False)
    for i in range(11):
        batch.set(f"k{i}", "v")
    with pytest.raises(Overloaded, match="split"):
        await batch.execute()
    assert await client.dbsize() == 0


async def test_all_of_one_turn_leave_in_one_write(connect: Connect) -> None:
    client = await connect()
    await client.ping()
    batches = client.counters.batches
    await asyncio.gather(*(client.ping() for _ in range(100)))
    assert client.counters.batches == batches + 1
    assert client.counters.max_batch == 100


async def test_many_waiting_calls_of_middling_size_all_get_their_replies(connect: Connect, proxy: TcpProxy) -> None:
    """They leave in pieces, as the socket takes them."""
    client = await connect(proxy.url)
    proxy.to_server.bytes_per_s = 40e6
    words = [str(i).encode() * (i % 3000) for i in range(3000)]
    assert await asyncio.gather(*(client.echo(word) for word in words)) == words
    assert client.backlog_bytes == 0


async def test_calls_still_owed_count_when_others_have_been_answered(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url, backlog_calls=3)
    await client.set("large", b"x" * 1_000_000)
    proxy.to_client.bytes_per_s = 100_000
    first = asyncio.ensure_future(client.ping())
    calls: list[asyncio.Future[object]] = [asyncio.ensure_future(client.get("large")) for _ in range(2)]
    await first
    calls.append(asyncio.ensure_future(client.ping()))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="3 of 3 calls"):
        await client.ping()
    proxy.heal()
    await asyncio.gather(*calls)


async def test_small_calls_wait_here_once_the_socket_takes_no_more(connect: Connect, proxy: TcpProxy) -> None:
    """So that they can be withdrawn, and count: the transport's own buffer would grow without bound."""
    client = await connect(proxy.url, backlog_calls=100_000)
    proxy.black_hole()
    calls: list[asyncio.Future[object]] = []
    while client.backlog_calls == client.in_flight:
        calls.append(asyncio.ensure_future(client.set("k", b"x" * 10_000)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(calls) < 10_000
    written = client.in_flight
    with pytest.raises(NotSent):
        async with CallDeadline(0.01):
            await client.ping()
    assert client.in_flight == written
    proxy.heal()
    assert all(await asyncio.gather(*calls))


async def test_a_call_of_an_operation_that_was_given_up_takes_nobodys_room(connect: Connect) -> None:
    client = await connect(backlog_calls=1)
    with pytest.raises(NotSent):  # noqa: PT012 - the deadline raises
        async with CallDeadline(0.001):
            given_up = contextvars.copy_context()
            await asyncio.Event().wait()
    late = asyncio.get_running_loop().create_task(client.ping(), context=given_up)
    outcomes = await asyncio.gather(late, client.ping(), return_exceptions=True)
    assert isinstance(outcomes[0], NotSent)
    assert outcomes[1] is True

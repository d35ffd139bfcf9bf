"""Connect, close, lose, another event loop: nothing is left behind, and every error is true."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import warnings
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
import redis
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from lab.azure.redis_server import RedisServer, free_port
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import NotSent, OutcomeUnknown
from services.redis_session.multiplexed_redis import MultiplexedRedis
from tests.integration.services.redis_session.conftest import Connect

SECRET = "open-sesame"


def open_files() -> int:
    """Descriptors of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting, not walking


async def no_link(proxy: TcpProxy) -> None:
    """Return when the proxy has no open connection."""
    async with asyncio.timeout(10):
        while proxy.open_links or not proxy.accepted:  # noqa: ASYNC110 - a proxy has no hook for it
            await asyncio.sleep(0.01)


async def test_close_is_idempotent_and_leaves_no_socket_or_task(redis_url: str) -> None:
    files, tasks = open_files(), asyncio.all_tasks()
    client = MultiplexedRedis.from_url(redis_url)
    await client.connect()
    await client.ping()
    await client.aclose()
    await client.aclose()
    del client
    assert open_files() == files
    assert asyncio.all_tasks() == tasks


async def test_close_fails_what_is_written_as_unknown_and_what_is_not_as_not_sent(redis_url: str) -> None:
    client = MultiplexedRedis.from_url(redis_url)
    await client.connect()
    written = asyncio.ensure_future(client.ping())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    unwritten = asyncio.ensure_future(client.ping())
    await asyncio.sleep(0)
    await client.aclose()
    results = await asyncio.gather(written, unwritten, return_exceptions=True)
    assert [type(result) for result in results] == [OutcomeUnknown, NotSent]


async def test_a_call_before_connect_is_not_sent(redis_url: str) -> None:
    with pytest.raises(NotSent, match="connect"):
        await MultiplexedRedis.from_url(redis_url).ping()


async def test_a_call_after_close_is_not_sent(connect: Connect) -> None:
    client = await connect()
    await client.aclose()
    with pytest.raises(NotSent, match="closed; make a new one"):
        await client.ping()
    with pytest.raises(NotSent, match="closed"):
        await client.pipeline(transaction=False).ping().execute()


async def test_what_a_call_raises_is_an_error_of_redis_py_s_too(connect: Connect) -> None:
    """Libraries go on without Redis by `except RedisError`."""
    client = await connect()
    await client.aclose()
    with pytest.raises(RedisError) as caught:
        await client.get("k")
    assert repr(caught.value).startswith("NotSent('")  # not "server:NotSent", as redis-py 8 shows its own
    with pytest.raises(RedisError):
        await client.pipeline(transaction=False).get("k").execute(raise_on_error=False)


async def test_a_second_connect_is_refused(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(RuntimeError):
        await client.connect()


@pytest.mark.parametrize("fault", ["reset_all", "half_close_all"])
async def test_a_lost_connection_fails_what_was_written_and_stays_dead(
    connect: Connect, proxy: TcpProxy, fault: str
) -> None:
    client = await connect(proxy.url)
    proxy.to_server.black_hole = True
    call = asyncio.ensure_future(client.incr("n"))
    await asyncio.sleep(0.01)
    getattr(proxy, fault)()
    with pytest.raises(OutcomeUnknown):
        await call
    assert not client.connected
    with pytest.raises(NotSent):
        await client.ping()


async def test_a_cut_in_the_middle_of_a_reply_is_an_unknown_outcome(connect: Connect, proxy: TcpProxy) -> None:
    client = await connect(proxy.url)
    await client.set("k", "x" * 1000)
    proxy.to_client.cut_after = 500
    results = await asyncio.gather(client.get("k"), client.ping(), return_exceptions=True)
    assert [type(result) for result in results] == [OutcomeUnknown, OutcomeUnknown]


async def test_a_failed_connect_leaves_nothing_open(proxy: TcpProxy) -> None:
    proxy.black_hole()
    client = MultiplexedRedis.from_url(proxy.url, connect_s=0.1)
    with pytest.raises(RedisTimeoutError):
        await client.connect()
    proxy.heal()
    await no_link(proxy)
    await client.connect()
    assert await client.ping()
    await client.aclose()


async def test_a_cancelled_connect_leaves_nothing_open(proxy: TcpProxy) -> None:
    proxy.black_hole()
    connecting = asyncio.create_task(MultiplexedRedis.from_url(proxy.url).connect())
    await asyncio.sleep(0.05)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    proxy.heal()
    await no_link(proxy)


async def test_a_refused_connect_says_where(redis_url: str) -> None:
    port = free_port()
    with pytest.raises(RedisConnectionError, match=str(port)):
        await MultiplexedRedis(host="127.0.0.1", port=port).connect()


async def test_a_full_server_is_a_connection_error() -> None:
    with RedisServer(maxclients=1, appendonly=False) as server, redis.Redis.from_url(server.url) as only:
        only.ping()
        with pytest.raises(RedisConnectionError, match="max number of clients"):
            await MultiplexedRedis.from_url(server.url).connect()


async def test_no_secret_shows_in_a_repr_or_an_error(redis_url: str) -> None:
    address = redis_url.split("://", 1)[1]
    shown = [repr(MultiplexedRedis.from_url(f"redis://user:{SECRET}@{address}"))]
    shown.append(repr(MultiplexedRedis(host="127.0.0.1", password=SECRET)))
    with pytest.raises(AuthenticationError) as refused:
        await MultiplexedRedis.from_url(f"redis://user:{SECRET}@{address}").connect()
    with pytest.raises(ValueError, match="percent-encoded") as unreadable:
        MultiplexedRedis.from_url(f"redis://:{SECRET}/x@{address}")
    for info in (refused, unreadable):
        shown += [str(info.value), repr(info.value), repr(info.value.__cause__), repr(info.value.__suppress_context__)]
    assert SECRET not in "".join(shown)


async def test_reauthenticate_travels_in_the_stream_and_a_refusal_closes_nothing(connect: Connect) -> None:
    client = await connect()
    await client.acl_setuser("someone", enabled=True, passwords=[f"+{SECRET}"], categories=["+@all"], keys=["*"])
    others = [asyncio.ensure_future(client.echo(str(i))) for i in range(20)]
    await client.reauthenticate("someone", SECRET)
    assert await asyncio.gather(*others) == [str(i).encode() for i in range(20)]
    assert await client.acl_whoami() == "someone"
    with pytest.raises(AuthenticationError):
        await client.reauthenticate("someone", "wrong")
    assert await client.acl_whoami() == "someone"
    with pytest.raises(AuthenticationError):
        await client.reauthenticate(None, "the default user has none")
    assert await (await connect()).acl_deluser("someone") == 1


async def test_push_messages_are_never_taken_for_replies(connect: Connect, redis_url: str) -> None:
    client = await connect(protocol=3)
    plain = await connect(protocol=2)
    tracker: Any
    async with redis.asyncio.Redis.from_url(redis_url, single_connection_client=True) as tracker:
        await tracker.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", str(await client.client_id()), "BCAST")
        for i in range(50):
            replies = await asyncio.gather(client.echo(str(i)), client.set("k", i), plain.set("j", i), client.get("k"))
            assert list(replies) == [str(i).encode(), True, True, str(i).encode()]
    assert client.counters.pushes > 0
    assert client.in_flight == 0


def in_another_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end on an event loop in another thread; returns its result or its exception."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(asyncio.run(coroutine))
        except Exception as error:  # noqa: BLE001 - the exception is the result
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    return result[0]


async def test_another_event_loop_is_refused_and_disturbs_nobody(connect: Connect) -> None:
    client = await connect()
    for call in (client.ping(), client.pipeline(transaction=False).ping().execute()):
        error = in_another_loop(call)
        assert isinstance(error, NotSent)
        assert "event loop" in str(error)
    assert await client.ping()


def test_closing_from_another_loop_ends_the_connection_without_the_dead_one(redis_url: str) -> None:
    async def connected() -> MultiplexedRedis:
        client = MultiplexedRedis.from_url(redis_url, client_name="orphan")
        await client.connect()
        return client

    def orphans() -> int:
        with redis.Redis.from_url(redis_url) as plain:
            return sum(found["name"] == "orphan" for found in plain.client_list())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the dead loop's transport can't be closed in order any more
        client = asyncio.run(connected())
        assert orphans() == 1
        asyncio.run(client.aclose())
        assert orphans() == 0
        del client
        gc.collect()


@pytest.fixture
async def scripted() -> AsyncIterator[Any]:
    """A server that answers HELLO, followed in the same packet by whatever `scripted.extra` says, and never more."""

    class Scripted:
        extra = b""
        port = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"%1\r\n+proto\r\n:3\r\n" + Scripted.extra)
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                pass
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    Scripted.port = server.sockets[0].getsockname()[1]
    async with server:
        yield Scripted


async def test_bytes_that_came_with_the_handshake_are_not_lost(scripted: Any) -> None:
    scripted.extra = b">2\r\n+invalidate\r\n*1\r\n+key\r\n"
    client = MultiplexedRedis(host="127.0.0.1", port=scripted.port)
    await client.connect()
    assert (client.counters.pushes, client.connected) == (1, True)
    await client.aclose()


async def test_a_reply_that_nobody_asked_for_closes_the_connection_and_later_calls_say_so(scripted: Any) -> None:
    """It may be somebody's value, so nothing shows it."""
    scripted.extra = b"+s3cret\r\n"
    client = MultiplexedRedis(host="127.0.0.1", port=scripted.port)
    await client.connect()
    assert not client.connected
    async with asyncio.timeout(20):
        with pytest.raises(NotSent, match="without being asked") as refused:
            await client.get("k")
    assert "s3cret" not in f"{refused.value!r} {client!r}"
    await client.aclose()

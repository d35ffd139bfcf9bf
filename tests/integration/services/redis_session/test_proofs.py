"""NotSent is a proof: whatever the connection, the deadline or the task, what ran is never said not to have run."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from functools import partial
from typing import Any

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from lab.azure.redis_server import RedisServer
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import CallDeadline, MultiplexedRedis, NotSent, OutcomeUnknown, RedisService
from services.redis_session.redis_service import Clocks
from tests.integration.services.conftest import OneAttempt, Open, bump
from tests.integration.services.redis_session.conftest import Connect, peer
from tests.waiting import until

NOREPLICAS = "NOREPLICAS Not enough good replicas to write."


async def _pipelined(client: Any, *, transaction: bool) -> Any:
    return await client.pipeline(transaction=transaction).incr("n").execute()


async def test_an_outer_deadline_knows_what_an_inner_one_wrote(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(OutcomeUnknown):  # noqa: PT012 - the deadline raises
        async with CallDeadline(0.2):
            async with CallDeadline(5):
                await client.incr("n")
            await asyncio.Event().wait()


async def test_the_sessions_own_ping_before_it_drops_a_connection_is_no_command_of_a_caller(open_session: Open) -> None:
    async def replica(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := await reader.read(1000):
            reply = b"-READONLY You can't write against a read only replica." if b"INCR" in command else b"+PONG"
            writer.write(b"%0\r\n" if b"HELLO" in command else reply + b"\r\n")

    async with peer(replica) as url:
        session = open_session(url, randomness=OneAttempt())
        async with CallDeadline(20) as outer:
            with pytest.raises(NotSent):
                await session.run(bump, idempotent=False, within_s=10)
            await until(lambda: not session._closing)
        await session.aclose()
    assert outer.written == 0


async def test_an_operation_is_not_repeated_because_of_what_a_nested_run_did(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url)

    async def failing(client: Redis) -> None:
        await session.run(bump, idempotent=False, within_s=2)
        raise NotSent("from elsewhere")

    with pytest.raises(OutcomeUnknown):
        await session.run(failing, idempotent=False, within_s=1)
    assert await session.run(bump, idempotent=False, within_s=2) == 2


async def test_a_transaction_on_a_side_connection_counts_for_the_whole_operation(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url, connections=2)

    async def change(client: Any) -> None:
        await client.pipeline().incr("n").execute()
        await client.eval("return redis.error_reply(ARGV[1])", 0, NOREPLICAS)

    with pytest.raises(OutcomeUnknown):
        await session.run(change, idempotent=False, within_s=1)
    assert await session.run(bump, idempotent=False, within_s=2) == 2


async def test_a_deadline_during_blpop_after_a_transaction_says_that_it_may_have_run(connect: Connect) -> None:
    client = await connect(side_connections=1)
    with pytest.raises(OutcomeUnknown):  # noqa: PT012 - the deadline raises
        async with CallDeadline(0.3):
            await client.pipeline().incr("n").execute()
            await client.blpop(["none"], timeout=5)


async def test_a_call_written_beside_one_that_found_the_backlog_full_may_have_run(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url)
    client = await session.healthy_client()
    room = client.wire.stream.limits.backlog_calls

    async def gather(client: Any) -> Any:
        waiting = [client.get("other") for _ in range(room - 1)]
        return await asyncio.gather(client.incr("n"), *waiting, client.get("n"))

    with pytest.raises(OutcomeUnknown):
        await session.run(gather, idempotent=False, within_s=2)
    await until(lambda: client.backlog_calls == 0)
    assert await session.run(bump, idempotent=False, within_s=2) == 2


async def test_a_child_task_writes_nothing_after_its_deadline_said_notsent(connect: Connect) -> None:
    client = await connect()
    late = asyncio.Event()

    async def child() -> None:
        await late.wait()
        await client.incr("n")

    with pytest.raises(NotSent):  # noqa: PT012 - the deadline raises
        async with CallDeadline(0.05):
            running = asyncio.create_task(child())
            living_on = asyncio.create_task(child(), context=contextvars.Context())
            await asyncio.Event().wait()
    late.set()
    with pytest.raises(NotSent, match=r"context=contextvars\.Context"):
        await running
    await living_on
    assert await client.get("n") == b"1"


async def test_what_a_refused_attempt_has_left_behind_does_not_run_beside_its_repetition(
    own_redis: RedisServer, open_session: Open
) -> None:
    """`gather` raises the first error, and its other calls go on."""
    session = open_session(own_redis.url)
    attempts: list[asyncio.Task[Any]] = []
    repeated = asyncio.Event()

    async def pop(client: Any) -> Any:
        await repeated.wait()
        return await client.lpop("list")  # a full Redis takes it

    async def operation(client: Any) -> None:
        attempts.append(asyncio.create_task(pop(client)))
        if len(attempts) == 1:
            await client.set("k", 1)
        repeated.set()
        await asyncio.gather(*attempts, return_exceptions=True)

    await session.run(lambda client: client.rpush("list", 1, 2, 3), idempotent=False, within_s=5)
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.config_set("maxmemory", 1)
        await session.run(operation, idempotent=False, within_s=20, patient=True)
        assert admin.llen("list") == 2
    await session.aclose()


async def test_a_call_cancelled_in_the_turn_in_which_the_connection_closes_was_not_written(connect: Connect) -> None:
    client = await connect()
    async with CallDeadline(5) as deadline:
        call = asyncio.create_task(client.incr("n"))
        await asyncio.sleep(0)
        client.wire.stream.close("a test")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert deadline.written == 0


async def test_a_call_cancelled_when_its_connection_closes_was_written_if_it_had_left(
    connect: Connect, proxy: TcpProxy
) -> None:
    client = await connect(proxy.url)
    proxy.black_hole()
    async with CallDeadline(5) as deadline:
        call = asyncio.create_task(client.incr("n"))
        await until(lambda: client.in_flight == 1)
        call.cancel()
        client.wire.stream.close("a test")
        await asyncio.gather(call, return_exceptions=True)
    assert deadline.written == 1


async def test_a_side_connection_that_cannot_connect_is_notsent_to_the_caller_of_run(
    proxy: TcpProxy, open_session: Open
) -> None:
    session = open_session(proxy.url, connections=2)
    await session.ping(2)
    proxy.refuse()
    with pytest.raises(NotSent):
        await session.run(lambda client: _pipelined(client, transaction=True), idempotent=False, within_s=0.5)


async def test_a_scripts_own_code_after_a_write_runs_once_and_reaches_its_caller(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url)

    async def take(client: Redis) -> Any:
        return await client.eval("redis.call('INCR', 'n') return redis.error_reply('BUSY slot taken')", 0)

    with pytest.raises(ResponseError, match="slot taken"):
        await session.run(take, idempotent=False, within_s=1)
    assert await session.run(bump, idempotent=False, within_s=2) == 2


@pytest.mark.parametrize("transaction", [False, True])
async def test_a_pipeline_that_the_server_refuses_for_a_moment_is_repeated(
    own_redis: RedisServer, open_session: Open, transaction: bool
) -> None:
    session = open_session(own_redis.url, connections=2)
    await session.ping(2)
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.config_set("min-replicas-to-write", 1)
        asyncio.get_running_loop().call_later(0.3, lambda: admin.config_set("min-replicas-to-write", 0))
        outcome = await session.run(partial(_pipelined, transaction=transaction), idempotent=False, within_s=5)
    assert outcome == [1]


DISCARDED = "EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write."


@pytest.mark.parametrize("transaction", [False, True])
async def test_a_script_that_says_what_exec_says_has_not_discarded_its_transaction(
    redis_url: str, open_session: Open, transaction: bool
) -> None:
    session = open_session(redis_url, connections=2)

    async def batch(client: Any) -> Any:
        pipeline = client.pipeline(transaction=transaction).incr("n").blpop("n-s", 0.01)
        return await pipeline.eval("return redis.error_reply(ARGV[1])", 0, DISCARDED).execute()

    with pytest.raises((OutcomeUnknown, ResponseError)):
        await session.run(batch, idempotent=False, within_s=0.5)
    assert await session.run(lambda client: client.get("n"), idempotent=True, within_s=5) == b"1"


@pytest.mark.parametrize("before", [("EXEC", "MULTI"), ("DISCARD", "MULTI")])
async def test_a_transaction_that_the_caller_has_taken_apart_may_have_run(
    redis_url: str, open_session: Open, before: tuple[str, str]
) -> None:
    session = open_session(redis_url, connections=2)

    async def apart(client: Any) -> Any:
        pipeline = client.pipeline()
        for word in (("INCR", "n"), before[:1], ("INCR", "n"), before[1:], ("NOSUCH",)):
            pipeline.execute_command(*word)
        async with CallDeadline(5) as deadline:
            with pytest.raises(ResponseError):
                await pipeline.execute()
        return deadline.written

    assert await session.run(apart, idempotent=True, within_s=5) > 0


async def test_a_push_that_is_not_utf_8_takes_no_callers_slot(connect: Connect) -> None:
    client, other = await connect(decode_responses=True, protocol=3), await connect()
    plain = Redis.from_url(f"redis://{client.wire.place}/0")
    tracker: Any = plain.client()
    try:
        await tracker.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", await client.client_id(), "BCAST")
        await client.mset({f"k{i}": str(i) for i in range(100)})
        for _ in range(20):
            await other.set(b"\xff\xfe", "x")
            answers = await asyncio.gather(*(client.get(f"k{i}") for i in range(100)))
            assert answers == [str(i) for i in range(100)]
        assert client.counters.pushes > 0
    finally:
        await tracker.aclose()
        await plain.aclose()


async def test_a_reply_that_is_not_utf_8_fails_its_own_call_only(connect: Connect) -> None:
    client, raw = await connect(decode_responses=True), await connect()
    await raw.set("bad", b"\xff")
    answers: Any = await asyncio.gather(client.get("bad"), client.ping(), return_exceptions=True)
    assert isinstance(answers[0], UnicodeDecodeError)
    assert answers[1] is True


ATTRIBUTE = b"|1\r\n+ttl\r\n|1\r\n+in\r\n+side\r\n*1\r\n:3600\r\n"
PUSH = b">2\r\n+invalidate\r\n*1\r\n+k\r\n"


@pytest.mark.parametrize("cut", [False, True], ids=["at once", "byte by byte"])
async def test_attributes_before_and_inside_replies_and_pushes_take_no_callers_slot(cut: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await reader.read(1000)
        writer.write(b"%0\r\n")
        await reader.read(1000)
        array = b"*2\r\n" + ATTRIBUTE + b"+a\r\n" + ATTRIBUTE + b"+b\r\n"
        sent = b"".join((ATTRIBUTE, b":1\r\n", ATTRIBUTE * 2, PUSH, ATTRIBUTE, array, b":3\r\n", ATTRIBUTE, b"+4\r\n"))
        for at in range(0, len(sent), 1 if cut else len(sent)):
            writer.write(sent[at : at + 1] if cut else sent)
            await asyncio.sleep(0.002)
        await reader.read()

    async with peer(serve) as url:
        client: Any = MultiplexedRedis.from_url(url)
        await client.connect()
        try:
            replies: list[Any] = await asyncio.gather(*(client.execute_command("ASK-ME", n) for n in range(4)))
            assert replies == [1, [b"a", b"b"], 3, b"4"]
            assert (client.counters.pushes, client.connected) == (1, True)
        finally:
            await client.aclose()


async def test_an_attribute_of_a_real_server_takes_no_callers_slot() -> None:
    with RedisServer(appendonly=False, options={"enable-debug-command": "yes"}) as server:
        client: Any = MultiplexedRedis.from_url(server.url, protocol=3)
        await client.connect()
        try:
            attributed, mine = client.execute_command("DEBUG", "PROTOCOL", "attrib"), client.echo("mine")
            assert list(await asyncio.gather(attributed, mine)) == [b"Some real reply following the attribute", b"mine"]
        finally:
            await client.aclose()


async def test_a_map_whose_keys_python_cannot_hash_closes_the_connection_and_says_so() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(b"%0\r\n" if b"HELLO" in data else b"%1\r\n*1\r\n:1\r\n:2\r\n")

    async with peer(serve) as url:
        session = RedisService(url, clocks=Clocks(connect_s=1))
        try:
            with pytest.raises(OutcomeUnknown, match="unhashable"):
                await session.run(Redis.ping, idempotent=False, within_s=1)
        finally:
            await session.aclose()

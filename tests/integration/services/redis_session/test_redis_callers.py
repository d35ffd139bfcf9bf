"""What the Redis session owes its callers: their own time-outs, cancellations, hooks, a clean end, no secret."""

from __future__ import annotations

import asyncio
import contextlib
import traceback

import pytest
from redis.asyncio import Redis

from lab.azure.redis_server import RedisServer
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import NotSent, RedisNotConfigured, RedisUnavailable
from services.redis_session.redis_service import Clocks, Hooks
from tests.integration.services.conftest import Open, recovered, slow
from tests.waiting import until


async def test_a_timeout_of_the_operation_itself_is_not_mistaken_for_the_deadline(
    redis_url: str, open_session: Open
) -> None:
    async def impatient(client: Redis) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await open_session(redis_url).run(impatient, idempotent=True, within_s=2)


async def test_a_cancelled_call_is_cancelled_and_forgotten(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url, clocks=Clocks(stall_s=30))

    call = asyncio.create_task(session.run(slow, idempotent=True, within_s=30))
    await until(lambda: session._client is not None and session._client.in_flight == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert session.counters.in_flight == 0
    await session.ping(30)
    assert (session.counters.connections_opened, session.counters.recreates) == (1, 0)


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
    proxy: TcpProxy, open_session: Open, mute: bool
) -> None:
    session = open_session(proxy.url)
    if mute:
        proxy.black_hole()
    with contextlib.suppress(RedisUnavailable):
        await session.ping(0.1)
    await session.aclose()
    await until(lambda: proxy.open_links == 0)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("redis ")]
    proxy.heal()
    await recovered(session)


async def test_closing_while_a_caller_waits_for_the_connect_does_not_cancel_that_caller(
    proxy: TcpProxy, open_session: Open
) -> None:
    session = open_session(proxy.url)
    proxy.black_hole()
    waiting = asyncio.create_task(session.healthy_client())
    await until(lambda: proxy.accepted == 1)
    await session.aclose()
    with pytest.raises(NotSent, match="closed"):
        await waiting


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "nonsense",
        "myhost:6380",
        "redis://:pa/ss@myhost:6379/0",
        "redis://h:port",
        "redis://:1?pa/ss@myhost:6379/0",  # another host, without its password
        "redis://:1/pa/ss@myhost:6379/0",
        "redis://:#pa/ss@myhost:6379/0",
        "redis://myhost:0",
        "redis://myhost/zero",
        "redis://myhost/1/2",
        "redis://myhost?socket_timeout=3",
        "redis://myhost?max_connections=3",
        "redis://myhost?ssl_cert_reqs=none",
        "redis://myhost?ssl=false",
        "redis://myhost?connection_pool=x",
        "redis://myhost?protocol=4",
        "rediss://myhost?ssl_cert_reqs=bogus",
    ],
)
async def test_an_unusable_address_is_never_shown_and_one_line_says_what_is_expected(
    open_session: Open, caplog: pytest.LogCaptureFixture, url: str | None
) -> None:
    session = open_session(url)
    for _ in range(3):
        with pytest.raises(RedisNotConfigured, match=r"the address of Redis .* expected is rediss://") as caught:
            await session.run(lambda client: client.get("k"), idempotent=True, within_s=1)
    (line,) = (record.getMessage() for record in caplog.records if record.name.startswith("services.redis_session"))
    assert str(caught.value) in line
    assert not [secret for secret in ("pa/ss", "myhost", "nonsense") if secret in f"{line}{session!r}"]


async def test_no_password_in_a_text_a_log_or_a_repr_even_if_an_old_server_quotes_it(
    open_session: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def old_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        reply = b"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `tops3cret`, \r\n"
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(old_server, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        session = open_session(f"redis://:tops3cret@127.0.0.1:{port}/0")
        with pytest.raises(NotSent) as caught:
            await session.ping(0.3)
    shown = "".join(traceback.format_exception(caught.value)) + repr(session) + caplog.text
    assert "tops3cret" not in shown

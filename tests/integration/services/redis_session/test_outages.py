"""What the server says about itself is heard, said once, by a caller; a known outage is answered at once."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Any

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from lab.azure.redis_server import RedisServer
from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import NotSent, OutcomeUnknown, RedisNotConfigured, RedisUnavailable
from services.redis_session.redis_service import Clocks
from tests.integration.services.conftest import Open, bump
from tests.integration.services.redis_session.conftest import peer
from tests.waiting import until

SOON = Clocks(ping_s=0.3, connect_s=1.0, stall_s=1.0, outage_s=0.1)


def said(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """The session's own lines of a level."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("services.redis_session") and record.levelno == level
    ]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Why Redis cannot be used."""
    return [line for line in said(caplog, logging.WARNING) if line.startswith("Redis cannot be used")]


async def test_why_redis_cannot_be_used_is_logged_once_and_its_end_once(
    own_redis: RedisServer, open_session: Open, caplog: pytest.LogCaptureFixture
) -> None:
    session = open_session(own_redis.url, clocks=SOON)
    await session.ping(2)
    own_redis.kill()
    for _ in range(20):
        with pytest.raises(RedisUnavailable):
            await session.ping(0.2)
    assert [line.split(" (")[0] for line in warned(caplog)] == ["Redis cannot be used: the connection is refused"]
    own_redis.start()
    await session.run(bump, idempotent=True, within_s=10, patient=True)
    assert len([line for line in said(caplog, logging.INFO) if line.startswith("Redis can be used again, after")]) == 1


async def test_what_a_background_task_notices_is_logged_by_a_caller_in_its_own_task(
    open_session: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = open_session("redis://127.0.0.1:1/0")
    tasks: set[Any] = set()

    class Tasks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tasks.add(asyncio.current_task())

    handler = Tasks()
    log = logging.getLogger("services.redis_session.redis_service")
    log.addHandler(handler)
    try:
        with pytest.raises(NotSent):
            await session.ping(0.3)
    finally:
        log.removeHandler(handler)
    assert warned(caplog)
    assert tasks == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("settings", "address", "reason"),
    [
        ({"requirepass": "right"}, "redis://:wrong-secret@127.0.0.1:{port}/0", "the password is refused"),
        ({"requirepass": "right"}, "redis://127.0.0.1:{port}/0", "Redis wants a password"),
        ({}, "redis://no-such-host.invalid:{port}/0", "the host is unknown"),
        ({}, "redis://127.0.0.1:1/0", "the connection is refused"),
        ({}, "rediss://127.0.0.1:{port}/0", "nobody speaks TLS there, or Redis does not answer"),
        ({}, "redis://127.0.0.1:{port}/99", "the database does not exist"),
        ({"maxclients": "1"}, "redis://127.0.0.1:{port}/0", "Redis takes no more clients"),
    ],
)
async def test_the_reason_of_a_failed_connect_names_its_kind_in_plain_words(
    own_redis: RedisServer,
    open_session: Open,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, str],
    address: str,
    reason: str,
) -> None:
    with redis.Redis.from_url(own_redis.url) as admin:
        for name, value in settings.items():
            admin.config_set(name, value)
        session = open_session(address.format(port=own_redis.port))
        with pytest.raises(RedisUnavailable) as shown:
            await session.run(bump, idempotent=True, within_s=2)
    assert shown.value.reason == reason
    assert any(reason in line for line in warned(caplog))
    assert "wrong-secret" not in caplog.text


async def test_a_call_without_rights_is_unavailable_reported_and_remembered_until_one_succeeds(
    own_redis: RedisServer, open_session: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-incrby")
        session = open_session(f"redis://app:secret@127.0.0.1:{own_redis.port}/0")
        with pytest.raises(RedisUnavailable) as shown:
            await session.run(bump, idempotent=True, within_s=1)
        assert shown.value.reason == "Redis does not permit a command"
        with pytest.raises(RedisUnavailable, match="does not permit"):
            await session.ping(1)
        admin.execute_command("ACL", "SETUSER", "app", "+incrby")
    await session.run(bump, idempotent=True, within_s=1)
    await session.ping(1)
    assert session.counters.connections_opened == 1
    assert len(warned(caplog)) == 1


async def test_a_session_whose_ping_alone_is_forbidden_is_usable(own_redis: RedisServer, open_session: Open) -> None:
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-ping")
    session = open_session(f"redis://app:secret@127.0.0.1:{own_redis.port}/0", clocks=Clocks(idle_check_s=0))
    await session.ping(2)
    assert await session.run(bump, idempotent=False, within_s=2) == 1
    assert session.counters.connections_opened == 1


@pytest.mark.parametrize("line", ["MOVED 3999 10.0.0.1:8501", "ASK 3999 10.0.0.1:8501", "DENIED by the proxy"])
async def test_a_reply_about_the_place_is_no_error_of_the_operation_but_said_and_remembered(
    open_session: Open, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(b"%0\r\n" if b"HELLO" in data else f"-{line}\r\n".encode())

    async with peer(serve) as url:
        session = open_session(url)
        with pytest.raises(RedisUnavailable) as shown:
            await session.run(bump, idempotent=True, within_s=1)
        assert shown.value.reason is not None
        with pytest.raises(RedisUnavailable, match=shown.value.reason):
            await session.ping(1)
        assert warned(caplog) == [f"Redis cannot be used: {shown.value.reason} ({line.split()[0]})"]
        await session.aclose()


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_server_without_hello_is_too_old_for_resp3_only(open_session: Open, protocol: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := await reader.read(1000):
            setname = b"+OK\r\n" if b"SETNAME" in words and protocol == 2 else b""
            hello = b"-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n" if b"HELLO" in words else b""
            writer.write(setname + hello + (b"+PONG\r\n" if b"PING" in words else b""))

    async with peer(serve) as url:
        session = open_session(url.replace("=3", f"={protocol}"))
        if protocol == 2:
            await session.ping(5)
        else:
            with pytest.raises(RedisUnavailable) as shown:
                await session.ping(0.5)
            assert shown.value.reason == "the Redis is too old"
        await session.aclose()


async def test_a_patient_call_waits_for_what_an_impatient_one_gives_up_at_once(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url)
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.config_set("maxmemory", 1)
        with pytest.raises(RedisUnavailable, match="OOM"):
            await session.run(bump, idempotent=False, within_s=2)
        waiting = asyncio.create_task(session.run(bump, idempotent=False, within_s=20, patient=True))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        admin.config_set("maxmemory", 0)
    assert await waiting == 1


async def test_a_patient_call_without_an_address_waits_its_time(open_session: Open) -> None:
    waits: list[float] = []

    class Short(random.Random):
        def uniform(self, a: float, b: float) -> float:
            waits.append(0.01)
            return waits[-1]

    session = open_session(None, randomness=Short())
    with pytest.raises(RedisNotConfigured):
        await session.run(bump, idempotent=True, within_s=0.5, patient=True)
    assert len(waits) > 1  # after each failure there was another attempt
    with pytest.raises(RedisNotConfigured):
        await session.run(bump, idempotent=True, within_s=60)


async def test_a_patient_call_repeats_an_unknown_outcome_only_if_idempotent(redis_url: str, open_session: Open) -> None:
    async def lost(client: Redis) -> None:
        await client.incr("n")
        raise OutcomeUnknown("as if the reply was lost")

    session = open_session(redis_url)
    with pytest.raises(OutcomeUnknown):
        await session.run(lost, idempotent=False, within_s=5, patient=True)
    assert await session.run(bump, idempotent=False, within_s=2) == 2


async def test_attempts_go_on_without_a_caller_until_nobody_has_called_for_a_minute(open_session: Open) -> None:
    session = open_session("redis://127.0.0.1:1/0")
    with pytest.raises(NotSent):
        await session.ping(0.3)
    failed = session.counters.connects_failed
    await until(lambda: session.counters.connects_failed >= failed + 2)
    session._called_at -= 60
    await until(lambda: not session._tasks)


async def test_a_known_outage_is_answered_at_once_with_one_attempt_for_all(
    proxy: TcpProxy, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(proxy.url, clocks=SOON)
    await session.ping(2)
    proxy.refuse()
    proxy.reset_all()
    await until(lambda: session.open_client is None or not session.open_client.connected)
    with pytest.raises(RedisUnavailable):
        await session.ping(2)
    await until(session._outage_known)
    monkeypatch.setattr("services.redis_session.backoff.Backoff.next_wait_s", lambda _self: 3600.0)
    failed = session.counters.connects_failed
    shown = await asyncio.gather(*(session.ping(60) for _ in range(1000)), return_exceptions=True)
    assert all(isinstance(error, NotSent) for error in shown)
    assert session.counters.connects_failed - failed <= 1


async def test_the_first_success_of_the_background_attempt_opens_the_door_for_all(
    own_redis: RedisServer, open_session: Open
) -> None:
    session = open_session(own_redis.url, clocks=SOON)
    await session.ping(2)
    own_redis.kill()
    await until(lambda: session.open_client is None or not session.open_client.connected)
    with pytest.raises(RedisUnavailable):
        await session.ping(2)
    await until(session._outage_known)
    patient = asyncio.create_task(session.run(bump, idempotent=True, within_s=30, patient=True))
    own_redis.start()
    await until(lambda: not session._outage_known())
    assert await session.run(bump, idempotent=True, within_s=5) >= 1
    await patient


async def test_a_call_that_waits_when_the_outage_becomes_known_is_told_then(
    proxy: TcpProxy, open_session: Open
) -> None:
    session = open_session(proxy.url, clocks=Clocks(connect_s=30, outage_s=0.1))
    proxy.black_hole()
    with pytest.raises(NotSent, match="an outage is known: Redis does not answer"):
        await session.ping(25)


async def test_an_event_loop_that_is_held_up_during_a_connect_makes_no_outage(
    redis_url: str, open_session: Open
) -> None:
    """As a cold start whose imports take longer than `outage_s`: whoever waits, and whoever comes next, is served."""
    session = open_session(redis_url, clocks=Clocks(outage_s=0.2))
    calls = [asyncio.create_task(session.run(bump, idempotent=False, within_s=60)) for _ in range(3)]
    while "connect" not in session._tasks:  # noqa: ASYNC110 - for one turn or two
        await asyncio.sleep(0)
    time.sleep(1)  # noqa: ASYNC251 - somebody's code
    calls.append(asyncio.create_task(session.run(bump, idempotent=False, within_s=60)))
    assert sorted(await asyncio.gather(*calls)) == [1, 2, 3, 4]


async def test_an_unknown_error_reply_is_passed_on_as_what_it_is(redis_url: str, open_session: Open) -> None:
    async def unknown(client: Any) -> Any:
        return await client.execute_command("NO-SUCH")

    session = open_session(redis_url)
    with pytest.raises(ResponseError, match="unknown command"):
        await session.run(unknown, idempotent=True, within_s=1)


@pytest.mark.parametrize(
    "address", ["rediss://host,password=SECRET-KEY,ssl=True", "redis://h:SECRET-KEY", "redis://h/0?SECRET-KEY=1"]
)
async def test_an_address_that_cannot_be_read_shows_nothing_of_itself(
    open_session: Open, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    with pytest.raises(RedisNotConfigured) as shown:
        await open_session(address).ping(1)
    assert "SECRET-KEY" not in f"{shown.value!r}{shown.value.__cause__!r}{shown.value.__context__!r}{caplog.text}"


async def test_client_list_shows_who_we_are(redis_url: str, open_session: Open) -> None:
    session = open_session(redis_url, name="shop instance/1")
    client = await session.healthy_client()
    assert client.counters.batches == 1, "the name goes with the greeting"
    info = await session.run(lambda client: client.client_info(), idempotent=True, within_s=2)
    assert str(info["name"]).startswith("shop-instance/1-")

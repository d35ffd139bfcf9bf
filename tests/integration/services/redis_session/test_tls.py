"""The same over TLS, which redis-py negotiates: the taken-over transport is another one there."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from lab.azure.tcp_proxy import TcpProxy
from services.redis_session import Clocks, NotSent, OutcomeUnknown, RedisUnavailable
from services.redis_session.multiplexed_redis import MultiplexedRedis
from tests.integration.services.conftest import Open
from tests.integration.services.redis_session.conftest import Connect, peer
from tests.integration.services.redis_session.tls_relay import ADDRESS, tls_relay, write_certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For 127.0.0.1."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    write_certificate(path, ADDRESS)
    return path


@pytest.fixture
async def tls_port(redis_url: str, certificate: Path) -> AsyncIterator[int]:
    """TLS in front of the shared server."""
    async with tls_relay(certificate, int(redis_url.rsplit(":", 1)[1].split("/")[0])) as relay:
        yield relay.port


async def test_calls_small_and_large_go_both_ways(connect: Connect, tls_port: int, certificate: Path) -> None:
    client = await connect(f"rediss://127.0.0.1:{tls_port}/0", ssl_ca_certs=str(certificate))
    large = b"x" * 8_000_000
    words = [str(i).encode() for i in range(500)]
    set_large, get_large, *echoed = await asyncio.gather(
        client.set("k", large), client.get("k"), *(client.echo(word) for word in words)
    )
    assert (set_large, get_large, echoed) == (True, large, words)
    await client.aclose()


@pytest.mark.parametrize(
    ("scheme", "reason"),
    [
        ("rediss", "the certificate is not trusted"),
        ("redis", "the connection is closed at once; does the port want TLS?"),
    ],
)
async def test_a_certificate_that_is_not_trusted_and_tls_that_is_not_spoken_are_named(
    tls_port: int, open_session: Open, caplog: pytest.LogCaptureFixture, scheme: str, reason: str
) -> None:
    session = open_session(f"{scheme}://127.0.0.1:{tls_port}/0", clocks=Clocks())
    with pytest.raises(RedisUnavailable):
        await session.healthy_client()
    with pytest.raises(RedisUnavailable) as shown:
        await session.ping(0.2)
    assert shown.value.reason == reason
    assert reason in caplog.text
    await session.aclose()


async def test_a_port_that_resets_what_is_not_tls_is_named(open_session: Open) -> None:
    """As Redis does with its `tls-port`."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with peer(reset) as url:
        session = open_session(url)
        with pytest.raises(RedisUnavailable) as shown:
            await session.healthy_client()
        await session.aclose()
    assert shown.value.reason == "the connection is closed at once; does the port want TLS?"


@pytest.mark.parametrize("answer", [b"\x15\x03\x03\x00\x02\x02\x46", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_an_answer_that_is_not_of_redis_is_named(open_session: Open, answer: bytes) -> None:
    """A TLS alert, and a web server's."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await reader.read()

    async with peer(other) as url:
        session = open_session(url)
        with pytest.raises(RedisUnavailable) as shown:
            await session.healthy_client()
        await session.aclose()
    assert shown.value.reason == "the answer is not of Redis; does the port want TLS?"


async def test_tls_that_nobody_speaks_is_named_before_the_first_attempt_has_ended(
    redis_url: str, open_session: Open
) -> None:
    session = open_session(redis_url.replace("redis:", "rediss:"), clocks=Clocks(outage_s=0.1))
    with pytest.raises(RedisUnavailable) as shown:
        await session.healthy_client(patient=False)
    assert shown.value.reason == "nobody speaks TLS there, or Redis does not answer"


async def test_a_black_hole_is_noticed_and_a_slow_link_is_not_mistaken_for_one(
    connect: Connect, tls_port: int, certificate: Path
) -> None:
    async with TcpProxy(tls_port) as proxy:
        client = await connect(f"rediss://127.0.0.1:{proxy.port}/0", ssl_ca_certs=str(certificate), stall_s=1.5)
        proxy.to_server.bytes_per_s = 4e6
        assert await client.set("k", b"x" * 4_000_000)
        proxy.black_hole()
        large, behind = asyncio.ensure_future(client.set("k", b"x" * 16_000_000)), asyncio.ensure_future(client.ping())
        results = await asyncio.gather(large, behind, return_exceptions=True)
        assert [type(result) for result in results] == [OutcomeUnknown, NotSent]


@pytest.mark.parametrize("connect_s", [0.6, 1.6], ids=["in the TLS handshake", "after it"])
async def test_a_connect_that_hangs_leaves_nothing_open(tls_port: int, certificate: Path, connect_s: float) -> None:
    """The handshake takes one round trip, HELLO another."""
    async with TcpProxy(tls_port) as proxy:
        proxy.to_client.delay_s = 1.0
        url = f"rediss://127.0.0.1:{proxy.port}/0"
        client = MultiplexedRedis.from_url(url, connect_s=connect_s, ssl_ca_certs=str(certificate))
        with pytest.raises(RedisTimeoutError):
            await client.connect()
        proxy.heal()
        async with asyncio.timeout(10):
            while proxy.open_links or not proxy.accepted:  # noqa: ASYNC110 - a proxy has no hook for it
                await asyncio.sleep(0.01)

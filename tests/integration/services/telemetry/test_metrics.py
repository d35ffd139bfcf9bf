"""Each metric has the value that known operations on a real server make it have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from redis.asyncio import Redis

from lab.azure.redis_cluster import RedisCluster, admin
from lab.azure.redis_server import free_port
from lab.azure.service_bus import Broker
from services.queue_session import MessageNotSent
from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import QueueService
from services.redis_session import NotSent
from services.redis_session.redis_service import Hooks, RedisService
from services.telemetry.session_metrics import watch
from tests.waiting import until

NO_QUEUE = QueueService(ServiceBusConnection(), None)
SECRET = "hunter2"


@dataclass
class Exported:
    """Reads the metrics of a session as an exporter does."""

    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def watch(self, redis: RedisService, queue: QueueService) -> None:
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        watch(redis, queue, self.provider.get_meter("test"))

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """(attributes, value) of each point of a metric."""
        data = self.reader.get_metrics_data()
        assert data is not None
        (metric,) = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == name]
        return [(dict(point.attributes or {}), getattr(point, "value", None)) for point in metric.data.data_points]

    def redis(self, *names: str) -> list[Any]:
        return [self.points(f"redis.session.{name}")[0][1] for name in names]

    def bus(self, *names: str) -> list[Any]:
        return [self.points(f"servicebus.session.{name}")[0][1] for name in names]


@pytest.fixture
def exported() -> Exported:
    return Exported()


@pytest.fixture
async def session(redis_url: str, exported: Exported) -> AsyncIterator[RedisService]:
    redis = RedisService(redis_url)
    exported.watch(redis, NO_QUEUE)
    yield redis
    await redis.aclose()


async def echo(redis: Redis) -> Any:
    return await redis.echo("x")


async def write(redis: Redis) -> Any:
    return await redis.set("key", "x")


async def at_once(session: RedisService, callers: int) -> None:
    await asyncio.gather(*(session.run(echo, idempotent=True, within_s=10) for _ in range(callers)))


async def test_before_its_first_use_a_session_has_nothing_to_tell_but_zeros(
    session: RedisService, exported: Exported
) -> None:
    names = ["connections", "connects", "recreates", "operations", "commands", "batches", "largest_batch", "backlog"]
    assert exported.redis(*names) == [0] * len(names)


async def test_operations_and_commands_are_counted_over_one_connection(
    session: RedisService, exported: Exported
) -> None:
    await at_once(session, 20)
    await at_once(session, 5)
    assert exported.redis("connections", "connects", "operations", "commands") == [
        1,
        1,
        25,
        26,
    ]  # and the opening's own


async def test_callers_of_one_turn_share_a_write(session: RedisService, exported: Exported) -> None:
    await at_once(session, 1)
    await at_once(session, 20)
    assert exported.redis("batches", "largest_batch") == [3, 20]  # and the opening's own


async def test_a_lost_connection_is_one_recreate_and_what_it_had_counted_stays(
    session: RedisService, exported: Exported, redis_url: str
) -> None:
    await at_once(session, 20)
    async with Redis.from_url(redis_url) as other:
        await other.client_kill_filter(_type="normal", skipme=True)
    await at_once(session, 5)
    assert exported.redis("connections", "connects", "recreates") == [1, 2, 1]
    operations, commands, largest = exported.redis("operations", "commands", "largest_batch")
    assert operations == 25
    assert commands >= 25  # those that the kill had overtaken were sent twice
    assert largest == 20


async def test_in_a_cluster_each_number_is_that_of_all_shards(exported: Exported) -> None:
    keys = ("{a}", "{b}", "{c}")  # one on each shard

    async def bump(redis: Redis) -> Any:
        return await asyncio.gather(*(redis.incr(key) for key in keys for _ in range(10)))

    with RedisCluster(3) as cluster:
        redis = RedisService(cluster.url)
        exported.watch(redis, NO_QUEUE)
        await redis.run(bump, idempotent=False, within_s=10)
        assert exported.redis("connections", "operations", "largest_batch") == [3, 1, 10]
        before = exported.redis("commands", "batches")
        for node in cluster.nodes:
            with admin(node) as client:
                client.client_kill_filter(_type="normal", skipme=True)
        await redis.run(bump, idempotent=True, within_s=10)
        assert exported.redis("connections", "recreates", "operations") == [3, 3, 2]
        commands, batches = exported.redis("commands", "batches")
        assert commands >= before[0] + 30
        assert batches >= before[1] + 3
        await redis.aclose()


async def test_what_is_on_its_way_is_in_flight_and_in_the_backlog(
    session: RedisService, exported: Exported, redis_url: str
) -> None:
    await at_once(session, 1)
    async with Redis.from_url(redis_url) as other:
        await other.client_pause(10_000, all=False)  # only writes wait, so that the pause can be ended
        callers = asyncio.gather(*(session.run(write, idempotent=True, within_s=10) for _ in range(7)))
        await until(lambda: exported.redis("in_flight", "backlog") == [7, 7])
        await other.client_unpause()
        await callers
    assert exported.redis("in_flight", "backlog", "backlog_bytes") == [0, 0, 0]


async def test_an_unreachable_server_is_failed_connects_and_unavailable_by_kind(exported: Exported) -> None:
    redis = RedisService(f"redis://:{SECRET}@127.0.0.1:{free_port()}/0")
    exported.watch(redis, NO_QUEUE)
    for _ in range(2):
        with pytest.raises(NotSent):
            await redis.run(echo, idempotent=True, within_s=0.05)
    assert exported.points("redis.session.unavailable") == [({"error.type": "NotSent"}, 2)]
    connections, connects, failed = exported.redis("connections", "connects", "connects_failed")
    assert (connections, connects) == (0, 0)
    assert failed >= 1
    assert SECRET not in str(exported.reader.get_metrics_data())
    await redis.aclose()


async def test_the_hooks_that_a_session_had_are_called_as_before(redis_url: str, exported: Exported) -> None:
    called: list[str] = []
    hooks = Hooks(on_connect=lambda: called.append("connect"), on_unavailable=lambda error: called.append(str(error)))
    redis = RedisService(redis_url, hooks=hooks)
    exported.watch(redis, NO_QUEUE)
    await at_once(redis, 1)
    assert called == ["connect"]
    await redis.aclose()


async def test_messages_are_counted_by_batch_and_none_waits_when_all_are_confirmed(exported: Exported) -> None:
    with Broker() as broker:
        queue = QueueService(ServiceBusConnection(connection_string=broker.connection_string), "orders")
        exported.watch(RedisService(None), queue)
        await queue.send("m-0", b"{}", within_s=20)
        sending = [asyncio.create_task(queue.send(f"m-{number}", b"{}", within_s=20)) for number in range(1, 10)]
        await asyncio.sleep(0)  # each has begun
        assert exported.bus("waiting") == [9]
        await asyncio.gather(*sending)
        assert exported.bus("opened", "sent", "failures", "waiting") == [1, 10, 0, 0]
        assert exported.bus("batches")[0] < 10
        await queue.aclose()


async def test_a_message_that_could_not_be_sent_is_a_failure(exported: Exported) -> None:
    connection = f"Endpoint=sb://127.0.0.1:{free_port()};SharedAccessKeyName=a;SharedAccessKey={SECRET};"
    queue = QueueService(ServiceBusConnection(connection_string=connection + "UseDevelopmentEmulator=true;"), "orders")
    exported.watch(RedisService(None), queue)
    with pytest.raises(MessageNotSent):
        await queue.send("m-1", b"{}", within_s=0.2)
    assert exported.bus("sent", "failures") == [0, 1]
    await queue.aclose()

"""Everything a run needs, put up and taken down: a Redis with a limit, a Service Bus, a fleet and its front.

The lab's own Redis connections carry the name `lab` and go past the proxy: at most budget.LAB_CLIENTS.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from lab.azure import redis_cluster
from lab.azure.redis_server import HOST, RedisServer
from lab.azure.service_bus.queue_config import QueueConfig
from lab.azure.settings import CONNECTION, DEFAULT_QUEUE, QUEUE, ROOT
from lab.azure.tcp_proxy import TcpProxy
from lab.azure.temporary import owned
from lab.proof.fleet import budget
from lab.proof.fleet.bus_process import BusProcess
from lab.proof.fleet.fleet import Fleet
from lab.proof.fleet.front import INSTANCE_S, Front
from lab.proof.fleet.instance import Group, Task
from lab.proof.strategies import OURS
from lab.proof.strategies.install import install
from services.redis_session import Clocks

ADMIN_S = 5.0
POLL_S = 0.05


@dataclass(frozen=True)
class Plan:
    """What to put up. `http` and `fulfilment`: instances of each scale group at full scale-out.

    `settings`: further app settings. `lock_s` and `max_delivery_count`: of the queue. `proxied`: a TCP proxy that can
    fail is between the instances and Redis. `prepare`: called in each instance in place of the strategy.
    `primaries`: of a Redis Cluster, 1 for a single server; with `replicas` behind each, which take over after
    `node_timeout_ms`. `client_limit` is that of each.
    """

    http: int
    fulfilment: int
    client_limit: int
    strategy: str = OURS
    clocks: Clocks | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    lock_s: float = 60.0
    max_delivery_count: int = 10
    appendfsync: str = "everysec"
    proxied: bool = False
    instance_s: float = INSTANCE_S
    prepare: Callable[[], None] | None = None
    primaries: int = 1
    replicas: int = 0
    node_timeout_ms: int = 1000

    @property
    def instances(self) -> int:
        """All of them."""
        return self.http + self.fulfilment

    @property
    def full(self) -> dict[Group, int]:
        return {Group.HTTP: self.http, Group.FULFILMENT: self.fulfilment}

    def check(self) -> None:
        """Raise OverBudget if ours would not fit; the other strategies are here to be seen failing."""
        if self.strategy == OURS and self.prepare is None:
            budget.check(self.instances, self.client_limit)


@dataclass
class Stage:
    """What a run works with. `redis` is one server, and the first node of the `cluster` if there is one."""

    plan: Plan
    redis: RedisServer
    bus: BusProcess
    fleet: Fleet
    front: Front
    proxy: TcpProxy | None
    folder: Path
    _admins: list[Redis | RedisCluster]
    cluster: redis_cluster.RedisCluster | None = None

    def admin(self) -> Redis:
        """One more connection of the lab's own to Redis, straight to it; closed with the stage."""
        client = Redis.from_url(
            self.redis.url,
            client_name=budget.LAB,
            single_connection_client=True,
            socket_timeout=ADMIN_S,
            socket_connect_timeout=ADMIN_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._admins.append(client)
        return client

    def reader(self) -> Redis | RedisCluster:
        """As `admin`, of the whole cluster if there is one."""
        if self.cluster is None:
            return self.admin()
        client = RedisCluster.from_url(
            self.cluster.url, client_name=budget.LAB, require_full_coverage=False, socket_timeout=ADMIN_S
        )
        self._admins.append(client)
        return client

    async def queue_stats(self) -> dict[str, int]:
        stats: dict[str, int] = await self.bus.ask("stats", DEFAULT_QUEUE)
        return stats

    async def emptied(self, within_s: float) -> None:
        """Wait until no message is on the queue, whatever became of them. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while (await self.queue_stats())["active"]:  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(POLL_S)


@asynccontextmanager
async def put_up(plan: Plan) -> AsyncIterator[Stage]:
    """A stage without instances yet. Raises OverBudget, RedisServerError, BusError."""
    plan.check()
    queue = QueueConfig(plan.lock_s, plan.max_delivery_count, dead_letter_on_expiration=True, duplicate_window_s=600.0)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix=owned("fleet"), ignore_cleanup_errors=True)))
        started = _redis_of(plan)
        stack.callback(started.stop)
        await asyncio.to_thread(started.start)
        redis, cluster = (started, None) if isinstance(started, RedisServer) else (started.nodes[0], started)
        proxy = await stack.enter_async_context(TcpProxy(redis.port)) if plan.proxied else None
        bus = await stack.enter_async_context(BusProcess({DEFAULT_QUEUE: queue}))
        task = Task(
            folder=ROOT,
            log=folder / "instances.log",
            settings=_settings(plan, proxy.port if proxy else redis.port, bus.connection_string),
            prepare=plan.prepare or partial(install, plan.strategy, plan.clocks),
        )
        fleet = await stack.enter_async_context(Fleet(task))
        front = await stack.enter_async_context(Front(fleet, instance_s=plan.instance_s))
        admins: list[Redis | RedisCluster] = []
        stack.push_async_callback(_close_all, admins)
        yield Stage(plan, redis, bus, fleet, front, proxy, folder, admins, cluster)


def _redis_of(plan: Plan) -> RedisServer | redis_cluster.RedisCluster:
    if plan.primaries == 1:
        return RedisServer(maxclients=plan.client_limit, appendfsync=plan.appendfsync)
    return redis_cluster.RedisCluster(
        plan.primaries,
        replicas=plan.replicas,
        node_timeout_ms=plan.node_timeout_ms,
        maxclients=plan.client_limit,
        appendonly=True,
        options={"appendfsync": plan.appendfsync},
    )


def _settings(plan: Plan, redis_port: int, connection: str) -> dict[str, str]:
    return {
        "REDIS_URL": f"redis://{HOST}:{redis_port}/0",
        CONNECTION: connection,
        QUEUE: DEFAULT_QUEUE,
        **plan.settings,
    }


async def _close_all(clients: list[Any]) -> None:
    for client in clients:
        with contextlib.suppress(Exception):  # its server may be gone
            await client.aclose()

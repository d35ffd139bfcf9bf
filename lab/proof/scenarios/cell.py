"""One side in one scenario: puts up Redis and the instances, inflicts what happens, and adds up what was counted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from lab.azure.redis_server import HOST, RedisServer
from lab.azure.tcp_proxy import TcpProxy
from lab.proof.delay_proxy import delay_proxy
from lab.proof.faults.redis import Target, others
from lab.proof.faults.session.load import CHARGED, VALUE, VALUE_KEY
from lab.proof.fleet.budget import LAB
from lab.proof.fleet.forks import context
from lab.proof.scenarios.instance import Report, Task, become
from lab.proof.scenarios.scenario import DEADLINE_S, FIRST_S, Scenario
from lab.proof.tasks import background

SAMPLE_S = 0.02
LEAD_S = 0.05
START_S = 30.0
SAMPLER_CLIENTS = 1  # the sampler's
PATIENCE_S = 15.0


class InstanceError(RuntimeError):
    """An instance did not start, or reported nothing."""


@dataclass
class Cell:
    """One side in one scenario, once. Latencies in ms, over all calls, failed ones included.

    `failed` counts undecided and wrong ones too. `opened`: connections that reached Redis, refused ones included, and
    in a failover up to four of the lab's.
    `cpu_us`: CPU of the instances per call. `starved_ms`: the longest that a caller went on waiting after one who came
    later had been served. `twice`: changes that ran twice and were not to.
    """

    scenario: str
    side: str
    calls: int = 0
    failed: int = 0
    undecided: int = 0
    wrong: int = 0
    twice: int = 0
    refused: int = 0
    opened: int = 0
    peak: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    starved_ms: float = 0.0
    cpu_us: float = 0.0
    per_s: float = 0.0
    errors: list[str] = field(default_factory=list)


@dataclass
class Clients:
    """What Redis says of its clients, sampled: its own counters start again when it is killed."""

    server: RedisServer
    peak: int = 0
    opened: int = 0
    refused: int = 0
    _last: tuple[int, int] | None = None

    async def watch(self) -> None:
        """For ever; cancel it to stop."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with Redis.from_url(
                    self.server.url, client_name=LAB, single_connection_client=True, socket_timeout=PATIENCE_S
                ) as client:
                    self._last = self._last and (1, 0)  # a new life: all but this connection is new
                    while True:
                        await self.look(client)
                        await asyncio.sleep(SAMPLE_S)
            await asyncio.sleep(SAMPLE_S)

    async def look(self, client: Redis) -> None:
        """Take over what Redis has counted since the last look."""
        info: dict[str, Any] = await client.info()
        opened, refused = int(info["total_connections_received"]), int(info["rejected_connections"])
        if int(info["connected_clients"]) - 1 > self.peak:  # a fault may have a connection of its own, too
            self.peak = max(self.peak, len(await others(client)))
        before = self._last or (opened, refused)
        self.opened += max(0, opened - before[0])
        self.refused += max(0, refused - before[1])
        self._last = opened, refused


async def measure(scenario: Scenario, side: str) -> Cell:
    """Run it once. Raises RedisServerError, InstanceError."""
    limit = None if scenario.places is None else scenario.places + SAMPLER_CLIENTS
    with RedisServer(maxclients=limit, appendonly=scenario.inflict is not None) as server:
        async with _way_to(server, scenario) as (port, proxy):
            target = Target(server, proxy)
            async with target.admin() as admin:
                await admin.set(VALUE_KEY, VALUE)
            clients = Clients(server)
            task = Task(side, f"redis://{HOST}:{port}/0", scenario.load, DEADLINE_S if scenario.places else 0.0)
            async with background(clients.watch()), _instances(task, scenario.instances) as channels:
                begins_at = time.monotonic() + LEAD_S
                for channel in channels:
                    channel.send(begins_at)
                within_s = LEAD_S + task.load.seconds + DEADLINE_S + task.stays_s + PATIENCE_S
                reports, _ = await asyncio.gather(_received(channels, within_s), _happen(scenario, target, begins_at))
                await asyncio.sleep(3 * SAMPLE_S)
            async with target.admin() as admin:
                charged = await admin.hgetall(CHARGED)
    cell = add_up(scenario, side, reports)
    cell.twice = sum(int(runs) > 1 for runs in charged.values())
    cell.peak, cell.opened, cell.refused = clients.peak, clients.opened, clients.refused
    return cell


@asynccontextmanager
async def _way_to(server: RedisServer, scenario: Scenario) -> AsyncIterator[tuple[int, TcpProxy]]:
    """The port that the sessions connect to, and the proxy that may be in between."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(TcpProxy(server.port))
        away = stack.enter_context(delay_proxy(server.port, scenario.away_ms))
        yield (proxy.port if scenario.proxied else away), proxy


async def _happen(scenario: Scenario, target: Target, begins_at: float) -> None:
    if scenario.inflict is not None:
        await asyncio.sleep(begins_at + FIRST_S - time.monotonic())
        await scenario.inflict(target)


@asynccontextmanager
async def _instances(task: Task, count: int) -> AsyncIterator[list[Connection]]:
    """The channels of instances that are ready; none is left afterwards. Raises InstanceError."""
    channels, processes = [], []
    try:
        for index in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=become, args=(task, index, theirs), name=f"{task.side} {index}")
            await asyncio.to_thread(process.start)
            theirs.close()
            channels.append(ours)
            processes.append(process)
        await _received(channels, START_S)
        yield channels
    finally:
        for process in processes:
            process.kill()
            await asyncio.to_thread(process.join, 5)
        for channel in channels:
            channel.close()


async def _received(channels: list[Connection], within_s: float) -> list[Any]:
    """The next object of each. Raises InstanceError."""

    def next_of(channel: Connection) -> Any:
        try:
            if channel.poll(within_s):
                return channel.recv()
        except EOFError:
            pass
        raise InstanceError(f"an instance reported nothing within {within_s:.0f} s")

    return list(await asyncio.gather(*(asyncio.to_thread(next_of, channel) for channel in channels)))


def add_up(scenario: Scenario, side: str, reports: list[Report]) -> Cell:
    """What the instances' own records say."""
    calls = sorted(call for report in reports for call in report.calls)
    took = sorted((ended - began) * 1e3 for began, ended, _ in calls) or [0.0]
    kinds = [kind for *_, kind in calls]
    seconds = max(ended for _, ended, _ in calls) - calls[0][0] if calls else 1.0
    return Cell(
        scenario.name,
        side,
        calls=len(calls),
        failed=len(calls) - kinds.count("ok"),
        undecided=kinds.count("undecided"),
        wrong=kinds.count("wrong"),
        p50_ms=round(took[len(took) // 2], 2),
        p99_ms=round(took[len(took) * 99 // 100], 2),
        max_ms=round(took[-1], 2),
        starved_ms=round(starved(calls) * 1e3, 2),
        cpu_us=round(sum(report.cpu_s for report in reports) / max(1, len(calls)) * 1e6, 1),
        per_s=round(kinds.count("ok") / seconds, 1),
        errors=list(dict.fromkeys(error for report in reports for error in report.errors))[:5],
    )


def starved(calls: list[tuple[float, float, str]]) -> float:
    """The longest that a call lasted beyond the first good answer to one that began after it, in seconds.

    `calls`: (began, ended, kind), by when they began.
    """
    longest, served = 0.0, float("inf")
    for _, ended, kind in reversed(calls):
        longest = max(longest, ended - served)
        if kind == "ok":
            served = min(served, ended)
    return longest

"""What happens while a spike runs, sampled: clients, refusals, instances, answers, queue, decisions, CPU seconds.

It uses one connection to Redis of the lab's own, opened before the crowd comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from dataclasses import dataclass, field

import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from lab.proof.fleet.bus_process import BusError
from lab.proof.fleet.fleet import State
from lab.proof.fleet.instance import Group
from lab.proof.outcome import Moment
from lab.proof.spike.load import Load
from lab.proof.spike.stage import Stage
from lab.tickets.books import Books

CLIENTS_EVERY_S = 0.1
MOMENTS_EVERY = 5  # looks at the clients


@dataclass
class Timeline:
    """`watch` until cancelled, then `count` once more; `moments` has what it saw.

    `redis`: a connection of its own. `cpu_s`: process id -> (role, CPU seconds).
    """

    stage: Stage
    load: Load
    books: Books
    redis: Redis
    moments: list[Moment] = field(default_factory=list)
    peak_clients: int = 0
    refused_connections: int = 0
    cpu_s: dict[int, tuple[str, float]] = field(default_factory=dict)
    _base_cpu: float = 0.0

    async def watch(self) -> None:
        """Sample for ever; cancel it to stop."""
        self._base_cpu = _cpu_of(psutil.Process())
        while True:
            recent: list[int] = []
            for _ in range(MOMENTS_EVERY):
                with contextlib.suppress(RedisError, OSError):
                    recent.append(int((await self.redis.info("clients"))["connected_clients"]))
                    self.peak_clients = max(self.peak_clients, recent[-1])
                await asyncio.sleep(CLIENTS_EVERY_S)
            await self.count()
            with contextlib.suppress(BusError):
                await self._note(max(recent, default=None))

    async def count(self) -> None:
        """Take over what Redis has counted since it started."""
        with contextlib.suppress(RedisError, OSError):
            stats = await self.redis.info("stats")
            self.refused_connections = int(stats["rejected_connections"])

    def cpu_by_role(self) -> dict[str, float]:
        """CPU seconds so far, of everything that the run consists of."""
        self._note_cpu()
        found: dict[str, float] = defaultdict(float)
        for role, seconds in self.cpu_s.values():
            found[role] += seconds
        return {role: round(seconds, 1) for role, seconds in sorted(found.items(), key=lambda item: -item[1])}

    async def _note(self, clients: int | None) -> None:
        answers, queue = self.load.answers, (await self.stage.queue_stats())["active"]
        serving = sum(len(self.stage.fleet.of(group, State.SERVING)) for group in Group)
        self.moments.append(
            Moment(
                t=round(asyncio.get_running_loop().time() - self.load.started_at, 2) if self.load.started_at else 0.0,
                clients=clients,
                refused_connections=self.refused_connections,
                instances=serving,
                waiting=self.load.waiting,
                scheduled=answers.scheduled,
                accepted=len(answers.accepted),
                failed=len(answers.failures),
                queue=queue,
                decided=len(self.books.decided),
            )
        )
        self._note_cpu()

    def _note_cpu(self) -> None:
        roles = {instance.pid: f"{instance.group} instances" for instance in self.stage.fleet.alive}
        roles[self.stage.bus.pid] = "Service Bus"
        roles[self.stage.redis.pid] = "Redis"
        for pid, role in roles.items():
            with contextlib.suppress(psutil.Error):
                self.cpu_s[pid] = (role, _cpu_of(psutil.Process(pid)))
        self.cpu_s[0] = ("load generator, proxy and bookkeeping", _cpu_of(psutil.Process()) - self._base_cpu)


def _cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)

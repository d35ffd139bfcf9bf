"""What a fault may touch while customers order: the stage, the load, the books, and the lab's own way to Redis."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from lab.azure.tcp_proxy import TcpProxy
from lab.proof.faults.pace import Pace
from lab.proof.spike.books import Books
from lab.proof.spike.load import Load
from lab.proof.spike.stage import LAB, Stage

POLL_S = 0.05


@dataclass
class Scene:
    """`stock`: of the drop now. `completed`: order ids whose message was completed before Redis lost its data.

    `notes`: what went wrong beside the load.
    """

    stage: Stage
    load: Load
    books: Books
    admin: Redis
    pace: Pace
    stock: int
    completed: frozenset[str] = frozenset()
    replayed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def proxy(self) -> TcpProxy:
        """What stands between the instances and Redis."""
        proxy = self.stage.proxy
        assert proxy is not None  # noqa: S101 - every trial's plan is `proxied`
        return proxy

    async def clients(self) -> list[dict[str, Any]]:
        """The clients that Redis has, without the lab's own."""
        return [row for row in await self.admin.client_list() if row["name"] != LAB]

    async def kill_clients(self) -> None:
        """CLIENT KILL of everybody but the lab."""
        for row in await self.clients():
            await self.admin.client_kill_filter(_id=row["id"])

    async def settled_clients(self, wanted: int, within_s: float = 10.0) -> int:
        """How many there are once there are no more than `wanted`, or when the time is over."""
        clock = asyncio.get_running_loop().time
        ends = clock() + within_s
        while (found := len(await self.clients())) > wanted and clock() < ends:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(POLL_S)
        return found

    async def stat(self, name: str) -> int:
        """A number of INFO stats."""
        return int((await self.admin.info("stats"))[name])

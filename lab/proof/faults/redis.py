"""What can happen to a Redis while somebody uses it: each fault once, for the session's trials and for the app's.

Each returns when the fault is over, and raises FaultDidNotHappen if it had no effect. Durations are seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio import Redis

from lab.azure.redis_server import HOST, RedisServer, free_port
from lab.azure.tcp_proxy import TcpProxy
from lab.proof.fleet.budget import LAB
from services.redis_session import Clocks

ADMIN_S = 5.0
POLL_S = 0.02
HAPPENS_WITHIN_S = 60.0


class FaultDidNotHappen(RuntimeError):
    """The trial proves nothing: what it was to endure did not take place."""


async def some(count: Callable[[], Awaitable[int]]) -> int:
    """What it counts, once that is anything; 0 if it is nothing for a minute."""
    clock = asyncio.get_running_loop().time
    ends = clock() + HAPPENS_WITHIN_S
    while not (found := await count()) and clock() < ends:  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(POLL_S)
    return found


@dataclass(frozen=True)
class Node:
    """A server, with connections of the lab's own to it, which are short."""

    server: RedisServer

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Redis]:
        """A connection of the lab's own, closed afterwards."""
        async with Redis.from_url(
            self.server.url,
            client_name=LAB,
            single_connection_client=True,
            socket_timeout=ADMIN_S,
            socket_connect_timeout=ADMIN_S,
        ) as client:
            yield client

    async def ask(self, *command: str | bytes) -> Any:
        async with self.admin() as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py's

    async def clients(self) -> list[dict[str, Any]]:
        """The clients that the server has, without the lab's own."""
        async with self.admin() as client:
            return await others(client)

    async def kill_clients(self) -> None:
        """CLIENT KILL of everybody but the lab."""
        async with self.admin() as client:
            await _kill(client, await others(client))

    async def settled_clients(self, wanted: int, within_s: float) -> int:
        """How many clients there are once there are no more than `wanted`, or when the time is over."""
        clock = asyncio.get_running_loop().time
        ends = clock() + within_s
        while (count := len(await self.clients())) > wanted and clock() < ends:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(POLL_S)
        return count

    async def stat(self, name: str) -> int:
        async with self.admin() as client:
            return int((await client.info("stats"))[name])


@dataclass(frozen=True)
class Target(Node):
    """A server and the proxy through which it is used. The lab's own connections go past the proxy."""

    proxy: TcpProxy


class Paced(Protocol):
    """What both paces have."""

    @property
    def clocks(self) -> Clocks:
        """Of the session."""


def soon(_pace: Paced) -> float:
    """How long calls may fail after a server's return."""
    return 3.0


def after_connect(pace: Paced) -> float:
    """How long calls may fail after a silence."""
    return pace.clocks.connect_s + 2


async def others(admin: Redis) -> list[dict[str, Any]]:
    """Without the lab, and what the nodes of a cluster open to each other: replication, and MIGRATE's."""
    return [
        row
        for row in await admin.client_list()
        if row["name"] != LAB and not set("SM") & set(row["flags"]) and not row["cmd"].startswith("restore")
    ]


async def _kill(admin: Redis, clients: list[dict[str, Any]]) -> None:
    for row in clients:
        await admin.client_kill_filter(_id=row["id"])


async def kill(target: Target, seconds: float) -> None:
    """A crash; the server is back after a while, with everything that it had logged."""
    target.server.kill()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(target.server.start)


async def pause(target: Target, seconds: float) -> None:
    """The server stops answering; its kernel goes on accepting."""
    target.server.pause()
    await asyncio.sleep(seconds)
    target.server.resume()


async def black_hole(target: Target, seconds: float) -> None:
    """Nothing passes and neither side is notified; what was held back passes afterwards, as by TCP."""
    target.proxy.black_hole()
    await asyncio.sleep(seconds)
    target.proxy.heal()


async def read_only(target: Target, seconds: float) -> None:
    """The server turns into a replica and back: PING and reads go on, writes are refused."""
    await target.ask("REPLICAOF", HOST, str(free_port()))
    await asyncio.sleep(seconds)
    await target.ask("REPLICAOF", "NO", "ONE")


async def full_server(target: Target, seconds: float) -> None:
    """All connections are gone and no new one is let in."""
    before = await target.stat("rejected_connections")
    async with target.admin() as admin:

        async def refused() -> int:
            return int((await admin.info("stats"))["rejected_connections"]) - before

        limit = (await admin.config_get("maxclients"))["maxclients"]
        clients = await others(admin)
        await admin.config_set("maxclients", len(await admin.client_list()) - len(clients))
        await _kill(admin, clients)
        await asyncio.sleep(seconds)
        if not await some(refused):
            raise FaultDidNotHappen("Redis refused no connection")
        await admin.config_set("maxclients", str(limit))


async def client_kill(target: Target, times: int, every_s: float) -> None:
    """CLIENT KILL of every connection, again and again."""
    for _ in range(times):
        await target.kill_clients()
        await asyncio.sleep(every_s)


async def script_flush(target: Target, times: int, every_s: float) -> None:
    """The server forgets its scripts, again and again."""
    for _ in range(times):
        await target.ask("SCRIPT", "FLUSH")
        await asyncio.sleep(every_s)

"""The stage of one trial: a server, a proxy in front of it, and what the lab itself asks of the server.

The lab's own connections are short, go past the proxy and carry the name `lab`, so that they are never counted.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from lab.azure.redis_server import HOST, RedisServer
from lab.azure.tcp_proxy import TcpProxy
from lab.proof.session_faults.load import CHARGED, DECIDED, VALUE, VALUE_KEY, Load
from lab.proof.session_faults.pace import Pace
from lab.proof.strategies import Session

LAB, USER = "lab", "app"
POLL_S = 0.02


class FaultDidNotHappen(RuntimeError):
    """The trial proves nothing: what it was to endure did not take place."""


@dataclass
class Scene:
    """What a fault may touch. `notes`: what went wrong beside the load."""

    server: RedisServer
    proxy: TcpProxy
    session: Session
    load: Load
    pace: Pace
    password: str
    notes: list[str] = field(default_factory=list)

    async def ask(self, *command: str) -> Any:
        """One command of the lab, on a connection of its own."""
        async with admin(self.server) as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py's

    async def kill_clients(self) -> None:
        """CLIENT KILL of everybody but the lab."""
        await self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def clients(self) -> int:
        """How many clients the server has, without the lab."""
        async with admin(self.server) as client:
            return sum(row["name"] != LAB for row in await client.client_list())

    async def settled_clients(self, wanted: int, deadline_s: float = 2.0) -> int:
        """How many there are once there are no more than `wanted`, or when the deadline is over."""
        clock = asyncio.get_running_loop().time
        ends = clock() + deadline_s
        while (found := await self.clients()) > wanted and clock() < ends:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(POLL_S)
        return found


def new_password() -> str:
    """One that no log has seen."""
    return secrets.token_hex(8)


def user_option(password: str) -> dict[str, str]:
    """The line of redis.conf that makes the user of the load."""
    return {"user": f"{USER} on >{password} ~* &* +@all"}


def url_of(proxy: TcpProxy, password: str) -> str:
    """Where the load connects."""
    return f"redis://{USER}:{password}@{HOST}:{proxy.port}/0"


@asynccontextmanager
async def admin(server: RedisServer) -> AsyncIterator[Redis]:
    """A connection past the proxy, closed afterwards."""
    async with Redis.from_url(server.url, client_name=LAB, single_connection_client=True) as client:
        yield client


async def prepare(server: RedisServer) -> None:
    """The value that is read."""
    async with admin(server) as client:
        await client.set(VALUE_KEY, VALUE)


async def written(server: RedisServer) -> tuple[dict[int, int], set[int]]:
    """What the server knows: how often each charge ran, and which decisions it holds."""
    async with admin(server) as client:
        charged = await client.hgetall(CHARGED)
        decided = await client.hkeys(DECIDED)
    return {int(number): int(runs) for number, runs in charged.items()}, {int(number) for number in decided}


async def until(condition: Callable[[], bool], deadline_s: float, otherwise: str) -> None:
    """Wait for something that offers no event. Raises FaultDidNotHappen(otherwise)."""
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():  # noqa: ASYNC110 - it happens in the proxy or in another process
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise FaultDidNotHappen(otherwise) from None

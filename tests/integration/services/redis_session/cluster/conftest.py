"""A real cluster of three primaries, shared by the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import pytest

from lab.azure.redis_cluster import RedisCluster, admin
from lab.azure.redis_server import RedisServer
from services.redis_session import Clocks, RedisService

QUICK = Clocks(ping_s=0.5, connect_s=2.0, stall_s=1.0, idle_check_s=0.5)


class Session(Protocol):
    """Makes sessions, which the fixture closes."""

    def __call__(self, url: str, clocks: Clocks = QUICK, connections: int = 1, **options: Any) -> RedisService: ...


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[RedisCluster]:
    with RedisCluster(3) as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: RedisCluster) -> RedisCluster:
    """The shared cluster, emptied."""
    for node in running_cluster.nodes:
        with admin(node) as client:
            client.flushall()
            client.script_flush()
            client.config_resetstat()
    return running_cluster


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    opened: list[RedisService] = []

    def new(url: str, clocks: Clocks = QUICK, connections: int = 1, **options: Any) -> RedisService:
        opened.append(RedisService(url, clocks=clocks, connections=connections, **options))
        return opened[-1]

    yield new
    for one in opened:
        await one.aclose()


def clients_of(node: RedisServer) -> int:
    """Connections to a node besides the one that asks, and those of its peers."""
    with admin(node) as client:
        found = client.client_list()
    return len([one for one in found if one["flags"] == "N" and not one["cmd"].startswith("restore")]) - 1


def calls_of(node: RedisServer, command: str) -> int:
    """How often a node has run a command."""
    with admin(node) as client:
        stats = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])

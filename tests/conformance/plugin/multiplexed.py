"""A pytest plugin for redis-py's tests: puts the multiplexed client in the place of redis-py's, and notes outcomes.

It is loaded beside a package of redis-py that is also named `tests`, so it stands outside of ours.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import redis.asyncio
import redis.asyncio.client
import redis.asyncio.cluster

from services.redis_session.cluster_client import ClusterRedis
from services.redis_session.multiplexed_redis import MultiplexedRedis
from services.redis_session.pipeline import MultiplexedPipeline
from services.redis_session.redis_service import RedisService

SIDE_CONNECTIONS = 8


class _Pipeline(MultiplexedPipeline):
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        client: Any = self._client
        await client.initialize()
        return await super().execute(raise_on_error)


class MultiplexedClient(MultiplexedRedis):
    """With side connections, and connected at its first command, as redis-py's tests expect of a client."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"side_connections": SIDE_CONNECTIONS, **options})
        self._first_use = asyncio.Lock()

    async def initialize(self) -> MultiplexedClient:
        async with self._first_use:
            await super().initialize()
        return self

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        await self.initialize()
        return await super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> MultiplexedPipeline:
        return _Pipeline(self, transaction, shard_hint)

    def client(self) -> Any:
        """What redis-py's fixtures take for a client with a single connection."""
        return MultiplexedClient(connection_pool=self.connection_pool)


class MultiplexedCluster:
    """A session with a cluster in the place of redis-py's RedisCluster. `target_nodes` is ignored: ours knows where."""

    ERRORS_ALLOW_RETRY = redis.asyncio.cluster.RedisCluster.ERRORS_ALLOW_RETRY
    __class__ = property(lambda self: MultiplexedClient)  # whose protocol redis-py's tests look up

    def __init__(self, url: str, **options: Any) -> None:
        options = {name: value for name, value in options.items() if value}
        self._service = RedisService(f"{url}?{urlencode(options)}", connections=1 + SIDE_CONNECTIONS)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> MultiplexedCluster:
        """As redis-py's."""
        return cls(url, **options)

    async def initialize(self) -> MultiplexedCluster:
        self._client = await self._service.healthy_client()
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._client, name)

    def get_node(self, *_: object, **__: object) -> None:
        """No test needs to know which node."""

    get_random_node = get_default_node = get_node_from_key = get_node

    def get_nodes(self) -> list[None]:
        """For `target_nodes`."""
        return [None]

    get_primaries = get_nodes

    async def aclose(self) -> None:
        await self._service.aclose()


async def _wherever(self: ClusterRedis, *args: Any, target_nodes: object = None, **options: Any) -> Any:
    return await _on_a_cluster(self, *args, **options)


class _Outcomes:
    def __init__(self, path: Path) -> None:
        self.path, self.seen = path, dict[str, str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test's worst phase counts."""
        if report.failed or (report.when == "call" and report.nodeid not in self.seen) or report.skipped:
            self.seen[report.nodeid] = report.outcome

    def pytest_sessionfinish(self) -> None:
        """For the process that compares."""
        self.path.write_text(json.dumps(self.seen))


def pytest_configure(config: pytest.Config) -> None:
    """CONFORMANCE_OUTCOMES: where to write them. CONFORMANCE_CLIENT: `ours`, or redis-py's own."""
    config.pluginmanager.register(_Outcomes(Path(os.environ["CONFORMANCE_OUTCOMES"])))


if os.environ["CONFORMANCE_CLIENT"] == "ours":
    for module in (redis.asyncio, redis.asyncio.client):
        setattr(module, "Redis", MultiplexedClient)  # noqa: B010 - mypy rightly objects to assigning a class
    setattr(redis.asyncio, "StrictRedis", MultiplexedClient)  # noqa: B010
    setattr(redis.asyncio, "RedisCluster", MultiplexedCluster)  # noqa: B010
    setattr(redis.asyncio.cluster, "RedisCluster", MultiplexedCluster)  # noqa: B010
    _on_a_cluster = ClusterRedis.execute_command
    setattr(ClusterRedis, "execute_command", _wherever)  # noqa: B010

"""A pytest plugin for redis-py's tests: puts the multiplexed client in the place of redis-py's, and notes outcomes.

It is loaded beside a package of redis-py that is also named `tests`, so it stands outside of ours.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import redis.asyncio.client

from services.redis_session.multiplexed_redis import MultiplexedRedis
from services.redis_session.pipeline import MultiplexedPipeline

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

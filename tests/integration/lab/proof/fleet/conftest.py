"""A fleet of a tiny app, on the shared Valkey and a Service Bus of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from lab.azure.service_bus.queue_config import QueueConfig
from lab.proof.fleet.bus_process import BusProcess
from lab.proof.fleet.fleet import Fleet
from lab.proof.fleet.front import Front
from lab.proof.fleet.instance import Task
from tests.integration.lab.azure.service_bus.conftest import hurried_sdk
from tests.integration.lab.proof.fleet.app import write_app
from tests.waiting import gone, until

__all__ = ["hurried_sdk"]

WAIT_S = 40


@pytest.fixture
async def bus() -> AsyncIterator[BusProcess]:
    async with BusProcess({"orders": QueueConfig()}) as running:
        yield running


@pytest.fixture
def make_task(tmp_path: Path, redis_url: str) -> Callable[..., Task]:
    """The tiny app as a task; `connection`: to the Service Bus."""

    def make(prepare: Callable[[], None] | None = None, connection: str | None = None) -> Task:
        nobody = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true;"
        settings = {"REDIS_URL": redis_url, "ServiceBusConnection": connection or nobody}
        return Task(write_app(tmp_path), tmp_path / "instances.log", settings, prepare)

    return make


@pytest.fixture
async def fleet(make_task: Callable[..., Task]) -> AsyncIterator[Fleet]:
    """Without instances yet; of HTTP functions only."""
    async with Fleet(make_task()) as running:
        yield running


@pytest.fixture
async def front(fleet: Fleet) -> AsyncIterator[Front]:
    async with Front(fleet) as serving:
        yield serving


@pytest.fixture
async def http(front: Front) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the front."""
    async with httpx.AsyncClient(base_url=front.url, timeout=WAIT_S) as client:
        yield client


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Any]:  # redis-py's annotations know replies of text only
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def begun(redis: Any) -> int:
    """The process that has begun to hold something; waits for it."""
    found = await redis.blpop("begun", timeout=WAIT_S)
    assert found is not None, "nothing was begun"
    return int(found[1])


async def all_gone(pids: list[int]) -> None:
    """Wait until none of these processes is left."""
    try:
        await until(lambda: all(map(gone, pids)), 20)
    except TimeoutError:
        left = [pid for pid in pids if not gone(pid)]
        for pid in left:
            os.kill(pid, 9)
        raise AssertionError(f"still there: {left}") from None


async def finished(work: asyncio.Task[Any]) -> Any:
    """What it returns."""
    async with asyncio.timeout(WAIT_S):
        return await work

"""A broker per test, on a thread of its own as a test of a blocking client needs it, and a client of each kind."""

from __future__ import annotations

import asyncio
import gc
import importlib
import time
import types
import warnings
from collections.abc import AsyncIterator, Iterator

import pytest

from lab.azure.service_bus import Broker, QueueConfig
from tests.integration.lab.azure.service_bus.clients import KINDS, Client, connect
from tests.integration.lab.azure.service_bus.clock import Clock
from tests.integration.lab.azure.service_bus.peer import Peer

QUEUES = {
    "orders": QueueConfig(lock_duration_s=30, max_delivery_count=3),
    "brief": QueueConfig(lock_duration_s=2),
    "once": QueueConfig(duplicate_window_s=600),
    "small": QueueConfig(max_messages=3),
}

POLLING = (
    "_servicebus_sender",
    "_servicebus_receiver",
    "_pyamqp.client",
    "aio._servicebus_sender_async",
    "aio._servicebus_receiver_async",
    "_pyamqp.aio._client_async",
)
HURRY = 20


@pytest.fixture(autouse=True)
def hurried_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK looks every 0.05 s whether its link is open, and every second whether it is closed: 1 s per sender or
    receiver and 100 s per run. Its naps are shorter here; everything else keeps its time."""

    async def nap(seconds: float) -> None:
        await asyncio.sleep(seconds / HURRY)

    def sleep(seconds: float) -> None:
        time.sleep(seconds / HURRY)

    for name in POLLING:
        module = importlib.import_module(f"azure.servicebus.{name}")
        for clock, quick in ((asyncio, nap), (time, sleep)):
            if hasattr(module, clock.__name__):
                hurried = types.SimpleNamespace(**vars(clock) | {"sleep": quick})
                monkeypatch.setattr(module, clock.__name__, hurried)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(clock: Clock) -> Iterator[Broker]:
    with Broker(QUEUES, clock=clock) as running:
        yield running


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def client(broker: Broker, kind: str) -> AsyncIterator[Client]:
    made = connect(kind, broker.connection_string)
    yield made
    await made.close()


@pytest.fixture
async def closed_peers() -> AsyncIterator[None]:
    """Every peer of the test, closed after it."""
    yield
    for peer in Peer.open:
        await peer.close()
    Peer.open.clear()


@pytest.fixture
def leaky_sdk() -> Iterator[None]:
    """The SDK (7.15) drops sockets unclosed when a link is refused or a connection breaks: collect them here and
    quietly, before they fail another test. Used through `clients.leaks`."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()

"""A local Service Bus per test, on a thread of its own: it can be stopped and started under a running trigger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from lab.azure.service_bus import Broker, QueueConfig
from tests.integration.lab.azure.service_bus.conftest import hurried_sdk, leaky_sdk
from tests.waiting import until

__all__ = ["hurried_sdk", "leaky_sdk"]

QUEUES = {
    "orders": QueueConfig(lock_duration_s=30, max_delivery_count=10),
    "brief": QueueConfig(lock_duration_s=2, max_delivery_count=3),
    "small": QueueConfig(max_messages=3),
}


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(QUEUES) as running:
        yield running


@pytest.fixture
async def bus(broker: Broker) -> AsyncIterator[Bus]:
    async with ServiceBusClient.from_connection_string(broker.connection_string) as client:
        yield Bus(broker, client)


class Bus:
    """What a test does with a queue."""

    def __init__(self, broker: Broker, client: ServiceBusClient) -> None:
        self.broker = broker
        self.client = client

    async def send(self, *messages: ServiceBusMessage | str, queue: str = "orders") -> None:
        """Send all messages as one batch."""
        batch = [ServiceBusMessage(message) if isinstance(message, str) else message for message in messages]
        async with self.client.get_queue_sender(queue) as sender:
            await sender.send_messages(batch, timeout=10)

    async def until(self, queue: str = "orders", **counts: int) -> None:
        """Wait until the queue's counts are as given."""
        await until(lambda: {name: self.broker.stats(queue)[name] for name in counts} == counts)

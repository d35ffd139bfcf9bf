"""A Service Bus on this machine: queues over AMQP 1.0 for the real azure-servicebus SDK, without Docker or Azure.

    async with LocalServiceBus(queues=["orders"]) as bus:
        client = ServiceBusClient.from_connection_string(bus.connection_string)

Copy this folder into any project: it needs Python 3.11 and nothing else. `fixture` is for pytest, `python -m` and the
folder's name runs it by itself. It is no more than queues: no topics and subscriptions, no sessions, no transactions,
no forwarding, no administration API. It must never be deployed: it keeps everything in memory and verifies no token.
"""

from __future__ import annotations

from .broker import LocalServiceBus
from .queue_config import QueueConfig
from .tokens import PutToken

Broker = LocalServiceBus  # what this project's own tests call it

__all__ = ["Broker", "LocalServiceBus", "PutToken", "QueueConfig"]

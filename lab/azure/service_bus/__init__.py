"""The lab's local Service Bus: queues over AMQP 1.0, for the real azure-servicebus SDK, without Docker or Azure.

It must never be deployed: it keeps everything in memory and verifies no token.
"""

from .broker import LocalServiceBus
from .queue_config import QueueConfig
from .tokens import PutToken

Broker = LocalServiceBus  # what this project's own tests call it

__all__ = ["Broker", "LocalServiceBus", "PutToken", "QueueConfig"]

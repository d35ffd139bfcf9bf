"""The lab's local Service Bus: queues over AMQP 1.0, for the real azure-servicebus SDK, without Docker or Azure.

It must never be deployed: it keeps everything in memory and verifies no token.
"""

from .broker import Broker
from .queue_config import QueueConfig
from .tokens import PutToken

__all__ = ["Broker", "PutToken", "QueueConfig"]

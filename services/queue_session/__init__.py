"""One Service Bus sender per process, owned by one task that sends everything waiting as one batch."""

from __future__ import annotations

from .connection import ServiceBusConnection
from .errors import MessageNotSent, MessageOutcomeUnknown, QueueNotConfigured, QueueUnavailable
from .queue_service import QueueCounters, QueueService

__all__ = [
    "QueueService",
    "ServiceBusConnection",
    "QueueCounters",
    "QueueUnavailable",
    "QueueNotConfigured",
    "MessageNotSent",
    "MessageOutcomeUnknown",
]

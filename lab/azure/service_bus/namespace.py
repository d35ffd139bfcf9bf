"""The namespace: its queues, what is stored in them and settled, and who gets the next message.

It must never know how a client asked: links and requests end here alike. Not here: topics, sessions, transactions,
partitions, persistence.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .codec import CodecError
from .errors import Refusal, lock_lost
from .link import Link
from .message import MAX_MESSAGE_ID, Message
from .queue import AlreadyDead, LockLost, Queue, QueueFull, Settlement
from .queue_config import QueueConfig


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a receiver ends a lock. `properties` are merged into the message's application properties."""

    settlement: Settlement | None
    reason: str | None = None
    description: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)


class Namespace:
    """Queues by name, each root followed by its dead-letter queue, and the receivers' links on each."""

    def __init__(self, queues: Mapping[str, QueueConfig], clock: Callable[[], float]) -> None:
        made: Iterable[Queue[Message]] = (Queue(name.lower(), config, clock) for name, config in queues.items())
        self.queues = {queue.name: queue for root in made for queue in root.with_dead()}
        self.consumers: dict[str, deque[Link]] = {name: deque() for name in self.queues}
        self.completed: set[str] | None = None  # MessageIds, once somebody wants to know

    def enqueue(self, queue: Queue[Message], messages: list[tuple[Message, int]], copies: int = 0) -> list[int]:
        """Store messages with their sizes, all or none; returns their numbers, 0 for a duplicate. Raises Refusal."""
        for message, _ in messages:
            if len(message.message_id) > MAX_MESSAGE_ID:
                raise Refusal("com.microsoft:argument-error", f"A MessageId has at most {MAX_MESSAGE_ID} characters.")
        try:
            queue.check_room(len(messages) * (1 + copies), sum(size for _, size in messages) * (1 + copies))
        except QueueFull as full:
            raise Refusal("amqp:resource-limit-exceeded", str(full), 403) from full
        numbers = []
        for message, size in messages:
            for extra in range(1 + copies):
                number = queue.send(
                    copy(message) if extra else message,
                    size=size,
                    message_id=message.message_id,
                    ttl_s=message.ttl_s,
                    due_at=message.due_at,
                    detect_duplicates=not extra,
                )
            numbers.append(number or 0)
        return numbers

    def settle(self, queue: Queue[Message], token: uuid.UUID, verdict: Verdict) -> None:
        """End a lock and hand on what that makes ready. Raises Refusal."""
        if verdict.settlement is None:
            raise Refusal("amqp:not-implemented", "A delivery is accepted, rejected, released or modified.", 501)
        try:
            change = partial(Message.modify, properties=verdict.properties) if verdict.properties else None
            message = queue.settle(token, verdict.settlement, verdict.reason, verdict.description, change=change)
        except CodecError as bad:
            raise Refusal("amqp:invalid-field", f"The properties to modify cannot be kept: {bad}") from bad
        except LockLost:
            raise lock_lost() from None
        except AlreadyDead:
            raise Refusal("amqp:not-allowed", "A dead-lettered message cannot be dead-lettered again.") from None
        if self.completed is not None and verdict.settlement is Settlement.COMPLETE:
            self.completed.add(message.message_id)
        for changed in queue.with_dead():
            self.dispatch(changed)

    def dispatch(self, queue: Queue[Message]) -> None:
        """Hand ready messages to the receivers that can take one, in turn."""
        consumers = self.consumers[queue.name]
        while queue.has_ready and (link := next((c for c in consumers if c.can_send), None)):
            entry = queue.receive(delete=link.presettled)
            if entry is None:
                return
            consumers.remove(link)
            consumers.append(link)
            tag = entry.lock_token or uuid.uuid4()
            link.send(entry.content.encode(entry), tag.bytes_le, settled=link.presettled)

    def tick(self) -> None:
        """Apply what time has done to the queues."""
        for queue in self.queues.values():
            if queue.dead is not None:
                queue.tick()
        for queue in self.queues.values():
            self.dispatch(queue)

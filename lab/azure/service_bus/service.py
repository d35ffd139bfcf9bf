"""What Service Bus means by AMQP links: `$cbs`, `<queue>`, `<queue>/$DeadLetterQueue` and the `$management` of each.

It must never let one peer's failure reach another. Not here: topics, sessions, transactions, partitions, persistence.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import performatives as amqp
from .amqp_types import Described
from .codec import CodecError
from .connection import Connection
from .errors import Refusal, lock_lost
from .faults import FaultPlan
from .link import Delivery, Link
from .management import Management
from .message import BATCH_FORMAT, MAX_MESSAGE_ID, Message, batch
from .node import MAX_MESSAGE
from .queue import AlreadyDead, LockLost, Queue, QueueFull, Settlement
from .queue_config import QueueConfig
from .tokens import Tokens, path

log = logging.getLogger(__name__)

CBS, MANAGEMENT, ENTITY = "cbs", "management", "entity"
OUTCOMES = {
    amqp.ACCEPTED: Settlement.COMPLETE,
    amqp.REJECTED: Settlement.DEAD_LETTER,
    amqp.RELEASED: Settlement.RELEASE,
    amqp.MODIFIED: Settlement.ABANDON,
}


class Service:
    """The namespace: its queues, and the `Node` behind every connection."""

    def __init__(
        self,
        queues: Mapping[str, QueueConfig],
        clock: Callable[[], float],
        *,
        require_tokens: bool = False,
        max_connections: int = 5000,
    ) -> None:
        made: Iterable[Queue[Message]] = (Queue(name.lower(), config, clock) for name, config in queues.items())
        self.queues = {queue.name: queue for root in made for queue in root.with_dead()}
        self.plan = FaultPlan()
        self.tokens = Tokens(required=require_tokens, clock=clock)
        self.connections: set[Connection] = set()
        self.links: set[Link] = set()
        self.completed: set[str] | None = None  # MessageIds, once somebody wants to know
        self._max_connections = max_connections
        self._consumers: dict[str, deque[Link]] = {name: deque() for name in self.queues}
        self._management = Management(self)

    # -- Node ----------------------------------------------------------------------------------------------------
    def connected(self, connection: Connection) -> bool:
        if len(self.connections) >= self._max_connections:
            log.warning("connection refused: there are %d already", self._max_connections)
            return False
        self.connections.add(connection)
        return True

    def disconnected(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.tokens.forget(connection)

    def mute(self, connection: Connection) -> bool:
        return self.plan.mute

    def attached(self, link: Link) -> Described | None:
        entity, management, _ = path(link.address).partition("/$management")
        link.role = CBS if entity == "$cbs" else MANAGEMENT if management else ENTITY
        link.queue_name = entity
        if refusal := self._refusal(link):
            return amqp.error(refusal.condition, str(refusal))
        if link.role != ENTITY and link.sending:
            link.session.replies[link.address] = link
        if link.role != CBS:
            self.links.add(link)
        if link.role == ENTITY and link.sending:
            self._consumers[entity].append(link)
        return None

    def _refusal(self, link: Link) -> Refusal | None:
        if link.role == CBS:
            return None
        if not self.tokens.allows(link.session.connection, link.queue_name):
            return _unauthorized(link)
        if link.queue_name not in self.queues:
            return Refusal("amqp:not-found", f"The messaging entity '{link.queue_name[:260]}' could not be found.", 404)
        if link.role == ENTITY and not link.sending and self.queues[link.queue_name].dead is None:
            return Refusal("amqp:not-allowed", "Nothing can be sent to a dead-letter queue.")
        return None

    def detached(self, link: Link) -> None:
        self.links.discard(link)
        if link.role == ENTITY and link.sending:
            self._consumers[link.queue_name].remove(link)

    def received(self, delivery: Delivery) -> None:
        link = delivery.link
        if link.role != ENTITY:
            self._management.request(delivery)
            return
        try:
            self._accept(self.queues[link.queue_name], delivery)
        except Refusal as refusal:
            outcome = amqp.state(amqp.REJECTED, amqp.error(refusal.condition, str(refusal)))
        else:
            outcome = amqp.state(amqp.ACCEPTED)
            if self.plan.take_cut():
                link.session.connection.cut()
                return
        delivery.raw.clear()
        if self.plan.latency_s:
            asyncio.get_running_loop().call_later(self.plan.latency_s, delivery.confirm, outcome)
        else:
            delivery.confirm(outcome)
        self.dispatch(self.queues[link.queue_name])

    def writable(self, link: Link) -> None:
        if link.role == ENTITY:
            self.dispatch(self.queues[link.queue_name])

    def settled(self, delivery: Delivery, outcome: Described) -> Described:
        link = delivery.link
        if link.role != ENTITY:
            return outcome
        fields = outcome.value if isinstance(outcome.value, list) else []
        settlement = OUTCOMES.get(outcome.code)
        if settlement is Settlement.ABANDON and fields[1:2] == [True]:  # modified, undeliverable here
            settlement = Settlement.DEFER
        reasons = dead_letter_reasons(fields) if settlement is Settlement.DEAD_LETTER else (None, None)
        try:
            self.settle(self.queues[link.queue_name], uuid.UUID(bytes_le=delivery.tag), settlement, *reasons)
        except Refusal as refusal:
            return amqp.state(amqp.REJECTED, amqp.error(refusal.condition, str(refusal)))
        return amqp.state(amqp.REJECTED) if outcome.code == amqp.REJECTED else outcome

    def unknown_delivery(self) -> Described:
        lost = lock_lost()
        return amqp.state(amqp.REJECTED, amqp.error(lost.condition, str(lost)))

    # -- messages ------------------------------------------------------------------------------------------------
    def _accept(self, queue: Queue[Message], delivery: Delivery) -> None:
        """Store what a delivery holds, all or nothing. Raises Refusal."""
        self.plan.check_send()
        if delivery.size > MAX_MESSAGE:
            raise Refusal(
                "amqp:link:message-size-exceeded",
                f"The message has {delivery.size} bytes, the limit is {MAX_MESSAGE}. Send less at once.",
            )
        copies = self.plan.take_copies()
        raw = bytes(delivery.raw)
        try:
            parts = batch(raw) if delivery.format == BATCH_FORMAT else [raw]
            messages = [(Message(part), len(part)) for part in parts]
        except CodecError as bad:
            raise Refusal("amqp:decode-error", f"The message is not AMQP 1.0: {bad}") from bad
        self.enqueue(queue, messages, copies)

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
            for copy in range(1 + copies):
                number = queue.send(
                    message,
                    size=size,
                    message_id=message.message_id,
                    ttl_s=message.ttl_s,
                    due_at=message.due_at,
                    detect_duplicates=not copy,
                )
            numbers.append(number or 0)
        return numbers

    def settle(
        self,
        queue: Queue[Message],
        token: uuid.UUID,
        settlement: Settlement | None,
        reason: str | None = None,
        description: str | None = None,
    ) -> None:
        """End a lock and hand on what that makes ready. Raises Refusal."""
        if settlement is None:
            raise Refusal("amqp:not-implemented", "A delivery is accepted, rejected, released or modified.", 501)
        try:
            message = queue.settle(token, settlement, reason, description)
        except LockLost:
            raise lock_lost() from None
        except AlreadyDead:
            raise Refusal("amqp:not-allowed", "A dead-lettered message cannot be dead-lettered again.") from None
        if self.completed is not None and settlement is Settlement.COMPLETE:
            self.completed.add(message.message_id)
        for changed in queue.with_dead():
            self.dispatch(changed)

    def dispatch(self, queue: Queue[Message]) -> None:
        """Hand ready messages to the receivers that can take one, in turn."""
        consumers = self._consumers[queue.name]
        while queue.has_ready and (link := next((c for c in consumers if c.can_send), None)):
            entry = queue.receive(delete=link.presettled)
            if entry is None:
                return
            consumers.remove(link)
            consumers.append(link)
            tag = entry.lock_token or uuid.uuid4()
            link.send(entry.content.encode(entry), tag.bytes_le, settled=link.presettled)

    # -- time ----------------------------------------------------------------------------------------------------
    def tick(self) -> None:
        """Apply what time has done: to the queues, to the tokens, to peers that fell silent."""
        for queue in self.queues.values():
            if queue.dead is not None:
                queue.tick()
        for queue in self.queues.values():
            self.dispatch(queue)
        if self.tokens.required:
            for link in list(self.links):
                if not self.tokens.allows(link.session.connection, link.queue_name):
                    refusal = _unauthorized(link)
                    link.detach(amqp.error(refusal.condition, str(refusal)))

    def beat(self) -> None:
        """Let every connection keep itself alive, or end."""
        for connection in list(self.connections):
            connection.beat()


def dead_letter_reasons(fields: list[Any]) -> tuple[str | None, str | None]:
    """Reason and description out of a rejected outcome's fields: they travel in its error's info map."""
    error = fields[0] if fields else None
    details = error.value if isinstance(error, Described) and isinstance(error.value, list) else []
    info = details[2] if len(details) > 2 and isinstance(details[2], dict) else {}
    reason, description = info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription")
    return (reason if isinstance(reason, str) else None), (description if isinstance(description, str) else None)


def _unauthorized(link: Link) -> Refusal:
    text = f"No token in force for '{link.queue_name[:260]}': put one through $cbs, and renew it before it runs out."
    return Refusal("amqp:unauthorized-access", text, 401)

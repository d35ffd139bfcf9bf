"""What Service Bus means by AMQP links: `$cbs`, `<queue>`, `<queue>/$DeadLetterQueue` and the `$management` of each."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from . import performatives as amqp
from .amqp_types import Described
from .codec import CodecError
from .errors import Refusal, lock_lost
from .fault_plan import FaultPlan
from .limits import MAX_MESSAGE
from .link import Delivery, Link
from .management import Management
from .message import BATCH_FORMAT, Message, batch
from .namespace import Namespace, Verdict
from .peer import Peer
from .queue import Queue, Settlement
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
SESSION_FILTER = "com.microsoft:session-filter"


class Service:
    """The `Node` behind every connection."""

    def __init__(
        self,
        queues: Mapping[str, QueueConfig],
        clock: Callable[[], float],
        *,
        require_tokens: bool = False,
        max_connections: int = 5000,
    ) -> None:
        self.namespace = Namespace(queues, clock)
        self.queues = self.namespace.queues
        self.plan = FaultPlan()
        self.tokens = Tokens(required=require_tokens, clock=clock)
        self.connections: set[Peer] = set()
        self.links: set[Link] = set()
        self._max_connections = max_connections
        self._management = Management(self.namespace, self.tokens)

    # --- Node ---------------------------------------------------------------------------------------------------------
    def connected(self, peer: Peer) -> bool:
        if len(self.connections) >= self._max_connections:
            log.warning("connection refused: there are %d already", self._max_connections)
            return False
        self.connections.add(peer)
        return True

    def disconnected(self, peer: Peer) -> None:
        self.connections.discard(peer)
        self.tokens.forget(peer)
        self._management.forget(peer)

    def signed_in(self, peer: Peer) -> None:
        self.tokens.sign_in(peer)

    def mute(self, peer: Peer) -> bool:
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
            self.namespace.consumers[entity].append(link)
        return None

    def _refusal(self, link: Link) -> Refusal | None:
        if link.role == CBS:
            return None
        if not self.tokens.allows(link.session.peer, link.queue_name):
            return _unauthorized(link)
        if link.queue_name not in self.queues:
            return Refusal("amqp:not-found", f"The messaging entity '{link.queue_name[:260]}' could not be found.", 404)
        if link.role == ENTITY and not link.sending and self.queues[link.queue_name].dead is None:
            return Refusal("amqp:not-allowed", "Nothing can be sent to a dead-letter queue.")
        return _filtered(link)

    def detached(self, link: Link) -> None:
        self.links.discard(link)
        if link.role == ENTITY and link.sending:
            self.namespace.consumers[link.queue_name].remove(link)

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
            if self.plan.take("cuts"):
                link.session.peer.cut()
                return
        delivery.raw.clear()
        if self.plan.latency_s:
            asyncio.get_running_loop().call_later(self.plan.latency_s, delivery.confirm, outcome)
        else:
            delivery.confirm(outcome)
        self.namespace.dispatch(self.queues[link.queue_name])

    def writable(self, link: Link) -> None:
        if link.role == ENTITY:
            self.namespace.dispatch(self.queues[link.queue_name])
        else:
            self._management.answer(link.session.peer)

    def settled(self, delivery: Delivery, outcome: Described) -> Described:
        link = delivery.link
        if link.role != ENTITY:
            return outcome
        if outcome.code == amqp.ACCEPTED and self.plan.take("losses"):
            return outcome
        try:
            token = uuid.UUID(bytes_le=delivery.tag)
            self.namespace.settle(self.queues[link.queue_name], token, verdict(outcome))
        except Refusal as refusal:
            return amqp.state(amqp.REJECTED, amqp.error(refusal.condition, str(refusal)))
        return amqp.state(amqp.REJECTED) if outcome.code == amqp.REJECTED else outcome

    def unknown_delivery(self) -> Described:
        lost = lock_lost()
        return amqp.state(amqp.REJECTED, amqp.error(lost.condition, str(lost)))

    def _accept(self, queue: Queue[Message], delivery: Delivery) -> None:
        """Store what a delivery holds, all or nothing. Raises Refusal."""
        self.plan.check_send()
        if delivery.size > MAX_MESSAGE:
            raise Refusal(
                "amqp:link:message-size-exceeded",
                f"The message has {delivery.size} bytes, the limit is {MAX_MESSAGE}. Send less at once.",
            )
        copies = int(self.plan.take("copies"))
        raw = bytes(delivery.raw)
        try:
            parts = batch(raw) if delivery.format == BATCH_FORMAT else [raw]
            messages = [(Message(part), len(part)) for part in parts]
        except CodecError as bad:
            raise Refusal("amqp:decode-error", f"The message is not AMQP 1.0: {bad}") from bad
        self.namespace.enqueue(queue, messages, copies)

    # --- time ---------------------------------------------------------------------------------------------------------
    def tick(self) -> None:
        """Apply what time has done: to the queues, to the tokens."""
        self.namespace.tick()
        if self.tokens.required:
            for link in list(self.links):
                if not self.tokens.allows(link.session.peer, link.queue_name):
                    refusal = _unauthorized(link)
                    link.detach(amqp.error(refusal.condition, str(refusal)))

    def beat(self) -> None:
        """Let every connection keep itself alive, or end."""
        for peer in list(self.connections):
            peer.beat()


def verdict(outcome: Described) -> Verdict:
    """What a receiver's outcome asks for. A rejection's reasons and properties travel in its error's info map."""
    fields = outcome.value if isinstance(outcome.value, list) else []
    settlement = OUTCOMES.get(outcome.code)
    if settlement is Settlement.ABANDON:
        defers = fields[1:2] == [True]  # modified, undeliverable here
        return Verdict(Settlement.DEFER if defers else settlement, properties=_texts(fields[2] if fields[2:] else None))
    if settlement is not Settlement.DEAD_LETTER:
        return Verdict(settlement)
    error = fields[0] if fields else None
    details = error.value if isinstance(error, Described) and isinstance(error.value, list) else []
    info = _texts(details[2] if len(details) > 2 else None)
    reasons = [info.pop(name, None) for name in ("DeadLetterReason", "DeadLetterErrorDescription")]
    reason, description = (text if isinstance(text, str) else None for text in reasons)
    return Verdict(settlement, reason, description, info)


def _texts(found: Any) -> dict[str, Any]:
    """A map with its keys, symbols on the wire, as strings; empty if it is no map."""
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else {}


def _filtered(link: Link) -> Refusal | None:
    """A queue here has no sessions and no filters: a link that asks for one would get messages it did not ask for."""
    if not link.filters:
        return None
    if SESSION_FILTER in link.filters:
        text = (
            "A sessionful message receiver cannot be created on an entity that does not require sessions. Ensure "
            "RequiresSession is set to true when creating a Queue or Subscription to enable sessionful behavior."
        )
        return Refusal("amqp:not-allowed", text)
    return Refusal("amqp:not-implemented", f"The filter '{str(next(iter(link.filters)))[:80]}' is not supported.", 501)


def _unauthorized(link: Link) -> Refusal:
    text = f"No token in force for '{link.queue_name[:260]}': put one through $cbs, and renew it before it runs out."
    return Refusal("amqp:unauthorized-access", text, 401)

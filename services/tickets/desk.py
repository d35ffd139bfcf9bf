"""The business: place orders and decide them. Put your own in place of this folder.

Knows no HTTP and no trigger; both call it with parsed commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from services.queue_session import MessageNotSent, QueueNotConfigured, QueueService
from services.tickets.models import NewOrder, Order, OrderMessage, OrderStatus
from services.tickets.store import REQUEST_S, OrderStore

AT_LEAST_S = 0.5  # for one decision, even without patience
SEND_S = 0.25  # with less time left the send would fail for what Redis took, and readiness blame Service Bus


@dataclass(frozen=True)
class OrderDesk:
    """Where orders are placed and decided. Every method may raise RedisUnavailable, besides its own errors.

    Args:
        patience_s: how long `decide` waits for Redis to come back, in seconds, inside the message's renewed lock.
    """

    store: OrderStore
    queue: QueueService
    patience_s: float = 120.0

    async def place(self, new: NewOrder, trace: Mapping[str, str] | None = None) -> Order:
        """Record the order and enqueue it. It is queued for certain only when this returns.

        Repeating it finishes what was left half-done, and finds the order as it is by then.

        Raises:
            NotFound, KeyReused, Conflict: nothing was recorded and nothing enqueued.
            RedisUnavailable: nothing was enqueued.
            QueueUnavailable: the order is recorded; the same request repeated enqueues it.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + REQUEST_S
        self.queue.prepare()  # the first request of a process opens Service Bus while it asks Redis
        order, age_s = await self.store.place(new)
        if order.status is OrderStatus.QUEUED:
            left_s = ends_at - loop.time()
            if left_s < SEND_S:
                raise MessageNotSent(
                    f"Redis took {REQUEST_S - left_s:.1f} s: too little time was left to send the order"
                )
            body = order.model_dump_json().encode()
            try:
                await self.queue.send(_message_id(order, age_s), body, within_s=left_s, properties=trace)
            except QueueNotConfigured as error:  # the order is recorded all the same: the caller is told where
                raise MessageNotSent(str(error)) from error
        return order

    async def decide(self, message: OrderMessage) -> Order:
        """Decide an order against the stock, once, however often its message comes.

        Waits up to `patience_s` for Redis: a function that raises at once would have its message dead-lettered within
        seconds. Raises Undecidable at once.
        """
        return await self.store.decide(message, max(self.patience_s, AT_LEAST_S))


def _message_id(order: Order, age_s: float) -> str:
    """The order's id, so that duplicate detection drops a repeated request.

    Past a minute the first message may be lost with its decision, and a repeated request is its repair: it is sent
    under an id of its own, a new one each time that the age in minutes has doubled.
    """
    minutes = int(age_s // 60)
    return f"{order.order_id}.{minutes.bit_length()}" if minutes > 0 else order.order_id

"""The business: put a drop on sale, place orders, decide them. Put your own in place of this file and order_store.py.

Knows no HTTP and no trigger; both call the same methods with parsed commands.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from services.errors import BadSetting, MessageNotSent, Unavailable
from services.queue_session.queue_service import OrderQueue
from services.redis_session.backoff import Backoff
from services.tickets.models import Drop, Order, OrderMessage, OrderStatus, PlaceOrder, PutDrop
from services.tickets.store import OrderStore

REQUEST_S = 2.5  # Redis and the send together: an HTTP caller has an answer within 3 s
AT_LEAST_S = 0.5  # for one decision, even without patience


@dataclass(frozen=True)
class OrderDesk:
    """What can be done with drops and orders. Every method may raise Unavailable, besides its own errors.

    Args:
        patience_s: how long `decide` waits for Redis to come back, in seconds, inside the message's renewed lock.
    """

    store: OrderStore
    queue: OrderQueue
    patience_s: float = 120.0
    randomness: Random | None = None

    async def put_drop(self, drop_id: str, command: PutDrop) -> tuple[Drop, bool]:
        """Create or restock; the drop, and whether it is new. Raises InvalidInput, BelowConfirmed."""
        return await self.store.put_drop(drop_id, command, REQUEST_S)

    async def read_drop(self, drop_id: str) -> Drop:
        """Raises NotFound."""
        return await self.store.read_drop(drop_id, REQUEST_S)

    async def place(
        self, order_id: str, drop_id: str, command: PlaceOrder, trace: Mapping[str, str] | None = None
    ) -> Order:
        """Record the order and enqueue it. It is queued for certain only when this returns.

        Repeating it finishes what was left half-done, and finds the order as it is by then.

        Raises:
            NotFound, KeyReused, Conflict: nothing was recorded and nothing enqueued.
            RedisUnavailable: nothing was enqueued.
            QueueUnavailable: the order is recorded; the same request repeated enqueues it.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + REQUEST_S
        order = await self.store.place(order_id, drop_id, command, REQUEST_S)
        if order.status is OrderStatus.QUEUED:
            left_s = ends_at - loop.time()
            if left_s <= 0:
                raise MessageNotSent("no time was left to send the order")
            body = order.model_dump_json().encode()
            try:
                await self.queue.send(order_id, body, within_s=left_s, properties=trace)
            except BadSetting as error:  # the order is recorded all the same: the caller is told where
                raise MessageNotSent(str(error)) from error
        return order

    async def read_order(self, drop_id: str, order_id: str) -> Order:
        """Raises NotFound."""
        return await self.store.read_order(drop_id, order_id, REQUEST_S)

    async def decide(self, message: OrderMessage) -> Order:
        """Decide an order against the stock, once, however often its message comes.

        Waits up to `patience_s` for Redis: a function that raises at once would have its message dead-lettered within
        seconds. Raises Undecidable at once.
        """
        loop = asyncio.get_running_loop()
        backoff, ends_at = Backoff(randomness=self.randomness), loop.time() + self.patience_s
        while True:
            try:
                return await self.store.decide(message, max(ends_at - loop.time(), AT_LEAST_S))
            except Unavailable:
                wait_s = backoff.next_wait_s()
                if loop.time() + wait_s >= ends_at:
                    raise
                await asyncio.sleep(wait_s)

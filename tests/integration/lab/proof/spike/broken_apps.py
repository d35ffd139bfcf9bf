"""Ways to break the app on purpose, each called in an instance before the app is imported (`Plan.prepare`).

Every one is a mistake that people make, and keeps the rest of the app as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from services.errors import UNAVAILABLE
from services.queue_session.queue_service import QueueService
from services.redis_session.redis_service import RedisService
from services.tickets import store as order_store
from services.tickets.desk import OrderDesk
from services.tickets.models import Order, OrderMessage, OrderStatus

ONCE = "if order and order.status ~= 'queued' then return {'decided', json} end\n"
IN_STOCK = "drop.confirmed + quantity > drop.stock"
IMPATIENT_S = 0.5
BETWEEN_S = 0.05  # a check and its change: so wide that calls at the same time surely meet in it
sending: set[asyncio.Task[None]] = set()


def decides_again() -> None:
    """Deciding is not idempotent: a message that comes again is decided again."""
    _rewrite(order_store._DECIDE_ORDER, ONCE, "")


def completes_undecided() -> None:
    """The worker swallows that Redis refuses and returns: the message is completed, the order is not decided."""

    async def decide(self: OrderDesk, message: OrderMessage) -> Order:
        try:
            return await self.store.decide(message, IMPATIENT_S)
        except UNAVAILABLE:
            return Order.model_construct(**message.model_dump(), status=OrderStatus.QUEUED)

    run = RedisService.run

    async def impatient(self: RedisService, operation: Any, *, patient: bool = False, **how: Any) -> Any:
        return await run(self, operation, **how)

    OrderDesk.decide = decide  # type: ignore[method-assign]
    RedisService.run = impatient  # type: ignore[method-assign]


def answers_before_sending() -> None:
    """202 as soon as the send is under way: nobody learns whether it worked."""
    send = QueueService.send

    async def soon(
        self: QueueService,
        message_id: str,
        body: bytes,
        *,
        within_s: float,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        work = asyncio.create_task(send(self, message_id, body, within_s=within_s, properties=properties))
        sending.add(work)
        work.add_done_callback(lambda done: done.cancelled() or done.exception())

    QueueService.send = soon  # type: ignore[method-assign]


def never_closes() -> None:
    """A session that is replaced leaves its old connection open."""

    async def forgotten(client: Any) -> None:
        sessions.append(client)

    sessions: list[Any] = []
    RedisService._close = staticmethod(forgotten)  # type: ignore[method-assign]


def checks_outside() -> None:
    """The stock is read first and changed then, in two round trips."""
    sound, blind = order_store._DECIDE_ORDER, order_store.Script("decide_order")
    _rewrite(blind, IN_STOCK, "false")

    async def decide(redis: Redis, keys: Sequence[str], *arguments: str | float) -> Any:
        stock, confirmed = await redis.hmget(keys[0], ["stock", "confirmed"])
        await asyncio.sleep(BETWEEN_S)
        script = blind if int(confirmed or 0) < int(stock or 0) else sound
        return await script(redis, keys, *arguments)

    order_store._DECIDE_ORDER = decide  # type: ignore[assignment]


def _rewrite(script: order_store.Script, old: str, new: str) -> None:
    assert script._text.count(old) == 1, f"the script has changed: {old!r}"
    script._text = script._text.replace(old, new)
    script._sha = hashlib.sha1(script._text.encode()).hexdigest()  # noqa: S324 - Redis's name for a script

"""The state of drops and orders in Redis: one Lua script per change, atomic, safe to repeat by order id.

Three keys per drop with one hash tag and one expiry (see lua/common.lua). Time is Redis's own. Knows no HTTP and no
queue, and keeps nothing in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from services import telemetry
from services.errors import InvalidInput, KeyReused, NotFound, Refused, Undecidable
from services.redis_session import RedisService, RedisUnavailable, server_state
from services.tickets.errors import BelowConfirmed, CustomerLimit, DropClosed, SoldOut
from services.tickets.models import Drop, ListOrders, NewOrder, Order, OrderMessage, OrderPage, OrderStatus, PutDrop

REQUEST_S = 2.5  # Redis and the send together: an HTTP caller has an answer within 3 s

ANSWER_SHOWN = 200  # characters of an error reply in the log

_LUA = Path(__file__).parent / "lua"
_DROP_FIELDS = ("stock", "per_customer", "closes_at", "confirmed", "refused")


class Script:
    """A Lua script with what all of them share in front, run by its hash; sent whole where the server lost it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = (_LUA / "common.lua").read_text() + (_LUA / f"{name}.lua").read_text()
        self._sha = hashlib.sha1(self._text.encode()).hexdigest()  # noqa: S324 - Redis's name for a script

    async def __call__(self, redis: Redis, keys: Sequence[str], *arguments: str | float) -> Any:
        """Its reply. Raises what redis-py raises."""
        with telemetry.spans.script(self.name):
            try:
                return await redis.evalsha(self._sha, len(keys), *keys, *map(str, arguments))
            except NoScriptError:
                return await redis.eval(self._text, len(keys), *keys, *map(str, arguments))


_PUT_DROP, _PLACE_ORDER, _DECIDE_ORDER = Script("put_drop"), Script("place_order"), Script("decide_order")
_LIST_ORDERS = Script("list_orders")


class OrderStore:
    """Reads and changes drops and orders. Every method raises what `RedisService.run` raises, besides its own.

    Args:
        redis: the process's session.
        hold_s: how long, in seconds, a queued order holds its customer's quota.
    """

    def __init__(self, redis: RedisService, hold_s: float) -> None:
        self._redis, self._hold_ms = redis, round(hold_s * 1000)

    async def put_drop(self, drop_id: str, command: PutDrop, within_s: float = REQUEST_S) -> tuple[Drop, bool]:
        """Create or restock; the drop, and whether it is new. Raises InvalidInput (closes_at), BelowConfirmed."""
        closes_at = "" if command.closes_at is None else round(command.closes_at.timestamp() * 1000)
        outcome, *amounts = await self._change(
            _PUT_DROP, drop_id, command.stock, command.per_customer, closes_at, within_s=within_s
        )
        if outcome == b"too_far":
            raise InvalidInput(("closes_at", "must be at most 90 days ahead"))
        if outcome == b"below_confirmed":
            raise BelowConfirmed("the stock cannot be lower than the tickets already confirmed")
        return _drop(drop_id, amounts), outcome == b"created"

    async def read_drop(self, drop_id: str, within_s: float = REQUEST_S) -> Drop:
        """Raises NotFound."""
        meta = _keys(drop_id)[0]
        amounts = await self._ask(lambda redis: redis.hmget(meta, list(_DROP_FIELDS)), within_s)
        if amounts[0] is None:
            raise NotFound("there is no such drop")
        return _drop(drop_id, amounts)

    async def place(self, order: NewOrder, within_s: float = REQUEST_S) -> tuple[Order, float]:
        """Record the order as queued, or find it as it is; the order, and for how many seconds it has been recorded.

        Raises NotFound, KeyReused or a Conflict.
        """
        outcome, *record = await self._change(
            _PLACE_ORDER,
            order.drop_id,
            order.order_id,
            order.customer_id,
            order.quantity,
            self._hold_ms,
            within_s=within_s,
        )
        if not record:
            refusal, detail = _REFUSALS[outcome]
            raise refusal(detail)
        return _order(order.order_id, order.drop_id, record[0]), record[1] / 1000

    async def list_orders(self, drop_id: str, wanted: ListOrders, within_s: float = REQUEST_S) -> OrderPage:
        """One page of the drop's orders. Raises NotFound."""
        reply = await self._change(_LIST_ORDERS, drop_id, wanted.cursor, wanted.limit, within_s=within_s)
        if not reply:
            raise NotFound("there is no such drop")
        now, cursor, found = reply
        pairs = zip(found[::2], found[1::2], strict=True)
        orders = (_order(order_id.decode(), drop_id, record) for order_id, record in pairs)
        return OrderPage(
            orders=list(_those(orders, wanted, _time(now))), cursor=cursor.decode() if int(cursor) else None
        )

    async def read_order(self, drop_id: str, order_id: str, within_s: float = REQUEST_S) -> Order:
        """Raises NotFound."""
        orders = _keys(drop_id)[1]
        record = await self._ask(lambda redis: redis.hget(orders, order_id), within_s)
        if record is None:
            raise NotFound("there is no such order in this drop")
        return _order(order_id, drop_id, record)

    async def decide(self, message: OrderMessage, within_s: float) -> Order:
        """Decide the order against the stock, once; a decided one comes back as it is. Waits for Redis all the time.

        Raises Undecidable."""
        outcome, *record = await self._change(
            _DECIDE_ORDER,
            message.drop_id,
            message.order_id,
            message.customer_id,
            message.quantity,
            within_s=within_s,
            patient=True,
        )
        if outcome == b"no_drop":
            raise Undecidable(f"order {message.order_id}: there is no drop {message.drop_id}")
        if outcome == b"other_order":
            raise Undecidable(f"order {message.order_id}: the message differs from its record in customer or quantity")
        return _order(message.order_id, message.drop_id, record[0])

    async def _change(
        self, script: Script, drop_id: str, *arguments: str | float, within_s: float, patient: bool = False
    ) -> list[Any]:
        keys = _keys(drop_id)
        reply: list[Any] = await self._ask(lambda redis: script(redis, keys, *arguments), within_s, patient)
        return reply

    async def _ask(self, question: Callable[[Redis], Awaitable[Any]], within_s: float, patient: bool = False) -> Any:
        """Everything here may be repeated. Whatever Redis answers with an error is never the caller's fault."""

        async def ask(redis: Redis) -> Any:
            try:
                return await question(redis)
            except ResponseError as error:
                if server_state(error) is not None:  # the session knows what to do
                    raise
                text = str(error)[:ANSWER_SHOWN]
                raise RedisUnavailable(f"Redis answered: {text}", "Redis refuses the app's commands") from error

        return await self._redis.run(ask, idempotent=True, within_s=within_s, patient=patient)


def _keys(drop_id: str) -> tuple[str, str, str]:
    return f"{{drop:{drop_id}}}:meta", f"{{drop:{drop_id}}}:orders", f"{{drop:{drop_id}}}:customers"


def _those(orders: Iterator[Order], wanted: ListOrders, now: datetime) -> Iterator[Order]:
    for order in orders:
        age_s = (now - order.placed_at).total_seconds() if order.status is OrderStatus.QUEUED else -1
        if (
            wanted.status in (None, order.status)
            and wanted.customer_id in (None, order.customer_id)
            and (wanted.queued_for_s is None or age_s >= wanted.queued_for_s)
        ):
            yield order


def _drop(drop_id: str, amounts: Sequence[Any]) -> Drop:
    stock, per_customer, closes_at, confirmed, refused = map(int, amounts)
    return Drop(
        drop_id=drop_id,
        stock=stock,
        per_customer=per_customer,
        closes_at=_time(closes_at),
        remaining=stock - confirmed,
        confirmed=confirmed,
        refused=refused,
    )


def _order(order_id: str, drop_id: str, record: bytes | str) -> Order:
    fields = json.loads(record)
    times = {name: _time(fields[name]) for name in ("placed_at", "decided_at") if name in fields}
    return Order.model_validate({"order_id": order_id, "drop_id": drop_id, **fields, **times}, strict=False)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


_REFUSALS: dict[bytes, tuple[type[Refused], str]] = {
    b"no_drop": (NotFound, "there is no such drop"),
    b"other_order": (KeyReused, "this Idempotency-Key has already made an order of another quantity"),
    b"closed": (DropClosed, "the drop takes no more orders"),
    b"customer_limit": (CustomerLimit, "the order would exceed what this drop allows one customer"),
    b"sold_out": (SoldOut, "not enough tickets are left for the whole quantity"),
}

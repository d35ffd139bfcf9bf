"""The order store on a real server, with a second client that looks at what it left there. Adds no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.redis_session.redis_service import RedisService
from services.tickets.models import Drop, NewOrder, Order, OrderMessage, PutDrop
from services.tickets.store import OrderStore

WITHIN_S = 10.0
DROP = "drop-1"


async def snapshot(redis: Any) -> dict[bytes, tuple[bytes, int]]:
    """Every key of the server with its content and its expiry."""
    keys = sorted(await redis.keys("*"))
    return {key: (await redis.dump(key), await redis.pexpiretime(key)) for key in keys}


@dataclass
class Shop:
    """One store, and the server behind it. `hold_s` as in OrderStore; 0 is a hold that has run out at once."""

    session: RedisService
    redis: Any  # redis.asyncio.Redis, whose annotations know replies of text only
    hold_s: float = 900.0

    @property
    def store(self) -> OrderStore:
        return OrderStore(self.session, self.hold_s)

    def with_hold(self, hold_s: float) -> Shop:
        return Shop(self.session, self.redis, hold_s)

    async def put(
        self, stock: int = 10, per_customer: int = 5, closes_at: datetime | None = None, drop: str = DROP
    ) -> tuple[Drop, bool]:
        return await self.store.put_drop(
            drop, PutDrop(stock=stock, per_customer=per_customer, closes_at=closes_at), WITHIN_S
        )

    async def close(self, stock: int = 10, per_customer: int = 5) -> Drop:
        """Put the drop again with a closing time long past."""
        return (await self.put(stock, per_customer, datetime(2001, 1, 1, tzinfo=UTC)))[0]

    async def place(self, order_id: str, quantity: int = 1, customer: str = "ann", drop: str = DROP) -> Order:
        return (await self.store.place(NewOrder(order_id, drop, customer, quantity), WITHIN_S))[0]

    async def decide(self, order_id: str, quantity: int = 1, customer: str = "ann", drop: str = DROP) -> Order:
        message = OrderMessage(order_id=order_id, drop_id=drop, customer_id=customer, quantity=quantity)
        return await self.store.decide(message, WITHIN_S)

    async def drop(self, drop: str = DROP) -> Drop:
        return await self.store.read_drop(drop, WITHIN_S)

    async def order(self, order_id: str, drop: str = DROP) -> Order:
        return await self.store.read_order(drop, order_id, WITHIN_S)

    async def snapshot(self) -> dict[bytes, tuple[bytes, int]]:
        return await snapshot(self.redis)

    async def now_ms(self) -> int:
        """The server's clock."""
        seconds, microseconds = await self.redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def expiries(self, drop: str = DROP) -> dict[str, Any]:
        """Key name -> expiry in milliseconds since 1970, of the keys that are there."""
        keys = sorted(await self.redis.keys(f"{{drop:{drop}}}:*"))
        return {key.decode().split(":")[-1]: await self.redis.pexpiretime(key) for key in keys}


def milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)

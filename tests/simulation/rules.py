"""The rules for drops and orders, told once more in plain Python and held against every run of a script.

What a script must answer follows from the drop's records before it; never from its own books of customers and holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from services.tickets import store
from tests.simulation.loop import World
from tests.simulation.redis_model import EPOCH_S, RedisModel

DAY_MS = 24 * 60 * 60 * 1000
KEPT_MS = 7 * DAY_MS  # after the drop has closed
NAMES = ("put_drop", "place_order", "decide_order")
_FIRST_LINES = {(Path(store.__file__).parent / f"lua/{name}.lua").read_bytes().split(b"\n")[0]: name for name in NAMES}


@lru_cache(8)
def _name_of(text: bytes) -> str | None:
    return next((name for line, name in _FIRST_LINES.items() if line in text), None)


@lru_cache(4096)
def _parsed(record: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record)
    return found


@dataclass(frozen=True)
class Records:
    """A drop (`meta` is empty if there is none) and its orders by their ids; milliseconds since 1970."""

    meta: dict[str, int]
    orders: dict[str, dict[str, Any]]
    now: int

    @classmethod
    def of(cls, redis: RedisModel, keys: list[bytes], now: int) -> Records:
        """As the server has them."""
        meta = {name.decode(): int(value) for name, value in redis.hash_of(keys[0]).items()}
        return cls(meta, {name.decode(): _parsed(record) for name, record in redis.hash_of(keys[1]).items()}, now)

    def tickets(self, status: str, *customer: str) -> int:
        """Of the orders with this status, of one customer or of all."""
        return sum(
            order["quantity"]
            for order in self.orders.values()
            if order["status"] == status and (not customer or order["customer_id"] in customer)
        )

    def put_drop(self, stock: str, per_customer: str, closes_at: str) -> list[Any]:
        if closes_at and int(closes_at) > self.now + 90 * DAY_MS:
            return ["too_far"]
        if int(stock) < self.tickets("confirmed"):
            return ["below_confirmed"]
        closes = max(int(closes_at), self.now) if closes_at else self.meta.get("closes_at", self.now + KEPT_MS)
        amounts = int(stock), int(per_customer), closes, self.tickets("confirmed"), self.tickets("refused")
        return ["restocked" if self.meta else "created", *amounts]

    def place_order(self, order_id: str, customer: str, quantity: str, hold_ms: str) -> list[Any]:
        known = self.orders.get(order_id)
        if known:
            age_ms = self.now - known["placed_at"]
            return ["known", known, age_ms] if _same(known, customer, quantity) else ["other_order"]
        if not self.meta:
            return ["no_drop"]
        if self.now >= self.meta["closes_at"]:
            return ["closed"]
        holding = {name: one for name, one in self.orders.items() if one["placed_at"] + int(hold_ms) > self.now}
        held = Records(self.meta, holding, self.now).tickets("queued", customer)
        if self.tickets("confirmed", customer) + held + int(quantity) > self.meta["per_customer"]:
            return ["customer_limit"]
        if self.tickets("confirmed") + int(quantity) > self.meta["stock"]:
            return ["sold_out"]
        order = {"customer_id": customer, "quantity": int(quantity), "status": "queued", "placed_at": self.now}
        return ["placed", order, 0]

    def decide_order(self, order_id: str, customer: str, quantity: str) -> list[Any]:
        known = self.orders.get(order_id)
        if known and not _same(known, customer, quantity):
            return ["other_order"]
        if known and known["status"] != "queued":
            return ["decided", known]
        if not self.meta:
            return ["no_drop"]
        order = known or {"customer_id": customer, "quantity": int(quantity), "placed_at": self.now}
        said = {"status": "confirmed"}
        if self.tickets("confirmed", customer) + int(quantity) > self.meta["per_customer"]:
            said = {"status": "refused", "reason": "customer_limit"}
        elif self.tickets("confirmed") + int(quantity) > self.meta["stock"]:
            said = {"status": "refused", "reason": "sold_out"}
        return ["decided", {**order, **said, "decided_at": self.now}]


def _same(order: dict[str, Any], customer: str, quantity: str) -> bool:
    return (order["customer_id"], order["quantity"]) == (customer, int(quantity))


class Rules:
    """Looks on at every script that the server runs."""

    def __init__(self, world: World, redis: RedisModel) -> None:
        self._world, self._redis = world, redis
        redis.on_script = self._begins

    def _begins(self, text: bytes, keys: list[bytes], arguments: list[bytes]) -> Callable[[Any], None]:
        """What looks at its reply."""
        name = _name_of(text)
        if name is None:
            return lambda _: None
        now = int((EPOCH_S + self._world.now) * 1_000_000) // 1000
        before = Records.of(self._redis, keys, now)
        must: list[Any] = getattr(before, name)(*(argument.decode() for argument in arguments))
        return lambda reply: self._ends(f"{name} {b' '.join(arguments).decode()}", must, reply, keys, before)

    def _ends(self, what: str, must: list[Any], reply: list[Any], keys: list[bytes], before: Records) -> None:
        word, *rest = reply
        said = [word.decode(), *(_parsed(part) if isinstance(part, bytes) else part for part in rest)]
        if said != must:
            self._world.violate(f"{what} answered {said}, and by the rules {must}")
        after = Records.of(self._redis, keys, before.now)
        record = next((part for part in said if isinstance(part, dict)), None)
        orders = before.orders if record is None else {**before.orders, what.split()[1]: record}
        if (after.orders, after.meta) != (orders, self._meta_after(said, before, after)):
            self._world.violate(f"{what} answered {said}, found {before} and left {after}")
        if said[0] in ("created", "restocked", "placed"):
            self._check_kept(what, after.meta["closes_at"] + KEPT_MS, keys)

    @staticmethod
    def _meta_after(said: list[Any], before: Records, after: Records) -> dict[str, int]:
        if said[0] in ("created", "restocked"):
            return dict(zip(("stock", "per_customer", "closes_at", "confirmed", "refused"), said[1:], strict=True))
        counted = {status: after.tickets(status) for status in ("confirmed", "refused")}
        return before.meta and {**before.meta, **counted}

    def _check_kept(self, what: str, until: int, keys: list[bytes]) -> None:
        ends = {self._redis.expires_at(key) for key in keys if self._redis.hash_of(key)}
        if ends != {until}:
            self._world.violate(f"{what} leaves records that end at {ends}, and by the rules at {until}")

"""The rules for drops and orders (`tests/drop_model.py`, plain Python), held against every run of a script.

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
from tests.drop_model import Decide, DropModel, ModelDrop, ModelOrder, Place, Put, Step
from tests.simulation.loop import World
from tests.simulation.redis_model import RedisModel

DAY_MS = 24 * 60 * 60 * 1000
KEPT_MS = 7 * DAY_MS  # after the drop has closed
NAMES = ("put_drop", "place_order", "decide_order")
REFUSALS = {
    "KeyReused": "other_order",
    "NotFound": "no_drop",
    "DropClosed": "closed",
    "CustomerLimit": "customer_limit",
    "SoldOut": "sold_out",
}  # what the model calls them, and the scripts
DROP = "the drop"
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

    def drop(self, hold_ms: int = 0) -> ModelDrop:
        """As the model has it."""
        drop = ModelDrop(self.meta.get("stock", 0), self.meta.get("per_customer", 0))
        drop.open = self.now < self.meta.get("closes_at", 0)
        for name, order in self.orders.items():
            status = f"{order['status']} {order.get('reason', '')}".strip()
            drop.orders[name] = ModelOrder(order["customer_id"], order["quantity"], status)
            if status == "queued" and order["placed_at"] + hold_ms > self.now:
                drop.holds[name] = "sure"
        return drop

    def _answer(self, step: Step, hold_ms: int = 0) -> str:
        model = DropModel()
        model.drops = {DROP: self.drop(hold_ms)} if self.meta else {}
        [answer] = model.allowed(step)
        return answer

    def put_drop(self, stock: str, per_customer: str, closes_at: str) -> list[Any]:
        if closes_at and int(closes_at) > self.now + 90 * DAY_MS:
            return ["too_far"]
        answer = self._answer(Put(DROP, int(stock), int(per_customer), None))
        if answer == "below_confirmed":
            return [answer]
        closes = max(int(closes_at), self.now) if closes_at else self.meta.get("closes_at", self.now + KEPT_MS)
        drop = self.drop()
        return [answer, int(stock), int(per_customer), closes, drop.tickets("confirmed"), drop.tickets("refused")]

    def place_order(self, order_id: str, customer: str, quantity: str, hold_ms: str) -> list[Any]:
        answer = self._answer(Place(DROP, order_id, customer, int(quantity), "sure"), int(hold_ms))
        if answer in REFUSALS:
            return [REFUSALS[answer]]
        if (known := self.orders.get(order_id)) is not None:
            return ["known", known, self.now - known["placed_at"]]
        order = {"customer_id": customer, "quantity": int(quantity), "status": answer, "placed_at": self.now}
        return ["placed", order, 0]

    def decide_order(self, order_id: str, customer: str, quantity: str) -> list[Any]:
        answer, known = self._answer(Decide(DROP, order_id, customer, int(quantity))), self.orders.get(order_id)
        if answer == "Undecidable":
            return ["other_order" if known else "no_drop"]
        if known and known["status"] != "queued":
            return ["decided", known]
        order = known or {"customer_id": customer, "quantity": int(quantity), "placed_at": self.now}
        status, _, reason = answer.partition(" ")
        said = {"status": status, "reason": reason} if reason else {"status": status}
        return ["decided", {**order, **said, "decided_at": self.now}]


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
        before = Records.of(self._redis, keys, self._redis.micros() // 1000)
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
        drop = after.drop()
        counted = {status: drop.tickets(status) for status in ("confirmed", "refused")}
        return before.meta and {**before.meta, **counted}

    def _check_kept(self, what: str, until: int, keys: list[bytes]) -> None:
        ends = {self._redis.expires_at(key) for key in keys if self._redis.hash_of(key)}
        if ends != {until}:
            self._world.violate(f"{what} leaves records that end at {ends}, and by the rules at {until}")

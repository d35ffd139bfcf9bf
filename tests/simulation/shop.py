"""Customers who want tickets, operators who restock and close, and what they may expect of the shop.

They stand outside of every instance: on a loop that never freezes, with nothing but calls and their answers.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from services.app_services import AppServices
from services.errors import UNAVAILABLE, Conflict, KeyReused, NotFound, Refused
from services.queue_session import MessageNotSent
from services.tickets.models import NewOrder, Order, OrderStatus, PlaceOrder, PutDrop
from services.tickets.store import REQUEST_S
from tests.simulation.bus import AGE_BUCKET_S, Bus
from tests.simulation.instance import Gone, Instance
from tests.simulation.loop import SimLoop, World
from tests.simulation.redis_model import EPOCH_S, RedisModel

HTTP_S = 3.0  # an answer within this (docs/)
GIVES_UP_S = 8.0


class Shop:
    """Everybody outside, and what they were told."""

    def __init__(self, world: World, redis: RedisModel, bus: Bus, instances: list[Instance], seed: str) -> None:
        self.world, self.redis, self.bus, self.instances = world, redis, bus, instances
        self.random = random.Random(f"{seed}/shop")
        self.loop = SimLoop(world, "outside")
        self.accepted: dict[str, NewOrder] = {}  # answered 202 or 200
        self.told: dict[str, tuple[OrderStatus, float]] = {}  # the final status that somebody was told, and when
        self.drops: dict[str, PutDrop] = {}
        self.most: Counter[str] = Counter()  # tickets that one customer may ever have had
        self.calm_since = 0.0  # since when nothing has been wrong; inf while something is
        self._attempts: Counter[str] = Counter()
        self._writes, self._audited = 0, (-1, 0)  # what had been written and lost by then
        redis.on_write = self._written

    # --- one HTTP call ------------------------------------------------------------------------------------------------
    async def ask(self, what: str, make: Any, patience_s: float = GIVES_UP_S) -> Any:
        """The answer of some instance to one call: a result, an error of the app's, or Gone."""
        answer: asyncio.Future[Any] = self.loop.create_future()
        instance = self.random.choice(self.instances)
        asked_at = self.world.now

        def done(outcome: Any) -> None:
            if isinstance(outcome, UNAVAILABLE) and asked_at >= self.calm_since:
                self.world.violate(f"{what}: {outcome!r}, and nothing is wrong")
            elif isinstance(outcome, BaseException) and not isinstance(outcome, (*UNAVAILABLE, Refused, Gone)):
                self.world.violate(f"{what}: {outcome!r}")
            if not answer.done():
                answer.set_result(outcome or Gone())

        self.world.later(self.random.uniform(0.0005, 0.02), instance.begin, what, make, HTTP_S, done)
        self.world.later(patience_s, done, None)
        return await answer

    # --- customers ----------------------------------------------------------------------------------------------------
    async def order(self, drop_id: str, customer: str, quantity: int, key: str) -> Any:
        """Place one order."""
        return await self.repeat(NewOrder.of(drop_id, PlaceOrder(customer_id=customer, quantity=quantity), key))

    async def repeat(self, new: NewOrder, tries: int = 6, reads: int = 1) -> Any:
        """Place it, and again with the same key while the shop cannot; then follow it."""
        answer: Any = None
        for _ in range(tries):
            asked_at = self.world.now
            answer = await self.ask(f"place {new.order_id[:8]}", lambda app: self._place(app, new), self._patience_s())
            if isinstance(answer, Order):
                self.accepted[new.order_id] = new
                self._note_status(answer, asked_at)
                break
            if isinstance(answer, Refused):
                unknown = isinstance(answer, NotFound) and (self.redis.losses or new.drop_id not in self.drops)
                if not (unknown or isinstance(answer, (Conflict, KeyReused))):
                    self.world.violate(f"{new} was refused: {answer!r}")
                return answer
            await asyncio.sleep(self.random.uniform(0.5, 5))
        for _ in range(reads if isinstance(answer, Order) else 0):
            await asyncio.sleep(self.random.uniform(0.1, 3))
            await self.read(new)
        return answer

    def _patience_s(self) -> float:
        return self.random.uniform(0.1, 2) if self.random.random() < 0.1 else GIVES_UP_S

    async def _place(self, app: AppServices, new: NewOrder) -> Order:
        """As blueprints/orders.py: 202 or 200 when it returns. What it claims is held against the bus."""
        self._attempts[new.order_id] += 1
        attempt, began = f"{new.order_id} {self._attempts[new.order_id]}", self.world.now
        try:
            order = await app.order_desk.place(new, {"attempt": attempt})
        except MessageNotSent as error:
            self.bus.say_not_sent(attempt, str(error), began + REQUEST_S - self.world.now)
            raise
        if order.status is OrderStatus.QUEUED:
            self._check_queued(order, attempt, began)
        return order

    def _check_queued(self, order: Order, attempt: str, began: float) -> None:
        """A 202 is a message on the queue; a repeat past a minute is a new one, since the first may be lost."""
        if not self.bus.arrived[attempt]:
            self.world.violate(f"order {order.order_id} was answered 202 and never reached the queue")
        placed, copies = order.placed_at.timestamp() - EPOCH_S, self.bus.stored.get(order.order_id, [])
        known = order.order_id.encode() not in self.redis.lost
        if known and copies and began > placed + AGE_BUCKET_S + 1 and copies[-1] < placed + AGE_BUCKET_S - 1:
            self.world.violate(f"order {order.order_id} was repeated past a minute, and no message was stored")

    async def read(self, new: NewOrder) -> Any:
        """GET the order."""
        asked_at = self.world.now
        what = f"read {new.order_id[:8]}"
        answer = await self.ask(what, lambda app: app.order_store.read_order(new.drop_id, new.order_id))
        if isinstance(answer, Order):
            self._note_status(answer, asked_at)
            if (answer.customer_id, answer.quantity) != (new.customer_id, new.quantity):
                self.world.violate(f"a caller got another order: {answer} for {new}")
        elif isinstance(answer, NotFound) and not self.redis.losses:
            self.world.violate(f"order {new.order_id} was accepted and is unknown")
        return answer

    def _note_status(self, order: Order, asked_at: float) -> None:
        before, told_at = self.told.get(order.order_id, (order.status, 0.0))
        if asked_at > told_at and before is not order.status and order.order_id.encode() not in self.redis.lost:
            self.world.violate(f"order {order.order_id} was {before} and is {order.status}")
        if order.status is not OrderStatus.QUEUED and order.order_id not in self.told:
            self.told[order.order_id] = order.status, self.world.now

    # --- operators ----------------------------------------------------------------------------------------------------
    async def put(self, drop_id: str, stock: int, per_customer: int, closes_in_s: float | None = None) -> None:
        """Create, restock or close a drop; repeated until there is an answer."""
        closes_at = None
        if closes_in_s is not None:
            closes_at = datetime.fromtimestamp(round(EPOCH_S + self.world.now + closes_in_s, 3), UTC)
        self.most[drop_id] = max(self.most[drop_id], per_customer)
        command = PutDrop(stock=stock, per_customer=per_customer, closes_at=closes_at)
        for _ in range(60):
            answer = await self.ask(f"put {drop_id}", lambda app: app.order_store.put_drop(drop_id, command))
            if isinstance(answer, (Refused, tuple)):
                if isinstance(answer, tuple):
                    self.drops[drop_id] = command
                return
            await asyncio.sleep(self.random.uniform(0.5, 5))

    # --- the books ----------------------------------------------------------------------------------------------------
    def _written(self, key: bytes, field: bytes, old: bytes | None, new: bytes | None) -> None:
        self._writes += 1
        if old is not None and key.endswith(b":orders") and b'"queued"' not in old and old != new:
            self.world.violate(f"order {field.decode()} was decided and changes: {old!r} -> {new!r}")

    def audit(self) -> None:
        """Whether the books of every drop balance; between two commands they always do."""
        if self._audited == (now := (self._writes, self.redis.losses)):
            return
        self._audited = now
        for key in list(self.redis.data):
            if key.endswith(b":meta"):
                self._audit_drop(key[:-5])

    def _audit_drop(self, drop: bytes) -> None:
        meta = {name.decode(): int(value) for name, value in self.redis.hash_of(drop + b":meta").items()}
        orders = {k.decode(): json.loads(v) for k, v in self.redis.hash_of(drop + b":orders").items()}
        sums: Counter[str] = Counter()
        bought: Counter[str] = Counter()
        holds: dict[str, dict[str, Any]] = defaultdict(dict)
        for order in orders.values():
            sums[order["status"]] += order["quantity"]
            bought[order["customer_id"]] += order["quantity"] * (order["status"] == "confirmed")
        if (sums["confirmed"], sums["refused"]) != (meta["confirmed"], meta["refused"]):
            self.world.violate(f"the books of {drop.decode()} do not balance: {meta}, orders say {dict(sums)}")
        if meta["confirmed"] > meta["stock"]:
            self.world.violate(f"oversold: {meta}")
        for customer, text in self.redis.hash_of(drop + b":customers").items():
            record = json.loads(text)
            name = customer.decode()
            holds[name] = record["holds"] or {}
            if record["confirmed"] != bought.pop(name, 0):
                self.world.violate(f"customer {name} has {record['confirmed']} tickets by the books: {orders}")
            if record["confirmed"] > self.most[drop[6:-1].decode()]:
                self.world.violate(f"customer {name} has more tickets than anybody may have: {record}")
            if any(orders[order]["status"] != "queued" for order in holds[name]):
                self.world.violate(f"a decided order still holds the quota of {name}: {record}")
        if any(bought.values()):
            self.world.violate(f"tickets without a customer: {dict(bought)}")

    # --- the end ------------------------------------------------------------------------------------------------------
    def undecided(self) -> list[NewOrder]:
        """What was accepted and is neither decided nor on the queue."""
        on_queue = {entry.content.order_id for entry in self.bus.queue.peek(0, 1_000_000)}
        left = []
        for order_id, new in self.accepted.items():
            record = self.redis.hash_of(f"{{drop:{new.drop_id}}}:orders".encode()).get(order_id.encode())
            if (record is None or b'"queued"' in record) and order_id not in on_queue:
                left.append(new)
        return left

    def explain(self, new: NewOrder) -> None:
        """An accepted order that is left over needs a reason."""
        lost = new.order_id.encode() in self.redis.lost
        dead = new.order_id in {entry.content.order_id for entry in self.bus.dead.peek(0, 1_000_000)}
        if not (lost or dead or new.order_id in self.bus.unhandled_orders):
            self.world.violate(f"order {new.order_id} was accepted and is lost")

"""A hypothesis state machine that does to the real scripts whatever customers, queues and operators may do.

Every answer is compared with `drop_model.py`, and after every step the server's own records with the invariants.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from redis.asyncio import Redis

from services.errors import AppError
from services.redis_session.redis_service import RedisService
from services.tickets.errors import BelowConfirmed
from services.tickets.models import Drop, NewOrder, Order, OrderMessage, PlaceOrder, PutDrop
from services.tickets.store import OrderStore
from tests.drop_model import Decide, DropModel, Place, Put, Step
from tests.integration.services.tickets.shop import WITHIN_S, milliseconds

T = TypeVar("T")
KEPT_MS = 7 * 24 * 60 * 60 * 1000
NO_KEY = -2  # the answer of PEXPIRETIME
HOLDS_S = {"sure": 900.0, "brief": 0.005, "gone": 0.0}

drops = st.sampled_from(["a", "b"])
customers = st.sampled_from(["ann", "bob", "cy"])
quantities = st.integers(1, 4)
picks = st.integers(0, 10_000)


def order_id_for(drop: str, customer: str, key: str) -> str:
    return NewOrder.of(drop, PlaceOrder(customer_id=customer, quantity=1), key).order_id


class DropMachine(RuleBasedStateMachine):
    """One run. `make_store` builds the store under test from a session and a hold in seconds."""

    def __init__(self, url: str, make_store: Callable[[RedisService, float], OrderStore] = OrderStore) -> None:
        super().__init__()
        self.model = DropModel()
        self.requests: list[Place] = []
        self.queue: list[Decide] = []  # nothing ever leaves it: every message may come again, in any order
        self.final: dict[tuple[str, str], str] = {}
        self.runner = asyncio.Runner()
        self.session = RedisService(url, connections=4)
        self.redis: Redis = self.wait_for(self._connect(url))
        self.stores = {kind: make_store(self.session, hold_s) for kind, hold_s in HOLDS_S.items()}

    @staticmethod
    async def _connect(url: str) -> Redis:
        client = Redis.from_url(url)
        await client.flushdb()
        return client

    def teardown(self) -> None:
        self.wait_for(self.session.aclose())
        self.wait_for(self.redis.aclose())
        self.runner.close()

    def wait_for(self, work: Awaitable[T]) -> T:
        return self.runner.get_loop().run_until_complete(work)  # Runner.run sets signal handlers up each time

    @initialize(stock=st.integers(3, 12), limit=st.integers(2, 6))
    def one_drop_is_on_sale(self, stock: int, limit: int) -> None:
        self.take(Put("a", stock, limit, "ahead"))

    # --- what may happen ----------------------------------------------------------------------------------------------
    @rule(
        drop=drops, stock=st.integers(0, 12), limit=st.integers(1, 6), closes=st.sampled_from([None, "ahead", "past"])
    )
    def put_or_restock(self, drop: str, stock: int, limit: int, closes: str | None) -> None:
        self.take(Put(drop, stock, limit, closes))

    @rule(drop=drops, stock=st.integers(6, 20))
    def put_with_plenty(self, drop: str, stock: int) -> None:
        self.take(Put(drop, stock, 6, "ahead"))

    @rule(
        drop=drops,
        customer=customers,
        key=st.sampled_from(["k1", "k2", "k3"]),
        quantity=quantities,
        hold=st.sampled_from(list(HOLDS_S)),
        sent=st.booleans(),
    )
    def place(self, drop: str, customer: str, key: str, quantity: int, hold: str, sent: bool) -> None:
        """`sent` False: the worker died between the record and the message."""
        self.request(Place(drop, order_id_for(drop, customer, key), customer, quantity, hold), sent)

    @rule(drop=drops, customer=customers, many=st.lists(quantities, min_size=2, max_size=3))
    def one_customer_orders_again_and_again(self, drop: str, customer: str, many: list[int]) -> None:
        for quantity in many:
            order = order_id_for(drop, customer, f"fresh-{len(self.requests)}")
            self.request(Place(drop, order, customer, quantity, "sure"), sent=True)

    @rule(drop=drops, many=st.lists(quantities, min_size=2, max_size=4))
    def a_rush_is_decided_at_once(self, drop: str, many: list[int]) -> None:
        """Orders never seen before, each of another customer: only the stock stands between them."""
        first = len(self.queue)
        rush = [Decide(drop, f"rush-{first + n}", f"customer-{first + n}", quantity) for n, quantity in enumerate(many)]
        self.queue += rush
        self.take(*rush)

    @precondition(lambda self: self.requests)
    @rule(pick=picks, sent=st.booleans())
    def repeat_a_request(self, pick: int, sent: bool) -> None:
        self.request(self.requests[pick % len(self.requests)], sent)

    @precondition(lambda self: self.requests)
    @rule(pick=picks, quantity=quantities)
    def reuse_a_key(self, pick: int, quantity: int) -> None:
        self.take(replace(self.requests[pick % len(self.requests)], quantity=quantity))

    @precondition(lambda self: self.queue)
    @rule(pick=picks)
    def deliver(self, pick: int) -> None:
        self.take(self.queue[pick % len(self.queue)])

    @precondition(lambda self: self.queue)
    @rule(chosen=st.lists(picks, min_size=2, max_size=4), placing=st.booleans())
    def deliver_together(self, chosen: list[int], placing: bool) -> None:
        steps: list[Step] = [self.queue[pick % len(self.queue)] for pick in chosen]
        if placing:
            steps[-1] = self.requests[chosen[-1] % len(self.requests)] if self.requests else steps[-1]
        self.take(*steps)

    @rule(
        drop=st.sampled_from(["a", "b", "nowhere"]), order=st.sampled_from(["h1", "h2"]), who=customers, many=quantities
    )
    def put_on_the_queue_by_hand(self, drop: str, order: str, who: str, many: int) -> None:
        self.queue.append(Decide(drop, order, who, many))

    @precondition(lambda self: self.queue)
    @rule(pick=picks, drop=drops, customer=customers, quantity=quantities)
    def deliver_unlike_its_record(self, pick: int, drop: str, customer: str, quantity: int) -> None:
        message = self.queue[pick % len(self.queue)]
        self.take(Decide(drop, message.order, customer, quantity))

    @rule()
    def the_server_forgets_its_scripts(self) -> None:
        self.wait_for(self.redis.script_flush())

    @rule()
    def brief_holds_run_out(self) -> None:
        self.wait_for(self._wait_s(HOLDS_S["brief"]))
        self.model.brief_holds_run_out()

    async def _wait_s(self, seconds: float) -> None:
        """By the server's clock, which offers no event. One millisecond more: it is rounded down."""
        start = await self.redis.time()
        while (now := await self.redis.time()) and now[0] - start[0] + (now[1] - start[1]) / 1e6 < seconds + 0.001:
            pass

    # --- how it is taken ----------------------------------------------------------------------------------------------
    def request(self, step: Place, sent: bool) -> None:
        (answer,) = self.take(step)
        if answer == "queued":
            self.requests.append(step)
        if answer == "queued" and sent:
            self.queue.append(Decide(step.drop, step.order, step.customer, step.quantity))

    def take(self, *steps: Step) -> list[str]:
        """Take steps at the same time; their answers must be those of some order of the steps."""
        answers = self.wait_for(self._take_together(steps))
        assert self.model.explains(steps, answers), f"{steps} answered {answers}"
        return answers

    async def _take_together(self, steps: Sequence[Step]) -> list[str]:
        return await asyncio.gather(*map(self._answer, steps))

    async def _answer(self, step: Step) -> str:
        try:
            match step:
                case Put():
                    return await self._put(step)
                case Place():
                    new = NewOrder(step.order, step.drop, step.customer, step.quantity)
                    return _said((await self.stores[step.hold].place(new, WITHIN_S))[0])
                case Decide():
                    message = OrderMessage(
                        order_id=step.order, drop_id=step.drop, customer_id=step.customer, quantity=step.quantity
                    )
                    return _said(await self.stores["sure"].decide(message, WITHIN_S))
        except BelowConfirmed:
            return "below_confirmed"
        except AppError as error:
            return type(error).__name__

    async def _put(self, step: Put) -> str:
        closes_at = {
            None: None,
            "ahead": datetime.now(UTC) + timedelta(days=30),
            "past": datetime(2001, 1, 1, tzinfo=UTC),
        }[step.closes]
        command = PutDrop(stock=step.stock, per_customer=step.per_customer, closes_at=closes_at)
        _, created = await self.stores["sure"].put_drop(step.drop, command, WITHIN_S)
        return "created" if created else "restocked"

    # --- what must hold after every step ------------------------------------------------------------------------------
    @invariant()
    def everything_adds_up(self) -> None:
        for (name, expected), (found, drop) in zip(self.model.drops.items(), self.wait_for(self._read()), strict=True):
            assert found.statuses() == {order: known.status for order, known in expected.orders.items()}
            assert (drop.confirmed, drop.refused) == (found.tickets("confirmed"), found.tickets("refused"))
            assert drop.confirmed + drop.remaining == drop.stock == expected.stock
            assert 0 <= drop.remaining <= drop.stock
            assert found.expiries == {milliseconds(drop.closes_at) + KEPT_MS}
            self._check_final(name, found)

    async def _read(self) -> list[tuple[Recorded, Drop]]:
        """Every drop of the model, as the server holds it and as a client reads it."""
        reads = (self._recorded(name) for name in self.model.drops)
        records = await asyncio.gather(*reads)
        drops = await asyncio.gather(*(self.stores["sure"].read_drop(name, WITHIN_S) for name in self.model.drops))
        return list(zip(records, drops, strict=True))

    def _check_final(self, drop: str, found: Recorded) -> None:
        """A decided order never changes."""
        for order, status in found.statuses().items():
            if status != "queued":
                assert self.final.setdefault((drop, order), status) == status

    async def _recorded(self, drop: str) -> Recorded:
        batch = self.redis.pipeline(transaction=False)
        batch.hgetall(f"{{drop:{drop}}}:orders")
        for name in ("meta", "orders", "customers"):
            batch.pexpiretime(f"{{drop:{drop}}}:{name}")
        records, *expiries = await batch.execute()
        orders = {order.decode(): json.loads(record) for order, record in records.items()}
        return Recorded(orders, {expiry for expiry in expiries if expiry != NO_KEY})


@dataclass(frozen=True)
class Recorded:
    """What the server holds of one drop."""

    orders: dict[str, dict[str, Any]]
    expiries: set[int]

    def statuses(self) -> dict[str, str]:
        return {order: f"{f['status']} {f.get('reason', '')}".strip() for order, f in self.orders.items()}

    def tickets(self, status: str) -> int:
        return sum(fields["quantity"] for fields in self.orders.values() if fields["status"] == status)


def _said(order: Order) -> str:
    return f"{order.status} {order.reason or ''}".strip()

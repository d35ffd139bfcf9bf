"""What the shop must answer, in plain Python: the rules of the design, with no script, no server and no clock.

A hold is sure, or brief: a brief one may have run out at any moment, so some answers depend on time and either is
allowed. Never imports the code under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import permutations


@dataclass(frozen=True)
class Put:
    drop: str
    stock: int
    per_customer: int
    closes: str | None  # "ahead", "past" or left out


@dataclass(frozen=True)
class Decide:
    drop: str
    order: str
    customer: str
    quantity: int


@dataclass(frozen=True)
class Place(Decide):
    hold: str  # "sure", "brief" or "gone"


Step = Put | Place | Decide


@dataclass
class ModelOrder:
    customer: str
    quantity: int
    status: str = "queued"


@dataclass
class ModelDrop:
    stock: int = 0
    per_customer: int = 0
    open: bool = True
    orders: dict[str, ModelOrder] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)  # order -> "sure" or "brief"

    def tickets(self, status: str, customer: str | None = None) -> int:
        """Of the orders with this status, of one customer or of all."""
        fitting = (o for o in self.orders.values() if o.status.startswith(status) and customer in (None, o.customer))
        return sum(order.quantity for order in fitting)

    def held(self, customer: str, *kinds: str) -> int:
        held = (self.orders[order] for order, kind in self.holds.items() if kind in kinds)
        return sum(order.quantity for order in held if order.customer == customer)


class DropModel:
    """Every drop, by its id."""

    def __init__(self) -> None:
        self.drops: dict[str, ModelDrop] = {}

    def allowed(self, step: Step) -> set[str]:
        """The answers that would be right now."""
        match step:
            case Put():
                return {self._put(step)}
            case Place():
                return {self._place(step, "sure"), self._place(step, "sure", "brief")}
            case Decide():
                return {self._decide(step)}

    def commit(self, step: Step, answer: str) -> None:
        """Take over what an allowed answer changed."""
        drop = self.drops.setdefault(step.drop, ModelDrop()) if isinstance(step, Put) else self.drops.get(step.drop)
        if drop is None or answer in ("below_confirmed", "Undecidable"):
            return
        match step:
            case Put():
                drop.stock, drop.per_customer = step.stock, step.per_customer
                drop.open = drop.open if step.closes is None else step.closes == "ahead"
            case Place() if answer == "queued" and step.order not in drop.orders:
                drop.orders[step.order] = ModelOrder(step.customer, step.quantity)
                drop.holds |= {} if step.hold == "gone" else {step.order: step.hold}
            case Decide() if not isinstance(step, Place):
                drop.holds.pop(step.order, None)
                drop.orders[step.order] = ModelOrder(step.customer, step.quantity, answer)

    def explains(self, steps: Sequence[Step], answers: Sequence[str]) -> bool:
        """Whether the steps, taken together, could have run one by one in some order with these answers; that order
        is committed."""
        before = self.drops
        for order in permutations(range(len(steps))):
            self.drops = deepcopy(before)
            if all(self._follows(steps[index], answers[index]) for index in order):
                return True
        self.drops = before
        return False

    def brief_holds_run_out(self) -> None:
        for drop in self.drops.values():
            drop.holds = {order: kind for order, kind in drop.holds.items() if kind == "sure"}

    def _follows(self, step: Step, answer: str) -> bool:
        if answer not in self.allowed(step):
            return False
        self.commit(step, answer)
        return True

    def _put(self, step: Put) -> str:
        drop = self.drops.get(step.drop)
        if drop is None:
            return "created"
        return "below_confirmed" if step.stock < drop.tickets("confirmed") else "restocked"

    def _place(self, step: Place, *counted: str) -> str:
        drop = self.drops.get(step.drop, ModelDrop())
        known = drop.orders.get(step.order)
        if known:
            return known.status if _same(known, step) else "KeyReused"
        if step.drop not in self.drops:
            return "NotFound"
        if not drop.open:
            return "DropClosed"
        taken = drop.tickets("confirmed", step.customer) + drop.held(step.customer, *counted)
        if taken + step.quantity > drop.per_customer:
            return "CustomerLimit"
        return "SoldOut" if drop.tickets("confirmed") + step.quantity > drop.stock else "queued"

    def _decide(self, step: Decide) -> str:
        drop = self.drops.get(step.drop)
        if drop is None:
            return "Undecidable"
        known = drop.orders.get(step.order)
        if known and not _same(known, step):
            return "Undecidable"
        if known and known.status != "queued":
            return known.status
        if drop.tickets("confirmed", step.customer) + step.quantity > drop.per_customer:
            return "refused customer_limit"
        return "refused sold_out" if drop.tickets("confirmed") + step.quantity > drop.stock else "confirmed"


def _same(order: ModelOrder, step: Decide) -> bool:
    return (order.customer, order.quantity) == (step.customer, step.quantity)

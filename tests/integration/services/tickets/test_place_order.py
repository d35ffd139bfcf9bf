"""Placing an order, by the real script on a real server: times, holds and records; test_drop_machine has the rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.tickets.errors import CustomerLimit
from services.tickets.models import OrderStatus
from tests.integration.services.tickets.shop import DROP, Shop, milliseconds


async def holds(shop: Shop, customer: str = "ann") -> dict[str, Any]:
    """Order id -> [quantity, held until], as recorded for a customer."""
    recorded = await shop.redis.hget(f"{{drop:{DROP}}}:customers", customer)
    return dict(json.loads(recorded)["holds"]) if recorded else {}


async def test_a_placed_order_is_recorded_as_queued_at_the_servers_time(shop: Shop) -> None:
    await shop.put()
    before = await shop.now_ms()
    order = await shop.place("o", quantity=2)
    assert (order.status, order.reason, order.decided_at) == (OrderStatus.QUEUED, None, None)
    assert before <= milliseconds(order.placed_at) <= await shop.now_ms()
    assert await shop.order("o") == order


async def test_placing_again_answers_the_same_order_and_changes_nothing(shop: Shop) -> None:
    await shop.put()
    order = await shop.place("o", quantity=2)
    before = await shop.snapshot()
    assert await shop.place("o", quantity=2) == order
    assert await shop.snapshot() == before


async def test_a_queued_order_holds_its_customers_quota(shop: Shop) -> None:
    await shop.put(per_customer=3)
    await shop.place("o", quantity=2)
    with pytest.raises(CustomerLimit):
        await shop.place("p", quantity=2)
    assert (await shop.place("q", quantity=1)).status is OrderStatus.QUEUED


async def test_a_hold_ends_hold_s_after_the_order_was_placed(shop: Shop) -> None:
    await shop.put()
    order = await shop.place("o", quantity=2)
    assert await holds(shop) == {"o": [2, milliseconds(order.placed_at) + 900_000]}


async def test_a_customer_with_neither_holds_nor_tickets_leaves_no_record(shop: Shop) -> None:
    await shop.put(stock=0)
    await shop.decide("o")
    assert not await shop.redis.exists(f"{{drop:{DROP}}}:customers")

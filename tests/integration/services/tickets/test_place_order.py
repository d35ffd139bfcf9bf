"""Placing an order, by the real script on a real server: outcomes, the order of the checks, and holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.errors import KeyReused
from services.tickets.errors import CustomerLimit, DropClosed, SoldOut
from services.tickets.models import OrderStatus, RefusalReason
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


async def test_placing_takes_nothing_from_the_stock(shop: Shop) -> None:
    drop, _ = await shop.put()
    await shop.place("o", quantity=2)
    assert await shop.drop() == drop


async def test_placing_again_answers_the_same_order_and_changes_nothing(shop: Shop) -> None:
    await shop.put()
    order = await shop.place("o", quantity=2)
    before = await shop.snapshot()
    assert await shop.place("o", quantity=2) == order
    assert await shop.snapshot() == before


# --- the order of the checks, each before all that follow -------------------------------------------------------------
async def refused_without_a_trace(shop: Shop, refusal: type[Exception], **order: Any) -> None:
    before = await shop.snapshot()
    with pytest.raises(refusal):
        await shop.place(**order)
    assert await shop.snapshot() == before


async def test_a_known_order_is_answered_although_closed_above_the_limit_and_sold_out(shop: Shop) -> None:
    await shop.put(stock=4, per_customer=4)
    await shop.place("o", quantity=3)
    await shop.decide("p", quantity=4, customer="bob")
    await shop.close(stock=4, per_customer=1)
    assert (await shop.place("o", quantity=3)).status is OrderStatus.QUEUED


async def test_a_known_order_of_another_quantity_is_refused_first(shop: Shop) -> None:
    await shop.put(stock=4)
    await shop.place("o", quantity=3)
    await shop.close(stock=0)
    await refused_without_a_trace(shop, KeyReused, order_id="o", quantity=4)


async def test_a_known_order_of_another_customer_is_refused(shop: Shop) -> None:
    await shop.put()
    await shop.place("o", customer="ann")
    await refused_without_a_trace(shop, KeyReused, order_id="o", customer="bob")


async def test_an_order_in_a_closed_drop_is_refused_before_limit_and_stock(shop: Shop) -> None:
    await shop.put()
    await shop.close(stock=0, per_customer=1)
    await refused_without_a_trace(shop, DropClosed, order_id="o", quantity=2)


async def test_an_order_above_the_customers_limit_is_refused_before_the_stock(shop: Shop) -> None:
    await shop.put(stock=1, per_customer=2)
    await refused_without_a_trace(shop, CustomerLimit, order_id="o", quantity=3)


async def test_an_order_above_what_remains_is_refused_as_a_whole(shop: Shop) -> None:
    await shop.put(stock=2, per_customer=5)
    await refused_without_a_trace(shop, SoldOut, order_id="o", quantity=3)


# --- the customer's limit and holds -----------------------------------------------------------------------------------
async def test_a_queued_order_holds_its_customers_quota(shop: Shop) -> None:
    await shop.put(per_customer=3)
    await shop.place("o", quantity=2)
    await refused_without_a_trace(shop, CustomerLimit, order_id="p", quantity=2)
    assert (await shop.place("q", quantity=1)).status is OrderStatus.QUEUED


async def test_a_hold_ends_hold_s_after_the_order_was_placed(shop: Shop) -> None:
    await shop.put()
    order = await shop.place("o", quantity=2)
    assert await holds(shop) == {"o": [2, milliseconds(order.placed_at) + 900_000]}


async def test_a_hold_that_has_run_out_blocks_nobody(shop: Shop) -> None:
    await shop.put(per_customer=2)
    brief = shop.with_hold(0.02)
    placed_at = milliseconds((await brief.place("o", quantity=2)).placed_at)
    while await shop.now_ms() < placed_at + 20:  # the server's clock offers no event
        pass
    assert (await shop.place("p", quantity=2)).status is OrderStatus.QUEUED


async def test_an_order_repeated_after_its_hold_ran_out_gets_no_new_hold(shop: Shop) -> None:
    await shop.put(per_customer=2)
    await shop.with_hold(0).place("o", quantity=2)
    assert (await shop.place("o", quantity=2)).status is OrderStatus.QUEUED
    assert (await shop.place("p", quantity=2)).status is OrderStatus.QUEUED


async def test_a_confirmed_order_turns_its_hold_into_confirmed_tickets(shop: Shop) -> None:
    await shop.put(per_customer=3)
    await shop.place("o", quantity=2)
    await shop.decide("o", quantity=2)
    assert await holds(shop) == {}
    await refused_without_a_trace(shop, CustomerLimit, order_id="p", quantity=2)


async def test_an_order_refused_for_the_limit_gives_its_hold_back(shop: Shop) -> None:
    await shop.put(per_customer=3)
    await shop.place("o", quantity=3)
    await shop.put(per_customer=2)
    assert (await shop.decide("o", quantity=3)).reason is RefusalReason.CUSTOMER_LIMIT
    assert (await shop.place("p", quantity=2)).status is OrderStatus.QUEUED


async def test_deciding_one_order_leaves_the_customers_other_holds(shop: Shop) -> None:
    await shop.put(per_customer=5)
    await shop.place("o", quantity=2)
    await shop.place("p", quantity=2)
    await shop.decide("o", quantity=2)
    assert list(await holds(shop)) == ["p"]


async def test_a_customer_with_neither_holds_nor_tickets_leaves_no_record(shop: Shop) -> None:
    await shop.put(stock=0)
    await shop.decide("o")
    assert not await shop.redis.exists(f"{{drop:{DROP}}}:customers")

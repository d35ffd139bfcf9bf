"""Deciding an order, by the real script on a real server: once, by the record, against limit and then stock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.errors import Undecidable
from services.tickets.models import Order, OrderStatus, RefusalReason
from tests.integration.services.tickets.shop import DROP, Shop, milliseconds

KEYS = {"meta", "orders", "customers"}
KEPT_MS = 7 * 24 * 60 * 60 * 1000


def outcome(order: Order) -> tuple[OrderStatus, RefusalReason | None]:
    return order.status, order.reason


async def undecidable_without_a_trace(shop: Shop, **message: Any) -> None:
    before = await shop.snapshot()
    with pytest.raises(Undecidable):
        await shop.decide(**message)
    assert await shop.snapshot() == before


async def test_an_order_within_limit_and_stock_is_confirmed(shop: Shop) -> None:
    await shop.put(stock=10)
    placed = await shop.place("o", quantity=2)
    before = await shop.now_ms()
    order = await shop.decide("o", quantity=2)
    assert outcome(order) == (OrderStatus.CONFIRMED, None)
    assert order.placed_at == placed.placed_at
    assert order.decided_at is not None
    assert before <= milliseconds(order.decided_at) <= await shop.now_ms()
    assert await shop.order("o") == order


async def test_a_decided_order_decided_again_changes_nothing(shop: Shop) -> None:
    await shop.put(stock=10)
    first = await shop.decide("o", quantity=4)
    before = await shop.snapshot()
    assert await shop.decide("o", quantity=4) == first
    assert await shop.snapshot() == before


async def test_many_at_once_and_repeated_are_each_decided_once(shop: Shop) -> None:
    await shop.put(stock=10, per_customer=1)
    customers = [f"c{number}" for number in range(25)]
    await asyncio.gather(*(shop.decide(f"o-{name}", customer=name) for name in customers * 4))
    drop = await shop.drop()
    assert (drop.confirmed, drop.remaining, drop.refused) == (10, 0, 15)


@pytest.mark.parametrize("decided", [False, True])
@pytest.mark.parametrize("differing", [{"quantity": 3}, {"customer": "bob"}])
async def test_a_message_unlike_its_record_can_never_succeed_and_changes_nothing(
    shop: Shop, decided: bool, differing: dict[str, Any]
) -> None:
    await shop.put()
    await shop.place("o", quantity=2)
    if decided:
        await shop.decide("o", quantity=2)
    await undecidable_without_a_trace(shop, **{"order_id": "o", "quantity": 2, **differing})


async def test_a_message_for_an_unknown_drop_can_never_succeed_and_writes_nothing(shop: Shop) -> None:
    await shop.put()
    await undecidable_without_a_trace(shop, order_id="o", drop="nowhere")


async def test_a_message_that_names_another_drop_leaves_the_record_alone(shop: Shop) -> None:
    await shop.put(drop="a")
    placed = await shop.place("o", drop="a")
    await undecidable_without_a_trace(shop, order_id="o", drop="b")
    assert await shop.order("o", "a") == placed


async def test_an_order_put_on_the_queue_by_hand_is_recorded_and_decided(shop: Shop) -> None:
    await shop.put()
    before = await shop.now_ms()
    order = await shop.decide("by-hand", quantity=3)
    assert outcome(order) == (OrderStatus.CONFIRMED, None)
    assert before <= milliseconds(order.placed_at)
    assert await shop.order("by-hand") == order


async def test_an_order_by_hand_that_is_refused_is_recorded_too(shop: Shop) -> None:
    await shop.put(stock=1)
    order = await shop.decide("by-hand", quantity=3)
    assert await shop.order("by-hand") == order
    assert (await shop.drop()).refused == 3


async def test_the_limit_is_checked_before_the_stock(shop: Shop) -> None:
    await shop.put(stock=1, per_customer=2)
    assert outcome(await shop.decide("o", quantity=3)) == (OrderStatus.REFUSED, RefusalReason.CUSTOMER_LIMIT)


async def test_the_limit_counts_confirmed_tickets_not_holds(shop: Shop) -> None:
    await shop.put(per_customer=3)
    await shop.place("o", quantity=2)
    assert (await shop.decide("by-hand", quantity=3)).status is OrderStatus.CONFIRMED
    assert outcome(await shop.decide("o", quantity=2)) == (OrderStatus.REFUSED, RefusalReason.CUSTOMER_LIMIT)


async def test_an_order_above_what_remains_is_refused_as_a_whole(shop: Shop) -> None:
    await shop.put(stock=3)
    await shop.decide("o", quantity=2)
    assert outcome(await shop.decide("p", quantity=2)) == (OrderStatus.REFUSED, RefusalReason.SOLD_OUT)
    assert outcome(await shop.decide("q", quantity=1)) == (OrderStatus.CONFIRMED, None)


# --- one expiry -------------------------------------------------------------------------------------------------------
async def expected_expiry(shop: Shop) -> int:
    return milliseconds((await shop.drop()).closes_at) + KEPT_MS


async def test_a_drop_expires_7_days_after_it_closes(shop: Shop) -> None:
    await shop.put()
    assert await shop.expiries() == {"meta": await expected_expiry(shop)}


async def test_restocking_moves_the_expiry_of_all_three_keys(shop: Shop) -> None:
    await shop.put()
    await shop.place("o")
    before = await shop.expiries()
    await shop.close()
    after = await shop.expiries()
    assert after == dict.fromkeys(KEYS, await expected_expiry(shop))
    assert after["meta"] < before["meta"]


@pytest.mark.parametrize("change", ["place", "decide"])
async def test_every_writing_script_restores_a_lost_expiry(shop: Shop, change: str) -> None:
    await shop.put()
    await shop.place("o")
    for name in KEYS:
        await shop.redis.persist(f"{{drop:{DROP}}}:{name}")
    await (shop.place("p") if change == "place" else shop.decide("o"))
    assert await shop.expiries() == dict.fromkeys(KEYS, await expected_expiry(shop))


async def test_deciding_in_a_closed_drop_does_not_lengthen_its_life(shop: Shop) -> None:
    await shop.put()
    await shop.close()
    before = await expected_expiry(shop)
    await shop.decide("by-hand")
    assert set((await shop.expiries()).values()) == {before}


async def test_no_key_lies_outside_the_drops_hash_tag(shop: Shop) -> None:
    await shop.put()
    await shop.place("o")
    await shop.decide("o")
    assert set(await shop.redis.keys("*")) == {f"{{drop:{DROP}}}:{name}".encode() for name in KEYS}

"""A drop's orders in pages, on each server."""

from __future__ import annotations

from services.tickets.models import ListOrders, OrderStatus
from tests.integration.services.tickets.shop import DROP, WITHIN_S, Shop


async def listed(shop: Shop, **query: object) -> tuple[list[str], int]:
    """The ids of all pages, and how many pages there were."""
    found: list[str] = []
    pages, cursor = 0, "0"
    while True:
        wanted = ListOrders.model_validate({**query, "cursor": cursor})
        page = await shop.store.list_orders(DROP, wanted, WITHIN_S)
        found, pages = [*found, *(order.order_id for order in page.orders)], pages + 1
        if page.cursor is None:
            return found, pages
        cursor = page.cursor


async def test_the_pages_of_a_large_drop_hold_every_order(shop: Shop) -> None:
    await shop.put(stock=2000)
    names = {f"o-{number}" for number in range(1200)}  # over 512 fields a hash is one no longer in one piece
    for name in names:
        await shop.decide(name, customer=name)
    found, pages = await listed(shop, limit=100)
    assert (set(found), pages > 5) == (names, True)


async def test_a_queued_order_is_as_old_as_redis_says_and_a_decided_one_is_not_queued(shop: Shop) -> None:
    await shop.put()
    await shop.place("queued")
    await shop.decide("decided")
    assert await listed(shop, queued_for_s=0) == (["queued"], 1)
    assert await listed(shop, queued_for_s=3600) == ([], 1)
    assert await listed(shop, status=OrderStatus.CONFIRMED) == (["decided"], 1)

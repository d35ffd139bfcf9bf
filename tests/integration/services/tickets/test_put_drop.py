"""Putting a drop on sale and restocking it, by the real script on a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.errors import InvalidInput, NotFound
from services.tickets.errors import DropClosed
from tests.integration.services.tickets.shop import Shop, milliseconds

DAY_MS = 24 * 60 * 60 * 1000


def at(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


async def test_left_out_closes_at_is_7_days_ahead_on_create_by_the_servers_clock(shop: Shop) -> None:
    before = await shop.now_ms()
    drop, _ = await shop.put()
    after = await shop.now_ms()
    assert before <= milliseconds(drop.closes_at) - 7 * DAY_MS <= after


async def test_left_out_closes_at_is_unchanged_on_restock(shop: Shop) -> None:
    closes_at = at(await shop.now_ms() + DAY_MS)
    await shop.put(closes_at=closes_at)
    assert (await shop.put(stock=20))[0].closes_at == closes_at


async def test_a_closed_drop_restocked_without_closes_at_stays_closed(shop: Shop) -> None:
    await shop.put()
    closed = await shop.close()
    assert (await shop.put(stock=20))[0].closes_at == closed.closes_at
    with pytest.raises(DropClosed):
        await shop.place("o")


async def test_closes_at_can_be_moved_both_ways(shop: Shop) -> None:
    now = await shop.now_ms()
    for days in (10, 5, 80):
        assert (await shop.put(closes_at=at(now + days * DAY_MS)))[0].closes_at == at(now + days * DAY_MS)


@pytest.mark.parametrize(
    "past", ["0001-01-01T00:00:00+00:00", "1969-12-31T23:59:59+00:00", "2001-01-01T00:00:00+00:00"]
)
async def test_a_past_closes_at_means_now_and_closes_the_drop(shop: Shop, past: str) -> None:
    before = await shop.now_ms()
    drop, _ = await shop.put(closes_at=datetime.fromisoformat(past))
    after = await shop.now_ms()
    assert before <= milliseconds(drop.closes_at) <= after
    with pytest.raises(DropClosed):
        await shop.place("o")


async def test_a_closed_drop_put_with_a_time_ahead_is_open_again(shop: Shop) -> None:
    await shop.put()
    await shop.close()
    await shop.put(closes_at=at(await shop.now_ms() + DAY_MS))
    assert (await shop.place("o")).order_id == "o"


async def test_90_days_ahead_by_the_servers_clock_is_taken(shop: Shop) -> None:
    closes_at = at(await shop.now_ms() + 90 * DAY_MS)
    assert (await shop.put(closes_at=closes_at))[0].closes_at == closes_at


@pytest.mark.parametrize("existing", [False, True])
async def test_more_than_90_days_ahead_is_refused_by_its_field_and_changes_nothing(shop: Shop, existing: bool) -> None:
    if existing:
        await shop.put()
    before = await shop.snapshot()
    with pytest.raises(InvalidInput) as caught:
        await shop.put(stock=20, closes_at=at(await shop.now_ms() + 90 * DAY_MS) + timedelta(minutes=5))
    assert [name for name, _ in caught.value.fields] == ["closes_at"]
    assert await shop.snapshot() == before


async def test_the_last_second_of_the_year_9999_is_refused_not_overflown(shop: Shop) -> None:
    with pytest.raises(InvalidInput):
        await shop.put(closes_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))


async def test_a_stock_of_exactly_the_confirmed_tickets_leaves_none_remaining(shop: Shop) -> None:
    await shop.put(stock=10)
    await shop.decide("o", quantity=4)
    drop, _ = await shop.put(stock=4)
    assert (drop.stock, drop.confirmed, drop.remaining) == (4, 4, 0)


async def test_drops_are_independent(shop: Shop) -> None:
    await shop.put(stock=5, drop="a")
    await shop.put(stock=7, drop="a.")
    await shop.decide("o", quantity=5, drop="a")
    assert (await shop.drop("a.")).remaining == 7


async def test_an_order_of_one_drop_is_not_found_in_another(shop: Shop) -> None:
    await shop.put(drop="a")
    await shop.put(drop="b")
    await shop.place("o", drop="a")
    with pytest.raises(NotFound):
        await shop.order("o", "b")


async def test_reading_what_is_not_there_writes_nothing(shop: Shop) -> None:
    for read in (shop.drop(), shop.order("o")):
        with pytest.raises(NotFound):
            await read
    assert await shop.snapshot() == {}

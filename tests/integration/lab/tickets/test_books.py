"""The books against what the app itself left in Redis: 0 for sound ones, and more for each way to cook them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import parse_url

from lab.tickets.books import CHUNK, Audit, Books, chunks
from tests.integration.services.tickets.shop import DROP, Shop

META, ORDERS, CUSTOMERS = (f"{{drop:{DROP}}}:{part}" for part in ("meta", "orders", "customers"))


async def sell(shop: Shop, accepted: list[str], orders: int = 5, stock: int = 3) -> None:
    """A drop whose orders are all placed first and then decided, so that some are refused."""
    await shop.put(stock=stock, per_customer=100)
    accepted += [f"o-{number}" for number in range(orders)]
    for order_id in accepted:
        await shop.place(order_id, customer=order_id)
    for order_id in accepted:
        await shop.decide(order_id, customer=order_id)


async def close(books: Books, stock: int = 3) -> Audit:
    """With nothing on the queue, no dead letters and no excuse."""
    return await books.close(stock, [], [], [])


async def rewrite(shop: Shop, order_id: str, **changes: Any) -> None:
    """Change an order's record behind the app's back."""
    record = json.loads(await shop.redis.hget(ORDERS, order_id))
    await shop.redis.hset(ORDERS, order_id, json.dumps(record | changes))


async def test_sound_books_have_nothing_but_the_orders_in_them(shop: Shop, books: Books, accepted: list[str]) -> None:
    await sell(shop, accepted)
    assert await close(books) == Audit(confirmed=3, refused=2)


class RedisWithAWorker(Redis):
    """Before each command of the books a worker of the app decides one more order."""

    def __init__(self, *args: Any, worker: Callable[[], Awaitable[Any]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._worker = worker

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        await self._worker()
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call] # redis-py's


async def test_books_closed_while_a_worker_decides_show_one_moment(
    shop: Shop, redis_url: str, accepted: list[str]
) -> None:
    await shop.put(stock=100, per_customer=100)
    accepted += [f"o-{number}" for number in range(20)]
    for order_id in accepted:
        await shop.place(order_id)
    left = iter(accepted)
    async with RedisWithAWorker(**parse_url(redis_url), worker=lambda: shop.decide(next(left))) as redis:
        assert (await Books(redis, DROP, accepted).close(100, accepted, [], [])).decided_twice == 0


async def test_sound_books_stay_sound_however_often_one_looks(shop: Shop, books: Books, accepted: list[str]) -> None:
    await shop.put(stock=3, per_customer=100)
    accepted += ["o-0", "o-1"]
    await shop.place("o-0")
    await books.look()
    await shop.place("o-1")
    await shop.decide("o-0")
    await books.look()
    await books.look()
    await shop.decide("o-1")
    assert await close(books) == Audit(confirmed=2)


async def test_the_books_of_more_orders_than_one_look_reads_at_a_time_are_complete(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    orders = CHUNK + 20
    await sell(shop, accepted, orders=orders, stock=orders)
    await books.look()
    assert (len(books.decided), len(books.decision_ms)) == (orders, orders)


@pytest.mark.parametrize("redelivered", [1, 2])
async def test_an_order_whose_message_came_again_is_decided_once(
    shop: Shop, books: Books, accepted: list[str], redelivered: int
) -> None:
    await sell(shop, accepted)
    for _ in range(redelivered):
        for order_id in accepted:
            await shop.decide(order_id, customer=order_id)
    assert (await close(books)).decided_twice == 0


async def test_an_accepted_order_that_nobody_knows_is_lost(shop: Shop, books: Books, accepted: list[str]) -> None:
    await sell(shop, accepted)
    accepted.append("o-99")
    assert (await close(books)).lost == 1


async def test_an_accepted_order_that_stays_queued_without_a_message_is_lost(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    await sell(shop, accepted, orders=2)
    accepted.append("o-99")
    await shop.place("o-99")
    assert (await close(books)).lost == 1


async def test_a_record_that_vanished_before_anybody_saw_it_decided_is_lost(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    await sell(shop, accepted)
    await shop.redis.hdel(ORDERS, "o-0")
    assert (await close(books)).lost == 1


async def test_an_order_that_was_seen_decided_is_not_lost_if_its_record_vanishes_and_the_counters_betray_it(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    await sell(shop, accepted)
    await books.look()
    await shop.redis.hdel(ORDERS, "o-0")
    audit = await close(books)
    assert (audit.lost, audit.decided_twice) == (0, 1)


async def test_a_drop_that_vanished_loses_every_order_that_was_not_seen_decided(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    await sell(shop, accepted)
    await shop.redis.delete(META, ORDERS, CUSTOMERS)
    assert (await close(books)).lost == 5


@pytest.mark.parametrize("place", ["queued", "dead", "completed"])
async def test_an_undecided_order_whose_message_is_known_is_not_lost(
    shop: Shop, books: Books, accepted: list[str], place: str
) -> None:
    await sell(shop, accepted)
    accepted.append("o-99")
    messages: dict[str, list[str]] = {"queued": [], "dead": [], "completed": []} | {place: ["o-99"]}
    assert (await books.close(3, **messages)).lost == 0


async def test_an_order_on_the_queue_is_undecided(shop: Shop, books: Books, accepted: list[str]) -> None:
    await sell(shop, accepted)
    accepted.append("o-99")
    assert (await books.close(3, ["o-99"], [], [])).undecided == 1


async def test_a_decided_order_whose_message_is_still_on_the_queue_is_not_undecided(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    await sell(shop, accepted)
    assert (await books.close(3, ["o-0"], [], [])).undecided == 0


async def test_every_dead_letter_counts(shop: Shop, books: Books, accepted: list[str]) -> None:
    await sell(shop, accepted)
    assert (await books.close(3, [], ["o-0", "o-0", ""], [])).dead_lettered == 3


@pytest.mark.parametrize("counter", ["confirmed", "refused"])
@pytest.mark.parametrize("by", [1, -1, 7])
async def test_a_counter_that_differs_from_the_orders_is_decided_twice(
    shop: Shop, books: Books, accepted: list[str], counter: str, by: int
) -> None:
    await sell(shop, accepted)
    await shop.redis.hincrby(META, counter, by)
    assert (await close(books, stock=100)).decided_twice == abs(by)


async def test_a_status_that_changed_between_two_looks_is_decided_twice(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    """Even if the counters were changed with it."""
    await sell(shop, accepted)
    await books.look()
    await rewrite(shop, "o-0", status="refused")
    await shop.redis.hincrby(META, "confirmed", -1)
    await shop.redis.hincrby(META, "refused", 1)
    assert (await close(books)).decided_twice == 1


async def test_a_decided_order_that_is_queued_again_is_decided_twice(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    await sell(shop, accepted)
    await books.look()
    await rewrite(shop, "o-0", status="queued")
    assert "o-0" in books.decided
    assert (await close(books)).decided_twice > 0


async def test_more_orders_confirmed_than_the_stock_are_oversold(shop: Shop, books: Books, accepted: list[str]) -> None:
    await sell(shop, accepted, orders=5, stock=5)
    assert (await close(books, stock=3)).oversold == 2


async def test_a_counter_above_the_stock_is_oversold_whatever_the_orders_say(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    await sell(shop, accepted)
    await shop.redis.hset(META, "confirmed", 8)
    assert (await close(books)).oversold == 5


async def test_orders_above_the_stock_are_oversold_whatever_the_counter_says(
    shop: Shop, books: Books, accepted: list[str]
) -> None:
    await sell(shop, accepted)
    await rewrite(shop, "o-4", status="confirmed")
    assert (await close(books)).oversold == 1


async def test_a_stock_that_is_not_sold_out_is_not_oversold(shop: Shop, books: Books, accepted: list[str]) -> None:
    await sell(shop, accepted, orders=2, stock=3)
    assert (await close(books)).oversold == 0


async def test_a_decision_took_from_the_record_to_the_decision(shop: Shop, books: Books, accepted: list[str]) -> None:
    await sell(shop, accepted, orders=1)
    await rewrite(shop, "o-0", placed_at=1_000, decided_at=1_250)
    await close(books)
    assert books.decision_ms == [250]


async def test_looking_and_closing_write_nothing(shop: Shop, books: Books, accepted: list[str]) -> None:
    await sell(shop, accepted)
    before = await shop.snapshot()
    await books.look()
    await close(books)
    assert await shop.snapshot() == before


def test_ids_are_read_in_lists_that_let_others_in_between() -> None:
    ids = [str(number) for number in range(2 * CHUNK + 1)]
    lists = list(chunks(ids))
    assert [len(one) for one in lists] == [CHUNK, CHUNK, 1]
    assert [order_id for one in lists for order_id in one] == ids

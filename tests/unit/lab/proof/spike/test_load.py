"""The customers against a tiny server: when they order, what they repeat, and what they count."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from lab.proof.spike.load import Load
from lab.tickets.shop import Shop
from tests.unit.lab.proof.spike.till import accepted, always, hang_up, open_till

SHOP = Shop("drop-1", users=3)
BUSY = always(503, Retry_After="0")


async def accepts(number: int) -> web.Response:
    return accepted(number)


async def test_a_slow_answer_delays_no_later_order() -> None:
    """Were the loop closed, the first order would wait for the last one for ever."""
    last_came = asyncio.Event()

    async def answer(number: int) -> web.Response:
        if number == 9:
            last_came.set()
        await last_came.wait()
        return accepted(number)

    async with open_till(answer) as till, Load(till.url, SHOP) as load:
        await load.run([0.0] * 10)
    assert len(load.answers.accepted) == 10


async def test_latency_counts_from_the_time_an_order_was_due() -> None:
    async with open_till(accepts) as till, Load(till.url, SHOP) as load:
        await load.run([-60.0])  # sent a minute late
    assert load.answers.latency_ms[0] > 60_000


async def test_an_order_is_not_sent_before_it_is_due() -> None:
    async with open_till(accepts) as till, Load(till.url, SHOP) as load:
        await load.run([0.3])
        sent_after_s = load.answers.accepted["o-0"] - load.started_at
    assert sent_after_s >= 0.3 - 0.002


async def test_every_order_is_sent_once_with_a_key_of_its_own() -> None:
    async with open_till(accepts) as till, Load(till.url, SHOP) as load:
        await load.run([0.0] * 20)
    assert sorted(till.keys) == sorted(f"order-{number}" for number in range(20))
    assert load.answers.scheduled == 20


async def test_past_the_most_that_may_wait_the_next_order_waits_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.proof.spike.load.MOST_WAITING", 2)
    async with open_till(accepts) as till, Load(till.url, SHOP) as load:
        await load.run([0.0] * 20)
    assert (till.most_busy <= 2, len(load.answers.accepted)) == (True, 20)


@pytest.mark.parametrize(
    ("status", "repeats", "asked"),
    [(503, 0, 1), (503, 3, 4), *((status, 3, 1) for status in (400, 404, 429, 500))],
)
async def test_a_503_alone_is_repeated_with_the_same_key_as_often_as_asked_and_its_first_answer_is_the_latency(
    status: int, repeats: int, asked: int
) -> None:
    async with open_till(always(status, Retry_After="0")) as till, Load(till.url, SHOP, repeats=repeats) as load:
        await load.run([0.0])
    assert till.keys == ["order-0"] * asked
    assert (load.answers.given_up, load.answers.by_status) == (1, {str(status): asked})
    assert len(load.answers.latency_ms) == 1


async def test_a_503_is_repeated_until_it_is_accepted() -> None:
    async def answer(number: int) -> web.Response:
        return accepted(number) if number == 2 else await BUSY(number)

    async with open_till(answer) as till, Load(till.url, SHOP, repeats=9) as load:
        await load.run([0.0])
    assert len(till.keys) == 3
    assert (list(load.answers.accepted), load.answers.given_up) == (["o-2"], 0)


@pytest.mark.parametrize(
    ("seconds", "header"),
    [
        *((seconds, {"Retry_After": text}) for text, seconds in [("0", 0.0), ("2", 2.0), ("0.5", 0.5), ("-3", 0.0)]),
        *((seconds, {"Retry_After": text}) for text, seconds in [("3600", 10.0), ("soon", 1.0)]),
        (1.0, {}),
    ],
)
async def test_a_repeat_waits_as_long_as_it_is_asked_to_within_reason(seconds: float, header: dict[str, str]) -> None:
    async with open_till(always(503, **header)) as till, Load(till.url, SHOP) as load:
        assert (await load.ask(SHOP.order(0)))[2] == seconds


async def test_a_server_that_is_not_there_counts_as_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with Load(url, SHOP) as load:
        await load.run([0.0, 0.0])
    assert load.answers.by_status == {"no answer": 2}


async def test_a_server_that_hangs_up_counts_as_no_answer() -> None:
    async with hang_up() as url, Load(url, SHOP) as load:
        await load.run([0.0])
    assert load.answers.by_status == {"no answer": 1}


async def test_a_server_that_never_answers_counts_as_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.proof.spike.load.ANSWER_S", 0.2)
    never = asyncio.Event()

    async def answer(number: int) -> web.Response:
        await never.wait()
        return accepted(number)

    async with open_till(answer) as till, Load(till.url, SHOP) as load:
        await load.run([0.0])
        never.set()
    assert load.answers.by_status == {"no answer": 1}


async def test_wrong_statuses_are_counted_by_status_the_most_frequent_first() -> None:
    statuses = [404, 500, 500, 500, 200, 200]  # 200 without an order in it

    async def answer(number: int) -> web.Response:
        return web.Response(status=statuses[number])

    async with open_till(answer) as till, Load(till.url, SHOP) as load:
        await load.run([0.0] * 6)
    assert list(load.answers.by_status.items()) == [("500", 3), ("200", 2), ("404", 1)]


async def test_an_order_that_may_find_the_shop_sold_out_did_not_fail() -> None:
    sold_out = always(409, '{"type": "urn:problem:sold-out"}')
    async with open_till(sold_out) as till, Load(till.url, Shop("d", 3, may_sell_out=True)) as load:
        await load.run([0.0] * 4)
    assert (load.answers.sold_out, load.answers.failures) == (4, [])


async def test_leaving_early_waits_for_no_answer() -> None:
    came, never = asyncio.Event(), asyncio.Event()

    async def answer(number: int) -> web.Response:
        came.set()
        await never.wait()
        return accepted(number)

    async with open_till(answer) as till:
        async with Load(till.url, SHOP) as load:
            running = asyncio.create_task(load.run([0.0]))
            await came.wait()
            running.cancel()
        never.set()
    assert (load.waiting, load.answers.accepted) == (0, {})

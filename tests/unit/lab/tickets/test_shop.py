"""The requests of the shop's customers, and what an answer to an order means."""

from __future__ import annotations

import json

import pytest

from lab.tickets.shop import Shop, Verdict

SHOP = Shop("drop-1", users=3)
OF_FEW = Shop("d", 1, may_sell_out=True)
ANYTHING = b'{"order_id": "o-1", "type": ":sold-out"}'
SOLD_OUT = b'{"type": "urn:problem:sold-out", "status": 409}'
FAILED = (Verdict.FAILED, None)


@pytest.mark.parametrize("status", [200, 202])
def test_an_order_with_an_id_is_accepted(status: int) -> None:
    assert SHOP.verdict(status, b'{"order_id": "o-1"}') == (Verdict.ACCEPTED, "o-1")


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"7",
        b'"order_id"',
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"order_id": ""}',
        b'{"order_id": null}',
        b'{"order_id": {}}',
        b'{"order_id": "o-1"',
    ],
)
def test_an_acceptance_without_an_id_is_a_failure(status: int, body: bytes) -> None:
    assert SHOP.verdict(status, body) == FAILED


@pytest.mark.parametrize(("shop", "verdict"), [(OF_FEW, (Verdict.SOLD_OUT, None)), (SHOP, FAILED)])
def test_sold_out_is_expected_only_where_the_stock_may_not_last(shop: Shop, verdict: tuple[Verdict, None]) -> None:
    assert shop.verdict(409, SOLD_OUT) == verdict


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((409, body) for body in (b"", b"{}", b'{"type": null}', b'{"type": "urn:problem:closed"}', b"[1]")),
        *((status, ANYTHING) for status in (0, 201, 204, 400, 401, 404, 429, 500, 503)),
    ],
)
def test_another_conflict_or_status_is_a_failure_whatever_it_says(status: int, body: bytes) -> None:
    assert OF_FEW.verdict(status, body) == FAILED


def test_the_same_number_is_the_same_order() -> None:
    assert SHOP.order(7) == SHOP.order(7)


def test_every_number_has_a_key_of_its_own() -> None:
    assert len({SHOP.order(number).headers["Idempotency-Key"] for number in range(20)}) == 20


def test_the_orders_come_from_as_many_customers_as_there_are_users() -> None:
    bodies = [json.loads(SHOP.order(number).body or b"") for number in range(20)]
    assert len({body["customer_id"] for body in bodies}) == 3
    assert {body["quantity"] for body in bodies} == {1}


def test_an_order_and_the_drop_are_read_where_the_app_has_them() -> None:
    assert [SHOP.read().path, SHOP.read("o-1").path] == ["/api/drops/drop-1", "/api/drops/drop-1/orders/o-1"]


def test_the_drop_is_put_on_sale_with_its_stock() -> None:
    request = SHOP.put(50)
    assert (request.method, request.path) == ("PUT", "/api/drops/drop-1")
    assert json.loads(request.body or b"")["stock"] == 50

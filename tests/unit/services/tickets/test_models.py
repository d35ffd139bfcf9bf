"""What commands and messages take and refuse: types, ranges, ids and times, without any I/O."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from services.tickets.models import (
    Drop,
    DropPath,
    NewOrder,
    Order,
    OrderHeaders,
    OrderMessage,
    OrderPath,
    OrderStatus,
    PlaceOrder,
    PutDrop,
    rfc3339,
)
from tests.properties import given, st

GOOD_DROP = {"stock": 10, "per_customer": 2}
GOOD_ORDER = {"customer_id": "ann", "quantity": 2}
ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


def parsed(model: type[BaseModel], **values: Any) -> Any:
    return model.model_validate_json(json.dumps(values))


def refused_fields(model: type[BaseModel], **values: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        parsed(model, **values)
    return [".".join(map(str, detail["loc"])) for detail in caught.value.errors()]


@pytest.mark.parametrize(
    ("model", "good", "field", "value"),
    [
        *((PutDrop, GOOD_DROP, "stock", stock) for stock in (0, 1, 1_000_000)),
        *((PutDrop, GOOD_DROP, "per_customer", limit) for limit in (1, 100)),
        *((PlaceOrder, GOOD_ORDER, "quantity", quantity) for quantity in (1, 100)),
    ],
)
def test_a_number_at_the_ends_of_its_range_is_taken(
    model: type[BaseModel], good: dict[str, Any], field: str, value: int
) -> None:
    assert getattr(parsed(model, **good | {field: value}), field) == value


BAD_VALUES: list[tuple[type[BaseModel], dict[str, Any], str, list[Any]]] = [
    (PutDrop, GOOD_DROP, "stock", [-1, 1_000_001, 10**30, 1.0, 1e3, "1", True, None, [1], {}]),
    (PutDrop, GOOD_DROP, "per_customer", [0, 101, 1.5, "2", False, None]),
    (PlaceOrder, GOOD_ORDER, "quantity", [0, -1, 101, 2**70, 1.0, "2", True, None, []]),
    (PlaceOrder, GOOD_ORDER, "customer_id", [1, True, None, ["ann"], {"id": "ann"}]),
]


@pytest.mark.parametrize(
    ("model", "good", "field", "value"),
    [(model, good, field, value) for model, good, field, values in BAD_VALUES for value in values],
)
def test_a_number_out_of_range_or_another_type_is_refused_by_its_field(
    model: type[BaseModel], good: dict[str, Any], field: str, value: Any
) -> None:
    assert refused_fields(model, **good | {field: value}) == [field]


@pytest.mark.parametrize(("model", "good"), [(PutDrop, GOOD_DROP), (PlaceOrder, GOOD_ORDER)])
def test_an_unknown_field_of_a_body_and_every_missing_one_are_named(
    model: type[BaseModel], good: dict[str, Any]
) -> None:
    assert refused_fields(model, **good, extra=1) == ["extra"]
    assert refused_fields(model) == list(good)


def test_a_command_cannot_be_changed_after_it_was_parsed() -> None:
    command = parsed(PlaceOrder, **GOOD_ORDER)
    with pytest.raises(ValidationError, match="frozen"):
        command.quantity = 3


@given(st.text(ID_CHARACTERS, min_size=1, max_size=64))
def test_an_id_is_1_to_64_of_the_documented_characters(name: str) -> None:
    assert parsed(OrderPath, drop_id=name, order_id=name) == OrderPath(drop_id=name, order_id=name)


ODD_IDS = [
    "",
    "x" * 65,
    "a b",
    "a/b",
    "a\n",
    "\n",
    "ä",
    "a{b}",
    "a:b",
    "a\u0000",
    "٣",
    "%41",
    "a\u200b",
]


@pytest.mark.parametrize("odd", ODD_IDS)
@pytest.mark.parametrize(
    ("model", "good", "field"),
    [
        (DropPath, {}, "drop_id"),
        (OrderPath, {"drop_id": "d"}, "order_id"),
        (PlaceOrder, GOOD_ORDER, "customer_id"),
        (OrderMessage, {"order_id": "o", "drop_id": "d", **GOOD_ORDER}, "order_id"),
    ],
)
def test_an_odd_or_long_id_is_refused_by_its_field(
    model: type[BaseModel], good: dict[str, Any], field: str, odd: str
) -> None:
    assert refused_fields(model, **good | {field: odd}) == [field]


@pytest.mark.parametrize("key", ["k", "~!{}\"'\\", "x" * 128])
def test_an_idempotency_key_is_1_to_128_visible_ascii_characters(key: str) -> None:
    assert parsed(OrderHeaders, **{"Idempotency-Key": key}).idempotency_key == key


@pytest.mark.parametrize("key", ["", "x" * 129, "a b", "a\n", "\t", "ä", "\x7f", "\x1f"])
def test_another_idempotency_key_is_refused_by_the_headers_name(key: str) -> None:
    assert refused_fields(OrderHeaders, **{"Idempotency-Key": key}) == ["Idempotency-Key"]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2030-01-31T18:00:00Z", datetime(2030, 1, 31, 18, tzinfo=UTC)),
        ("2030-01-31t18:00:00z", datetime(2030, 1, 31, 18, tzinfo=UTC)),
        ("2030-01-31T18:00:00-00:00", datetime(2030, 1, 31, 18, tzinfo=UTC)),
        ("2030-01-31T18:00:00+05:30", datetime(2030, 1, 31, 12, 30, tzinfo=UTC)),
        ("2030-01-31T18:00:00-23:59", datetime(2030, 2, 1, 17, 59, tzinfo=UTC)),
        ("2028-02-29T23:59:59.123456789Z", datetime(2028, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ],
)
def test_an_rfc_3339_time_with_any_offset_is_taken_in_utc(text: str, utc: datetime) -> None:
    closes_at = parsed(PutDrop, **GOOD_DROP, closes_at=text).closes_at
    assert (closes_at, closes_at.tzinfo) == (utc, UTC)


@pytest.mark.parametrize(
    "time",
    [
        "2030-01-31",
        "2030-01-31T18:00",
        "2030-01-31T18:00:00",
        "2030-01-31 18:00:00Z",
        "2030-01-31T18:00:00+0530",
        "2030-01-31T18:00:00+24:00",
        "2030-01-31T18:00:00.Z",
        "2030-01-31T18:00:00Z\n",
        "2030-01-31T24:00:00Z",
        "2030-13-01T00:00:00Z",
        "2030-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "٢٠٣٠-01-31T18:00:00Z",
        "tomorrow",
        "P7D",
        "",
        0,
        1900000000,
        1.9e9,
        True,
        ["2030-01-31T18:00:00Z"],
    ],
)
def test_another_time_is_refused_by_its_field(time: Any) -> None:
    assert refused_fields(PutDrop, **GOOD_DROP, closes_at=time) == ["closes_at"]


@pytest.mark.parametrize("values", [{}, {"closes_at": None}])
def test_closes_at_may_be_left_out_or_null(values: dict[str, Any]) -> None:
    assert parsed(PutDrop, **GOOD_DROP, **values).closes_at is None


def test_times_leave_in_utc_with_milliseconds() -> None:
    assert rfc3339(datetime.fromisoformat("2030-01-31T18:00:00.123456+01:00")) == "2030-01-31T17:00:00.123Z"


def test_a_drop_leaves_with_exactly_the_documented_fields() -> None:
    closes_at = datetime(2030, 1, 31, tzinfo=UTC)
    drop = Drop(drop_id="d", stock=5, per_customer=2, closes_at=closes_at, remaining=3, confirmed=2, refused=1)
    assert json.loads(drop.model_dump_json()) == {
        "drop_id": "d",
        "stock": 5,
        "per_customer": 2,
        "closes_at": "2030-01-31T00:00:00.000Z",
        "remaining": 3,
        "confirmed": 2,
        "refused": 1,
    }


def a_queued_order() -> Order:
    return Order(
        order_id="o",
        drop_id="d",
        customer_id="c",
        quantity=2,
        status=OrderStatus.QUEUED,
        placed_at=datetime(2030, 1, 31, tzinfo=UTC),
    )


def test_a_queued_order_leaves_with_exactly_the_documented_fields() -> None:
    assert json.loads(a_queued_order().model_dump_json()) == {
        "order_id": "o",
        "drop_id": "d",
        "customer_id": "c",
        "quantity": 2,
        "status": "queued",
        "reason": None,
        "placed_at": "2030-01-31T00:00:00.000Z",
        "decided_at": None,
    }


def test_the_queue_message_is_the_order_as_placed() -> None:
    message = OrderMessage.model_validate_json(a_queued_order().model_dump_json())
    assert message == OrderMessage(order_id="o", drop_id="d", customer_id="c", quantity=2)


def test_a_message_made_by_hand_needs_each_of_its_four_fields() -> None:
    assert refused_fields(OrderMessage) == ["order_id", "drop_id", "customer_id", "quantity"]


def order_id_for(drop: str, customer: str, key: str) -> str:
    return NewOrder.of(drop, PlaceOrder(customer_id=customer, quantity=1), key).order_id


def test_an_order_id_is_a_uuid_of_version_5_and_itself_a_valid_id() -> None:
    order_id = order_id_for("d", "c", "k")
    assert uuid.UUID(order_id).version == 5
    assert parsed(OrderPath, drop_id="d", order_id=order_id).order_id == order_id


names = st.text(ID_CHARACTERS, min_size=1, max_size=3)
keys = st.text([chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=3)


@given(st.lists(st.tuples(names, names, keys), min_size=2, max_size=2, unique=True))
def test_another_drop_customer_or_key_makes_another_order(orders: list[tuple[str, str, str]]) -> None:
    assert order_id_for(*orders[0]) != order_id_for(*orders[1])

"""What comes in over HTTP becomes a command or an error that names the field; the value itself is never repeated."""

from __future__ import annotations

import contextlib
import json

import azure.functions as func
import pytest

from blueprints.strict_json import parse_json
from blueprints.web import inputs
from services.errors import AppError, InvalidInput, WrongContentType
from services.tickets.models import ListOrders, OrderHeaders, OrderMessage, PlaceOrder, PutDrop
from tests.properties import given, st

JSON = {"Content-Type": "application/json"}


def request(body: bytes = b"", headers: dict[str, str] | None = None, **route: str) -> func.HttpRequest:
    return func.HttpRequest(
        "POST", "http://localhost/api/x", headers=JSON if headers is None else headers, route_params=route, body=body
    )


def refused(body: bytes) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        inputs.body(request(body), PlaceOrder)
    return dict(caught.value.fields)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        pytest.param(b'{"customer_id": "ann", "quantity": 1' + b"0" * 4000 + b"}", ["quantity"], id="huge int"),
        pytest.param(b'{"customer_id": "ann", "quantity": 1e1}', ["quantity"], id="exponent"),
        pytest.param(b'{"customer_id": "ann", "quantity": 1e999}', ["quantity"], id="float overflow"),
        pytest.param(b'{"customer_id": "ann", "quantity": NaN}', ["quantity"], id="NaN"),
        pytest.param(b'{"customer_id": "ann", "quantity": -Infinity}', ["quantity"], id="infinity"),
        pytest.param(b'{"customer_id": "\\u0000", "quantity": 2}', ["customer_id"], id="NUL in an id"),
        pytest.param(b"{}", ["customer_id", "quantity"], id="fields missing"),
        pytest.param(b'{"quantity": 0, "gift": 1}', ["customer_id", "gift", "quantity"], id="all at once"),
        pytest.param(b'{"customer_id": "a", "quantity": 1, "quantity": 2}', ["quantity"], id="duplicate key"),
        pytest.param(b'{"customer_id": {"a": {"b": 1, "b": 1}}, "quantity": 2}', ["b"], id="nested duplicate key"),
        pytest.param(b'{"customer_id": [{"a": 1}, {"a": 1, "a": 1}]}', ["a"], id="duplicate key in a list"),
        pytest.param(b'{"quantity": 1, "quantit\\u0079": 2}', ["quantity"], id="duplicate key, escaped"),
        pytest.param(b"{", ["body"], id="cut off"),
        pytest.param(b'{"customer_id": "ann", "quantity": 2,}', ["body"], id="trailing comma"),
        pytest.param(b"{'customer_id': 'ann', 'quantity': 2}", ["body"], id="single quotes"),
        pytest.param(b'{"customer_id": "ann", "quantity": 02}', ["body"], id="leading zero"),
        pytest.param(b'{"customer_id": "ann", "quantity": 2} {}', ["body"], id="two documents"),
        pytest.param(b'{"customer_id": "ann", "quantity": 2}\x00', ["body"], id="NUL after the document"),
        pytest.param(b'{"customer_id": "a\nb", "quantity": 2}', ["body"], id="raw newline in a string"),
        pytest.param(b'{"customer_id": "ann", "quantity": ' + b"9" * 5000 + b"}", ["body"], id="int of 5000 digits"),
        pytest.param(b'{"customer_id": "\xff", "quantity": 2}', ["body"], id="invalid UTF-8"),
        pytest.param(b'{"customer_id": "\xed\xa0\x80", "quantity": 2}', ["body"], id="surrogate in UTF-8"),
        pytest.param('{"customer_id": "ann", "quantity": 2}'.encode("utf-16"), ["body"], id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"customer_id": "ann", "quantity": 2}', ["body"], id="byte order mark"),
        pytest.param(b'{"customer_id": "\\ud800", "quantity": 2}', ["body"], id="lone surrogate in a value"),
        pytest.param(b'{"\\udfff": 1}', ["body"], id="lone surrogate in a name"),
        pytest.param(b'{"\\ud800": 1, "\\ud800": 1}', ["\\ud800"], id="lone surrogate in a duplicate name"),
        pytest.param(b'{"a\\n": 1, "a\\n": 1}', ["a\\n"], id="newline in a duplicate name"),
        pytest.param(b"[]", ["body"], id="list"),
        pytest.param(b"null", ["body"], id="null document"),
        pytest.param(b'"text"', ["body"], id="text document"),
        pytest.param(b"1", ["body"], id="number document"),
        pytest.param(b"", ["body"], id="empty"),
        pytest.param(b"  \n", ["body"], id="blank"),
        pytest.param(b"[" * 16000, ["body"], id="deep lists"),
        pytest.param(b"[" * 8000 + b"]" * 8000, ["body"], id="deep lists, closed"),
        pytest.param(b'{"a":' * 2700 + b"1" + b"}" * 2700, ["body"], id="deep objects"),
        pytest.param(b'{"customer_id": ' + b"[" * 300 + b"]" * 300 + b"}", ["body"], id="300 deep"),
    ],
)
def test_a_bad_body_is_refused_by_the_names_of_its_fields(body: bytes, fields: list[str]) -> None:
    found = refused(body)
    assert sorted(found) == fields
    assert all(found.values())


def test_a_bad_time_is_refused_by_its_field() -> None:
    with pytest.raises(InvalidInput) as caught:
        inputs.body(request(b'{"stock": 1, "per_customer": 1, "closes_at": "tomorrow"}'), PutDrop)
    assert caught.value.fields[0][0] == "closes_at"


def padded(length: int) -> bytes:
    body = json.dumps({"customer_id": "ann", "quantity": 2}).encode()
    return body + b" " * (length - len(body))


def test_a_body_of_exactly_16_kib_becomes_the_command() -> None:
    command = inputs.body(request(padded(16 * 1024)), PlaceOrder)
    assert command == PlaceOrder(customer_id="ann", quantity=2)


@pytest.mark.parametrize("declared", ["application/json", "APPLICATION/JSON; charset=utf-8", " application/json ;x"])
def test_a_body_declared_as_json_is_taken(declared: str) -> None:
    assert inputs.body(request(padded(100), {"content-type": declared}), PlaceOrder).quantity == 2


@pytest.mark.parametrize(
    "declared", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "", "json"]
)
def test_a_body_declared_as_anything_else_is_refused(declared: str | None) -> None:
    with pytest.raises(WrongContentType):
        inputs.body(request(padded(100), {} if declared is None else {"content-type": declared}), PlaceOrder)


@pytest.mark.parametrize(
    "headers", [{}, {"idempotency-key": ""}, {"Idempotency-Key": "x" * 129}, {"idempotency-key": "a b"}]
)
def test_a_missing_or_malformed_idempotency_key_is_refused_by_the_headers_name(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        inputs.headers(request(headers=headers), OrderHeaders)
    (field,) = caught.value.fields
    assert field[0] == "Idempotency-Key"
    assert "pattern" not in field[1]


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
def test_the_idempotency_key_is_found_in_any_case(name: str) -> None:
    assert inputs.headers(request(headers={name: "k" * 128}), OrderHeaders).idempotency_key == "k" * 128


def test_a_made_up_field_name_is_shown_in_64_characters_at_most() -> None:
    (name,) = set(refused(b'{"customer_id": "a", "quantity": 1, "' + b"x" * 9000 + b'": 1}'))
    assert name == "x" * 64


def test_at_most_20_fields_are_named() -> None:
    body = json.dumps({f"f{number}": 1 for number in range(1000)}).encode()
    assert len(refused(body)) == 20


@pytest.mark.parametrize(
    "body",
    [
        b'{"customer_id": "hunter 2", "quantity": 2}',
        b'{"customer_id": "ann", "quantity": "hunter 2"}',
        b'{"customer_id": "ann", "quantity": 2, "x": "hunter 2"}',
        b'{"customer_id": "hunter 2", "quantity": 2',
    ],
)
def test_a_refusal_never_repeats_the_value(body: bytes) -> None:
    assert "hunter" not in str(refused(body))


def test_a_queue_message_may_carry_more_than_it_needs() -> None:
    body = b'{"order_id": "o", "drop_id": "d", "customer_id": "c", "quantity": 1, "status": "queued", "new": {}}'
    assert parse_json(body, OrderMessage).order_id == "o"


@given(st.binary(max_size=300))
def test_any_bytes_become_a_command_or_an_error_of_ours(body: bytes) -> None:
    with contextlib.suppress(AppError):
        assert inputs.body(request(body), PlaceOrder)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.fixed_dictionaries({"customer_id": json_values, "quantity": json_values}) | json_values)
def test_any_json_becomes_a_command_or_an_error_of_ours(document: object) -> None:
    with contextlib.suppress(AppError):
        assert inputs.body(request(json.dumps(document).encode()), PlaceOrder)


def query(text: str, **params: str) -> ListOrders:
    """`params`: what the host makes of the query, which leaves out what is empty and joins what is repeated."""
    return inputs.query(func.HttpRequest("GET", f"http://localhost/api/x?{text}", params=params, body=b""), ListOrders)


def test_an_empty_value_is_refused_beside_another_of_its_name_too() -> None:
    with pytest.raises(InvalidInput, match="status"):
        query("status=queued&status=", status="queued")


@pytest.mark.parametrize("name", ["code", "Code", "CLIENTID"])
def test_the_key_is_the_hosts_which_reads_it_in_any_case(name: str) -> None:
    assert query(f"{name}=key", **{name: "key"}) == ListOrders()

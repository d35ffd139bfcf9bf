"""The HTTP functions themselves, on a real Valkey and a real Service Bus client: statuses, headers and bodies."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from blueprints.web import responses
from lab.azure.functions_host.worker.context import TraceContext
from services import app_services
from services.queue_session.connection import ServiceBusConnection
from services.queue_session.queue_service import QueueService
from services.tickets.desk import OrderDesk
from services.tickets.models import NewOrder, OrderMessage, PlaceOrder
from tests.integration.blueprints.worker import HOST, TRACE, Answer, Worker, fulfil
from tests.integration.services.tickets.shop import DROP, WITHIN_S, snapshot

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SECRET = "hunter2"


def location(answer: Answer) -> str:
    return answer.headers["Location"]


async def decide(order: dict[str, Any]) -> None:
    message = {name: order[name] for name in OrderMessage.model_fields}
    await app_services.shared.order_desk.decide(OrderMessage.model_validate(message))


async def record_order(key: str, quantity: int) -> None:
    """As far as a request gets that dies before its send."""
    new = NewOrder.of(DROP, PlaceOrder(customer_id="ann", quantity=quantity), key)
    await app_services.shared.order_store.place(new, WITHIN_S)


# --- drops ------------------------------------------------------------------------------------------------------------
async def test_put_drop_answers_201_with_the_new_drop(worker: Worker) -> None:
    answer = await worker.put_drop(stock=10, per_customer=2)
    closes_at = answer.document.pop("closes_at")
    assert (answer.status, answer.media_type) == (201, "application/json")
    assert answer.document == {
        "drop_id": DROP,
        "stock": 10,
        "per_customer": 2,
        "remaining": 10,
        "confirmed": 0,
        "refused": 0,
    }
    assert TIME.fullmatch(closes_at)


async def test_put_drop_again_answers_200_with_the_restocked_drop(worker: Worker) -> None:
    await worker.put_drop(stock=10)
    answer = await worker.put_drop(stock=20)
    assert (answer.status, answer.document["stock"]) == (200, 20)


async def test_get_drop_answers_200_with_what_put_answered(worker: Worker) -> None:
    put = await worker.put_drop()
    got = await worker.get_drop()
    assert (got.status, got.document) == (200, put.document)


async def test_what_is_not_there_is_404(worker: Worker) -> None:
    unknown = [await worker.get_drop("nowhere"), await worker.list_orders("nowhere"), await worker.get_order("o")]
    await worker.put_drop()
    for answer in [*unknown, await worker.get_order("nobody")]:
        check_problem(answer, 404, "")


# --- orders -----------------------------------------------------------------------------------------------------------
async def test_place_order_answers_202_with_location_retry_after_and_the_queued_order(worker: Worker) -> None:
    await worker.put_drop()
    answer = await worker.place_order(customer_id="ann", quantity=2)
    order = answer.document
    assert (answer.status, answer.media_type) == (202, "application/json")
    assert location(answer) == f"/api/drops/{DROP}/orders/{order['order_id']}"
    assert int(answer.headers["Retry-After"]) >= 1
    assert TIME.fullmatch(order.pop("placed_at"))
    del order["order_id"]
    assert order == {
        "drop_id": DROP,
        "customer_id": "ann",
        "quantity": 2,
        "status": "queued",
        "reason": None,
        "decided_at": None,
    }


@pytest.mark.parametrize(
    ("host", "mount"),
    [
        *((HOST, mount) for mount in ("", "/v1", "/shop/api", "/drops/drops")),
        *((odd, "/api") for odd in ("[", "a?b#c", "")),  # the real host takes no "/" in one
    ],
)
async def test_the_location_is_under_the_path_that_the_request_came_by_whatever_its_host_header(
    worker: Worker, host: str, mount: str
) -> None:
    await worker.put_drop("drops")
    answer = await worker.place_order(drop="drops", host=host, mount=mount)
    assert (answer.status, location(answer)) == (202, f"{mount}/drops/drops/orders/{answer.document['order_id']}")


async def test_no_answer_may_be_kept_by_a_cache(worker: Worker) -> None:
    await worker.put_drop()
    answers = [await worker.place_order(), await worker.get_drop(), await worker.get_drop("nowhere")]
    answers += [await worker.health(), await worker.ready(), await worker.openapi()]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize(
    ("trace", "properties"),
    [(TRACE, {"Diagnostic-Id": TRACE.trace_parent, "tracestate": TRACE.trace_state}), (TraceContext(""), None)],
)
async def test_the_message_has_the_order_as_its_body_its_id_and_the_trace_in_its_properties(
    worker: Worker, trace: TraceContext, properties: dict[str, str] | None
) -> None:
    await worker.put_drop()
    order = (await worker.place_order(trace=trace)).document
    (message,) = await worker.messages(1)
    assert (message.message_id, json.loads(message.get_body())) == (order["order_id"], order)
    assert (message.application_properties or None) == properties


async def test_the_repeated_request_answers_the_same_order_and_is_enqueued_once_inside_the_window(
    worker: Worker,
) -> None:
    await worker.put_drop()
    first, second = await worker.place_order(), await worker.place_order()
    assert (second.status, second.document, location(second)) == (202, first.document, location(first))
    assert worker.broker.stats("orders")["duplicates"] == 1
    assert worker.waiting() == 1


async def test_the_repeated_request_of_a_decided_order_answers_200_and_enqueues_nothing(worker: Worker) -> None:
    await worker.put_drop()
    first = await worker.place_order()
    await decide(first.document)
    again = await worker.place_order()
    assert (again.status, again.document["status"], location(again)) == (200, "confirmed", location(first))
    assert "Retry-After" not in again.headers
    stats = worker.broker.stats("orders")
    assert (stats["active"], stats["duplicates"]) == (1, 0)


async def age(worker: Worker, order_id: str, seconds: float) -> None:
    """As if the order had been placed so long ago."""
    orders = f"{{drop:{DROP}}}:orders"
    record = json.loads(await worker.redis.hget(orders, order_id) or "")
    await worker.redis.hset(orders, order_id, json.dumps(record | {"placed_at": record["placed_at"] - seconds * 1000}))


async def test_a_request_repeated_for_an_order_whose_message_is_lost_is_not_swallowed(worker: Worker) -> None:
    await worker.put_drop()
    order = (await worker.place_order()).document
    await worker.messages(1)  # completed, and nothing decided
    await worker.place_order()
    assert worker.waiting() == 0
    for minutes in (1.1, 1.9, 2.1, 4.5, 70):
        await age(worker, order["order_id"], 60 * minutes)
        assert (await worker.place_order()).status == 202
    for message in await worker.messages(worker.waiting()):
        assert str(message.message_id).startswith(f"{order['order_id']}.")
        await fulfil(message)
    assert (await worker.get_order(order["order_id"])).document["status"] == "confirmed"


@pytest.mark.parametrize(("age_s", "retry_after"), [(0, 1), (15, 1), (100, 10), (86_400, 60)])
async def test_the_longer_an_order_is_queued_the_later_it_is_asked_for(
    worker: Worker, age_s: int, retry_after: int
) -> None:
    await worker.put_drop()
    order_id = (await worker.place_order()).document["order_id"]
    await age(worker, order_id, age_s)
    shown = int((await worker.get_order(order_id)).headers["Retry-After"])
    assert retry_after <= shown <= retry_after + 6  # the machine may be slow


async def test_list_orders_answers_200_with_those_that_the_query_names(worker: Worker) -> None:
    await worker.put_drop()
    old = (await worker.place_order("old")).document
    new = (await worker.place_order("new", customer_id="bob")).document
    await age(worker, old["order_id"], 3600)
    everything = (await worker.list_orders()).document
    assert {order["order_id"] for order in everything["orders"]} == {old["order_id"], new["order_id"]}
    assert everything["cursor"] is None
    stuck = (await worker.list_orders(queued_for_s="1800", limit="500", cursor="0")).document["orders"]
    assert [order["order_id"] for order in stuck] == [old["order_id"]]
    assert (await worker.list_orders(customer_id="bob", status="queued")).document["orders"] == [new]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status", "lost"),
        ("customer_id", "a,b"),
        ("queued_for_s", "-1"),
        ("queued_for_s", "1.5"),
        ("limit", "501"),
        ("limit", "1,2"),
        ("cursor", "x"),
        ("cursor", str(2**64)),
        ("cursor", "\u0661"),  # a digit, of another script
        ("queued_for", "60"),
        ("customer_id", ""),
    ],
)
async def test_a_query_that_is_not_as_documented_is_400_and_named(worker: Worker, name: str, text: str) -> None:
    await worker.put_drop()
    check_problem(await worker.list_orders(**{name: text}), 400, name)


async def test_get_order_answers_200_with_retry_after_while_queued(worker: Worker) -> None:
    await worker.put_drop()
    order = (await worker.place_order()).document
    answer = await worker.get_order(order["order_id"])
    assert (answer.status, answer.document) == (200, order)
    assert int(answer.headers["Retry-After"]) >= 1


async def test_get_order_of_a_decided_one_answers_200_without_retry_after(worker: Worker) -> None:
    await worker.put_drop()
    order = (await worker.place_order()).document
    await decide(order)
    answer = await worker.get_order(order["order_id"])
    assert (answer.status, answer.document["status"]) == (200, "confirmed")
    assert TIME.fullmatch(answer.document["decided_at"])
    assert "Retry-After" not in answer.headers


# --- refusals ---------------------------------------------------------------------------------------------------------
REFUSED_PUTS: list[tuple[dict[str, Any], int, str]] = [
    ({"body": b"{"}, 400, "body"),
    ({"body": b" " * 16385}, 413, ""),
    ({"stock": -1}, 400, "stock"),
    ({"closes_at": "2999-01-01T00:00:00Z"}, 400, "closes_at"),
    ({"drop": "a b"}, 400, "drop_id"),
    ({"stock": 2}, 409, "urn:problem-type:below-confirmed"),
]
REFUSED_ORDERS: list[tuple[dict[str, Any], int, str]] = [
    ({"body": b"{"}, 400, "body"),
    ({"body": b" " * 16385}, 413, ""),
    ({"content_type": "text/plain"}, 415, ""),
    ({"encoding": "gzip"}, 415, ""),
    ({"quantity": 0}, 400, "quantity"),
    ({"drop": "a/b"}, 400, "drop_id"),
    ({"key": None}, 400, "Idempotency-Key"),
    ({"key": "taken", "quantity": 2}, 422, ""),
    ({"drop": "nowhere"}, 404, ""),
    ({"drop": "shut"}, 409, "urn:problem-type:closed"),
    ({"quantity": 6}, 409, "urn:problem-type:customer-limit"),
    ({"drop": "empty"}, 409, "urn:problem-type:sold-out"),
]


def check_problem(answer: Answer, status: int, names: str) -> None:
    document = answer.document
    assert (answer.status, answer.media_type, document["status"]) == (status, "application/problem+json", status)
    if status == 400:
        assert [error["field"] for error in document["errors"]] == [names]
    if status == 409:
        assert document["type"] == names


@pytest.mark.parametrize(("request_", "status", "names"), REFUSED_PUTS)
async def test_a_refused_put_says_why_and_writes_nothing(
    worker: Worker, request_: dict[str, Any], status: int, names: str
) -> None:
    await worker.put_drop()
    await worker.fulfil({"order_id": "o", "drop_id": DROP, "customer_id": "c", "quantity": 3})
    before = await snapshot(worker.redis)
    check_problem(await worker.put_drop(**request_), status, names)
    assert await snapshot(worker.redis) == before


@pytest.mark.parametrize(("request_", "status", "names"), REFUSED_ORDERS)
async def test_a_refused_order_says_why_and_neither_writes_nor_enqueues(
    worker: Worker, request_: dict[str, Any], status: int, names: str
) -> None:
    await worker.put_drop()
    await worker.put_drop("shut", closes_at="2001-01-01T00:00:00Z")
    await worker.put_drop("empty", stock=0)
    await record_order("taken", quantity=1)
    before, enqueued = await snapshot(worker.redis), worker.broker.stats("orders")
    check_problem(await worker.place_order(**request_), status, names)
    assert await snapshot(worker.redis) == before
    assert worker.broker.stats("orders") == enqueued


@pytest.mark.parametrize(("drop", "order", "field"), [("a b", "o", "drop_id"), ("d", "o\n", "order_id")])
async def test_an_odd_id_in_an_address_is_400_and_named(worker: Worker, drop: str, order: str, field: str) -> None:
    check_problem(await worker.get_order(order, drop), 400, field)


# --- Service Bus or its settings missing ------------------------------------------------------------------------------
async def test_without_service_bus_the_answer_is_503_with_the_location_of_the_recorded_order(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(responses, "warnings_of_503", responses.Warnings())
    await worker.put_drop()
    worker.broker.stop()
    answer = await worker.place_order()
    assert (answer.status, answer.media_type) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1
    order_id = location(answer).rsplit("/", 1)[1]
    followed = await worker.get_order(order_id)
    assert (followed.status, followed.document["status"]) == (200, "queued")
    (line,) = [one.getMessage() for one in caplog.records if "place_order answers 503" in one.getMessage()]
    assert f"order_id='{order_id}'" in line


async def test_the_same_request_repeated_finishes_what_service_bus_missed(worker: Worker) -> None:
    await worker.put_drop()
    worker.broker.stop()
    missed = await worker.place_order()
    worker.broker.start()
    finished = await worker.placed()
    assert (finished.status, location(finished)) == (202, location(missed))
    (message,) = await worker.messages(1)
    assert message.message_id == finished.document["order_id"]


async def test_a_confirmation_that_is_lost_is_not_answered_202_unless_repeated_and_stored_once(worker: Worker) -> None:
    await worker.put_drop()
    await worker.place_order("warm-up", quantity=1)
    worker.broker.faults.cut_after_storing(1)
    assert (await worker.place_order()).status == 202
    assert worker.waiting() == 2


async def test_an_order_on_which_redis_has_spent_the_time_is_not_sent_and_does_not_count_against_service_bus(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await worker.put_drop()
    monkeypatch.setattr("services.tickets.desk.REQUEST_S", 0.2)
    assert (await worker.place_order()).status == 503
    assert worker.waiting() == 0
    assert app_services.shared.queue_service.counters.failures == 0
    assert "Redis took" in caplog.text


@pytest.mark.parametrize(
    ("connection_string", "queue_name"),
    [(None, "orders"), (f"Endpoint=sb://x;SharedAccessKeyName=a;SharedAccessKey={SECRET}", None)],
    ids=["connection", "queue"],
)
async def test_without_a_usable_service_bus_setting_the_answer_is_503_with_the_location(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, connection_string: str | None, queue_name: str | None
) -> None:
    await worker.put_drop()
    queue = QueueService(ServiceBusConnection(connection_string=connection_string), queue_name)
    desk = OrderDesk(app_services.shared.order_store, queue)
    monkeypatch.setattr(app_services, "shared", replace(app_services.shared, order_desk=desk))
    answer = await worker.place_order()
    await queue.aclose()
    assert answer.status == 503
    assert SECRET not in f"{answer}"
    assert (await worker.get_order(location(answer).rsplit("/", 1)[1])).status == 200

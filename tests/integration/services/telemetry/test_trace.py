"""One trace from the request through the message to the decision, on the lab's host, Service Bus and Valkey."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lab.azure.redis_server import RedisServer
from lab.azure.service_bus import Broker
from tests import ROOT

KEY = "function-key-hunter2"
BUS_KEY = "bus-key-hunter2"
TRACES = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 9)]
Span = dict[str, Any]


@pytest.fixture(scope="module", params=[False, True], ids=["our spans", "and the Service Bus SDK's"])
def exported(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the app exported while it took eight orders at the same time, each with a trace of its own."""
    with RedisServer(appendonly=False) as redis, Broker() as broker:
        settings = {
            "REDIS_URL": redis.url,
            "ServiceBusConnection": broker.connection_string.replace("=local", f"={BUS_KEY}"),
            "ORDERS_QUEUE": "orders",
            "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "true",
            "AzureFunctionsJobHost__telemetryMode": "OpenTelemetry",
        }
        wanted = {"settings": settings, "sdk_tracing": request.param, "traces": TRACES, "key": KEY}
        command = [sys.executable, "-m", "tests.integration.services.telemetry.observed_app", json.dumps(wanted)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout)


def trace_of(exported: dict[str, Any], traceparent: str) -> list[Span]:
    """The spans of a trace, by their time."""
    trace_id = f"0x{traceparent.split('-')[1]}"
    found = [span for span in exported["spans"] if span["context"]["trace_id"] == trace_id]
    return sorted(found, key=lambda span: str(span["start_time"]))


def named(spans: list[Span], name: str) -> Span:
    (span,) = [span for span in spans if span["name"] == name]
    return span


def ancestors(spans: list[Span], span: Span) -> list[str]:
    """The names of the spans above, the nearest first; what is above our first is the caller's id."""
    by_id = {each["context"]["span_id"]: each for each in spans}
    above: list[str] = []
    parent = span["parent_id"]
    while parent in by_id:
        above.append(by_id[parent]["name"])
        parent = by_id[parent]["parent_id"]
    return [*above, parent]


@pytest.mark.parametrize("traceparent", TRACES)
def test_the_decision_s_script_leads_back_to_the_caller_of_the_request(
    exported: dict[str, Any], traceparent: str
) -> None:
    spans = trace_of(exported, traceparent)
    above = [name for name in ancestors(spans, named(spans, "EVALSHA decide_order")) if name != "ServiceBus.message"]
    assert above == ["fulfil_order", "send orders", "place_order", f"0x{traceparent.split('-')[2]}"]


def test_the_service_bus_sdk_stamps_messages_where_its_own_spans_are_on(
    exported: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """The control of the test above: the SDK overwrites the trace context that the app has put on a message."""
    stamped = [span for span in exported["spans"] if span["name"] == "ServiceBus.message"]
    on = "the Service Bus SDK's" in request.node.name
    assert len(stamped) == (len(TRACES) if on else 0)


@pytest.mark.parametrize("traceparent", TRACES)
def test_the_order_s_script_is_part_of_the_request(exported: dict[str, Any], traceparent: str) -> None:
    spans = trace_of(exported, traceparent)
    assert ancestors(spans, named(spans, "EVALSHA place_order"))[0] == "place_order"


def test_every_span_of_a_trace_is_about_the_one_order(exported: dict[str, Any]) -> None:
    ids = {order["customer_id"]: order["order_id"] for order in exported["orders"]}
    for number, traceparent in enumerate(TRACES):
        spans = trace_of(exported, traceparent)
        of_functions = {span["attributes"]["order_id"] for span in spans if "order_id" in span["attributes"]}
        assert of_functions == {ids[f"customer-{number}"]}
        assert named(spans, "send orders")["attributes"]["messaging.message.id"] == ids[f"customer-{number}"]


def test_every_line_about_an_order_has_its_id_and_that_of_the_invocation(exported: dict[str, Any]) -> None:
    lines = [line for line in exported["logs"] if line["logger"].startswith("services.blueprints.")]
    assert len(lines) == len(TRACES)  # of fulfil_order; place_order's is DEBUG
    for line in lines:
        assert line["fields"]["order_id"] in line["message"]
        assert any(line["fields"]["invocation_id"] in host["message"] for host in exported["logs"] if host is not line)


def test_a_line_and_the_span_that_it_was_written_in_name_the_same_invocation(exported: dict[str, Any]) -> None:
    of_lines = {line["fields"]["invocation_id"] for line in exported["logs"] if "invocation_id" in line["fields"]}
    of_spans = {span["attributes"].get("invocation_id") for span in exported["spans"]} - {None}
    assert of_lines < of_spans
    assert (len(of_lines), len(of_spans)) == (len(TRACES), 2 * len(TRACES))


def test_no_key_and_no_customer_shows_in_a_span_a_metric_or_a_line(exported: dict[str, Any]) -> None:
    shown = json.dumps({part: exported[part] for part in ("spans", "metrics", "logs")})
    secrets = (KEY, BUS_KEY, "idempotency-key", "SharedAccessKey", "customer-")
    assert [secret for secret in secrets if secret in shown] == []


def test_the_metrics_are_those_of_the_sessions_that_served(exported: dict[str, Any]) -> None:
    found = exported["metrics"]
    assert (found["redis.session.connections"], found["redis.session.connects"]) == (1, 1)
    assert (found["servicebus.session.opened"], found["servicebus.session.sent"]) == (1, len(TRACES))
    assert (found["redis.session.in_flight"], found["servicebus.session.waiting"]) == (0, 0)

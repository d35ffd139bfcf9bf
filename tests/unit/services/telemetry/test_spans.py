"""The spans: whose children they are, what they are called, and what they say of a failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from services.errors import Conflict
from services.redis_session import NotSent
from services.telemetry import Headers, Spans, message_properties
from services.telemetry.otel_spans import OtelSpans

SECRET = "hunter2"
TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"
HOST: Headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=value"}
IDS = {"order_id": "o-1", "invocation_id": "i-1"}


@dataclass
class Recorded:
    """Spans that go to memory."""

    spans: OtelSpans
    exporter: InMemorySpanExporter

    def all(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def only(self) -> ReadableSpan:
        (span,) = self.all()
        return span


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Recorded(OtelSpans(provider.get_tracer("test")), exporter)
    provider.shutdown()


def context_of(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.context
    assert context is not None
    return context


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}"


def message(trace: str = TRACE, span: str = "00000000000000aa") -> Headers:
    return {"traceparent": f"00-{trace}-{span}-01"}


@pytest.mark.parametrize(
    ("of_the_host", "of_the_message", "parent", "linked"),
    [
        (HOST, message(), f"{TRACE}-b7ad6b7169203331", []),
        (HOST, message(OTHER), f"{OTHER}-00000000000000aa", [TRACE]),
        ({}, message(), f"{TRACE}-00000000000000aa", []),
    ],
    ids=["the host's span, of the message's trace", "the message's, the host's trace is linked", "the message's alone"],
)
def test_a_function_has_one_parent_and_is_no_second_request_to_azure_monitor(
    recorded: Recorded, of_the_host: Headers, of_the_message: Headers, parent: str, linked: list[str]
) -> None:
    with recorded.spans.function("fulfil_order", of_the_host, of_the_message, ids=IDS):
        pass
    span = recorded.only()
    assert (span.kind, parent_of(span)) == (SpanKind.INTERNAL, parent)
    assert [f"{link.context.trace_id:032x}" for link in span.links] == linked


@pytest.mark.parametrize("text", ["", "x", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01", SECRET])
def test_an_invalid_trace_context_begins_a_trace(recorded: Recorded, text: str) -> None:
    with recorded.spans.function("fulfil_order", {"traceparent": text}, {"traceparent": text}, ids={}):
        pass
    assert recorded.only().parent is None
    assert SECRET not in recorded.only().to_json()


def test_what_is_sent_carries_the_span_under_the_name_that_the_trigger_reads(recorded: Recorded) -> None:
    properties = message_properties(HOST)
    with (
        recorded.spans.function("place_order", HOST, ids=IDS),
        recorded.spans.sending("orders", "o", properties) as sent,
    ):
        pass
    send, function = recorded.all()
    assert sent == {
        "Diagnostic-Id": f"00-{TRACE}-{context_of(send).span_id:016x}-01",
        "tracestate": "vendor=value",
    }
    assert parent_of(send) == f"{TRACE}-{context_of(function).span_id:016x}"
    assert (send.name, send.kind) == ("send orders", SpanKind.PRODUCER)
    assert (send.attributes or {})["messaging.message.id"] == "o"


def test_a_script_is_a_call_of_redis_by_its_name(recorded: Recorded) -> None:
    with recorded.spans.script("decide_order"):
        pass
    span = recorded.only()
    assert (span.name, span.kind) == ("EVALSHA decide_order", SpanKind.CLIENT)
    assert (span.attributes or {})["db.stored_procedure.name"] == "decide_order"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        pytest.param(NotSent("not written"), StatusCode.ERROR, "not written", id="ours"),
        pytest.param(Conflict("sold out"), StatusCode.UNSET, None, id="a refusal is an answer"),
        pytest.param(ValueError(SECRET), StatusCode.ERROR, None, id="anybody's"),
        pytest.param(KeyboardInterrupt(SECRET), StatusCode.ERROR, None, id="not even an Exception"),
    ],
)
def test_a_failure_is_named_and_only_our_own_texts_are_shown(
    recorded: Recorded, error: BaseException, status: StatusCode, text: str | None
) -> None:
    with suppress(type(error)), recorded.spans.script("place_order"):
        raise error
    span = recorded.only()
    assert (span.status.status_code, span.status.description) == (status, text)
    assert (span.attributes or {})["error.type"] == type(error).__name__
    assert span.events == ()
    assert SECRET not in span.to_json()


@pytest.mark.parametrize("on", [True, False])
def test_an_error_passes_unchanged(recorded: Recorded, on: bool) -> None:
    error = NotSent("x")
    with pytest.raises(NotSent) as caught, (recorded.spans if on else Spans()).script("place_order"):
        raise error
    assert caught.value is error


def test_off_what_is_sent_is_what_was_given() -> None:
    with Spans().sending("orders", "o-1", HOST) as sent:
        assert sent is HOST

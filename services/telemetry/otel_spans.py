"""The spans of telemetry.py, made with the OpenTelemetry API. Imported only when telemetry is on.

Who exports them is not decided here: the Python worker sets the SDK up before it imports the app, and without an SDK
these spans are empty. Texts of foreign errors stay out of them, for they may quote what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, Tracer, get_current_span, get_tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.errors import UNAVAILABLE, AppError, Refused
from services.telemetry import NO_HEADERS, Headers, Spans, message_properties

NAME = "ticket-drop"
OURS = (AppError, *UNAVAILABLE)  # their texts hold nothing that was sent
_W3C = TraceContextTextMapPropagator()


class OtelSpans(Spans):
    """Attribute names are those of the OpenTelemetry semantic conventions where these have one.

    Functions are INTERNAL: the host's own span is the request, and Azure Monitor counts each SERVER or CONSUMER span as
    one more request.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer or get_tracer(NAME)

    def function(
        self, name: str, invocation: Headers, message: Headers = NO_HEADERS, *, ids: Mapping[str, str]
    ) -> AbstractContextManager[None]:
        parent, links = _origin(_W3C.extract(invocation, Context()), _W3C.extract(message, Context()))
        return self._span(name, SpanKind.INTERNAL, ids, parent, links)

    @contextmanager
    def sending(self, queue: str, message_id: str, headers: Headers) -> Iterator[Headers]:
        attributes = {
            "messaging.system": "servicebus",
            "messaging.operation.type": "send",
            "messaging.destination.name": queue,
            "messaging.message.id": message_id,
        }
        with self._span(f"send {queue}", SpanKind.PRODUCER, attributes):
            yield {**headers, **message_properties(_current())}

    def script(self, name: str) -> AbstractContextManager[None]:
        attributes = {
            "db.system.name": "redis",
            "db.operation.name": "EVALSHA",
            "db.stored_procedure.name": name,
        }
        return self._span(f"EVALSHA {name}", SpanKind.CLIENT, attributes)

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, str],
        parent: Context | None = None,
        links: Sequence[Link] = (),
    ) -> Iterator[None]:
        with self._tracer.start_as_current_span(
            name, parent, kind, attributes, links, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                if not isinstance(error, Refused):  # an answer like any other: a 4xx
                    span.set_status(Status(StatusCode.ERROR, str(error) if isinstance(error, OURS) else None))
                raise


def _origin(invocation: Context, message: Context) -> tuple[Context, list[Link]]:
    """The parent of a function's span: the host's span if it is of the message's trace, else the message itself."""
    ours, theirs = _span_context(invocation), _span_context(message)
    if not theirs.is_valid or ours.trace_id == theirs.trace_id:
        return invocation, []
    return message, [Link(ours)] if ours.is_valid else []


def _span_context(context: Context) -> SpanContext:
    return get_current_span(context).get_span_context()


def _current() -> Headers:
    """The current span by its W3C names; empty if there is none."""
    headers: dict[str, str] = {}
    _W3C.inject(headers)
    return headers

"""Identifies an invocation: its trace and the fields of its log lines. Never a key, a header or a body."""

from collections.abc import Mapping
from typing import Any

import azure.functions as func


def trace_of(context: func.Context) -> dict[str, str]:
    """The W3C trace context that the host gave the invocation; empty if it gave none."""
    trace = context.trace_context
    if not trace.trace_parent:
        return {}
    return _w3c(trace.trace_parent, trace.trace_state)


def trace_of_message(message: func.ServiceBusMessage) -> dict[str, str]:
    """The W3C trace context that a message carries; anything but text counts as none: anybody may have sent it."""
    properties: Mapping[str, Any] = message.application_properties or {}
    parent = properties.get("traceparent") or properties.get("Diagnostic-Id")
    return _w3c(parent, properties.get("tracestate")) if isinstance(parent, str) else {}


def log_fields(context: func.Context, **ids: str) -> dict[str, str]:
    """For `extra=`: the invocation's id and these. OpenTelemetry exports them; the host's own log has the text only."""
    return {"invocation_id": context.invocation_id, **ids}


def _w3c(parent: str, state: Any) -> dict[str, str]:
    return {"traceparent": parent, **({"tracestate": state} if state and isinstance(state, str) else {})}

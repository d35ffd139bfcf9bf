"""Where the app says what it is doing, for whoever traces it. By default it is off, and a span does nothing.

Nothing here imports OpenTelemetry: app_services puts otel_spans.py in the place of `spans` when telemetry is on.
A span changes nothing in the code inside it, and no attribute carries a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import TypeAlias

Headers: TypeAlias = Mapping[str, str]  # W3C trace context by its names, `traceparent` and `tracestate`
NO_HEADERS: Headers = MappingProxyType({})
_NOTHING: AbstractContextManager[None] = nullcontext()


class Spans:
    """No spans. Each method is for a `with`, in which what it names is done."""

    def function(
        self, name: str, invocation: Headers, message: Headers = NO_HEADERS, *, ids: Mapping[str, str]
    ) -> AbstractContextManager[None]:
        """What a function does for one order.

        Args:
            invocation: the trace that the host began or continued for this invocation.
            message: the trace that the message belongs to, if one triggered the function.
            ids: what to find it by, e.g. `order_id`.
        """
        return _NOTHING

    def sending(self, queue: str, message_id: str, headers: Headers) -> AbstractContextManager[Headers]:
        """Sending one message. Gives the application properties to send: `headers`, or those of the span."""
        return nullcontext(headers)

    def script(self, name: str) -> AbstractContextManager[None]:
        """One call of a Redis script."""
        return _NOTHING


def message_properties(trace: Headers) -> dict[str, str]:
    """A trace as a message carries it: by the one name that the SDKs and the host's trigger read."""
    properties = {"Diagnostic-Id": trace["traceparent"]} if trace else {}
    return {**properties, **{name: trace[name] for name in ("tracestate",) if name in trace}}


spans = Spans()

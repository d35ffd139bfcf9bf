"""What a function gets for its parameter `context`, shaped as the worker's."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import azure.functions as func

TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
LOCAL = threading.local()  # one for all invocations, as in the worker; `invocation_id` is that of the thread's call


@dataclass(frozen=True)
class TraceContext:
    """W3C trace context. `trace_parent` is empty unless the caller sent one, as without Application Insights."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    Traceparent = property(lambda self: self.trace_parent)  # the worker's own, deprecated names
    Tracestate = property(lambda self: self.trace_state)
    Attributes = property(lambda self: self.attributes)


# There are no retry policies here, and a redelivered message is no retry in the host's sense.
NO_ERROR = SimpleNamespace(source="", stack_trace="", message="")
NO_RETRY: Any = SimpleNamespace(retry_count=0, max_retry_count=0, rpc_exception=NO_ERROR)


@dataclass(eq=False)
class Context(func.Context):
    """Of one invocation."""

    invocation_id: str = ""
    function_name: str = ""
    function_directory: str = ""
    trace_context: Any = None
    retry_context = NO_RETRY
    thread_local_storage: Any = LOCAL


def trace_context(trace_parent: Any, trace_state: Any = None) -> TraceContext:
    """The caller's trace context if it sent a valid one, else an empty one."""
    if isinstance(trace_parent, str) and TRACE_PARENT.fullmatch(trace_parent):
        return TraceContext(trace_parent, str(trace_state or ""))
    return TraceContext()

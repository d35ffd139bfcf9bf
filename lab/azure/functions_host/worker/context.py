"""What a function gets for its parameter `context`, shaped as the worker's."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class RpcException:
    """Why the previous attempt failed. Always empty: this host has no retry policies."""

    source: str = ""
    stack_trace: str = ""
    message: str = ""


@dataclass(frozen=True)
class RetryContext:
    """A redelivered message is no retry in the host's sense, so it stays at 0."""

    retry_count: int = 0
    max_retry_count: int = 0
    rpc_exception: RpcException = field(default_factory=RpcException)


NO_RETRY = RetryContext()


@dataclass(eq=False)
class Context(func.Context):
    """Of one invocation."""

    invocation_id: str = ""
    function_name: str = ""
    function_directory: str = ""
    trace_context: Any = None
    retry_context: Any = NO_RETRY
    thread_local_storage: Any = LOCAL


def trace_context(trace_parent: Any, trace_state: Any = None) -> TraceContext:
    """The caller's trace context if it sent a valid one, else an empty one."""
    if isinstance(trace_parent, str) and TRACE_PARENT.fullmatch(trace_parent):
        return TraceContext(trace_parent, str(trace_state or ""))
    return TraceContext()

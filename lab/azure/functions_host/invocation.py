"""Calls a function once, as the worker does, and logs it as the host does.

Sync functions run in threads, async ones on the loop. Must never log an argument: a body, a key, a query or a header.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import re
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import azure.functions as func

from lab.azure.functions_host.function import Function

log = logging.getLogger("host")

SYNC_THREADS = 1000  # PYTHON_THREADPOOL_THREAD_COUNT as the host sets it (measured)
TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class FunctionTimeout(Exception):
    """The function ran longer than functionTimeout. The real host restarts its worker, this one goes on."""


@dataclass(frozen=True)
class TraceContext:
    """W3C trace context, shaped as `context.trace_context`."""

    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RetryContext:
    """Shaped as `context.retry_context`; a redelivered message is no retry in the host's sense, so it stays at 0."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


class Context(func.Context):
    """What a function gets for its parameter `context`."""

    def __init__(self, invocation_id: str, function_name: str, directory: str, trace: TraceContext) -> None:
        self._invocation_id = invocation_id
        self._function_name = function_name
        self._directory = directory
        self._trace = trace
        self._local = threading.local()
        self._local.invocation_id = invocation_id

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def thread_local_storage(self) -> Any:
        return self._local

    @property
    def function_name(self) -> str:
        return self._function_name

    @property
    def function_directory(self) -> str:
        return self._directory

    @property
    def trace_context(self) -> Any:
        return self._trace

    @property
    def retry_context(self) -> Any:
        return RetryContext()


def trace_context(trace_parent: str | None, trace_state: str | None = None) -> TraceContext:
    """The caller's trace context if it sent a valid one, else the start of a new trace, as the host makes one."""
    if trace_parent and TRACE_PARENT.fullmatch(trace_parent):
        return TraceContext(trace_parent, trace_state or "")
    return TraceContext(f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-00")


class Invoker:
    """Calls functions. `timeout_s`: functionTimeout, None for no limit; `directory`: the app's folder."""

    def __init__(self, *, timeout_s: float | None, directory: str, threads: int = SYNC_THREADS) -> None:
        self._timeout_s = timeout_s
        self._directory = directory
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="function")

    async def invoke(self, function: Function, argument: Any, *, reason: str, trace: TraceContext) -> Any:
        """Call `function` with its trigger's `argument` and return what it returns; both ends are logged.

        Raises what the function raises (already logged with its traceback) or FunctionTimeout.
        """
        invocation_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        log.info("Executing 'Functions.%s' (Reason='%s', Id=%s)", function.name, reason, invocation_id)
        started = time.perf_counter()
        context = Context(invocation_id, function.name, self._directory, trace)
        try:
            result = await self._bounded(function, argument, context)
        except BaseException as error:
            self._log_end(function, invocation_id, started, error)
            raise
        self._log_end(function, invocation_id, started, None)
        return result

    def close(self) -> None:
        """Start no further thread; running ones end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _bounded(self, function: Function, argument: Any, context: Context) -> Any:
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                return await self._call(function, argument, context)
        except TimeoutError as error:
            if limit.expired():
                raise FunctionTimeout(f"{function.name} ran longer than {self._timeout_s:g} s") from error
            raise

    async def _call(self, function: Function, argument: Any, context: Context) -> Any:
        arguments = {function.argument: argument}
        if function.wants_context:
            arguments["context"] = context
        if function.is_async:
            return await function.call(**arguments)

        def in_thread() -> Any:
            context.thread_local_storage.invocation_id = context.invocation_id
            return function.call(**arguments)

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, contextvars.copy_context().run, in_thread)

    def _log_end(self, function: Function, invocation_id: str, started: float, error: BaseException | None) -> None:
        took_ms = round((time.perf_counter() - started) * 1000)
        message = "Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)"
        if error is None:
            log.info(message, function.name, "Succeeded", invocation_id, took_ms)
        else:
            details = (type(error), error, without_host(error.__traceback__))
            log.error(message, function.name, "Failed", invocation_id, took_ms, exc_info=details)


def without_host(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the function's own first frame on; the whole of it if the function has none."""
    inner = trace
    for frame in iterate(trace):
        if frame.tb_frame.f_code.co_filename == __file__:
            inner = frame.tb_next
    return inner or trace


def iterate(trace: TracebackType | None) -> Iterator[TracebackType]:
    """The frames of a traceback, outermost first."""
    while trace is not None:
        yield trace
        trace = trace.tb_next

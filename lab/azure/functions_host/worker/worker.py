"""Calls an app's functions as the worker does: sync ones in threads, async ones on the running loop.

Must never log an argument: a body, a key, a query or a header.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from azure.functions.meta import Datum

from lab.azure.functions_host.worker.app import Loaded, LoadedApp
from lab.azure.functions_host.worker.context import LOCAL, Context, TraceContext
from lab.azure.functions_host.worker.signature import converter

SYNC_THREADS = 1000  # PYTHON_THREADPOOL_THREAD_COUNT as the host sets it (measured)

invocation: ContextVar[str] = ContextVar("invocation")  # its id, also in the tasks that it created
active: set[str] = set()  # ids of the invocations that run in this process


class FunctionFailed(Exception):
    """The function raised, or its result has the wrong type. The text is the traceback."""


class Host(Protocol):
    """What calls functions: a worker in this process or in another."""

    async def call(self, call: Call) -> Datum | None:
        """What the function's result is for its binding. Raises FunctionFailed or WorkerGone."""

    def timed_out(self) -> None:
        """A call ran longer than functionTimeout."""

    def close(self) -> None:
        """Call nothing more."""


class WorkerGone(Exception):
    """No worker runs, or it ended under the call."""


@dataclass(frozen=True)
class Call:
    """One invocation. `data` None: the trigger had none; `metadata` is the trigger's."""

    invocation_id: str
    function: str
    data: Datum | None
    metadata: Mapping[str, Datum] = field(default_factory=dict)
    trace: TraceContext = field(default_factory=TraceContext)


class Worker:
    """Calls the functions of `app`, whose folder is `directory`. A Host in the same process."""

    def __init__(self, app: LoadedApp, directory: str, threads: int = SYNC_THREADS) -> None:
        self._app = app
        self._directory = directory
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="function")

    async def call(self, call: Call) -> Datum | None:
        """Raises FunctionFailed for an Exception; any other BaseException goes on, as in the worker."""
        invocation.set(call.invocation_id)
        active.add(call.invocation_id)
        try:
            return await self._invoke(call)
        except Exception as error:
            raise FunctionFailed(shown(error)) from error
        finally:
            active.discard(call.invocation_id)

    def timed_out(self) -> None:
        """Nothing: the real worker is replaced, this one goes on."""

    def close(self) -> None:
        """Start no further thread; running ones end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _invoke(self, call: Call) -> Datum | None:
        function = self._app.functions[call.function]
        signature = function.signature
        arguments = {name: decode(kind, call) for name, kind in signature.inputs.items()}
        context = Context(call.invocation_id, call.function, self._directory, call.trace)
        LOCAL.invocation_id = call.invocation_id
        if signature.wants_context:
            arguments["context"] = context
        result = await self._run(function, context, arguments)
        if signature.returns is None:
            if result is not None:
                raise RuntimeError(f"function {call.function!r} without a $return binding returned a non-None value")
            return None
        return encode(signature.returns, result, signature.return_type)

    async def _run(self, function: Loaded, context: Context, arguments: dict[str, Any]) -> Any:
        if function.is_async:
            return await function.call(**arguments)

        def in_thread() -> Any:
            LOCAL.invocation_id = context.invocation_id
            try:
                return function.call(**arguments)
            finally:
                LOCAL.invocation_id = None

        return await asyncio.get_running_loop().run_in_executor(self._threads, in_thread)


def decode(kind: str, call: Call) -> Any:
    """A parameter's value, through the converter of azure.functions. Raises TypeError for data it does not take."""
    try:
        return converter(kind).decode(call.data, trigger_metadata=call.metadata)
    except NotImplementedError as error:
        raise TypeError(f"the data of {call.function} cannot be decoded for its binding {kind!r}") from error


def encode(kind: str, result: Any, expected_type: Any) -> Datum | None:
    """The result for the host. Raises TypeError for a type that the binding does not take, or UnicodeEncodeError."""
    try:
        datum: Datum | None = converter(kind).encode(result, expected_type=expected_type)
    except NotImplementedError as error:
        raise TypeError(f"a {kind!r} binding cannot return the type {type(result).__name__}") from error
    if datum is not None and isinstance(datum.value, str):
        datum.value.encode()  # a lone surrogate cannot be sent to the host
    return datum


def shown(error: BaseException) -> str:
    """An error with its traceback from the function's own first frame on; the whole if the function has none."""
    trace = inner = error.__traceback__
    for frame in iterate(trace):
        if frame.tb_frame.f_code.co_filename == __file__:
            inner = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, inner or trace)).rstrip()


def iterate(trace: TracebackType | None) -> Iterator[TracebackType]:
    """The frames of a traceback, outermost first."""
    while trace is not None:
        yield trace
        trace = trace.tb_next
